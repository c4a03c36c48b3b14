"""What rules need to know of the training data, as plain data."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ._best_constant import best_constant

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

# Two million numbers take some hundredths of a second, and tell mean and deviation well enough.
_MOST_NUMBERS = 2_000_000
_MOST_DISTINCT = 1000
_ONE_HOT_SLACK = 1e-6


def describe_arrays(x: Any, y: Any = None, loss: str | None = None) -> dict[str, Any]:
    """The data's description, JSON-ready.

    Means and deviations of large inputs are those of rows drawn at random, from a generator of
    its own; lowest and highest values, and all on the targets, are those of all rows.

    Args:
        x: Inputs: an array `[samples, ...]`, or a list, tuple or dict of them.
        y: Targets likewise. Defaults to `None`: there are none.
        loss: Name of the loss, for what the best constant prediction reaches. Defaults to `None`.

    Returns:
        `{"samples", "inputs", "targets", "outputs", "weighted", "baseline"}`, with an entry per
        array in `"inputs"` and `"targets"`; those of a dict have its keys as `"name"`. Who runs
        the network fills in `"outputs"`, of the untrained network, and `"weighted"`, whether
        samples or classes have weights. `"baseline"` is `{"loss", "accuracy"}` of the best
        constant prediction, None where that isn't defined.
    """
    inputs, targets = _flat(x), _flat(y)
    names = list(x) if isinstance(x, Mapping) and len(x) == len(inputs) else [None] * len(inputs)
    described = [_target(array) for array in targets]
    one = len(targets) == 1
    return {
        "samples": len(inputs[0]) if inputs else 0,
        "inputs": [
            {"name": name, **_input(array)} for name, array in zip(names, inputs, strict=True)
        ],
        "targets": described,
        "outputs": [],
        "weighted": False,
        "baseline": {
            "loss": best_constant(loss, targets[0]) if one else None,
            "accuracy": described[0]["majority"] if one else None,
        },
    }


def _flat(data: Any) -> list[Array]:
    if data is None:
        return []
    if isinstance(data, Mapping):
        return [array for key in data for array in _flat(data[key])]
    if isinstance(data, (list, tuple)) and any(np.ndim(one) for one in data):
        return [array for one in data for array in _flat(one)]
    array = np.asarray(data)
    return [array.reshape(-1, 1) if array.ndim == 0 else array]


def _drawn(array: Array) -> Array:
    """Rows to look at: all, or as many as are enough."""
    most = max(1, _MOST_NUMBERS * len(array) // max(array.size, 1))
    if len(array) <= most:
        return array
    return array[np.sort(np.random.default_rng(0).choice(len(array), most, replace=False))]


def _input(array: Array) -> dict[str, Any]:
    plain: dict[str, Any] = {"shape": list(array.shape[1:]), "dtype": str(array.dtype)}
    values = _numbers(_drawn(array))
    if values is None or not values.size:
        keys = ("min", "max", "mean", "std", "feature_mean", "feature_std", "feature_std_quartile")
        return plain | dict.fromkeys(keys) | {"non_finite": None}
    features = values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values.reshape(-1, 1)
    finite = np.isfinite(features)
    kept = features if finite.all() else np.where(finite, features, np.nan)[:, finite.any(axis=0)]
    # NaN skips what is not finite; infinities were made NaN.
    means, deviations = np.nanmean(kept, axis=0), np.nanstd(kept, axis=0)
    varying = deviations[deviations > 0]
    return {
        **plain,
        **_range(values),
        **_ends(array),
        "feature_mean": _extremes(means),
        "feature_std": _extremes(deviations),
        "feature_std_quartile": float(np.quantile(varying, 0.25)) if varying.size else None,
    }


def _ends(array: Array) -> dict[str, Any]:
    """Lowest and highest value of all rows, and how many numbers are not finite."""
    low, high = float(array.min()), float(array.max())
    if math.isfinite(low) and math.isfinite(high):
        return {"min": low, "max": high, "non_finite": 0}
    values = array.astype(np.float64).ravel()
    finite = np.isfinite(values)
    ends = [float(at(values[finite])) for at in (np.min, np.max)] if finite.any() else [None, None]
    return dict(zip(("min", "max"), ends, strict=True)) | {
        "non_finite": int(values.size - finite.sum())
    }


def _target(array: Array) -> dict[str, Any]:
    plain: dict[str, Any] = {"shape": list(array.shape[1:]), "dtype": str(array.dtype)}
    values = _numbers(array)
    if values is None or not values.size:
        keys = ("min", "max", "mean", "std", "distinct", "classes", "majority")
        return plain | dict.fromkeys(keys) | {"integer": False, "one_hot": False}
    finite = values[np.isfinite(values)]
    distinct, counts = np.unique(finite, return_counts=True)
    integer = bool(len(finite) == values.size and (distinct == np.round(distinct)).all())
    one_hot = _is_one_hot(values)
    few = len(distinct) <= _MOST_DISTINCT
    classes, majority = None, None
    if one_hot:
        shares = values.reshape(-1, values.shape[-1]).mean(axis=0)
        classes, majority = int(values.shape[-1]), float(shares.max())
    elif integer and few and (values.ndim == 1 or values.shape[-1] == 1):
        majority = float(counts.max() / counts.sum())
        classes = int(distinct[-1]) + 1 if distinct[0] >= 0 else None
    return {
        **plain,
        **_range(values),
        "integer": integer,
        "distinct": len(distinct) if few else None,
        "one_hot": one_hot,
        "classes": classes,
        "majority": majority,
    }


def _numbers(array: Array) -> Doubles | None:
    """The values in double precision, None of text and other objects."""
    if array.dtype.kind not in "biuf":
        try:
            return array.astype(np.float64) if array.dtype.kind == "O" else None
        except (TypeError, ValueError):
            return None
    return array.astype(np.float64)


def _range(values: Doubles) -> dict[str, float | None]:
    finite = values if np.isfinite(values).all() else values[np.isfinite(values)]
    if not finite.size:
        return dict.fromkeys(("min", "max", "mean", "std"))
    return {
        "min": float(finite.min()),
        "max": float(finite.max()),
        "mean": float(finite.mean()),
        "std": float(finite.std()),
    }


def _extremes(values: Doubles) -> list[float] | None:
    lowest_highest = [float(values.min()), float(values.max())] if values.size else []
    return lowest_highest if all(map(math.isfinite, lowest_highest)) and values.size else None


def _is_one_hot(values: Doubles) -> bool:
    if values.ndim < 2 or values.shape[-1] < 2 or not ((values == 0) | (values == 1)).all():
        return False
    return bool((np.abs(values.sum(axis=-1) - 1) < _ONE_HOT_SLACK).all())
