"""What a range test tells: the smoothed loss, when to stop, which rates. NumPy only."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

SUGGESTIONS = ("valley", "steepest", "tenth_of_minimum", "slide", "half_threshold")

# As fastai does: the first tenth is warm-up, the last five belong to the divergence.
FIRST_SHARE, LAST_LEFT_OUT = 10, 5
_SURE = 5.0  # standard errors; see `rises_and_falls`


class Course:
    """The losses so far, smoothed, and whether to go on.

    ```
    smoothed[i] = (1 - s) * sum_j s^(i - j) * loss[j] / (1 - s^(i + 1)),    j = 0..i
    ```

    Args:
        steps: Integer. Steps of the whole test.
        smoothing: Float in `[0, 1)`: `s`.
        stop_factor: Float above 1. The test has diverged where the smoothed loss is larger than
            this many times the smallest one after the first tenth of the steps.

    Attributes:
        rates: The rates so far.
        losses: Their losses.
        smoothed: The losses smoothed; NaN where a loss is not finite.
        ended: `"diverged"`, `"non_finite"`, `"highest"` once all rates were tried, else `"early"`.
    """

    def __init__(self, steps: int, smoothing: float, stop_factor: float) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.ended = "early"
        self._steps, self._smoothing, self._stop_factor = steps, smoothing, stop_factor
        self._sum, self._smallest = 0.0, math.inf

    def add(self, rate: float, loss: float) -> None:
        """Takes the next step, unless the test has ended."""
        if self.ended != "early":
            return
        self.rates.append(rate)
        self.losses.append(loss)
        if not math.isfinite(loss):
            self.smoothed.append(math.nan)
            self.ended = "non_finite"
            return
        self._sum = self._smoothing * self._sum + (1 - self._smoothing) * loss
        smoothed = self._sum / (1 - self._smoothing ** len(self.losses))
        self.smoothed.append(smoothed)
        if len(self.losses) > self._steps // FIRST_SHARE:
            # A lucky first batch is not the smallest loss that the rest is held against.
            self._smallest = min(self._smallest, smoothed)
            # For a positive loss this is: larger than `stop_factor` times the smallest.
            limit = self._smallest + (self._stop_factor - 1) * abs(self._smallest)
            self.ended = "diverged" if smoothed > limit else self.ended
        if len(self.losses) == self._steps and self.ended == "early":
            self.ended = "highest"


def suggest(
    course: Course, steps: int, smoothing: float
) -> tuple[dict[str, float | None], dict[str, str]]:
    """The suggested rates, None where one can't be told, and for those the reason.

    Args:
        course: The test, ended.
        steps: Integer. Steps that it was to have.
        smoothing: Float. Its smoothing.
    """
    rates, smoothed = np.array(course.rates), np.array(course.smoothed)
    finite = np.isfinite(smoothed)
    rates, smoothed = rates[finite], smoothed[finite]
    first = steps // FIRST_SHARE
    found: dict[str, float | None] = dict.fromkeys(SUGGESTIONS)
    if len(smoothed) < first + 3:
        reason = (
            f"the loss stayed finite for {len(smoothed)} of {steps} steps, too few: lower `lowest`"
            if course.ended != "early"
            else f"only {len(smoothed)} of {steps} rates were tried: pass more data"
        )
        return found, dict.fromkeys(SUGGESTIONS, reason)
    fell, rose = rises_and_falls(np.array(course.losses)[finite], smoothed, first, smoothing)
    if not fell:
        reason = (
            "the loss never fell by more than its noise: the rates are too low or too high, the "
            "batches too small, or the model does not learn"
        )
        return found, dict.fromkeys(SUGGESTIONS, reason)
    middle = slice_of(len(smoothed), first)
    rules: dict[str, Callable[[Doubles, Doubles], float | None]]
    rules = {"valley": valley, "steepest": steepest, "slide": slide}
    found |= {name: rule(rates[middle], smoothed[middle]) for name, rule in rules.items()}
    reasons = {
        "valley": "too few steps are left without the first tenth and the last five",
        "slide": (
            "no edge between a flat and a steep stretch of the loss, or fewer than 17 steps are "
            "left without the first tenth and the last five: raise `highest` or `steps`"
        ),
    }
    reasons["steepest"] = reasons["valley"]
    if rose or course.ended in ("diverged", "non_finite"):
        found["tenth_of_minimum"] = tenth_of_minimum(rates[first:], smoothed[first:])
        found["half_threshold"] = half_threshold(rates, smoothed, first)
    else:
        reasons |= dict.fromkeys(
            ("tenth_of_minimum", "half_threshold"),
            "the loss has not risen again at the highest rate: raise `highest`",
        )
    return found, {name: reasons[name] for name in SUGGESTIONS if found[name] is None}


def slice_of(points: int, first: int) -> slice:
    """What fastai looks at: without the first tenth of the steps and the last five points."""
    return slice(first, max(first, points - LAST_LEFT_OUT))


def rises_and_falls(
    losses: Doubles, smoothed: Doubles, first: int, smoothing: float
) -> tuple[bool, bool]:
    """Whether the loss fell by more than its noise, and whether it rose again by more than that.

    The noise of a batch is told by the second differences of the losses up to the smallest, which
    a trend leaves alone:

    ```
    sigma^2 = mean((loss[i] - 2 loss[i + 1] + loss[i + 2])^2) / 6
    variance of smoothed[n - 1] = sigma^2 * (1 - s) / (1 + s) * (1 + s^n) / (1 - s^n)
    ```

    The smallest of many is smaller than any one of them: five standard errors are asked for, and
    of noise that does nothing fewer than 1 curve of 100 is taken for a fall.

    Args:
        losses: The true losses, finite.
        smoothed: The same, smoothed.
        first: Integer. Points that the warm-up takes.
        smoothing: Float. Its `s`.
    """
    begin, at = max(first, 3), first + int(smoothed[first:].argmin())
    until = max(at + 1, begin + 3)
    sigma = math.sqrt(float(np.mean(np.diff(losses[:until], 2) ** 2)) / 6)
    power = smoothing ** (at + 1)
    share = (1 - smoothing) / (1 + smoothing) * (1 + power) / (1 - power)
    of_smoothed = sigma * math.sqrt(share)
    fall, rise = float(losses[:begin].mean()) - smoothed[at], smoothed[-1] - smoothed[at]
    return (
        bool(fall > _SURE * math.hypot(of_smoothed, sigma / math.sqrt(begin))),
        bool(rise > _SURE * math.sqrt(2) * of_smoothed),
    )


def valley(rates: Doubles, losses: Doubles) -> float | None:
    """The middle of the longest valley; None where the losses never fall or are fewer than 3.

    The valley ends where the longest falling subsequence of the losses does, and is as many steps
    long as that has members. As in fastai, where its steepest part is looked for there.
    """
    if len(losses) < 3:
        return None
    lengths = np.ones(len(losses), np.int64)
    for i in range(1, len(losses)):
        lengths[i] = 1 + lengths[:i][losses[:i] > losses[i]].max(initial=0)
    length, end = int(lengths.max()), int(lengths.argmax())
    if length == 1:
        return None
    third = length / 3
    return float(rates[end - length + int(third) + int(third / 2)])


def steepest(rates: Doubles, losses: Doubles) -> float | None:
    """Where the loss falls most per factor of the rate; None where it never falls."""
    if len(losses) < 2:
        return None
    slopes = np.diff(losses) / np.diff(np.log(rates))
    return float(rates[slopes.argmin()]) if slopes.min() < 0 else None


def tenth_of_minimum(rates: Doubles, losses: Doubles) -> float:
    """A tenth of the rate with the smallest loss."""
    return float(rates[losses.argmin()]) / 10


def slide(
    rates: Doubles, losses: Doubles, apart: int = 15, threshold: float = 0.005
) -> float | None:
    """The right end of the stretch before the loss gets steep.

    Two points slide from the right end to the left, `apart` steps from one another, for as long as
    the slopes of the loss at both differ by more than `threshold` a step. None where they don't
    differ at the right end, or still do at the left end.
    """
    slopes = np.gradient(losses) if len(losses) > apart + 1 else np.zeros(apart + 1)
    differ = np.abs(slopes[apart:] - slopes[:-apart]) > threshold
    flat = np.flatnonzero(~differ)
    if not differ[-1] or not flat.size:
        return None
    return float(rates[flat[-1] + 1])


def half_threshold(rates: Doubles, losses: Doubles, first: int) -> float:
    """Half of the largest rate at which the loss still falls below all losses before.

    A loss is taken before its step's update: the smallest one is owed to the rate before it.
    """
    at = first + int(losses[first:].argmin())
    return float(rates[max(at - 1, 0)]) / 2
