"""A ring buffer on the device: rows go in inside the training step and come out rarely."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._branch import when
from ._step import StepRow


class Ring:
    """Keeps the newest `capacity` rows of every `every`-th step.

    The variables belong to nobody that Keras saves: not to the model, not to the optimizer.

    Args:
        width: Integer. Numbers in a row.
        capacity: Integer. Rows that it holds.
        every: Integer. Steps from one row to the next.
        start: Integer. Number of the first step; multiples of `every` are recorded.

    Attributes:
        steps_read: Number of the step after the last one that was read.
        was_ahead: Whether the last read left out steps that were not to be believed in.
    """

    def __init__(self, width: int, capacity: int, every: int, start: int) -> None:
        self.capacity, self.every, self.steps_read = capacity, every, start
        self.was_ahead = False
        self._rows = tf.Variable(tf.zeros([capacity, width]), trainable=False)
        self._count = tf.Variable(start, dtype=tf.int64, trainable=False)

    def push(self, row: StepRow, in_xla: bool) -> None:
        """Counts a step and, where it is one to record, computes and keeps its row `[width]`.

        Args:
            row: Computes it.
            in_xla: Whether XLA compiles the step; then the row is computed in every step, and
                kept where it is one to record.
        """
        count = self._count.read_value()
        slot = tf.math.floormod(count // self.every, self.capacity)
        due = tf.equal(count % self.every, 0)

        def keep(values: Any) -> Any:
            self._rows.scatter_update(tf.IndexedSlices(values[tf.newaxis], slot[tf.newaxis]))
            return tf.constant(0)

        if self.every == 1:
            keep(row(due=True))
        elif in_xla:
            keep(tf.where(due, row(due=due), tf.gather(self._rows, slot)))
        else:
            when(due, lambda: keep(row(due=True)))
        self._count.assign_add(1)

    def read(
        self, at_most: int | None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], int]:
        """The rows since the last read.

        Args:
            at_most: Steps to believe in since then: what was counted beyond was run by somebody
                who was not watching. None believes all.

        Returns:
            Their steps `[n]`, the rows `[n, width]`, and how many rows were overwritten unread.
        """
        count = int(self._count.numpy())
        until = count if at_most is None else min(count, self.steps_read + at_most)
        first, end, newest = (-(-at // self.every) for at in (self.steps_read, until, count))
        oldest = min(max(first, newest - self.capacity), end)
        self.steps_read, self.was_ahead = until, count > until
        kept = np.arange(oldest, end, dtype=np.int64)
        return kept * self.every, self._rows.numpy()[kept % self.capacity], oldest - first
