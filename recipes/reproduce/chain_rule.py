"""`chain-rule`: gradients as the product of slopes and weights that the chain rule makes of them.

The formula of a network with one neuron a layer beside what Keras computes; the case that explodes;
and for wide layers the products of Jacobians.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, MUTED, RUN_COLOURS
from ..initializers import NielsenNormal
from ..mlp import mlp
from ._chain import SLOPES, Doubles, forward, products, widest_range
from ._nielsen import Images, images
from ._one_neuron import CASES, LAYERS, Neurons, decades, geometric, neurons
from .outcome import Outcome, Row, Setting, counted

_DEPTH, _UNITS, _SAMPLES = 20, 100, 20
_WIRED = {
    "sigmoid": ("sigmoid, 1 / sqrt(n)", NielsenNormal),
    "tanh": ("tanh, Glorot", None),
    "relu": ("ReLU, He", None),
}
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))


class Wide(NamedTuple):
    """One wide network, a number for each hidden layer."""

    predicted: Doubles
    measured: Doubles
    largest: Doubles  # singular value of the product of Jacobians from this layer on
    typical: Doubles  # root mean square of the singular values


def run(setting: Setting) -> Outcome:
    """One neuron a layer: three kinds of weights. Wide layers: three activations."""
    seeds = setting.seeds_or(200, quick=20)
    chains = {case: neurons(case, seeds) for case in CASES}
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


# ------------------------------------------------------------------ wide layers


def _wide(name: str, seed: int, data: Images) -> Wide:
    """Bias gradients of a deep network at its start, and the products of Jacobians behind them."""
    initializer = _WIRED[name][1]
    own = {} if initializer is None else {"kernel_initializer": initializer()}
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
    usual, exploding = chains[CASES[0]], chains[CASES[1]]
    return [
        Row(what="factor sigma'(z) |w|, weights N(0, 1)", ours=geometric(usual.factors)),
        Row(what="factor, weights of 100 and z = 0", ours=[float(exploding.factors.mean())],
            text=25.0),
        Row(what="powers of ten from the last layer to the first, N(0, 1)",
            ours=decades(usual).tolist()),
        Row(what="the same, weights of 100 and z = 0", ours=[float(decades(exploding)[0])],
            text=3 * float(np.log10(25))),
        Row(what="gradient of b1, Keras' over the formula's",
            ours=(usual.measured / usual.predicted)[:, 0].tolist(), text=1.0),
        Row(what="gradient of b1, by moving it, over the formula's",
            ours=(usual.moved / usual.predicted[:, 0]).tolist(), text=1.0),
    ]  # fmt: skip


def _told(chains: dict[str, Neurons], wide: dict[str, list[Wide]], data: Images) -> str:
    usual, hundred = chains[CASES[0]], chains[CASES[2]]
    off = float(np.abs(usual.measured / usual.predicted - 1).max())
    below = float((usual.factors < 0.25).mean())
    median = float(np.median(decades(usual)))
    vanish, explode = float((decades(usual) < 0).mean()), float((decades(hundred) > 0).mean())
    jump = float(chains[CASES[1]].factors.mean())
    factors = {name: float(np.mean([_a_layer(one) for one in nets])) for name, nets in wide.items()}
    wired = ", ".join(f"{factor:.2f} ({_WIRED[name][0]})" for name, factor in factors.items())
    worst = max(
        float(np.abs(one.measured / one.predicted - 1).max())
        for nets in wide.values()
        for one in nets
    )
    return (
        f"The product formula {'holds' if off < 1e-3 else 'does not hold here'}: Keras' gradients "
        f"of {counted(len(usual.factors), 'network')} with one neuron a layer differ from it by "
        f"{off:.1g} of their size at most. With weights N(0, 1) {below:.0%} of the factors lie "
        f"below 1/4, and over four layers the first bias has {10**median:.1g} times the gradient "
        f"of the last (median; smaller in {vanish:.0%}). Weights of 100 multiply it by {jump:.3g} "
        f"a layer where each z is 0; with biases N(0, 1) it grows in {explode:.0%} of the networks"
        f"{', since large weights also saturate' if explode < 0.5 else ''}. "
        f"In {_DEPTH} layers of {_UNITS} on {data.name} the products of Jacobians "
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
    at = np.arange(1, LAYERS + 1)
    panels = figure.subplots(1, 2)
    # The third kind is nowhere above 1e-40.
    titles = {CASES[0]: "Weights and biases N(0, 1)", CASES[1]: "Weights of 100, each z = 0"}
    for axes, (case, title), colour in zip(panels, titles.items(), RUN_COLOURS, strict=False):
        predicted, measured = np.abs(chains[case].predicted), np.abs(chains[case].measured)
        style(axes, title, "size of the bias gradient" if axes is panels[0] else "")
        axes.plot(at, predicted.T[:, :100], color=colour, lw=0.5, alpha=0.2)
        axes.plot(at, np.median(predicted, axis=0), color=colour, lw=2, label="formula, median")
        axes.plot(at, np.median(measured, axis=0), "o", color=INK, ms=6, mfc="none",
                  label="Keras, median")  # fmt: skip
        axes.set_yscale("log")
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
