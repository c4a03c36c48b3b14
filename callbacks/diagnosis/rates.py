"""Rules on the learning rate: `learning_rate_too_high` and `learning_rate_too_low`."""

import math
from collections.abc import Iterator

import numpy as np

from ..record import TrainingRecord
from ._accuracy import has_learned_accuracy
from ._course import Course, Doubles, course_of, is_supervised
from ._pace import FIRM_SHARE, HALF, had_time, maturity_of, slowness_of
from ._updates import Updates, sustained_peak, updates_of
from .finding import Finding, Remedy, Severity
from .swings import oscillating_loss

OVERWRITES, LARGE, USUAL, SMALL = 1.0, 0.1, 1e-3, 1e-4
"""Step over weights, by norm, of a layer: see the rules."""

_DIVERGES = 4.0
_JUMPS = 1.5
_HARDLY = 0.1
_STANDS = 0.01
_FIRST_ROWS = 10


def learning_rate_too_high(record: TrainingRecord) -> Iterator[Finding]:
    """The steps are too large: the loss climbs, jumps or swings.

    Each signal joins the loss's course with the size of the steps, `|step| / |weights|` of each
    kernel, by its median over the kernels (sound: about 0.001, Karpathy; DeepDiagnosis allows
    0.1; Debugger 10).

    - A rate below 0 climbs: an error.
    - Divergence: the mean log of the last losses is above that of the first one by `log 4`, by
      four standard errors, and no longer falls; the last loss is above guessing. On a quadratic,
      a rate above `2 / curvature` multiplies the loss at each step (LeCun et al. 1998): an error.
    - The first step is as large as the weights (ratio 1): what the initializer gave is
      overwritten. An error until half of the way to a loss of 0 is gone; then a warning.
    - A ratio above 0.1 in the first tenth, in which the loss jumps to 1.5 times the larger of its
      start and guessing, and less than 0.1 of the way gone: an error from 0.25 of the plan on.
    - `oscillating_loss` with a ratio above 0.01, ten times the usual: as severe as that.

    UMLAUT's bound on the rate alone (0.01) is none of them, as the rate that an optimizer bears
    depends on the optimizer.
    """
    rate = _planned_rate(record)
    if rate is not None and rate < 0:
        yield _too_high(
            Severity.ERROR, 0, f"The learning rate is {rate:g}: each step climbs.", rate
        )
        return
    course = course_of(record)
    if course is None or not is_supervised(record):
        return
    updates = updates_of(record)
    told = _divergence(course) or (updates and _too_large(record, course, updates))
    if told:
        severity, step, evidence = told
        yield _too_high(severity, step, evidence, _recorded_rate(record))
        return
    if updates is None or not max(updates.median, updates.early) > 10 * USUAL:
        return
    for swing in oscillating_loss(record):
        evidence = (
            f"A step changes the weights by {updates.early:.2g} of them at first, by "
            f"{updates.median:.2g} in the median. {swing.evidence}"
        )
        yield _too_high(swing.severity, swing.first_step, evidence, _recorded_rate(record))


def learning_rate_too_low(record: TrainingRecord) -> Iterator[Finding]:
    """The steps are too small for the plan.

    Signals, with `u` the mean over the steps of `|step| / |weights|` of the kernel in which it is
    largest:

    - A rate of 0: an error.
    - By the triangle inequality no kernel can move further than `u` times the planned steps, by
      its own norm, even if all steps point the same way. Below 0.01 the network stays where it
      began: an error where that is no better than half of guessing's loss (a model that was
      trained before may well stay).
    - The fall is steady and too slow for the plan (as in `slow_convergence`), and `u` is below
      1e-4, a tenth of the usual 1e-3: as severe as that.

    Without a plan or the size of the steps it is silent, and where there are no steps at all: a
    gradient of 0 is not the rate's. Frozen layers have no columns, so they do not count; a
    schedule that ends near 0 does by its mean.
    """
    rate = _planned_rate(record)
    if rate == 0:
        yield _too_low(Severity.ERROR, "The learning rate is 0: no step moves a weight.", rate)
        return
    course, updates = course_of(record), updates_of(record)
    if course is None or updates is None or not is_supervised(record) or not had_time(course):
        return
    path = updates.largest * course.planned
    known = not math.isnan(course.guessing)
    far = course.level().mean > HALF * course.guessing if known else True
    if 0 < path < _STANDS and far and not has_learned_accuracy(record):
        evidence = (
            f"A step changes no layer by more than {updates.largest:.1g} of its weights, all "
            f"planned {course.planned:.0f} together by {path:.1g} at the most; the loss is "
            f"{course.level().mean:.4g}."
        )
        severity = Severity.ERROR if known else Severity.WARNING
        yield _too_low(severity, evidence, _recorded_rate(record))
        return
    slow = slowness_of(record, course) if 0 < updates.largest < SMALL else None
    if slow:
        evidence = f"A step changes a layer's weights by {updates.largest:.1g} of them. "
        severity = Severity.ERROR if slow.is_hopeless else Severity.WARNING
        yield _too_low(severity, evidence + slow.evidence, _recorded_rate(record))


