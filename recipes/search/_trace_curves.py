"""The panels with a curve for each trial: batch sizes over their cost, and epochs."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ...callbacks import _figures as look
from ...callbacks._palette import INK, MUTED, PAGE, depth_colours
from ._oscillation import STANDARD_ERRORS
from ._scores import score_of
from ._trace_labels import FONT, EndLabel, label_ends
from ._trace_panels import Row, finite, log_ticks, say_nothing
from ._trials import Trial

_LONGEST = 40
# Share of the axes' width that a name needs, at least its first characters.
_APART, _A_CHARACTER = 0.08, 0.015
# Share of a run's epochs that may lie below the axes, and by how many times the height of the
# others all of them must be higher for that.
_RARE, _FLAT = 0.1, 2.5


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
    if not trials:
        return say_nothing(axes)
    ends = [t.steps * step_cost + t.examples * example_cost for t in trials]
    curves = [
        end * np.arange(1, len(t.accuracy) + 1) / len(t.accuracy)
        for t, end in zip(trials, ends, strict=True)
    ]
    log_ticks(axes, [float(x) for curve in curves for x in curve[[0, -1]] if x > 0], margin=1.1)
    _set_height(axes, row, trials)
    first = [(t, x) for t, x in zip(trials, curves, strict=True) if not t.execution]
    names = [f"{t.values['batch_size']}" for t, _ in first]
    bold = [t.values["batch_size"] == chosen for t, _ in first]
    _draw_curves(axes, row, [t for t, _ in first], [x for _, x in first], names, bold)
    _mark_target(axes, row, trials, first)
    for trial, x in zip(trials, curves, strict=True):
        if trial.execution:
            axes.plot(
                x, row.sign * np.array(trial.accuracy), color=MUTED, linewidth=0.7, zorder=1,
                gid=f"run of {trial.values['batch_size']}",
            )  # fmt: skip
    return None


def draw_epochs(axes: Axes, row: Row) -> None:
    """The objective over the epochs, with the number chosen marked, else the best one."""
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
    _set_height(axes, row, trials)
    _draw_curves(axes, row, trials, curves, _names(trials), [trial is best for trial in trials])
    chosen = row.stage.decision.chosen.get("epochs")
    epoch = int(chosen or best.accuracy.index(max(finite(best.accuracy))) + 1)
    # A chosen number may be of an earlier epoch than the best one, or of none that was run.
    reached = row.sign * best.accuracy[epoch - 1] if epoch <= len(best.accuracy) else math.nan
    axes.plot([epoch], [reached], "o", color=INK, markersize=7, gid="best")
    axes.axvline(epoch, color=INK, linewidth=0.9, zorder=0, gid="choice")
    found = f"best {reached:.4f} after {epoch}" if chosen is None else f"{epoch}"
    axes.set_title(f"{name}: {found}", loc="left")
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
    labels = []
    colours = depth_colours(len(trials))
    for trial, x, name, thick, colour in zip(trials, curves, names, bold, colours, strict=True):
        y = row.sign * np.array([a if math.isfinite(a) else np.nan for a in trial.accuracy])
        axes.plot(
            x, y, color=colour, linewidth=2.2 if thick else 1.2, gid=name,
            marker="o" if len(y) <= 30 else "", markersize=2.5,
            linestyle="--" if trial.diverged else "-",
        )  # fmt: skip
        state = "diverged" if trial.diverged else "" if trial.finished else "running"
        text = f"{name} {state}".strip()
        last = np.flatnonzero(~np.isnan(y))[-1]
        height = float(np.clip(y[last], *axes.get_ylim()))
        labels.append(
            EndLabel(text=text, x=float(x[last]), y=height, colour=colour, bold=bool(thick))
        )
    _write_names(axes, labels, row.axes_height)


def _set_height(axes: Axes, row: Row, trials: Sequence[Trial]) -> None:
    """Limits around all accuracies.

    Unless the first epochs, or rare ones that fail, would press the rest flat: these leave
    the axes.
    """
    best = max(max(finite(t.accuracy)) for t in trials)
    sound = [finite(t.accuracy) for t in trials if not t.diverged]
    lowest = min(map(min, sound), default=best)
    usual = min((float(np.quantile(a, _RARE)) for a in sound), default=best)
    if best - lowest > _FLAT * (best - usual):
        lowest = usual
    span = (best - lowest) or 0.1 * abs(best) or 1.0
    edges = (lowest - 0.08 * span, best + 0.08 * span)
    axes.set_ylim(*sorted(row.sign * edge for edge in edges))


def _write_names(axes: Axes, labels: Sequence[EndLabel], height: float) -> None:
    """At the ends of the curves where those lie apart, else right of the axes."""
    labels = [label for label in labels if label.text]
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = np.sort([to_axes.transform((label.x, label.y))[0] for label in labels])
    needed = min(_APART, _A_CHARACTER * max((len(label.text) for label in labels), default=0))
    if len(ends) < 2 or np.diff(ends).min() < needed:
        label_ends(axes, labels, height)
        return
    for label in labels:
        axes.annotate(
            label.text, (label.x, label.y), (3, 4), "data", "offset points", fontsize=FONT,
            color=label.colour, fontweight="bold" if label.bold else "normal",
            bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 0.3, "alpha": 0.8},
        )  # fmt: skip


def _mark_target(
    axes: Axes, row: Row, trials: Sequence[Trial], first: Sequence[tuple[Trial, Any]]
) -> None:
    """The accuracy that counts as reached, and where each size reaches it."""
    runs: dict[Any, list[Trial]] = {}
    for trial in trials:
        if trial.finished:
            runs.setdefault(trial.values["batch_size"], []).append(trial)
    if not runs:
        return
    # As the stage finds it: the best of the first runs, with what its repetition tells.
    best = score_of(max(runs.values(), key=lambda same: score_of(same[:1]).mean))
    if not math.isfinite(best.mean):
        return
    target = best.mean - STANDARD_ERRORS * best.standard_error
    axes.axhline(row.sign * target, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), gid="target")
    axes.annotate(
        f"target {row.sign * target:.4f}", (0, row.sign * target), (4, 3),
        axes.get_yaxis_transform(), "offset points", fontsize=FONT, color=INK,
    )  # fmt: skip
    for (trial, x), colour in zip(first, depth_colours(len(first)), strict=True):
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
    """What tells the trials apart: the values that differ, and the execution where only that."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.values))
    differing = [key for key in keys if len({_plain(t.values.get(key)) for t in trials}) > 1]
    values = [
        ", ".join(f"{k} {_short(t.values[k])}" for k in differing if k in t.values) for t in trials
    ]
    names = [
        f"{text}, execution {trial.execution}".removeprefix(", ")
        if trial.execution and values.count(text) > 1
        else text
        for trial, text in zip(trials, values, strict=True)
    ]
    return [look.plain(name, _LONGEST) for name in names]


def _plain(value: Any) -> Hashable:
    return value if isinstance(value, Hashable) else repr(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
