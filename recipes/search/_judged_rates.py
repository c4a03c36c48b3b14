"""Learning rates judged by their costs, each by itself and beside the smaller ones."""

from collections.abc import Iterable

from ._oscillation import Course, course_of, is_more
from ._trials import Trial

# What a decade more must save of the cost to be worth it; the refinement covers the rest.
_GAIN = 0.1

_WORDS = {
    "falls": "falls",
    "flat": "neither falls nor rises beyond noise",
    "rises": "rises",
    "oscillates": "oscillates",
}


class JudgedRates:
    """The rates tried so far.

    Args:
        epochs: Integer. How many of a trial's epochs count.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._trials: dict[float, Trial] = {}
        self._courses: dict[float, Course] = {}

    def add(self, rate: float, trial: Trial) -> None:
        """Adds the finished trial of a rate."""
        self._trials[rate] = trial
        self._courses[rate] = course_of(trial, self._epochs)

    def __contains__(self, rate: float) -> bool:
        return rate in self._trials

    def tried(self) -> list[float]:
        """All rates, in ascending order."""
        return sorted(self._trials)

    def trials(self, rates: Iterable[float]) -> list[Trial]:
        """The trials of these rates."""
        return [self._trials[rate] for rate in rates]

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

    def largest_falling(self) -> float:
        """The threshold so far."""
        return max(filter(self.falls, self._trials))

    def verdict(self, rate: float) -> str:
        """What the cost did, in words."""
        course = self._courses[rate]
        if course.word == "diverged":
            return "training diverges"
        went = f"the cost goes from {self._trials[rate].losses[0].mean:.3g} to {course.cost:.3g}"
        better = self._better_smaller(rate)
        if course.word in ("falls", "flat") and better is not None:
            reached = self._courses[better].cost
            return f"{went}, yet {better:g} has reached {reached:.3g}: too large"
        return f"{went}: it {_WORDS[course.word]}"

    def _is(self, word: str, rate: float) -> bool:
        course = self._courses.get(rate)
        return course is not None and course.word == word and self._better_smaller(rate) is None

    def _better_smaller(self, rate: float) -> float | None:
        """The smaller rate with the lowest cost, if that is lower beyond noise."""
        smaller = [r for r in self._trials if r < rate and self._courses[r].word == "falls"]
        for other in sorted(smaller, key=lambda r: (self._courses[r].cost, r)):
            if self._is_above(rate, other):
                return other
        return None

    def _gains(self, rate: float, smaller: float) -> bool:
        before, after = self._courses[smaller].cost, self._courses[rate].cost
        return before - after > _GAIN * abs(before) and self._is_above(smaller, rate)

    def _is_above(self, rate: float, other: float) -> bool:
        """Whether the first rate's cost is above the other's beyond noise."""
        own, its = self._courses[rate], self._courses[other]
        return is_more(own.cost, its.cost, own.standard_error, its.standard_error)
