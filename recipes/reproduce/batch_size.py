"""`batch-size`: what a batch costs, and how soon each size gets to an accuracy.

Full size: 10,000 images of MNIST, 20 epochs, three seeds.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import RUN_COLOURS
from ..replicate import replicate
from ._nielsen import BATCH, LAMBDA, RATE, TRAINING, Images, compiled, images, network
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]

_SIZES = (1, 10, 100, 1_000)
_HUNDRED = 100
_SHARES: Mapping[str, Callable[[int], float]] = {
    "the same rate": lambda size: 1.0,
    "rate by the root of the batch": lambda size: (size / BATCH) ** 0.5,
    "rate by the batch": lambda size: size / BATCH,
}


class Curve(NamedTuple):
    """Validation accuracy in percent, `[epochs, seeds]`, at a batch size and rate."""

    size: int
    rate: float
    accuracy: Doubles

    @property
    def end(self) -> float:
        """Mean after the last epoch."""
        return float(self.accuracy[-1].mean())


def run(setting: Setting) -> Outcome:
    """Trains with batches of 1 to 1,000, and times an image in each."""
    data = _some(images(setting), 1_000 if setting.quick else 10_000)
    seeds = setting.seeds_or(3, quick=2)
    epochs = 5 if setting.quick else 20
    sizes = _SIZES[:3] if setting.quick else _SIZES
    cost = {size: _seconds_an_image(size, data) for size in sizes}
    loops = _python_loops(data, repeats=3 if setting.quick else 10)
    curves = [
        Curve(size, rate, _trained(size, rate, seeds, data, epochs))
        for size in sizes
        for rate in rates(size, ("the same rate", "rate by the batch") if setting.quick else None)
    ]
    best = {size: max((c for c in curves if c.size == size), key=lambda c: c.end) for size in sizes}
    goal = float(np.floor(best[BATCH].accuracy.mean(axis=1)[epochs // 2]))
    waits = {
        size: seconds_to(goal, one.accuracy, cost[size] * len(data.x)) for size, one in best.items()
    }
    ratios = {
        "compiled loop": [cost[1] / cost[_HUNDRED]],
        "a call for each batch": [one / hundred for one, hundred in loops],
    }
    return Outcome(
        rows=[
            *(Row(what=f"100 batches of 1 over one of 100, {name}: times as long", ours=one)
              for name, one in ratios.items()),
            *(Row(what=f"batch {c.size}, rate {c.rate:g}: accuracy after {epochs} epochs",
                  ours=c.accuracy[-1].tolist(), unit="%") for c in curves),
            *(Row(what=f"batch {size}, rate {best[size].rate:g}: time to {goal:.0f}%",
                  ours=one.tolist(), unit="s")
              for size, one in waits.items() if np.isfinite(one).all()),
        ],
        told=_told(ratios, best, curves, waits, goal, data),
        summary={
            "data": data.name,
            "images": len(data.x),
            "epochs": epochs,
            "microseconds_an_image": {size: 1e6 * one for size, one in cost.items()},
            "goal": goal,
            "seconds_to_goal": {size: one.tolist() for size, one in waits.items()},
            "curves": {f"{c.size}, {c.rate:g}": c.accuracy.tolist() for c in curves},
        },
        figures={"batch_size": _figure(best, curves, cost, goal, len(data.x))},
    )  # fmt: skip


def rates(size: int, rules: Any = None) -> list[float]:
    """The rates to try with a batch, each once: Nielsen's 0.1 at 10 images, by three rules."""
    found = {float(f"{RATE * _SHARES[rule](size):.3g}") for rule in rules or _SHARES}
    return sorted(found)


def seconds_to(goal: float, accuracy: Doubles, seconds: float) -> Doubles:
    """When each seed first has an accuracy; infinite where it never does.

    Args:
        goal: Float.
        accuracy: After each epoch, `[epochs, seeds]`.
        seconds: Float. An epoch takes them.
    """
    reached = accuracy >= goal
    epochs = np.where(reached.any(axis=0), reached.argmax(axis=0) + 1.0, np.inf)
    return np.asarray(seconds * epochs, "float64")


def _some(data: Images, count: int) -> Images:
    return data._replace(x=data.x[:count], y=data.y[:count])


def _built(rate: float, data: Images) -> Callable[[int], Any]:
    """His penalty for an image is that of 50,000, however few there are."""
    lam, pixels = LAMBDA * len(data.x) / TRAINING, data.x.shape[1]
    return lambda seed: compiled(network(seed, [30], pixels, len(data.x), lam), rate)


