"""Norms and standard deviations that are right over the whole range of float32.

Sums of squares leave it long before the numbers themselves do: gradients of 1e-30 are the very
ones that a monitor must not call 0.
"""

from typing import Any

import tensorflow as tf

from ._branch import when

# Outside of these, sums of squares lose digits or leave float32.
_SAFE_SQUARES = (1e-30, 1e30)


def norms(tensors: list[Any], in_xla: bool) -> Any:
    """L2 norms of float32 tensors `[n]`.

    Args:
        tensors: The tensors.
        in_xla: Whether XLA compiles the step. It reads a tensor as float64 without writing a
            copy of it, and there must be no branch in it: see `Step`.
    """
    if in_xla:
        squares = [tf.reduce_sum(tf.square(tf.cast(tensor, tf.float64))) for tensor in tensors]
        return tf.cast(tf.sqrt(tf.stack(squares)), tf.float32)
    # l2_loss reads a tensor once; reduce_sum(square(...)) would write a copy of it.
    squares = 2.0 * tf.stack([tf.nn.l2_loss(tensor) for tensor in tensors])
    safe = _is_safe(squares)
    return tf.where(safe, tf.sqrt(squares), when(~safe, lambda: _scaled_norms(tensors)))


def means_and_deviations(tensors: list[Any], in_xla: bool) -> list[Any]:
    """Means `[n]` and standard deviations `[n]` of float32 tensors; `in_xla` as for `norms`."""
    wide = [tf.cast(tensor, tf.float64) for tensor in tensors] if in_xla else tensors
    means = [tf.reduce_mean(tensor) for tensor in wide]
    squares = tf.stack(
        [
            tf.reduce_mean(tf.math.squared_difference(tensor, mean))
            for tensor, mean in zip(wide, means, strict=True)
        ]
    )
    packed = tf.stack(means)
    if in_xla:
        return [tf.cast(packed, tf.float32), tf.cast(tf.sqrt(squares), tf.float32)]
    zero = tf.equal(packed, 0) & tf.equal(squares, 0)  # a dead layer
    safe = _is_safe(squares, or_else=zero)
    rescued = when(~safe, lambda: _scaled_deviations(packed, tensors))
    return [packed, tf.where(safe, tf.sqrt(squares), rescued)]


def _is_safe(squares: Any, or_else: Any = False) -> Any:
    low, high = _SAFE_SQUARES
    return tf.reduce_all(tf.equal(squares, tf.clip_by_value(squares, low, high)) | or_else)


def _scaled_norms(tensors: list[Any]) -> Any:
    return tf.stack([_scaled_root(tensor, tf.reduce_sum) for tensor in tensors])


def _scaled_deviations(means: Any, tensors: list[Any]) -> Any:
    pairs = zip(tensors, tf.unstack(means), strict=True)
    return tf.stack([_scaled_root(tensor - mean, tf.reduce_mean) for tensor, mean in pairs])


def _scaled_root(tensor: Any, reduce: Any) -> Any:
    """The root of the sum or mean of squares, divided by the largest number first."""
    largest = tf.reduce_max(tf.abs(tensor))
    scale = tf.where((largest > 0) & tf.math.is_finite(largest), largest, 1.0)
    return scale * tf.sqrt(reduce(tf.square(tensor / scale)))
