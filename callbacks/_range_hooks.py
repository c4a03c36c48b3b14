"""What a range test hooks into a model: moving rates, and a reading of each step's loss."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._eager import eagerly
from ._optimizer_settings import accumulated_by
from ._optimizer_tap import Tap
from ._patches import Patches
from ._ring import Ring
from ._step import Step
from ._swept_rate import SweptRate
from ._train_function import Retraced, before_later_training

_PATIENCE = 100  # updates' worth of batches without one


class RangeHooks:
    """Moves the rate of each step, and records it with its loss, from now until `undo`.

    Args:
        model: A compiled Keras model.
        rates: The rate of each update `[n]`.
        later: Called when the model begins another training before `undo`.

    Raises:
        ValueError: The optimizer computes its rate by a function.
    """

    micro_batches = False

    def __init__(
        self, model: Any, rates: npt.NDArray[np.float32], later: Callable[[], None]
    ) -> None:
        self._error, self._calls, self._saw_step = "", 0, False
        self._gives_back = True
        accumulated, patches = accumulated_by(model.optimizer), Patches()
        self._most_calls = _PATIENCE * accumulated
        capacity = 2 * max(64, int(model.steps_per_execution))
        self._ring = eagerly(lambda: Ring(2, capacity, every=1, start=0))
        with ExitStack() as undo:
            self._swept = SweptRate(model, rates, accumulated)
            undo.callback(self._give_back)
            undo.callback(patches.undo)
            patches.put(model.optimizer, "apply", self._swept.advancing)
            tap, replicas = Tap.on(model.optimizer), model.distribute_strategy.num_replicas_in_sync
            undo.callback(tap.detach, self)
            tap.attach(self, replicas, in_xla=bool(model.jit_compile))
            undo.callback(Retraced(model).undo)
            patches.put(model, "make_train_function", before_later_training(model, later))
            self._undo = undo.pop_all()

    def read(self) -> list[tuple[float, float]]:
        """Loss and rate of the steps since the last call; to be called after each batch.

        Raises:
            ValueError: The steps can't be seen.
        """
        _, rows, _ = self._ring.read(None)
        self._calls, self._saw_step = self._calls + 1, self._saw_step or len(rows) > 0
        if self._error or (not self._saw_step and self._calls >= self._most_calls):
            raise self.failure()
        return [(loss, rate) for loss, rate in rows.tolist()]

    def undo(self, even_rate_of_others: bool) -> None:
        """Unhooks, and puts the old rate or schedule back.

        Args:
            even_rate_of_others: Boolean. Whether also in the place of one that was set meanwhile.
        """
        self._gives_back = even_rate_of_others or self._swept.is_in_place
        self._undo.close()

    def _give_back(self) -> None:
        if self._gives_back:
            self._swept.give_back()

    def failure(self) -> ValueError:
        """The error to raise where no step was seen."""
        why = self._error or "no update passed through `model.optimizer`"
        return ValueError(
            f"The range test can't see the training: {why}. A custom `train_step` must call "
            "`self.optimizer.scale_loss(loss)` and `self.optimizer.apply(...)`."
        )

    # ------------------------------------------------------------------ called by the tap

    @tf.autograph.experimental.do_not_convert
    def before_step(self, step: Step) -> Callable[[], None] | None:
        """Records a step; called while it is being traced."""
        if step.loss is None:
            raise ValueError("the loss was not shown to the optimizer")
        self._ring.push(_LossAndRate(step), step.in_xla)
        return None

    def failed(self, error: Exception) -> None:
        """Keeps an error for the end of the batch."""
        self._error = str(error)


class _LossAndRate:
    """The row of a step: its loss and its rate."""

    width = 2

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, due: Any) -> Any:
        return self._step.loss_and_rate()

    def decode(self, values: npt.NDArray[np.float32], rows: npt.NDArray[np.void]) -> None:
        rows["loss"], rows["learning_rate"] = values.T
