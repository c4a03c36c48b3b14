"""What of the loss is the weights' penalty, so that the rest is compared with guessing."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..record import TrainingRecord

Doubles = npt.NDArray[np.float64]

# E|w| of uniform weights over their root mean square, the largest of the usual distributions.
_MEAN_TO_RMS = math.sqrt(3) / 2
_ROUNDING = 3e-3


def data_losses(record: TrainingRecord) -> Doubles:
    """The recorded losses without the penalties that are known: `[S]`.

    With strengths l1 and l2 and the recorded norm |W| of a kernel of n weights, a penalty is

        l2 |W|² + l1 sqrt(3n) / 2 |W|

    exactly for the square; at the most, for the absolute values, of which the weights that are
    nearly 0 leave less.
    """
    losses: Doubles = record.loss.astype(np.float64)
    penalty = penalties(record)
    return losses if penalty is None else losses - penalty


def penalties(record: TrainingRecord) -> Doubles | None:
    """The kernels' penalties at each row, None where some aren't known: `[S]`."""
    if has_unknown_penalty(record) or not record.groups:
        return None
    total = np.zeros(len(record.steps))
    strengths = _strengths(record)
    for at, column in enumerate(record.groups["gradients"].columns if strengths else ()):
        if column["part"] != "kernel" or column["layer"] not in strengths:
            continue
        norms = record["weight_norm"][:, at].astype(np.float64)
        l1, l2 = strengths[column["layer"]]
        with np.errstate(over="ignore"):
            each = l2 * norms**2 + l1 * _MEAN_TO_RMS * math.sqrt(column["size"]) * norms
        total += np.where(np.isfinite(each), each, 0.0)
    return total


def data_gradients(record: TrainingRecord, layers: list[str], norms: Doubles) -> Doubles:
    """Norms of the layers' kernel gradients without what an L2 penalty adds: `[S, n]`.

    The gradient of `l2 |W|²` is `2 l2 W`; with the loss's own part, which is nearly at a right
    angle to the weights,

        |data|² = |recorded|² - (2 l2 |W|)²

    A vanishing gradient hides behind the penalty's otherwise, which no depth makes smaller. What
    float32's rounding leaves of the difference is not known better than 0.003 of the recorded.
    """
    strengths = _strengths(record)
    if not any(layer in strengths for layer in layers) or "weight_norm" not in record.statistics:
        return norms
    places = [record.layers.index(layer) for layer in layers]
    weights = record.by_layer("weight_norm", "kernel")[:, places].astype(np.float64)
    l2 = np.array([strengths.get(layer, (0.0, 0.0))[1] for layer in layers])
    with np.errstate(over="ignore", invalid="ignore"):
        left = norms**2 - (2 * l2 * weights) ** 2
        floor = np.where(l2 > 0, _ROUNDING * norms, 0.0)
        return np.where(l2 > 0, np.sqrt(np.maximum(left, floor**2)), norms)


def has_unknown_penalty(record: TrainingRecord) -> bool:
    """Whether something is added to the loss that the record doesn't tell."""
    layers = record.network.get("layers") or []
    if any(layer.get("penalized") for layer in layers):
        return True
    regularized = [one for layer in layers if (one := layer.get("kernel_regularizer"))]
    if any(None in one.values() for one in regularized):
        return True
    measured = "gradients" in record.groups and "weight_norm" in record.statistics
    return any(any(one.values()) for one in regularized) and not measured


def _strengths(record: TrainingRecord) -> dict[str, tuple[float, float]]:
    """`{layer: (l1, l2)}` of the layers that have any."""
    found: dict[str, Any] = {}
    for layer in record.network.get("layers") or []:
        strengths = layer.get("kernel_regularizer") or {}
        if any(strengths.values()):
            found[layer["path"]] = strengths.get("l1") or 0.0, strengths.get("l2") or 0.0
    return found
