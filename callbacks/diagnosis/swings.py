"""Rules on the epochs' course: `oscillating_loss` and `overfitting`."""

import math
from collections.abc import Iterator

import numpy as np

from ..record import TrainingRecord
from ._accuracy import accuracies, has_learned_accuracy
from ._course import Course, course_of, is_supervised, logged
from ._held_out import below_guessing_never, is_accurate, medians_of_three
from ._levels import SURE, Doubles, Level, Trend, noise_of, trend_of
from ._pace import FIRM_SHARE, maturity_of
from ._remedies import CLIPPING, slower
from .finding import Finding, Remedy, Severity

_SHARE_OF_EPOCHS = 0.2
_FEWEST_SWINGS = 3
_ACCURACY_SWING = 0.03
_LOSS_SWING = 0.05
_HARDLY = 0.1
_FEWEST_EPOCHS = 5
_ALTERNATES = 1.5
_SMALL_CYCLE = 10

_GENERALIZATION_LOSS = 0.05
_HALF_OF_PLAN = 0.5
_STRIP = 5

_PRECHELT = "Prechelt 1998, Early Stopping - But When?"
_LARGER_BATCH = Remedy(
    kind="batch_size",
    value=None,
    reason="A larger batch's gradient is less noisy.",
    source="Smith et al. 2018, Don't Decay the Learning Rate, Increase the Batch Size",
)
_REGULARIZED = (
    Remedy(
        kind="dropout",
        value=0.2,
        reason="Units that may be missing can't be relied on to memorize.",
        source="Srivastava et al. 2014, Dropout",
    ),
    Remedy(
        kind="regularization",
        value={"l2": 1e-4},
        reason="Small weights make smooth functions.",
        source="Nielsen, Neural Networks and Deep Learning, chapter 3, Regularization",
    ),
    Remedy(
        kind="epochs",
        value="early_stopping",
        reason="The best weights are those of the epoch with the lowest validation loss.",
        source=_PRECHELT,
    ),
)


def oscillating_loss(record: TrainingRecord) -> Iterator[Finding]:
    """The cost swings from epoch to epoch by more than the batches' noise.

    Signal: the epochs' mean losses (in runs of fewer than 10 epochs those of 20 windows of at
    least 10 losses) with their standard errors. A swing is a rise, matched by a fall elsewhere,
    by more than three standard errors of the difference and by more than 0.05 of the best
    constant prediction's loss; or a drop of the accuracy by 0.03 (AutoTrainer) and by more than
    three binomial standard errors. Swings in at least 0.2 of the epochs (AutoTrainer), and three
    of them, are a finding. A small batch's noise is in the standard errors, so it is none.

    A loss that alternates from step to step leaves the means alone. Roughness over variance is 1
    for noise and 2 for pure alternation; above 1.5, and beyond four standard errors of it over the
    batches of an epoch (`1 / sqrt(batches)`, as their order may repeat), with a deviation above
    0.05 of guessing, it is a finding. The batches' own means are taken out where an epoch is ten
    steps or fewer, as unshuffled batches alternate too.

    A warning; an error where after 0.25 of the plan less than 0.1 of the way from guessing to 0
    is gone.
    """
    course = course_of(record)
    if course is None or not is_supervised(record):
        return
    whole = course.guessing if course.guessing > 0 else course.start
    told = _loss_swings(record, course, whole) or _accuracy_swings(record)
    if told is None and _alternates(record, course, whole):
        told = "The loss goes up and down from one step to the next by more than noise would"
    if told is None:
        return
    # NaN, where guessing is not known, is not far.
    far = course.explained(course.level(0.25).mean) < _HARDLY and not has_learned_accuracy(record)
    yield Finding(
        symptom="oscillating_loss",
        layers=(),
        severity=Severity.ERROR if far and maturity_of(course) >= FIRM_SHARE else Severity.WARNING,
        first_step=0,
        evidence=f"{told}; the loss is {course.level(0.25).mean:.4g}.",
        remedies=(slower(record), _LARGER_BATCH, CLIPPING),
    )


def overfitting(record: TrainingRecord) -> Iterator[Finding]:
    """The validation loss rises from its minimum while the training loss goes on falling.

    Signal: the generalization loss of the smoothed validation loss (medians of three epochs),
    `GL = last / minimum - 1`, above 0.05, and a strip of at least five epochs since the minimum
    whose robust slope rises beyond noise while that of the training loss falls (after Prechelt:
    his GL_5, the slowest of that family, and his strips of five epochs).

    A warning; information where the validation accuracy is still at its best, as a network that
    is only too sure of itself loses nothing.

    Signal two, in `below_guessing_never`: the validation loss never was below that of the best
    constant prediction, though the training loss is. A fixed answer does better on what the
    network has not seen: an error from half of the plan on (a batch normalization's statistics
    take some hundred steps to follow), a warning before, or where the validation accuracy went
    half of the way from guessing to 1.
    """
    course = course_of(record)
    told = below_guessing_never(record, course) if course and is_supervised(record) else None
    if course and told:
        is_firm = course.share >= _HALF_OF_PLAN and not is_accurate(record)
        yield Finding(
            symptom="overfitting",
            layers=(),
            severity=Severity.ERROR if is_firm else Severity.WARNING,
            first_step=0,
            evidence=told,
            remedies=_REGULARIZED,
        )
        return
    yield from _rises(record)


