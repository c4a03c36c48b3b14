"""What every builder does with its arguments: early checks, one initializer and seed a layer."""

import random
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ..callbacks.activation_facts import ALIASES, did_you_mean

# Over one unit these leave no choice: the output does not depend on the weights.
_CONSTANT_OVER_ONE_UNIT = {"softmax": 1, "sparsemax": 1, "log_softmax": 0}

_OUTPUT_ACTIVATIONS = ("softmax", "sigmoid", "linear", "tanh", "softplus", "relu", "exponential")


def check_choice(argument: str, received: object, choices: Sequence[str | None]) -> None:
    """Refuses what is not one of the choices."""
    if received not in choices:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(map(repr, choices))}. Received: "
            f"{argument}={received!r}.{did_you_mean(received, [c for c in choices if c])}"
        )


def check_flag(argument: str, received: Any) -> bool:
    """`received` as a `bool`, refused unless it is one, Python's or NumPy's."""
    if not isinstance(received, (bool, np.bool_)):
        raise ValueError(f"`{argument}` must be True or False. Received: {argument}={received!r}.")
    return bool(received)


def positive_integer(argument: str, received: Any, way_out: str = "") -> int:
    """`received` as an `int`, refused unless it is a whole number above 0."""
    if not _is_size(received):
        raise ValueError(
            f"`{argument}` must be a positive integer. Received: {argument}={received!r}.{way_out}"
        )
    return int(received)


def shape_of(input_shape: Any) -> tuple[int, ...]:
    """The shape of one sample, without the batch axis; a single integer is a vector's length."""
    sizes = (input_shape,) if isinstance(input_shape, Integral) else input_shape
    if not isinstance(sizes, Sequence) or not sizes or not all(map(_is_size, sizes)):
        raise ValueError(
            "`input_shape` must be a positive integer or a tuple of positive integers. Received: "
            f"input_shape={input_shape!r}. Pass one sample's shape without the batch axis, such as "
            "(784,) or (28, 28)."
        )
    return tuple(int(size) for size in sizes)


def sizes_of(argument: str, received: Any, way_out: str = "") -> list[int]:
    """`received` as a list of positive integers; it may be empty."""
    if isinstance(received, (str, bytes)) or not isinstance(received, Iterable):
        raise ValueError(
            f"`{argument}` must be a sequence of positive integers. "
            f"Received: {argument}={received!r}.{way_out}"
        )
    return [positive_integer(f"{argument}[{i}]", size, way_out) for i, size in enumerate(received)]


def units_of(hidden_units: Any) -> list[int]:
    """The width of each hidden layer."""
    way_out = " Pass one width per hidden layer, such as [100, 100]."
    units = sizes_of("hidden_units", hidden_units, way_out)
    if not units:
        raise ValueError(
            "`hidden_units` must name at least one hidden layer. "
            f"Received: hidden_units={hidden_units!r}.{way_out}"
        )
    return units


def rates_of(dropout: Any, layers: int) -> list[float]:
    """The dropout rate of each hidden layer."""
    rates = list(dropout) if isinstance(dropout, Iterable) else [dropout] * layers
    if len(rates) != layers:
        raise ValueError(
            f"`dropout` must be one rate, or one for each hidden layer ({layers} here). "
            f"Received: dropout={dropout!r} ({len(rates)} rates)."
        )
    for rate in rates:
        if not _is_number(rate) or not 0 <= rate < 1:
            raise ValueError(
                "A dropout rate is the share of units that is dropped, in [0, 1). "
                f"Received: dropout={dropout!r}. 0 is no dropout; 0.1 to 0.5 are usual."
            )
    return [float(rate) for rate in rates]


def constraint_of(kernel_constraint: Any, kernel_rank: int = 2) -> Any:
    """A Keras constraint; a number is the largest norm of each unit's incoming weights."""
    if not _is_number(kernel_constraint):
        try:
            return keras.constraints.get(kernel_constraint)
        except (TypeError, ValueError):
            raise ValueError(
                "`kernel_constraint` must be a number (the largest norm of a unit's incoming "
                "weights), a Keras constraint or the name of one, such as 'max_norm'. Received: "
                f"kernel_constraint={kernel_constraint!r}."
            ) from None
    if not 0 < kernel_constraint < float("inf"):
        raise ValueError(
            "`kernel_constraint` as a number is a largest norm, above 0. Received: "
            f"kernel_constraint={kernel_constraint!r}. 1 to 4 are usual, None is no constraint."
        )
    return keras.constraints.MaxNorm(float(kernel_constraint), axis=list(range(kernel_rank - 1)))


