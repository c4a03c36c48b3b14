"""`replicate`: one network from several seeds, trained at once in one compiled step."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._arguments import positive_integer
from ._replica_measures import Measures
from ._replicable import check_alike, check_optimizer, check_seeds

Floats = npt.NDArray[np.float32]

_HELD_OUT = 1_000  # examples of all replicas that are predicted at once


def replicate(build: Callable[[int], keras.Model], seeds: Sequence[int]) -> "Replicas":
    """Several seeds of one network, to be trained as one, in less time than one after the other.

    Small networks spend their time between the operations, not in them. The weights of all seeds
    are stacked, `[seeds, ...]`, so that one operation serves all; each seed has its own weights,
    its own optimizer state and its own order of the examples, and is trained as it would be alone.
    Choose it for means and spreads over seeds. Networks that keep the machine busy by themselves
    gain nothing. On a CPU one thread is fastest for networks of a few dozen units a layer: set
    `TF_NUM_INTRAOP_THREADS=1` and `TF_NUM_INTEROP_THREADS=1` before TensorFlow is imported, as
    `trainwell reproduce` does.

    Args:
        build: Takes a seed, gives a compiled Keras model with one input and one output. Each has
            to have the same layers, loss, metrics and optimizer, and to draw its weights by the
            seed.
        seeds: Sequence of different integers from 0 on, of the weights and of the order of the
            examples.

    Returns:
        `Replicas`.

    Raises:
        ValueError: The models can't be trained as one: they differ in more than their weights,
            have several outputs, random layers such as dropout, masks, a training step of their
            own, or an optimizer that looks at more than one weight at a time.

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
    seeds = check_seeds(seeds)
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
        self._measures = Measures(self._first)
        self._draws = [np.random.default_rng(seed) for seed in seeds]
        self._epoch = tf.function(self._run_epoch)
        self._outputs = tf.function(self._run_outputs)

    @property
    def models(self) -> list[keras.Model]:
        """The Keras models, with the weights and the optimizers' state of now."""
        for at, model in enumerate(self._models):
            model.optimizer.build(model.trainable_variables)
            for own, stacked in (
                (model.trainable_variables, self._trained),
                (model.non_trainable_variables, self._carried),
                (model.optimizer.variables, self._optimizer.variables),
            ):
                for variable, values in zip(own, stacked, strict=True):
                    # What all share, as the count of the steps, has no axis for the models.
                    shared = variable.shape == values.shape
                    variable.assign(values if shared else values[at])
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
        """Trains all of them, each in an order of its own; called again, it goes on.

        Args:
            x: Array `[n, ...]`. What is left over of the last batch is left out in that epoch.
            y: Array `[n, ...]`.
            epochs: Integer.
            batch_size: Integer; where there are fewer examples, all of them. Defaults to `32`.
            validation_data: Pair of held-out inputs and targets. Defaults to `None`.
            on_epoch_end: Called with the epoch and its logs; training ends where it gives what
                counts as true. Defaults to `None`.

        Returns:
            `{"loss", "val_loss", "val_accuracy", ...}`, float32 `[epochs, seeds]` each: the mean
            loss of the epoch's batches, penalties included, and loss (without them) and metrics
            on the validation data.

        Raises:
            ValueError: An argument is out of its range.
        """
        x, y = self._checked(x, y, "`x` and `y`")
        batch_size = min(positive_integer("batch_size", batch_size), len(x))
        if validation_data is not None:
            held, targets = _pair(validation_data)
            validation_data = self._checked(held, targets, "`validation_data`")
        logs: list[dict[str, Floats]] = []
        for epoch in range(positive_integer("epochs", epochs)):
            orders = _orders(self._draws, len(x), batch_size)
            logs.append({"loss": np.asarray(self._epoch(x, y, orders), "float32")})
            if validation_data is not None:
                logs[-1] |= self.evaluate(*validation_data, prefix="val_")
            if on_epoch_end is not None and on_epoch_end(epoch, logs[-1]):
                break
        return {name: np.stack([one[name] for one in logs]) for name in logs[0]}

    def predict(self, x: Any) -> Floats:
        """The outputs of all of them, `[seeds, n, ...]`."""
        x = tf.convert_to_tensor(x)
        parts = [
            self._outputs(x[start : start + _HELD_OUT]) for start in range(0, len(x), _HELD_OUT)
        ]
        return np.concatenate(parts, axis=1)

    def evaluate(self, x: Any, y: Any, prefix: str = "") -> dict[str, Floats]:
        """Loss without penalties, and the metrics, `[seeds]` each."""
        x, targets = self._checked(x, y, "`x` and `y`")
        found = [self._measures.of(targets, tf.constant(one)) for one in self.predict(x)]
        return {
            prefix + name: np.array([one[name] for one in found], "float32") for name in found[0]
        }

    # ------------------------------------------------------------------ inside

    def _checked(self, x: Any, y: Any, what: str) -> tuple[Any, Any]:
        """Both as tensors of equally many examples, the inputs of the network's shape."""
        if isinstance(x, (dict, tf.data.Dataset)) or y is None:
            raise ValueError(
                f"{what} must be arrays of inputs and targets. Received: {type(x).__name__} and "
                f"{type(y).__name__}."
            )
        x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
        if not len(x) or len(x) != len(y):
            raise ValueError(
                f"{what} must be equally many examples, one at least. Received: {len(x)} inputs "
                f"and {len(y)} targets."
            )
        shape = self._first.inputs[0].shape
        if not tf.TensorShape(shape).is_compatible_with(x.shape):
            raise ValueError(
                f"The inputs of {what} must have the network's shape {tuple(shape)}. Received: "
                f"{tuple(x.shape)}."
            )
        return x, y

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
        parts = [self._measures.loss(y, outputs), *penalties]
        return tf.add_n([tf.cast(part, "float32") for part in parts]), carried

    def _run_outputs(self, x: Any) -> Any:
        def of_one(one: Any) -> Any:
            return self._first.stateless_call(*one, x, training=False)[0]

        weights = [variable.value for variable in self._trained]
        state = [variable.value for variable in self._carried]
        return tf.vectorized_map(of_one, (weights, state))


def _stacked(models: list[Any], name: str) -> list[Any]:
    """One variable for each of the models', with a first axis for the models."""
    stacked = []
    for at, same in enumerate(zip(*(getattr(one, name) for one in models), strict=True)):
        values = np.stack([keras.ops.convert_to_numpy(one) for one in same])
        variable = keras.Variable(values, dtype=same[0].dtype, name=f"{name}_{at}")
        if same[0].constraint is not None:
            variable.constraint = partial(tf.vectorized_map, same[0].constraint)
        stacked.append(variable)
    return stacked


def _pair(given: Any) -> Any:
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ValueError(
            "`validation_data` must be a pair of inputs and targets; sample weights are not used "
            f"here. Received: {type(given).__name__} of {len(given)}."
        )
    return given


def _orders(generators: list[np.random.Generator], count: int, batch_size: int) -> Any:
    """Which examples each replica takes at each step: int32 `[steps, seeds, batch_size]`."""
    steps = count // batch_size
    orders = [one.permutation(count)[: steps * batch_size] for one in generators]
    stacked = np.stack([one.reshape(steps, batch_size) for one in orders], axis=1)
    return tf.constant(stacked.astype("int32"))
