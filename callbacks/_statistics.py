"""What can be recorded of a variable, and how a layer's value follows from its variables'.

Plain data: the monitors compute these on the device, the record combines them by layer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def _root_sum_of_squares(values: Floats, sizes: npt.NDArray[np.float64]) -> Floats:
    # hypot's way: dividing by the largest keeps 1e-30 squared from underflowing to 0.
    largest = np.max(np.abs(values), axis=1, keepdims=True)
    scale = np.where(np.isfinite(largest) & (largest > 0), largest, 1)
    root = np.sqrt(np.sum(np.square(values / scale, dtype=np.float64), axis=1))
    return np.asarray(root * scale[:, 0], np.float32)


def _mean_over_elements(values: Floats, sizes: npt.NDArray[np.float64]) -> Floats:
    return np.asarray(np.average(values, axis=1, weights=sizes), np.float32)


def _largest(values: Floats, sizes: npt.NDArray[np.float64]) -> Floats:
    return np.asarray(np.max(values, axis=1), np.float32)


@dataclass(frozen=True)
class Statistic:
    """One number per variable and step.

    Attributes:
        meaning: What the number is, as shown in reports.
        combine: From `[S, n]` values of a layer's variables and their `[n]` sizes to `[S]`.
    """

    meaning: str
    combine: Callable[[Floats, npt.NDArray[np.float64]], Floats]


STATISTICS: dict[str, Statistic] = {
    "gradient_norm": Statistic("L2 norm of the gradient, before clipping", _root_sum_of_squares),
    "weight_norm": Statistic("L2 norm of the weights before the step", _root_sum_of_squares),
    "update_norm": Statistic("L2 norm of the step taken in the weights", _root_sum_of_squares),
    "mean_abs_gradient": Statistic("mean absolute gradient", _mean_over_elements),
    "max_abs_gradient": Statistic("largest absolute gradient", _largest),
    "zero_fraction": Statistic(
        "share of gradient elements that are exactly 0", _mean_over_elements
    ),
}
