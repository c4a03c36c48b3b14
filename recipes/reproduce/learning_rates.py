"""`learning-rates`: 0.025, 0.25 and 2.5 on one network (Nielsen, chapter 3).

Training cost, with its penalty, at the end of each epoch of 784-30-10. The full run has
three seeds at once for 30 epochs.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ...callbacks._figures import new_figure, style
from ..replicate import Replicas, replicate
from ._bands import band, epochs_below
from ._nielsen import BATCH, EPOCHS, LAMBDA, TRAINING, Images, compiled, images, network
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]

_TEXT = {0.025: (0.878, 0.339), 0.25: (0.495, 0.339), 2.5: (0.925, 0.861)}  # first, last epoch
_UNITS, _QUICK_IMAGES, _QUICK_EPOCHS = 30, 2_000, 10


def run(setting: Setting) -> Outcome:
    """The cost at each rate, and how much of its changes are rises."""
    data, seeds = images(setting), setting.seeds_or(3, quick=2)
    epochs = _QUICK_EPOCHS if setting.quick else EPOCHS
    if setting.quick:
        data = data._replace(x=data.x[:_QUICK_IMAGES], y=data.y[:_QUICK_IMAGES])
    costs = {rate: _costs(rate, seeds, data, epochs) for rate in _TEXT}
    published = data.of_the_text and not setting.quick
    rows = [
        Row(what=f"rate {rate}: cost after epoch {epoch}", ours=cost[epoch - 1].tolist(),
            text=_TEXT[rate][epoch > 1] if published else None)
        for rate, cost in costs.items()
        for epoch in (1, epochs)
    ]  # fmt: skip
    rows += [
        Row(what=f"rate {rate}: rises, of all changes from epoch to epoch by size",
            ours=upwards(cost).tolist(), unit="%")
        for rate, cost in costs.items()
    ]  # fmt: skip
    return Outcome(
        rows=rows,
        told=_told(costs, data),
        summary={
            "data": data.name,
            "epochs": epochs,
            "costs": {rate: cost.tolist() for rate, cost in costs.items()},
        },
        figures={"cost": _figure(costs, data)},
    )


def _costs(rate: float, seeds: list[int], data: Images, epochs: int) -> Doubles:
    """Training cost after each epoch, `[epochs, seeds]`."""
    pixels, samples = data.x.shape[1], len(data.x)
    lam = LAMBDA * samples / TRAINING
    replicas = replicate(
        lambda seed: compiled(network(seed, [_UNITS], pixels, samples, lam), rate), seeds
    )
    found: list[Doubles] = []
    replicas.fit(
        data.x, data.y, epochs=epochs, batch_size=BATCH,
        on_epoch_end=lambda *_: found.append(cost_of(replicas, data.x, data.y)),
    )  # fmt: skip
    return np.stack(found)


def cost_of(replicas: Replicas, x: Any, y: Any) -> Doubles:
    """Cost of each replica over these data with its penalty, `[seeds]`."""
    penalties = [float(keras.ops.sum(keras.ops.stack(one.losses))) for one in replicas.models]
    return np.asarray(replicas.evaluate(x, y)["loss"], "float64") + penalties


def upwards(costs: Doubles) -> Doubles:
    """Percent of all changes of the cost from epoch to epoch, by size, that are rises; by seed.

    0 where it only falls, 50 where it swings without getting anywhere.
    """
    steps = np.diff(costs, axis=0)
    share: Doubles = 100 * np.maximum(steps, 0).sum(axis=0) / np.abs(steps).sum(axis=0)
    return share


def _told(costs: dict[float, Doubles], data: Images) -> str:
    small, middle, large = (costs[rate] for rate in _TEXT)
    up = {rate: upwards(cost) for rate, cost in costs.items()}
    ways = ", ".join(f"{one.mean():.2g}% (rate {rate})" for rate, one in up.items())
    told = [
        f"On {data.name}, {len(data.x):,} images, {len(middle)} epochs: of all changes of the cost "
        f"from one epoch to the next, added up by their size, rises make up {ways}.",
        f"That 2.5 oscillates more than 0.25 {_verdict(bool((up[2.5] > up[0.25]).all()))}; that "
        "it ends above "
        + _verdict(bool((large[-1] > middle[-1]).all()))
        + f", {large[-1].mean():.3g} against {middle[-1].mean():.3g}.",
        f"That 0.025 descends smoothest {_verdict(bool((up[0.025] < up[0.25]).all()))}.",
        "That it is slower at first than 0.25 "
        + _verdict(bool((small[0] > middle[0]).all()))
        + f", {small[0].mean():.3g} against {middle[0].mean():.3g} after one epoch; "
        + _reached(small, middle),
    ]
    return " ".join(told)


def _verdict(holds: bool) -> str:
    return "holds" if holds else "does not hold here"


def _reached(small: Doubles, middle: Doubles) -> str:
    """When the small rate is where the middle one was after its first epoch."""
    there = np.flatnonzero(small.mean(axis=1) <= middle[0].mean())
    if there.size:
        return f"it needs {there[0] + 1} epochs for what 0.25 does in one."
    return f"it has not reached that in {len(small)} epochs."


def _figure(costs: dict[float, Doubles], data: Images) -> Any:
    figure = new_figure(3.6)
    axes = figure.subplots()
    style(axes, f"Training cost at three learning rates, {data.name}", "cost")
    for at, (rate, cost) in enumerate(costs.items()):
        band(axes, cost, f"rate {rate}", at)
    # Room for the legend above all curves.
    axes.set_ylim(0, 1.2 * max(float(cost.max()) for cost in costs.values()))
    epochs_below(axes)
    axes.legend(frameon=False, fontsize=9, loc="upper right", ncols=len(costs))
    return figure
