"""The hook into a model's loss that sees the training data pass.

While Keras traces a training step it calls `compute_loss`, which is public, with the batch's
inputs, targets and predictions, and finds an instance attribute in its place. That keeps rows of
them in variables on the device, until these are full; the host looks at them when a diagnosis is
due.
"""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._branch import when
from ._data_description import describe_arrays
from ._eager import eagerly
from ._patches import Patches

# 4 MB of float32: thousands of rows of most data, and tens of large images.
_NUMBERS = 2**20
# XLA may copy what it updates, and must not branch: the newest rows, in every step.
_NUMBERS_IN_XLA = 2**16
_FEWEST, _MOST = 32, 50_000
_ARGUMENTS = ("x", "y", "y_pred", "sample_weight", "training")


@dataclass
class _Buffer:
    """Rows of one tensor on the device.

    Attributes:
        rows: Variable `[capacity, ...]`.
        shape: Shape of a sample, with None for a size that varies.
        dtype: Name of the tensor's dtype.
        inner: Shape of a row; that of a sample, or of its last axis where the others vary.
    """

    rows: Any
    shape: list[int | None]
    dtype: str
    inner: list[int]
    count: Any


class DataTap:
    """Describes the data of a model's training steps, from `attach` to `detach`.

    Attributes:
        paused: Whether to let calls pass unseen: validation computes a loss too.
    """

    def __init__(self) -> None:
        self.paused = False
        self._patches = Patches()
        self._forget()

    def attach(self, model: Any) -> None:
        """Sees each step that is traced from now on; of several replicas, none."""
        self.detach()
        strategy = getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()
        if strategy.num_replicas_in_sync > 1 or not hasattr(model, "compute_loss"):
            return
        self._forget()
        self._in_xla = bool(getattr(model, "jit_compile", False))
        history = getattr(model, "history", None)
        model_of = weakref.ref(model)

        def goes_on() -> bool:
            # An exception ends `fit` without telling us: what comes later is none of ours.
            return getattr(model_of(), "history", None) is history

        self._patches.put(model, "compute_loss", lambda original: self._wrap(original, goes_on))

    def detach(self) -> None:
        """Leaves the model as it was; what was seen can still be described."""
        self._patches.undo()
        self.paused = False

    @property
    def samples(self) -> int:
        """Samples that have passed."""
        return 0 if self._samples is None else int(self._samples.numpy())

    def describe(self, loss: str | None) -> dict[str, Any]:
        """What `describe_arrays` says of the rows that were kept, `{}` where none were.

        Args:
            loss: Name of the loss.
        """
        if self._samples is None or not self.samples:
            return {}
        described = describe_arrays(self._arrays("x"), self._arrays("y"), loss)
        for kind, entries in (("x", described["inputs"]), ("y", described["targets"])):
            for at, entry in enumerate(entries):
                buffer = self._buffers.get((kind, at))
                if buffer is not None:
                    entry |= {"shape": buffer.shape, "dtype": buffer.dtype}
        described["samples"] = self.samples
        described["weighted"] = self._is_weighted
        described["outputs"] = [
            dict(zip(("min", "max", "mean", "std"), values.numpy().tolist(), strict=True))
            for values in self._outputs
        ]
        return described

    # ------------------------------------------------------------------ inside

    def _forget(self) -> None:
        self._in_xla = False
        self._samples: Any = None
        self._structures: dict[str, Any] = {}
        self._buffers: dict[tuple[str, int], _Buffer | None] = {}
        self._outputs: list[Any] = []
        self._is_weighted = False

    def _wrap(self, original: Callable[..., Any], goes_on: Callable[[], bool]) -> Any:
        @tf.autograph.experimental.do_not_convert
        def compute_loss(*args: Any, **kwargs: Any) -> Any:
            given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
            if not self.paused and given.get("training") is not False and goes_on():
                self._see(given)
            return original(*args, **kwargs)

        return compute_loss

    def _see(self, given: dict[str, Any]) -> None:
        try:
            self._keep(given)
        except Exception:  # no data that we can't read may end a training run
            self._buffers, self._outputs, self._samples = {}, [], None

    def _keep(self, given: dict[str, Any]) -> None:
        # A tape that differentiates the loss must find none of what is done here on its way.
        leaves = {
            kind: [_cut(leaf) for leaf in keras.tree.flatten(given.get(kind))]
            for kind in ("x", "y", "y_pred")
        }
        first = next((leaf for leaf in (*leaves["x"], *leaves["y"]) if _is_batch(leaf)), None)
        if first is None:
            return
        if self._samples is None:
            self._samples = eagerly(lambda: tf.Variable(0, dtype=tf.int64, trainable=False))
        if not self._in_xla:
            self._keep_outputs(leaves["y_pred"])
        for kind in ("x", "y"):
            self._structures[kind] = keras.tree.map_structure(lambda _: 0, given.get(kind))
            for at, leaf in enumerate(leaves[kind]):
                self._push((kind, at), leaf)
        self._samples.assign_add(tf.shape(first, tf.int64)[0])
        self._is_weighted |= given.get("sample_weight") is not None  # class weights become these

    def _keep_outputs(self, outputs: list[Any]) -> None:
        """Range, mean and deviation of what the untrained network puts out."""
        outputs = [one for one in outputs if isinstance(one, tf.Tensor) and one.dtype.is_floating]
        if len(self._outputs) != len(outputs):
            self._outputs = [
                eagerly(lambda: tf.Variable(tf.zeros([4]), trainable=False)) for _ in outputs
            ]
        first = tf.equal(self._samples, 0)
        for kept, output in zip(self._outputs, outputs, strict=True):
            when(first, _moments_into(kept, output))

    def _push(self, key: tuple[str, int], tensor: Any) -> None:
        if key not in self._buffers:
            self._buffers[key] = self._buffer(tensor)
        buffer = self._buffers[key]
        if buffer is None:
            return
        capacity = int(buffer.rows.shape[0])
        rows = tf.reshape(tf.cast(tensor, buffer.rows.dtype), [-1, *buffer.inner])[:capacity]

        def write() -> Any:
            count = tf.shape(rows, tf.int64)[0]
            places = tf.math.floormod(buffer.count + tf.range(count), capacity)
            buffer.rows.scatter_update(tf.IndexedSlices(rows, places))
            buffer.count.assign_add(count)
            return tf.constant(0)

        if self._in_xla:
            write()
        else:
            when(buffer.count < capacity, write)

    def _buffer(self, tensor: Any) -> _Buffer | None:
        if not _is_batch(tensor):
            return None
        shape = list(tensor.shape[1:])
        # Of sizes that vary, only the last axis, the features, makes a row.
        inner = shape if None not in shape else [one for one in shape[-1:] if one is not None]
        size = int(np.prod(inner)) or 1
        numbers = _NUMBERS_IN_XLA if self._in_xla else _NUMBERS
        capacity = min(max(numbers // size, _FEWEST), _MOST)
        dtype = tf.float32 if tensor.dtype in (tf.bfloat16, tf.float16) else tensor.dtype
        rows, count = eagerly(
            lambda: (
                tf.Variable(tf.zeros([capacity, *inner], dtype), trainable=False),
                tf.Variable(0, dtype=tf.int64, trainable=False),
            )
        )
        return _Buffer(rows, shape, tensor.dtype.name, inner, count)

    def _arrays(self, kind: str) -> Any:
        structure = self._structures.get(kind)
        flat = [self._rows_of((kind, at)) for at in range(len(keras.tree.flatten(structure)))]
        if structure is None:
            return None
        unknown = np.empty((0,), object)
        arrays = [unknown if one is None else one for one in flat]
        packed = keras.tree.pack_sequence_as(structure, arrays)
        return dict(packed) if isinstance(packed, Mapping) else packed

    def _rows_of(self, key: tuple[str, int]) -> npt.NDArray[Any] | None:
        buffer = self._buffers.get(key)
        if buffer is None:
            return None
        rows: npt.NDArray[Any] = buffer.rows.numpy()[: int(buffer.count)]
        return rows


def _is_batch(leaf: Any) -> bool:
    """Whether it is a tensor of numbers with a batch axis."""
    if not isinstance(leaf, tf.Tensor) or leaf.shape.rank in (None, 0):
        return False
    return bool(leaf.dtype.is_floating or leaf.dtype.is_integer or leaf.dtype.is_bool)


def _cut(leaf: Any) -> Any:
    return tf.stop_gradient(leaf) if isinstance(leaf, tf.Tensor) else leaf


def _moments_into(kept: Any, output: Any) -> Callable[[], Any]:
    """For `when`, which takes what a function closes over, not its arguments' defaults."""

    def assign() -> Any:
        values = tf.cast(output, tf.float32)
        ends = tf.reduce_min(values), tf.reduce_max(values), tf.reduce_mean(values)
        kept.assign(tf.stack([*ends, tf.math.reduce_std(values)]))
        return tf.constant(0)

    return assign
