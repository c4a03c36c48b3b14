"""The accuracy against guessing, and against what the loss allows."""

import math

import numpy as np

from ..record import TrainingRecord
from ._course import Course, logged
from ._guessing import is_crossentropy
from ._levels import SURE, Doubles

_NAMES = (
    "accuracy",
    "acc",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
)


def accuracies(record: TrainingRecord, prefix: str = "") -> Doubles:
    """The accuracy of each epoch, NaN where there is none."""
    table = np.stack([logged(record, prefix + name) for name in _NAMES], axis=1)
    if not len(table):
        return np.empty(0)
    first = np.isfinite(table).argmax(axis=1)
    chosen: Doubles = table[np.arange(len(table)), first]
    return chosen


def has_learned_accuracy(record: TrainingRecord) -> bool | None:
    """Whether the accuracy of the last epochs is above guessing, by more than noise and 0.01.

    None where no accuracy or no baseline of it is known. Of `n` samples an accuracy `a` has the
    standard error `sqrt(a (1 - a) / n)`; where `n` is not known, 0.05 more than guessing counts.
    """
    guessing = guessed_accuracy(record)
    reached = np.stack([accuracies(record), accuracies(record, "val_")])
    if guessing is None or not np.isfinite(reached[:, -3:]).any():
        return None
    return bool(np.nanmax(reached[:, -3:]) > guessing + accuracy_margin(record, guessing))


def accuracy_margin(record: TrainingRecord, accuracy: float) -> float:
    """What an accuracy of an epoch must differ by to be more than noise."""
    samples = record.data.get("samples")
    if not samples:
        return 0.05
    return 0.01 + SURE * math.sqrt(max(0.0, accuracy * (1 - accuracy)) / float(samples))


def is_halfway_accurate(record: TrainingRecord) -> bool:
    """Whether the last accuracy is halfway from guessing to 1."""
    guessing, reached = guessed_accuracy(record), accuracies(record)
    return bool(guessing is not None and len(reached) and reached[-1] > (1 + guessing) / 2)


def guessed_accuracy(record: TrainingRecord) -> float | None:
    """The accuracy of the best constant prediction, None where it is not known."""
    known = (record.data.get("baseline") or {}).get("accuracy")
    return None if known is None else float(known)


def accuracy_against_loss(record: TrainingRecord, course: Course) -> str | None:
    """The evidence that loss and accuracy contradict each other; None where they don't.

    A sample on the wrong side of the decision costs a crossentropy of `ln 2` or more; on
    calibrated outputs the best decision errs half as often (Hellman & Raviv).
    """
    reached, losses = accuracies(record), logged(record, "loss")
    known = np.isfinite(reached) & np.isfinite(losses)
    if not is_crossentropy(record) or known.sum() < 2 or losses[known].min() < 0:
        return None
    reached, losses = reached[known], losses[known]
    loss, wrong = float(losses[-1]), 1 - float(reached[-1])
    guessing, margin = guessed_accuracy(record), accuracy_margin(record, float(reached[-1]))
    if guessing is not None and reached[-1] > guessing + margin:
        return None
    start = float(np.nanmax([course.start, losses[0]]))
    # Weights of classes or of samples scale the loss, and the bound with it.
    if not loss < 0.9 * start or start < 0.5 * course.guessing:
        return None
    bound = loss / math.log(2)
    if wrong > bound + margin:
        told = f"which allows at most {bound:.1%} wrong answers"
    elif _rests(reached, margin) and guessing is not None and _is_half_explained(course, loss):
        if wrong <= bound / 2 + 0.05 + margin:
            return None
        told = f"with which calibrated outputs give at most {bound / 2:.1%} wrong answers"
    else:
        return None
    return (
        f"The loss has fallen to {loss:.4g}, {told}, yet {wrong:.1%} are wrong: what the loss "
        "trains is not what the accuracy counts."
    )


def _rests(reached: Doubles, margin: float) -> bool:
    return len(reached) >= 3 and float(np.ptp(reached[-3:])) <= max(1e-6, margin / SURE)


def _is_half_explained(course: Course, loss: float) -> bool:
    return course.explained(loss) > 0.2
