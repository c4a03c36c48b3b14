"""`chain-rule`: gradients as the product of slopes and weights that the chain rule makes of them.

The formula of a network with one neuron a layer beside what Keras computes; the case that explodes;
and for wide layers the products of Jacobians. The full run takes about 40 s on two cores.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, MUTED, RUN_COLOURS
from ..initializers import NielsenNormal
from ..mlp import mlp
from ._chain import FUNCTIONS, SLOPES, Doubles, forward, products, widest_range
from ._nielsen import Images, images
from .outcome import Outcome, Row, Setting

_LAYERS = 4
_INPUT, _TARGET = np.array([[1.0]]), 0.0
_DEPTH, _UNITS, _SAMPLES = 20, 100, 50
_CASES = ("N(0, 1)", "weights of 100, z = 0", "weights of 100, biases N(0, 1)")
_WIRED = {
    "sigmoid": ("sigmoid, 1 / sqrt(n)", NielsenNormal),
    "tanh": ("tanh, Glorot", None),
    "relu": ("ReLU, He", None),
}
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))


class Neurons(NamedTuple):
    """Networks of one neuron a layer, `[networks, layers]` each."""

    factors: Doubles  # |sigma'(z) w|, without the last layer's slope: one fewer
    predicted: Doubles
    measured: Doubles
    moved: Doubles  # first layer only, `[networks]`: by moving its bias a little


class Wide(NamedTuple):
    """One wide network, a number for each hidden layer."""

    predicted: Doubles
    measured: Doubles
    largest: Doubles  # singular value of the product of Jacobians from this layer on
    typical: Doubles  # root mean square of the singular values


def run(setting: Setting) -> Outcome:
    """One neuron a layer: three kinds of weights. Wide layers: three activations."""
    seeds = setting.seeds_or(200, quick=20)
    chains = {case: _neurons(case, seeds) for case in _CASES}
    data = images(setting)
    wide_seeds = seeds[: 2 if setting.quick else 10]
    wide = {name: [_wide(name, seed, data) for seed in wide_seeds] for name in _WIRED}
    widths = np.arange(4.0, 20.0, 0.01)
    rows = [*_bounds(), *_neuron_rows(chains)]
    rows.append(
        Row(what="inputs over which a factor can reach 1: widest range",
            ours=[max(map(widest_range, widths))], text=0.45)
    )  # fmt: skip
    for name, nets in wide.items():
        label = _WIRED[name][0]
        rows.append(Row(what=f"{label}: factor a layer", ours=[_a_layer(one) for one in nets]))
    for name, nets in wide.items():
        errors = [float(np.abs(one.measured / one.predicted - 1).max()) for one in nets]
        rows.append(Row(what=f"{_WIRED[name][0]}: measured off predicted, at most", ours=errors))
    return Outcome(
        rows=rows,
        told=_told(chains, wide, data),
        summary={
            "data": data.name,
            "bias_gradients": {
                case: {"predicted": one.predicted.tolist(), "measured": one.measured.tolist()}
                for case, one in chains.items()
            },
            "wide": {
                name: [{key: value.tolist() for key, value in one._asdict().items()}
                       for one in nets]
                for name, nets in wide.items()
            },
        },
        figures={
            "derivatives": _derivatives_figure(),
            "one_neuron": _neurons_figure(chains),
            "wide_layers": _wide_figure(wide),
        },
    )  # fmt: skip


# ------------------------------------------------------------------ one neuron a layer


def _neurons(case: str, seeds: list[int]) -> Neurons:
    """Networks 1-1-1-1-1 of sigmoids, cost (a - y)² / 2, by formula, by Keras, by moving b."""
    model = mlp((1,), [1] * (_LAYERS - 1), 1, activation="sigmoid", output_activation="sigmoid")
    found = []
    for seed in seeds:
        kernels, biases = _weights(case, seed)
        zs = forward(kernels, biases, _INPUT, "sigmoid")
        ends = FUNCTIONS["sigmoid"](zs[-1]) - _TARGET
        predicted = [float(one[0, 0, 0] * ends[0, 0]) for one in products(kernels, zs, "sigmoid")]
        slopes = [float(SLOPES["sigmoid"](z)[0, 0]) for z in zs]
        factors = [s * abs(float(w[0, 0])) for s, w in zip(slopes, kernels[1:], strict=False)]
        measured = _measured(model, kernels, biases)
        found.append(Neurons(*map(np.array, (factors, predicted, measured,
                                             _moved(kernels, biases)))))  # fmt: skip
    return Neurons(*(np.stack(same) for same in zip(*found, strict=True)))


def _weights(case: str, seed: int) -> tuple[list[Doubles], list[Doubles]]:
    """Rounded to float32, so that Keras has the same."""
    drawn = np.random.default_rng(seed).normal(size=(2, _LAYERS)).astype("float32").astype(float)
    kernels = drawn[0] if case == _CASES[0] else np.full(_LAYERS, 100.0)
    biases = drawn[1]
    if case == _CASES[1]:
        inputs = [float(_INPUT[0, 0]), *[0.5] * (_LAYERS - 1)]
        biases = np.array([-100.0 * one for one in inputs])
    return [one.reshape(1, 1) for one in kernels], [one.reshape(1) for one in biases]


def _measured(model: Any, kernels: list[Doubles], biases: list[Doubles]) -> list[float]:
    model.set_weights([one for pair in zip(kernels, biases, strict=True) for one in pair])
    watched = [one.value for one in model.trainable_variables[1::2]]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        cost = tf.reduce_sum((model(_INPUT) - _TARGET) ** 2) / 2
    return [float(one[0]) for one in tape.gradient(cost, watched)]


def _moved(kernels: list[Doubles], biases: list[Doubles], step: float = 1e-6) -> float:
    """The text's own way: by how much the cost changes with the first bias."""
    costs = []
    for move in (step, -step):
        zs = forward(kernels, [biases[0] + move, *biases[1:]], _INPUT, "sigmoid")
        costs.append(0.5 * float(FUNCTIONS["sigmoid"](zs[-1])[0, 0] - _TARGET) ** 2)
    return (costs[0] - costs[1]) / (2 * step)


