"""`TrainingDoctor`: watches a training run, and says what is wrong with it, where, since when."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, Self

import keras
import numpy as np

from ._arguments import verbosity, whole
from ._doctor_eyes import Eyes
from ._doctor_schedule import Firmness, Schedule, default_every
from ._findings_text import findings_text
from .diagnosis.diagnose import diagnose
from .diagnosis.finding import Finding
from .record import TrainingRecord

ACTIONS = ("report", "stop", "raise")
HOPELESS = (
    "non_finite",
    "not_learning",
    "slow_convergence",
    "dying_relu",
    "saturated_activation",
    "vanishing_gradient",
)
"""Symptoms that as errors were judged with progress: the run learns nothing, and won't."""


class TrainingProblemError(RuntimeError):
    """Raised by `TrainingDoctor(action="raise")` at the end of an epoch.

    Args:
        findings: The errors, root causes first.

    Attributes:
        findings: The same.
    """

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = findings


class TrainingDoctor(keras.callbacks.Callback):
    """Watches gradients, activations, data and loss, and says what is wrong while `fit` runs.

    It records what `GradientNorms` and `ActivationStats` do, describes the data from the batches
    that pass, and asks `diagnose` up to 40 times in a run, for a hundredth of its time. Training is
    bit for bit what it is without.

    ```python
    doctor = TrainingDoctor()
    model.fit(x, y, epochs=10, callbacks=[doctor])
    print(doctor.report())  # what is wrong, where, since which step, what to change
    ```

    It warns once of each symptom, when that is firm: found in two looks in a row. A loss or a
    gradient that is not finite is firm at once, and at the end of the run so is any error.

    The data are described from the first batches: up to a million numbers of each input and
    target, of 50,000 samples at most. Several replicas' data are not.

    Args:
        action: What to do about firm errors. `"report"`: warn. `"stop"`: end the run where it is
            hopeless, that is where nothing is learned (`non_finite`, `not_learning`,
            `slow_convergence`, `dying_relu`, `saturated_activation`, `vanishing_gradient`).
            `"raise"`: raise `TrainingProblemError` at the end of the epoch, of any error. Defaults
            to `"report"`.
        every: Integer. Steps from one recorded step to the next. Defaults to `None`: so many that
            a tenth of the planned steps has 20 rows, from 1 in runs below 400 steps to 10 in those
            from 2,000 on. With an explicit `1`, the norms of the updates are left out, as they
            cost a copy of the weights in each step; the rules on the rate then know less.
        verbose: Integer. `0` is silent, findings are then only in `findings` and `report()`.
            Defaults to `1`.

    Attributes:
        record: The `TrainingRecord` so far, of both monitors; may be read at any time.
        findings: List of `Finding`, root causes first, as of now.
        stopped_at: Step at which it stopped the run, or None.

    Raises:
        ValueError: An argument is out of its range.
        TrainingProblemError: From `fit`, with `action="raise"`.

    Reference:
        Zhang et al., *AutoTrainer: An Automatic DNN Training Problem Detection and Repair System*
        (2021).
    """

    _findings: list[Finding]
    _judged: tuple[int, int]

    def __init__(self, action: str = "report", every: int | None = None, verbose: int = 1) -> None:
        super().__init__()
        if action not in ACTIONS:
            known = ", ".join(map(repr, ACTIONS))
            raise ValueError(f"`action` must be one of {known}. Received: action={action!r}")
        self.action = action
        self.every = None if every is None else whole("every", every, "steps")
        self.verbose = verbosity(verbose)
        self._watch(None)
        self._restart(None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A fresh doctor with the same settings: KerasTuner copies one for each execution."""
        return type(self)(self.action, self.every, self.verbose)

    # ------------------------------------------------------------------ what it knows

    @property
    def record(self) -> TrainingRecord:
        """The record so far, with all steps that have run."""
        return self._eyes.record

    @property
    def findings(self) -> list[Finding]:
        """What is wrong, root causes first."""
        with self._guard():
            record = self.record
            if self._judged != _extent(record):
                self._findings, self._judged = diagnose(record), _extent(record)
        return list(self._findings)

    def report(self, path: str | PathLike[str] | None = None) -> str:
        """What was found, with its numbers and what to change, as text.

        Args:
            path: File for the same as an HTML page, with the figures that prove each finding.
                Defaults to `None`: no page is written.

        Returns:
            The text: root causes first, what they bring about below them.
        """
        findings = self.findings
        if path is not None:
            from .report import write_report  # matplotlib, for those who want it

            write_report(self.record, findings, path)
        return findings_text(self.record, findings)

    def detach(self) -> None:
        """Leaves the model as it was. Only needed by hand after an exception in `fit`."""
        self._eyes.detach()

    # ------------------------------------------------------------------ in `fit`

    def set_params(self, params: dict[str, Any]) -> None:
        """Passes them on."""
        super().set_params(params)
        for monitor in self._eyes.monitors:
            monitor.set_params(params)

    def set_model(self, model: Any) -> None:
        """Passes it on; another model than before starts another record."""
        super().set_model(model)
        if model is not self._watched:
            self._watch(model)
        for monitor in self._eyes.monitors:
            monitor.set_model(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Hooks in."""
        params = self.params or {}
        self._steps_per_call = max(1, int(getattr(self.model, "steps_per_execution", 1) or 1))
        epochs, each = params.get("epochs"), params.get("steps")
        planned = epochs * each if epochs and each else None
        if not self._steps:  # a resumed run goes on with its own
            self._rows_every = self.every or default_every(planned)
            self._eyes.every(self._rows_every)
        self._restart(planned)
        with self._guard():
            self._eyes.detach()  # what an exception in an earlier `fit` left
            self._eyes.attach(self.model)
        for monitor in self._eyes.monitors:
            monitor.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Passes it on."""
        self._eyes.begin_epoch(epoch, (self.params or {}).get("epochs"))
        for monitor in self._eyes.monitors:
            monitor.on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks, where a look is due."""
        if self._schedule.is_due(self._steps):
            self._look()
        for monitor in self._eyes.monitors:
            monitor.on_train_batch_begin(batch, logs)
        self._steps += self._steps_per_call

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Looks away."""
        self._eyes.validates(True)
        for monitor in self._eyes.monitors:
            monitor.on_test_begin(logs)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Looks again."""
        for monitor in self._eyes.monitors:
            monitor.on_test_end(logs)
        self._eyes.validates(False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks, and raises where that is the action."""
        logs = {} if logs is None else logs
        for monitor in self._eyes.monitors:
            monitor.on_epoch_end(epoch, logs)
        with self._guard():
            self._eyes.end_epoch()
        is_last = epoch + 1 == (self.params or {}).get("epochs")
        is_broken = not np.isfinite(logs.get("loss", 0.0))
        if is_last or is_broken or self._schedule.is_due(self._steps, epoch_ends=True):
            self._look(is_last)
        if self.action == "raise" and self._firmness.errors:
            self.detach()
            raise TrainingProblemError(self._firmness.errors)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Unhooks."""
        for monitor in self._eyes.monitors:
            monitor.on_train_end(logs)
        self._eyes.detach()

    # ------------------------------------------------------------------ inside

    def _watch(self, model: Any) -> None:
        """Begins a record."""
        self._watched, self._steps = model, 0
        self._rows_every = self.every or 1
        self._eyes = Eyes(self._rows_every, updates=self.every != 1)
        self._findings, self._judged = [], (0, 0)

    def _restart(self, planned: int | None) -> None:
        """Begins a `fit` of `planned` steps."""
        self._firmness = Firmness()
        self._schedule = Schedule(planned, self._rows_every, self._steps)
        self.stopped_at: int | None = None
        self._failed = False

    def _look(self, is_last: bool = False) -> None:
        if self._failed:
            return
        with self._guard(), self._schedule.looking(self._steps):
            new = self._firmness.look(self.findings, is_last)
            if new and self.verbose:
                warnings.warn(_told(new, self._steps), stacklevel=3)
            if self.action == "stop":
                self._stop_where_hopeless()

    def _stop_where_hopeless(self) -> None:
        hopeless = [one for one in self._firmness.errors if one.symptom in HOPELESS]
        if not hopeless or self.stopped_at is not None:
            return
        self.stopped_at, self.model.stop_training = self._steps, True
        if self.verbose:
            print(f"\nTrainingDoctor stops the run at step {self._steps:,}: {hopeless[0]}")

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """No error of a doctor ends a training run; a warning made an error is its user's will."""
        try:
            yield
        except Warning:
            raise
        except Exception as error:
            self._failed = True
            warnings.warn(
                f"TrainingDoctor stopped judging, training goes on ({type(error).__name__}: "
                f"{error}).",
                stacklevel=3,
            )


def _extent(record: TrainingRecord) -> tuple[int, int]:
    """By what a record is told from what it was at the last look."""
    return sum(len(group.data) for group in record.groups.values()), len(record.epochs)


def _told(findings: list[Finding], step: int) -> str:
    lines = "\n".join(f"  {finding}" for finding in findings)
    return f"TrainingDoctor, after {step:,} steps:\n{lines}"
