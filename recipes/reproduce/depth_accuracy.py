"""`depth-accuracy`: does a deeper sigmoid network classify better? Nielsen's table."""

import time
from typing import Any

import numpy as np

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import RUN_COLOURS
from ..replicate import replicate
from ._nielsen import BATCH, EPOCHS, RATE, Images, compiled, images, network
from ._noise import noise
from .outcome import Outcome, Row, Setting

_TEXT = (96.48, 96.90, 96.57, 96.53)
_FIVE_SEEDS = (96.53, 96.84, 96.46, 96.38)
_UNITS = 30


def run(setting: Setting) -> Outcome:
    """Trains one to four hidden layers of 30 units, all seeds at once."""
    data, seeds = images(setting), setting.seeds_or(5, quick=2)
    epochs = 4 if setting.quick else EPOCHS
    curves: dict[int, Any] = {}
    seconds: dict[int, float] = {}
    for layers in range(1, len(_TEXT) + 1):
        started = time.perf_counter()
        curves[layers] = _trained(layers, seeds, data, epochs)
        seconds[layers] = round(time.perf_counter() - started, 1)
    published = data.of_the_text and not setting.quick
    rows = [
        Row(
            what=f"{layers} hidden layer{'s' * (layers > 1)} of {_UNITS}, after epoch {epochs}",
            ours=[float(one) for one in curve[-1]],
            text=_TEXT[layers - 1] if published else None,
            unit="%",
        )
        for layers, curve in curves.items()
    ]
    return Outcome(
        rows=rows,
        told=_told(curves, data),
        summary={
            "data": data.name,
            "epochs": epochs,
            "seconds_by_layers": seconds,
            "reference_five_seeds": _FIVE_SEEDS if published else None,
            "curves": {layers: curve.tolist() for layers, curve in curves.items()},
        },
        figures={"accuracy": _figure(curves)},
    )


def _trained(layers: int, seeds: list[int], data: Images, epochs: int) -> Any:
    """Validation accuracy in percent, `[epochs, seeds]`."""
    pixels, samples = data.x.shape[1], len(data.x)
    replicas = replicate(
        lambda seed: compiled(network(seed, [_UNITS] * layers, pixels, samples), RATE), seeds
    )
    held = data.x_validation, data.y_validation
    history = replicas.fit(data.x, data.y, epochs=epochs, batch_size=BATCH, validation_data=held)
    return 100 * history["val_accuracy"]


def _told(curves: dict[int, Any], data: Images) -> str:
    first = ", ".join(f"{curve[0].mean():.1f}" for curve in curves.values())
    ends = {layers: curve[-1] for layers, curve in curves.items()}
    best = max(ends, key=lambda layers: ends[layers].mean())
    deepest = max(ends)
    gap = ends[best].mean() - ends[deepest].mean()
    counts = gap > noise(ends[best], ends[deepest], len(data.x_validation))
    behind = f"{gap:.2f} points behind, {'more' if counts else 'no more'} than noise"
    return (
        f"On {data.name}, {len(data.x):,} images: after the first epoch {first}% with 1 to "
        f"{deepest} hidden layers; at the end {best} come{'s' * (best == 1)} out best"
        + (f", {deepest} {behind}. " if best != deepest else ". ")
        + f"That a deeper network of sigmoids classifies better {_holds(best == deepest)}."
    )


def _holds(true: bool) -> str:
    return "holds here" if true else "does not hold here"


def _figure(curves: dict[int, Any]) -> Any:
    figure = new_figure(3.6)
    axes = figure.subplots()
    style(axes, "Validation accuracy of sigmoid networks with 1 to 4 hidden layers", "%")
    for (layers, curve), colour in zip(curves.items(), RUN_COLOURS, strict=False):
        at = np.arange(1, len(curve) + 1)
        axes.fill_between(at, curve.min(axis=1), curve.max(axis=1), color=colour, alpha=0.15, lw=0)
        axes.plot(at, curve.mean(axis=1), color=colour, label=f"{layers}", lw=1.6)
    lowest = min(float(curve[len(curve) // 3 :].min()) for curve in curves.values())
    highest = max(float(curve.max()) for curve in curves.values())
    axes.set_ylim(max(0.0, lowest - 2.0), min(100.0, highest + 1.0))
    axes.set_xlabel("epoch")
    axes.legend(title="hidden layers", frameon=False, fontsize=9, loc="lower right")
    return figure
