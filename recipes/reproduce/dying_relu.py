"""`dying-relu`: the share of dead units against the learning rate, and what cures it.

A unit is dead where a ReLU's pre-activation is negative for every training example: it puts out 0,
and no gradient reaches its weights. Units of the other activations that are negative everywhere are
asleep: a slope is left to wake them. To see who wakes, half of the first layer is put to sleep,
just below 0, and trained: its inputs are the images themselves, so that nothing else could wake it.
Full size: 10,000 images, ten seeds.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import RUN_COLOURS
from ..mlp import mlp
from ..replicate import replicate
from ._dying_relu_words import Deaths, deadliest, known, rows, told
from ._examples import Examples, examples
from ._many_networks import Kind, ManyNetworks
from .outcome import Outcome, Setting

Doubles = npt.NDArray[np.float64]

KINDS = (
    Kind("ReLU", "relu"),
    Kind("leaky ReLU 0.01", "leaky_relu", {"negative_slope": 0.01}),
    Kind("leaky ReLU 0.2", "leaky_relu", {"negative_slope": 0.2}),
    Kind("PReLU", "prelu"),
    Kind("ELU", "elu"),
    Kind("SELU", "selu"),
)
_LAYERS, _UNITS = 5, 50
_MARGIN, _WAKING_RATE = 0.1, 0.03


def run(setting: Setting) -> Outcome:
    """All activations at all rates in one step; then who wakes; then batch normalization."""
    data = examples(setting, most=1_000 if setting.quick else 10_000)
    seeds = setting.seeds_or(10, quick=2)
    rates = (0.03, 0.1, 0.3, 0.6, 1.0) if setting.quick else (0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
    epochs = 3 if setting.quick else 5
    widths = [data.x.shape[1], *[_UNITS] * _LAYERS, 10]
    networks = ManyNetworks(KINDS, rates, seeds, widths)
    at_start = share(networks.negative_everywhere(data.x))
    networks.fit(data.x, data.y, epochs)
    finite, asleep = networks.finite(), networks.negative_everywhere(data.x)
    reached = networks.accuracy(data.x_validation, data.y_validation)
    # What has diverged has no units to count, and no accuracy but that of guessing one class.
    dead = np.where(finite, share(asleep), np.nan)
    accuracy = np.where(finite, reached.astype("float64"), np.nan)
    woken = _woken(data, seeds, widths, epochs)
    worst = deadliest(dead)
    normalized = _normalized(data, rates[worst], seeds, epochs)
    found = Deaths(KINDS, dead, woken, accuracy, rates, normalized)
    return Outcome(
        rows=rows(found),
        told=told(found, _WAKING_RATE),
        summary={
            "data": data.name,
            "rates": list(rates),
            "dead_at_the_start": at_start[0].mean().item(),
            "dead_by_layer_relu": _by_layer(asleep[0], finite[0]),
            "dead": {kind.label: one.tolist() for kind, one in zip(KINDS, dead, strict=True)},
            "accuracy": {
                kind.label: one.tolist() for kind, one in zip(KINDS, accuracy, strict=True)
            },
            "diverged": {
                kind.label: (~one).sum(axis=1).tolist()
                for kind, one in zip(KINDS, finite, strict=True)
            },
        },
        figures={"rates": _rates_figure(dead, accuracy, rates), "woken": _woken_figure(woken)},
    )


def share(asleep: Any) -> Doubles:
    """Percent of the units, over the last two axes, layers and units."""
    found: Doubles = 100 * np.asarray(asleep, "float64").mean(axis=(-2, -1))
    return found


def _by_layer(asleep: Any, finite: Any) -> list[list[float]]:
    """Percent asleep of each layer, by rate, of the networks that have not diverged."""
    shares = np.where(finite[..., None], 100 * asleep.mean(axis=-1), np.nan)
    return [[float(np.mean(known(one))) for one in rate.T] for rate in shares]


def _woken(data: Examples, seeds: list[int], widths: list[int], epochs: int) -> Doubles:
    """Percent of the units put to sleep that are awake after training, `[kinds, seeds]`."""
    networks, half = ManyNetworks(KINDS, [_WAKING_RATE], seeds, widths), _UNITS // 2
    networks.put_to_sleep(data.x, half, _MARGIN)
    networks.fit(data.x, data.y, epochs)
    asleep = networks.negative_everywhere(data.x)[:, 0, :, 0, :half]
    woken: Doubles = 100 - 100 * asleep.mean(axis=-1)
    return woken


def _normalized(
    data: Examples, rate: float, seeds: list[int], epochs: int
) -> tuple[list[float], list[float]]:
    """ReLU after batch normalization at one rate: dead share and accuracy by seed."""

    def build(seed: int) -> Any:
        units = [_UNITS] * _LAYERS
        model: Any = mlp((data.x.shape[1],), units, 10, normalization="batch", seed=seed)
        optimizer = keras.optimizers.SGD(rate)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    replicas = replicate(build, seeds)
    held = data.x_validation, data.y_validation
    history = replicas.fit(data.x, data.y, epochs=epochs, validation_data=held)
    dead = []
    for model in replicas.models:
        names = [f"hidden_{at}_activation" for at in range(1, _LAYERS + 1)]
        eye = keras.Model(model.input, [model.get_layer(name).output for name in names])
        outputs = eye.predict(data.x, batch_size=1_000, verbose=0)
        dead.append(100 * float(np.mean([(one <= 0).all(axis=0) for one in outputs])))
    return dead, [100 * float(one) for one in history["val_accuracy"][-1]]


def _rates_figure(dead: Doubles, accuracy: Any, rates: Any) -> Any:
    figure = new_figure(3.8)
    for axes, title, values in zip(
        figure.subplots(1, 2),
        ("Units negative for all examples", "Validation accuracy"),
        (dead, accuracy),
        strict=True,
    ):
        style(axes, title, "%")
        for at, (kind, one) in enumerate(zip(KINDS, values, strict=True)):
            mean = [float(np.mean(known(row))) for row in one]
            axes.plot(rates, mean, label=kind.label, color=RUN_COLOURS[at], lw=1.6,
                      marker="os^Dvx"[at], ms=5, ls="-" if at == 0 else "--")  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.minorticks_off()
        axes.set_xlabel("learning rate; what diverged is left out")
        axes.set_ylim(-3, 103)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  frameon=False, fontsize=8.5)  # fmt: skip
    return figure


def _woken_figure(woken: Doubles) -> Any:
    figure = new_figure(2.6)
    axes = figure.subplots()
    style(axes, "Share of the units put to sleep that training wakes")
    axes.grid(False)
    at, means = np.arange(len(woken)), woken.mean(axis=1)
    axes.barh(at, means, color=RUN_COLOURS[: len(woken)], height=0.6)
    for place, one in zip(at, means, strict=True):
        axes.annotate(f"{one:.0f}%", (one, place), (4, 0), textcoords="offset points",
                      va="center", fontsize=9)  # fmt: skip
    axes.set_yticks(at, [kind.label for kind in KINDS])
    axes.invert_yaxis()
    axes.set_xlim(0, 110)
    axes.set_xlabel("%")
    return figure
