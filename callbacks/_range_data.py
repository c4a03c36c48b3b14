"""The batches of a range test, from whatever `fit` takes."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


def batches_of(
    x: Any, y: Any, batches: int, batch_size: int, seed: int, model: Any
) -> dict[str, Any]:
    """What to pass to `fit` for so many batches.

    Arrays are shuffled by a seed of their own, again and again, into batches of equal size: with
    `fit`'s own order the curve would depend on TensorFlow's random state, and move it.

    Args:
        x: As in `fit`.
        y: As in `fit`.
        batches: Integer. Batches that are needed.
        batch_size: Integer. Examples of a batch, where `x` is arrays.
        seed: Integer. Of their order.
        model: The model, whose executions take several batches each.

    Raises:
        ValueError: Arrays are empty or not of one length.
    """
    leaves = keras.tree.flatten(x if y is None else (x, y))
    if not leaves or not all(isinstance(leaf, (np.ndarray, tf.Tensor)) for leaf in leaves):
        return {"x": x, "y": y, **_options(x, batches, batch_size)}
    examples = _one_length(leaves)
    batch_size, at_once = min(batch_size, examples), int(model.steps_per_execution)
    batches = -(-batches // at_once) * at_once
    order = _order(examples, batches * batch_size, seed).reshape(batches, batch_size)
    arrays = keras.tree.map_structure(_as_fit_does, keras.tree.lists_to_tuples((x, y)))

    def rows(at: Any) -> Any:
        inputs, targets = keras.tree.map_structure(lambda a: tf.gather(a, at), arrays)
        return (inputs,) if y is None else (inputs, targets)

    data = tf.data.Dataset.from_tensor_slices(order).map(rows).prefetch(2)
    return {"x": data, "shuffle": False}


def _options(x: Any, batches: int, batch_size: int) -> dict[str, Any]:
    """How `fit` gets so many batches from data that are no arrays."""
    if hasattr(x, "__next__"):
        # In a second epoch Keras would repeat the first two batches for want of others.
        return {"epochs": 1, "shuffle": False}
    if isinstance(x, tf.data.Dataset):
        return {"epochs": batches, "shuffle": False}
    if isinstance(x, keras.utils.PyDataset):
        return {"epochs": batches, "shuffle": x.num_batches is not None}
    return {"epochs": batches, "batch_size": batch_size}


def _one_length(leaves: list[Any]) -> int:
    lengths = {int(leaf.shape[0]) if len(leaf.shape) else 0 for leaf in leaves}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            "All arrays of `x` and `y` must have the same number of examples, at least 1. "
            f"Received: arrays of shape {', '.join(str(tuple(leaf.shape)) for leaf in leaves)}"
        )
    return lengths.pop()


def _order(examples: int, needed: int, seed: int) -> Any:
    """Permutations of the examples, one after the other."""
    generator = np.random.default_rng(seed)
    rounds = -(-needed // examples)
    return np.concatenate([generator.permutation(examples) for _ in range(rounds)])[:needed]


def _as_fit_does(array: Any) -> Any:
    """A tensor, with floats in Keras' precision."""
    if array is None:
        return None
    tensor = tf.convert_to_tensor(array)
    return tf.cast(tensor, keras.config.floatx()) if tensor.dtype.is_floating else tensor
