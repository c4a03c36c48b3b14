"""`flow`: the signal forward and the gradient backward through any depth, in a plain loop.

Keras' graphs end near a thousand layers, and float32 where gradients grow by 15 orders of magnitude
and more: here a layer is a kernel, and all numbers are float64.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .._arguments import layer_seed

Doubles = npt.NDArray[np.float64]


class Flow(NamedTuple):
    """What passes each layer, `[layers]` each.

    Attributes:
        mean: Of what it puts out.
        deviation: Of what it puts out.
        backward: Deviation of the loss' derivative by what it puts out.
        gradient: Norm of the gradient of its kernel.
        measured: What `measure` gave for it.
    """

    mean: Doubles
    deviation: Doubles
    backward: Doubles
    gradient: Doubles
    measured: Doubles


def flow(
    x: Any,
    y: Any,
    kernels: Sequence[Any],
    layer: Callable[[Any, Any], Any],
    measure: Callable[[Any], Any] | None = None,
) -> Flow:
    """One pass forward and one backward, from the cross-entropy of ten classes.

    Args:
        x: Inputs, float64.
        y: Classes `[n]`.
        kernels: One a layer, float64; the same one may come again.
        layer: Of an input and a kernel, gives what the layer puts out.
        measure: Of what a layer puts out, gives a number. Defaults to `None`: 0.
    """
    weights = [tf.constant(kernel, "float64") for kernel in kernels]
    outputs: list[Any] = []
    with tf.GradientTape() as tape:
        tape.watch(weights)
        h = tf.constant(x, "float64")
        for kernel in weights:
            h = layer(h, kernel)
            outputs.append(h)
        features = tf.reshape(h, (len(x), -1))
        readout = normal((features.shape[1], 10), 1 / features.shape[1], 0, "readout")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, features @ readout)
        loss = tf.reduce_mean(losses)
    back, gradients = tape.gradient(loss, [outputs, weights])
    return Flow(
        mean=np.array([one.numpy().mean() for one in outputs]),
        deviation=np.array([one.numpy().std() for one in outputs]),
        backward=np.array([one.numpy().std() for one in back]),
        gradient=np.array([np.linalg.norm(one) for one in gradients]),
        measured=np.array([float(measure(one)) if measure else 0.0 for one in outputs]),
    )


def normal(shape: Sequence[int], variance: float, seed: int, name: str) -> Doubles:
    """A kernel with entries N(0, variance), from a seed and the layer's name."""
    generator = np.random.default_rng(layer_seed(seed, name))
    return generator.normal(0.0, np.sqrt(variance), size=tuple(shape))


def uniform(shape: Sequence[int], variance: float, seed: int, name: str) -> Doubles:
    """The same, uniform within plus and minus sqrt(3 variance)."""
    limit, generator = np.sqrt(3 * variance), np.random.default_rng(layer_seed(seed, name))
    return generator.uniform(-limit, limit, size=tuple(shape))


def stack(
    widths: Sequence[int], scale: float, seed: int, mode: str = "fan_in", draw: Any = normal
) -> list[Doubles]:
    """Kernels between layers of these widths, of variance scale / mode.

    Args:
        widths: Of the inputs and of each layer.
        scale: 2 is He's.
        seed: Of all.
        mode: `"fan_in"`, `"fan_out"`, `"fan_avg"`, or `"one"` for a variance of `scale`.
        draw: `normal` or `uniform`.
    """
    kernels = []
    for at, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2, "one": 1}
        kernels.append(draw((fan_in, fan_out), scale / fan[mode], seed, f"kernel_{at}"))
    return kernels


def dense(activation: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A dense layer without a bias, for `flow`."""
    return lambda h, kernel: activation(tf.matmul(h, kernel))


def dense_with_shortcut(activation: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The same added to what it was given, where the widths allow it."""

    def layer(h: Any, kernel: Any) -> Any:
        z = activation(tf.matmul(h, kernel))
        return z + h if z.shape == h.shape else z

    return layer


def convolution(activation: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A convolution that keeps the size of the image, zeros around it."""
    return lambda h, kernel: activation(tf.nn.conv2d(h, kernel, 1, "SAME"))


def dropped(activation: Callable[[Any], Any], drop: Any) -> Callable[[Any, Any], Any]:
    """A dense layer followed by a Keras dropout layer in training."""
    return lambda h, kernel: drop(activation(tf.matmul(h, kernel)), training=True)
