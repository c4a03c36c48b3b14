"""How large the steps are beside the weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..record import TrainingRecord
from ._learning import last_rows
from ._levels import Doubles
from ._rate import EPSILON, clips, is_adaptive

# A kernel that starts this far below the others' norm per weight was started at zero on purpose.
_STARTED_AT_ZERO = 1e-3


@dataclass(frozen=True)
class Updates:
    """`|step| / |weights|` of the kernels.

    What the first steps do to weights that were started too small harms nothing. So `first` and
    `early` count the weights as at least the norm of LeCun's variance `1 / fan_in`, which is the
    root of the number of units.

    Attributes:
        first: Median over the kernels at the first step, NaN where it was not recorded.
        early: Median over the kernels, the highest that three rows in a row agree on in the
            first tenth, at least ten: a network that the first steps kill makes no more.
        median: Median over the kernels and all rows.
        largest: The largest kernel's mean over all rows; times the steps, this is the longest
            way it can go, by its own norm.
    """

    first: float
    early: float
    median: float
    largest: float


def updates_of(record: TrainingRecord) -> Updates | None:
    """The steps' sizes; None where they can't be told.

    Recorded, or for plain SGD without clipping `rate |gradient| / ((1 - momentum) |weights|)`.
    Skipped steps, and kernels that start at zero, as a residual branch's last one may, are left
    out.
    """
    moved, weights = _moved(record), _weights(record)
    if moved is None or weights is None:
        return None
    taken = ~record.skipped
    if not taken.any():
        return None
    moved, weights, steps = moved[taken], weights[taken], record.steps[taken]
    ratios = _divided(moved, weights)
    if not np.isfinite(ratios).any():
        return None
    known = ratios[:, np.isfinite(ratios).any(axis=0)]
    per_row = _median(_divided(moved, np.maximum(weights, _sound_norms(record))), axis=1)
    early = per_row[: max(10, len(per_row) // 10)]
    return Updates(
        first=float(per_row[0]) if steps[0] == record.steps[0] == 0 else float("nan"),
        early=sustained_peak(early),
        median=float(_median(_median(ratios, axis=1)[None], axis=1)[0]),
        largest=max(float(kernel[np.isfinite(kernel)].mean()) for kernel in known.T),
    )


def makes_steps(record: TrainingRecord, layer: str, share: float) -> bool:
    """Whether an adaptive optimizer makes a share of a full step of a kernel's gradient.

    Of a gradient g in each weight it makes the share `g / (g + epsilon)`, small as g may be.
    """
    if not is_adaptive(record.network):
        return False
    norms = record.by_layer("gradient_norm", "kernel")[:, record.layers.index(layer)]
    sizes = [
        column["size"]
        for column in record.groups["gradients"].columns
        if column["layer"] == layer and column["part"] == "kernel"
    ]
    gradient = float(np.median(norms[last_rows(record)])) / max(1, sum(sizes)) ** 0.5
    return bool(gradient > share * EPSILON)


def sustained_peak(values: Doubles) -> float:
    """The highest median of three values in a row: a single spike is none."""
    known = values[np.isfinite(values)]
    if len(known) < 3:
        return float(known.max()) if len(known) else float("nan")
    threes = np.lib.stride_tricks.sliding_window_view(known, 3)
    return float(np.median(threes, axis=1).max())


def _weights(record: TrainingRecord) -> Doubles | None:
    """Norm of each layer's kernel, NaN where there is none or it started at zero: `[S, L]`."""
    if not record.groups or not len(record.steps) or "weight_norm" not in record.statistics:
        return None
    weights: Doubles = record.by_layer("weight_norm", "kernel").astype(np.float64)
    if np.isfinite(weights[0]).any():
        weights[:, ~(weights[0] > _STARTED_AT_ZERO * np.nanmax(weights[0]))] = np.nan
    return weights


def _moved(record: TrainingRecord) -> Doubles | None:
    """Norm of each kernel's step: `[S, L]`."""
    known = record.statistics if record.groups else ()
    if "update_norm" in known:
        moved: Doubles = np.abs(record.by_layer("update_norm", "kernel").astype(np.float64))
        return moved
    factor = _plain_factor(record.network.get("optimizer") or {})
    if factor is None or "gradient_norm" not in known or record.clipped.any():
        return None
    gradients = record.by_layer("gradient_norm", "kernel").astype(np.float64)
    scaled: Doubles = gradients * (factor * record.learning_rate.astype(np.float64))[:, None]
    return scaled


def _sound_norms(record: TrainingRecord) -> Doubles:
    """Norm of each layer's kernel at variance `1 / fan_in`, 0 where its shape is not known."""
    squares = dict.fromkeys(record.layers, 0.0)
    for column in record.groups["gradients"].columns if "gradients" in record.groups else ():
        shape = column.get("shape") or []
        if column.get("part") == "kernel" and len(shape) >= 2:
            squares[column["layer"]] += float(shape[-1])
    norms: Doubles = np.sqrt(np.array(list(squares.values())))
    return norms


def _divided(moved: Doubles, weights: Doubles) -> Doubles:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = moved / weights
    return np.where(np.isfinite(ratios), ratios, np.nan)


def _plain_factor(optimizer: dict[str, Any]) -> float | None:
    """What SGD makes of a rate: `1 / (1 - momentum)`; None for other optimizers."""
    if str(optimizer.get("name")).lower() != "sgd":
        return None
    if clips(optimizer):
        return None
    momentum = float(optimizer.get("momentum") or 0)
    return 1 / (1 - momentum) if 0 <= momentum < 1 else None


def _median(values: Doubles, axis: int) -> Doubles:
    """The median without NaNs, NaN where nothing else is there."""
    known = np.isfinite(values).any(axis=axis)
    result = np.full(known.shape, np.nan)
    rows = values if axis == 1 else values.T
    result[known] = np.nanmedian(rows[known], axis=1)
    return result
