"""The signs of an exploding gradient, each by itself: see `exploding_gradient`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..record import TrainingRecord
from ._first_weights import broken_from_the_start
from ._learning import Doubles, Learning, last_rows, window_width
from ._profile import (
    NORMALIZED_GROWTH,
    columns,
    fitted,
    hidden_layers,
    log_medians,
    normalized_share,
    profile_of,
)
from .finding import Severity

GROWN_OVER_DEPTH = 70.0
GROWN_OVER_TIME = 1e3
GROWN_BEFORE_THE_END = 100.0
JUMP = 100.0
BEFORE_A_JUMP = 50
AFTER_A_JUMP = 10
FORWARD_A_LAYER = math.log10(2)
FORWARD_IN_ALL = 2.0
LARGE_START = 10.0


@dataclass(frozen=True)
class Explosion:
    """One sign, with the layers that show it."""

    severity: Severity
    first_step: int
    layers: tuple[str, ...]
    evidence: str


def explosions(record: TrainingRecord, learning: Learning) -> Iterator[Explosion]:
    """All signs that the record shows."""
    layers = hidden_layers(record)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.square(columns(record, "gradient_norm", layers)).sum(axis=1))
    norms = np.where(record.skipped, np.nan, norms)
    end = _end(record, norms)
    yield from _over_depth(record, learning)
    yield from _forwards(record, learning)
    if end is not None:
        yield from _to_the_end(record, norms, end, layers)
    else:
        yield from _over_time(record, norms, layers, learning)
        yield from _jumps(record, norms, layers, learning)


def _over_depth(record: TrainingRecord, learning: Learning) -> Iterator[Explosion]:
    profile = profile_of(record, last_rows(record))
    if profile is None or math.isnan(profile.slope):
        return
    share = normalized_share(record, list(profile.layers))
    slope = -profile.slope - NORMALIZED_GROWTH * share
    growth = slope * profile.span
    if slope <= 3 * profile.error or growth < math.log10(GROWN_OVER_DEPTH):
        return
    if learning.has_begun:
        severity = Severity.INFO if learning.is_halfway else Severity.WARNING
    else:
        severity = Severity.ERROR if learning.is_stuck else Severity.WARNING
    text = (
        f"From the last to the first hidden layer the gradient grows {10**growth:,.3g} times, "
        f"{10**slope:.3g} a layer."
    )
    yield Explosion(severity, 0, profile.layers, text)


def _forwards(record: TrainingRecord, learning: Learning) -> Iterator[Explosion]:
    group = record.groups.get("activations")
    if group is None or "std" not in group.statistics or not len(group.data):
        return
    if not learning.start >= LARGE_START or learning.has_begun:
        return
    deviations = group.data["std"][: window_width(len(group.data))].astype(np.float64)
    logs, noise = log_medians(deviations)
    slope, error = fitted(np.arange(float(len(logs))), logs, noise)
    growth = slope * (len(logs) - 1)
    if not (slope >= max(FORWARD_A_LAYER, 3 * error) and growth >= FORWARD_IN_ALL):
        return
    text = (
        f"The outputs grow {10**slope:.3g} times a layer, and the first loss is "
        f"{learning.start:,.3g} times that of the best constant prediction."
    )
    severity = Severity.ERROR if learning.is_stuck else Severity.WARNING
    yield Explosion(severity, 0, tuple(column["path"] for column in group.columns), text)


def _end(record: TrainingRecord, norms: Doubles) -> int | None:
    """The first row from which on nothing is finite any more."""
    shown = record.loss.astype(np.float64)
    # A loop that does not show its loss has NaN for it throughout.
    lost = ~np.isfinite(shown) if np.isfinite(shown).any() else np.zeros(len(shown), bool)
    bad = (lost | ~np.isfinite(norms)) & ~record.skipped
    sound = np.flatnonzero(~bad & ~record.skipped)
    after = int(sound[-1]) + 1 if len(sound) else 0
    return after if bad[after:].any() else None


def _to_the_end(
    record: TrainingRecord, norms: Doubles, end: int, layers: list[str]
) -> Iterator[Explosion]:
    before = norms[:end][np.isfinite(norms[:end])]
    losses = record.loss[:end].astype(np.float64)
    losses = losses[np.isfinite(losses)]
    if broken_from_the_start(record):
        return
    if len(before) < 2:
        # A NaN in the first two steps may be the data's or the loss's, an infinity is out of range.
        grew = bool(np.isinf(norms[end : end + 2]).any()) or _overflows_at_once(record)
        largest = math.inf
    else:
        sound = float(np.median(before[: max(1, len(before) // 2)]))
        sound = min(sound, float(before[0])) or math.nan
        largest = float(before[-BEFORE_A_JUMP:].max()) / sound
        grew = largest >= GROWN_BEFORE_THE_END
        if len(losses) > 1 and losses[0] > 0:
            grew |= losses[-BEFORE_A_JUMP:].max() / losses[0] >= GROWN_BEFORE_THE_END
    if not grew:
        return
    step = int(record.steps[min(end, len(record.steps) - 1)])
    how = f"grew to {largest:,.3g} times its size" if math.isfinite(largest) else "was out of range"
    text = f"The gradient {how}, and from step {step} on nothing is finite any more."
    first = int(record.steps[_rise(norms, end)])
    yield Explosion(Severity.ERROR, first, tuple(layers), text)


def _overflows_at_once(record: TrainingRecord) -> bool:
    """Whether it can only be the network: the data is known to be finite, the loss has no log.

    (Keras clips what the crossentropies take the logarithm of.)
    """
    described = [*(record.data.get("inputs") or ()), *(record.data.get("targets") or ())]
    known = [one["non_finite"] == 0 for one in described if "non_finite" in one]
    return bool(known) and all(known) and "poisson" not in str(record.network.get("loss")).lower()


def _rise(norms: Doubles, end: int) -> int:
    """The row at which the last rise began: the last one still under 10 times the usual."""
    before = norms[:end]
    if not np.isfinite(before).any():
        return 0
    usual = float(np.nanmedian(before[: max(1, end // 2)]))
    low = np.flatnonzero(before <= 10 * usual)
    return int(low[-1]) if len(low) else 0


def _over_time(
    record: TrainingRecord, norms: Doubles, layers: list[str], learning: Learning
) -> Iterator[Explosion]:
    width = window_width(len(norms))
    if len(norms) < 2 * width or learning.has_begun:
        return
    first, last = (_median(norms[rows]) for rows in (slice(width), slice(-width, None)))
    loss = record.loss.astype(np.float64)
    if not first > 0 or not last >= GROWN_OVER_TIME * first:
        return
    if not _median(loss[-width:]) > _median(loss[:width]):
        return
    above = norms > first * math.sqrt(GROWN_OVER_TIME)
    text = f"The gradient grew {last / first:,.3g} times from the first to the last window."
    yield Explosion(Severity.ERROR, int(record.steps[int(np.argmax(above))]), tuple(layers), text)


def _jumps(
    record: TrainingRecord, norms: Doubles, layers: list[str], learning: Learning
) -> Iterator[Explosion]:
    loss = record.loss.astype(np.float64)
    rows = [
        at
        for at in _candidates(norms)
        if norms[at] >= JUMP * _median(norms[at - BEFORE_A_JUMP : at]) and _has_jumped(loss, at)
    ]
    if not rows:
        return
    text = (
        f"At step {int(record.steps[rows[0]])} the gradient is over {JUMP:.0f} times what it was, "
        f"and the loss jumps to over twice; {len(rows)} such steps in all."
    )
    severity = Severity.ERROR if learning.is_stuck else Severity.WARNING
    severity = Severity.INFO if learning.is_halfway else severity
    yield Explosion(severity, int(record.steps[rows[0]]), tuple(layers), text)


def _candidates(norms: Doubles) -> list[int]:
    """Rows whose norm is that far over the smallest of those before: no other can be a jump."""
    if len(norms) <= BEFORE_A_JUMP:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(norms[:-1], BEFORE_A_JUMP)
    with np.errstate(invalid="ignore"):
        over = norms[BEFORE_A_JUMP:] >= JUMP * np.fmin.reduce(windows, axis=1)
    return [int(at) + BEFORE_A_JUMP for at in np.flatnonzero(over)]


def _has_jumped(loss: Doubles, at: int) -> bool:
    before = loss[max(0, at - BEFORE_A_JUMP) : at]
    after = loss[at + 1 : at + 1 + AFTER_A_JUMP]
    if len(after) == 0:
        return False
    usual = _median(before)
    return bool(_median(after) > max(2 * usual, usual + 3 * float(np.nanstd(before))))


def _median(values: npt.NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else math.nan
