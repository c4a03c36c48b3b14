"""Levels of noisy numbers, and trends through them.

Batches are noisy. A level is the mean of a window of true batch losses with its standard error

    se = s / sqrt(n),    s² = min(variance, roughness),    roughness = mean (l_(i+1) - l_i)² / 2

A loss that falls inside the window raises its variance, not its roughness; one that alternates
raises its roughness, not its variance. A trend is the Theil-Sen slope through the levels of equal
windows; its standard error is that of a least-squares slope, from the larger of the windows' own
errors and their scatter about the line, divided by sqrt(0.91), Theil-Sen's efficiency.

Reference:
    Sen, *Estimates of the regression coefficient based on Kendall's tau*, 1968.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

SURE = 3.0
"""Standard errors that a difference needs: one chance difference in 740, one-sided."""

# The median of a squared standard normal number.
_MEDIAN_SQUARE = 0.4549
_EFFICIENCY = 0.91


@dataclass(frozen=True)
class Level:
    """The mean of a window of losses: where it lies, its mean, its standard error."""

    step: float
    mean: float
    error: float


@dataclass(frozen=True)
class Trend:
    """A robust slope per step through levels, with its standard error."""

    slope: float
    error: float

    @property
    def falls(self) -> bool:
        """Whether it falls beyond noise."""
        return self.slope < -SURE * self.error

    @property
    def rises(self) -> bool:
        """Whether it rises beyond noise."""
        return self.slope > SURE * self.error


def noise_of(losses: Doubles) -> float:
    """Standard deviation of one loss's noise: the smaller of variance and roughness."""
    if len(losses) < 2:
        return 0.0
    roughness = float((np.diff(losses) ** 2).mean() / 2)
    return math.sqrt(min(float(losses.var(ddof=1)), roughness))


def start_of(losses: Doubles) -> float:
    """Where losses start: the median of up to three, the first alone where it more than doubles.

    Noise is in all three; what the first steps did to the loss is not in the first.
    """
    median, first = float(np.median(losses[:3])), float(losses[0])
    return first if median > 2 * first > 0 else median


def robust_noise(losses: Doubles) -> float:
    """The same from the median, so that few jumps among the losses count for nothing."""
    if len(losses) < 2:
        return 0.0
    return math.sqrt(float(np.median(np.diff(losses) ** 2)) / 2 / _MEDIAN_SQUARE)


def trend_of(levels: list[Level]) -> Trend:
    """The robust slope through levels; without one where there are fewer than three."""
    if len(levels) < 3:
        return Trend(0.0, math.inf)
    steps, means = (np.array([getattr(x, name) for x in levels]) for name in ("step", "mean"))
    first, second = np.triu_indices(len(steps), 1)
    slope = float(np.median((means[second] - means[first]) / (steps[second] - steps[first])))
    scatter = means - slope * steps
    residual = float(np.sqrt(((scatter - scatter.mean()) ** 2).sum() / (len(steps) - 2)))
    noise = max(residual, float(np.median([level.error for level in levels])))
    spread = float(np.sqrt(((steps - steps.mean()) ** 2).sum()))
    return Trend(slope, noise / spread / math.sqrt(_EFFICIENCY))


def change_point(values: Doubles) -> int:
    """Where two means explain the values best: the index of the second part's first value."""
    if len(values) < 2:
        return 0
    costs = [
        ((values[:at] - values[:at].mean()) ** 2).sum()
        + ((values[at:] - values[at:].mean()) ** 2).sum()
        for at in range(1, len(values))
    ]
    return int(np.argmin(costs)) + 1
