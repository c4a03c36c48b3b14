"""`recurrent`: a network of LSTM, GRU or simple recurrent layers for sequences."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ._arguments import (
    check_choice,
    check_flag,
    check_initializer,
    constraint_of,
    fresh_initializer,
    layer_seed,
    output_function,
    positive_integer,
    rates_of,
    regularizer_of,
    samples_of,
    shape_of,
    sizes_of,
)
from ._channels import channel_standardization
from ._wiring import Wiring

_CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple": keras.layers.SimpleRNN}

# Layers rather than functions: a recurrent layer can't apply them within its loop.
_WITH_STATE = ("prelu", "rrelu")


def recurrent(
    input_shape: Sequence[int | None],
    units: Sequence[int],
    outputs: int,
    *,
    cell: str = "lstm",
    bidirectional: bool = False,
    return_sequences: bool = False,
    activation: str | None = "tanh",
    kernel_initializer: Any = None,
    recurrent_initializer: Any = "orthogonal",
    normalization: str | None = None,
    dropout: float | Sequence[float] = 0.0,
    recurrent_dropout: float | Sequence[float] = 0.0,
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
    output_activation: Any = "softmax",
    adapt_to: Any = None,
    seed: int | None = None,
    name: str | None = None,
    bias_initializer: Any = "zeros",
) -> keras.Model:
    """A recurrent network for sequences, wired so that its gradient lasts over many time steps.

    ```
    input - standardize - [recurrent - normalization - dropout] * n - output
    simple cell   h[t] = activation(x[t] W + h[t-1] U + b)
    ```

    Through `T` steps a gradient passes `T` times by `U` transposed and the activation's slope.
    `U` starts orthogonal, all its singular values at 1, so that only the slope shrinks it; LSTM
    and GRU pass it by their gates too. An LSTM starts with forget gates' biases of 1, to remember.
    Choose `"lstm"` or, with three quarters of its weights, `"gru"`; `"simple"` for some ten steps,
    or with `activation="relu"` and `recurrent_initializer="identity"` (Le et al. 2015) for more.

    Training may still push `U` to where gradients explode. Clipping them is the optimizer's part:
    give it `global_clipnorm=1.0`, which keeps the gradient's direction (`clipnorm` takes the norm
    of each variable by itself, `clipvalue` cuts each element). `callbacks.GradientNorms` shows the
    norms before clipping, by which to choose the threshold.

    The layers are called `standardize`, `recurrent_1`, `recurrent_1_layer_normalization`,
    `recurrent_1_dropout`, `recurrent_2`, ..., `output`; those not asked for are absent.

    Args:
        input_shape: Tuple of integers. Shape of one sequence, `(time, features)`; the time may be
            `None` for batches of any length.
        units: Sequence of integers. Width of each recurrent layer, and of each direction.
        outputs: Integer. Width of the output layer.
        cell: `"lstm"`, `"gru"` or `"simple"`. Defaults to `"lstm"`.
        bidirectional: Boolean. Whether each layer reads the sequence forwards and, with weights
            of its own, backwards, and puts out both. Defaults to `False`.
        return_sequences: Boolean. Whether there is an output for each time step rather than one
            after the last. Defaults to `False`.
        activation: String. Of the cells, a name in `ACTIVATIONS` except `"prelu"` and `"rrelu"`;
            `None` is linear. Gates stay sigmoid. Only `"tanh"` is fast on a GPU (cuDNN).
            Defaults to `"tanh"`.
        kernel_initializer: Keras initializer or its name, for all kernels but the recurrent.
            Defaults to `None`: what the activation needs, normally distributed.
        recurrent_initializer: Keras initializer or its name, for all recurrent kernels. Those of
            an LSTM or GRU hold their gates side by side, orthogonal together. Defaults to
            `"orthogonal"`.
        normalization: `"layer"`, of each layer's outputs at each time step, or `None`. Defaults
            to `None`.
        dropout: Float in `[0, 1)`, or one per recurrent layer. Rate after each. Defaults to `0`.
        recurrent_dropout: Float in `[0, 1)`, or one per recurrent layer. Rate on the way from one
            time step to the next, one mask for all steps; not fast on a GPU. Defaults to `0`.
        kernel_regularizer: Keras regularizer or its name, for all kernels, the recurrent ones
            too. Defaults to `None`.
        kernel_constraint: Float, Keras constraint or its name, for all kernels, the recurrent
            ones too. A number is the largest norm of each unit's incoming weights. Defaults to
            `None`.
        output_activation: Keras activation or its name, inside the output layer. Defaults to
            `"softmax"`.
        adapt_to: Array `[n, *input_shape]` of training sequences, finite. The model standardizes
            its inputs with the mean and variance of each feature over all time steps, saved with
            it. Defaults to `None`: no standardization.
        seed: Integer. Of all weights and dropout masks, one derived for each. Defaults to
            `None`: `keras.utils.set_random_seed` decides.
        name: String. Name of the model. Defaults to `None`: Keras makes one.
        bias_initializer: Keras initializer or its name, for all biases but the forget gates'.
            Defaults to `"zeros"`.

    Returns:
        An uncompiled `keras.Model`, `[batch, time, features] -> [batch, outputs]`, or
        `[batch, time, outputs]` with `return_sequences`.

    Raises:
        ValueError: An argument is not as described.

    Reference:
        Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks"
        (clipping); Saxe, McClelland & Ganguli 2014 (orthogonal); Jozefowicz, Zaremba & Sutskever
        2015 (forget bias); Le, Jaitly & Hinton 2015 (identity).

    Example:
        ```python
        model = recurrent((28, 28), [64, 64], 10, cell="gru", dropout=0.1, seed=0)
        clipped = keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
        model.compile(clipped, "sparse_categorical_crossentropy")
        model(np.zeros((5, 28, 28))).shape  # (5, 10)
        ```
    """
    shape, widths = _sequence_shape_of(input_shape), _units_of(units)
    outputs = positive_integer("outputs", outputs)
    check_initializer("recurrent_initializer", recurrent_initializer)
    check_choice("cell", cell, tuple(_CELLS))
    check_choice("normalization", normalization, (None, "layer"))
    check_flag("bidirectional", bidirectional)
    check_flag("return_sequences", return_sequences)
    rates = rates_of(dropout, len(widths))
    last = output_function(output_activation, outputs)
    wiring = Wiring(
        activation,
        kernel_initializer,
        bias_initializer,
        kernel_regularizer,
        kernel_constraint,
        normalization,
        None,
        seed,
    )
    common = {
        "activation": _function_of(wiring),
        "recurrent_regularizer": regularizer_of(kernel_regularizer),
        "recurrent_constraint": constraint_of(kernel_constraint),
    }
    through_time = _recurrent_rates_of(recurrent_dropout, len(widths))

    x = inputs = keras.Input(shape, name="input")
    if adapt_to is not None:
        x = channel_standardization(_sequences_of(adapt_to, shape), shape[1])(x)
    for i, (width, rate) in enumerate(zip(widths, rates, strict=True), 1):
        layer_name = f"recurrent_{i}"
        options = {
            **common,
            "units": width,
            "recurrent_dropout": through_time[i - 1],
            "return_sequences": return_sequences or i < len(widths),
        }
        make = _both_ways if bidirectional else _one_way
        x = make(wiring, cell, layer_name, recurrent_initializer, options)(x)
        if normalization is not None:
            x = wiring.normalize(layer_name)(x)
        x = wiring.drop(layer_name, rate)(x) if rate else x
    x = keras.layers.Dense(outputs, activation=last, **wiring.weights("output", feeds=last))(x)
    return keras.Model(inputs, x, name=name)


def _one_way(
    wiring: Wiring, cell: str, name: str, recurrent_initializer: Any, options: dict[str, Any]
) -> keras.layers.Layer:
    seed = wiring.seed
    return _CELLS[cell](
        **wiring.weights(name),
        recurrent_initializer=fresh_initializer(
            recurrent_initializer, seed, f"{name}/recurrent_kernel"
        ),
        seed=layer_seed(seed, f"{name}/recurrent_dropout"),
        **options,
    )


def _both_ways(
    wiring: Wiring, cell: str, name: str, recurrent_initializer: Any, options: dict[str, Any]
) -> keras.layers.Layer:
    # Both named: the backward layer that Keras makes itself gets the forward one's seeds.
    forward = _one_way(wiring, cell, f"forward_{name}", recurrent_initializer, options)
    backward = _one_way(
        wiring, cell, f"backward_{name}", recurrent_initializer, {**options, "go_backwards": True}
    )
    return keras.layers.Bidirectional(forward, backward_layer=backward, name=name)


def _sequence_shape_of(input_shape: Any) -> tuple[int | None, int]:
    """`(time, features)`; a time of `None` stays so."""
    if isinstance(input_shape, Sequence) and len(input_shape) == 2 and input_shape[0] is None:
        return None, shape_of(input_shape[1:])[0]
    shape = shape_of(input_shape)
    if len(shape) != 2:
        raise ValueError(
            "`input_shape` must be one sequence's, (time, features), where the time may be None. "
            f"Received: input_shape={input_shape!r} ({len(shape)} axes). A series of single "
            "numbers is (time, 1): reshape it by `x[..., None]`."
        )
    return shape[0], shape[1]


def _sequences_of(adapt_to: Any, shape: tuple[int | None, int]) -> Any:
    expected: Any = shape
    if shape[0] is None and np.ndim(adapt_to) == 3:
        expected = np.shape(adapt_to)[1], shape[1]
    return samples_of(adapt_to, expected)


def _units_of(units: Any) -> list[int]:
    way_out = " Pass one width per recurrent layer, such as [64, 64]."
    widths = sizes_of("units", units, way_out)
    if not widths:
        raise ValueError(
            f"`units` must name at least one recurrent layer. Received: units={units!r}.{way_out}"
        )
    return widths


def _recurrent_rates_of(recurrent_dropout: Any, layers: int) -> list[float]:
    try:
        return rates_of(recurrent_dropout, layers)
    except ValueError as error:
        named = str(error).replace("dropout=", "recurrent_dropout=")
        raise ValueError(named.replace("`dropout`", "`recurrent_dropout`")) from None


def _function_of(wiring: Wiring) -> Any:
    """The Keras function of the cells' activation."""
    name = wiring.facts.name
    if name in _WITH_STATE:
        raise ValueError(
            f"`activation` of a recurrent layer must be a function without weights or randomness. "
            f"Received: activation={name!r}. Use 'tanh', or 'leaky_relu' for a leak."
        )
    return keras.activations.get(name)
