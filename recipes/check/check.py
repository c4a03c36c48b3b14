"""What `trainwell check` does: look before training, watch a copy train, mend."""

import math
import textwrap
import time
from pathlib import Path
from typing import Any

import keras

from ...callbacks._findings_text import findings_text
from ...callbacks.diagnosis.diagnose import diagnose
from ...callbacks.diagnosis.finding import Severity
from ...callbacks.training_doctor import TrainingDoctor
from .._command_line import CommandError
from .._preflight_record import preflight_record
from .._search_folder import Folder
from .._task_score import TaskScore
from .data import Samples
from .file import REPAIRED
from .model import check_fit, fixed_batch_size, load, one_line, refused_by_keras
from .report import write_report_page
from .summary import Fit, summary_of
from .terminal import WIDTH, console, only_the_doctor_warns, print_changes, progress_on
from .words import outcome, to_begin_with, told, verdict

# From 1,000 steps on, the rules on a run's course are firm.
_STEPS = 1000
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 50


class Check:
    """One model, its data, and what was found so far.

    Args:
        path: Path of the model, which is loaded anew for each part: none sees what another did.
        samples: `Samples`.
        out: An existing folder.
        epochs: Integer. Epochs of a training, None for as many as make 1,000 steps, 5 to 50.
        batch_size: Integer.
        seed: Integer.

    Raises:
        CommandError: The model can't be loaded, or doesn't take the data.

    Attributes:
        findings: List of `Finding`, root causes first.
        record: `TrainingRecord` of what was seen.
    """

    def __init__(
        self,
        path: Path,
        samples: Samples,
        out: Path,
        *,
        epochs: int | None,
        batch_size: int,
        seed: int,
    ) -> None:
        self._path, self._samples, self._out = path, samples, out
        self._model = load(path)
        check_fit(self._model, samples, path)
        self._batch_size = fixed_batch_size(self._model) or min(batch_size, len(samples.x))
        self._planned, self._seed = epochs, seed
        self._epochs = epochs or _enough(math.ceil(len(samples.x) / self._batch_size))
        self._console = console()
        self._error: Exception | None = None
        self._fit: Fit | None = None
        self._repair: Any = None

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(one.severity is Severity.ERROR for one in self.findings)

    def before_training(self) -> None:
        """Describes model and data, takes some steps and takes them back."""
        keras.utils.set_random_seed(self._seed)
        try:
            with only_the_doctor_warns():
                self.record, self._error = preflight_record(
                    self._model,
                    self._samples.x,
                    self._samples.y,
                    self._batch_size,
                    self._planned,
                    self._seed,
                )
        except ValueError as error:
            raise CommandError(f"'{self._path}': {one_line(error)}") from error
        self.findings = self.before = diagnose(self.record)
        if self._error is not None and not self.errors:
            raise refused_by_keras(self._model, self._samples, self._path, self._error)

    def while_training(self) -> None:
        """Trains a copy and watches; where Keras refuses that, what was found before stands."""
        print(f"Before training: {told(self.before)}.")
        doctor = TrainingDoctor(verbose=0)
        if self._error is None:
            try:
                self._fit = self._train(doctor)
            except Exception as error:
                doctor.detach()
                self._error = error
        if self._error is not None:
            if not self.errors:
                raise refused_by_keras(self._model, self._samples, self._path, self._error)
            print(f"Not trained, as Keras refuses it: {one_line(self._error)}\n")
            return
        record = doctor.record
        record.data = self.record.data  # of all samples, where the doctor saw the first
        self.record, self.findings = record, diagnose(record)
        print(textwrap.fill(str(self._fit), WIDTH), end="\n\n")

    def tell(self) -> None:
        """Prints what was found, and writes it to the folder."""
        print(findings_text(self.record, self.findings))
        said = f"{verdict(self.findings, watched=self._fit is not None)} "
        said += to_begin_with(self.findings)
        print(f"\n{textwrap.fill(said, WIDTH)}")
        self.record.save(self._out / "record")
        self._write()

    def repair(self) -> None:
        """Mends the model, saves it beside the report, and adds to that what was changed."""
        from ..repair import repair

        print()
        samples = self._samples
        keras.utils.set_random_seed(self._seed)
        try:
            with only_the_doctor_warns():
                self._repair = repair(
                    load(self._path),
                    *self._whole_batches(samples.x, samples.y),
                    validation_data=self._whole_batches(samples.x_validation, samples.y_validation),
                    epochs=self._epochs,
                    batch_size=self._batch_size,
                )
        except ValueError as error:
            raise CommandError(f"'{self._path}' can't be repaired: {one_line(error)}") from error
        if self._repair.changes:
            with Folder(self._out).replacing(REPAIRED) as beside:
                self._repair.model.save(beside)
            print_changes(self._repair.changes, self._console)
        for sentence in self._repair.not_changed:
            print(textwrap.fill(f"By hand: {sentence}", WIDTH, subsequent_indent="   "))
        print(f"\n{textwrap.fill(outcome(self._repair), WIDTH)}")
        if self._repair.changes:
            print(f"Repaired model: {self._out / REPAIRED}")
        self._write()

    def _train(self, doctor: TrainingDoctor) -> Fit:
        """Trains a copy as `fit` does, under the doctor's eyes."""
        keras.utils.set_random_seed(self._seed)
        model, samples, began = load(self._path), self._samples, time.perf_counter()
        x, y = self._whole_batches(samples.x_validation, samples.y_validation)
        with only_the_doctor_warns(), progress_on(self._console) as progress:
            task = progress.add_task("Training a copy", total=self._epochs)
            advance = keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: progress.advance(task)
            )
            history = model.fit(
                *self._whole_batches(samples.x, samples.y),
                epochs=self._epochs,
                batch_size=self._batch_size,
                validation_data=(x, y),
                validation_batch_size=self._batch_size,
                callbacks=[doctor, advance],
                verbose=0,
            )
            task_score = TaskScore(x, y, loss=model.loss)
            score = task_score.of(model, self._batch_size)
        return Fit(
            epochs=self._epochs,
            seconds=round(time.perf_counter() - began, 2),
            metric=task_score.metric,
            score=score,
            chance=task_score.chance,
            logs=_last(history.history),
        )

    def _write(self) -> None:
        summary = summary_of(
            self._path,
            self.record,
            self._samples,
            before=self.before,
            findings=self.findings,
            fit=self._fit,
            repair=self._repair,
            repaired=self._out / REPAIRED,
        )
        Folder(self._out).write("summary.json", summary)
        write_report_page(
            self._out / "report.html",
            self._path.name,
            self.record,
            self.findings,
            fit=self._fit,
            repair=self._repair,
        )

    def _whole_batches(self, *arrays: Any) -> tuple[Any, ...]:
        """Of a model that was built for one batch size, as many samples as make whole batches."""
        if fixed_batch_size(self._model) is None:
            return arrays
        return tuple(array[: len(array) // self._batch_size * self._batch_size] for array in arrays)


def _last(history: dict[str, list[Any]]) -> dict[str, float]:
    """The last epoch's loss and metrics, without what the monitors add."""
    names = [name.removeprefix("val_") for name in history if name.startswith("val_")]
    return {key: float(history[key][-1]) for name in names for key in (name, f"val_{name}")}


def _enough(steps_per_epoch: int) -> int:
    return max(_FEWEST_EPOCHS, min(_MOST_EPOCHS, math.ceil(_STEPS / steps_per_epoch)))
