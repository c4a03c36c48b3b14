"""Whether values have mean 0 and variance 1, as far as a sample can tell."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

# Klambauer et al. 2017, theorem 1: within them mean and variance have a stable fixed point.
MEAN = 0.1
VARIANCE = (0.8, 1.5)

# Of many features a few may be outside by chance.
_FEATURES_OUT = 0.01
_RARE = 0.9
_STANDARD_ERRORS = 4


def unstandardized(values: Doubles) -> str | None:
    """What is wrong with inputs `[samples, features]`, None if they may be standardized.

    Each feature for itself, and the mean square of all, which is what a unit of the first layer
    gets to see. A rare feature holds one value in most samples: its variance among few of them
    tells nothing, so that only the mean square judges it.
    """
    error = _students(len(values)) / math.sqrt(len(values))
    means, deviations = values.mean(axis=0), values.std(axis=0)
    slack = error * ((values - means) ** 2).std(axis=0)
    rare = (values == np.median(values, axis=0)).mean(axis=0) > _RARE
    # Standardized features have deviation 1, whatever that of few samples is.
    out = np.abs(means) > MEAN + error * np.maximum(deviations, 1)
    out |= _above(deviations**2, slack) | (_below(deviations**2, slack) & ~rare)
    squares = (values**2).mean(axis=1)
    level, slack = squares.mean(), error * squares.std()
    if out.mean() <= _FEATURES_OUT and not (_above(level, slack) or _below(level, slack)):
        return None
    worst = int(np.argmax(np.abs(means) + np.abs(deviations - 1)))
    return (
        f"{int(out.sum())} of {out.size} features are off and the mean square of all is "
        f"{level:.3g} (feature {worst}: mean {means[worst]:.3g}, deviation {deviations[worst]:.3g})"
    )


def leaves_the_domain(values: Doubles) -> bool:
    """Whether mean or variance of `[samples, units]` are outside by more than sampling errors."""
    if not np.isfinite(values).all():
        return True
    mean = float(values.mean())
    squares = (values - mean) ** 2
    variance, slack = squares.mean(), _sampling_error(squares)
    far = abs(mean) > MEAN + _sampling_error(values)
    return bool(far or _above(variance, slack) or _below(variance, slack))


def _above(variance: Any, slack: Any) -> Any:
    return variance > VARIANCE[1] + slack


def _below(variance: Any, slack: Any) -> Any:
    # By the ratio: where large values are missing from a sample by chance, its estimate of the
    # error is small as well.
    safe = np.maximum(variance, np.finfo(float).tiny)
    return variance < VARIANCE[0] * np.exp(-slack / safe)


def _sampling_error(values: Doubles) -> float:
    """Of the mean: units are independent draws, and so are samples, but not their products."""
    samples, units = values.shape
    if units < 2:
        return math.inf
    by_unit = float(values.mean(axis=0).var(ddof=1)) / units
    by_sample = float(values.mean(axis=1).var(ddof=1)) / samples
    return _students(min(samples, units)) * math.sqrt(by_unit + by_sample)


def _students(draws: int) -> float:
    """Four standard errors, and as unlikely a distance where few draws estimate the error.

    The Cornish-Fisher expansion of Student's t.
    """
    z, freedom = _STANDARD_ERRORS, draws - 1
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return z + (z**3 + z) / (4 * freedom) + second
