"""Rules on the loss's progress: `not_learning` and `slow_convergence`."""

import math
from collections.abc import Iterator

import numpy as np

from ..record import TrainingRecord
from ._accuracy import accuracy_against_loss, has_learned_accuracy
from ._course import Course, course_of, is_supervised, logged
from ._guessing import is_crossentropy
from ._levels import SURE, Level, change_point, trend_of
from ._pace import FIRM_SHARE, HALF, had_time, maturity_of, slowness_of
from ._penalty import has_unknown_penalty
from ._remedies import ADAM, NORMALIZATION, range_test
from .finding import Finding, Remedy, Severity

MATERIAL = 0.01
"""A smaller share of the way from guessing to a loss of 0 is no progress (AutoTrainer's bound)."""

_NEAR = 0.1
_HARDLY = 0.1
_GROWING = 1.5

_STEADY = "A steady fall without noise bears a larger rate; a range test tells how large."
_WEAKER = Remedy(
    kind="regularization",
    value={"l2": 1e-4},
    reason="The penalty outweighs what the data say: the weights shrink and nothing else.",
    source="Nielsen, Neural Networks and Deep Learning, chapter 3, Regularization",
)
_MORE_EPOCHS = Remedy(
    kind="epochs",
    value=None,
    reason="The loss was still falling.",
    source="Goodfellow, Bengio and Courville 2016, section 11.4",
)


def not_learning(record: TrainingRecord) -> Iterator[Finding]:
    """The run is no better than guessing, after a fair share of its plan.

    Signal: the last level of the loss against the best constant prediction's,
    `record.data["baseline"]["loss"]` (crossentropy without it: `ln(classes)`, the start's loss of
    a sound classifier; other losses: the run's own start). Not below it by more than three
    standard errors and by 0.01 of it (AutoTrainer: a gain of less than 0.01) is not learning,
    once the noise of the last tenth, quarter or half leaves no room for a tenth of the way, and
    unless the validation loss, which no dropout raises, or the accuracy, which no penalty or
    class weight shifts, is better than guessing. L1 and L2 penalties on the kernels are taken off
    by the recorded norms. A loss far above the baseline that has fallen from its start and rests
    there may be a weighting, or a penalty that isn't known: with crossentropy and no accuracy, or
    with another regularizer, this is a warning at the most.

    Fair: at least 100 steps, or 10 epochs of together 30, and 0.1 of the planned epochs (400
    steps without a plan); an error from 0.25 of them on (1,000 steps). A plateau is left at an
    exponential pace (Saxe et al. 2014): while the gradient grows by half in the second half of
    the run, it is a warning until half of the plan is done.

    "The loss falls, the accuracy does not": a sample on the wrong side of the decision costs a
    crossentropy of `ln 2` or more, so `1 - accuracy <= loss / ln 2` holds for any network, and
    half of it for the best decision on calibrated outputs (Hellman & Raviv 1970). An accuracy
    that is not above guessing and breaks the first bound, or rests where it is and breaks the
    second by 0.05, is not that of what the loss trains: an error.

    Measured on 300 simulated runs each of 500 steps with a noise of 0.3: 99.7% of those at rest
    at guessing are errors, none of those that fall, and none whose labels' noise leaves 0.9 of
    guessing's loss.
    """
    course = course_of(record)
    if course is None or not is_supervised(record):
        return
    mismatch = accuracy_against_loss(record, course)
    if mismatch:
        yield _not_learning(Severity.ERROR, 0, mismatch)
        return
    maturity = maturity_of(course)
    if not had_time(course) or has_learned_accuracy(record):
        return
    severity = _stuck(record, course)
    if severity is None:
        return
    if maturity < FIRM_SHARE or (maturity < HALF and _leaves_a_plateau(record)):
        severity = Severity.WARNING
    outweighed = _is_outweighed(course)
    yield _not_learning(severity, _since(course), _stuck_evidence(course), outweighed)


def slow_convergence(record: TrainingRecord) -> Iterator[Finding]:
    """The loss falls, but will not be halfway from guessing to 0 by the end of the plan.

    Signal: the tangent of the run's second half, made steeper by two standard errors, and led on
    to the plan's end: a falling loss is convex, so this is the best that can be hoped for. The
    halfway mark is half the loss of the best constant prediction (half of the run's own start
    where that is not known: a warning then). The fall must be beyond noise, and steady: a slope
    that has halved from the first half to the second nears a floor, which may be the noise in
    the labels, and is none of this rule's; nor is a crossentropy whose targets lie between 0 and
    1 (an autoencoder's), as 0 is out of its reach. One that grows is a plateau that ends: no
    finding before half of the plan.

    A warning from 0.1 of the planned epochs on; an error from 0.25 on where not even 0.1 of the
    way can be reached. Without a plan, or where the accuracy is halfway already, it is silent.
    AutoTrainer calls an epoch's gain below 0.01 slow, whatever the plan is.
    """
    course = course_of(record)
    slow = slowness_of(record, course) if course and is_supervised(record) else None
    if slow:
        yield Finding(
            symptom="slow_convergence",
            layers=(),
            severity=Severity.ERROR if slow.is_hopeless else Severity.WARNING,
            first_step=0,
            evidence=slow.evidence,
            remedies=(range_test(_STEADY), ADAM, _MORE_EPOCHS),
        )


