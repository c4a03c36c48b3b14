"""What a run reports through KerasTuner's metrics comes back as a stage's trial."""

import json
import math
from dataclasses import asdict

import keras_tuner
import pytest

from trainwell.recipes.search._run_report import (
    Run,
    as_sent,
    asked_values,
    rival_of,
    stored,
    trial_of,
)
from trainwell.recipes.search._trials import Rival
from trainwell.recipes.search.stages import EpochLosses

ACCURACY = keras_tuner.Objective("val_accuracy", "max")
LOSSES = [
    EpochLosses(steps=4, mean=2.0, variance=0.5, roughness=0.25),
    EpochLosses(steps=4, mean=1.0, variance=0.125, roughness=0.5),
]


def kept(run, values, objective=ACCURACY, status="COMPLETED", executions=1):
    """The KerasTuner trial after a run was reported, once through its wire format."""
    space = keras_tuner.HyperParameters()
    space.values = {**stored(values), "tuner/execution": 1}
    trial = keras_tuner.engine.trial.Trial(space, "0003", status)
    for _ in range(executions):
        for epoch, metrics in run.metrics(objective):
            for name, value in metrics.items():
                if not trial.metrics.exists(name):
                    trial.metrics.register(name, "max" if name == objective.name else "min")
                trial.metrics.update(name, value, step=epoch)
    return keras_tuner.engine.trial.Trial.from_proto(trial.to_proto())


def finished(**changes):
    logs = [{"loss": 2.0, "val_accuracy": 0.5}, {"loss": 1.0, "val_accuracy": 0.75}]
    return Run(
        **{"logs": logs, "losses": LOSSES, "steps": 8, "examples": 30, "seconds": 1.5}
        | {"validation_samples": 100}
        | changes
    )


def test_all_of_a_run_comes_back():
    values = {"learning_rate": 0.25, "l2": 0.0, "epochs": 2, "patience": 10}
    trial = trial_of(kept(finished(), values), ACCURACY)
    assert trial.values == values
    assert (trial.trial_id, trial.execution, trial.finished) == ("0003", 1, True)
    assert trial.losses == tuple(LOSSES)
    assert trial.accuracy == (0.5, 0.75)
    assert (trial.steps, trial.examples, trial.seconds) == (8, 30, 1.5)
    assert trial.validation_samples == 100
    assert not trial.diverged


def test_what_is_to_be_minimized_comes_back_negative():
    logs = [{"val_loss": 3.0}, {"val_loss": 2.0}]
    objective = keras_tuner.Objective("val_loss", "min")
    trial = trial_of(kept(finished(logs=logs), {}, objective), objective)
    assert trial.accuracy == (-3.0, -2.0)


def test_a_run_cut_off_in_its_first_epoch_diverged():
    trial = trial_of(kept(Run(steps=3, diverged=True), {"learning_rate": 10.0}), ACCURACY)
    assert trial.diverged
    assert (trial.losses, trial.accuracy, trial.steps) == ((), (), 3)


def test_what_is_judged_during_a_run_is_what_it_reports():
    # 0.1 and 1/3 have no exact float32.
    losses = [EpochLosses(steps=3, mean=0.1, variance=1 / 3, roughness=0.7)]
    run = finished(logs=[{"val_accuracy": 1 / 3}], losses=losses)
    reported = trial_of(kept(run, {}), ACCURACY)
    assert run.so_far(ACCURACY).losses == reported.losses
    assert run.so_far(ACCURACY).accuracy == reported.accuracy


def test_a_rival_survives_as_a_value():
    rival = Rival(measure="cost", curve=(2.5, 1.0))
    assert rival_of({"tuner/rival": json.dumps(asdict(rival))}) == rival
    assert rival_of({"tuner/rival": "null"}) is None


def test_an_epoch_without_validation_has_no_accuracy():
    logs = [{"loss": 2.0}, {"loss": 1.0, "val_accuracy": 0.75}]
    accuracy = trial_of(kept(finished(logs=logs), {}), ACCURACY).accuracy
    assert math.isnan(accuracy[0])
    assert accuracy[1] == 0.75


def test_executions_are_averaged():
    # Two equal ones: the mean is each of them.
    trial = trial_of(kept(finished(), {}, executions=2), ACCURACY)
    assert trial.accuracy == (0.5, 0.75)


@pytest.mark.parametrize("status", ["RUNNING", "INVALID"])
def test_what_may_run_again_is_not_finished(status):
    assert not trial_of(kept(Run(), {}, status=status), ACCURACY).finished


def test_a_failed_trial_counts_as_diverged():
    assert trial_of(kept(Run(), {}, status="FAILED"), ACCURACY).diverged


def test_values_survive_the_wire():
    values = {"learning_rate": 0.3, "l2": 1.58489e-05, "batch_size": 64, "name": "a", "on": True}
    space = keras_tuner.HyperParameters()
    space.values = stored(values)
    sent = keras_tuner.HyperParameters.from_proto(space.to_proto()).values
    assert asked_values(as_sent(sent)) == values
