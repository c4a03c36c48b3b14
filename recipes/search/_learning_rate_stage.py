"""`LearningRateStage`: the decade, the threshold within it, and half of that."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from ._checks import above_zero, values_of, whole
from ._judged_rates import JudgedRates
from ._replay import Walk, replay, rounded
from ._trials import Candidate, Decision, Trial, Values

_REFINED = (1, 2, 3, 5, 7, 10)
_BELOW = (0.5, 0.3)


@dataclass(frozen=True, kw_only=True)
class LearningRateStage:
    """Finds the threshold, the largest rate whose cost still falls, and chooses half of it.

    ```
    decade:     0.01 first; times 10 while the cost falls, divided by 10 while it doesn't
    threshold:  the largest of 1, 2, 3, 5, 7, 10 decades whose cost still falls
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

    Args:
        start: Float. The first rate. Defaults to `0.01`.
        epochs: Integer. Epochs of each trial. Defaults to `6`.
        share: Float. What is chosen, as a share of the threshold. Defaults to `0.5`.
        lowest: Float. No smaller rate is tried. Defaults to `1e-6`.
        highest: Float. No larger rate is tried. Defaults to `100`.

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

    start: float = 0.01
    epochs: int = 6
    share: float = 0.5
    lowest: float = 1e-6
    highest: float = 100.0

    def __post_init__(self) -> None:
        for name in ("start", "share", "lowest", "highest"):
            above_zero(name, getattr(self, name))
        whole("epochs", self.epochs, at_least=2)
        if not self.lowest <= self.start <= self.highest:
            raise ValueError(
                "`start` must lie between `lowest` and `highest`. Received: "
                f"start={self.start!r}, lowest={self.lowest!r}, highest={self.highest!r}."
            )

    def decide(self, trials: Iterable[Trial], chosen: Values | None = None) -> Decision:
        """What to try next, or the rate and why.

        Args:
            trials: Iterable of `Trial`, finished and running, in any order; others are ignored.
            chosen: Mapping of values that stay as they are. Defaults to none.

        Returns:
            A `Decision`; done, it has chosen `learning_rate`.
        """
        fixed = {"l2": 0.0, **values_of("chosen", chosen), "epochs": self.epochs}
        return replay(trials, lambda walk: _Search(self, walk, fixed).decision())


class _Search:
    """One walk of the stage."""

    def __init__(self, stage: LearningRateStage, walk: Walk, fixed: Values) -> None:
        self.stage, self.walk, self.fixed = stage, walk, fixed
        self.rates = JudgedRates(stage.epochs)

    def decision(self) -> Decision:
        threshold = self.find_threshold(self.find_decade())
        choice = rounded(threshold * self.stage.share)
        tried = self.rates.tried()
        if threshold in (tried[0], tried[-1]):
            self.note(
                f"The threshold {threshold:g} lies on the boundary of the range "
                f"({self.stage.lowest:g} to {self.stage.highest:g}): consider a wider one."
            )
        self.note(
            f"The threshold is {threshold:g}, the largest rate whose cost still falls; "
            f"{self.stage.share:g} of it is {choice:g}.",
            tried,
        )
        return self.walk.done({"learning_rate": choice})

    def find_decade(self) -> float:
        self.run([self.stage.start, 10 * self.stage.start], "the first decades")
        while True:
            tried = self.rates.tried()
            up, down = rounded(10 * tried[-1]), rounded(tried[0] / 10)
            decade = self.rates.best_decade()
            waits = decade is None and self.rates.is_flat(tried[-1])
            if (waits or decade == tried[-1]) and self.in_range(up):
                self.run([up], "up while nothing happens" if waits else "up while it pays")
            elif (decade is None or decade == tried[0]) and self.in_range(down):
                self.run([down], "down, as the best rate so far is the smallest one tried")
            elif decade is None:
                self.fail(tried)
            else:
                self.note(self.why_decade(decade), tried)
                return decade

    def find_threshold(self, decade: float) -> float:
        rates = [rounded(multiple * decade) for multiple in _REFINED]
        low, high = 0, len(rates) - 1
        while high - low > 1:
            middle = (low + high) // 2
            self.run(rates[middle : min(middle + 2, high)], f"within the decade of {decade:g}")
            low, high = self.narrowed(rates, low, high, middle)
        if self.rates.largest_falling() == decade:
            # None of its multiples falls: perhaps the decade's own rate is beyond it already.
            self.run([share * decade for share in _BELOW], "as the largest lies on the boundary")
        return self.rates.largest_falling()

    def narrowed(self, rates: list[float], low: int, high: int, middle: int) -> tuple[int, int]:
        """The next interval: above the largest that falls, below the first that then doesn't."""
        judged = range(middle, min(middle + 2, high))
        low_next = max([low, *(i for i in judged if self.rates.falls(rates[i]))])
        return low_next, min([high, *(i for i in judged if i > low_next)])

    def run(self, rates: Iterable[float], why: str) -> None:
        """Looks up the trials at these rates, as far as the range allows."""
        wanted = [rounded(rate) for rate in rates]
        wanted = [rate for rate in wanted if self.in_range(rate) and rate not in self.rates]
        if not wanted:
            return
        candidates = [Candidate(values={**self.fixed, "learning_rate": r}) for r in wanted]
        found = self.walk.trials(candidates, f"Try {_listed(wanted)}, {why}.")
        for rate, trial in zip(wanted, found, strict=True):
            self.rates.add(rate, trial)
        for rate in wanted:
            self.note(f"At {rate:g} {self.rates.verdict(rate)}.", [rate])

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