def _divergence(course: Course) -> tuple[Severity, int, str] | None:
    losses = course.losses
    window = min(10, len(losses) // 3)
    if window < 2 or losses.min() <= 0:
        return None
    logs = np.log(losses)
    noise = float(np.diff(logs[-5 * window :]).std(ddof=1)) / math.sqrt(2)
    recent = logs[-window:]
    needed = max(math.log(_DIVERGES), 4 * noise * math.sqrt(1 + 1 / window))
    if recent.mean() - math.log(course.start) <= needed or _falls_back(logs, window, noise):
        return None
    if losses[-1] < course.guessing:  # NaN compares as False
        return None
    above = logs > math.log(course.start) + needed / 2
    since = len(above) - int((~above[::-1]).argmax()) if not above.all() else 0
    return (
        Severity.ERROR,
        int(course.steps[min(since, len(losses) - 1)]),
        f"The loss has grown from {course.start:.4g} to {math.exp(recent.mean()):.4g}, "
        f"{math.exp(recent.mean()) / course.start:.3g} times the first.",
    )


def _falls_back(logs: Doubles, window: int, noise: float) -> bool:
    """Whether the last losses are below the highest window by more than noise."""
    means = np.convolve(logs, np.full(window, 1 / window), "valid")
    return bool(means.max() - means[-1] > max(math.log(2), 3 * noise * math.sqrt(2 / window)))


def _too_large(
    record: TrainingRecord, course: Course, updates: Updates
) -> tuple[Severity, int, str] | None:
    way = course.explained(course.level().mean)
    way = 1 - course.level().mean / course.start if math.isnan(way) and course.start > 0 else way
    learned = bool(has_learned_accuracy(record))
    if updates.first > OVERWRITES:
        fine = way > HALF or (learned and way > _HARDLY)
        evidence = f"The first step changes the weights by {updates.first:.2g} times their norm"
        severity = Severity.WARNING if fine else Severity.ERROR
        return severity, 0, f"{evidence}: the initialization is overwritten."
    early = max(_FIRST_ROWS, len(course.losses) // 10)
    peak = sustained_peak(course.losses[:early])
    usual = max(course.start, course.guessing) if course.guessing > 0 else course.start
    if not had_time(course) or learned or not way < _HARDLY:
        return None
    if updates.early > LARGE and peak > _JUMPS * usual > 0:
        at = int(course.losses[:early].argmax())
        severity = Severity.ERROR if maturity_of(course) >= FIRM_SHARE else Severity.WARNING
        return (
            severity,
            int(course.steps[at]),
            f"The first steps change the weights by {updates.early:.2g} of them each; the loss "
            f"jumps from {course.start:.4g} to {peak:.4g} and is still {course.level().mean:.4g}.",
        )
    return None


def _planned_rate(record: TrainingRecord) -> float | None:
    """The compiled rate, where it is a number that the recorded steps don't contradict."""
    rate = (record.network.get("optimizer") or {}).get("learning_rate")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)):
        rate = None
    if record.groups and len(record.steps):
        used = record.learning_rate.astype(float)
        used = used[np.isfinite(used)]
        if len(used) and (used > 0).any():
            return None
        if len(used) and (used < 0).all():
            return float(used.min())
    return None if rate is None else float(rate)


def _recorded_rate(record: TrainingRecord) -> float | None:
    if not record.groups or not len(record.steps):
        return _planned_rate(record)
    used = record.learning_rate.astype(float)
    used = used[np.isfinite(used) & (used != 0)]
    return float(np.median(used)) if len(used) else None


def _too_high(severity: Severity, step: int, evidence: str, rate: float | None) -> Finding:
    return Finding(
        symptom="learning_rate_too_high",
        layers=(),
        severity=severity,
        first_step=step,
        evidence=evidence,
        remedies=(
            Remedy(
                kind="learning_rate",
                value=float(f"{rate / 10:.3g}") if rate and rate > 0 else 1e-3,
                reason="Half of the largest rate that does not diverge is about the best one.",
                source="Géron, Hands-On Machine Learning, chapter 11, Learning Rate Scheduling",
            ),
            Remedy(
                kind="clipping",
                value=1.0,
                reason="It bounds the step that a single batch can take.",
                source="Pascanu et al. 2013, On the difficulty of training recurrent networks",
            ),
        ),
    )


def _too_low(severity: Severity, evidence: str, rate: float | None) -> Finding:
    return Finding(
        symptom="learning_rate_too_low",
        layers=(),
        severity=severity,
        first_step=0,
        evidence=evidence,
        remedies=(
            Remedy(
                kind="learning_rate",
                value=float(f"{rate * 10:.3g}") if rate else 1e-3,
                reason="The steps are far smaller than the weights bear.",
                source="Smith 2017, Cyclical Learning Rates",
            ),
            Remedy(
                kind="optimizer",
                value="adam",
                reason="Its steps do not shrink with the gradients.",
                source="Kingma & Ba 2015, Adam",
            ),
        ),
    )
