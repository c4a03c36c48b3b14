"""`replicate`: one network from several seeds, trained at once in one compiled step."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._arguments import positive_integer
from ._replicable import check_alike, check_optimizer

Floats = npt.NDArray[np.float32]

_HELD_OUT = 1_000  # examples of all replicas that are predicted at once


def replicate(build: Callable[[int], keras.Model], seeds: Sequence[int]) -> "Replicas":
    """Several seeds of one network, to be trained as one, for little more time than one takes.

    Small networks spend their time between the operations, not in them. The weights of all seeds
    are stacked, `[seeds, ...]`, so that one operation serves all; each seed has its own weights,
    its own optimizer state and its own order of the examples, and is trained as it would be alone.
    Choose it for means and spreads over seeds. Networks that keep the machine busy by themselves
    gain nothing. On a CPU one thread is fastest for networks of a few dozen units a layer: set
    `TF_NUM_INTRAOP_THREADS=1` and `TF_NUM_INTEROP_THREADS=1` before TensorFlow is imported, as
    `trainwell reproduce` does.

    Args:
        build: Takes a seed, gives a compiled Keras model with one input and one output. Each has
            to have the same layers, loss, metrics and optimizer.
        seeds: Sequence of integers, of the weights and of the order of the examples.

    Returns:
        `Replicas`.

    Raises:
        ValueError: The models can't be trained as one: they differ, have several outputs, random
            layers such as dropout, or an optimizer that looks at more than one weight at a time.

    Example:
        ```python
        def build(seed):
            model = mlp((64,), [32], 10, seed=seed)
            model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model

        replicas = replicate(build, range(5))
        history = replicas.fit(x, y, validation_data=(x_val, y_val), epochs=10)
        history["val_accuracy"][-1].mean()  # [epochs, seeds]
        ```
    """
    seeds = [int(seed) for seed in seeds]
    if not seeds:
        raise ValueError(f"`seeds` must be a sequence of at least one integer. Received: {seeds}.")
    models = [build(seed) for seed in seeds]
    check_alike(models)
    check_optimizer(models[0].optimizer)
    return Replicas(models, seeds)


class Replicas:
    """Models of the same kind that are trained as one; `replicate` makes them.

    Attributes:
        seeds: Their seeds.
    """

    def __init__(self, models: list[Any], seeds: list[int]) -> None:
        self.seeds = seeds
        self._models, self._first = models, models[0]
        self._trained = _stacked(models, "trainable_variables")
        self._carried = _stacked(models, "non_trainable_variables")
        optimizer = self._first.optimizer
        self._optimizer = type(optimizer).from_config(optimizer.get_config())
        self._optimizer.build(self._trained)
        self._weight = _loss_weight(self._first)
        self._epoch = tf.function(self._run_epoch)
        self._outputs = tf.function(self._run_outputs)

    @property
    def models(self) -> list[keras.Model]:
        """The Keras models, with the weights of now."""
        for at, model in enumerate(self._models):
            for name, stack in (
                ("trainable_variables", self._trained),
                ("non_trainable_variables", self._carried),
            ):
                for variable, values in zip(getattr(model, name), stack, strict=True):
                    variable.assign(values[at])
        return list(self._models)

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int,
        batch_size: int = 32,
        validation_data: tuple[Any, Any] | None = None,
        on_epoch_end: Callable[[int, dict[str, Floats]], Any] | None = None,
    ) -> dict[str, Floats]:
        """Trains all of them, each in an order of its own.

        Args:
            x: Array `[n, ...]`. What is left over of the last batch is left out in that epoch.
            y: Array `[n, ...]`.
            epochs: Integer.
            batch_size: Integer, at most `n`. Defaults to `32`.
            validation_data: Held-out inputs and targets. Defaults to `None`.
            on_epoch_end: Called with the epoch and its logs; training ends where it gives `True`.
                Defaults to `None`.

        Returns:
            `{"loss", "val_loss", "val_accuracy", ...}`, float32 `[epochs, seeds]` each: the mean
            loss of the epoch's batches, penalties included, and loss (without them) and metrics
            on the validation data.

        Raises:
            ValueError: An argument is out of its range.
        """
        x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
        batch_size = positive_integer("batch_size", batch_size)
        if batch_size > len(x) or len(x) != len(y):
            raise ValueError(
                "`x` and `y` must have equally many examples, `batch_size` at least. Received: "
                f"{len(x)} and {len(y)}, batch_size={batch_size}."
            )
        generators = [np.random.default_rng(seed) for seed in self.seeds]
        logs: list[dict[str, Floats]] = []
        for epoch in range(positive_integer("epochs", epochs)):
            orders = _orders(generators, len(x), batch_size)
            logs.append({"loss": np.asarray(self._epoch(x, y, orders), "float32")})
            if validation_data is not None:
                logs[-1] |= self.evaluate(*validation_data, prefix="val_")
            if on_epoch_end is not None and on_epoch_end(epoch, logs[-1]) is True:
                break
        return {name: np.stack([one[name] for one in logs]) for name in logs[0]}

    def predict(self, x: Any) -> Floats:
        """The outputs of all of them, `[seeds, n, ...]`."""
        parts = [
            self._outputs(tf.convert_to_tensor(x[start : start + _HELD_OUT]))
            for start in range(0, len(x), _HELD_OUT)
        ]
        return np.concatenate(parts, axis=1)

    def evaluate(self, x: Any, y: Any, prefix: str = "") -> dict[str, Floats]:
        """Loss without penalties, and the metrics, `[seeds]` each."""
        targets, found = tf.convert_to_tensor(y), []
        for outputs in self.predict(x):
            loss = tf.reduce_mean(self._loss(targets, outputs))
            metrics = _metrics(self._first)
            for metric in metrics:
                metric.update_state(targets, outputs)
            found.append({"loss": loss} | {metric.name: metric.result() for metric in metrics})
        return {
            prefix + name: np.array([float(one[name]) for one in found], "float32")
            for name in found[0]
        }

    # ------------------------------------------------------------------ inside

    def _run_epoch(self, x: Any, y: Any, orders: Any) -> Any:
        """One epoch; the mean loss of each replica."""
        total = tf.zeros(len(self.seeds))
        for at in tf.range(tf.shape(orders)[0]):
            total += self._step(tf.gather(x, orders[at]), tf.gather(y, orders[at]))
        return total / tf.cast(tf.shape(orders)[0], "float32")

    def _step(self, x: Any, y: Any) -> Any:
        weights = [variable.value for variable in self._trained]
        state = [variable.value for variable in self._carried]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            losses, carried = tf.vectorized_map(self._loss_of_one, (weights, state, x, y))
            # A sum, so that each replica has the gradient of its own loss.
            total = tf.reduce_sum(losses)
        self._optimizer.apply(tape.gradient(total, weights), self._trained)
        for variable, value in zip(self._carried, carried, strict=True):
            variable.assign(value)
        return losses

    def _loss_of_one(self, one: Any) -> Any:
        weights, state, x, y = one
        outputs, carried, penalties = self._first.stateless_call(
            weights, state, x, training=True, return_losses=True
        )
        loss = tf.reduce_mean(self._loss(y, outputs))
        return tf.add_n([loss, *penalties]), carried

    def _run_outputs(self, x: Any) -> Any:
        def of_one(one: Any) -> Any:
            return self._first.stateless_call(*one, x, training=False)[0]

        weights = [variable.value for variable in self._trained]
        state = [variable.value for variable in self._carried]
        return tf.vectorized_map(of_one, (weights, state))

    def _loss(self, y: Any, outputs: Any) -> Any:
        """Losses of the examples, or their mean."""
        return self._weight * keras.losses.get(self._first.loss)(y, outputs)


def _stacked(models: list[Any], name: str) -> list[Any]:
    """One variable for each of the models', with a first axis for the models."""
    return [
        keras.Variable(np.stack([np.asarray(v) for v in same]), name=f"{name}_{at}")
        for at, same in enumerate(zip(*(getattr(one, name) for one in models), strict=True))
    ]


