"""The loss of a model over arrays as a function of its weights, batch by batch."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .optimizers._curvature import BatchLoss, check_forward_mode, flatten, unflatten
from .optimizers.hessian_free import HessianFree

Vector = npt.NDArray[np.float64]

_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")


class DataLoss:
    """What a model loses over arrays at its present weights: gradient and Hessian products.

    The model is in inference and left as it is. Vectors are float64 and flat, in the order of
    `trainable_variables`; what is computed has the precision of the weights.

    Args:
        model: Built `keras.Model`.
        x: Array of inputs, or a structure of them.
        y: Array of targets, or a structure of them.
        loss: Keras loss, or None for the one that the model is compiled with.
        batch_size: Integer. Samples at a time.
    """

    def __init__(self, model: Any, x: Any, y: Any, loss: Any, batch_size: int) -> None:
        _check_model(model)
        self.model, self.x, self.y, self.batch_size = model, x, y, batch_size
        self.samples = _samples(x, y)
        self.objective = _objective(model, loss, self.samples > batch_size)
        self.weights = [tf.convert_to_tensor(v) for v in model.trainable_variables]
        self.size = sum(int(np.prod(w.shape)) for w in self.weights)
        self._product = tf.function(self._batch_product, reduce_retracing=True, autograph=False)
        self._gradient = tf.function(self._batch_gradient, reduce_retracing=True, autograph=False)

    def hessian_vector(self, vector: Vector) -> Vector:
        """The Hessian times a vector."""
        tensor = tf.constant(vector, flatten(self.weights[:1]).dtype)
        return self._mean("Hessian", lambda x, y: self._product(x, y, tensor))

    def gradient(self) -> Vector:
        """The gradient."""
        return self._mean("gradient", self._gradient)

    def _batch_product(self, x: Any, y: Any, vector: Any) -> Any:
        batch, parts = BatchLoss(self.objective, x, y), unflatten(vector, self.weights)
        return flatten(batch.hessian_vector(self.weights, parts))

    def _batch_gradient(self, x: Any, y: Any) -> Any:
        _, gradient, _, _ = BatchLoss(self.objective, x, y).gradient(self.weights)
        pairs = zip(gradient, self.weights, strict=True)
        return flatten([tf.zeros_like(w) if g is None else g for g, w in pairs])

    def _mean(self, what: str, of_batch: Callable[[Any, Any], Any]) -> Vector:
        total = np.zeros(self.size)
        for x, y, share in self._batches():
            total += share * of_batch(x, y).numpy().astype(np.float64)
        if not np.isfinite(total).all():
            raise ValueError(
                f"The {what} of {self.model.name!r} is not finite. Look for NaN in the inputs, "
                "targets and weights."
            )
        return total

    def _batches(self) -> Iterator[tuple[Any, Any, float]]:
        for start in range(0, self.samples, self.batch_size):
            part = slice(start, min(start + self.batch_size, self.samples))
            some = tf.nest.map_structure(
                lambda array, part=part: tf.convert_to_tensor(array[part]), (self.x, self.y)
            )
            yield *some, (part.stop - start) / self.samples


def _objective(model: Any, loss: Any, several_batches: bool) -> Any:
    """What has the loss: the model as it is compiled, or around it one compiled with `loss`."""
    objective = model
    if loss is not None:
        # Not the model itself, which stays compiled as it is.
        objective = HessianFree(model)
        objective.compile(loss=loss)
    elif getattr(model, "loss", None) is None:
        raise ValueError(
            f"The loss is not known. Received: model {model.name!r}, which is not compiled with "
            "one, and loss=None. Compile it, or pass `loss`."
        )
    for one in tf.nest.flatten(objective.loss):
        if several_batches and getattr(one, "reduction", "mean") not in _MEANS:
            raise ValueError(
                "The loss of several batches must be a mean over samples. Received: "
                f"{one.name!r} with reduction={one.reduction!r}. Pass `batch_size=len(x)`."
            )
    return objective


def _samples(x: Any, y: Any) -> int:
    counts = {len(array) for array in tf.nest.flatten((x, y))}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            "`x` and `y` must be arrays with one row per sample, one at least. Received: arrays "
            f"of {sorted(counts)} rows. A `tf.data` set has to be turned into arrays."
        )
    return counts.pop()


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model) or not model.built or not model.trainable_variables:
        raise ValueError(
            "`model` must be a built `keras.Model` with trainable weights. Received: "
            f"model={model!r}. Build it, or call it once on a batch."
        )
    check_forward_mode(model)
