"""`predict_mc`: many draws of a network with dropout, as a mean and a deviation."""

import math
import random
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._active_dropout import seeded
from ._arguments import check_seed, positive_integer
from ._monte_carlo_draws import compiled_draw


class MonteCarloPrediction(NamedTuple):
    """What `predict_mc` has drawn; arrays, or nested ones where the model has several outputs.

    Attributes:
        mean: Array `[n, ...]`. Mean over the samples.
        deviation: Array `[n, ...]`. Standard deviation over the samples, as `np.std` has it.
    """

    mean: Any
    deviation: Any


def predict_mc(
    model: keras.Model,
    x: Any,
    samples: int = 100,
    batch_size: int = 32,
    *,
    seed: int | None = None,
) -> MonteCarloPrediction:
    """Mean and deviation of a model's predictions over dropout masks: how sure it is.

    ```
    mean = sum_t f(x, mask_t) / T      deviation² = sum_t (f(x, mask_t) - mean)² / T
    ```

    Every row of every pass draws masks of its own. Ordinary dropout (alpha, spatial and Gaussian
    dropout too, and that of recurrent layers) is active, and nothing else of training: batch
    normalization uses the statistics that it has learned. (A dropout layer that the model calls
    with `training=False` is turned on too.) The model comes back as it was, the
    state of its random generators included.

    The deviation is large where the network is unsure: on mistakes, and on inputs unlike those
    of its training. It tells nothing of noise in the labels. The mean is about as accurate as
    `model.predict`, and less sure of itself: better calibrated where the network was too sure,
    worse where it was not. It costs `samples` predictions; 100 do for deviations, 10 for means.

    Args:
        model: A Keras model with dropout: ordinary, or `MCDropout` and `MCAlphaDropout`.
        x: Array `[n, ...]`, or a list or dict of them where the model has several inputs.
        samples: Integer. Draws for each input. Defaults to `100`.
        batch_size: Integer. Rows in one pass, each one draw of one input. Larger is faster.
            Defaults to `32`.
        seed: Integer. The same seed, `samples` and `batch_size` give the same numbers. Defaults
            to `None`: `keras.utils.set_random_seed` decides, and each call draws anew.

    Returns:
        `MonteCarloPrediction`: `mean` and `deviation`, each like what `model.predict` returns.

    Raises:
        ValueError: The model has no dropout, or an argument is not as described.

    Reference:
        Gal & Ghahramani 2016, "Dropout as a Bayesian Approximation"; Géron, chapter 11, "Monte
        Carlo (MC) Dropout".

    Example:
        ```python
        x = np.random.default_rng(0).normal(size=(8, 20))
        model = mlp(20, [64, 64], 3, dropout=0.2, seed=0)
        mean, deviation = predict_mc(model, x, seed=0)
        mean.shape, deviation.shape  # (8, 3), (8, 3)
        ```
    """
    samples = positive_integer("samples", samples)
    batch_size = positive_integer("batch_size", batch_size)
    check_seed(seed)
    x, rows = _inputs(x)
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model. Received: model={model!r}.")
    if not model.built:
        model(_rows(x, 0, 1), training=False)

    draw = compiled_draw(model, _rows(x, 0, 1))
    chunks = []
    with seeded(model, random.randrange(2**31) if seed is None else int(seed)):
        for start in range(0, rows, batch_size):
            size = min(batch_size, rows - start)
            passes = math.ceil(samples / (batch_size // size))
            copies = math.ceil(samples / passes)
            chunks.append(draw(_rows(x, start, size), tf.constant(samples), tf.constant(copies)))
    return MonteCarloPrediction(
        *keras.tree.map_structure(lambda *parts: np.concatenate(parts), *chunks)
    )


def _inputs(x: Any) -> tuple[Any, int]:
    """The inputs as arrays, and how many rows they have."""
    arrays = keras.tree.map_structure(np.asarray, x)
    shapes = [part.shape for part in keras.tree.flatten(arrays)]
    rows = {shape[0] if shape else 0 for shape in shapes}
    if len(rows) != 1 or 0 in rows:
        received = ", ".join(map(str, shapes)) or "none"
        raise ValueError(
            "`x` must be an array [n, ...] with n >= 1, or a list or dict of arrays of one n. "
            f"Received: x={type(x).__name__} of arrays of shape {received}. From a data set, pass "
            "its inputs as one array."
        )
    return keras.tree.map_structure(_of_float_type, arrays), rows.pop()


def _of_float_type(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As `predict` does: real numbers in Keras' default precision, others as they are."""
    return part.astype(keras.config.floatx()) if part.dtype.kind == "f" else part


def _rows(x: Any, start: int, size: int) -> Any:
    return keras.tree.map_structure(lambda part: tf.constant(part[start : start + size]), x)
