"""Signs of a neuron's weight gradients, and saturation in the forward pass, which no loss cures."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..initializers import NaiveNormal, NielsenNormal
from ..mlp import mlp
from ._examples import Examples
from .outcome import Row

Doubles = npt.NDArray[np.float64]

BATCHES = (1, 10)
_HIDDEN = 30
_INPUTS, _UNITS, _SAMPLES = 1_000, 100, 100

LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "quadratic": lambda y, z: tf.reduce_sum((tf.sigmoid(z) - y) ** 2, -1) / 2,
    "cross-entropy": lambda y, z: tf.reduce_sum(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=z), -1
    ),
    "softmax log-likelihood": lambda y, z: tf.nn.softmax_cross_entropy_with_logits(y, z),
}
_WEIGHTS: dict[str, Any] = {"N(0, 1)": NaiveNormal, "1 / sqrt(n)": NielsenNormal}


def of_one_sign(gradients: Any) -> float:
    """Percent of neurons whose weights all want to go one way: `[..., weights, neurons]`."""
    given = np.asarray(gradients)
    alike = (given >= 0).all(axis=-2) | (given <= 0).all(axis=-2)
    return 100 * float(alike.mean())


def signs(data: Examples, activation: str, seed: int) -> dict[int, float]:
    """Neurons of the second hidden layer of one sign, in percent, by the examples averaged over."""
    samples = 200
    units = [_HIDDEN, _HIDDEN]
    model: Any = mlp((data.x.shape[1],), units, 10, activation=activation, seed=seed)
    first, second, last = (model.get_layer(name) for name in ("hidden_1", "hidden_2", "output"))
    function = keras.activations.get(activation)
    a = function(first(data.x[:samples]))
    z = second(a)
    with tf.GradientTape() as tape:
        tape.watch(z)
        losses = keras.losses.sparse_categorical_crossentropy(data.y[:samples], last(function(z)))
    delta = tape.gradient(losses, z)
    each = np.asarray(a)[:, :, None] * np.asarray(delta)[:, None, :]
    return {
        size: of_one_sign(each.reshape(-1, size, _HIDDEN, _HIDDEN).mean(axis=1)) for size in BATCHES
    }


def passed(weights: str, loss: str, seed: int) -> dict[str, float]:
    """What share of the error passes the sigmoids of the hidden layer and of the output.

    ```
    hidden   |dC/dz| / |dC/da|      output   |dC/dz| / |a - y|
    ```

    Of 1,000 inputs, half of them 1, the text's example.
    """
    generator = np.random.default_rng(seed)
    x = (generator.random((_SAMPLES, _INPUTS)) < 0.5).astype("float32")
    y = np.eye(10, dtype="float32")[generator.integers(0, 10, _SAMPLES)]
    draw = [_WEIGHTS[weights](seed=4 * seed + at) for at in range(4)]
    z = x @ np.asarray(draw[0]((_INPUTS, _UNITS))) + np.asarray(draw[1]((_UNITS,)))
    z = tf.constant(z)
    kernel, bias = draw[2]((_UNITS, 10)), draw[3]((10,))
    with tf.GradientTape() as tape:
        tape.watch(z)
        a = tf.sigmoid(z)
        outputs = tf.matmul(a, kernel) + bias
        cost = LOSSES[loss](y, outputs)
    by_z, by_a, by_outputs = tape.gradient(cost, [z, a, outputs])
    found = tf.nn.softmax(outputs) if "softmax" in loss else tf.sigmoid(outputs)
    return {
        "hidden": float(tf.norm(by_z) / tf.norm(by_a)),
        "output": float(tf.norm(by_outputs) / tf.norm(found - y)),
    }


class SignsAndSaturation:
    """Both findings over seeds."""

    def __init__(self, data: Examples, seeds: list[int]) -> None:
        self.signs = {
            name: [signs(data, name, seed) for seed in seeds] for name in ("sigmoid", "tanh")
        }
        self.passed = {
            (weights, loss): [passed(weights, loss, seed) for seed in seeds]
            for weights in _WEIGHTS
            for loss in LOSSES
        }

    def rows(self) -> list[Row]:
        """Shares of one sign, then what passes."""
        rows = [
            Row(
                what=f"neurons with gradients of one sign, {name}, over {size} example"
                f"{'s' * (size > 1)}",
                ours=[one[size] for one in runs],
                text=100.0 if name == "sigmoid" and size == 1 else None,
                unit="%",
            )
            for name, runs in self.signs.items()
            for size in BATCHES
        ]
        rows += [
            Row(
                what=f"error that passes the {layer} layer, {weights}, {loss}",
                ours=[one[layer] for one in runs],
            )
            for layer in ("hidden", "output")
            for (weights, loss), runs in self.passed.items()
        ]
        return rows

    def told(self) -> str:
        """Whether one sign is sigmoid's alone, and whether a loss cures saturated units."""
        means = {
            (name, size): np.mean([one[size] for one in runs])
            for name, runs in self.signs.items()
            for size in BATCHES
        }
        single = means["sigmoid", 1] > 99.9 > means["tanh", 1]
        hidden = {
            loss: np.mean([one["hidden"] for one in self.passed["N(0, 1)", loss]])
            / np.mean([one["hidden"] for one in self.passed["1 / sqrt(n)", loss]])
            for loss in LOSSES
        }
        cured = [loss for loss, ratio in hidden.items() if ratio > 0.5]
        ratios = ", ".join(f"{ratio:.2f} with {loss}" for loss, ratio in hidden.items())
        return (
            "That all weight gradients of a neuron share a sign with sigmoid and not with tanh "
            f"{'holds' if single else 'does not hold'} for single examples "
            f"({means['sigmoid', 1]:.0f} against {means['tanh', 1]:.0f}% of the neurons); over "
            f"batches of {BATCHES[1]} it is {means['sigmoid', BATCHES[1]]:.0f} against "
            f"{means['tanh', BATCHES[1]]:.0f}%. Weights N(0, 1) let through a part of what weights "
            f"of 1 / sqrt(n) do of the error at a hidden layer, {ratios}: saturation in the "
            f"forward pass is cured by {' and '.join(cured) or 'none of these losses'}."
        )
