"""Optimizers that give each replica a rate, a decay and a clipping of its own, all in one step."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class _Replicated:
    """Keras' optimizers for weights `[replicas, ...]`; mixed in before them.

    Args:
        rates: Learning rate of each replica; Keras' own, 1 or a schedule, multiplies it.
        factors: `tf.Variable` `[replicas]` that multiplies the rates, to be changed in between.
        decays: L2 strength of each replica: its kernels' gradients get `decay * kernel` added.
        clip: Largest norm of all gradients of a replica together, None for no clipping.
        max_norm: Largest norm of the weights into a unit, None for no limit.
        **options: Of Keras' optimizer.
    """

    def __init__(
        self, rates: Any, factors: Any, decays: Any, clip: Any = None, max_norm: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.own = {
            "rates": np.asarray(rates, "float32"),
            "factors": factors,
            "decays": np.asarray(decays, "float32"),
            "clip": clip,
            "max_norm": max_norm,
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.own}  # type: ignore[misc]

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """Clips the gradients of each replica by their common norm, then takes the step."""
        if self.own["clip"] is not None:
            squares = [tf.reduce_sum(one**2, range(1, len(one.shape))) for one in grads]
            norms = tf.sqrt(tf.add_n(squares))
            shares = tf.minimum(1.0, self.own["clip"] / tf.maximum(norms, 1e-30))
            grads = [one * _along(shares, one) for one in grads]
        return super().apply(grads, trainable_variables)  # type: ignore[misc]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """The step of one stacked weight."""
        is_kernel = len(variable.shape) > 2
        if is_kernel and self.own["decays"].any():
            kernel = tf.convert_to_tensor(variable)
            gradient = gradient + _along(self.own["decays"], variable) * kernel
        rates = _along(self.own["rates"] * self.own["factors"], variable)
        super().update_step(gradient, variable, learning_rate * rates)  # type: ignore[misc]
        if is_kernel and self.own["max_norm"] is not None:
            kernel = tf.convert_to_tensor(variable)
            norms = tf.norm(kernel, axis=1, keepdims=True)
            limit = tf.minimum(1.0, self.own["max_norm"] / tf.maximum(norms, 1e-30))
            variable.assign(kernel * limit)


def _along(values: Any, like: Any) -> Any:
    """One number a replica, to be multiplied with `[replicas, ...]`."""
    return tf.reshape(values, [-1, *(1 for _ in like.shape[1:])])


class SGD(_Replicated, keras.optimizers.SGD):
    """Gradient descent, with momentum or without."""


class Adam(_Replicated, keras.optimizers.Adam):
    """Adam."""


class Nadam(_Replicated, keras.optimizers.Nadam):
    """Adam with Nesterov's momentum."""


@keras.saving.register_keras_serializable(package="trainwell_evidence")
class OneCycleShape(keras.optimizers.schedules.LearningRateSchedule):
    """From 0.1 up to 1 in 45% of the steps, back in 45%, then down to 0.0001."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        at = tf.cast(step, "float32") / self.steps
        up, down = 0.1 + 0.9 * at / 0.45, 1 - 0.9 * (at - 0.45) / 0.45
        last = 0.1 - 0.0999 * (at - 0.9) / 0.1
        return tf.where(at < 0.45, up, tf.where(at < 0.9, down, tf.maximum(last, 1e-4)))

    def get_config(self) -> dict[str, Any]:
        return {"steps": self.steps}


def schedule(kind: str | None, steps: int) -> Any:
    """The share of the highest rate at each of the training's steps."""
    kinds = keras.optimizers.schedules
    if kind == "1cycle":
        return OneCycleShape(steps)
    if kind == "exponential":
        return kinds.ExponentialDecay(1.0, steps, 0.03)
    if kind == "piecewise":
        return kinds.PiecewiseConstantDecay([steps // 2], [1.0, 0.2])
    return 1.0
