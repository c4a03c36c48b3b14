"""Deep SELU networks with one condition of self-normalization broken each."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ._examples import Examples
from ._plain_loop import (
    Flow,
    convolution,
    dense,
    dense_with_shortcut,
    dropped,
    flow,
    normal,
    stack,
    uniform,
)

DEPTH, DROPOUT = 100, 0.1
_UNITS, _CHANNELS = 100, 16

KEPT = "all conditions kept"


def ways(data: Examples, samples: int) -> dict[str, Callable[[int], Flow]]:
    """A network of 100 layers with one condition broken, of a seed; the first has none broken."""
    x, y = data.x[:samples].astype("float64"), data.y[:samples]
    selu, widths = tf.nn.selu, [x.shape[1], *[_UNITS] * DEPTH]
    side = math.isqrt(x.shape[1])
    # Each feature with mean 10 and deviation 10.
    shifted = 10 * (x + 1)

    def drop(kind: Any) -> Callable[[int], Flow]:
        return lambda seed: flow(
            x,
            y,
            stack(widths, 1.0, seed),
            dropped(selu, kind(DROPOUT, seed=seed, dtype="float64")),
        )

    def recurrent(seed: int) -> Flow:
        first, second = stack(widths[:3], 1.0, seed)
        return flow(x, y, [first, *[second] * (DEPTH - 1)], dense(selu))

    def convolved(seed: int) -> Flow:
        stride = max(1, side // 8)
        images = x.reshape(-1, side, side, 1)[:, ::stride, ::stride]
        channels = [1, *[_CHANNELS] * DEPTH]
        kernels = [
            normal((3, 3, fan, _CHANNELS), 1 / (9 * fan), seed, f"kernel_{at}")
            for at, fan in enumerate(channels[:-1])
        ]
        return flow(images, y, kernels, convolution(selu))

    found: dict[str, Callable[[int], Flow]] = {
        KEPT: lambda seed: flow(x, y, stack(widths, 1.0, seed), dense(selu)),
        "inputs of mean and deviation 10": lambda seed: flow(
            shifted, y, stack(widths, 1.0, seed), dense(selu)
        ),
        "LeCun uniform": lambda seed: flow(
            x, y, stack(widths, 1.0, seed, draw=uniform), dense(selu)
        ),
        "He normal": lambda seed: flow(x, y, stack(widths, 2.0, seed), dense(selu)),
        "shortcuts": lambda seed: flow(x, y, stack(widths, 1.0, seed), dense_with_shortcut(selu)),
        "recurrent": recurrent,
        f"dropout {DROPOUT}": drop(keras.layers.Dropout),
        f"alpha dropout {DROPOUT}": drop(keras.layers.AlphaDropout),
    }
    # Only where the features are a square image.
    return found | {"convolutions": convolved} if side**2 == x.shape[1] else found
