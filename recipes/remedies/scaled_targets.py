"""A loss and a metric that take targets as they come, and multiply them back to class numbers."""

from typing import Any

import keras
import numpy as np

from ...callbacks._best_constant import loss_name
from ...callbacks._layer_description import name_of

_RELATIVE = ("cosine_similarity", "mean_absolute_percentage_error")


@keras.saving.register_keras_serializable(package="trainwell")
class ScaledLabels(keras.losses.Loss):
    """A loss of class numbers that were divided by a factor.

    ```
    loss(round(factor * y), outputs)
    ```

    Args:
        factor: Float. What the labels were divided by.
        loss: Keras loss of class numbers, or its name. Defaults to
            `"sparse_categorical_crossentropy"`.
        name: String. Defaults to `"scaled_labels"`.
    """

    def __init__(
        self,
        factor: float,
        loss: Any = "sparse_categorical_crossentropy",
        name: str = "scaled_labels",
        **options: Any,
    ) -> None:
        self.factor, self.loss = float(factor), keras.losses.get(loss)
        own = {name: getattr(self.loss, name, None) for name in ("reduction", "dtype")}
        given = {name: value for name, value in own.items() if value is not None}
        super().__init__(name=name, **{**given, **options})

    @property
    def from_logits(self) -> bool:
        """Whether the loss of whole numbers takes logits."""
        return bool(getattr(self.loss, "from_logits", False))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The losses of the samples."""
        whole = keras.ops.round(keras.ops.cast(y_true, "float32") * self.factor)
        call = self.loss.call if isinstance(self.loss, keras.losses.Loss) else self.loss
        return call(whole, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Its arguments."""
        loss = keras.losses.serialize(self.loss)
        return {**super().get_config(), "factor": self.factor, "loss": loss}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ScaledLabels":
        """The loss of a configuration."""
        loss = config["loss"]
        known = keras.losses.deserialize(loss) if isinstance(loss, dict) else loss
        return cls(**{**config, "loss": known})


@keras.saving.register_keras_serializable(package="trainwell")
class ScaledLabelsAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """Accuracy on class numbers that were divided by a factor.

    Args:
        factor: Float. What the labels were divided by.
        name: String. Defaults to `"accuracy"`.
    """

    def __init__(self, factor: float, name: str = "accuracy", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.factor = float(factor)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Counts a batch."""
        whole = keras.ops.round(keras.ops.cast(y_true, "float32") * self.factor)
        return super().update_state(whole, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Its arguments."""
        return {**super().get_config(), "factor": self.factor}


def in_units_of_targets(loss: Any, deviation: float) -> tuple[Any, float]:
    """What equals a loss of standardized targets, where outputs and targets are not.

    ```
    weight * loss(y, outputs) = given loss(y / deviation, outputs / deviation)

    squared error, Huber    weight 1 / deviation^2, Huber with `delta` times the deviation
    relative losses         weight 1
    all others              weight 1 / deviation
    ```

    Of `log_cosh` and of unknown losses this holds for large errors, or not at all; the size of
    the gradient is then right.

    Args:
        loss: Keras loss or its name.
        deviation: Float. Of the targets.

    Returns:
        The loss and its weight.
    """
    name = loss_name(name_of(loss))
    if name == "huber":
        known = loss if isinstance(loss, keras.losses.Huber) else keras.losses.Huber()
        wider = keras.losses.Huber(_slope(known) * deviation, reduction=known.reduction)
        return wider, 1 / deviation**2
    if name in _RELATIVE:
        return loss, 1.0
    return loss, 1 / deviation**2 if name == "mean_squared_error" else 1 / deviation


def _slope(loss: Any) -> float:
    """Huber's delta, the slope at large errors: Keras leaves it out of the configuration."""
    near, far = np.asarray(loss.call(np.zeros((2, 1)), np.array([[1e6], [2e6]])), "float64")
    return float(far - near) / 1e6
