"""How far a run has come: what the rules on gradients and units are judged together with."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..record import TrainingRecord
from ._guessing import guessed_loss
from ._levels import start_of
from ._penalty import data_losses

Doubles = npt.NDArray[np.float64]

ENOUGH_STEPS = 100
ENOUGH_OF_PLAN = 0.1
PROGRESS = 0.05
FALLING = 0.2
STALLED = 0.25
ROWS_TO_JUDGE = 20


@dataclass(frozen=True)
class Learning:
    """The loss against that of the best constant prediction.

    Attributes:
        share: How much of the way from the constant prediction to a loss of 0 (or to an accuracy
            of 1) is gone, below 0 where the loss is above it; None where no loss was shown.
        has_begun: Whether the share is beyond the batches' noise, and at least `PROGRESS`.
        had_time: Whether the run is long enough to expect some: 100 steps and a tenth of what is
            planned, or all of it, and 20 rows.
        start: The first window's loss over the constant prediction's, NaN where unknown.
        still_falls: Whether the loss fell by a fifth in the second half of a run that goes on.
        rests: Whether half of the plan is done, and the loss fell by less in the second half of it.
        is_measured: Whether the constant prediction is known. Where it is not, the share is that
            of the run's own start, and a model trained before is not told from a stuck one.
    """

    share: float | None
    has_begun: bool
    had_time: bool
    start: float
    still_falls: bool = False
    is_measured: bool = True
    rests: bool = False

    @property
    def is_stuck(self) -> bool:
        """Whether it should have begun to learn, has not, and is not on its way either."""
        known = self.share is not None and self.is_measured
        return known and self.had_time and not (self.has_begun or self.still_falls)

    @property
    def has_stalled(self) -> bool:
        """Whether it rests before a quarter of the way is gone, past half of the plan."""
        return self.is_stuck or (self.has_begun and self.rests and (self.share or 0) < STALLED)

    @property
    def is_halfway(self) -> bool:
        """Whether half of what the constant prediction gets wrong is learned."""
        return self.has_begun and (self.share or 0) >= 0.5

    @property
    def is_surely_halfway(self) -> bool:
        """Whether that is so by the constant prediction, not by a start that may be far above."""
        return self.is_halfway and self.is_measured

    @property
    def evidence(self) -> str:
        """The share in words."""
        if self.share is None:
            return "the loss is not known"
        reference = "that of the best constant prediction" if self.is_measured else "its start"
        how_far = f"{self.share:.0%}" if self.has_begun else "not"
        return f"the loss is {how_far} below {reference}"


def learning_of(record: TrainingRecord) -> Learning:
    """How far the run has come by the end of the record.

    The last window's mean loss is compared with the best constant prediction's: as
    `record.data["baseline"]` gives it; else `ln(classes)`, for crossentropy; else with the run's
    own first window, or its first loss where the first steps raised it. Beyond noise is three
    standard errors of the window's mean. Penalties on the kernels, which the baseline has not, are
    taken off. Where epochs tell an accuracy and the data its baseline, the better of the two
    shares counts, as the loss may hold more of the kind.
    """
    loss = data_losses(record)
    finite = loss[np.isfinite(loss)]
    if len(finite) == 0:
        return Learning(None, False, _had_time(record), math.nan)
    width = window_width(len(finite))
    first, last = finite[:width], finite[-width:]
    constant, _ = guessed_loss(record)
    is_known = not math.isnan(constant)
    reference = constant if is_known else min(float(first.mean()), start_of(finite))
    start = float(np.median(first)) / constant
    falls = _falls(finite)
    goes_on = _had_time(record), start, falls and not _is_over(record)
    if not np.isfinite(loss[-width:]).any():  # it ended in NaN
        return Learning(-math.inf, False, *goes_on)
    if reference <= 0:  # a loss whose best value is not 0: nothing to measure a share by
        return Learning(None, False, *goes_on)
    share = (reference - float(last.mean())) / reference
    noise = float(last.std()) / math.sqrt(len(last)) / reference
    has_begun = share > max(PROGRESS, 3 * noise)
    gained = _gained_accuracy(record)
    if gained is not None and gained > max(share, PROGRESS):
        share, has_begun = gained, True
    known = is_known or gained is not None
    rests = not falls and _is_half_over(record)
    return Learning(share, has_begun, *goes_on, is_measured=known, rests=rests)


def window_width(rows: int) -> int:
    """Rows of a window at either end: a fifth, at least 10 where there are as many."""
    return max(min(rows, 10), rows // 5)


def last_rows(record: TrainingRecord) -> npt.NDArray[np.int64]:
    """The rows of the last window of the gradients, without skipped steps."""
    return np.flatnonzero(~record.skipped)[-window_width(len(record.steps)) :]


def sustained_from(holds: npt.NDArray[np.bool_]) -> int:
    """The first row from which on at least nine in ten rows hold; the last row if none."""
    backwards = np.cumsum(holds[::-1]) / np.arange(1, len(holds) + 1)
    enough = np.flatnonzero((backwards[::-1] >= 0.9) & holds)
    return int(enough[0]) if len(enough) else len(holds) - 1


def _falls(loss: Doubles) -> bool:
    """Whether the loss fell by a fifth in the second half of the run."""
    middle, last = np.array_split(loss, 2)
    width = window_width(len(last))
    middle, last = middle[-width:], last[-width:]
    if len(middle) < 2:
        return False
    noise = math.hypot(*(float(w.std()) / math.sqrt(len(w)) for w in (middle, last)))
    fall = float(middle.mean() - last.mean())
    return bool(fall > max(FALLING * abs(float(middle.mean())), 3 * noise))


def _is_over(record: TrainingRecord) -> bool:
    planned, steps = _planned_steps(record), record.steps
    gap = int(steps[-1] - steps[-2]) if len(steps) > 1 else 1  # not every step has a row
    return planned is not None and int(steps[-1]) + gap >= planned


def _is_half_over(record: TrainingRecord) -> bool:
    planned = _planned_steps(record)
    return planned is not None and 2 * (int(record.steps[-1]) + 1) >= planned


def _planned_steps(record: TrainingRecord) -> int | None:
    epochs, each = (record.network.get(key) for key in ("planned_epochs", "steps_per_epoch"))
    return int(epochs * each) if epochs and each else None


def _had_time(record: TrainingRecord) -> bool:
    if len(record.steps) < ROWS_TO_JUDGE:
        return False
    steps = int(record.steps[-1]) + 1
    planned = _planned_steps(record) or 0
    return _is_over(record) or steps >= max(ENOUGH_STEPS, ENOUGH_OF_PLAN * planned)


def _gained_accuracy(record: TrainingRecord) -> float | None:
    """Share of the way from guessing to always right, None where it is not known."""
    guessing = (record.data.get("baseline") or {}).get("accuracy")
    if guessing is None or guessing >= 1 or not record.epochs:
        return None
    reached = [v for k, v in record.epochs[-1].items() if k in ("accuracy", "acc")]
    return (reached[0] - guessing) / (1 - guessing) if reached else None