# ------------------------------------------------------------------ wide layers


def _wide(name: str, seed: int, data: Images) -> Wide:
    """Bias gradients of a deep network at its start, and the products of Jacobians behind them."""
    initializer = _WIRED[name][1]
    own = {} if initializer is None else dict(kernel_initializer=initializer())
    x, y = data.x[:_SAMPLES], data.y[:_SAMPLES]
    model = mlp((x.shape[1],), [_UNITS] * _DEPTH, 10, activation=name, seed=seed, **own)
    layers = [model.get_layer(f"hidden_{at}") for at in range(1, _DEPTH + 1)]
    kernels = [np.asarray(one.kernel, "float64") for one in layers]
    zs = forward(kernels, [np.asarray(one.bias, "float64") for one in layers], x.astype(float),
                 name)  # fmt: skip
    watched = [one.bias.value for one in layers]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        outputs = model(x, training=True)
        cost = tf.reduce_mean(keras.losses.categorical_crossentropy(y, outputs))
    measured = [float(tf.norm(one)) for one in tape.gradient(cost, watched)]
    output = np.asarray(model.get_layer("output").kernel, "float64")
    # Softmax and cross-entropy: dC/dz of the output is its error.
    ends = (np.asarray(outputs, "float64") - y) @ output.T
    jacobians = products(kernels, zs, name)
    predicted = [np.linalg.norm((one @ ends[:, :, None]).mean(axis=0)) for one in jacobians]
    largest = [np.linalg.norm(one[:5], ord=2, axis=(1, 2)).mean() for one in jacobians]
    typical = [np.sqrt((one**2).sum(axis=(1, 2)).mean() / _UNITS) for one in jacobians]
    return Wide(*map(np.array, (predicted, measured, largest, typical)))


def _a_layer(one: Wide) -> float:
    """By how much the gradient is multiplied from a layer to the one before: geometric mean."""
    return float((one.measured[0] / one.measured[-1]) ** (1 / (_DEPTH - 1)))


# ------------------------------------------------------------------ what comes out


def _bounds() -> list[Row]:
    z = np.linspace(-6, 6, 2401)
    published = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}
    return [
        Row(what=f"largest slope of {name}", ours=[float(SLOPES[name](z).max())], text=text)
        for name, text in published.items()
    ]


def _neuron_rows(chains: dict[str, Neurons]) -> list[Row]:
    usual, exploding = chains[_CASES[0]], chains[_CASES[1]]
    return [
        Row(what="factor sigma'(z) |w|, weights N(0, 1)", ours=_geometric(usual.factors)),
        Row(what="factor, weights of 100 and z = 0", ours=[float(exploding.factors.mean())],
            text=25.0),
        Row(what="powers of ten from the last layer to the first, N(0, 1)",
            ours=_decades(usual).tolist()),
        Row(what="the same, weights of 100 and z = 0", ours=[float(_decades(exploding)[0])],
            text=3 * float(np.log10(25))),
        Row(what="gradient of b1, Keras' over the formula's",
            ours=(usual.measured / usual.predicted)[:, 0].tolist(), text=1.0),
        Row(what="gradient of b1, by moving it, over the formula's",
            ours=(usual.moved / usual.predicted[:, 0]).tolist(), text=1.0),
    ]  # fmt: skip


def _geometric(factors: Doubles) -> list[float]:
    means: list[float] = np.exp(np.log(factors).mean(axis=1)).tolist()
    return means


def _decades(chain: Neurons) -> Doubles:
    """Powers of ten that the gradient gains on its way from the last layer to the first."""
    predicted = np.maximum(np.abs(chain.predicted), 1e-300)
    return np.log10(predicted[:, 0] / predicted[:, -1])


