"""`SplitReplicas`: networks of several seeds and rates trained as one, each seed on its own split.

`trainwell.recipes.replicate` trains seeds on the same examples and takes no random layers, as its
promise is to train each as it would be alone. Here each seed has its split, and a drawn mask may
differ from the one that the network would have drawn alone: the stacked step is the same.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from data_sets import Part

from trainwell.recipes.replicate import Replicas

_AT_ONCE = 500  # examples of all replicas that are predicted at once


class SplitReplicas(Replicas):
    """Replicas in the order of `[grid, seeds]`; a seed has one network at the start for its grid.

    Args:
        models: One compiled model a seed.
        grid: How many trainings each of them begins.
    """

    def __init__(self, models: list[Any], grid: int) -> None:
        super().__init__(models * grid, list(range(len(models))) * grid)
        self._split = np.arange(len(models) * grid) % len(models)
        self._generators = [np.random.default_rng([seed, 11]) for seed in range(len(models))]
        self._calm, self._active = tf.function(self._run_calm), tf.function(self._run_active)

    def train_epoch(self, part: Part, batch: int) -> Any:
        """One epoch, each seed in an order of its own; the mean loss of each replica."""
        seeds, count = part.y.shape
        steps = count // batch
        orders = np.stack([
            one.permutation(count)[: steps * batch].reshape(steps, batch) + seed * count
            for seed, one in enumerate(self._generators)
        ], axis=1)  # fmt: skip
        flat = part.x.reshape(seeds * count, -1), part.y.reshape(-1)
        orders = tf.constant(orders[:, self._split].astype("int32"))
        return self._epoch(*map(tf.convert_to_tensor, flat), orders).numpy()

    def outputs(self, x: Any, *, active: bool = False) -> Any:
        """Of each replica for its own seed's inputs: `[replicas, n, classes]`.

        Args:
            x: Array `[seeds, n, features]`.
            active: Whether dropout is.
        """
        run = self._active if active else self._calm
        parts = [
            run(tf.convert_to_tensor(x[:, start : start + _AT_ONCE])).numpy()
            for start in range(0, x.shape[1], _AT_ONCE)
        ]
        return np.concatenate(parts, axis=1)

    def _run_calm(self, x: Any) -> Any:
        def of_one(one: Any) -> Any:
            weights, state, inputs = one
            return self._first.stateless_call(weights, state, inputs, training=False)[0]

        return tf.vectorized_map(of_one, (*self._values(), tf.gather(x, self._split)))

    def _run_active(self, x: Any) -> Any:
        def of_one(one: Any) -> Any:
            weights, state, inputs = one
            return self._first.stateless_call(weights, state, inputs, training=True)

        outputs, carried = tf.vectorized_map(of_one, (*self._values(), tf.gather(x, self._split)))
        for variable, value in zip(self._carried, carried, strict=True):
            variable.assign(value)
        return outputs

    def _values(self) -> tuple[list[Any], list[Any]]:
        weights = [variable.value for variable in self._trained]
        return weights, [variable.value for variable in self._carried]
