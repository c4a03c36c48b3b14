"""The panels with a curve for each trial: batch sizes over their cost, and epochs."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ...callbacks import _figures as look
from ...callbacks._palette import INK, PAGE, depth_colours
from ._oscillation import STANDARD_ERRORS
from ._scores import score_of
from ._trace_labels import FONT, EndLabel, label_ends
from ._trace_panels import Row, finite, log_ticks, say_nothing
from ._trials import Trial

# Share of the axes' width that a name needs.
_APART = 0.08


def draw_batch_sizes(axes: Axes, row: Row) -> None:
    """Accuracy over what training costs, a curve for each size."""
    chosen = row.stage.decision.chosen.get("batch_size")
    title = "Batch size, so far" if chosen is None else f"Batch size: {chosen}"
    look.style(axes, title, row.objective)
    step_cost = row.stage.settings.get("step_cost", 1)
    example_cost = row.stage.settings.get("example_cost", 0)
    in_steps = "step_cost" not in row.stage.settings
    axes.set_xlabel("training steps" if in_steps else "cost of the steps and the examples so far")
    trials = [t for t in row.having("batch_size") if finite(t.accuracy) and t.steps]
    ends = [t.steps * step_cost + t.examples * example_cost for t in trials]
    curves = [
        end * np.arange(1, len(t.accuracy) + 1) / len(t.accuracy)
        for t, end in zip(trials, ends, strict=True)
    ]
    log_ticks(axes, [float(x) for curve in curves for x in curve[[0, -1]] if x > 0], margin=1.1)
    names = [f"{t.values['batch_size']}" for t in trials]
    bold = [t.values["batch_size"] == chosen for t in trials]
    _draw_curves(axes, row, trials, curves, names, bold)
    _mark_target(axes, row, trials, curves)


def draw_epochs(axes: Axes, row: Row) -> None:
    """The objective over the epochs, with the best one marked; the cost where there is none."""
    words = {"EpochsStage": "Epochs", "FinalFit": "Final fit"}
    name = words.get(row.stage.name, row.stage.name)
    name = look.plain(name[:1].upper() + name[1:], 40)
    trials = [trial for trial in row.trials if finite(trial.accuracy)]
    look.style(axes, name, row.objective)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    if not trials:
        return say_nothing(axes)
    longest = max(len(trial.accuracy) for trial in trials)
    axes.set_xlim(0.8, max(longest, 2) + 0.2)
    best = _leading(row, trials)
    curves = [np.arange(1, len(trial.accuracy) + 1) for trial in trials]
    _draw_curves(axes, row, trials, curves, _names(trials), [trial is best for trial in trials])
    reached = max(finite(best.accuracy))
    epoch = best.accuracy.index(reached) + 1
    axes.plot([epoch], [row.sign * reached], "o", color=INK, markersize=7, gid="best")
    axes.axvline(epoch, color=INK, linewidth=0.9, zorder=0, gid="choice")
    axes.set_title(f"{name}: best {row.sign * reached:.4f} after {epoch}", loc="left")
    return None


def _draw_curves(
    axes: Axes,
    row: Row,
    trials: Sequence[Trial],
    curves: Sequence[Any],
    names: Sequence[str],
    bold: Sequence[bool],
) -> None:
    """Accuracies over `curves`, each with its name at its end."""
    if not trials:
        return say_nothing(axes)
    typical = [np.median(finite(t.accuracy)) for t in trials if not t.diverged]
    best = max(max(finite(t.accuracy)) for t in trials)
    low = min(typical, default=best)
    span = (best - low) or 0.1 * abs(best) or 1.0
    axes.set_ylim(*sorted(row.sign * edge for edge in (low - 0.7 * span, best + 0.15 * span)))
    labels = []
    colours = depth_colours(len(trials))
    for trial, x, name, thick, colour in zip(trials, curves, names, bold, colours, strict=True):
        y = row.sign * np.array([a if math.isfinite(a) else np.nan for a in trial.accuracy])
        axes.plot(
            x, y, color=colour, linewidth=2.2 if thick else 1.2, gid=name,
            marker="o" if len(y) <= 30 else "", markersize=2.5,
            linestyle="--" if trial.diverged else "-",
        )  # fmt: skip
        text = name + (" diverged" if trial.diverged else "" if trial.finished else " running")
        last = np.flatnonzero(~np.isnan(y))[-1]
        height = float(np.clip(y[last], *axes.get_ylim()))
        labels.append(
            EndLabel(text=text, x=float(x[last]), y=height, colour=colour, bold=bool(thick))
        )
    _write_names(axes, labels, row.axes_height)
    return None


def _write_names(axes: Axes, labels: Sequence[EndLabel], height: float) -> None:
    """At the ends of the curves where those lie apart, else right of the axes."""
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = np.sort([to_axes.transform((label.x, label.y))[0] for label in labels])
    if len(ends) < 2 or np.diff(ends).min() < _APART:
        label_ends(axes, labels, height)
        return
    for label in labels:
        axes.annotate(
            label.text, (label.x, label.y), (3, 4), "data", "offset points", fontsize=FONT,
            color=label.colour, fontweight="bold" if label.bold else "normal",
            bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 0.3, "alpha": 0.8},
        )  # fmt: skip


def _mark_target(axes: Axes, row: Row, trials: Sequence[Trial], curves: Sequence[Any]) -> None:
    """The accuracy that counts as reached, and where each size reaches it."""
    sound = [score_of([t]) for t in trials if t.finished and not t.diverged]
    if not sound:
        return
    best = max(sound, key=lambda score: score.mean)
    target = best.mean - STANDARD_ERRORS * best.standard_error
    axes.axhline(row.sign * target, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), gid="target")
    axes.annotate(
        f"target {row.sign * target:.4f}", (0, row.sign * target), (4, 3),
        axes.get_yaxis_transform(), "offset points", fontsize=FONT, color=INK,
    )  # fmt: skip
    colours = depth_colours(len(trials))
    for trial, x, colour in zip(trials, curves, colours, strict=True):
        reached = [i for i, a in enumerate(trial.accuracy) if a >= target]
        if reached and trial.finished and not trial.diverged:
            i = reached[0]
            axes.plot(
                [x[i]], [row.sign * trial.accuracy[i]], "o", color=colour, markersize=7,
                gid=f"reached {trial.values['batch_size']}",
            )  # fmt: skip


def _leading(row: Row, trials: Sequence[Trial]) -> Trial:
    """The trial that the stage decided by, else the best one."""
    reasons = row.stage.decision.reasons
    named = [t for t in trials if reasons and t.trial_id in reasons[-1].trials]
    sound = [t for t in named or trials if not t.diverged]
    return max(sound or trials, key=lambda trial: max(finite(trial.accuracy)))


def _names(trials: Sequence[Trial]) -> list[str]:
    """What tells the trials apart: the values that differ, else the execution."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.values))
    differing = [key for key in keys if len({_plain(t.values.get(key)) for t in trials}) > 1]
    names = []
    for trial in trials:
        parts = [f"{key} {_short(trial.values[key])}" for key in differing if key in trial.values]
        if trial.execution:
            parts.append(f"execution {trial.execution}")
        names.append(look.plain(", ".join(parts), 26))
    return names


def _plain(value: Any) -> Hashable:
    return value if isinstance(value, Hashable) else repr(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
