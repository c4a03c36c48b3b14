"""A trace of a search as text for a terminal: its decisions, then its trials."""

import math
import shutil
from collections.abc import Iterable, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any

from ._trace_rows import Traced, TraceRow
from ._trials import Trial

NARROWEST = 80
_SHORTEST_ID, _LONGEST_ID = 5, 12
_GAP = "  "
_ORDER = ("learning_rate", "l2", "batch_size", "epochs", "patience")
_HEADS = ("Trial", "Epochs", "First cost", "Last cost", "Best", "Steps", "Seconds", "Ended")


def text_of(trace: Traced, width: int | None = None) -> str:
    """The whole trace, wrapped to `width` columns, or to the terminal's."""
    width = max(NARROWEST, width or shutil.get_terminal_size((NARROWEST, 24)).columns)
    parts = [_sign(trace, width), _decisions(trace.rows, width), _outcome(trace, width)]
    if trace.trials:
        parts.append(_trials(trace, width))
    return "\n\n".join("\n".join(part) for part in parts if part)


def ended(trial: Trial) -> str:
    """How a trial ended, in a word."""
    if not trial.finished:
        return "running"
    if trial.diverged:
        return "diverged"
    wanted = trial.values.get("epochs", 0)
    run = max(len(trial.losses), len(trial.accuracy))
    return "early" if isinstance(wanted, int) and run < wanted else "complete"


def values_text(values: Iterable[tuple[str, Any]]) -> list[str]:
    """Values as `name=value`, floats with six digits at most."""
    return [f"{n}={f'{v:.6g}' if isinstance(v, float) else v}" for n, v in values]


def _decisions(rows: Sequence[TraceRow], width: int) -> list[str]:
    """A heading for each stage; below it the sentences, each beside its trials."""
    if not rows:
        return ["No decision yet."]
    longest = max((len(", ".join(row.trials)) for row in rows), default=0)
    ids_width = min(max(longest, len("Trials")), width // 4)
    text_width = width - ids_width - 2 * len(_GAP)
    lines = [f"{'Decision':<{text_width + len(_GAP)}}{_GAP}Trials", "-" * width]
    for stage, of_stage in groupby(rows, key=lambda row: row.stage):
        lines.append(stage)
        for row in of_stage:
            said = wrap(row.sentence, text_width)
            ids = wrap(", ".join(row.trials), ids_width)
            for at in range(max(len(said), len(ids))):
                left = said[at] if at < len(said) else ""
                right = ids[at] if at < len(ids) else ""
                lines.append(f"{_GAP}{left:<{text_width}}{_GAP}{right}".rstrip())
    return lines


def _sign(trace: Traced, width: int) -> list[str]:
    """What the sentences below mean by a score, where that is not the objective itself."""
    if trace.maximize:
        return []
    text = f"In the decisions scores are the negative {trace.objective}: higher is better."
    return wrap(text, width)


def _outcome(trace: Traced, width: int) -> list[str]:
    is_over = bool(trace.stages) and all(s.decision.action == "done" for s in trace.stages)
    values = ", ".join(values_text(trace.chosen.items()))
    if is_over:
        return wrap(f"Chosen: {values or 'nothing'}", width)
    return wrap(f"Chosen so far: {values or 'nothing yet'}", width)


def _trials(trace: Traced, width: int) -> list[str]:
    """A line of numbers for each trial, its values beside it where there is room, else below."""
    trials = list(trace.trials.values())
    sign = 1 if trace.maximize else -1
    cells = [_HEADS, *(_cells(trial, sign) for trial in trials)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_HEADS))]
    # A long id is cut where the numbers need the room.
    numbers_width = sum(widths[1:]) + len(_GAP) * (len(widths) - 1)
    widths[0] = max(_SHORTEST_ID, min(widths[0], _LONGEST_ID, width - numbers_width))
    head, *numbers = (_line(row, widths) for row in cells)
    # The longest value must fit beside the numbers.
    beside = width - sum(widths) - len(_GAP) * len(widths)
    shown = [_values_of(trial) for trial in trials]
    roomy = beside >= max(24, *(len(word) + 1 for words in shown for word in words), 0)
    best = "highest" if trace.maximize else "lowest"
    lines = [*wrap(f"Best: the {best} {trace.objective}.", width), "", head.rstrip(), "-" * width]
    if roomy:
        lines[-2] = head + _GAP + "Values"
    indent = " " * (sum(widths) + len(_GAP) * len(widths)) if roomy else 4 * " "
    for number, words in zip(numbers, shown, strict=True):
        text = wrap(", ".join(words), width - len(indent))
        if roomy and text:
            lines += [number + _GAP + text[0], *(indent + line for line in text[1:])]
        else:
            lines += [number.rstrip(), *(indent + line for line in text)]
    return lines


def _values_of(trial: Trial) -> list[str]:
    """The values, the stages' own first in the order in which they are chosen."""
    names = [*filter(trial.values.__contains__, _ORDER), *trial.values]
    again = [("execution", trial.execution)] if trial.execution else []
    return values_text([(name, trial.values[name]) for name in dict.fromkeys(names)] + again)


def _cells(trial: Trial, sign: int) -> tuple[str, ...]:
    reached = [accuracy for accuracy in trial.accuracy if math.isfinite(accuracy)]
    return (
        trial.trial_id,
        str(max(len(trial.losses), len(trial.accuracy))),
        _number(trial.losses[0].mean if trial.losses else None),
        _number(trial.losses[-1].mean if trial.losses else None),
        _number(sign * max(reached) if reached else None),
        f"{trial.steps:,}",
        f"{trial.seconds:,.{1 if trial.seconds < 100 else 0}f}",
        ended(trial),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}".replace("nan", "NaN")


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    """Names to the left, numbers to the right."""
    name = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
    row = [name, *row[1:]]
    text = [
        f"{cell:<{w}}" if i in (0, len(row) - 1) else f"{cell:>{w}}"
        for i, (cell, w) in enumerate(zip(row, widths, strict=True))
    ]
    return _GAP.join(text)
