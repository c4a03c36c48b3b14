"""`HeuristicTuner`: the texts' heuristics as a KerasTuner search."""

import os
import time
import warnings
from collections.abc import Sequence
from typing import Any

import keras_tuner

from ._execution import train
from ._feeding import Feed
from ._files import check_writable, write_json
from ._keras_tuner_private import tuner_callback
from ._link import FAILURE, MESSAGE, Link
from ._pulse import pulse
from ._run_callbacks import RunLog, callbacks_of_run, may_run_at_once
from ._run_report import Run, as_sent, asked_values, record, rival_of
from ._search_arguments import (
    by_name,
    check_hypermodel,
    check_numbers,
    check_objective,
    check_same_data,
    check_seed,
    checked_stages,
    first_validation,
    has_own_fit,
    is_accuracy,
    is_chief,
    project_name,
)
from ._step_cost import costs_from, measure
from ._tuner_results import TunerResults
from ._workshop import Workshop
from .oracle import HeuristicOracle

_IDLE_SECONDS = 0.2


class HeuristicTuner(TunerResults):
    """Searches learning rate, L2 penalty, batch size and epochs as the textbooks do by hand.

    Each stage settles one value, from runs of a few epochs, and hands it on:

    ```
    LearningRateStage   decades from 0.01, the threshold of a falling cost, half of it
    L2Stage             0, a first strength, times and divided by ten, fine, the rate once more
    BatchSizeStage      accuracy against cost; only where `build_model` reads `batch_size`
    EpochsStage         no improvement in ten epochs, or in twenty
    final fit           at these values, with a rate that is halved where accuracy rests
    ```

    Choose it where a person would tune by hand: it needs a few dozen short runs, and every
    decision can be read in `trace`. For values that the texts have no heuristic for, such as the
    number of layers, use KerasTuner's own tuners with `search.space`.

    `build_model(hp)` reads what it wants to have found: `learning_rate` (a float), `l2` (Keras'
    units) and `batch_size`. The stage of one that it doesn't read is left out, and said. Its other
    hyperparameters stay at their defaults or at what `hyperparameters` holds.

    Killed at any moment and started again, it goes on where it was, and comes to the same result:
    each run's seed hangs on the search's seed, the stage, the values and the repetition. With
    KerasTuner's three environment variables set, the same program is a chief or a worker. Call
    `tf.config.experimental.enable_op_determinism()` for equal numbers to the last bit.

    Args:
        hypermodel: Function `build_model(hp)` that returns a compiled model, or a
            `keras_tuner.HyperModel`.
        stages: Sequence of stages, in their order. Defaults to `None`: the four above.
        objective: String or `keras_tuner.Objective`. What the stages choose by. Defaults to
            `"val_accuracy"`.
        seed: Integer. Same seed, same search. Defaults to `None`: a random one.
        max_trials: Integer. Trials at most. Defaults to `None`: as many as the stages want.
        hyperparameters: `keras_tuner.HyperParameters`, values that are not the defaults. Defaults
            to `None`.
        worker_timeout: Float. Seconds without a sign of life after which a worker is thought dead
            and its trial handed out again. Defaults to `60`.
        max_retries_per_trial: Integer. As in KerasTuner. Defaults to `0`.
        max_consecutive_failed_trials: Integer. As in KerasTuner. Defaults to `3`.
        tune_new_entries: Boolean. As in KerasTuner. Defaults to `True`.
        allow_new_entries: Boolean. As in KerasTuner. Defaults to `True`.
        **kwargs: As in `keras_tuner.Tuner`: `directory`, `project_name`, `overwrite`,
            `executions_per_trial`, `distribution_strategy`, ...

    Raises:
        ValueError: The directory can't be written to or holds another search, a stage is none;
            in `search`, no stage finds a value, or the objective is never reported.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "How to choose a neural network's
        hyper-parameters"; Géron, *Hands-On Machine Learning*, chapter 11.

    Example:
        ```python
        def build_model(hp):
            model = recipes.mlp(
                (64,),
                hidden_units=[100],
                outputs=10,
                kernel_regularizer=keras.regularizers.L2(hp.Float("l2", 0, 1)),
            )
            sgd = keras.optimizers.SGD(hp.Float("learning_rate", 1e-6, 100, sampling="log"))
            model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model


        tuner = HeuristicTuner(build_model, directory="searches", project_name="digits", seed=0)
        tuner.search(x, y, validation_split=0.2)
        print(tuner.trace)
        model = tuner.get_best_models()[0]
        ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        stages: Sequence[Any] | None = None,
        objective: Any = "val_accuracy",
        *,
        seed: int | None = None,
        max_trials: int | None = None,
        hyperparameters: Any = None,
        worker_timeout: float = 60.0,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        **kwargs: Any,
    ) -> None:
        if "tuner_id" in kwargs:
            raise ValueError(
                "`tuner_id` breaks resuming in KerasTuner. Received: "
                f"tuner_id={kwargs['tuner_id']!r}. Set the environment variable "
                "KERASTUNER_TUNER_ID instead."
            )
        check_hypermodel(hypermodel)
        check_objective(objective)
        check_seed(seed)
        executions = kwargs.get("executions_per_trial")
        check_numbers(max_trials=max_trials, executions_per_trial=executions)
        stages = checked_stages(stages)
        check_writable(str(kwargs.get("directory") or "."), project_name(kwargs))
        self._search_oracle = HeuristicOracle(
            stages,
            objective,
            seed=seed,
            max_trials=max_trials,
            hyperparameters=hyperparameters,
            worker_timeout=worker_timeout,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
        )
        if "chief" not in os.environ.get("KERASTUNER_TUNER_ID", "chief"):
            kwargs["overwrite"] = False  # the project is the chief's
        self._feed: Feed | None = None
        self._workshop = Workshop(lambda hp: self._build_hypermodel(hp))
        self._was_idle = False
        super().__init__(self._search_oracle, hypermodel, **kwargs)
        if self._is_worker():
            self.oracle: Any = Link(self.oracle)

    # ------------------------------------------------------------------ the search

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Runs the stages and the final fit; or goes on, or as one of several workers.

        Args:
            *fit_args: As of `fit`: `x`, `y`.
            **fit_kwargs: As of `fit`: `validation_data`, `callbacks`, ..., without `epochs`, which
                the stages set. `verbose=0` is silent, `1` tells the decisions, `2` also each run.

        Raises:
            ValueError: `epochs` is given, the objective is never reported, or no value works.
        """
        arguments = by_name(fit_args, fit_kwargs)
        verbose = arguments.pop("verbose", "auto")
        verbose = 1 if verbose == "auto" else int(verbose)
        callbacks = arguments.pop("callbacks", None) or []
        self._feed = Feed(arguments, as_it_is=has_own_fit(self.hypermodel))
        oracle = self._search_oracle
        if not self._is_worker():
            check_same_data(oracle, self._feed.describe() | {"warnings": self._feed.warnings()})
            oracle.told, oracle.failure = (print if verbose else lambda sentence: None), ""
            if oracle.plan.wants_costs(oracle.known()):
                oracle.plan.costs = self._measured_costs()
            self.save()
        if is_chief():
            from ._chief import serve

            oracle.verbose = 0
            serve(oracle)
        else:
            super().search(callbacks=list(callbacks), verbose=max(0, verbose - 1))
        if failure := self.oracle.failure:
            raise ValueError(f"The search can't go on. {failure}")

    def pre_create_trial(self) -> None:
        """Waits a little where there was nothing to do."""
        if self._was_idle:
            time.sleep(_IDLE_SECONDS)
        self._was_idle = True

    def on_trial_begin(self, trial: Any) -> None:
        """Notes that there is something to do."""
        self._was_idle = False
        super().on_trial_begin(trial)

    def on_trial_end(self, trial: Any) -> None:
        """Reports, and says why where a trial failed."""
        if trial.status != "COMPLETED":
            last = (trial.message or "").strip().splitlines()[-1:]
            warnings.warn(f"Trial {trial.trial_id} failed: {''.join(last)}", stacklevel=2)
            if self._is_worker():
                trial.hyperparameters.values[MESSAGE] = "".join(last)
        super().on_trial_end(trial)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> list[Run]:
        """Trains once for each execution; called by KerasTuner.

        Returns:
            A list of what came out.
        """
        hp = trial.hyperparameters
        hp.values = as_sent(hp.values)
        runs, best = [], None
        with pulse(self.oracle, trial.trial_id, self._search_oracle.worker_timeout):
            for execution in range(self.executions_per_trial):
                run, log, model = self._execute(trial, execution, kwargs)
                runs.append(run)
                if log.best is not None and (
                    best is None or self.oracle.objective.better_than(log.best, best)
                ):
                    best = log.best
                    self._save_best(trial, model, log.weights)
        return runs

    def _execute(
        self, trial: Any, execution: int, kwargs: dict[str, Any]
    ) -> tuple[Run, RunLog, Any]:
        hp, values = trial.hyperparameters, asked_values(trial.hyperparameters.values)
        objective, feed = self.oracle.objective, self._feed
        assert feed is not None
        users = self._deepcopy_callbacks(kwargs["callbacks"])
        self._configure_tensorboard_dir(users, trial, execution)
        seed = (int(hp.values["tuner/seed"]) + execution * 7919) % 2**31
        made = self._workshop.model_for(hp, values, seed, may_run_at_once(users))
        own_fit = has_own_fit(self.hypermodel)
        data = feed.arguments(values.get("batch_size"), seed)
        frequency = data.get("validation_freq", 1)
        log = RunLog(objective, None if own_fit else first_validation(frequency))
        callbacks = [
            *users,
            *callbacks_of_run(values, objective, made.model),
            tuner_callback()(self, trial),
        ]

        def fit(found: list[Any]) -> Any:
            options = {**data, "epochs": values["epochs"], "verbose": kwargs["verbose"]}
            if not own_fit:
                return made.model.fit(callbacks=found, **options)
            return self.hypermodel.fit(hp, made.model, callbacks=found, **options)

        validated = feed.validation_samples if is_accuracy(objective) else 0
        run = train(fit, made, log, callbacks, rival_of(hp.values), validated)
        run.examples = feed.examples_in(run.steps, len(run.losses), values.get("batch_size"))
        return run, log, made.model

    def _measured_costs(self) -> tuple[float, float]:
        """What a step and an example cost here, measured on a model that is thrown away."""
        assert self._feed is not None
        size = int(self._search_oracle.known()["batch_size"])
        model = self._build_hypermodel(self._search_oracle.get_space())
        return costs_from(measure(model, [max(1, size // 2), size, 4 * size], self._feed.batch))

    def _run_and_update_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        try:
            runs = self.run_trial(trial, *args, **kwargs)
        except keras_tuner.errors.FatalError as error:
            if self._is_worker():  # else the chief would hand it to the next one
                trial.hyperparameters.values[FAILURE] = str(error)
                self.oracle.end_trial(trial)
            raise
        # Sent whole with the trial's end: one by one they would mix with those of a worker that
        # was thought dead.
        record(runs, self.oracle.objective, trial.metrics)

    # ------------------------------------------------------------------ files

    def save(self) -> None:
        """Writes the oracle's state; a tuner has none of its own."""
        if not self._is_worker():
            self._search_oracle.save()

    def reload(self) -> None:
        """Loads the project."""
        if not self._is_worker():
            self._search_oracle.reload()

    def _get_tuner_fname(self) -> str:
        return str(self._search_oracle._get_oracle_fname())

    def _save_best(self, trial: Any, model: Any, weights: Any) -> None:
        model.set_weights(weights)
        model.save_weights(self._get_checkpoint_fname(trial.trial_id))
        write_json(self._get_build_config_fname(trial.trial_id), model.get_build_config())
