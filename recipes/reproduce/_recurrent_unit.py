"""One recurrent sigmoid unit: its loss over weight and bias, and descents with clipped steps."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

STEPS, START, TARGET = 50, 0.5, 0.7


class Place(NamedTuple):
    """Loss and gradient at weights and biases of any one shape."""

    loss: Doubles
    of_weight: Doubles
    of_bias: Doubles

    @property
    def norm(self) -> Doubles:
        """Of the gradient."""
        return np.hypot(self.of_weight, self.of_bias)


class Descent(NamedTuple):
    """Paths `[steps + 1, starts]`, the length of every step, and the loss at the end."""

    weight: Doubles
    bias: Doubles
    lengths: Doubles
    loss: Doubles


def unit(weight: Any, bias: Any) -> Place:
    """Where the unit ends, against its target.

    ```
    x[t] = w sigmoid(x[t-1]) + b,  x[0] = 0.5,  loss = (sigmoid(x[50]) - 0.7)^2
    ```

    The derivatives are carried forward: `dx[t]/db = 1 + w sigmoid'(x[t-1]) dx[t-1]/db`.
    """
    weight, bias = np.asarray(weight, "float64"), np.asarray(bias, "float64")
    x = np.full_like(weight, START)
    by_weight, by_bias = np.zeros_like(weight), np.zeros_like(weight)
    for _ in range(STEPS):
        output = sigmoid(x)
        slope = weight * output * (1 - output)
        by_weight, by_bias = output + slope * by_weight, 1 + slope * by_bias
        x = weight * output + bias
    output = sigmoid(x)
    outer = 2 * (output - TARGET) * output * (1 - output)
    return Place((output - TARGET) ** 2, outer * by_weight, outer * by_bias)


def sigmoid(z: Doubles) -> Doubles:
    """1 / (1 + exp(-z)) in a form that cannot overflow."""
    return np.asarray((1 + np.tanh(z / 2)) / 2)


def descent(
    weight: Any, bias: Any, rate: float, steps: int, clipnorm: float | None = None
) -> Descent:
    """Gradient descent from many starts, as `keras.optimizers.SGD(rate, global_clipnorm=...)`."""
    weights, biases, lengths = [np.asarray(weight, "float64")], [np.asarray(bias, "float64")], []
    for _ in range(steps):
        at = unit(weights[-1], biases[-1])
        share = np.ones_like(at.norm)
        if clipnorm is not None:
            share = np.minimum(1.0, clipnorm / np.maximum(at.norm, 1e-300))
        weights.append(weights[-1] - rate * share * at.of_weight)
        biases.append(biases[-1] - rate * share * at.of_bias)
        lengths.append(rate * share * at.norm)
    return Descent(
        np.stack(weights), np.stack(biases), np.stack(lengths), unit(weights[-1], biases[-1]).loss
    )
