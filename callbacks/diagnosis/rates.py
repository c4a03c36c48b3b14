"""Rules on the learning rate: `learning_rate_too_high` and `learning_rate_too_low`."""

import math
from collections.abc import Iterator

import numpy as np

from ..record import TrainingRecord
from ._accuracy import has_learned_accuracy
from ._course import Course, course_of, is_supervised
from ._levels import SURE, Doubles, start_of
from ._pace import FIRM_SHARE, HALF, had_time, maturity_of, slowness_of
from ._rate import planned_rate
from ._remedies import ADAM, CLIPPING, faster, slower
from ._updates import Updates, sustained_peak, updates_of
from .finding import Finding, Severity
from .swings import oscillating_loss
from .target_scaling import unscaled_target

HOPELESS, OVERWRITES, LARGE, USUAL, SMALL = 2.0, 1.0, 0.1, 1e-3, 1e-4
"""Step over weights, by norm, of a layer: see the rules."""

_DIVERGES = 4.0
_JUMPS = 1.5
_HARDLY = 0.1
_MATERIAL = 0.01
_STANDS, _BEGINS = 0.01, 0.05
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
    - The first step, or the median of three in the first tenth, is as large as the weights (1):
      what the initializer gave is overwritten. An error at once from a ratio of 2 on, from 0.25 of
      the plan on below; a warning where half of the way to a loss of 0 is gone, and where targets
      are unscaled, as the weights have far to go then. Adam 0.03 to 3 and SGD 0.1 to 100 on 8x8
      digits and a regression, 16 and 64 units, 1 to 3 layers: of 6 runs between 1 and 2 one came
      to R² 0.89 (sound: 0.98), of 14 from 2 on none anywhere.
    - A ratio above 0.1 in the first tenth, in which the loss jumps to 1.5 times the larger of its
      start and guessing, and less than 0.1 of the way gone: an error from 0.25 of the plan on.
    - `oscillating_loss` with a ratio above 0.01, ten times the usual: as severe as that.

    UMLAUT's bound on the rate alone (0.01) is none of them, as the rate that an optimizer bears
    depends on the optimizer.
    """
    rate = planned_rate(record)
    if rate is not None and rate < 0:
        evidence = f"The learning rate is {rate:g}: each step climbs."
        yield _too_high(record, Severity.ERROR, 0, evidence)
        return
    course = course_of(record)
    if course is None or not is_supervised(record):
        return
    updates = updates_of(record)
    told = _divergence(course) or (updates and _too_large(record, course, updates))
    if told:
        yield _too_high(record, *told)
        return
    if updates is None or not max(updates.median, updates.early) > 10 * USUAL:
        return
    for swing in oscillating_loss(record):
        evidence = (
            f"A step changes the weights by {updates.early:.2g} of them at first, by "
            f"{updates.median:.2g} in the median. {swing.evidence}"
        )
        yield _too_high(record, swing.severity, swing.first_step, evidence)


def learning_rate_too_low(record: TrainingRecord) -> Iterator[Finding]:
    """The steps are too small for the plan.

    Signals, with `u` the mean over the steps of `|step| / |weights|` of the kernel in which it is
    largest:

    - A rate of 0: an error.
    - By the triangle inequality no kernel can move further than `u` times the planned steps, by
      its own norm, even if all steps point the same way. Below 0.01 the network stays where it
      began: an error where that is no better than half of guessing's loss (a model that was
      trained before may well stay). Below 0.05 it is one where the loss is no better than
      guessing: 13 sound networks, dense, convolutional, recurrent and residual, took 0.08 to 0.9
      of the way until they were.
    - The fall is steady and too slow for the plan (as in `slow_convergence`), and `u` is below
      1e-4, a tenth of the usual 1e-3: as severe as that.

    Without a plan or the size of the steps it is silent, and where there are no steps at all: a
    gradient of 0 is not the rate's. Frozen layers have no columns, so they do not count; a
    schedule that ends near 0 does by its mean.
    """
    rate = planned_rate(record)
    if rate == 0:
        yield _too_low(record, Severity.ERROR, "The learning rate is 0: no step moves a weight.")
        return
    course, updates = course_of(record), updates_of(record)
    if course is None or updates is None or not is_supervised(record) or not had_time(course):
        return
    path = updates.largest * course.planned
    known = not math.isnan(course.guessing)
    far = course.level().mean > HALF * course.guessing if known else True
    now = course.level()
    margin = max(_MATERIAL * course.guessing, SURE * now.error)
    guesses = known and now.mean > course.guessing - margin
    stays = (path < _STANDS and far) or (path < _BEGINS and guesses)
    if path > 0 and stays and not has_learned_accuracy(record):
        evidence = (
            f"A step changes no layer by more than {updates.largest:.1g} of its weights, all "
            f"planned {course.planned:.0f} together by {path:.1g} at the most; the loss is "
            f"{course.level().mean:.4g}."
        )
        severity = Severity.ERROR if known else Severity.WARNING
        yield _too_low(record, severity, evidence)
        return
    slow = slowness_of(record, course) if 0 < updates.largest < SMALL else None
    if slow:
        evidence = f"A step changes a layer's weights by {updates.largest:.1g} of them. "
        severity = Severity.ERROR if slow.is_hopeless else Severity.WARNING
        yield _too_low(record, severity, evidence + slow.evidence)


def _divergence(course: Course) -> tuple[Severity, int, str] | None:
    losses = course.totals  # a penalty diverges too
    window = min(10, len(losses) // 3)
    if window < 2 or losses.min() <= 0:
        return None
    logs, start = np.log(losses), start_of(losses)
    noise = float(np.diff(logs[-5 * window :]).std(ddof=1)) / math.sqrt(2)
    recent = logs[-window:]
    needed = max(math.log(_DIVERGES), 4 * noise * math.sqrt(1 + 1 / window))
    if recent.mean() - math.log(start) <= needed or _falls_back(logs, window, noise):
        return None
    if losses[-1] < course.guessing:  # NaN compares as False
        return None
    above = logs > math.log(start) + needed / 2
    since = len(above) - int((~above[::-1]).argmax()) if not above.all() else 0
    return (
        Severity.ERROR,
        int(course.steps[min(since, len(losses) - 1)]),
        f"The loss has grown from {start:.4g} to {math.exp(recent.mean()):.4g}, "
        f"{math.exp(recent.mean()) / start:.3g} times the first.",
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
    at_once = updates.first > OVERWRITES
    if at_once or updates.early > OVERWRITES:
        fine = way > HALF or (learned and way > _HARDLY)
        which = "step changes" if at_once else "steps change"
        size = updates.first if at_once else updates.early
        evidence = f"The first {which} the weights by {size:.2g} times their norm"
        hopeless = size >= HOPELESS or maturity_of(course) >= FIRM_SHARE
        is_error = hopeless and not (fine or any(unscaled_target(record)))
        severity = Severity.ERROR if is_error else Severity.WARNING
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


def _too_high(record: TrainingRecord, severity: Severity, step: int, evidence: str) -> Finding:
    return Finding(
        symptom="learning_rate_too_high",
        layers=(),
        severity=severity,
        first_step=step,
        evidence=evidence,
        remedies=(slower(record), CLIPPING),
    )


def _too_low(record: TrainingRecord, severity: Severity, evidence: str) -> Finding:
    return Finding(
        symptom="learning_rate_too_low",
        layers=(),
        severity=severity,
        first_step=0,
        evidence=evidence,
        remedies=(faster(record), ADAM),
    )
