"""`mlp`: a dense network whose initializer, normalization and dropout fit its activation."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ._arguments import (
    check_choice,
    output_function,
    positive_integer,
    rates_of,
    samples_of,
    shape_of,
    units_of,
)
from ._wiring import Wiring


def mlp(
    input_shape: int | Sequence[int],
    hidden_units: Sequence[int],
    outputs: int,
    *,
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
    input_normalization: str | None = None,
) -> keras.Model:
    """A dense network, wired as the textbook recommends for its activation.

    ```
    input - standardize - flatten - [dense - normalization - activation - dropout] * n - output
    ```

    The layers are called `standardize`, `flatten`, `hidden_1`, `hidden_1_batch_normalization` or
    `hidden_1_layer_normalization`, `hidden_1_activation`, `hidden_1_dropout`, `hidden_2`, ...,
    `output`; those that are not asked for are absent.

    Args:
        input_shape: Integer or tuple of integers. Shape of one sample; of rank 2 and more it is
            flattened.
        hidden_units: Sequence of integers. Width of each hidden layer.
        outputs: Integer. Width of the output layer.
        activation: String. Of the hidden layers, see `ACTIVATIONS`; `None` is linear. Defaults
            to `"relu"`.
        kernel_initializer: Keras initializer or its name, for all kernels. An instance is made
            anew for each layer, from its own seed if it has one. Defaults to `None`: what the
            activation needs, normally distributed.
        normalization: `"batch"` or `"layer"`, before the activation (the dense layer has no bias
            then: the normalization's offset replaces it), or `"batch_after"`, batch
            normalization after it. Defaults to `None`.
        dropout: Float in `[0, 1)`, or one per hidden layer. Rate after each activation; alpha
            dropout where the activation normalizes itself. Defaults to `0`.
        kernel_regularizer: Keras regularizer or its name, for all kernels. Defaults to `None`.
        kernel_constraint: Float, Keras constraint or its name, for all kernels. A number is the
            largest norm of each unit's incoming weights. Defaults to `None`.
        output_activation: Keras activation or its name, inside the output layer. Defaults to
            `"softmax"`.
        adapt_to: Array `[n, *input_shape]` of training inputs, finite. The model standardizes
            its inputs with the mean and variance of each feature, saved with it. A feature that
            is constant here has no scale of its own and takes the mean variance of the others,
            at least 1, so that another value in use doesn't explode. One that is nearly constant
            keeps its small variance: drop it yourself. Defaults to `None`: no standardization.
        seed: Integer. Of all weights, dropout masks and random slopes, one derived for each.
            Defaults to `None`: `keras.utils.set_random_seed` decides.
        name: String. Name of the model. Defaults to `None`: Keras makes one.
        bias_initializer: Keras initializer or its name, for all biases. Defaults to `"zeros"`.
        activation_options: Mapping. Passed to `activation_layer`, such as
            `{"negative_slope": 0.2}`. Defaults to `None`.
        input_normalization: `"batch"` for batch normalization as the first layer, called
            `input_batch_normalization`: it learns the scale of the inputs while it trains,
            where they are not at hand for `adapt_to`. Not both. Defaults to `None`.

    Returns:
        An uncompiled `keras.Model`, `[batch, *input_shape] -> [batch, outputs]`.

    Raises:
        ValueError: An argument is not as described.

    Reference:
        Géron, chapter 11; Glorot & Bengio 2010; He et al. 2015; Ioffe & Szegedy 2015 (batch
        normalization); Klambauer et al. 2017 (SELU, alpha dropout); Srivastava et al. 2014
        (dropout, max-norm).

    Example:
        ```python
        x = np.random.default_rng(0).normal(5, 3, (256, 20))
        model = mlp(20, [64, 64], 3, activation="selu", dropout=0.1, adapt_to=x, seed=0)
        model(x).shape  # (256, 3)
        ```
    """
    shape, units = shape_of(input_shape), units_of(hidden_units)
    outputs = positive_integer("outputs", outputs)
    check_choice("input_normalization", input_normalization, (None, "batch"))
    if input_normalization is not None and adapt_to is not None:
        raise ValueError(
            "`input_normalization` and `adapt_to` do the same to the inputs. Received: both. Leave "
            "`input_normalization` out, since `adapt_to` knows the data from the first step on."
        )
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

    x = inputs = keras.Input(shape, name="input")
    if adapt_to is not None:
        x = standardization(adapt_to, shape)(x)
    if len(shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    if input_normalization is not None:
        x = keras.layers.BatchNormalization(name="input_batch_normalization")(x)
    for i, (width, rate) in enumerate(zip(units, rates, strict=True), 1):
        weights = wiring.weights(f"hidden_{i}")
        x = keras.layers.Dense(width, use_bias=wiring.use_bias, **weights)(x)
        for layer in wiring.finish(f"hidden_{i}", rate):
            x = layer(x)
    x = keras.layers.Dense(outputs, activation=last, **wiring.weights("output", feeds=last))(x)
    return keras.Model(inputs, x, name=name)


def standardization(
    adapt_to: Any, shape: tuple[int, ...], name: str = "standardize"
) -> keras.layers.Layer:
    """A Keras normalization with the mean and variance of each feature of `adapt_to`.

    Keras divides by `max(sqrt(variance), 1e-7)`: a feature that was constant in training would
    come out 1e7 times too large where it varies. See `mlp` for what is done instead.
    """
    samples = samples_of(adapt_to, shape)
    mean, variance = _moments(samples)
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        bad = int((~np.isfinite(mean) | ~np.isfinite(variance)).sum())
        raise ValueError(
            f"`adapt_to` must be finite, with a variance that float32 can hold. Received: {bad} "
            f"of {mean.size} features that are not. Replace NaN and infinite values first."
        )
    # By the extremes: rounding gives a constant 0.1 a variance of 1e-34.
    constant = samples.min(axis=0) == samples.max(axis=0)
    varying = variance[~constant]
    variance[constant] = max(1.0, float(varying.mean(dtype=np.float64)) if varying.size else 1.0)
    # As arguments, not by `adapt`: they are then part of the configuration, and a model that is
    # cloned keeps them, where Keras would silently go back to mean 0 and variance 1.
    axes = tuple(range(1, len(shape) + 1))
    return keras.layers.Normalization(axis=axes, mean=mean, variance=variance, name=name)


def _moments(samples: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and variance of each feature, summed in float64."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean = samples.mean(axis=0, dtype=np.float64)
        squares = np.zeros_like(mean)
        # In parts: a float64 copy of all samples may not fit.
        for start in range(0, len(samples), 4096):
            squares += np.square(samples[start : start + 4096] - mean).sum(axis=0)
        return mean.astype(np.float32), (squares / len(samples)).astype(np.float32)
