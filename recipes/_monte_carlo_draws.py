"""One compiled function a model: the mean and deviation of its outputs over many draws."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ._active_dropout import RATES, dropout_active, dropouts, random_states

# By model, with what it was compiled for. It holds no model: that would keep it for ever.
_COMPILED: weakref.WeakKeyDictionary[Any, tuple[Any, Any]] = weakref.WeakKeyDictionary()


def compiled_draw(model: Any, x: Any) -> Callable[..., Any]:
    """What draws for some rows: compiled once, and anew when a rate has changed.

    Args:
        model: A built Keras model.
        x: Inputs such as will be given, any number of rows.

    Returns:
        A function of inputs, samples and copies (how often an input is in one pass), which
        returns the mean and the deviation of the outputs.

    Raises:
        ValueError: The model has no dropout.
    """
    if not dropouts(model) and not random_states(model):
        raise ValueError(
            "`model` must have dropout, or every sample would be the same. Received: a model "
            f"without, {model.name!r}. Build and train it with dropout, such as "
            "mlp(..., dropout=0.2)."
        )
    key = _compiled_for(model)
    if model not in _COMPILED or _COMPILED[model][0] != key:
        _COMPILED[model] = (key, _compile(model))
    draw: Any = _COMPILED[model][1]
    if not model.run_eagerly:
        # Traced for any number of rows, before a call traces it for one.
        rows = keras.tree.map_structure(
            lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype), x
        )
        number = tf.TensorSpec((), tf.int32)
        draw.get_concrete_function(rows, number, number)
    return draw  # type: ignore[no-any-return]


def _compiled_for(model: Any) -> Any:
    """What a graph has in it for good."""
    rates = [
        (id(layer), *(getattr(layer, name, None) for name in RATES)) for layer in dropouts(model)
    ]
    return rates, [id(v) for v in model.variables], model.run_eagerly, model.jit_compile


def _compile(model: Any) -> Any:
    if model.run_eagerly:
        return _draw_of(weakref.ref(model), None)
    return tf.function(_draw_of(weakref.ref(model), bool(model.jit_compile)), autograph=False)


def _draw_of(reference: Any, jit_compile: bool | None) -> Callable[..., Any]:
    def forward(rows: Any) -> Any:
        model = reference()
        with dropout_active(model):
            return model(rows, training=False)

    if jit_compile is not None:
        # A function of its own: traced once for the first pass and the loop.
        forward = tf.function(forward, autograph=False, jit_compile=jit_compile)

    def draw(x: Any, samples: Any, copies: Any) -> Any:
        # Passes of one shape; what the last one has too much is left out.
        rows = keras.tree.map_structure(lambda part: tf.repeat(part, copies, axis=0), x)

        def moments(outputs: Any, count: Any) -> Any:
            return [_moments(out, copies, count) for out in keras.tree.flatten(outputs)]

        def more(drawn: Any, so_far: Any) -> Any:
            count = tf.minimum(copies, samples - drawn)
            new = moments(forward(rows), count)
            merged = [_merge(*both, drawn, count) for both in zip(so_far, new, strict=True)]
            return drawn + count, merged

        first = forward(rows)
        _, whole = tf.while_loop(
            lambda drawn, _: drawn < samples,
            more,
            (copies, moments(first, copies)),
            parallel_iterations=1,  # the random generators move on from pass to pass
        )
        pack = functools.partial(keras.tree.pack_sequence_as, first)
        deviations = [tf.sqrt(squares / tf.cast(samples, squares.dtype)) for _, squares in whole]
        return pack([mean for mean, _ in whole]), pack(deviations)

    return draw


def _moments(outputs: Any, copies: Any, count: Any) -> tuple[Any, Any]:
    """Mean, and sum of squares about it, of the first `count` of each input's copies."""
    if not outputs.dtype.is_floating or outputs.dtype.size < 4:
        outputs = tf.cast(outputs, tf.float32)
    shape = tf.shape(outputs)
    grouped = tf.reshape(outputs, tf.concat([[shape[0] // copies, copies], shape[1:]], 0))
    grouped = grouped[:, :count]
    mean = tf.reduce_mean(grouped, axis=1)
    squares = tf.reduce_sum(tf.square(grouped - mean[:, None]), axis=1)
    static = [None, *outputs.shape[1:]]
    return tf.ensure_shape(mean, static), tf.ensure_shape(squares, static)


def _merge(first: Any, second: Any, drawn: Any, count: Any) -> tuple[Any, Any]:
    """The moments of two groups together (Chan et al. 1979): no difference of large sums."""
    (mean, squares), (other_mean, other_squares) = first, second
    share = tf.cast(count, mean.dtype) / tf.cast(drawn + count, mean.dtype)
    difference = other_mean - mean
    between = tf.square(difference) * tf.cast(drawn, mean.dtype) * share
    return mean + difference * share, squares + other_squares + between