def _not_learning(
    severity: Severity, step: int, evidence: str, outweighed: bool = False
) -> Finding:
    return Finding(
        symptom="not_learning",
        layers=(),
        severity=severity,
        first_step=step,
        evidence=evidence,
        remedies=(*[_WEAKER] * outweighed, range_test(), ADAM, NORMALIZATION),
    )


def _stuck(record: TrainingRecord, course: Course) -> Severity | None:
    """How bad it is that the loss rests where it does; None where it is on its way."""
    now = course.level()
    if math.isnan(course.guessing):
        return Severity.WARNING if not _has_fallen(course, now) else None
    if _is_below_guessing(record, course):
        return None
    if now.mean <= (1 + _NEAR) * course.guessing:
        return Severity.ERROR if course.measured else Severity.WARNING
    if not _has_fallen(course, now):
        return Severity.ERROR
    later = trend_of(course.levels(20)[10:])
    if later.falls and later.slope * course.done / 2 < -MATERIAL * now.mean:
        return None
    explained = is_crossentropy(record) and has_learned_accuracy(record) is None
    return Severity.WARNING if explained or has_unknown_penalty(record) else Severity.ERROR


def _is_outweighed(course: Course) -> bool:
    """Whether the penalties were the larger part of the loss when the run began."""
    return float(np.median((course.totals - course.losses)[:3])) > course.start


def _is_below_guessing(record: TrainingRecord, course: Course) -> bool:
    """Whether the loss is below guessing, or its noise leaves room for a tenth of the way."""
    now, material = course.level(), MATERIAL * course.guessing
    if any(course.guessing - loss > material for loss in _last_validation(record)):
        return True
    wide = [course.level(share) for share in (0.25, 0.5)]
    # A wider window has less noise, but may hold a fall, or a time before a collapse.
    still = [one for one in wide if now.mean - one.mean <= SURE * math.hypot(now.error, one.error)]
    levels = [now, *still]
    if any(course.guessing - one.mean > max(SURE * one.error, material) for one in levels):
        return True
    best = min(levels, key=lambda one: one.error)
    return course.guessing - best.mean + 2 * best.error > _HARDLY * course.guessing


def _has_fallen(course: Course, now: Level) -> bool:
    """Whether the loss is below its start beyond noise, and by a tenth."""
    noise = SURE * math.hypot(now.error, course.noise / math.sqrt(3))
    margin = max(noise, _NEAR * abs(course.start))
    return course.start - now.mean > margin


def _last_validation(record: TrainingRecord) -> list[float]:
    """The last epochs' validation losses, less the twentieth that another sample may differ by."""
    values = logged(record, "val_loss")[-3:]
    values = values[np.isfinite(values)]
    return [float(np.median(values)) / 0.95] if len(values) else []


def _leaves_a_plateau(record: TrainingRecord) -> bool:
    """Whether the whole gradient has grown by half in the second half of the run."""
    if "gradient_norm" not in record.statistics or len(record.steps) < 20:
        return False
    norms = record["gradient_norm"].astype(np.float64)
    whole = np.sqrt((np.where(np.isfinite(norms), norms, 0) ** 2).sum(1))
    steps = record.steps.astype(np.float64)
    half = len(whole) // 2
    with np.errstate(divide="ignore"):
        logs = np.log(whole[half:])
    keep = np.isfinite(logs)
    parts = np.array_split(np.flatnonzero(keep), min(8, int(keep.sum()) // 2 or 1))
    places = [(steps[half:][at].mean(), logs[at].mean()) for at in parts if len(at)]
    trend = trend_of([Level(float(step), float(log), 0.0) for step, log in places])
    return trend.rises and trend.slope * (steps[-1] - steps[half]) > math.log(_GROWING)


def _since(course: Course) -> int:
    """From which step on it is no better than guessing: after the change point, if it ever was."""
    levels = course.levels(20)
    means = np.array([level.mean for level in levels])
    if math.isnan(course.guessing) or means.min() > (1 - _NEAR) * course.guessing:
        return 0
    best = int(means.argmin())
    at = best + change_point(means[best:]) if best + 1 < len(means) else best
    return int(levels[min(at, len(levels) - 1)].step)


def _stuck_evidence(course: Course) -> str:
    now = course.level()
    if math.isnan(course.guessing):
        against = f"and began at {course.start:.4g}"
    else:
        against = f"against {course.guessing:.4g} for the best constant prediction"
    which = "the loss without its penalties" if course.is_penalized else "the loss"
    return f"After {course.done:.0f} steps {which} is {now.mean:.4g} ± {now.error:.2g}, {against}."
