"""The panels of a learning-rate stage: the costs over the epochs, and the last cost by rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ...callbacks import _figures as look
from ...callbacks._palette import ALERT, INK, PAGE, depth_colours
from ...callbacks._series import Doubles
from ._judged_rates import JudgedRates
from ._trace_labels import FONT, EndLabel, label_ends
from ._trace_panels import Row, log_ticks, mark_diverged
from ._trace_table import ended
from ._trials import Trial

_MANY_TIMES = 30


@dataclass(frozen=True, kw_only=True)
class _Rate:
    """The runs of one rate."""

    rate: float
    trials: tuple[Trial, ...]

    @property
    def diverged(self) -> bool:
        return any(t.diverged or not np.isfinite(_means(t)).all() for t in self.trials)

    @property
    def costs(self) -> Doubles:
        """Mean over the runs of each epoch's cost, NaN where it is not finite."""
        runs = [_means(trial) for trial in self.trials if trial.losses]
        epochs = min(map(len, runs), default=0)
        mean = np.mean([run[:epochs] for run in runs], axis=0) if runs else np.zeros(0)
        return np.where(np.isfinite(mean), mean, np.nan)

    @property
    def state(self) -> str:
        if self.diverged:
            return " diverged"
        states = [ended(trial) for trial in self.trials]
        return " running" if "running" in states else " cut off" if "early" in states else ""


def draw_costs(axes: Axes, row: Row) -> None:
    """The cost of each epoch, a curve for each rate with its name at its end."""
    chosen = row.stage.decision.chosen.get("learning_rate")
    title = "Learning rate, so far" if chosen is None else f"Learning rate: {chosen:g}"
    if row.stage.decision.action == "failed":
        title = "Learning rate: none works"
    look.style(axes, title, "mean loss of the epoch")
    axes.set_xlabel("epoch")
    rates, threshold = _rates(row), _threshold(row)
    longest = max((len(rate.costs) for rate in rates if not rate.diverged), default=1)
    axes.set_xlim(0.8, max(longest, 2) + 0.2)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    _set_height(axes, *_sound(rates))
    labels = [
        _draw_cost(axes, rate, colour, rate.rate == threshold)
        for rate, colour in zip(rates, depth_colours(len(rates)), strict=True)
    ]
    label_ends(axes, labels, row.axes_height)


def draw_last_costs(axes: Axes, row: Row) -> None:
    """The last epoch's cost by rate, with the threshold and the choice."""
    look.style(axes, "The last cost by rate")
    axes.set_xlabel("learning rate")
    rates, chosen = _rates(row), row.stage.decision.chosen.get("learning_rate")
    lost = [rate.rate for rate in rates if rate.diverged]
    log_ticks(axes, [rate.rate for rate in rates] + ([] if chosen is None else [chosen]))
    curves, top = _sound(rates)
    ends = [costs[-1:] for costs in curves]
    _set_height(axes, ends, top, above=0.35, below=0.25 if lost else 0.08)
    for rate, colour in zip(rates, depth_colours(len(rates)), strict=True):
        if len(rate.costs) and not rate.diverged:
            last = [min(rate.costs[-1], axes.get_ylim()[1])]
            axes.plot([rate.rate], last, "o", color=colour, markersize=6, gid=f"rate {rate.rate:g}")
    mark_diverged(axes, lost)
    if chosen is not None:
        _mark_choice(axes, _threshold(row), chosen)


def _draw_cost(axes: Axes, rate: _Rate, colour: str, is_threshold: bool) -> EndLabel:
    """The mean over the runs, and behind it the single runs where there are several."""
    colour = ALERT if rate.diverged else colour
    costs, style = rate.costs, "--" if rate.diverged else "-"
    if len(rate.trials) > 1:
        for trial in rate.trials:
            run = _means(trial)
            axes.plot(
                np.arange(1, len(run) + 1), np.where(np.isfinite(run), run, np.nan), style,
                color=colour, linewidth=0.7, alpha=0.6, gid=f"run of {rate.rate:g}",
            )  # fmt: skip
    axes.plot(
        np.arange(1, len(costs) + 1), costs, style, color=colour, gid=f"rate {rate.rate:g}",
        linewidth=2.4 if is_threshold else 1.4, marker="o", markersize=3.5 if is_threshold else 2.5,
    )  # fmt: skip
    text = f"{rate.rate:g}{' threshold' if is_threshold else rate.state}"
    known = np.flatnonzero(~np.isnan(costs))
    if rate.diverged or not len(known):
        # Its curve, if any, leaves the axes; the name is at the top.
        return EndLabel(text=text, x=math.nan, y=math.inf, colour=ALERT if known.size else colour)
    last = int(known[-1])
    return EndLabel(text=text, x=last + 1, y=float(costs[last]), colour=colour, bold=is_threshold)


def _set_height(
    axes: Axes, curves: Sequence[Doubles], top: float, above: float = 0.06, below: float = 0.06
) -> None:
    """Limits that show the fall, up to `top`: a run that rises to infinity leaves them."""
    costs = np.concatenate([*curves, np.zeros(0)])
    if not len(costs):
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        return
    low, high = float(costs.min()), float(min(costs.max(), top))
    if 0 < low * _MANY_TIMES < high:
        axes.set_yscale("log")
        axes.set_ylim(low / (high / low) ** below, high * (high / low) ** above)
        return
    span = (high - low) or abs(high) or 1.0
    axes.set_ylim(low - below * span, high + above * span)


def _sound(rates: Sequence[_Rate]) -> tuple[list[Doubles], float]:
    """The costs of the rates that don't diverge, and twice the highest first one."""
    sound = [rate.costs for rate in rates if len(rate.costs) and not rate.diverged]
    first = max((float(costs[0]) for costs in sound), default=0.0)
    return sound, 2 * first if first > 0 else math.inf


def _mark_choice(axes: Axes, threshold: float | None, chosen: float) -> None:
    marks = {"choice": chosen} if threshold is None else {"choice": chosen, "threshold": threshold}
    to_axes = axes.transData + axes.transAxes.inverted()
    for at, (name, rate) in enumerate(marks.items()):
        style = "-" if name == "choice" else (0, (4, 3))
        axes.axvline(rate, color=INK, linewidth=1.0, linestyle=style, zorder=1, gid=name)
        place = to_axes.transform((rate, axes.get_ylim()[1]))[0]
        # Away from the other line, unless the edge is near.
        left = place > (0.55 if rate == min(marks.values()) else 0.6)
        axes.annotate(
            f"{name} {rate:g}", (rate, 0.98 - 0.1 * at), (-4 if left else 4, 0),
            axes.get_xaxis_transform(), "offset points", ha="right" if left else "left",
            va="top", fontsize=FONT, color=INK, fontweight="bold" if name == "choice" else "normal",
            bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip


def _threshold(row: Row) -> float | None:
    """The largest rate whose cost still falls, judged as the stage does, once it is done."""
    if row.stage.decision.action != "done":
        return None
    trials = [t for t in row.having("learning_rate") if t.finished and (t.losses or t.diverged)]
    judged = JudgedRates(max([1, *(len(trial.losses) for trial in trials)]))
    for trial in trials:
        judged.add(float(trial.values["learning_rate"]), trial)
    return max(filter(judged.falls, judged.tried()), default=None)


def _rates(row: Row) -> list[_Rate]:
    groups = groupby(row.having("learning_rate"), key=lambda t: float(t.values["learning_rate"]))
    return [_Rate(rate=rate, trials=tuple(trials)) for rate, trials in groups]


def _means(trial: Trial) -> Doubles:
    return np.array([epoch.mean for epoch in trial.losses], np.float64)
