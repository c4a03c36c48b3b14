"""The loss's course: levels with their noise, trends, change points, the plan.

Batches are noisy. A level is the mean of a window of true batch losses with its standard error

    se = s / sqrt(n),    s² = min(variance, roughness),    roughness = mean (l_(i+1) - l_i)² / 2

A loss that falls inside the window raises its variance, not its roughness; one that alternates
raises its roughness, not its variance. A trend is the Theil-Sen slope through the levels of equal
windows; its standard error is that of a least-squares slope, from the larger of the windows' own
errors and their scatter about the line, divided by sqrt(0.91), Theil-Sen's efficiency.

Reference:
    Sen, *Estimates of the regression coefficient based on Kendall's tau*, 1968.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..record import TrainingRecord

Doubles = npt.NDArray[np.float64]

SURE = 3.0
"""Standard errors that a difference needs: one chance difference in 740, one-sided."""

# With fewer losses, a window's own variance is too rough an estimate of the noise.
_ENOUGH_LOSSES = 10
# The median of a squared standard normal number.
_MEDIAN_SQUARE = 0.4549
_EFFICIENCY = 0.91


@dataclass(frozen=True)
class Level:
    """The mean of a window of losses: where it lies, its mean, its standard error."""

    step: float
    mean: float
    error: float


@dataclass(frozen=True)
class Trend:
    """A robust slope per step through levels, with its standard error."""

    slope: float
    error: float

    @property
    def falls(self) -> bool:
        """Whether it falls beyond noise."""
        return self.slope < -SURE * self.error

    @property
    def rises(self) -> bool:
        """Whether it rises beyond noise."""
        return self.slope > SURE * self.error


@dataclass(frozen=True)
class Course:
    """The finite losses of a record, in order, and how they lie to the plan and to guessing.

    Attributes:
        steps: Step of each loss.
        losses: The losses.
        guessing: The loss of the best constant prediction, NaN where it is not known.
        measured: Whether `guessing` was measured on the data; for crossentropy it is otherwise
            `ln(classes)`, which is only right for balanced classes.
        done: Steps so far.
        planned: Steps that the plan has, NaN where it is not known.
        epochs_done: Epochs so far, broken ones included, NaN where they are not known.
    """

    steps: Doubles
    losses: Doubles
    guessing: float
    measured: bool
    done: float
    planned: float
    epochs_done: float

    @property
    def share(self) -> float:
        """How much of the plan is done, NaN where it has none."""
        return min(1.0, self.done / self.planned)

    @property
    def start(self) -> float:
        """The first loss, which no update has touched: the median of up to three."""
        return float(np.median(self.losses[:3]))

    @property
    def noise(self) -> float:
        """Standard deviation of one loss's noise over the whole run."""
        return _robust_noise(self.losses)

    def level(self, share: float = 0.1) -> Level:
        """The last level: over `share` of the losses, at least ten of them."""
        count = min(len(self.losses), max(_ENOUGH_LOSSES, round(share * len(self.losses))))
        return self._level(slice(len(self.losses) - count, len(self.losses)))

    def levels(self, count: int = 10, start: float = 0.0) -> list[Level]:
        """Levels of up to `count` equal windows, without the first `start` of the losses."""
        first = round(start * len(self.losses))
        bounds = np.linspace(first, len(self.losses), min(count, len(self.losses) - first) + 1)
        edges = bounds.round().astype(int)
        return [self._level(slice(a, b)) for a, b in itertools.pairwise(edges)]

    def explained(self, loss: float) -> float:
        """Share of the way from guessing to a loss of 0."""
        return 1 - loss / self.guessing

    def _level(self, where: slice) -> Level:
        losses = self.losses[where]
        own = noise_of(losses) if len(losses) >= _ENOUGH_LOSSES else self.noise
        return Level(
            float(self.steps[where].mean()), float(losses.mean()), own / math.sqrt(len(losses))
        )


def course_of(record: TrainingRecord) -> Course | None:
    """The course of a record's losses: of its steps, or else of its epochs; None without any."""
    steps, losses = _step_losses(record)
    if not len(losses):
        steps, losses = _epoch_losses(record)
    finite = np.isfinite(losses)
    if not finite.any():
        return None
    guessing, measured = _guessing(record)
    return Course(
        steps=steps[finite],
        losses=losses[finite],
        guessing=guessing,
        measured=measured,
        done=float(steps[-1]) + 1,
        planned=_planned(record),
        epochs_done=_epochs_done(record),
    )