def _told(chains: dict[str, Neurons], wide: dict[str, list[Wide]], data: Images) -> str:
    usual, hundred = chains[_CASES[0]], chains[_CASES[2]]
    off = float(np.abs(usual.measured / usual.predicted - 1).max())
    below = float((usual.factors < 0.25).mean())
    median = float(np.median(_decades(usual)))
    vanish, explode = float((_decades(usual) < 0).mean()), float((_decades(hundred) > 0).mean())
    factors = {name: float(np.mean([_a_layer(one) for one in nets])) for name, nets in wide.items()}
    wired = ", ".join(f"{factor:.2f} ({_WIRED[name][0]})" for name, factor in factors.items())
    worst = max(
        float(np.abs(one.measured / one.predicted - 1).max())
        for nets in wide.values()
        for one in nets
    )
    return (
        f"The product formula {'holds' if off < 1e-3 else 'does not hold here'}: Keras' gradients "
        f"of {len(usual.factors)} networks with one neuron a layer differ from it by {off:.1g} of "
        f"their size at most. With weights N(0, 1) {below:.0%} of the factors lie below 1/4, and "
        f"over four layers the first bias has {10**median:.1g} times the gradient of the last "
        f"(median; it vanishes in {vanish:.0%}). Weights of 100 explode where each z is 0, by 25 a "
        f"layer, yet in only {explode:.0%} of the networks with biases N(0, 1): large weights also "
        f"saturate. In {_DEPTH} layers of {_UNITS} on {data.name} the products of Jacobians "
        f"{'predict' if worst < 1e-2 else 'do not predict'} Keras' gradients (within {worst:.1g}); "
        f"each layer further from the output multiplies them by {wired}."
    )


# ------------------------------------------------------------------ figures


def _derivatives_figure() -> Any:
    figure, z = new_figure(3.0), np.linspace(-5, 5, 1001)
    axes = figure.subplots()
    style(axes, "Slopes: the sigmoid's never exceeds 1/4", "slope")
    for name, colour, dashes in zip(_WIRED, RUN_COLOURS, _DASHES, strict=False):
        label = name if name != "relu" else "ReLU"
        axes.plot(z, SLOPES[name](z), color=colour, linestyle=dashes, lw=1.8, label=label)
    axes.axhline(0.25, color=MUTED, lw=0.8, ls=(0, (1, 2)))
    axes.annotate("1/4", (-5, 0.25), (0, 3), textcoords="offset points", fontsize=9, color=MUTED)
    axes.set_xlabel("z")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


def _neurons_figure(chains: dict[str, Neurons]) -> Any:
    figure = new_figure(3.4)
    at = np.arange(1, _LAYERS + 1)
    panels = figure.subplots(1, len(_CASES))
    for axes, (case, chain), colour in zip(panels, chains.items(), RUN_COLOURS, strict=False):
        predicted = np.maximum(np.abs(chain.predicted), 1e-300)
        measured = np.maximum(np.abs(chain.measured), 1e-300)
        style(axes, "", "size of the bias gradient" if axes is panels[0] else "")
        axes.set_title(case.replace(", ", ",\n", 1) if "100" in case else f"weights and\n{case}",
                       loc="left", fontsize=10, color=INK)  # fmt: skip
        axes.plot(at, predicted.T[:, :100], color=colour, lw=0.5, alpha=0.2)
        axes.plot(at, np.median(predicted, axis=0), color=colour, lw=2, label="formula, median")
        axes.plot(at, np.median(measured, axis=0), "o", color=INK, ms=6, mfc="none",
                  label="Keras, median")  # fmt: skip
        axes.set_yscale("log")
        axes.set_ylim(max(1e-40, predicted.min() / 3), predicted.max() * 8)
        axes.set_xticks(at)
        axes.set_xlabel("layer")
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _wide_figure(wide: dict[str, list[Wide]]) -> Any:
    figure = new_figure(5.6)
    upper, lower = figure.subplots(2, sharex=True)
    style(upper, f"{_DEPTH} layers of {_UNITS}: bias gradients at the start", "norm")
    style(lower, "The product of Jacobians from each layer to the last", "singular values")
    at = np.arange(1, _DEPTH + 1)
    for (name, nets), colour in zip(wide.items(), RUN_COLOURS, strict=False):
        first = nets[0]
        upper.plot(at, first.predicted, color=colour, lw=1.6, label=_WIRED[name][0])
        upper.plot(at, first.measured, "o", color=colour, ms=5, mfc="none")
        lower.plot(at, first.largest, color=colour, lw=1.6)
        lower.plot(at, first.typical, color=colour, lw=1.6, ls=(0, (4, 2)))
    upper.plot([], [], "o", color=MUTED, mfc="none", ms=5, label="circles: measured")
    lower.plot([], [], color=MUTED, label="largest")
    lower.plot([], [], color=MUTED, ls=(0, (4, 2)), label="root mean square")
    for axes in (upper, lower):
        axes.set_yscale("log")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    lower.set_xlabel("hidden layer")
    lower.set_xticks([1, 5, 10, 15, 20])
    return figure