def _orders(generators: list[np.random.Generator], count: int, batch_size: int) -> Any:
    """Which examples each replica takes at each step: int32 `[steps, seeds, batch_size]`."""
    steps = count // batch_size
    orders = [one.permutation(count)[: steps * batch_size] for one in generators]
    stacked = np.stack([one.reshape(steps, batch_size) for one in orders], axis=1)
    return tf.constant(stacked.astype("int32"))


def _loss_weight(model: Any) -> float:
    given = model.get_compile_config().get("loss_weights")
    return float(given[0] if isinstance(given, (list, tuple)) else 1.0 if given is None else given)


def _metrics(model: Any) -> list[Any]:
    """New metrics, as `compile` was given them."""
    return [_metric(one, model) for one in model.get_compile_config().get("metrics") or []]


def _metric(given: Any, model: Any) -> Any:
    if given in ("accuracy", "acc"):
        return _ACCURACIES[keras.losses.get(model.loss).__name__](name="accuracy")
    return keras.metrics.get(given)


_ACCURACIES = {
    "sparse_categorical_crossentropy": keras.metrics.SparseCategoricalAccuracy,
    "categorical_crossentropy": keras.metrics.CategoricalAccuracy,
    "binary_crossentropy": keras.metrics.BinaryAccuracy,
}
