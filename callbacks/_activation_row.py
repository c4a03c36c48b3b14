"""The row of one step: statistics computed on the device from the outputs that are there anyway.

Each operation costs some microseconds a step, so small numbers are packed, and what NumPy can do
later is left to `decode`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._full_range import means_and_deviations
from ._layer_activations import Applied
from ._step import Step

STATISTICS = ("mean", "std", "dead_fraction", "saturated_fraction")


@dataclass(frozen=True)
class Watched:
    """A layer with a column of its own.

    Attributes:
        layer: Its `id`.
        path: Its path in the model.
        applied: The activation that it applies.
        axis: Where its output has the units.
        shape: The output's, without the batch; None of a layer that can't be seen.
    """

    layer: int
    path: str
    applied: Applied
    axis: int
    shape: tuple[int | None, ...] | None

    @property
    def units(self) -> int | None:
        """Units, or channels."""
        return self.shape[self.axis - (self.axis > 0)] if self.shape else None

    @property
    def can_die(self) -> bool:
        """Whether its units are followed through the steps."""
        return self.applied.units_can_die and self.units is not None

    @property
    def is_counted(self) -> bool:
        """Whether saturation is counted, and does not follow from how often the units are 0."""
        below, above = self.applied.bounds
        if self.shape is None or (self.can_die and above is None):
            return False
        return below is not None or above is not None

    def column(self) -> dict[str, Any]:
        """Plain data, as `Rows.columns` describes it."""
        return {
            "path": self.path,
            "layer": self.path,
            "part": "other",
            "activation": self.applied.name,
            "units": self.units,
            "shape": list(self.shape or ()),
            "size": math.prod(size or 1 for size in self.shape or ()),
            "connected": self.shape is not None,
        }


class ActivationRow:
    """Computes a step's row on the device, and says what its numbers mean on the host.

    Args:
        step: The step.
        watched: The layers, `L` of them.
        calls: By layer, `(input, output)` of each of its calls in this step.
        asleep: Variable `[units that can die]`: recorded rows since each was last awake, `inf`
            at first. None judges by this row alone.
        window: Rows that a unit must have slept through to be dead, `inf` for all.
    """

    def __init__(
        self,
        step: Step,
        watched: list[Watched],
        calls: dict[int, list[tuple[Any, Any]]],
        asleep: Any = None,
        window: float = math.inf,
    ) -> None:
        self._step, self._watched, self._calls = step, watched, calls
        self._asleep, self._window = asleep, window
        self._seen = [at for at, one in enumerate(watched) if one.shape is not None]
        self._mortal = [at for at, one in enumerate(watched) if one.can_die]
        self._counted = [at for at, one in enumerate(watched) if one.is_counted]
        parts = (2 * len(self._seen), 2 * len(self._mortal), len(self._counted), 2)
        self._ends = np.cumsum(parts).tolist()
        self.width = int(self._ends[-1])

    def __call__(self, due: Any = True) -> Any:
        """The row `[width]`: means, deviations, awake and dead, saturated, loss and rate."""
        outputs = {at: self._tensor(self._watched[at], 1) for at in self._seen}
        parts = means_and_deviations(list(outputs.values()), self._step.in_xla) if outputs else []
        if self._mortal:
            parts.append(self._awake_and_dead(outputs, due))
        if self._counted:
            parts.append(tf.stack([self._saturated(at, outputs[at]) for at in self._counted]))
        return tf.concat([*parts, self._step.loss_and_rate()], 0)

    def decode(self, values: npt.NDArray[np.float32], rows: npt.NDArray[np.void]) -> None:
        """Fills rows `[n]` of a record from what `__call__` computed, `[n, width]`."""
        moments, lives, counts, numbers = np.split(values, self._ends[:-1], axis=1)
        for name in STATISTICS:
            rows[name] = np.nan
        rows["mean"][:, self._seen], rows["std"][:, self._seen] = np.split(moments, 2, axis=1)
        awake, rows["dead_fraction"][:, self._mortal] = np.split(lives, 2, axis=1)
        rows["saturated_fraction"][:, self._mortal] = 1 - awake
        rows["saturated_fraction"][:, self._counted] = counts
        rows["loss"], rows["learning_rate"] = numbers.T

    def _tensor(self, one: Watched, which: int) -> Any:
        """A layer's input (0) or output (1) as float32; that of several calls in one."""
        calls = self._calls.get(one.layer)
        if not calls:  # shown when the columns were chosen, but not in this trace
            return tf.constant([math.nan])
        tensors = [tf.cast(call[which], tf.float32) for call in calls]
        if len(tensors) == 1:
            return tensors[0]
        return tf.concat(
            [tf.reshape(_units_last(each, one), [-1, one.units or 1]) for each in tensors], 0
        )

    def _saturated(self, at: int, output: Any) -> Any:
        """The share of elements beyond the flat points."""
        one = self._watched[at]
        below, above = one.applied.bounds
        values = self._tensor(one, 0) if one.applied.alone else output
        if below is None or above is None:
            flat = values <= below if above is None else values >= above
        elif below == -above:
            flat = tf.abs(values) >= above
        else:
            flat = tf.abs(values - (above + below) / 2) >= (above - below) / 2
        return tf.reduce_mean(tf.cast(flat, tf.float32))

    def _awake_and_dead(self, outputs: dict[int, Any], due: Any) -> Any:
        """Of each layer whose units can die the share of outputs above 0, then of dead units."""
        watched = [self._watched[at] for at in self._mortal]
        units = [one.units or 1 for one in watched]
        # Of outputs that are never negative; NaN is not asleep.
        shares = tf.concat(
            [_mean_by_unit(tf.sign(outputs[at]), self._watched[at]) for at in self._mortal], 0
        )
        slept = tf.equal(shares, 0)
        if self._asleep is not None:
            rows = tf.where(slept, self._asleep.read_value() + 1.0, 0.0)
            self._asleep.assign(rows if due is True else tf.where(due, rows, self._asleep))
            slept = rows >= self._window
        owner = np.repeat(np.arange(len(units)), units)
        both = tf.stack([shares, tf.cast(slept, tf.float32)], 1)
        sums = tf.math.unsorted_segment_sum(both, owner, len(units))
        return tf.reshape(tf.transpose(sums) / np.array(units, np.float32), [-1])


def _units_last(tensor: Any, one: Watched) -> Any:
    if one.axis == -1:
        return tensor
    rank = len(tensor.shape)
    return tf.transpose(tensor, [0, *range(2, rank), 1])


def _mean_by_unit(tensor: Any, one: Watched) -> Any:
    """Over all axes but the units': `[units]`."""
    if len(tensor.shape) == 1:  # a layer that this step did not show
        return tf.fill([one.units], math.nan)
    axis = 1 if one.axis == 1 and len(tensor.shape) > 2 else len(tensor.shape) - 1
    return tf.reduce_mean(tensor, [i for i in range(len(tensor.shape)) if i != axis])
