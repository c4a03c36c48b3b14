"""How fast the loss falls, and where that would lead by the end of the plan.

A loss curve is convex once it falls: what is easy comes first. So its tangent bounds what is to
come from below,

    loss(end) >= loss(now) + slope (end - now)

and a slope made steeper by two of its standard errors is the most that can be hoped for. The one
exception, a plateau before the fall, shows as a slope that grows.
"""

import math
from dataclasses import dataclass

from ..record import TrainingRecord
from ._accuracy import is_halfway_accurate
from ._course import Course
from ._guessing import has_soft_targets
from ._levels import Level, Trend, trend_of

FAIR_STEPS, FAIR_SHARE = 100, 0.1
"""Steps, and share of the plan, after which something should have been learned."""

FIRM_SHARE, HALF = 0.25, 0.5
"""Share of the plan after which a fault is an error; after which there is no excuse left."""

WARMED_UP = 0.1
"""Share of the losses that is left out: the first fall, as outputs and biases find their place."""

_USUAL_PLAN = 4000  # without a plan: a quarter of it is 1,000 steps
_HARDLY = 0.1
_LEVELS = 20
_FEWEST_LEVELS = 8


@dataclass(frozen=True)
class Pace:
    """The slopes of the run's two halves after its first fall, and where the second leads.

    Attributes:
        earlier: Trend of the first half.
        later: Trend of the second half.
        now: The last level.
        reached: The lowest loss that the tangent lets hope for at the plan's end, NaN without a
            plan.
    """

    earlier: Trend
    later: Trend
    now: Level
    reached: float

    @property
    def accelerates(self) -> bool:
        """Whether the fall grows steeper beyond noise: a plateau that ends."""
        gap = 3 * math.hypot(self.earlier.error, self.later.error)
        return self.later.slope < 1.5 * self.earlier.slope - gap

    @property
    def is_steady(self) -> bool:
        """Whether it falls beyond noise, and has not slowed down on the way to its floor.

        An exponential approach to a floor whose slope falls to `r` from one half to the next has
        `r²` of its way left after twice the time: with a half or more, a quarter or more.
        """
        return self.later.falls and self.later.slope <= self.earlier.slope / 2


def pace_of(course: Course) -> Pace | None:
    """The pace of a run; None where there are too few losses to tell."""
    levels = course.levels(_LEVELS, WARMED_UP)
    if len(levels) < _FEWEST_LEVELS:
        return None
    half = len(levels) // 2
    later = trend_of(levels[half:])
    now = course.level()
    left = max(0.0, course.planned - course.done)
    hoped = min(0.0, later.slope - 2 * later.error) if left else 0.0
    reached = now.mean + hoped * left if not math.isnan(course.planned) else math.nan
    return Pace(trend_of(levels[:half]), later, now, reached)


@dataclass(frozen=True)
class Slowness:
    """That the plan's end comes before half of the way, whether even a tenth, and the numbers."""

    is_hopeless: bool
    evidence: str


def slowness_of(record: TrainingRecord, course: Course) -> Slowness | None:
    """Whether a steady fall is too slow for the plan; None where it is not, or not known."""
    pace = pace_of(course)
    if pace is None or math.isnan(course.planned) or not had_time(course):
        return None
    known = not math.isnan(course.guessing)
    whole = course.guessing if known else course.start
    if whole <= 0 or has_soft_targets(record) or is_halfway_accurate(record):
        return None
    if (
        not pace.is_steady
        or pace.reached <= HALF * whole
        or (pace.accelerates and course.share < HALF)
    ):
        return None
    return Slowness(
        known and pace.reached > (1 - _HARDLY) * whole and course.share >= FIRM_SHARE,
        f"After {course.share:.0%} of the planned steps the loss is {pace.now.mean:.4g} and "
        f"falls steadily by {-pace.later.slope * 1000:.2g} in 1,000 steps; at best that leads to "
        f"{pace.reached:.4g} by the end, against {HALF * whole:.4g} halfway from "
        f"{'guessing' if known else 'the start'} to 0.",
    )


def maturity_of(course: Course) -> float:
    """Share of the plan that is done, or of a usual one."""
    return min(1.0, course.done / _USUAL_PLAN) if math.isnan(course.share) else course.share


def had_time(course: Course) -> bool:
    """Whether a sound run should show some progress by now: see `not_learning`."""
    enough_epochs = course.epochs_done >= 10 and course.done >= 30
    enough = len(course.losses) >= 5 and (course.done >= FAIR_STEPS or enough_epochs)
    return enough and maturity_of(course) >= FAIR_SHARE