def regularizer_of(kernel_regularizer: Any) -> Any:
    """A Keras regularizer, from itself, its name or its configuration; None stays None."""
    name = kernel_regularizer
    if isinstance(name, str) and name.lower().replace("_", "") == "l1l2":
        # By name Keras makes one of strength 0; of "l1" and "l2" it is 0.01.
        return keras.regularizers.L1L2(0.01, 0.01)
    try:
        return keras.regularizers.get(name)
    except (TypeError, ValueError):
        raise ValueError(
            "`kernel_regularizer` must be a Keras regularizer or the name of one: 'l1', 'l2', "
            "'l1_l2' or 'orthogonal_regularizer'. Received: "
            f"kernel_regularizer={kernel_regularizer!r}. For a strength of your own pass an "
            "object, such as keras.regularizers.L2(1e-4)."
        ) from None


def output_function(output_activation: Any, outputs: int) -> Any:
    """The Keras function behind `output_activation`, refused where it would be constant."""
    name = output_activation
    if isinstance(name, str):
        name = ALIASES.get(name, name)
    try:
        function = keras.activations.get(name)
    except (TypeError, ValueError):
        raise ValueError(
            "`output_activation` must be a Keras activation or its name, such as "
            f"{', '.join(map(repr, _OUTPUT_ACTIVATIONS))}. Received: "
            f"output_activation={output_activation!r}.{did_you_mean(name, _OUTPUT_ACTIVATIONS)}"
        ) from None
    name = getattr(function, "__name__", None)
    if outputs == 1 and name in _CONSTANT_OVER_ONE_UNIT:
        raise ValueError(
            f"`outputs=1` with `output_activation={name!r}` is constant "
            f"{_CONSTANT_OVER_ONE_UNIT[name]}. Use 'sigmoid' (binary) or 'linear' (regression)."
        )
    return function


def samples_of(adapt_to: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Training inputs as an array `[n, *shape]` of numbers."""
    samples = np.asarray(adapt_to)
    if samples.shape[1:] != shape or len(samples.shape) == 0 or len(samples) == 0:
        expected = ", ".join(map(str, ("n", *shape)))
        raise ValueError(
            f"`adapt_to` must be an array of training inputs of shape ({expected}) with n >= 1, to "
            f"fit `input_shape={shape}`. Received: adapt_to of shape {samples.shape}. Reshape it; "
            "from a data set, pass its inputs as one array."
        )
    if samples.dtype.kind not in "biuf":
        raise ValueError(
            "`adapt_to` must hold real numbers. Received: adapt_to of dtype "
            f"{samples.dtype}. Encode categories, and convert with `astype('float32')`."
        )
    return samples


def check_seed(seed: Any) -> None:
    """Refuses a seed that is neither `None` nor an integer."""
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, Integral)):
        raise ValueError(
            f"`seed` must be an integer or None. Received: seed={seed!r}. With None, "
            "`keras.utils.set_random_seed` makes the model reproducible."
        )


def layer_seed(seed: int | None, use: str) -> int | None:
    """The seed of one use, such as `"hidden_1/kernel"`; `None` stays `None`.

    It hangs on the name only: the kernels stay the same when dropout is added.
    """
    return None if seed is None else random.Random(f"{seed}/{use}").randrange(2**31)


def check_initializer(argument: str, initializer: Any) -> None:
    """Refuses what Keras makes no initializer of."""
    try:
        keras.initializers.get(initializer)
    except (TypeError, ValueError):
        raise ValueError(
            f"`{argument}` must be a Keras initializer or the name of one, such as 'he_normal' or "
            f"'glorot_uniform'. Received: {argument}={initializer!r}."
        ) from None


def fresh_initializer(initializer: Any, seed: int | None, use: str) -> Any:
    """A Keras initializer for one use, with a seed of its own.

    One instance gives equal values to variables of one shape, seeded or not. A user's instance is
    therefore made anew for each use: from its own seed where it has one, else from `seed`.
    """
    found = keras.initializers.get(initializer)
    config = found.get_config() if hasattr(found, "get_config") else {}
    # A `SeedGenerator` (a `dict` here) moves on with every draw by itself.
    if "seed" not in config or isinstance(config["seed"], dict):
        return found
    own = seed if config["seed"] is None else config["seed"]
    return type(found).from_config({**config, "seed": layer_seed(own, use)})


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return isinstance(value, Integral) and _is_number(value) and int(value) > 0
