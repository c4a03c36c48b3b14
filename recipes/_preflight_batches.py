"""The batches that a check before training looks at, from whatever `fit` takes."""

import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Batch = tuple[Any, Any, Any]
"""Inputs, targets and sample weights; what is missing is None."""


def batches_of(model: Any, x: Any, y: Any, count: int, batch_size: int, seed: int) -> list[Batch]:
    """So many batches, or as many as there are.

    Args:
        model: The model, which may ask for a batch size of its own.
        x: As in `fit`.
        y: As in `fit`.
        count: Integer. Batches that are wanted.
        batch_size: Integer. Examples of a batch, where `x` is arrays.
        seed: Integer. Of their order: a generator of its own draws it, no global state moves.

    Raises:
        ValueError: There is no data, its arrays are not of one length, or they are no arrays.
    """
    if _is_batched(x):
        batches = [_unpacked(batch) for batch in itertools.islice(_batches_in(x, count), count)]
        if not batches:
            raise ValueError("`x` must hold a batch at least. Received: x without any.")
        # Where they run out, they come again, as in the next epoch.
        return list(itertools.islice(itertools.cycle(batches), count))
    x, y = as_arrays(x), as_arrays(y)
    examples = _one_length(x, y)
    size = _fixed_batch_size(model) or min(batch_size, examples)
    rows = _order(examples, count * size, seed).reshape(count, size)
    return [(_rows(x, at), _rows(y, at), None) for at in rows]


def data_of(x: Any, y: Any, batches: list[Batch]) -> tuple[Any, Any]:
    """The data to describe, as arrays: all of `x` and `y`, or what the batches hold."""
    if not _is_batched(x):
        return as_arrays(x), as_arrays(y)
    unique = list({id(batch): batch for batch in batches}.values())
    return _joined([inputs for inputs, _, _ in unique]), _joined([y for _, y, _ in unique])


def steps_per_epoch(x: Any, batches: list[Batch]) -> int | None:
    """How many batches an epoch has, None where nobody knows."""
    if not _is_batched(x):
        size = len(keras.tree.flatten(batches[0][0])[0])
        return -(-len(keras.tree.flatten(x)[0]) // size)
    try:
        return len(x)
    except (TypeError, NotImplementedError):
        return None


def as_arrays(data: Any) -> Any:
    """A structure of arrays as NumPy's."""
    return keras.tree.map_structure(_as_array, data)


def _as_array(leaf: Any) -> Any:
    if leaf is None:
        return None
    if not hasattr(leaf, "__array__"):
        raise ValueError(
            "`x` and `y` must be arrays, lists or dicts of them, or data that come in batches. "
            f"Received: a {type(leaf).__name__}. Convert it with np.array(...) first."
        )
    return np.asarray(leaf)


def _as_fit_does(data: Any) -> Any:
    """Floats in Keras' precision."""

    def cast(array: Any) -> Any:
        is_float = array is not None and array.dtype.kind == "f"
        return array.astype(keras.config.floatx()) if is_float else array

    return keras.tree.map_structure(cast, data)


def _is_batched(x: Any) -> bool:
    return isinstance(x, (tf.data.Dataset, keras.utils.PyDataset)) or hasattr(x, "__next__")


def _batches_in(x: Any, count: int) -> Iterator[Any]:
    if not isinstance(x, keras.utils.PyDataset):
        return iter(x)
    known = x.num_batches
    return (x[at] for at in range(count if known is None else min(count, known)))


def _unpacked(batch: Any) -> Batch:
    x, y, weight = as_arrays(keras.utils.unpack_x_y_sample_weight(batch))
    return _as_fit_does(x), _as_fit_does(y), _as_fit_does(weight)


def _joined(parts: list[Any]) -> Any:
    if parts[0] is None:
        return None
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def _rows(data: Any, at: Any) -> Any:
    chosen = keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[at], data)
    return _as_fit_does(chosen)


def _one_length(x: Any, y: Any) -> int:
    leaves = [leaf for leaf in keras.tree.flatten((x, y)) if leaf is not None]
    lengths = {len(leaf) if leaf.ndim else 0 for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            "All arrays of `x` and `y` must have the same number of examples, at least 1. "
            f"Received: arrays of shape {', '.join(str(leaf.shape) for leaf in leaves)}."
        )
    return lengths.pop()


def _fixed_batch_size(model: Any) -> int | None:
    """What a model with stateful layers was built for."""
    inputs = getattr(model, "inputs", None) or []  # a subclassed model has none
    return next((int(one.shape[0]) for one in inputs if one.shape and one.shape[0]), None)


def _order(examples: int, needed: int, seed: int) -> Any:
    """Permutations of the examples, one after the other."""
    generator = np.random.default_rng(seed)
    rounds = -(-needed // examples)
    return np.concatenate([generator.permutation(examples) for _ in range(rounds)])[:needed]
