"""`HeuristicOracle`: keeps the trials, asks the stages, and hands out what they want."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from ._plan import SEARCHED, Plan, Station, Way, seed_of
from ._run_report import asked_values, is_finished, stored, trial_of
from ._surviving_oracle import SurvivingOracle, why
from ._trials import Candidate, Trial

_STATE = "heuristic_search"


class HeuristicOracle(SurvivingOracle):
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
        super().__init__(
            objective=objective,
            seed=seed,
            worker_timeout=worker_timeout,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            **kwargs,
        )
        self.seed = random.randint(1, 2**31 - 1) if seed is None else seed
        self.plan = Plan(stages)
        self.data: dict[str, Any] = {}
        self.told: Callable[[str], None] = lambda sentence: None
        self._given_seed = seed
        self._read: dict[str, tuple[Any, Trial]] = {}
        self._told: set[tuple[str, str]] = set()

    # ------------------------------------------------------------------ what the search is

    def way(self) -> Way:
        """Where the search stands, by its trials alone."""
        by_stage: dict[str, list[Trial]] = {}
        for kept in list(self.trials.values()):
            stage = kept.hyperparameters.values.get("tuner/stage")
            by_stage.setdefault(stage, []).append(self._trial(kept))
        way = self.plan.way(by_stage, self.known(), self._bounds())
        way.notes += [*self.data.get("warnings", []), *self._other_notes(way)]
        return way

    def known(self) -> dict[str, Any]:
        """The searched values that the model reads and that can be set, as they were before."""
        values = self.hyperparameters.values
        fixed = set() if self.data.get("sets_batch_size", True) else {"batch_size"}
        return {n: values[n] for n in SEARCHED if n in values and n not in fixed}

    def _bounds(self) -> dict[str, tuple[float, float]]:
        """The smallest and the largest value that the model declares of each that is searched."""
        found = {}
        for hp in self.hyperparameters.space:
            config = hp.get_config()
            if hp.name not in SEARCHED:
                continue
            values = config.get("values") or [config.get("value")]
            if "min_value" in config:
                values = [config["min_value"], config["max_value"]]
            if all(isinstance(value, (int, float)) for value in values):
                found[hp.name] = (min(values), max(values))
        return found

    def _other_notes(self, way: Way) -> list[str]:
        """What a reader of the trace should know beside the decisions."""
        notes = []
        if "L2Stage" in self.plan.stages and self.objective.name in ("loss", "val_loss"):
            notes.append(
                f"`{self.objective.name}` holds the penalty that L2Stage judges, so that strong "
                "ones look worse than they are: name a metric, such as 'val_mean_squared_error'."
            )
        over = self.max_trials and len(self.trials) >= self.max_trials
        if over and way.last.decision.action == "try":
            notes.append(
                f"max_trials={self.max_trials} is reached in {way.last.name}: it ends there."
            )
        return notes

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
            if failed := self.failed_in_a_row():
                self.failure += f" Trial {failed[-1].trial_id} failed: {why(failed[-1])}"
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
        metrics, trial = self._read.get(kept.trial_id, (None, None))
        if trial is None or metrics is not kept.metrics:
            trial = trial_of(kept, self.objective)
            self._read[kept.trial_id] = kept.metrics, trial
        return trial

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

    def has_nothing_left(self) -> bool:
        """Whether `max_trials` or the stages end the search."""
        reached = self.max_trials and len(self.trials) >= self.max_trials
        return bool(reached) or self.way().last.decision.action in ("done", "failed")

    def has_failed(self) -> bool:
        """Whether a stage finds no value that works."""
        return self.way().last.decision.action == "failed"

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
        """The finished trials: the final fit first, those at what was chosen, then by score."""
        sign = -1 if self.objective.direction == "max" else 1
        finished = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        chosen = {n: v for n, v in self.way().chosen.items() if n in SEARCHED}

        def rank(trial: Any) -> tuple[Any, ...]:
            asked = asked_values(trial.hyperparameters.values)
            others = sum(asked.get(name, value) != value for name, value in chosen.items())
            return not _is_final(trial), others, sign * trial.score, trial.trial_id

        return sorted(finished, key=rank)[:num_trials]

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
        self.data, self.plan.costs = kept["data"], kept["costs"]

    def _description(self) -> dict[str, Any]:
        stages = {name: repr(stage) for name, stage in self.plan.stages.items()}
        search = {"stages": stages, "objective": str(self.objective), "seed": self.seed}
        return {"search": search, "data": self.data, "costs": self.plan.costs}


def _is_final(trial: Any) -> bool:
    return str(trial.hyperparameters.values.get("tuner/stage")) == "FinalFit"
