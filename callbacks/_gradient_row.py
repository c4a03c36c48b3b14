"""The row of one step: statistics computed on the device from the gradients that are there anyway.

Each operation costs some microseconds a step, so what NumPy can do later is left to `decode`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._full_range import norms
from ._rows import CLIPPED, SKIPPED
from ._step import Step


class GradientRow:
    """Computes a step's row on the device, and says what its numbers mean on the host.

    Args:
        step: The step.
        statistics: Their names, keys of `STATISTICS`; `"gradient_norm"` first.
    """

    def __init__(self, step: Step, statistics: tuple[str, ...]) -> None:
        self._step, self._statistics = step, statistics
        self._places = [i for i, gradient in enumerate(step.gradients) if gradient is not None]
        self._sizes = [float(np.prod(tuple(step.variables[i].shape))) for i in self._places]
        self._weights = self._values() if "update_norm" in statistics else None
        self._columns = len(statistics) * len(step.gradients)
        optimizer = step.optimizer
        self._clips = (optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue)
        self.width = self._columns + 2 + bool(optimizer.clipvalue)

    def __call__(self, due: Any = True) -> Any:
        """The row `[width]`: each statistic of each variable, loss, learning rate.

        A variable without a gradient has NaN; with `clipvalue`, the largest absolute gradient
        comes last.
        """
        step = self._step
        dense = [_dense(step.gradients[i]) for i in self._places]
        columns = [self._spread(self._statistic(name, dense)) for name in self._statistics]
        columns.append(step.loss_and_rate())
        if step.optimizer.clipvalue:
            columns.append(tf.reduce_max(self._statistic("max_abs_gradient", dense))[tf.newaxis])
        return tf.concat(columns, 0)

    def decode(self, values: npt.NDArray[np.float32], rows: npt.NDArray[np.void]) -> None:
        """Fills rows `[n]` of a record from what `__call__` computed, `[n, width]`."""
        count = len(self._step.gradients)
        for at, name in enumerate(self._statistics):
            rows[name] = values[:, at * count : (at + 1) * count]
        rows["loss"], rows["learning_rate"] = values[:, self._columns], values[:, self._columns + 1]
        raw = rows["gradient_norm"][:, self._places].astype(np.float64)
        finite = np.isfinite(raw).all(axis=1)
        clipped = self._clipped(raw, values[:, -1])
        rows["flags"] = SKIPPED * (~finite & self._step.may_skip) + CLIPPED * clipped

    def _clipped(self, raw: npt.NDArray[np.float64], largest: npt.NDArray[np.float32]) -> Any:
        clipnorm, global_clipnorm, clipvalue = self._clips
        if clipnorm:
            return (raw > clipnorm).any(axis=1)
        if global_clipnorm:
            return np.linalg.norm(raw, axis=1) > global_clipnorm
        return largest > clipvalue if clipvalue else np.zeros(len(raw), bool)

    def _statistic(self, name: str, dense: list[Any]) -> Any:
        """A statistic of the variables that have a gradient `[n]`."""

        def each(function: Callable[[Any], Any]) -> Any:
            return tf.stack([function(gradient) for gradient in dense])

        match name:
            case "gradient_norm":
                return self._unscaled(norms(dense, self._step.in_xla))
            case "weight_norm":
                return norms(self._weights or self._values(), self._step.in_xla)
            case "update_norm":
                pairs = zip(self._values(), self._weights or [], strict=True)
                return norms([after - before for after, before in pairs], self._step.in_xla)
            case "mean_abs_gradient":
                return self._unscaled(each(lambda g: tf.reduce_sum(tf.abs(g))) / self._sizes)
            case "max_abs_gradient":
                return self._unscaled(each(lambda g: tf.reduce_max(tf.abs(g))))
            case "zero_fraction":
                sizes = tf.constant(self._sizes)
                return (sizes - each(_count_nonzero)) / sizes
        raise ValueError(f"No such statistic: {name!r}")

    def _values(self) -> list[Any]:
        variables = (self._step.variables[i] for i in self._places)
        return [tf.cast(tf.convert_to_tensor(variable), tf.float32) for variable in variables]

    def _unscaled(self, values: Any) -> Any:
        scale = self._step.scale
        return values if scale is None else values / tf.cast(scale, tf.float32)

    def _spread(self, values: Any) -> Any:
        """Puts `[n]` values in their places among all variables `[V]`."""
        if len(self._places) == len(self._step.gradients):
            return values
        missing = [float("nan")] * len(self._step.gradients)
        return tf.tensor_scatter_nd_update(missing, [[i] for i in self._places], values)


def _dense(gradient: Any) -> Any:
    """A gradient as float32; of a sparse one the rows that it has, repeated ones summed."""
    if not isinstance(gradient, tf.IndexedSlices):
        return tf.cast(gradient, tf.float32)
    order = tf.argsort(gradient.indices)
    indices = tf.gather(gradient.indices, order)
    starts = tf.cast(tf.not_equal(indices[1:], indices[:-1]), tf.int32)
    segments = tf.concat([[0], tf.cumsum(starts)], 0)  # static shapes, which XLA asks for
    values = tf.cast(tf.gather(gradient.values, order), tf.float32)
    return tf.math.unsorted_segment_sum(values, segments, tf.shape(values)[0])


def _count_nonzero(tensor: Any) -> Any:
    return tf.reduce_sum(tf.cast(tf.not_equal(tensor, 0), tf.float32))
