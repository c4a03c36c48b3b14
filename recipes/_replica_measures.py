"""Loss and metrics of replicas, as the models were compiled with them."""

from typing import Any

import keras
import tensorflow as tf

_ACCURACY = ("accuracy", "acc")


class Measures:
    """What a model's `compile` was given, to be taken of outputs and targets.

    Raises:
        ValueError: A metric can't be made anew from what the model says of it.
    """

    def __init__(self, model: Any) -> None:
        config = model.get_compile_config()
        if config.get("weighted_metrics"):
            raise ValueError(
                "The network must be compiled without `weighted_metrics`: there are no sample "
                f"weights here. Received: weighted_metrics={config['weighted_metrics']!r}."
            )
        given = config.get("loss_weights")
        weight = given[0] if isinstance(given, (list, tuple)) and len(given) == 1 else given
        if not (weight is None or isinstance(weight, (int, float))):
            raise ValueError(
                f"`loss_weights` must be one number. Received: loss_weights={given!r}."
            )
        self._weight = 1.0 if weight is None else float(weight)
        self._loss_of = keras.losses.get(model.loss)
        self._given = list(config.get("metrics") or [])
        self._made: dict[str, Any] = {}
        for one in self._given:
            if one not in _ACCURACY:
                self._make(one)

    def loss(self, y: Any, outputs: Any) -> Any:
        """Mean loss of the examples."""
        found = self._loss_of(aligned(y, outputs), outputs)
        return self._weight * tf.reduce_mean(tf.cast(found, "float32"))

    def of(self, y: Any, outputs: Any) -> dict[str, float]:
        """Loss and metrics of one replica."""
        y = aligned(y, outputs)
        found = {"loss": float(self.loss(y, outputs))}
        for one in self._given:
            if one in _ACCURACY and one not in self._made:
                self._made[one] = _accuracy(y, outputs)(name=one)
        for name, metric in self._made.items():
            metric.reset_state()
            metric.update_state(y, outputs)
            found[name] = float(metric.result())
        return found

    def _make(self, given: Any) -> None:
        try:
            metric = keras.metrics.get(given)
            if not isinstance(metric, keras.metrics.Metric):
                metric = keras.metrics.MeanMetricWrapper(metric, name=metric.__name__)
        except Exception as error:
            raise ValueError(
                "`metrics` must be names of Keras metrics, Keras metrics or functions that Keras "
                f"can save. Received: {given!r}."
            ) from error
        self._made[given if isinstance(given, str) else metric.name] = metric


def aligned(y: Any, outputs: Any) -> Any:
    """Targets `[n]` of outputs `[n, 1]` as `[n, 1]`, as Keras' compiled losses take them."""
    if y.shape.rank == outputs.shape.rank - 1 and outputs.shape[-1] == 1:
        return y[..., None]
    return y


def _accuracy(y: Any, outputs: Any) -> Any:
    """The accuracy that Keras takes for targets and outputs of these shapes."""
    if outputs.shape[-1] == 1:
        return keras.metrics.BinaryAccuracy
    if y.shape.rank < outputs.shape.rank or y.shape[-1] == 1:
        return keras.metrics.SparseCategoricalAccuracy
    return keras.metrics.CategoricalAccuracy
