"""The rule on numbers that are not finite: `non_finite`."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..record import TrainingRecord
from ._course import logged
from ._first_weights import broken_from_the_start
from ._remedies import CLIPPING, against_steep_slopes, initializer, slower
from ._units import usual_activation
from .finding import Finding, Remedy, Severity

_LOSS_SCALING_HALVES = 40

_FRESH = "What is NaN stays NaN: only weights that are drawn anew can be trained."
_CLEAN_INPUT = Remedy(
    kind="input_scaling",
    value="clean",
    reason="One NaN in a batch makes every weight NaN: drop or fill such values.",
    source="Géron, Hands-On Machine Learning, chapter 2, Data Cleaning",
)


def non_finite(record: TrainingRecord) -> Iterator[Finding]:
    """A loss, a gradient or an input is NaN or infinite.

    Signal: a gradient norm that is not finite, or an infinite loss, or a loss that is NaN while
    gradients are not recorded or not finite; else an epoch's logged loss. A NaN loss beside
    finite gradients is one that the loop did not show. Steps that loss scaling skipped are its
    way to find its scale, which takes 39 halvings from 2^15 to the smallest float16: 40 and more
    skipped steps in a row are an overflow that no scale avoids. Values that are not finite in
    `record.data["inputs"]` count from step 0 on, and so do weights that are so before it.

    No threshold is involved: an update with NaN leaves weights that no later step mends, so it
    is always an error.
    """
    bad = sum(int(one.get("non_finite") or 0) for one in record.data.get("inputs") or [])
    if bad:
        evidence = f"The inputs hold {bad:,} values that are NaN or infinite."
        yield _finding((), 0, evidence, (_CLEAN_INPUT,))
    broken = broken_from_the_start(record)
    if broken:
        evidence = f"The weights of {len(broken)} layers are not finite before the first step."
        fresh = replace(initializer(usual_activation(record, broken)), reason=_FRESH)
        yield _finding(broken, 0, evidence, (fresh,))
        return
    remedies = (*against_steep_slopes(record), CLIPPING, slower(record))
    rows = _bad_rows(record)
    if rows.any():
        at = int(rows.argmax())
        layers, step = _layers_at(record, at), int(record.steps[at])
        yield _finding(layers, step, _evidence(record, at), remedies)
        return
    skipped = _endless_skips(record)
    if skipped is not None:
        yield _finding(
            (),
            skipped,
            f"From step {skipped} on every step was skipped: the gradients overflow whatever the "
            "loss scale.",
            remedies,
        )
        return
    logs = logged(record, "loss")
    if len(logs) and not np.isfinite(logs[-1]) and _logs_a_loss(record):
        at = int(np.flatnonzero(~np.isfinite(logs))[0])
        step = at * int(record.network.get("steps_per_epoch") or 0)
        yield _finding((), step, f"The logged loss is {logs[at]} in epoch {at + 1}.", remedies)


def _finding(
    layers: tuple[str, ...], step: int, evidence: str, remedies: tuple[Remedy, ...]
) -> Finding:
    return Finding(
        symptom="non_finite",
        layers=layers,
        severity=Severity.ERROR,
        first_step=step,
        evidence=evidence,
        remedies=remedies,
    )


def _bad_rows(record: TrainingRecord) -> npt.NDArray[np.bool_]:
    if not record.groups or not len(record.steps):
        return np.zeros(0, bool)
    losses = record.loss
    bad = np.isinf(losses)
    gradients = _bad_gradients(record)
    if gradients is not None:
        bad |= gradients.any(axis=1)
    else:  # a NaN after losses that were shown
        shown = np.maximum.accumulate(np.isfinite(losses)) & np.isfinite(losses).any()
        bad |= np.isnan(losses) & shown & ~np.isfinite(losses[-1])
    judged: npt.NDArray[np.bool_] = bad & ~record.skipped
    return judged


def _bad_gradients(record: TrainingRecord) -> npt.NDArray[np.bool_] | None:
    """Where a connected variable's gradient norm is not finite: `[S, V]`; None without any."""
    if "gradients" not in record.groups or "gradient_norm" not in record.statistics:
        return None
    columns = record.groups["gradients"].columns
    connected = np.array([column.get("connected", True) for column in columns])
    bad: npt.NDArray[np.bool_] = ~np.isfinite(record["gradient_norm"]) & connected
    return bad


def _layers_at(record: TrainingRecord, row: int) -> tuple[str, ...]:
    """The layers whose gradients are not finite there; none where it is all of them."""
    bad = _bad_gradients(record)
    if bad is None:
        return ()
    columns = record.groups["gradients"].columns
    names = {column["layer"] for column, is_bad in zip(columns, bad[row], strict=True) if is_bad}
    return tuple(
        name for name in record.layers if name in names and len(names) < len(record.layers)
    )


def _evidence(record: TrainingRecord, row: int) -> str:
    loss, before = float(record.loss[row]), record.loss[:row]
    known = before[np.isfinite(before)]
    last = f", after a loss of {known[-1]:.4g}" if len(known) else ""
    if _bad_gradients(record) is not None and math.isfinite(loss):
        return f"At step {record.steps[row]} the gradient is not finite at a loss of {loss:.4g}."
    return f"At step {record.steps[row]} loss and gradients are not finite{last}."


def _endless_skips(record: TrainingRecord) -> int | None:
    """The first of the skipped steps that the record ends with; None where they are few."""
    if not record.groups or not len(record.steps) or not record.skipped[-1]:
        return None
    taken = np.flatnonzero(~record.skipped)
    first = int(taken[-1]) + 1 if len(taken) else 0
    steps = record.steps
    long_enough = steps[-1] - steps[first] >= _LOSS_SCALING_HALVES
    return int(steps[first]) if long_enough else None


def _logs_a_loss(record: TrainingRecord) -> bool:
    return "loss" in record.epochs[-1]
