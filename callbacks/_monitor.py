"""What the monitors share: when to hook in, when to read the device, what happens to errors."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import keras
import tensorflow as tf

from ._arguments import verbosity, whole
from ._eager import eagerly
from ._keeper import Keeper
from ._keras_private import EPOCH_LOGS
from ._network import describe_network
from ._optimizer_tap import Tap
from ._patches import Patches
from ._ring import Ring
from ._rows import Rows
from ._step import Step, StepRow
from ._train_function import Retraced, retrace_would_change
from .record import TrainingRecord

_RING_BYTES = 2**20
_WATCH_RING_BYTES = 64 * 2**20  # nobody calls us between the steps of a custom loop


class Monitor(keras.callbacks.Callback):
    """Keeps a group of rows of a `TrainingRecord` filled from inside the training step.

    A subclass says what the group is (`_group`), which row a step makes (`_row`) and what goes
    into the epoch logs (`_epoch_logs`).

    Args:
        every: Integer. Steps from one recorded step to the next.
        directory: Path of a folder for the growing record, or None.
        verbose: Integer. `1` prints a line an epoch.
        memory_limit: Integer. Bytes of the record in memory.
    """

    file_name: str
    micro_batches = False
    log_layers = False

    _tap: Tap | None
    _retraced: Retraced | None
    _ring: Ring | None
    _logs: dict[str, float] | None

    def __init__(
        self, every: int, directory: str | Path | None, verbose: int, memory_limit: int
    ) -> None:
        super().__init__()
        self._keeper = Keeper(self.file_name, directory, memory_limit, self._warn)
        self.every = whole("every", every, "steps")
        self.verbose = verbosity(verbose)
        self.memory_limit = memory_limit
        self._let_go()

    def _group(self, step: Step) -> Rows:
        raise NotImplementedError

    def _row(self, step: Step) -> tuple[StepRow, bool]:
        """The step's row, and whether to compute it only when the weights have changed."""
        raise NotImplementedError

    def _epoch_logs(self, epoch: TrainingRecord) -> dict[str, float]:
        """What to add to the epoch logs, from a record of the epoch alone."""
        raise NotImplementedError

    def _shown(self, added: dict[str, float]) -> str:
        """The line of an epoch that `verbose=1` prints."""
        return " - ".join(f"{name}: {value:.3g}" for name, value in added.items())

    @property
    def _has_begun(self) -> bool:
        """Whether there is something to be put into the epoch logs."""
        return self._ring is not None

    @property
    def directory(self) -> Path | None:
        """The folder that the record is written to."""
        return self._keeper.directory

    @property
    def records(self) -> list[TrainingRecord]:
        """All records of this instance, the current one last."""
        return self._keeper.records

    @property
    def record(self) -> TrainingRecord:
        """The record so far, with all steps that have run."""
        with self._guard():
            self._read()
        return self.records[-1] if self.records else TrainingRecord()

    # ------------------------------------------------------------------ in `fit`

    def set_model(self, model: Any) -> None:
        """Keeps the model; called by Keras before it makes a train function."""
        super().set_model(model)
        self._had_train_function = model.train_function is not None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Hooks in."""
        with self._guard():
            self.detach()  # what an exception in an earlier `fit` left
            self._attach(self.model.optimizer, self.model, self.model, _RING_BYTES)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch."""
        self._print_line()
        self._epoch, self._logs = epoch, None
        self._keeper.begin_epoch()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the steps, and reads the device before its buffer overflows."""
        ring = self._ring
        if ring and self._steps_unread + self._steps_per_call > ring.capacity * self.every:
            with self._guard():
                self._read()
        self._steps_unread += self._steps_per_call

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Puts the epoch's logs, ours among them, into the record."""
        with self._guard():
            if not self._has_begun:
                return
            added = self._logs or {}
            logs = {} if logs is None else logs
            logs.update(added)
            self._keeper.end_epoch(epoch, logs)
            if self.verbose and added:
                self._line = f"Epoch {epoch + 1} {self.file_name}: {self._shown(added)}"

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Notes that the logs asked for next are those of validation."""
        self._validates = True

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Notes that validation is over."""
        self._validates = False

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Unhooks."""
        self._print_line()
        if self._tap is not None and self._ring is None and self._steps_unread:
            self._warn(
                "saw no step: none passed through `model.optimizer`. For another optimizer use "
                f"`with {type(self).__name__}().watch(optimizer, model):`."
                if self.model.trainable_variables
                else "saw no step: the model has no trainable variables."
            )
        self.detach()

    # ------------------------------------------------------------------ outside `fit`

    @contextmanager
    def watch(self, optimizer: Any, model: Any) -> Iterator[Self]:
        """Records a loop of your own, or `train_on_batch`, for as long as the `with` block lasts.

        Enter it before the loop's `tf.function` is first called: what was traced earlier can't be
        seen. Rows are fetched at the end and when `record` is read; in a very long loop read it now
        and then.

        Args:
            optimizer: The Keras optimizer whose `apply` or `apply_gradients` the loop calls.
            model: The model that it trains.

        Yields:
            This monitor.

        Raises:
            ValueError: `optimizer` is not a Keras optimizer.
        """
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise ValueError(
                "`optimizer` must be a Keras optimizer, such as `model.optimizer`. "
                f"Received: optimizer={optimizer!r}"
            )
        self.detach()
        self.set_model(model)
        compiled = getattr(model, "optimizer", None) is optimizer
        self._attach(optimizer, optimizer, model if compiled else None, _WATCH_RING_BYTES)
        self._epoch = -1
        try:
            yield self
            if self._tap is not None and self._ring is None:
                self._warn(
                    "saw no step. A `tf.function` that was called before `watch` can't be seen: "
                    "enter `watch` first, or make a new `tf.function` inside of it."
                )
        finally:
            self.detach()

    def detach(self) -> None:
        """Leaves the optimizer as it was. Only needed by hand after an exception in `fit`."""
        if self._tap is not None:
            with self._guard():
                self._read()
                self._keeper.flush()
        self._unhook()

    # ------------------------------------------------------------------ called by the tap

    @tf.autograph.experimental.do_not_convert
    def before_step(self, step: Step) -> Callable[[], None] | None:
        """Records a step; called while it is being traced."""
        row, waits = self._row(step)
        if self._ring is None:
            eagerly(lambda: self._open(step, row.width))
        ring, self._decode = self._ring, row.decode
        assert ring is not None
        if waits:
            return lambda: ring.push(row, step.in_xla)
        ring.push(row, step.in_xla)
        return None

    def failed(self, error: Exception) -> None:
        """Stops watching, with one warning: no error of a monitor ends a training run."""
        self._unhook()
        self._warn(f"stopped watching, training goes on ({type(error).__name__}: {error}).")

    # ------------------------------------------------------------------ inside

    def _attach(self, optimizer: Any, watched: Any, retraced: Any, ring_bytes: int) -> None:
        self._keeper.begin_fit(watched)
        self._ring_bytes = ring_bytes
        self._in_fit = watched is retraced
        if self._in_fit:
            self._steps_per_call = max(1, int(retraced.steps_per_execution))
        self._hook(optimizer, retraced)
        if self._in_fit:
            # Callbacks listed before us see the logs before we do; the model's own method comes
            # before all of them.
            self._history = getattr(self.model, "history", None)
            self._patches.put(self.model, EPOCH_LOGS, self._logs_of_model)

    def _hook(self, optimizer: Any, retraced: Any) -> None:
        if self._in_fit and self._had_train_function and retrace_would_change(retraced):
            raise RuntimeError(
                "the trainable variables are not those that the optimizer was built with, "
                "as happens where `trainable` was switched without `model.compile(...)` after it"
            )
        self._tap = Tap.on(optimizer)
        in_xla = bool(getattr(self.model, "jit_compile", False))
        self._tap.attach(self, _replicas(self.model), in_xla)
        self._retraced = Retraced(retraced) if retraced is not None else None

    def _unhook(self) -> None:
        if self._tap is not None:
            self._tap.detach(self)
        if self._retraced is not None:
            self._retraced.undo()
        self._patches.undo()
        self._let_go()

    def _let_go(self) -> None:
        self._tap = None
        self._retraced = None
        self._ring = None
        self._in_fit = False
        self._steps_per_call, self._steps_unread, self._epoch = 1, 0, -1
        self._patches = Patches()
        self._logs = None
        self._validates = False
        self._line = ""

    def _open(self, step: Step, width: int) -> None:
        self._start(self._group(step))
        at_least = -(-2 * self._steps_per_call // self.every)
        capacity = max(at_least, 64, self._ring_bytes // (4 * width))
        self._ring = Ring(width, capacity, self.every, start=self._keeper.steps_done)

    def _start(self, group: Rows) -> None:
        self._keeper.start(
            group, lambda: describe_network(self.model, self.params), self.log_layers
        )

    def _read(self) -> None:
        """Moves what the device has recorded into the record."""
        if self._ring is None:
            return
        # An exception ends `fit` without telling us: steps that we did not see begin are not ours.
        steps, values, lost = self._ring.read(self._steps_unread if self._in_fit else None)
        self._keeper.steps_done, self._steps_unread = self._ring.steps_read, 0
        if lost:
            self._warn(
                f"lost {lost} rows: the loop ran for more steps than the device holds "
                f"({self._ring.capacity * self.every}). Read `record` more often, or pass a "
                "larger `every=`."
            )
        self._keeper.append(self._epoch, steps, partial(self._decode, values))
        if self._ring.was_ahead:
            self._unhook()

    def _logs_of_model(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def logs_of_model(logs: Any) -> Any:
            logs = original(logs)
            if self._validates or not self._has_begun:
                return logs
            if getattr(self.model, "history", None) is not self._history:
                self.detach()  # an exception ended our `fit`; this is another
                return logs
            with self._guard():
                self._collect()
                self._logs = self._epoch_logs(self._keeper.record_of_epoch())
            return {**logs, **(self._logs or {})}

        return logs_of_model

    def _collect(self) -> None:
        """Completes the record of an epoch."""
        self._read()

    def _print_line(self) -> None:
        # Only now, since at the end of an epoch the progress bar is still to draw its last.
        if self._line:
            print(self._line)
        self._line = ""

    def _warn(self, message: str) -> None:
        warnings.warn(f"{type(self).__name__} {message}", stacklevel=3)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failed(error)


def _replicas(model: Any) -> int:
    strategy = getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()
    return int(strategy.num_replicas_in_sync)
