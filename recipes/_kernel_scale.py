"""Whether kernels are and stay at mean 0 and variance `1 / fan_in`, as self-normalization asks."""

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

# Klambauer et al. 2017, theorem 1, of a unit's incoming weights.
WEIGHT_SUM = 0.1
SQUARED_WEIGHT_SUM = (0.95, 1.1)

_SAMPLED_WEIGHTS, _MOST_DRAWS = 100_000, 50
_STANDARD_ERRORS = 5


def initializer_fault(initializer: Any, shape: tuple[int, ...]) -> str | None:
    """What is wrong with an initializer for kernels `[fan_in, units]`, None if it is sound.

    By what it draws, not by its name: uniform LeCun and square orthogonal kernels are sound too.
    """
    fan_in = shape[0]
    values = draws(initializer, shape, _SAMPLED_WEIGHTS)
    weight_sum, squares = fan_in * float(values.mean()), fan_in * float(values.var())
    error = _STANDARD_ERRORS * math.sqrt(fan_in * squares / len(values))
    if abs(weight_sum) > WEIGHT_SUM + error:
        return f"{name_of(initializer)}, mean {values.mean():.3g}"
    slack = _STANDARD_ERRORS * math.sqrt(2 / len(values))
    low, high = SQUARED_WEIGHT_SUM
    if not low * (1 - slack) <= squares <= high * (1 + slack):
        return f"{name_of(initializer)}, variance {squares:.3g} / fan_in"
    return None


def constraint_fault(constraint: Any, shape: tuple[int, ...]) -> str | None:
    """What a constraint does to LeCun normal kernels `[fan_in, units]`, None if next to nothing."""
    if constraint is None:
        return None
    before = keras.initializers.LecunNormal(seed=0)(shape, dtype="float32")
    squares = _square_sum(constraint(before)) / _square_sum(before)
    low, high = SQUARED_WEIGHT_SUM
    if low <= squares <= high:
        return None
    return f"{name_of(constraint)}, variance {squares:.3g} / fan_in"


def draws(initializer: Any, shape: tuple[int, ...], least: int = 1) -> npt.NDArray[np.float64]:
    """Values of an initializer, `least` of them if 50 draws suffice, the same in each call."""
    config = without_seed(initializer)
    if config is None:
        return _flat(initializer(shape, dtype="float32"))
    count = min(_MOST_DRAWS, -(-least // math.prod(shape)))
    made = (type(initializer).from_config({**config, "seed": seed}) for seed in range(count))
    return np.concatenate([_flat(one(shape, dtype="float32")) for one in made])


def without_seed(initializer: Any) -> dict[str, Any] | None:
    """The configuration less the seed, None of an initializer that takes none."""
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    return {k: v for k, v in config.items() if k != "seed"} if "seed" in config else None


def name_of(thing: Any) -> str:
    """The name of a function, or of an object's class."""
    return str(getattr(thing, "__name__", None) or type(thing).__name__)


def _flat(tensor: Any) -> npt.NDArray[np.float64]:
    return np.ravel(keras.ops.convert_to_numpy(tensor)).astype(np.float64)


def _square_sum(tensor: Any) -> float:
    return float(np.square(_flat(tensor)).sum())
