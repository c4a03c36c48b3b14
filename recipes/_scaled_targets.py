"""A loss and a metric that take targets as they come, and multiply them back to class numbers."""

from typing import Any

import keras

from ..callbacks._best_constant import loss_name


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
        super().__init__(name=name, **options)
        self.factor, self.loss = float(factor), keras.losses.get(loss)

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


def loss_weight(loss: str | None, deviation: float) -> float:
    """What makes a loss in the targets' units one of standardized targets.

    ```
    squared losses      1 / deviation^2
    all others          1 / deviation
    ```
    """
    squared = loss_name(loss) in ("mean_squared_error",)
    return 1 / deviation**2 if squared else 1 / deviation
