"""`LearningRateStage`: the decade, the threshold within it, and half of that."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from ._checks import above_zero, values_of, whole
from ._judged_rates import JudgedRates
from ._replay import Walk, replay, rounded
from ._trials import Candidate, Decision, Rival, Trial, Values

_FIRST = 0.01
_REFINED = (1, 2, 3, 5, 7, 10)
_BELOW = (0.5, 0.3)


@dataclass(frozen=True, kw_only=True)
class LearningRateStage:
    """Finds the threshold, the largest rate whose cost still falls, and chooses half of it.

    ```
    decade:     0.01 first; times 10 while the cost falls, divided by 10 while it doesn't
    threshold:  the largest of 1, 2, 3, 5, 7, 10 decades whose cost still falls; where that is
                10, on in the next decade
    choice:     threshold / 2
    ```

    Choose it first of all stages. Each rate is tried for a few epochs at lambda 0, and judged on
    its true per-step losses. Its cost falls if

    - no loss is NaN or infinite,
    - the last epoch's cost is below the first's beyond noise (two standard errors),
    - the cost rises at most once from one epoch to the next beyond noise, and doesn't alternate
      from step to step,
    - the last epoch's cost is not above that of any smaller rate beyond noise. With small batches
      a rate that is too large shows no rise: it falls, but stays above what a smaller one has
      reached, since each step undoes a part of the last. Only beside each other are they told.

    A decade higher counts where it saves at least a tenth of the cost. An optimum on the boundary
    of what was tried is no optimum: the range is extended until `lowest` and `highest`.

    Near the threshold the cost hangs on the initial weights more than on the batches. Where the
    choice hangs on a gap of under two standard errors, the two rates are run again with other
    seeds, and each is judged on all its runs together: the threshold and the best smaller rate if
    that one is lower, or a decade that saves a tenth within noise.

    Args:
        start: Float. The first rate. With `None`, the decade of a `learning_rate` that was chosen
            before, or else `0.01`, moved into the range. Defaults to `None`.
        epochs: Integer. Epochs of each trial. Defaults to `6`.
        share: Float. What is chosen, as a share of the threshold, above 0 and at most 1. Defaults
            to `0.5`.
        lowest: Float. No smaller rate is tried. Defaults to `1e-6`.
        highest: Float. No larger rate is tried. Defaults to `100`.
        executions: Integer. How often a rate is run at most. Defaults to `2`.

    Raises:
        ValueError: An argument is out of its range.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Learning rate"; Géron,
        *Hands-On Machine Learning*, chapter 11, "Learning Rate Scheduling".

    Example:
        ```python
        stage = LearningRateStage()
        [c.values["learning_rate"] for c in stage.decide([]).candidates]  # [0.01, 0.1]
        ```
    """

    start: float | None = None
    epochs: int = 6
    share: float = 0.5
    lowest: float = 1e-6
    highest: float = 100.0
    executions: int = 2

    def __post_init__(self) -> None:
        for name in ("share", "lowest", "highest"):
            above_zero(name, getattr(self, name))
        whole("epochs", self.epochs, at_least=2)
        whole("executions", self.executions)
        if self.share > 1:
            raise ValueError(
                "`share` must be a share of the threshold, above 0 and at most 1: beyond the "
                f"threshold the cost falls no longer. Received: share={self.share!r}."
            )
        if self.lowest > self.highest:
            raise ValueError(
                "`lowest` must not be above `highest`. "
                f"Received: lowest={self.lowest!r}, highest={self.highest!r}."
            )
        if self.start is None:
            return
        above_zero("start", self.start)
        if not self.lowest <= self.start <= self.highest:
            raise ValueError(
                "`start` must lie between `lowest` and `highest`. Received: "
                f"start={self.start!r}, lowest={self.lowest!r}, highest={self.highest!r}."
            )

    def decide(self, trials: Iterable[Trial], chosen: Values | None = None) -> Decision:
        """What to try next, or the rate and why.

        Args:
            trials: Iterable of `Trial`, finished and running, in any order; others are ignored.
            chosen: Mapping of values that stay as they are; a `learning_rate` among them says
                where to begin. Defaults to none.

        Returns:
            A `Decision`; done, it has chosen `learning_rate`.
        """
        fixed = {"l2": 0.0, **values_of("chosen", chosen), "epochs": self.epochs}
        return replay(trials, lambda walk: _Search(self, walk, fixed).decision())

    def first(self, chosen: Values) -> float:
        """The rate to begin with."""
        if self.start is not None:
            return self.start
        rate = chosen.get("learning_rate")
        if rate is None:
            decade = _FIRST
        else:
            above_zero("learning_rate", rate)
            decade = rounded(10.0 ** math.floor(math.log10(rate)))
        return min(max(decade, self.lowest), self.highest)


class _Search:
    """One walk of the stage."""

    def __init__(self, stage: LearningRateStage, walk: Walk, fixed: Values) -> None:
        self.stage, self.walk, self.fixed = stage, walk, fixed
        self.first = stage.first(fixed)
        self.rates = JudgedRates(stage.epochs)
        self.said_to_fall: set[float] = set()

    def decision(self) -> Decision:
        threshold = self.find_threshold(self.find_decade())
        choice = rounded(threshold * self.stage.share)
        tried = self.rates.tried()
        if gone := [rate for rate in sorted(self.said_to_fall) if not self.rates.falls(rate)]:
            found = "; ".join(f"{rate:g}, as {self.rates.why_not(rate)}" for rate in gone)
            self.note(f"No longer taken to fall: {found}.", gone)
        if threshold not in self.said_to_fall:
            self.tell(threshold, f"At {threshold:g}, beside all runs,")
        if threshold in (tried[0], tried[-1]):
            self.note(
                f"The threshold {threshold:g} lies on the boundary of the range "
                f"({self.stage.lowest:g} to {self.stage.highest:g}): consider a wider one.",
                [threshold],
            )
        self.note(
            f"The threshold is {threshold:g}, the largest rate whose cost still falls; "
            f"{self.stage.share:g} of it is {choice:g}.",
            tried,
        )
        return self.walk.done({"learning_rate": choice})

    def find_decade(self) -> float:
        self.run([self.first, 10 * self.first], "the first decades")
        while True:
            tried = self.rates.tried()
            up, down = rounded(10 * tried[-1]), rounded(tried[0] / 10)
            decade = self.rates.best_decade()
            waits = decade is None and self.rates.is_flat(tried[-1])
            if (waits or decade == tried[-1]) and self.in_range(up):
                self.run([up], "up while nothing happens" if waits else "up while it pays")
            elif self.repeat(self.rates.undecided_decades()):
                continue
            elif (decade is None or decade == tried[0]) and self.in_range(down):
                lowest_is_best = "the best rate so far is the smallest one tried"
                self.run([down], f"down, as {lowest_is_best if decade else 'none of them falls'}")
            elif decade is None:
                self.fail(tried)
            else:
                self.note(self.why_decade(decade), tried)
                return decade

    def find_threshold(self, decade: float) -> float:
        """Within the decade; where its end is the threshold, on by decades and within the last."""
        while (threshold := self.find_within(decade)) >= rounded(10 * decade):
            decade = threshold
            while decade == self.rates.tried()[-1] and self.run(
                [10 * decade], "up, as the cost falls at the largest rate tried"
            ):
                decade = self.rates.largest_falling() or decade
        return threshold

    def find_within(self, decade: float) -> float:
        rates = [rounded(multiple * decade) for multiple in _REFINED]
        below = [share * decade for share in _BELOW]
        while True:
            threshold = self.rates.largest_falling()
            if (between := self.between(rates)) and self.run(
                between, f"within the decade of {decade:g}"
            ):
                continue
            # None of its multiples falls: perhaps the decade's own rate is beyond it already.
            looks = (
                1 if threshold == decade else 2 if threshold is None or threshold < decade else 0
            )
            if looks and self.run(below[:looks], "as none of its multiples falls"):
                continue
            if self.repeat(self.rates.undecided_threshold()):
                continue
            if threshold == self.rates.tried()[0] and self.run(
                [0.5 * threshold], "as the smallest one tried is the threshold"
            ):
                continue
            if threshold is None:
                self.fail(self.rates.tried())
            return threshold

    def between(self, rates: list[float]) -> list[float]:
        """The middle of what is left: above the largest that falls, below the next one tried."""
        inner = range(1, len(rates) - 1)
        low = max([0, *(i for i in inner if self.rates.falls(rates[i]))])
        high = min([len(rates) - 1, *(i for i in inner if i > low and rates[i] in self.rates)])
        middle = (low + high) // 2
        return rates[middle : min(middle + 2, high)] if high - low > 1 else []

    def run(self, rates: Iterable[float], why: str) -> bool:
        """Looks up the trials at these rates, as far as the range allows; whether any is new."""
        wanted = [rounded(rate) for rate in rates]
        wanted = [rate for rate in wanted if self.in_range(rate) and rate not in self.rates]
        self.look_up(wanted, f"Try {_listed(wanted)}, {why}.")
        for rate in wanted:
            self.tell(rate, f"At {rate:g}")
        return bool(wanted)

    def repeat(self, rates: Iterable[float]) -> bool:
        """Looks up another execution of these rates; whether any is left."""
        wanted = [rate for rate in rates if self.rates.runs(rate) < self.stage.executions]
        self.look_up(
            wanted,
            f"The choice hangs on a gap within two standard errors: run {_listed(wanted)} again "
            "with another seed.",
        )
        for rate in wanted:
            self.tell(rate, f"At {rate:g}, in {self.rates.runs(rate)} runs,")
        return bool(wanted)

    def tell(self, rate: float, where: str) -> None:
        self.note(f"{where} {self.rates.verdict(rate)}.", [rate])
        (self.said_to_fall.add if self.rates.falls(rate) else self.said_to_fall.discard)(rate)

    def look_up(self, rates: list[float], sentence: str) -> None:
        if not rates:
            return
        candidates = [
            Candidate(
                values={**self.fixed, "learning_rate": rate},
                execution=self.rates.runs(rate) if rate in self.rates else 0,
                rival=Rival(measure="cost", curve=self.rates.curve_below(rate)),
            )
            for rate in rates
        ]
        for rate, trial in zip(rates, self.walk.trials(candidates, sentence), strict=True):
            self.rates.add(rate, trial)

    def in_range(self, rate: float) -> bool:
        return self.stage.lowest <= rate <= self.stage.highest

    def why_decade(self, decade: float) -> str:
        larger = [r for r in self.rates.tried() if r > decade and self.rates.falls(r)]
        if not larger:
            return f"The decade is {decade:g}."
        return (
            f"The decade is {decade:g}: at {_listed(larger)} the cost falls too, yet saves less "
            "than a tenth or no more than noise."
        )

    def note(self, sentence: str, rates: Iterable[float] = ()) -> None:
        self.walk.note(sentence, self.rates.trials(rates))

    def fail(self, tried: list[float]) -> NoReturn:
        self.walk.failed(
            f"At none of the rates {_listed(tried)} does the cost fall. Look at the data (NaN, "
            "scale), the loss and the initialization before the rate; or widen `lowest` and "
            f"`highest` ({self.stage.lowest:g}, {self.stage.highest:g}).",
            self.rates.trials(tried),
        )


def _listed(rates: Iterable[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