def noise_of(losses: Doubles) -> float:
    """Standard deviation of one loss's noise: the smaller of variance and roughness."""
    if len(losses) < 2:
        return 0.0
    roughness = float((np.diff(losses) ** 2).mean() / 2)
    return math.sqrt(min(float(losses.var(ddof=1)), roughness))


def _robust_noise(losses: Doubles) -> float:
    """The same from the median, so that few jumps among the losses count for nothing."""
    if len(losses) < 2:
        return 0.0
    return math.sqrt(float(np.median(np.diff(losses) ** 2)) / 2 / _MEDIAN_SQUARE)


def trend_of(levels: list[Level]) -> Trend:
    """The robust slope through levels; without one where there are fewer than three."""
    if len(levels) < 3:
        return Trend(0.0, math.inf)
    steps, means = (np.array([getattr(x, name) for x in levels]) for name in ("step", "mean"))
    first, second = np.triu_indices(len(steps), 1)
    slope = float(np.median((means[second] - means[first]) / (steps[second] - steps[first])))
    scatter = means - slope * steps
    residual = float(np.sqrt(((scatter - scatter.mean()) ** 2).sum() / (len(steps) - 2)))
    noise = max(residual, float(np.median([level.error for level in levels])))
    spread = float(np.sqrt(((steps - steps.mean()) ** 2).sum()))
    return Trend(slope, noise / spread / math.sqrt(_EFFICIENCY))


def change_point(values: Doubles) -> int:
    """Where two means explain the values best: the index of the second part's first value."""
    if len(values) < 2:
        return 0
    costs = [
        ((values[:at] - values[:at].mean()) ** 2).sum()
        + ((values[at:] - values[at:].mean()) ** 2).sum()
        for at in range(1, len(values))
    ]
    return int(np.argmin(costs)) + 1


def is_supervised(record: TrainingRecord) -> bool:
    """Whether the loss is one that Keras was told and that training must bring down.

    A model without a compiled loss, an adversarial pair say, has a loss of its own kind, of which
    nobody promised that it falls.
    """
    return "loss" not in record.network or record.network["loss"] is not None


def is_crossentropy(record: TrainingRecord) -> bool:
    """Whether the loss is a crossentropy in nats."""
    return "crossentropy" in _loss_name(record)


def has_soft_targets(record: TrainingRecord) -> bool:
    """Whether a crossentropy has targets between 0 and 1, so that 0 is out of its reach."""
    targets = record.data.get("targets") or []
    hard = all(one.get("integer") or one.get("one_hot") for one in targets)
    return bool(targets) and not hard and is_crossentropy(record)


def logged(record: TrainingRecord, name: str) -> Doubles:
    """A number of each epoch's logs, NaN where there is none."""
    values = [logs.get(name) for logs in record.epochs]
    return np.array([math.nan if value is None else float(value) for value in values])


def _step_losses(record: TrainingRecord) -> tuple[Doubles, Doubles]:
    if not record.groups or not len(record.steps):
        return np.empty(0), np.empty(0)
    losses = record.loss.astype(np.float64)
    if not np.isfinite(losses).any():
        return np.empty(0), np.empty(0)
    return record.steps.astype(np.float64), losses


def _epoch_losses(record: TrainingRecord) -> tuple[Doubles, Doubles]:
    losses = logged(record, "loss")
    each = record.network.get("steps_per_epoch") or 1
    return (np.arange(len(losses)) + 1.0) * each - 1, losses


def _guessing(record: TrainingRecord) -> tuple[float, bool]:
    known = (record.data.get("baseline") or {}).get("loss")
    if known is not None and math.isfinite(known) and known > 0:
        return float(known), True
    if not is_crossentropy(record):
        return math.nan, False
    if "binary" in _loss_name(record):
        return math.log(2), False
    layers = [one for one in record.network.get("layers") or [] if one.get("units")]
    outputs = [one for one in layers if one.get("output")] or layers[-1:]
    classes = outputs[0]["units"] if len(outputs) == 1 else 0
    return (math.log(classes), False) if classes > 1 else (math.nan, False)


def _planned(record: TrainingRecord) -> float:
    epochs: Any = record.network.get("planned_epochs")
    each: Any = record.network.get("steps_per_epoch")
    if not epochs or not each:
        return math.nan
    return float(epochs * each)


def _epochs_done(record: TrainingRecord) -> float:
    epochs = float(len(record.epochs))
    each = record.network.get("steps_per_epoch")
    if record.groups and len(record.steps) and each:
        return max(epochs, float((record.steps[-1] + 1) / each))
    return epochs or math.nan


def _loss_name(record: TrainingRecord) -> str:
    return str(record.network.get("loss") or "").lower().replace("_", "")
