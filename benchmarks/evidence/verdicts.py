"""From paired differences to intervals and verdicts: the rule, fixed before the run."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Student's t, two-sided 95%, by degrees of freedom.
_T = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469, 7: 2.3646, 8: 2.3060,
      9: 2.2622}  # fmt: skip

FOR, AGAINST, NEITHER = "for", "against", "neither"


class Interval(NamedTuple):
    """A mean and its 95% interval."""

    mean: float
    low: float
    high: float

    def widened(self, factor: float) -> "Interval":
        """As far from the mean times the factor."""
        low, high = self.mean - self.low, self.high - self.mean
        return Interval(self.mean, self.mean - factor * low, self.mean + factor * high)

    def counts(self, smallest: float) -> str:
        """Whether a better A is shown: an interval on one side of 0 and a mean that matters."""
        if self.low > 0 and self.mean >= smallest:
            return FOR
        if self.high < 0 and self.mean <= -smallest:
            return AGAINST
        return NEITHER

    def counts_as_good(self, margin: float) -> str:
        """Whether A is shown to be no worse by more than the margin, or to be worse by more."""
        if self.low > -margin:
            return FOR
        return AGAINST if self.high < -margin else NEITHER


def interval(differences: Sequence[float]) -> Interval:
    """Mean and paired t interval of differences, one a seed or one a data set.

    Raises:
        KeyError: There are fewer than two of them or more than ten.
    """
    count = len(differences)
    mean = statistics.fmean(differences)
    half = _T[count - 1] * statistics.stdev(differences) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def verdict(counts: Mapping[str, str]) -> str:
    """In words, of what each data set says."""
    good = [name for name, one in counts.items() if one == FOR]
    bad = [name for name, one in counts.items() if one == AGAINST]
    if len(good) == len(counts):
        return "holds"
    if good and bad:
        return f"holds only on {_listed(good)}; the opposite holds on {_listed(bad)}"
    if good:
        return f"holds only on {_listed(good)}"
    if bad:
        return f"does not hold; the opposite holds on {_listed(bad)}"
    return "does not hold"


def kind(counts: Mapping[str, str]) -> str:
    """The verdict's first words, for counting."""
    found = set(counts.values())
    if found == {FOR}:
        return "holds"
    if AGAINST in found:
        return "mixed" if FOR in found else "the opposite holds"
    return "holds only on some" if FOR in found else "does not hold"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
