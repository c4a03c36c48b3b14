"""The chain rule of a dense network written out in NumPy: the product that a gradient is."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Function = Callable[[Doubles], Doubles]


def sigmoid(z: Doubles) -> Doubles:
    """The logistic function, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def relu(z: Doubles) -> Doubles:
    """The larger of `z` and 0."""
    return np.maximum(z, 0.0)


def _tanh(z: Doubles) -> Doubles:
    return np.tanh(z)


FUNCTIONS: dict[str, Function] = {"sigmoid": sigmoid, "tanh": _tanh, "relu": relu}

# 1 / (4 cosh²(z / 2)) keeps its digits where sigmoid(z) (1 - sigmoid(z)) would round to 0.
SLOPES: dict[str, Function] = {
    "sigmoid": lambda z: 0.25 / np.cosh(np.clip(0.5 * z, -350, 350)) ** 2,
    "tanh": lambda z: 1 / np.cosh(np.clip(z, -350, 350)) ** 2,
    "relu": lambda z: (z > 0).astype("float64"),
}


def forward(
    kernels: Sequence[Doubles], biases: Sequence[Doubles], x: Doubles, activation: str
) -> list[Doubles]:
    """Pre-activations of each layer, `[samples, units]`.

    Args:
        kernels: `[inputs, units]` of each layer.
        biases: `[units]` of each layer.
        x: `[samples, inputs]`.
        activation: A name in `FUNCTIONS`.
    """
    inputs, found = x, []
    for kernel, bias in zip(kernels, biases, strict=True):
        found.append(inputs @ kernel + bias)
        inputs = FUNCTIONS[activation](found[-1])
    return found


def products(kernels: Sequence[Doubles], zs: Sequence[Doubles], activation: str) -> list[Doubles]:
    """What stands between the cost and each layer's biases, `[samples, units, last units]`.

    ```
    P_l = S(z_l) W_(l+1) S(z_(l+1)) ... W_L S(z_L),    dC/db_l = P_l dC/da_L
    ```

    `S(z)` is the diagonal of the activation's slopes. With one neuron a layer it is the text's
    product of `sigma'(z) w`.

    Args:
        kernels: `[inputs, units]` of each layer; the first one does not enter.
        zs: Pre-activations as `forward` gives them.
        activation: A name in `SLOPES`.
    """
    slopes = [SLOPES[activation](z) for z in zs]
    found = [slopes[-1][:, :, None] * np.eye(slopes[-1].shape[1])]
    for kernel, slope in zip(reversed(kernels[1:]), reversed(slopes[:-1]), strict=True):
        found.append(slope[:, :, None] * (kernel @ found[-1]))
    return found[::-1]


def widest_range(weight: float) -> float:
    """Over how wide a range of inputs a sigmoid neuron's factor `|w| sigma'(w a + b)` reaches 1.

    ```
    |w| sigma'(z) >= 1   where |z| <= 2 arcosh(sqrt(|w|) / 2),   in `a`: 4 arcosh(...) / |w|
    ```
    """
    size = abs(weight)
    return 0.0 if size <= 4 else float(4 * np.arccosh(np.sqrt(size) / 2) / size)
