"""The loss's course over the steps of a run, and how it lies to the plan and to guessing."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..record import TrainingRecord
from ._guessing import guessed_loss, has_one_target
from ._levels import Doubles, Level, noise_of, robust_noise, start_of
from ._penalty import data_losses

# With fewer losses, a window's own variance is too rough an estimate of the noise.
_ENOUGH_LOSSES = 10


@dataclass(frozen=True)
class Course:
    """The finite losses of a record, in order, and how they lie to the plan and to guessing.

    Attributes:
        steps: Step of each loss.
        losses: The losses, without the kernels' penalties where these are known.
        totals: The losses as they were recorded.
        guessing: The loss of the best constant prediction, NaN where it is not known.
        measured: Whether `guessing` was measured on the data; for crossentropy it is otherwise
            `ln(classes)`, which is only right for balanced classes.
        done: Steps so far.
        planned: Steps that the plan has, NaN where it is not known.
        epochs_done: Epochs so far, broken ones included, NaN where they are not known.
    """

    steps: Doubles
    losses: Doubles
    totals: Doubles
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
        """The first loss, which no update has touched: see `start_of`."""
        return start_of(self.losses)

    @property
    def is_penalized(self) -> bool:
        """Whether the recorded losses hold penalties that were taken off."""
        return bool((self.totals != self.losses).any())

    @property
    def noise(self) -> float:
        """Standard deviation of one loss's noise over the whole run."""
        return robust_noise(self.losses)

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
    steps, losses, totals = _step_losses(record)
    if not len(losses):
        steps, losses = _epoch_losses(record)
        totals = losses
    finite = np.isfinite(losses)
    if not finite.any():
        return None
    guessing, measured = guessed_loss(record)
    return Course(
        steps=steps[finite],
        losses=losses[finite],
        totals=totals[finite],
        guessing=guessing,
        measured=measured,
        done=float(steps[-1]) + 1,
        planned=_planned(record),
        epochs_done=_epochs_done(record),
    )


def is_supervised(record: TrainingRecord) -> bool:
    """Whether the loss is one that Keras was told and that training must bring down.

    A model without a compiled loss, an adversarial pair say, has a loss of its own kind, of which
    nobody promised that it falls. Nor is that promised of targets that are all the same, by which
    an adversary is told to deceive.
    """
    return record.network.get("loss", "") is not None and not has_one_target(record)


def logged(record: TrainingRecord, name: str) -> Doubles:
    """A number of each epoch's logs, NaN where there is none."""
    values = [logs.get(name) for logs in record.epochs]
    return np.array([math.nan if value is None else float(value) for value in values])


def _step_losses(record: TrainingRecord) -> tuple[Doubles, Doubles, Doubles]:
    nothing = np.empty(0), np.empty(0), np.empty(0)
    if not record.groups or not len(record.steps):
        return nothing
    losses = data_losses(record)
    if not np.isfinite(losses).any():
        return nothing
    return record.steps.astype(np.float64), losses, record.loss.astype(np.float64)


def _epoch_losses(record: TrainingRecord) -> tuple[Doubles, Doubles]:
    losses = logged(record, "loss")
    each = record.network.get("steps_per_epoch") or 1
    return (np.arange(len(losses)) + 1.0) * each - 1, losses


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
