"""`dying-relu`: its table and what it says, with what has diverged left out and counted."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._many_networks import Kind
from .outcome import Row

Doubles = npt.NDArray[np.float64]

_HALF = 50.0  # "half of the network's neurons", Géron
_CURED = "ReLU after batch normalization"


class Deaths(NamedTuple):
    """What was found; NaN where a run diverged.

    Attributes:
        kinds: The activations, ReLU first.
        dead: Percent of the units, `[kinds, rates, seeds]`.
        woken: Percent of the units put to sleep, `[kinds, seeds]`.
        accuracy: Percent, `[kinds, rates, seeds]`.
        rates: Learning rates.
        normalized: Dead units and accuracy with batch normalization, a number a seed.
    """

    kinds: Sequence[Kind]
    dead: Doubles
    woken: Doubles
    accuracy: Doubles
    rates: Sequence[float]
    normalized: tuple[list[float], list[float]]


def known(values: Any) -> list[float]:
    """Without those that diverged; NaN where all have."""
    return [float(one) for one in values if np.isfinite(one)] or [float("nan")]


def deadliest(dead: Doubles) -> int:
    """The rate at which most ReLU units are dead, of `[kinds, rates, seeds]` with ReLU first."""
    means = [np.mean(known(one)) for one in dead[0]]
    return int(np.nanargmax(means))


def best_rate(accuracy: Doubles) -> int:
    """The rate of the highest mean accuracy, `[rates, seeds]`; what diverged counts as 0."""
    return int(np.nan_to_num(accuracy).mean(axis=1).argmax())


def larger_kill(means: list[float], best: int) -> str:
    """Whether more units are dead at the rates beyond `best` than up to it, NaN left out."""
    beyond = [one for one in means[best + 1 :] if np.isfinite(one)]
    if not beyond:
        return "is undecided, as all of them diverged"
    return "holds" if np.mean(beyond) > np.nanmean(means[: best + 1]) else "does not hold here"


def lost(values: Any) -> str:
    """How many of the runs diverged; empty where none did."""
    diverged = int((~np.isfinite(values)).sum())
    return f"{diverged} of {len(values)} diverged" if diverged else ""


def rows(found: Deaths) -> list[Row]:
    """The table: of each kind and rate the runs that did not diverge, with how many did."""
    kinds, dead, woken, accuracy, rates, normalized = found
    worst = deadliest(dead)
    at = f"rate {rates[worst]:g}"
    table = [
        _row(f"dead ReLU units at most, {at}", dead[0, worst], text=_HALF),
        *(_row(f"dead ReLU units, rate {rate:g}", one)
          for rate, one in zip(rates, dead[0], strict=True)),
        *(_row(f"negative everywhere, {at}, {kind.label}", one[worst])
          for kind, one in zip(kinds[1:], dead[1:], strict=True)),
        _row(f"dead, {at}, {_CURED}", normalized[0]),
        *(_row(f"woken of those put to sleep, {kind.label}", one,
               text=0.0 if kind.activation == "relu" else None)
          for kind, one in zip(kinds, woken, strict=True)),
        *(_row(f"accuracy, {at}, {kind.label}", one[worst])
          for kind, one in zip(kinds, accuracy, strict=True)),
        _row(f"accuracy, {at}, {_CURED}", normalized[1]),
        *(_row(f"accuracy at its best rate, {kind.label}", one[best_rate(one)])
          for kind, one in zip(kinds, accuracy, strict=True)),
    ]  # fmt: skip
    return [row for row in table if np.isfinite(row.ours).all()]


def _row(what: str, values: Any, text: float | None = None) -> Row:
    return Row(
        what=what + _in_brackets(np.asarray(values)),
        ours=known(values),
        text=text,
        unit="%",
    )


def told(found: Deaths, waking_rate: float) -> str:
    """What it shows."""
    kinds, dead, woken, accuracy, rates, normalized = found
    worst, best = deadliest(dead), best_rate(accuracy[0])
    means = [float(np.mean(known(one))) for one in dead[0]]
    most, wakes = means[worst], woken[1:].mean(axis=1).min() > woken[0].mean()
    shares = ", ".join(
        _share(one, rate, values) for one, rate, values in zip(means, rates, dead[0], strict=True)
    )
    by_kind = ", ".join(
        f"{kind.label} {one.mean():.0f}%" for kind, one in zip(kinds, woken, strict=True)
    )
    return (
        f"Dead ReLU units by learning rate, of the runs that did not diverge: {shares}. Of these "
        f"runs, that rates above the best, {rates[best]:g}, kill more than those up to it "
        f"{larger_kill(means, best)}, and half of the units "
        f"{'are reached' if most >= _HALF else f'are not reached, {most:.0f}% at most'}; a run "
        f"that diverges has none to count. {_cures(kinds, accuracy, rates, worst, normalized)} Of "
        f"units put to sleep in the first layer wake at rate {waking_rate:g}: {by_kind}; that all "
        f"with a slope wake sooner than ReLU's {'holds' if wakes else 'does not hold here'}."
    )


def _share(mean: float, rate: float, values: Any) -> str:
    if not np.isfinite(mean):
        return f"all {len(values)} diverged at {rate:g}"
    return f"{mean:.0f}% at {rate:g}{_in_brackets(values)}"


def _cures(
    kinds: Sequence[Kind],
    accuracy: Doubles,
    rates: Sequence[float],
    worst: int,
    normalized: tuple[list[float], list[float]],
) -> str:
    """What does better than ReLU at the rate that kills most of its units."""
    left = float(np.mean(known(accuracy[0, worst])))
    ends = {kind.label: one[worst] for kind, one in zip(kinds[1:], accuracy[1:], strict=True)}
    ends["batch normalization"] = np.asarray(normalized[1])
    better = [
        f"{label} {np.mean(known(one)):.1f}%{_in_brackets(one)}"
        for label, one in ends.items()
        if np.mean(known(one)) > left
    ]
    gone = [label for label, one in ends.items() if not np.isfinite(one).any()]
    return (
        f"At rate {rates[worst]:g} ReLU reaches {left:.1f}%{_in_brackets(accuracy[0, worst])}; "
        f"more: {', '.join(better) or 'none of the others'}; in all runs diverged: "
        f"{', '.join(gone) or 'none'}."
    )


def _in_brackets(values: Any) -> str:
    diverged = lost(values)
    return f" ({diverged})" if diverged else ""
