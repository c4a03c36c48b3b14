"""What a search gives: its trace, its picture, its summary, its models."""

from typing import Any

import keras
import keras_tuner

from ._files import read_json
from ._run_report import trial_of
from ._workshop import build_as
from .oracle import HeuristicOracle
from .trace import SearchTrace, StageTrace


class TunerResults(keras_tuner.Tuner):
    """The part of `HeuristicTuner` that only reads what was found."""

    _search_oracle: HeuristicOracle

    @property
    def trace(self) -> SearchTrace:
        """Every decision so far, the trials behind it and the reason."""
        oracle = self._search_oracle
        if self._is_worker():
            oracle.reload()  # as the chief has written it
        way = oracle.way()
        return SearchTrace(
            [
                StageTrace(
                    name=s.name,
                    decision=s.decision,
                    chosen_before=s.before,
                    settings=s.settings,
                )
                for s in way.stations
            ],
            [trial_of(trial, oracle.objective) for trial in oracle.trials.values()],
            objective=oracle.objective.name,
            maximize=oracle.objective.direction == "max",
            notes=way.notes,
        )

    def plot(self) -> Any:
        """The search as a picture: costs of the rates, accuracy over lambda, the final fit.

        Returns:
            A matplotlib `Figure`.
        """
        return self.trace.plot()

    def results_summary(self, num_trials: int = 10) -> None:
        """Prints what was chosen and the best trials.

        Args:
            num_trials: Integer. How many trials. Defaults to `10`.
        """
        chosen = self.trace.chosen
        print("Chosen: " + (", ".join(f"{n} = {v:g}" for n, v in chosen.items()) or "nothing yet"))
        print(f"Results in {self.project_dir}")
        print(f"The final fit and the best of {len(self._search_oracle.trials)} trials")
        for trial in self._search_oracle.get_best_trials(num_trials):
            hp = trial.hyperparameters.copy()
            hp.values = {n: v for n, v in hp.values.items() if not n.startswith("tuner/")}
            shown = keras_tuner.engine.trial.Trial(hp, trial.trial_id)
            shown.score, shown.message = trial.score, trial.message
            print()
            shown.summary()

    def load_model(self, trial: Any) -> Any:
        """The model of a trial, with the weights of its best epoch."""
        policy = keras.config.dtype_policy()
        keras.utils.clear_session()  # and the policy with it
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(int(trial.hyperparameters.values.get("tuner/seed", 0)))
        model = self._build_hypermodel(trial.hyperparameters)
        if not model.built:
            build_as(model, read_json(self._get_build_config_fname(trial.trial_id)))
        model.load_weights(self._get_checkpoint_fname(trial.trial_id))
        return model
