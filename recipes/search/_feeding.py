"""The data of a search's runs: prepared once, fed to each run in an order of its own seed."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_VALIDATION_BYTES = 2_000_000
_MOST_VALIDATED = 1024
# With these `fit` reads its data in a way of its own.
_OWN_WAY = ("steps_per_epoch", "validation_steps", "validation_batch_size")


class Feed:
    """What `fit` gets of what `search` got.

    Arrays become a `tf.data` pipeline that shuffles anew in every epoch, by a seed: `fit` itself,
    once seeds are set, repeats the first epoch's order. They are validated in larger batches. All
    else goes to `fit` as it is.

    Args:
        arguments: Mapping. What `search` was called with, by the names of `fit`'s arguments.
        as_it_is: Boolean. Whether nothing is to be prepared.
    """

    def __init__(self, arguments: Mapping[str, Any], as_it_is: bool) -> None:
        rest = dict(arguments)
        given = rest.pop("batch_size", None)
        self.batch_size = given or 32
        # A `HyperModel.fit` of the user's may pass a batch size of its own.
        self._names_batch_size = bool(given) or not as_it_is
        self.examples: int | None = None
        self._train: tuple[Any, ...] | None = None
        self._validation: tuple[Any, ...] | None = None
        x, y, weights = (rest.get(name) for name in ("x", "y", "sample_weight"))
        prepared = not as_it_is and _is_arrays((x, y, weights)) and x is not None
        if prepared and not any(rest.get(name) for name in _OWN_WAY):
            self._prepare(rest)
        elif _is_arrays((x, y)) and x is not None:
            share = 1 - (rest.get("validation_split") or 0)
            self.examples = int(len(keras.tree.flatten(x)[0]) * share)
        self._rest = rest
        self.validation_samples = self._count_validation(rest)

    def _prepare(self, rest: dict[str, Any]) -> None:
        data = [rest.pop(name, None) for name in ("x", "y", "sample_weight")]
        examples = _one_length(data)
        split = rest.pop("validation_split", None) or 0.0
        validation = rest.get("validation_data")
        self.examples = examples
        if split and validation is None:
            self.examples = int(examples * (1 - split))
            validation = _rows(data, slice(self.examples, None))
            data = _rows(data, slice(0, self.examples))
        if isinstance(validation, (tuple, list)) and _is_arrays(validation):
            self._validation = _tensors([*validation, None][:3])
            rest.pop("validation_data", None)
        self._train, self._shuffled = _tensors(data), bool(rest.pop("shuffle", True))

    def arguments(self, batch_size: int | None, seed: int) -> dict[str, Any]:
        """Arguments of `fit` for one run."""
        if self._train is None:
            if not (self._names_batch_size and _is_arrays(self._rest.get("x"))):
                return self._rest
            return self._rest | {"batch_size": batch_size or self.batch_size}
        order = tf.data.Dataset.range(self.examples)
        if self._shuffled:
            order = order.shuffle(self.examples, seed=seed, reshuffle_each_iteration=True)
        found = {"x": _batches(order, batch_size or self.batch_size, self._train)}
        if self._validation is not None:
            rows = tf.data.Dataset.range(self.validation_samples)
            size = _validation_batch(self._validation, batch_size or self.batch_size)
            found["validation_data"] = _batches(rows, size, self._validation)
        return self._rest | found | {"shuffle": False}

    @property
    def sets_batch_size(self) -> bool:
        """Whether a run's batch size is ours to set."""
        return self._train is not None or _is_arrays(self._rest.get("x"))

    def batch(self, size: int) -> tuple[Any, ...]:
        """So many examples, the first ones again and again: inputs, targets and weights."""
        data = self._train or _tensors([self._rest.get(n) for n in ("x", "y", "sample_weight")])
        at = np.arange(size) % int(self.examples or 1)
        return tuple(keras.tree.map_structure(lambda t: tf.gather(t, at), d) for d in data)

    def examples_in(self, steps: int, epochs: int, batch_size: int | None) -> int:
        """How many examples so many steps saw, of which some are whole epochs."""
        size = batch_size or self.batch_size
        if self.examples is None:
            return steps * size
        per_epoch = -(-self.examples // size)
        return epochs * self.examples + max(0, steps - epochs * per_epoch) * size

    def describe(self) -> dict[str, Any]:
        """What tells these data from others: shapes, and a sum over some of the rows."""
        known = {"examples": self.examples, "sets_batch_size": self.sets_batch_size}
        if self._train is None:
            return known
        found = []
        for tensor in keras.tree.flatten(self._train):
            rows = np.asarray(tensor[:: max(1, len(tensor) // 64)])
            total = float(rows.astype(np.float64).sum()) if rows.dtype.kind in "fiub" else 0.0
            found.append([list(tensor.shape), str(tensor.dtype.name), total])
        return known | {"arrays": found}

    def warnings(self) -> list[str]:
        """What of the data will keep any network from learning."""
        inputs = [] if self._train is None else keras.tree.flatten(self._train[0])
        floats = [tensor for tensor in inputs if tensor.dtype.is_floating]
        bad = sum(int(tf.reduce_sum(tf.cast(~tf.math.is_finite(t), tf.int64))) for t in floats)
        if not bad:
            return []
        return [
            f"`x` holds {bad} values that are NaN or infinite: each loss that they enter is NaN."
        ]

    def _count_validation(self, rest: Mapping[str, Any]) -> int:
        if self._validation is not None:
            return len(keras.tree.flatten(self._validation)[0])
        validation = rest.get("validation_data")
        if isinstance(validation, (tuple, list)) and _is_arrays(validation[0]):
            return len(keras.tree.flatten(validation[0])[0])
        split, x = rest.get("validation_split"), rest.get("x")
        if split and _is_arrays(x):
            return len(keras.tree.flatten(x)[0]) - int(self.examples or 0)
        return 0


def _batches(order: Any, size: int, tensors: tuple[Any, ...]) -> Any:
    def rows(at: Any) -> Any:
        return keras.tree.map_structure(lambda tensor: tf.gather(tensor, at), tensors)

    return order.batch(size).map(rows).prefetch(2)


def _is_arrays(data: Any) -> bool:
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    return bool(leaves) and all(isinstance(leaf, (np.ndarray, tf.Tensor)) for leaf in leaves)


def _rows(data: list[Any], rows: slice) -> list[Any]:
    return [None if d is None else keras.tree.map_structure(lambda a: a[rows], d) for d in data]


def _tensors(data: list[Any]) -> tuple[Any, ...]:
    """Tensors as `fit` makes them, without what is missing at the end."""
    while data and data[-1] is None:
        data = data[:-1]
    # A list is several inputs to `fit`, and one to `tf.data`.
    return tuple(
        keras.tree.map_structure(_as_fit_does, keras.tree.lists_to_tuples(d)) for d in data
    )


def _as_fit_does(array: Any) -> Any:
    tensor = tf.convert_to_tensor(array)
    return tf.cast(tensor, keras.config.floatx()) if tensor.dtype.is_floating else tensor


def _one_length(data: list[Any]) -> int:
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    lengths = sorted({int(leaf.shape[0]) if len(leaf.shape) else 0 for leaf in leaves})
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            "All arrays of `x`, `y` and `sample_weight` must have the same number of examples, at "
            f"least 1. Received: {', '.join(str(tuple(leaf.shape)) for leaf in leaves)}."
        )
    return lengths[0]


def _validation_batch(tensors: tuple[Any, ...], batch_size: int) -> int:
    """Larger batches change no metric but by rounding; bounded, as they need memory."""
    leaves = keras.tree.flatten(tensors[0])
    per_example = sum(int(np.prod(t.shape[1:])) * int(t.dtype.size) for t in leaves)
    return max(batch_size, min(_MOST_VALIDATED, _VALIDATION_BYTES // max(1, per_example)))
