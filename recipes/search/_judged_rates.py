"""Learning rates judged by their costs, each by itself and beside the smaller ones."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ._oscillation import Course, course_of, is_more, pooled
from ._trials import Trial

# What a decade more must save of the cost to be worth it; the refinement covers the rest.
_GAIN = 0.1

_WORDS = {
    "falls": "falls",
    "flat": "neither falls nor rises, within noise",
    "rises": "rises",
    "oscillates": "oscillates",
}


class JudgedRates:
    """The rates tried so far, each judged on all its runs together.

    Args:
        epochs: Integer. How many of a trial's epochs count.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._trials: dict[float, list[Trial]] = {}
        self._courses: dict[float, Course] = {}

    def add(self, rate: float, trial: Trial) -> None:
        """Adds a finished trial of a rate, its first or another execution."""
        runs = self._trials.setdefault(rate, [])
        runs.append(trial)
        self._courses[rate] = course_of(_together(runs, self._epochs), self._epochs)

    def __contains__(self, rate: float) -> bool:
        return rate in self._trials

    def tried(self) -> list[float]:
        """All rates, in ascending order."""
        return sorted(self._trials)

    def trials(self, rates: Iterable[float]) -> list[Trial]:
        """The trials of these rates."""
        return [trial for rate in rates for trial in self._trials[rate]]

    def runs(self, rate: float) -> int:
        """How often a rate was run."""
        return len(self._trials[rate])

    def falls(self, rate: float) -> bool:
        """Whether the cost falls, and no smaller rate has reached a lower one."""
        return self._is("falls", rate)

    def is_flat(self, rate: float) -> bool:
        """Whether nothing happens: the rate is too small, or the network doesn't learn at all."""
        return self._is("flat", rate)

    def best_decade(self) -> float | None:
        """The largest rate that saves something against the best one below it."""
        best = None
        for rate in filter(self.falls, self.tried()):
            if best is None or self._gains(rate, best):
                best = rate
        return best

    def undecided_decades(self) -> list[float]:
        """Two rates of which the larger one saves a tenth, yet no more than noise."""
        best = self.best_decade()
        larger = [r for r in filter(self.falls, self.tried()) if best is not None and r > best]
        return next(([best, r] for r in larger if best is not None and self._saves(r, best)), [])

    def largest_falling(self) -> float | None:
        """The threshold so far."""
        return max(filter(self.falls, self._trials), default=None)

    def undecided_threshold(self) -> list[float]:
        """The threshold and the best smaller rate, where it is above that, yet within noise."""
        threshold = self.largest_falling()
        smaller = [r for r in self._falling_alone() if threshold is not None and r < threshold]
        if threshold is None or not smaller:
            return []
        best = min(smaller, key=lambda r: (self._courses[r].cost, r))
        above = self._courses[threshold].cost > self._courses[best].cost
        return [best, threshold] if above else []

    def curve_below(self, rate: float) -> tuple[float, ...]:
        """Each epoch's cost in the run that ended lowest, of the smaller rates that fall."""
        falling = [smaller for smaller in self._falling_alone() if smaller < rate]
        if not falling:
            return ()
        best = min(falling, key=lambda r: (self._courses[r].cost, r))
        return tuple(epoch.mean for epoch in self._trials[best][0].losses[: self._epochs])

    def verdict(self, rate: float) -> str:
        """What the cost did, in words."""
        course = self._courses[rate]
        if course.word == "diverged":
            return "training diverges"
        first = _together(self._trials[rate], self._epochs).losses[0].mean
        went = f"the cost goes from {first:.3g} to {course.cost:.3g}"
        better = self._better_smaller(rate)
        if course.word in ("falls", "flat") and better is not None:
            return f"{went}, yet {self.why_not(rate)}: too large"
        return f"{went}: it {_WORDS[course.word]}"

    def why_not(self, rate: float) -> str:
        """Why a rate doesn't count as falling, in words."""
        course, better = self._courses[rate], self._better_smaller(rate)
        if course.word not in ("falls", "flat") or better is None:
            return "training diverges" if course.word == "diverged" else f"it {_WORDS[course.word]}"
        return f"{better:g} has reached {self._courses[better].cost:.3g}"

    def _is(self, word: str, rate: float) -> bool:
        course = self._courses.get(rate)
        return course is not None and course.word == word and self._better_smaller(rate) is None

    def _falling_alone(self) -> list[float]:
        return [rate for rate in self.tried() if self._courses[rate].word == "falls"]

    def _better_smaller(self, rate: float) -> float | None:
        """The smaller rate with the lowest cost, if that is lower beyond noise."""
        smaller = [r for r in self._falling_alone() if r < rate]
        for other in sorted(smaller, key=lambda r: (self._courses[r].cost, r)):
            if self._is_above(rate, other):
                return other
        return None

    def _saves(self, rate: float, smaller: float) -> bool:
        before, after = self._courses[smaller].cost, self._courses[rate].cost
        return before - after > _GAIN * abs(before)

    def _gains(self, rate: float, smaller: float) -> bool:
        return self._saves(rate, smaller) and self._is_above(smaller, rate)

    def _is_above(self, rate: float, other: float) -> bool:
        """Whether the first rate's cost is above the other's beyond noise."""
        own, its = self._courses[rate], self._courses[other]
        return is_more(own.cost, its.cost, own.standard_error, its.standard_error)


def _together(runs: Sequence[Trial], epochs: int) -> Trial:
    """All runs of a rate as one: each epoch's losses together."""
    if len(runs) == 1:
        return runs[0]
    return replace(
        runs[0],
        diverged=any(run.diverged for run in runs),
        losses=pooled([run.losses[:epochs] for run in runs]),
    )
