"""`ManyNetworks`: dense networks of several activations, rates and seeds trained in one step.

`replicate` stacks seeds of one network; here the stacked ones differ in activation and learning
rate too, so that a whole grid costs one compiled step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .._arguments import layer_seed
from ..activations import activation_layer, initializer_for

Floats = npt.NDArray[np.float32]
_HELD_OUT = 250  # all networks' outputs for so many examples at once


@dataclass(frozen=True)
class Kind:
    """One kind of network.

    Attributes:
        label: As tables and figures call it.
        activation: Of the hidden layers.
        options: Of the activation.
    """

    label: str
    activation: str
    options: Mapping[str, Any] = field(default_factory=dict)


class ManyNetworks:
    """Networks `[kinds, rates, seeds]`, each with weights of its seed, in plain gradient descent.

    Attributes:
        shape: How many kinds, rates and seeds.
        rates: Learning rate of each, `[kinds * rates * seeds]`; to be assigned to change them.
    """

    def __init__(
        self, kinds: Sequence[Kind], rates: Sequence[float], seeds: Sequence[int],
        widths: Sequence[int],
    ) -> None:  # fmt: skip
        self.shape = len(kinds), len(rates), len(seeds)
        self._kinds, self._seeds = list(kinds), list(seeds)
        self._each = len(rates) * len(seeds)  # networks of a kind, which lie side by side
        given = np.tile(np.repeat(np.asarray(rates, "float32"), len(seeds)), len(kinds))
        self.rates = tf.Variable(given)
        self._kernels = [tf.Variable(self._drawn(at, widths)) for at in range(len(widths) - 1)]
        self._biases = [
            tf.Variable(tf.zeros((len(given), 1, width), "float32")) for width in widths[1:]
        ]
        # PReLU's slopes, one a unit; no other kind reads them.
        self._slopes = [tf.Variable(0.25 * tf.ones_like(bias)) for bias in self._biases[:-1]]
        self._activations = [
            None if kind.activation == "prelu"
            else activation_layer(kind.activation, **kind.options)
            for kind in kinds
        ]  # fmt: skip
        self._epoch = tf.function(self._run_epoch)
        self._passed = tf.function(self._forward)

    def fit(self, x: Any, y: Any, epochs: int, batch_size: int = 32) -> Floats:
        """Trains all; the mean loss of each epoch, `[epochs, kinds, rates, seeds]`."""
        x, y = tf.constant(x, "float32"), tf.constant(y, "int32")
        steps = len(x) // batch_size
        generators = [np.random.default_rng(seed) for seed in self._seeds]
        losses = []
        for _ in range(epochs):
            orders = [one.permutation(len(x))[: steps * batch_size] for one in generators]
            # Equal seeds see the examples in one order.
            own = np.stack([one.reshape(steps, batch_size) for one in orders], axis=1)
            losses.append(self._epoch(x, y, tf.constant(own, "int32")).numpy())
        return np.stack(losses).reshape(len(losses), *self.shape)

    def accuracy(self, x: Any, y: Any) -> Floats:
        """Share of right answers in percent, `[kinds, rates, seeds]`; NaN counts as wrong."""
        right = np.zeros(len(self.rates.numpy()))
        for start in range(0, len(x), _HELD_OUT):
            logits = self._outputs(x[start : start + _HELD_OUT])[-1]
            hit = logits.argmax(axis=-1) == y[start : start + _HELD_OUT]
            right += (hit & np.isfinite(logits).all(axis=-1)).sum(axis=1)
        return (100 * right / len(x)).astype("float32").reshape(self.shape)

    def finite(self) -> npt.NDArray[np.bool_]:
        """Which have not diverged, `[kinds, rates, seeds]`."""
        found = [np.isfinite(one.numpy()).all(axis=(1, 2)) for one in self._kernels]
        return np.asarray(np.all(found, axis=0)).reshape(self.shape)

    def negative_everywhere(self, x: Any) -> npt.NDArray[np.bool_]:
        """Hidden units whose pre-activation is below 0 (or 0) for every example.

        Returns:
            `[kinds, rates, seeds, layers, units]`, for hidden layers of one width.
        """
        found: Any = True
        for start in range(0, len(x), _HELD_OUT):
            hidden = self._outputs(x[start : start + _HELD_OUT])[:-1]
            found = found & np.stack([(z <= 0).all(axis=1) for z in hidden], axis=1)
        return np.asarray(found).reshape(*self.shape, *found.shape[1:])

    def put_to_sleep(self, x: Any, units: int, margin: float) -> None:
        """Lowers biases of the first layer until its first units are negative for every example.

        Args:
            x: The examples.
            units: How many, from the first on.
            margin: How far below 0 their largest pre-activation is put.
        """
        parts = range(0, len(x), _HELD_OUT)
        largest = np.max([self._outputs(x[at : at + _HELD_OUT])[0].max(axis=1) for at in parts], 0)
        down = np.zeros_like(self._biases[0].numpy())
        down[:, 0, :units] = largest[:, :units] + margin
        self._biases[0].assign_sub(down)

    # ------------------------------------------------------------------ inside

    def _drawn(self, at: int, widths: Sequence[int]) -> Floats:
        """The kernels of layer `at`: of each kind by its initializer, the last by softmax's."""
        last, shape = at == len(widths) - 2, (widths[at], widths[at + 1])
        drawn = []
        for kind in self._kinds:
            of_seed = [
                np.asarray(
                    initializer_for(
                        "softmax" if last else kind.activation, seed=layer_seed(seed, f"layer_{at}")
                    )(shape)
                )
                for seed in self._seeds
            ]
            drawn += of_seed * (self._each // len(self._seeds))
        return np.stack(drawn)

    def _outputs(self, x: Any) -> list[Floats]:
        x = tf.constant(x, "float32")
        return [one.numpy() for one in self._passed(x[None])]

    def _forward(self, h: Any, training: bool = False) -> list[Any]:
        """The pre-activations of each layer, the logits last."""
        found = []
        for at, (kernel, bias) in enumerate(zip(self._kernels, self._biases, strict=True)):
            z = tf.matmul(h, kernel) + bias
            found.append(z)
            if at < len(self._slopes):
                h = self._activated(z, at, training)
        return found

    def _activated(self, z: Any, at: int, training: bool) -> Any:
        parts = []
        for number, layer in enumerate(self._activations):
            own = slice(number * self._each, (number + 1) * self._each)
            if layer is None:
                slopes = self._slopes[at][own]
                parts.append(tf.maximum(z[own], 0.0) + slopes * tf.minimum(z[own], 0.0))
            else:
                parts.append(layer(z[own], training=training))
        return tf.concat(parts, axis=0)

    def _run_epoch(self, x: Any, y: Any, orders: Any) -> Any:
        total = tf.zeros_like(self.rates)
        for order in orders:
            total += self._step(tf.gather(x, order), tf.gather(y, order))
        return total / tf.cast(tf.shape(orders)[0], "float32")

    def _step(self, x: Any, y: Any) -> Any:
        repeats = self.shape[0] * self.shape[1]
        x, y = tf.tile(x, [repeats, 1, 1]), tf.tile(y, [repeats, 1])
        variables = [*self._kernels, *self._biases, *self._slopes]
        with tf.GradientTape() as tape:
            logits = self._forward(x, training=True)[-1]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            losses = tf.reduce_mean(losses, axis=1)
            # A sum, so that each network has the gradient of its own loss.
            total = tf.reduce_sum(losses)
        gradients = tape.gradient(total, variables, unconnected_gradients="zero")
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(self.rates[:, None, None] * gradient)
        return losses
