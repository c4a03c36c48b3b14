"""A run's true per-step losses, and its end where they are hopeless."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ...callbacks._eager import eagerly
from ...callbacks._optimizer_tap import Tap
from ...callbacks._ring import Ring
from ...callbacks._step import Step
from ._oscillation import is_hopeless, summarize
from ._trials import EpochLosses

_EVERY = 10  # steps between two looks, so that a host read costs little
_WINDOW = 10


class LossWatch(keras.callbacks.Callback):
    """Takes each batch's loss inside the compiled step, where batch logs are means over an epoch.

    One watch belongs to one model and may see several runs of it.

    Args:
        model: A compiled model. Its training step is traced anew.

    Attributes:
        losses: List of the `EpochLosses` of the epochs that a run completed.
        steps: Integer. Steps of the run.
        diverged: Boolean. Whether the run was ended as hopeless.
        is_blind: Boolean. Whether a custom `train_step` hides its losses: then the epochs' logs
            stand in for them.
    """

    micro_batches = False

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.is_blind = False
        self._capacity = 4 * max(64, int(model.steps_per_execution))
        self._ring = eagerly(lambda: Ring(1, self._capacity, every=1, start=0))
        replicas = model.distribute_strategy.num_replicas_in_sync
        self._tap = Tap.on(model.optimizer)
        self._tap.attach(self, replicas, in_xla=bool(model.jit_compile))
        model.make_train_function(force=True)

    def detach(self) -> None:
        """Lets go of the model, which would else be kept in memory for ever."""
        self._tap.detach(self)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forgets the run before."""
        self._ring.read(None)
        self.losses: list[EpochLosses] = []
        self.diverged, self.steps = False, 0
        self._all: list[float] = []
        self._begin = self._seen = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps where the epoch begins."""
        self._begin, self._seen = len(self._all), 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the losses now and then."""
        if batch + 1 - self._seen >= _EVERY:
            self._seen = batch + 1
            self._look()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sums the epoch up."""
        self._look()
        if self.diverged:
            return
        losses = self._all[self._begin :]
        if losses:
            self.losses += summarize(losses, len(losses))
        else:
            self._read_logs(logs or {})

    def _look(self) -> None:
        _, rows, _ = self._ring.read(None)
        fresh = rows[:, 0].tolist()
        self._all += fresh
        self.steps = len(self._all)
        steps = self.params.get("steps")
        window = _WINDOW if steps is None or steps >= 2 * _WINDOW else max(3, steps // 2)
        if fresh and is_hopeless(self._all, window=window):
            self.diverged = self.model.stop_training = True

    def _read_logs(self, logs: dict[str, Any]) -> None:
        self.is_blind = True
        loss, steps = float(logs.get("loss", np.nan)), int(self.params.get("steps") or 1)
        self.steps += steps
        self.losses.append(EpochLosses(steps=steps, mean=loss, variance=0.0, roughness=0.0))
        if not np.isfinite(loss):
            self.diverged = self.model.stop_training = True

    # ------------------------------------------------------------------ called by the tap

    @tf.autograph.experimental.do_not_convert
    def before_step(self, step: Step) -> Callable[[], None] | None:
        """Records a step; called while it is being traced."""
        if step.loss is not None:
            self._ring.push(_Loss(step), step.in_xla)
        return None

    def failed(self, error: Exception) -> None:
        """Nothing is recorded then: the logs stand in."""


class _Loss:
    """The row of a step: its loss."""

    width = 1

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, due: Any) -> Any:
        return self._step.loss_and_rate()[:1]

    def decode(self, values: npt.NDArray[np.float32], rows: npt.NDArray[np.void]) -> None:
        rows["loss"] = values[:, 0]
