"""An oracle that outlives kills, dead workers and its own errors."""

import contextlib
import itertools
import json
import os
import time
from typing import Any

import keras_tuner

from ._files import write_json
from ._keras_tuner_private import ORACLE_FILE, retry_queue, run_times
from ._link import FAILURE, MESSAGE
from ._run_report import is_finished


class SurvivingOracle(keras_tuner.Oracle):
    """Keeps trials so that none is lost or run twice, whoever dies when.

    KerasTuner waits for ever where a worker dies, or where an exception goes through while it
    holds its lock, and a file that is half written ends its projects. What is tried next, and
    when there is nothing left, a subclass says.

    Args:
        worker_timeout: Float. Seconds without a sign of life after which a worker's trial is
            handed out again.
        max_consecutive_failed_trials: Integer. As in KerasTuner.
        **kwargs: As in `keras_tuner.Oracle`.

    Attributes:
        failure: String. Why the search can't go on, or empty.
    """

    def __init__(
        self, *, worker_timeout: float, max_consecutive_failed_trials: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        # KerasTuner raises while it holds its lock: ours ends the search instead.
        self.max_consecutive_failed_trials = None
        self.failure = ""
        self.worker_timeout = worker_timeout
        self._most_failures = max_consecutive_failed_trials
        self._alive: dict[str, float] = {}
        self._were_ongoing: dict[str, Any] = {}

    def has_nothing_left(self) -> bool:
        """Whether the search is over once all trials are."""
        return False

    def has_failed(self) -> bool:
        """Whether the finished trials leave nothing to go on with."""
        return False

    @keras_tuner.synchronized
    def is_over(self) -> bool:
        """Whether nothing is left to hand out, now or later, but to workers thought dead."""
        self._take_back("")
        if self.ongoing_trials or retry_queue(self):
            return bool(self.failure) and not self.ongoing_trials
        try:
            return bool(self.failure) or self.has_nothing_left()
        except Exception as error:  # the lock is not given back where it goes through
            self.failure = f"{type(error).__name__}: {error}"
            return True

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Any:
        """A trial for a worker; one whose worker has died comes first."""
        try:
            self._take_back(tuner_id)
            trial = self._stopped(tuner_id) if self.failure else super().create_trial(tuner_id)
        except Exception as error:  # the lock is not given back where it goes through
            self.failure = f"{type(error).__name__}: {error}"
            trial = self._stopped(tuner_id)
        if trial.status == "RUNNING":
            self._alive[trial.trial_id] = time.monotonic()
            trial.metrics, trial.score = type(trial.metrics)(), None  # of an attempt before
        return trial

    def _stopped(self, tuner_id: str) -> Any:
        self.tuner_ids.discard(tuner_id)
        trial = keras_tuner.engine.trial.Trial(self.get_space(), "none", "STOPPED")
        trial.hyperparameters.values[FAILURE] = self.failure
        return trial

    def get_trial(self, trial_id: str) -> Any:
        """The trial; that a worker asks is its sign of life."""
        self._alive[trial_id] = time.monotonic()
        return super().get_trial(trial_id)

    @keras_tuner.synchronized
    def end_trial(self, trial: Any) -> None:
        """Keeps what a worker reports, once."""
        kept = self.trials.get(trial.trial_id)
        if kept is None:  # of a project that is no more
            return
        if trial.trial_id in self.end_order:  # its worker was thought dead, another one ran it too
            for tuner_id, ongoing in list(self.ongoing_trials.items()):
                if ongoing.trial_id == trial.trial_id:
                    self.ongoing_trials.pop(tuner_id)
            return
        values = trial.hyperparameters.values
        trial.message = values.pop(MESSAGE, trial.message)
        if failure := values.pop(FAILURE, ""):
            self._end_with(trial.trial_id, failure)
            return
        values |= kept.hyperparameters.values  # they come back from a worker in float32
        if trial.metrics.metrics:
            kept.metrics = trial.metrics
        try:
            super().end_trial(trial)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            return
        if is_finished(kept):
            with contextlib.suppress(ValueError):
                retry_queue(self).remove(trial.trial_id)
        self._check_failures()

    def _end_with(self, trial_id: str, failure: str) -> None:
        """Ends the search; the trial is run again once what failed is mended."""
        self.failure = failure
        for tuner_id, ongoing in list(self.ongoing_trials.items()):
            if ongoing.trial_id == trial_id:
                self.ongoing_trials.pop(tuner_id)
                self.tuner_ids.discard(tuner_id)

    @keras_tuner.synchronized
    def lose(self, tuner_id: str, failure: str = "") -> None:
        """Queues the trial of a worker that is known to be dead.

        Args:
            tuner_id: String. The worker.
            failure: String. Why the search ends with it, or empty. Defaults to empty.
        """
        self.tuner_ids.discard(tuner_id)
        trial = self.ongoing_trials.pop(tuner_id, None)
        if trial is not None:
            retry_queue(self).append(trial.trial_id)
        self.failure = self.failure or failure

    def _take_back(self, tuner_id: str) -> None:
        """Queues the trials of workers that no longer give a sign of life."""
        now = time.monotonic()
        for other, trial in list(self.ongoing_trials.items()):
            silent = now - self._alive.get(trial.trial_id, now)
            if other != tuner_id and silent > self.worker_timeout:
                self.ongoing_trials.pop(other)
                self.tuner_ids.discard(other)
                retry_queue(self).append(trial.trial_id)

    def _check_failures(self) -> None:
        last = self.failed_in_a_row()
        if len(last) >= self._most_failures:
            self.failure = (
                f"{len(last)} trials in a row failed: {why(last[-1])}. Mend it and "
                "start again: they are run again, those before are kept."
            )

    def failed_in_a_row(self) -> list[Any]:
        """The trials that ended last and failed."""
        ended = [self.trials[trial_id] for trial_id in reversed(self.end_order)]
        return list(itertools.takewhile(lambda trial: trial.status == "FAILED", ended))[::-1]

    # ------------------------------------------------------------------ files

    def set_state(self, state: dict[str, Any]) -> None:
        """Loads what is kept beside the trials."""
        super().set_state(state)
        self._were_ongoing = dict(self.ongoing_trials)  # `reload` empties it
        self.max_consecutive_failed_trials = None

    def reload(self) -> None:
        """Loads a project; each trial that was not finished is handed out again, once.

        A chief that is started again lets its workers finish what they have. Trials whose
        failures ended the search are run again: what failed may have been mended.
        """
        try:
            super().reload()
        except json.JSONDecodeError as error:
            raise ValueError(
                "The project directory holds a file that is no JSON. Received: "
                f"{self._project_dir!r} ({error}). Name another `project_name`, or pass "
                "`overwrite=True`."
            ) from error
        for trial_id, trial in sorted(self.trials.items()):
            if is_finished(trial) and trial_id not in self.end_order:
                self.end_order.append(trial_id)
        self._forget_failures()
        self._welcome_back()
        running = {trial.trial_id for trial in self.ongoing_trials.values()}
        unfinished = {t.trial_id for t in self.trials.values() if not is_finished(t)}
        retry_queue(self)[:] = sorted(unfinished - running, reverse=True)

    def _forget_failures(self) -> None:
        failed = self.failed_in_a_row()
        if (failed and self.has_failed()) or len(failed) >= self._most_failures:
            for trial in failed:
                trial.status = "RUNNING"
                self.end_order.remove(trial.trial_id)
                run_times(self).pop(trial.trial_id, None)

    def _welcome_back(self) -> None:
        """What a chief's workers were at when it ended is theirs, as long as they live."""
        if "KERASTUNER_ORACLE_IP" not in os.environ:
            return
        for tuner_id, trial in self._were_ongoing.items():
            if not is_finished(trial):
                self.ongoing_trials[tuner_id] = trial
                self.tuner_ids.add(tuner_id)
                self._alive[trial.trial_id] = time.monotonic()

    def save(self) -> None:
        """Writes the state in one step: a kill leaves the old one or the new one."""
        write_json(getattr(self, ORACLE_FILE)(), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        folder = self._get_trial_dir(trial.trial_id)
        write_json(f"{folder}/trial.json", trial.get_state())


def why(trial: Any) -> str:
    """The last line of what a trial failed with."""
    lines = (trial.message or "").strip().splitlines() or ["the worker has printed why"]
    return str(lines[-1])
