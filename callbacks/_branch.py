"""A branch of the training step that costs one operation where it is not taken."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def when(condition: Any, compute: Callable[[], Any]) -> Any:
    """What `compute` returns where `condition` holds, else zeros.

    `tf.cond` would be lowered to one Switch for each tensor that `compute` reads, all of which run
    in every step (`benchmarks/branch.py`).

    Args:
        condition: Boolean tensor `[]`.
        compute: Returns one tensor of a static shape; what it reads of the graph around it, it
            captures.

    Returns:
        A tensor of the shape and dtype that `compute` returns; run eagerly, the zeros are one.
    """
    if tf.executing_eagerly():
        return compute() if condition else tf.constant(0.0)
    taken = tf.function(compute, autograph=False).get_concrete_function()
    inputs = taken.captured_inputs
    signature = [tf.TensorSpec(each.shape, each.dtype) for each in inputs]
    (output,) = taken.outputs

    def zeros(*unused: Any) -> Any:
        return tf.zeros(output.shape, output.dtype)

    (value,) = tf.raw_ops.If(
        cond=condition,
        input=inputs,
        Tout=[output.dtype],
        then_branch=taken,
        else_branch=tf.function(zeros, autograph=False).get_concrete_function(*signature),
        output_shapes=[output.shape],
    )
    return value