def _trained(size: int, rate: float, seeds: list[int], data: Images, epochs: int) -> Doubles:
    held = data.x_validation, data.y_validation
    history = replicate(_built(rate, data), seeds).fit(
        data.x, data.y, epochs=epochs, batch_size=size, validation_data=held
    )
    return 100 * history["val_accuracy"].astype("float64")


def _seconds_an_image(size: int, data: Images) -> float:
    """Of one network in a compiled loop over batches, the fastest of some epochs."""
    few = _some(data, max(500, 2 * size))
    replicas, seconds = replicate(_built(RATE, few), [0]), []
    for _ in range(6):  # the first compiles
        started = time.perf_counter()
        replicas.fit(few.x, few.y, epochs=1, batch_size=size)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:]) / (len(few.x) // size * size)


def _python_loops(data: Images, repeats: int) -> list[tuple[float, float]]:
    """Seconds of a hundred calls with an image each, and of one with a hundred."""
    x, y = data.x[:_HUNDRED], data.y[:_HUNDRED]
    model = _built(RATE, data)(0)
    found = []
    for _ in range(1 + repeats):
        started = time.perf_counter()
        for at in range(_HUNDRED):
            model.train_on_batch(x[at : at + 1], y[at : at + 1])
        between = time.perf_counter()
        model.train_on_batch(x, y)
        found.append((between - started, time.perf_counter() - between))
    return found[1:]


def _told(
    ratios: Mapping[str, list[float]],
    best: Mapping[int, Curve],
    curves: list[Curve],
    waits: Mapping[int, Doubles],
    goal: float,
    data: Images,
) -> str:
    slower = ", ".join(f"{np.median(one):.0f} times ({name})" for name, one in ratios.items())
    verdict = "holds" if min(np.median(one) for one in ratios.values()) > 2 else "does not hold"
    means = {size: float(one.mean()) for size, one in waits.items()}
    times = ", ".join(
        f"{size} in {seconds:.2g} s" if np.isfinite(seconds) else f"{size} not within the run"
        for size, seconds in means.items()
    )
    fastest, largest = min(means, key=lambda size: means[size]), max(best)
    same = next(c for c in curves if c.size == largest and np.isclose(c.rate, RATE))
    return (
        f"A hundred batches of one take {slower} as long as one of a hundred, medians of repeated "
        "timings: that batches pay "
        f"{verdict} here. To {goal:.0f}% on {len(data.x):,} images of {data.name}, each size at "
        f"the best of its rates: {times}; {fastest} is the fastest. At Nielsen's rate of {RATE:g} "
        f"batches of {largest} end at {same.end:.1f}%, at {best[largest].rate:g} at "
        f"{best[largest].end:.1f}%: large batches "
        + ("want a larger rate." if best[largest].rate > RATE else "gain nothing by a larger rate.")
    )


def _figure(
    best: Mapping[int, Curve],
    curves: list[Curve],
    cost: Mapping[int, float],
    goal: float,
    count: int,
) -> Any:
    figure = new_figure(6.4)
    times, costs = figure.subplots(2, height_ratios=(1.6, 1))
    style(times, "Accuracy against time (dashed: at the rate of batch 10)", "validation, %")
    for (size, one), colour in zip(best.items(), RUN_COLOURS, strict=False):
        for curve in curves:
            if curve.size != size or (curve is not one and not np.isclose(curve.rate, RATE)):
                continue
            seconds = cost[size] * count * np.arange(1, len(curve.accuracy) + 1)
            label = f"{size}, rate {curve.rate:g}" if curve is one else None
            times.plot(
                seconds, curve.accuracy.mean(axis=1), label=label, color=colour, lw=1.6,
                ls="-" if curve is one else "--", marker="o", ms=2.5,
            )  # fmt: skip
    times.axhline(goal, color=RUN_COLOURS[6], lw=0.6, ls=":")
    times.set_xscale("log")
    times.set_xlabel("seconds, of one network")
    times.legend(title="batch", frameon=False, fontsize=9, loc="lower right")
    style(costs, "What an image costs in a compiled loop", "microseconds an image")
    costs.plot(list(cost), [1e6 * one for one in cost.values()], "o-", color=RUN_COLOURS[0])
    costs.set_xscale("log")
    costs.set_yscale("log")
    costs.set_xlabel("batch size")
    return figure
