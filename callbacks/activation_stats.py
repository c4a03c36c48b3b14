"""`ActivationStats`: what every layer puts out, recorded from inside the training step."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf

from ._activation_row import STATISTICS, ActivationRow, Watched
from ._arguments import whole
from ._eager import eagerly
from ._layer_taps import LayerTaps, Seen
from ._monitor import Monitor
from ._probe import checked_probe, seen_on_probe
from ._rows import Rows
from ._step import Step
from ._watched_layers import checked_layers, watched_layers
from .record import DEFAULT_MEMORY_LIMIT, TrainingRecord


class ActivationStats(Monitor):
    """Records mean, deviation, dead and saturated share of every hidden layer's output.

    They are taken from the outputs that the training step computes anyway: there is no second
    pass, training is bit for bit what it is without, and validation leaves no trace in them. Of
    each layer, over all elements of the batch's output (masks and sample weights don't count):

    - `"mean"` and `"std"`;
    - `"saturated_fraction"`, the share of elements where the activation is flat: beyond
      `ACTIVATION_FACTS`' bounds, for a ReLU the share of zeros. NaN where the activation never
      saturates, or where its output does not tell (GELU and its like inside another layer);
    - `"dead_fraction"`, the share of units (channels of a convolution) of a ReLU-type layer that
      no sample in the window woke, that is, whose output was never above 0. NaN for others.

    A unit that sleeps through one batch is not dead, so the window is by default a whole epoch:
    at each row the last so many recorded rows, that one included; while there are fewer, all
    since the start. With `every=k` only each k-th batch is looked at, and a unit that only the
    others wake counts as dead.

    ```python
    monitor = ActivationStats()
    model.fit(x, y, epochs=10, callbacks=[monitor])
    monitor.record["dead_fraction"]  # [steps, layers], of the layers `monitor.record.layers`
    ```

    Columns are the layers with an activation that `ACTIVATION_FACTS` knows, the linear ones and
    the model's output left out: layers with an `activation` argument, and activation layers. The
    last axis holds the units, or what `data_format` says. A layer that is used several times
    counts as one. An LSTM's or GRU's output is not its activation's: both shares are NaN. A layer
    within a loop or a branch of the graph can't be seen: NaN, and a warning. Where gradients are
    accumulated, a row is of the update's last micro-batch; with several replicas, of the first
    one's part of the batch.

    Args:
        every: Integer. Steps from one recorded step to the next; those between cost next to
            nothing. Defaults to `1`.
        layers: List of layers, or of their names or paths, to watch instead of those above.
            Defaults to `None`.
        probe: A batch of inputs, as the model takes it. Rows then come from a forward pass with
            `training=False` over this batch when an epoch ends instead of from training steps,
            and dead is who sleeps through the whole of it. Defaults to `None`.
        probe_every: Integer. Epochs from one such pass to the next. Defaults to `1`.
        window: Integer. Recorded rows that a unit must have slept through to be dead. Defaults to
            those of one epoch, or to all so far where `fit` does not know how many that are.
        directory: Path of a folder into which the record is written while it grows, as
            `activations.record`, or `activations-2.record` and so on where there is one. Defaults
            to `None`.
        verbose: Integer. `1` prints a line an epoch. Defaults to `0`.
        memory_limit: Integer. Bytes that the record may take in memory before it thins itself by
            dropping every second row. Defaults to 256 MiB.

    Attributes:
        record: The `TrainingRecord` so far; may be read at any time.
        records: All records of this instance, the current one last.

    The epoch logs get `dead_fraction` and `saturated_fraction`, the worst layer's each at the
    epoch's last row.

    Raises:
        ValueError: An argument is out of its range.

    Reference:
        - Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural
          networks* (2010), which watches the saturation of each layer so.
        - Géron, *Hands-On Machine Learning*, chapter 11: dying ReLUs.
    """

    file_name = "activations"
    _taps: LayerTaps | None
    _watched_layers: list[Watched] | None

    def __init__(
        self,
        every: int = 1,
        layers: Sequence[Any] | None = None,
        probe: Any = None,
        probe_every: int = 1,
        window: int | None = None,
        directory: str | Path | None = None,
        verbose: int = 0,
        *,
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
    ) -> None:
        super().__init__(every, directory, verbose, memory_limit)
        whole("probe_every", probe_every, "epochs")
        if window is not None:
            whole("window", window, "recorded steps")
        self.layers = checked_layers(layers)
        self.probe, self.probe_every, self.window = checked_probe(probe), probe_every, window
        self._asleep: Any = None
        self._asleep_of: list[Watched] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A fresh monitor with the same settings: KerasTuner copies one for each execution."""
        return type(self)(
            self.every,
            self.layers,
            self.probe,
            self.probe_every,
            self.window,
            self.directory,
            self.verbose,
            memory_limit=self.memory_limit,
        )

    # ------------------------------------------------------------------ in `fit`

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Forgets what a model called between the steps has put out."""
        super().on_train_batch_begin(batch, logs)
        if self._taps is not None:
            self._taps.clear()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Looks away."""
        super().on_test_begin(logs)
        if self._taps is not None:
            self._taps.paused = True

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Looks again."""
        super().on_test_end(logs)
        if self._taps is not None:
            self._taps.paused = False

    # ------------------------------------------------------------------ what a step makes

    def _group(self, step: Step) -> Rows:
        columns = [one.column() for one in self._watched_layers or ()]
        return Rows("activations", columns, STATISTICS, self.every)

    def _row(self, step: Step) -> tuple[ActivationRow, bool]:
        assert self._taps is not None
        seen = self._taps.take()
        watched = self._choose(seen)
        if self._asleep is None or self._asleep_of != watched:
            units = sum(one.units or 0 for one in watched if one.can_die)
            self._asleep = eagerly(lambda: tf.Variable(tf.fill([units], math.inf), trainable=False))
            self._asleep_of = watched
        row = ActivationRow(step, watched, seen.calls, self._asleep, self._rows_of_window(step))
        return row, False

    def _choose(self, seen: Seen) -> list[Watched]:
        """The watched layers; the same in each trace."""
        if self._watched_layers is None:
            self._watched_layers = watched_layers(self.model, seen, self.layers)
        return self._watched_layers

    def _rows_of_window(self, step: Step) -> float:
        steps = self.params.get("steps") if self._in_fit and self.params else None
        if self.window or not steps:
            return self.window or math.inf
        per_row = (step.optimizer.gradient_accumulation_steps or 1) * self.every
        return float(math.ceil(steps / per_row))

    def _epoch_logs(self, epoch: TrainingRecord) -> dict[str, float]:
        logs: dict[str, float] = {}
        self._worst: dict[str, str] = {}
        for name in ("dead_fraction", "saturated_fraction"):
            last = epoch[name][-1:].ravel()
            if np.isfinite(last).any():
                at = int(np.nanargmax(last))
                logs[name], self._worst[name] = float(last[at]), epoch.layers[at]
        return logs

    def _shown(self, added: dict[str, float]) -> str:
        return " - ".join(
            f"{name}: {value:.3g} ({self._worst[name]})" for name, value in added.items()
        )

    # ------------------------------------------------------------------ on the probe

    @property
    def _has_begun(self) -> bool:
        return super()._has_begun or (self.probe is not None and self._in_fit)

    def _collect(self) -> None:
        due = (self._epoch + 1) % self.probe_every == 0
        if self.probe is not None and (due or self._watched_layers is None):
            self._take_probe(due)
        super()._collect()

    def _take_probe(self, due: bool) -> None:
        """Begins the record and, where one is due, adds a row."""
        begins, keeper = self._watched_layers is None, self._keeper
        optimizer = self.model.optimizer
        step = Step([], [], None, False, None, optimizer.learning_rate, optimizer)
        seen = seen_on_probe(self.model, self.probe)
        row = ActivationRow(step, self._choose(seen), seen.calls)
        if begins:
            self._start(self._group(step))
        keeper.steps_done = int(optimizer.iterations) - self._iterations_before
        if due:
            steps, values = np.array([keeper.steps_done - 1]), row().numpy()[np.newaxis]
            keeper.append(self._epoch, steps, partial(row.decode, values))

    # ------------------------------------------------------------------ hooks

    def _hook(self, optimizer: Any, retraced: Any) -> None:
        if self.probe is not None:
            if not self._in_fit:
                raise ValueError(
                    "A loop of your own has no epochs for `probe` to be passed at the end of. "
                    "Leave `probe` out. Received: a probe batch"
                )
            self._iterations_before = int(optimizer.iterations) - self._keeper.steps_done
            return
        super()._hook(optimizer, retraced)
        self._taps = LayerTaps(self.model)
        self._taps.hook()

    def _unhook(self) -> None:
        if self._taps is not None:
            self._taps.undo()
        super()._unhook()

    def _let_go(self) -> None:
        super()._let_go()
        self._taps = None
        self._watched_layers = None
