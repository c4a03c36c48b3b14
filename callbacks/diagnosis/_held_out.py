"""The held-out loss against guessing: a network that learned its examples, and nothing else."""

import math

import numpy as np

from ..record import TrainingRecord
from ._accuracy import accuracies, guessed_accuracy
from ._course import Course, logged
from ._levels import Doubles
from ._penalty import penalties

FEWEST_EPOCHS = 3
_LEARNED = 0.1
_CLEARLY = 0.05
_HALF = 0.5


def below_guessing_never(record: TrainingRecord, course: Course) -> str | None:
    """What shows that the held-out loss never was below that of guessing, None where it was.

    Medians of three epochs of it stay above guessing's loss, the last one by 0.05 of it, while
    the training loss took 0.1 of the way at least: what was learned holds for the examples alone.
    Penalties are taken off both. Silent where guessing's loss or the penalty is not known.
    """
    held = _held_out_losses(record, course)
    if len(held) < FEWEST_EPOCHS or not course.measured:
        return None
    guessing, trained = course.guessing, course.level().mean
    if not guessing > 0 or trained > (1 - _LEARNED) * guessing:
        return None
    smooth = medians_of_three(held)
    if smooth.min() <= guessing or smooth[-1] <= (1 + _CLEARLY) * guessing:
        return None
    return (
        f"In {len(held)} epochs the validation loss never was below {guessing:.4g}, that of the "
        f"best constant prediction: it is {smooth[-1]:.4g}, while the training loss fell to "
        f"{trained:.4g}."
    )


def is_accurate(record: TrainingRecord) -> bool:
    """Whether the held-out accuracy went half of the way from guessing to 1, whatever the loss."""
    guessing, reached = guessed_accuracy(record), accuracies(record, "val_")
    reached = reached[np.isfinite(reached)]
    if guessing is None or not len(reached):
        return False
    return bool(np.median(reached[-3:]) > guessing + _HALF * (1 - guessing))


def medians_of_three(values: Doubles) -> Doubles:
    """Each value's median with the two before and behind it."""
    return np.array([np.median(values[max(0, i - 1) : i + 2]) for i in range(len(values))])


def _held_out_losses(record: TrainingRecord, course: Course) -> Doubles:
    losses = logged(record, "val_loss")
    losses = losses[np.isfinite(losses)]
    if math.isnan(course.guessing):
        return np.empty(0)
    penalty = penalties(record)
    if penalty is None:
        return np.empty(0)
    # The most that it was: what is left of the loss is then rather too small.
    return losses - float(penalty.max(initial=0.0))
