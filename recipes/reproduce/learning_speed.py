"""`learning-speed`: the first layers of a sigmoid network learn slowest (Nielsen, chapter 5)."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import RUN_COLOURS
from ...callbacks.gradient_norms import GradientNorms
from ._nielsen import Images, compiled, images, network
from .outcome import Outcome, Row, Setting, counted

Doubles = npt.NDArray[np.float64]

_TEXT = {2: (0.0657, 0.3092), 3: (0.0118, 0.0600, 0.2831), 4: (0.00298, 0.0171, 0.0695, 0.2851)}
_UNITS, _IMAGES, _BATCHES = 30, 1_000, 50


def run(setting: Setting) -> Outcome:
    """Bias gradients of each hidden layer: at the start over many seeds, and over 500 epochs."""
    data = images(setting)
    data = data._replace(x=data.x[:_IMAGES], y=data.y[:_IMAGES])
    seeds = setting.seeds_or(200, quick=10)
    epochs = 20 if setting.quick else 500
    rows: list[Row] = []
    ratios: dict[str, Doubles] = {}
    steps: dict[str, list[float]] = {}
    courses: dict[int, Doubles] = {}
    bars: dict[int, list[Any]] = {}
    for layers, published in _TEXT.items():
        gradients = _at_the_start(layers, seeds, data)
        norms = np.stack([np.linalg.norm(one, axis=-1) for one in gradients], axis=-1)
        ratios[str(layers)] = norms[:, -1] / norms[:, 0]
        steps[str(layers)] = faster(norms)
        bars[layers] = [one[0] for one in gradients]
        courses[layers] = _over_epochs(layers, data, epochs)
        text = published[-1] / published[0] if data.of_the_text else None
        rows.append(
            Row(what=f"last over first of {layers}, start", ours=ratios[str(layers)].tolist(),
                text=text)
        )  # fmt: skip
    return Outcome(
        rows=rows,
        told=_told(ratios, steps, data),
        summary={
            "data": data.name,
            "epochs": epochs,
            "last_over_first": {name: float(np.median(one)) for name, one in ratios.items()},
            "last_over_first_10_90": {
                name: np.quantile(one, [0.1, 0.9]).tolist() for name, one in ratios.items()
            },
            "layer_over_the_one_before": steps,
            "norms_over_epochs": {layers: one.tolist() for layers, one in courses.items()},
        },
        figures={
            "speed": _speed_figure(courses),
            "neurons": _neurons_figure(bars[2]),
        },
    )


def faster(norms: Doubles) -> list[float]:
    """How many times as fast as the layer before it each learns: medians over the seeds.

    Args:
        norms: `[seeds, layers]`, of one network's layers.
    """
    return [float(one) for one in np.median(norms[:, 1:] / norms[:, :-1], axis=0)]


def _at_the_start(layers: int, seeds: list[int], data: Images) -> list[Doubles]:
    """The mean gradient of each hidden layer's biases, `[seeds, units]` a layer."""
    found: list[list[Doubles]] = []
    for seed in seeds:
        model = compiled(_network(seed, layers, data))
        found.append(_bias_gradients(model, data, layers))
    return [np.stack([one[at] for one in found]) for at in range(layers)]


def _network(seed: int, layers: int, data: Images) -> Any:
    return network(seed, [_UNITS] * layers, data.x.shape[1], len(data.x))


def _bias_gradients(model: Any, data: Images, layers: int) -> list[Doubles]:
    biases = [model.get_layer(f"hidden_{at}").bias.value for at in range(1, layers + 1)]
    with tf.GradientTape() as tape:
        tape.watch(biases)
        outputs = model(data.x, training=True)
        loss = tf.reduce_mean(10 * keras.losses.binary_crossentropy(data.y, outputs))
    return [np.asarray(one, "float64") for one in tape.gradient(loss, biases)]


def _over_epochs(layers: int, data: Images, epochs: int) -> Doubles:
    """Norms of the bias gradients in each epoch of full-batch descent, `[epochs, layers]`."""
    model, monitor = compiled(_network(0, layers, data)), GradientNorms()
    model.fit(data.x, data.y, epochs=epochs, batch_size=len(data.x), verbose=0, callbacks=[monitor])
    norms: Doubles = monitor.record.by_layer("gradient_norm", "bias").astype("float64")
    return norms[:, :layers]


def _told(ratios: dict[str, Doubles], steps: dict[str, list[float]], data: Images) -> str:
    seeds = len(next(iter(ratios.values())))
    told = ", ".join(f"{_times(one)} with {name}" for name, one in ratios.items())
    measure = "median [10 to 90%] of" if seeds > 1 else "of"
    holds = "holds" if min(min(one) for one in steps.values()) > 1 else "does not hold here"
    each = ", ".join(
        f"with {name} hidden layers {', '.join(f'{one:.2g}' for one in found)} times"
        for name, found in steps.items()
    )
    return (
        f"At the start the last hidden layer learns {told} hidden layers as fast as the first: "
        f"{measure} {counted(seeds, 'seed')} on {data.name}. That within one network each layer "
        f"further from the output learns more slowly {holds}: from the second on, each learns "
        f"{each} as fast as the one before it{' (medians)' if seeds > 1 else ''}."
    )


def _times(ratios: Doubles) -> str:
    """The median, and between what 80% of the seeds lie where there are several."""
    low, high = np.quantile(ratios, [0.1, 0.9])
    spread = f" [{low:.2g} to {high:.2g}]" if len(ratios) > 1 else ""
    return f"{np.median(ratios):.3g} times{spread}"


def _speed_figure(courses: dict[int, Doubles]) -> Any:
    figure = new_figure(2.6 * len(courses))
    for axes, (layers, norms) in zip(
        np.atleast_1d(figure.subplots(len(courses), sharex=True)), courses.items(), strict=True
    ):
        style(axes, f"{layers} hidden layers", "norm of the bias gradient")
        for at, colour in zip(range(layers), RUN_COLOURS, strict=False):
            axes.plot(norms[:, at], color=colour, lw=0.5, alpha=0.35)
            axes.plot(_smooth(norms[:, at]), color=colour, lw=1.5, label=f"hidden_{at + 1}")
        axes.set_yscale("log")
        axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper right")
    axes.set_xlabel("epoch")
    return figure


def _smooth(values: Doubles, width: int = 21) -> Doubles:
    """Geometric means of windows around each epoch, which narrow towards the ends."""
    logs, last = np.log(np.maximum(values, 1e-30)), len(values) - 1
    halves = (min(width // 2, at, last - at) for at in range(len(values)))
    return np.exp([logs[at - half : at + half + 1].mean() for at, half in enumerate(halves)])


def _neurons_figure(layers: list[Any]) -> Any:
    """A bar for each neuron: how fast its bias changes at the start."""
    figure = new_figure(2.8)
    axes = figure.subplots()
    style(axes, "How fast each neuron's bias learns at the start, two hidden layers", "|gradient|")
    for at, (gradient, colour) in enumerate(zip(layers, RUN_COLOURS, strict=False)):
        places = np.arange(len(gradient)) + 0.42 * at
        axes.bar(places, np.abs(gradient), width=0.4, color=colour, label=f"hidden_{at + 1}")
    axes.set_xlabel("neuron")
    axes.legend(frameon=False, fontsize=9)
    return figure
