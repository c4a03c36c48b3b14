"""Conjugate gradients inside a compiled step: the minimum of a quadratic, without its matrix."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass
class Solution:
    """Where conjugate gradients stopped, and what the quadratic is there.

    Args:
        x: Tensor `[n]`.
        value: Scalar tensor, `g'x + x'Bx / 2`.
        iterations: Scalar integer tensor.
        negative_curvature: Scalar boolean tensor: whether `p'Bp <= 0` was met.
    """

    x: Any
    value: Any
    iterations: Any
    negative_curvature: Any


def conjugate_gradients(
    product: Callable[[Any], Any],
    gradient: Any,
    start: Any,
    preconditioner: Any,
    iterations: int,
    tolerance: float,
) -> Solution:
    """Minimizes `q(x) = g'x + x'Bx / 2`, truncated where it is told.

    It stops at `iterations`, at a direction `p` along which the curvature `p'Bp` is not positive
    (Steihaug: `x` so far is kept), or where the last `k = max(10, i / 10)` iterations have
    lowered `q` by less than `k * tolerance` of its value (Martens 2010).

    Args:
        product: Function from a vector to `B` times it.
        gradient: Tensor `[n]`, `g`.
        start: Tensor `[n]`, where to start.
        preconditioner: Tensor, positive: the diagonal by which residuals are divided.
        iterations: Integer. The most iterations; each takes one product, and the start another.
        tolerance: Float. Of Martens' rule.
    """

    def goes_on(i: Any, stopped: Any, *_: Any) -> Any:
        return tf.logical_and(i < iterations, tf.logical_not(stopped))

    # The round -1 goes from 0 to the start, for its residual: so the product, which may be a whole
    # network, is traced once only.
    def iterate(i: Any, _: Any, x: Any, r: Any, rz: Any, p: Any, values: Any, bent: Any) -> Any:
        first, bp = i < 0, product(p)
        curvature = dot(p, bp)
        # `not >` rather than `<=`: NaN stops as well.
        bent = tf.logical_not(first | (curvature > 0))
        step = tf.where(first, one, rz / curvature)
        x, r = tf.where(bent, x, x + step * p), tf.where(bent, r, r + step * bp)
        z = r / preconditioner
        new_rz = dot(r, z)
        p = tf.where(first, tf.zeros_like(p), new_rz / rz * p) - z
        # A residual r = g + Bx gives q(x) = x'(r + g) / 2 without another product.
        values = tf.tensor_scatter_nd_update(values, [[i + 1]], [dot(x, r + gradient) / 2])
        done = bent | _has_settled(values, i + 1, tolerance) | tf.logical_not(new_rz > 0)
        return i + 1, done, x, r, new_rz, p, values, bent

    one, no = tf.ones([], gradient.dtype), tf.constant(False)
    values = tf.zeros([iterations + 1], gradient.dtype)
    state = (tf.constant(-1), no, tf.zeros_like(start), gradient, one, start, values, no)
    i, _, x, _, _, _, values, bent = tf.while_loop(goes_on, iterate, state)
    return Solution(x=x, value=values[i], iterations=i, negative_curvature=bent)


def _has_settled(values: Any, i: Any, tolerance: float) -> Any:
    """Martens' rule: the progress of the last k iterations is small against all of it."""
    k = tf.maximum(10, i // 10)
    now, before = values[i], values[tf.maximum(i - k, 0)]
    allowed = tf.cast(k, now.dtype) * tolerance
    # now < 0: both sides of (now - before) / now < allowed were multiplied by it.
    return (i > k) & (now < 0) & (now - before > allowed * now)


def dot(a: Any, b: Any) -> Any:
    """The inner product of two vectors."""
    return tf.reduce_sum(a * b)
