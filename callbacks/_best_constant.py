"""What the best constant prediction reaches: the loss that a network must fall below."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_HALVINGS = 40
_NAMES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "msle": "mean_squared_logarithmic_error",
    "mape": "mean_absolute_percentage_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "huber_loss": "huber",
    "logcosh": "log_cosh",
}


def loss_name(loss: str | None) -> str | None:
    """The name of a loss as Keras' functions have it, `"mean_squared_error"` of `"MSE"`.

    None where there is no loss, or one per output.
    """
    if loss is None or "," in loss or ":" in loss:
        return None
    if loss.isupper():
        return _NAMES.get(loss.lower(), loss.lower())
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", loss).lower()
    snake = {"kldivergence": "kl_divergence", "log_cosh": "log_cosh"}.get(snake, snake)
    return _NAMES.get(snake, snake)


def best_constant(loss: str | None, targets: npt.NDArray[Any]) -> float | None:
    """The mean loss of the constant that suits these targets best.

    ```
    mean_squared_error           sum (y - mean y)² / n
    mean_absolute_error          sum |y - median y| / n
    crossentropies               entropy of the classes' frequencies
    poisson                      mean y (1 - log mean y)
    hinge, squared_hinge         2 min(p, 1 - p), 4 p (1 - p) with a share p of 1s
    huber (delta 1), log_cosh    the least, by bisection
    ```

    Args:
        loss: Name of the loss.
        targets: Targets `[samples, ...]`; the constant has a value per column of the last axis.

    Returns:
        The loss, None where it isn't known for this loss, or the targets are constant or not
        such as the loss expects.
    """
    # An object's delta isn't in its name; the function's is 1.
    measure = None if loss == "Huber" else _MEASURES.get(loss_name(loss) or "")
    if measure is None or targets.dtype.kind not in "biuf" or not targets.size:
        return None
    values = targets.astype(np.float64)
    columns = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
    if not np.isfinite(columns).all() or (columns == columns[0]).all():
        return None
    best = measure(columns)
    return None if best is None or not np.isfinite(best) else float(best)


def _squared(y: Doubles) -> float | None:
    return float(y.var(axis=0).mean())


def _absolute(y: Doubles) -> float | None:
    return float(np.abs(y - np.median(y, axis=0)).mean())


def _squared_logarithmic(y: Doubles) -> float | None:
    return None if y.min() <= -1 else _squared(np.log1p(y))


def _binary(y: Doubles) -> float | None:
    if y.min() < 0 or y.max() > 1:
        return None
    p = y.mean(axis=0)
    return float((_entropy_terms(p) + _entropy_terms(1 - p)).mean())


def _categorical(y: Doubles) -> float | None:
    mass = y.mean(axis=0)
    if y.min() < 0 or y.shape[1] < 2:
        return None
    return float(-(mass * np.log(np.maximum(mass / mass.sum(), 1e-300))).sum())


def _sparse_categorical(y: Doubles) -> float | None:
    if y.shape[1] != 1 or (y != np.trunc(y)).any():
        return None
    return float(_entropy_terms(np.unique(y, return_counts=True)[1] / len(y)).sum())


def _divergence(y: Doubles) -> float | None:
    best = _categorical(y)
    return None if best is None else best - float(_entropy_terms(y).sum(axis=1).mean())


def _poisson(y: Doubles) -> float | None:
    mean = y.mean(axis=0)
    return None if y.min() < 0 else float((mean + _entropy_terms(mean)).mean())


def _hinge(y: Doubles) -> float | None:
    signs = set(np.unique(y))
    if not (signs <= {-1.0, 1.0} or signs <= {0.0, 1.0}):
        return None
    positive = (y > 0).mean(axis=0)
    return float(2 * np.minimum(positive, 1 - positive).mean())


def _squared_hinge(y: Doubles) -> float | None:
    wrong = _hinge(y)
    if wrong is None:
        return None
    positive = (y > 0).mean(axis=0)
    return float(4 * (positive * (1 - positive)).mean())


def _huber(y: Doubles) -> float | None:
    far = np.abs(y - _balance(y, lambda rest: np.clip(rest, -1, 1)))
    return float(np.where(far <= 1, far**2 / 2, far - 0.5).mean())


def _log_cosh(y: Doubles) -> float | None:
    far = np.abs(y - _balance(y, np.tanh))
    return float((far + np.log1p(np.exp(-2 * far)) - np.log(2)).mean())


def _balance(y: Doubles, pull: Callable[[Doubles], Doubles]) -> Doubles:
    """The constants at which the mean pull of what is left over, the loss's slope, is 0."""
    low: Doubles = y.min(axis=0)
    high: Doubles = y.max(axis=0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = pull(y - middle).mean(axis=0) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low


def _entropy_terms(p: Doubles) -> Doubles:
    """`-p log p`, 0 where `p` is."""
    return -p * np.log(np.where(p > 0, p, 1.0))


_MEASURES: dict[str, Callable[[Doubles], float | None]] = {
    "mean_squared_error": _squared,
    "mean_absolute_error": _absolute,
    "mean_squared_logarithmic_error": _squared_logarithmic,
    "binary_crossentropy": _binary,
    "categorical_crossentropy": _categorical,
    "sparse_categorical_crossentropy": _sparse_categorical,
    "kl_divergence": _divergence,
    "poisson": _poisson,
    "hinge": _hinge,
    "huber": _huber,
    "squared_hinge": _squared_hinge,
    "log_cosh": _log_cosh,
}
