"""`HeuristicOracle`: keeps the trials, asks the stages, and hands out what they want."""

import contextlib
import itertools
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import keras_tuner

from ._files import write_json
from ._keras_tuner_private import ORACLE_FILE, retry_queue, run_times
from ._link import FAILURE, MESSAGE
from ._plan import SEARCHED, Plan, Station, Way, seed_of
from ._run_report import is_finished, stored, trial_of
from ._trials import Candidate, Trial

_STATE = "heuristic_search"


class HeuristicOracle(keras_tuner.Oracle):
    """Runs stages one after another as a KerasTuner oracle; `HeuristicTuner` makes it.

    It keeps nothing but the trials: whenever one is asked for, the stages are asked anew what is
    missing. What happens to a process therefore loses nothing but its unfinished runs.

    Args:
        stages: Sequence of stages.
        objective: String or `keras_tuner.Objective`. What the stages choose by.
        seed: Integer. Each run's seed comes from it. Defaults to `None`: a random one, kept.
        worker_timeout: Float. Seconds without a sign of life after which a worker's trial is
            handed out again. Defaults to `60`.
        max_consecutive_failed_trials: Integer. As in KerasTuner. Defaults to `3`.
        **kwargs: As in `keras_tuner.Oracle`.

    Attributes:
        failure: String. Why the search can't go on, or empty.
        told: Function that is called with each new decision, a sentence.
        data: Dictionary that describes the data searched on.
    """

    def __init__(
        self,
        stages: Sequence[Any],
        objective: Any = "val_accuracy",
        *,
        seed: int | None = None,
        worker_timeout: float = 60.0,
        max_consecutive_failed_trials: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(objective=objective, seed=seed, **kwargs)
        self.seed = random.randint(1, 2**31 - 1) if seed is None else seed
        self._given_seed = seed
        # KerasTuner raises while it holds its lock, so that other workers wait for ever: ours ends
        # the search instead.
        self.max_consecutive_failed_trials = None
        self.plan = Plan(stages)
        self.failure = ""
        self.data: dict[str, Any] = {}
        self.told: Callable[[str], None] = lambda sentence: None
        self._most_failures = max_consecutive_failed_trials
        self.worker_timeout = worker_timeout
        self._alive: dict[str, float] = {}
        self._read: dict[str, Trial] = {}
        self._were_ongoing: dict[str, Any] = {}
        self._told: set[tuple[str, str]] = set()

    # ------------------------------------------------------------------ what the search is

    def way(self) -> Way:
        """Where the search stands, by its trials alone."""
        by_stage: dict[str, list[Trial]] = {}
        for kept in list(self.trials.values()):
            stage = kept.hyperparameters.values.get("tuner/stage")
            by_stage.setdefault(stage, []).append(self._trial(kept))
        return self.plan.way(by_stage, self.known())

    def known(self) -> dict[str, Any]:
        """The searched values that the model reads and that can be set, as they were before."""
        values = self.hyperparameters.values
        fixed = set() if self.data.get("sets_batch_size", True) else {"batch_size"}
        return {n: values[n] for n in SEARCHED if n in values and n not in fixed}

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next candidate's values; called by KerasTuner."""
        if self.failure:
            return {"status": "STOPPED"}
        try:
            way = self.way()
        except ValueError as error:
            self.failure = str(error)
            return {"status": "STOPPED"}
        self._tell(way)
        station = way.last
        if station.decision.action == "failed":
            self.failure = f"{station.name}: {station.decision.reason}"
            if failed := self._failed_in_a_row():
                self.failure += f" Trial {failed[-1].trial_id} failed: {_why(failed[-1])}"
        if station.decision.action in ("done", "failed"):
            return {"status": "STOPPED"}
        if station.decision.action == "wait":
            return {"status": "IDLE"}
        return {
            "status": "RUNNING",
            "values": self._values(station, station.decision.candidates[0]),
        }

    def _trial(self, kept: Any) -> Trial:
        """As a stage reads it; what is finished stays as it is."""
        if not is_finished(kept):
            return trial_of(kept, self.objective)
        if kept.trial_id not in self._read:
            self._read[kept.trial_id] = trial_of(kept, self.objective)
        return self._read[kept.trial_id]

    def _values(self, station: Station, candidate: Candidate) -> dict[str, Any]:
        seed = seed_of(self.seed, station.name, candidate.values, candidate.execution)
        return {
            **self.hyperparameters.values,
            **stored(candidate.values),
            "tuner/stage": station.name,
            "tuner/execution": candidate.execution,
            "tuner/seed": seed,
            "tuner/rival": json.dumps(asdict(candidate.rival) if candidate.rival else None),
        }

    def _tell(self, way: Way) -> None:
        """Says each sentence once."""
        said = [("", note) for note in way.notes]
        for station in way.stations:
            said += [(station.name, reason.sentence) for reason in station.decision.reasons]
        for name, sentence in said:
            if (name, sentence) not in self._told:
                self._told.add((name, sentence))
                self.told(f"{name}: {sentence}" if name else sentence)

    @keras_tuner.synchronized
    def is_over(self) -> bool:
        """Whether nothing is left to hand out, now or later, but to workers thought dead."""
        self._take_back("")
        if self.ongoing_trials or retry_queue(self):
            return bool(self.failure) and not self.ongoing_trials
        try:
            return bool(self.failure) or self._way_is_over()
        except Exception as error:  # the lock is not given back where it goes through
            self.failure = f"{type(error).__name__}: {error}"
            return True

    def _way_is_over(self) -> bool:
        reached = self.max_trials and len(self.trials) >= self.max_trials
        return bool(reached) or self.way().last.decision.action in ("done", "failed")

    def score_trial(self, trial: Any) -> None:
        """As KerasTuner does; what diverged or reported no number has the worst score."""
        best = trial_of(trial, self.objective)
        worst = float("-inf") if self.objective.direction == "max" else float("inf")
        reported = [value for value in best.accuracy if value == value]
        if best.diverged or not reported:
            trial.score, trial.best_step = worst, 0
            return
        sign = 1 if self.objective.direction == "max" else -1
        trial.score = sign * max(reported)
        trial.best_step = best.accuracy.index(max(reported))

    def get_best_trials(self, num_trials: int = 1) -> list[Any]:
        """The finished trials: the final fit first, then by score."""
        sign = -1 if self.objective.direction == "max" else 1
        finished = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        finished.sort(key=lambda t: (not _is_final(t), sign * t.score, t.trial_id))
        return finished[:num_trials]

    # ------------------------------------------------------------------ workers

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
        last = self._failed_in_a_row()
        if len(last) >= self._most_failures:
            self.failure = (
                f"{len(last)} trials in a row failed: {_why(last[-1])}. Mend it and "
                "start again: they are run again, those before are kept."
            )

    def _failed_in_a_row(self) -> list[Any]:
        """The trials that ended last and failed."""
        ended = [self.trials[trial_id] for trial_id in reversed(self.end_order)]
        return list(itertools.takewhile(lambda trial: trial.status == "FAILED", ended))[::-1]

    # ------------------------------------------------------------------ files

    def get_state(self) -> dict[str, Any]:
        """What is kept beside the trials."""
        return {**super().get_state(), _STATE: self._description()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on with a search of the same stages, objective and seed."""
        kept = state.get(_STATE, {})
        own, there = self._description()["search"], kept.get("search", {})
        own["seed"] = there.get("seed") if self._given_seed is None else self._given_seed
        differ = [name for name in own if own[name] != there.get(name)]
        if differ:
            raise ValueError(
                "The project directory holds another search. Received: "
                + ", ".join(f"{name}={own[name]} (there: {there.get(name)})" for name in differ)
                + ". Name another `project_name`, or pass `overwrite=True`."
            )
        super().set_state(state)
        self._were_ongoing = dict(self.ongoing_trials)  # `reload` empties it
        self.max_consecutive_failed_trials = None
        self.data, self.plan.costs = kept["data"], kept["costs"]

    def reload(self) -> None:
        """Loads a project; each trial that was not finished is handed out again, once.

        A chief that is started again lets its workers finish what they have. Trials whose
        failures ended the search are run again: what failed may have been mended.
        """
        self._read.clear()
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
        failed = self._failed_in_a_row()
        ended = failed and self.way().last.decision.action == "failed"
        if ended or len(failed) >= self._most_failures:
            for trial in failed:
                trial.status = "RUNNING"
                self._read.pop(trial.trial_id, None)
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

    def _description(self) -> dict[str, Any]:
        stages = {name: repr(stage) for name, stage in self.plan.stages.items()}
        search = {"stages": stages, "objective": str(self.objective), "seed": self.seed}
        return {"search": search, "data": self.data, "costs": self.plan.costs}


def _why(trial: Any) -> str:
    lines = (trial.message or "").strip().splitlines() or ["the worker has printed why"]
    return str(lines[-1])


def _is_final(trial: Any) -> bool:
    return str(trial.hyperparameters.values.get("tuner/stage")) == "FinalFit"
