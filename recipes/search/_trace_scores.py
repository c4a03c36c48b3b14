"""The panels of an L2 stage: accuracy over the strengths, and over the rates once more."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ...callbacks import _figures as look
from ...callbacks._palette import INK, MUTED, PAGE
from ._scores import Score
from ._trace_panels import (
    Row,
    decades_within,
    finite,
    log_ticks,
    mark_diverged,
    plain_tick,
    say_nothing,
)


def draw_strengths(axes: Axes, row: Row) -> None:
    """Accuracy over the strengths of the penalty, 0 at the left."""
    samples = row.stage.settings.get("samples")
    unit, name = (2 * samples, "lambda") if samples else (1, "l2")
    chosen = row.stage.decision.chosen.get("l2")
    found = None if chosen is None else chosen * unit
    title = "L2, so far" if found is None else f"L2: {name} {found:.3g}"
    if row.stage.decision.action == "failed":
        title = "L2: none works"
    look.style(axes, title, row.objective)
    axes.set_xlabel(name if name == "l2" else "lambda (l2 = lambda / (2 samples))")
    scores = row.scores(row.strengths(), lambda trial: float(trial.values["l2"] * unit))
    _strength_axis(axes, [x for x in scores if x > 0])
    _draw_scores(axes, row, scores, found)


def draw_rate_again(axes: Axes, row: Row) -> None:
    """Accuracy over the learning rates at the strength that was found."""
    rate = row.stage.decision.chosen.get("learning_rate")
    look.style(axes, "The rate once more" if rate is None else f"The rate once more: {rate:g}")
    axes.set_xlabel("learning rate")
    scores = row.scores(row.rates_again(), lambda trial: float(trial.values["learning_rate"]))
    log_ticks(axes, list(scores), margin=1.6)
    # More names than three would overlap.
    axes.xaxis.set_major_locator(FixedLocator(list(scores)[:: 1 + (len(scores) > 3)]))
    _draw_scores(axes, row, scores, rate)


def _strength_axis(axes: Axes, positive: Sequence[float]) -> None:
    """Decades, and left of the smallest a linear part that ends at 0."""
    low, high = (min(positive), max(positive)) if positive else (1.0, 1.0)
    axes.set_xscale("symlog", linthresh=low, linscale=0.8)
    axes.set_xlim(-0.4 * low, high * 2.5)
    decades = [tick for tick in decades_within(low / 1.01, high * 2.5) if tick >= low / 1.01]
    axes.xaxis.set_major_locator(FixedLocator([0.0, *decades]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(plain_tick))


def _draw_scores(axes: Axes, row: Row, scores: dict[float, Score], chosen: float | None) -> None:
    """Means with a standard error each way, the single executions behind them."""
    sound = {x: score for x, score in scores.items() if math.isfinite(score.mean)}
    if not scores:
        return say_nothing(axes)
    x = np.array(list(sound))
    means = np.array([row.sign * score.mean for score in sound.values()])
    errors = np.array([score.standard_error for score in sound.values()])
    if len(x):
        axes.plot(x, means, color=MUTED, linewidth=1.0, zorder=1, gid="means")
        axes.errorbar(
            x, means, errors, fmt="o", color=INK, markersize=5, elinewidth=1.2, gid="scores",
        )  # fmt: skip
    for place, score in sound.items():
        if len(score.trials) > 1:
            runs = [row.sign * max(finite(t.accuracy)) for t in score.trials]
            axes.plot(
                [place] * len(runs), runs, "o", markersize=3.5, markerfacecolor=PAGE,
                markeredgecolor=MUTED, markeredgewidth=0.8, gid="executions", zorder=2.5,
            )  # fmt: skip
    lost = [place for place in scores if place not in sound]
    if lost and sound:
        low, high = axes.get_ylim()
        room = 0.25 * (high - low)
        axes.set_ylim(*((low - room, high) if row.sign > 0 else (low, high + room)))
    mark_diverged(axes, lost, top=row.sign < 0)
    if not sound:
        axes.set_yticks([])
    if chosen is not None:
        axes.axvline(chosen, color=INK, linewidth=0.9, zorder=0, gid="choice")
        found = [mean for place, mean in zip(x, means, strict=True) if _same(place, chosen)]
        axes.plot(
            [chosen] * len(found), found, "o", markersize=12, markerfacecolor="none",
            markeredgecolor=INK, markeredgewidth=1.4, gid="chosen",
        )  # fmt: skip
    return None


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6)