def _rises(record: TrainingRecord) -> Iterator[Finding]:
    """The validation loss rises from its minimum."""
    train, validation = logged(record, "loss"), logged(record, "val_loss")
    keep = np.isfinite(train) & np.isfinite(validation)
    train, validation = train[keep], validation[keep]
    if len(validation) < _STRIP + 3 or not is_supervised(record) or validation.min() <= 0:
        return
    smooth = medians_of_three(validation)
    best = int(smooth.argmin())
    rise = float(smooth[-1] / smooth[best] - 1)
    strip = np.arange(best, len(smooth), dtype=np.float64)
    if rise <= _GENERALIZATION_LOSS or len(strip) <= _STRIP:
        return
    if not _trend(strip, validation[best:]).rises or not _trend(strip, train[best:]).falls:
        return
    each = int(record.network.get("steps_per_epoch") or 0)
    yield Finding(
        symptom="overfitting",
        layers=(),
        severity=Severity.INFO if _is_at_its_best(record) else Severity.WARNING,
        first_step=best * each,
        evidence=(
            f"Since epoch {best + 1} the validation loss has risen by {rise:.0%}, from "
            f"{smooth[best]:.4g} to {smooth[-1]:.4g}, while the training loss fell from "
            f"{train[best]:.4g} to {train[-1]:.4g}."
        ),
        remedies=_REGULARIZED,
    )


def _trend(at: Doubles, values: Doubles) -> Trend:
    levels = [Level(float(x), float(y), 0.0) for x, y in zip(at, values, strict=True)]
    return trend_of(levels)


def _is_at_its_best(record: TrainingRecord) -> bool:
    """Whether the last epochs' validation accuracy is within 0.01 of the best one."""
    reached = accuracies(record, "val_")
    reached = reached[np.isfinite(reached)]
    return bool(len(reached) and np.median(reached[-3:]) > reached.max() - 0.01)


def _loss_swings(record: TrainingRecord, course: Course, whole: float) -> str | None:
    if not record.groups or not len(record.steps) or not whole > 0:
        return None  # without the steps' losses the noise is not known
    means, errors, each = _epochs_of(record, course)
    if len(means) < _FEWEST_EPOCHS:
        return None
    change = np.diff(means)
    noise = SURE * np.hypot(errors[1:], errors[:-1])
    real = np.abs(change) > np.maximum(noise, _LOSS_SWING * whole)
    swings = min(int((real & (change > 0)).sum()), int((real & (change < 0)).sum()))
    if swings < max(_FEWEST_SWINGS, _SHARE_OF_EPOCHS * len(change)):
        return None
    size = float(np.median(np.abs(change[real])))
    return (
        f"The loss rises beyond noise {swings} times and falls again, over {len(means)} {each}, "
        f"by {size:.3g} each time where {float(np.median(noise)):.2g} would be noise"
    )


def _epochs_of(record: TrainingRecord, course: Course) -> tuple[Doubles, Doubles, str]:
    """Means of the epochs, or of windows where there are few, and their standard errors."""
    logs = logged(record, "loss")
    each = record.network.get("steps_per_epoch")
    if len(logs) >= 10 and np.isfinite(logs).all():
        epochs = max(1, round(course.done / len(logs))) if not each else int(each)
        parts = np.array_split(course.losses, len(logs))
        shown = [noise_of(part) if len(part) >= 10 else course.noise for part in parts]
        return logs, np.array(shown) / math.sqrt(epochs), "epochs"
    if len(course.losses) < 200:
        return np.empty(0), np.empty(0), "windows"
    levels = course.levels(20)
    errors = np.array([level.error for level in levels])
    return np.array([level.mean for level in levels]), errors, "windows"


def _accuracy_swings(record: TrainingRecord) -> str | None:
    reached = accuracies(record)
    samples = record.data.get("samples")
    if len(reached) < 10 or not samples or not np.isfinite(reached).all():
        return None
    variance = np.maximum(reached * (1 - reached), 0) / float(samples)
    change = np.diff(reached)
    real = np.abs(change) >= np.maximum(
        _ACCURACY_SWING, SURE * np.sqrt(variance[1:] + variance[:-1])
    )
    swings = min(int((real & (change < 0)).sum()), int((real & (change > 0)).sum()))
    if swings < max(_FEWEST_SWINGS, _SHARE_OF_EPOCHS * len(change)):
        return None
    return f"The accuracy drops by 0.03 and more in {swings} of {len(reached)} epochs"


def _alternates(record: TrainingRecord, course: Course, whole: float) -> bool:
    """Whether the second half of the losses goes up and down from step to step."""
    losses = course.losses[len(course.losses) // 2 :]
    cycle = int(record.network.get("steps_per_epoch") or 0)
    if len(losses) < 20 or not whole > 0:
        return False
    if 1 < cycle <= _SMALL_CYCLE:  # unshuffled batches come round again
        place = course.steps[len(course.losses) // 2 :].astype(int) % cycle
        own = np.array([losses[place == at].mean() if (place == at).any() else 0 for at in place])
        losses = losses - own
    variance = float(losses.var(ddof=1))
    roughness = float((np.diff(losses) ** 2).mean() / 2)
    # Keras shuffles in the same order after a seed was set: the same batches come round again.
    count = min(len(losses), cycle) if cycle > _SMALL_CYCLE else len(losses)
    needed = max(_ALTERNATES, 1 + 4 / math.sqrt(count))
    return roughness > needed * variance > 0 and math.sqrt(variance) > _LOSS_SWING * whole
