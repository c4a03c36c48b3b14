"""`wide_and_deep`: an output layer that sees the inputs themselves beside a deep network's view."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ._arguments import output_function, positive_integer, rates_of, shape_of, units_of
from ._wiring import Wiring
from .mlp import standardization


def wide_and_deep(
    input_shape: int | Sequence[int],
    hidden_units: Sequence[int],
    outputs: int,
    *,
    wide_shape: int | Sequence[int] | None = None,
    activation: str | None = "relu",
    kernel_initializer: Any = None,
    normalization: str | None = None,
    dropout: float | Sequence[float] = 0.0,
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
    output_activation: Any = "softmax",
    adapt_to: Any = None,
    seed: int | None = None,
    name: str | None = None,
    bias_initializer: Any = "zeros",
    activation_options: Mapping[str, Any] | None = None,
) -> keras.Model:
    """A network that learns simple rules and deep patterns side by side.

    ```
    y = f(W [x, h(x)] + b)      h: hidden layers      wide_shape=None
    y = f(W [w, h(x)] + b)      w: a second input     wide_shape given
    ```

    To choose for tables in which some features, or crosses of them, act directly on the target:
    a plain deep network distorts them on their way through its layers, a linear model cannot
    generalize beyond them. With `wide_shape` the wide path has inputs of its own, such as crossed
    categories, which the deep path then doesn't see. SELU loses its self-normalization here: take
    another activation.

    The layers are called as those of `mlp`, with `wide_and_deep` for the concatenation; with
    two inputs these are called `wide_input` and `deep_input`, and followed by
    `wide_standardize`, `wide_flatten`, `deep_standardize` and `deep_flatten`.

    Args:
        input_shape: Integer or tuple of integers. Shape of one sample, of the deep path's input
            if there are two; of rank 2 and more it is flattened.
        hidden_units: Sequence of integers. Width of each hidden layer of the deep path.
        outputs: Integer. Width of the output layer.
        wide_shape: Integer or tuple of integers. Shape of one sample of the wide path's own
            input. Defaults to `None`: both paths share one input.
        activation: String. Of the hidden layers, see `ACTIVATIONS`; `None` is linear. Defaults
            to `"relu"`.
        kernel_initializer: Keras initializer or its name, for all kernels. Defaults to `None`:
            what the activation needs, normally distributed.
        normalization: `"batch"`, `"layer"` or `"batch_after"`, in the deep path, see `mlp`.
            Defaults to `None`.
        dropout: Float in `[0, 1)`, or one per hidden layer. Rate after each activation. Defaults
            to `0`.
        kernel_regularizer: Keras regularizer or its name, for all kernels. Defaults to `None`.
        kernel_constraint: Float, Keras constraint or its name, for all kernels. A number is the
            largest norm of each unit's incoming weights. Defaults to `None`.
        output_activation: Keras activation or its name, inside the output layer. Defaults to
            `"softmax"`.
        adapt_to: Array of training inputs, or with `wide_shape` a pair `(wide, deep)` of arrays,
            by which the model standardizes its inputs on both paths, see `mlp`. Defaults to
            `None`: no standardization.
        seed: Integer. Of all weights, dropout masks and random slopes, one derived for each.
            Defaults to `None`: `keras.utils.set_random_seed` decides.
        name: String. Name of the model. Defaults to `None`: Keras makes one.
        bias_initializer: Keras initializer or its name, for all biases. Defaults to `"zeros"`.
        activation_options: Mapping. Passed to `activation_layer`. Defaults to `None`.

    Returns:
        An uncompiled `keras.Model`, `[batch, *input_shape] -> [batch, outputs]`; with
        `wide_shape` it takes a pair `(wide, deep)`.

    Raises:
        ValueError: An argument is not as described.

    Reference:
        Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems"; Géron, chapter 10.

    Example:
        ```python
        wide, deep = np.ones((32, 5)), np.ones((32, 6))
        model = wide_and_deep(6, [30, 30], 1, wide_shape=5, output_activation="linear", seed=0)
        model((wide, deep)).shape  # (32, 1)
        ```
    """
    shape, units = shape_of(input_shape), units_of(hidden_units)
    outputs = positive_integer("outputs", outputs)
    rates, last = rates_of(dropout, len(units)), output_function(output_activation, outputs)
    wiring = Wiring(
        activation,
        kernel_initializer,
        bias_initializer,
        kernel_regularizer,
        kernel_constraint,
        normalization,
        activation_options,
        seed,
    )
    if wide_shape is None:
        inputs, wide = _entrance("", shape, adapt_to)
        x = wide
    else:
        wide_samples, deep_samples = _pair(adapt_to)
        wide_input, wide = _entrance("wide_", _wide(wide_shape), wide_samples)
        deep_input, x = _entrance("deep_", shape, deep_samples)
        inputs = (wide_input, deep_input)
    for i, (width, rate) in enumerate(zip(units, rates, strict=True), 1):
        weights = wiring.weights(f"hidden_{i}")
        x = keras.layers.Dense(width, use_bias=wiring.use_bias, **weights)(x)
        for layer in wiring.finish(f"hidden_{i}", rate):
            x = layer(x)
    x = keras.layers.Concatenate(name="wide_and_deep")([wide, x])
    x = keras.layers.Dense(outputs, activation=last, **wiring.weights("output", feeds=last))(x)
    return keras.Model(inputs, x, name=name)


def _entrance(prefix: str, shape: tuple[int, ...], adapt_to: Any) -> tuple[Any, Any]:
    """An input, and what the network makes of it before its first layer."""
    x = given = keras.Input(shape, name=f"{prefix}input")
    if adapt_to is not None:
        x = standardization(adapt_to, shape, name=f"{prefix}standardize")(x)
    if len(shape) > 1:
        x = keras.layers.Flatten(name=f"{prefix}flatten")(x)
    return given, x


def _wide(wide_shape: Any) -> tuple[int, ...]:
    try:
        return shape_of(wide_shape)
    except ValueError:
        raise ValueError(
            "`wide_shape` must be a positive integer or a tuple of positive integers. Received: "
            f"wide_shape={wide_shape!r}. Pass the shape of one sample of the wide path's input, "
            "or None where both paths share one input."
        ) from None


def _pair(adapt_to: Any) -> tuple[Any, Any]:
    """Samples of the wide and of the deep input."""
    if adapt_to is None:
        return None, None
    if not isinstance(adapt_to, (tuple, list)) or len(adapt_to) != 2:
        shape = np.shape(adapt_to) if hasattr(adapt_to, "shape") else ""
        raise ValueError(
            "With `wide_shape`, `adapt_to` must be a pair of arrays, of the wide and of the deep "
            f"input. Received: adapt_to={type(adapt_to).__name__} {shape}. Pass "
            "adapt_to=(x_wide, x_deep)."
        )
    return adapt_to[0], adapt_to[1]
