"""A search that is killed and started again comes to what it would have come to undisturbed."""

import importlib.util
import json
import math
import random
from pathlib import Path

import keras_tuner
import pytest

from trainwell.recipes.search import _files
from trainwell.recipes.search import _surviving_oracle as oracle_module
from trainwell.recipes.search._run_report import Run, asked_values, record
from trainwell.recipes.search.oracle import HeuristicOracle
from trainwell.recipes.search.stages import EpochLosses, EpochsStage, L2Stage, LearningRateStage

_spec = importlib.util.spec_from_file_location(
    "search_program", Path(__file__).with_name("search_program.py")
)
program = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(program)


# ---------------------------------------------------------------------- real processes


@pytest.fixture(scope="module")
def nursery():
    nursery = program.Nursery()
    yield nursery
    nursery.close()


def test_killed_three_times(nursery, tmp_path):
    undisturbed = nursery.start(directory=str(tmp_path / "undisturbed"))
    assert nursery.wait(undisturbed, 120) == 0
    expected = program.outcome(tmp_path / "undisturbed")

    moments = random.Random(0)
    before = {}
    for _ in range(3):
        pid = nursery.start(directory=str(tmp_path / "killed"), pause=0.1)
        nursery.wait(pid, moments.uniform(0.5, 5.0))
        nursery.kill(pid)
        after = program.finished(tmp_path / "killed")
        assert {trial_id: after.get(trial_id) for trial_id in before} == before
        before = after
    pid = nursery.start(directory=str(tmp_path / "killed"))
    assert nursery.wait(pid, 120) == 0
    assert {i: program.finished(tmp_path / "killed")[i] for i in before} == before
    assert program.outcome(tmp_path / "killed") == expected

    log = tmp_path / "log"
    pid = nursery.start(directory=str(tmp_path / "killed"), log=str(log))
    assert nursery.wait(pid, 60) == 0
    assert not log.exists()  # nothing is run again


# ---------------------------------------------------------------------- every write, no training


class KilledError(BaseException):
    """In place of a kill: no `except Exception` sees it."""


def new_oracle(directory, objective="val_accuracy", **options):
    stages = [
        LearningRateStage(executions=1),
        L2Stage(epochs=4),
        EpochsStage(patience=(2, 5), limit=10),
    ]
    oracle = HeuristicOracle(stages, objective, seed=3, **options)
    oracle.verbose = 0
    oracle.hyperparameters.Float("learning_rate", 1e-6, 100.0, sampling="log")
    oracle.hyperparameters.Float("l2", 0.0, 1.0)
    oracle._set_project_dir(str(directory), "search")
    if Path(oracle._get_oracle_fname()).exists():
        oracle.reload()
    else:
        oracle.save()
    return oracle


def run_of(values, seed):
    """What a run of these values comes to: falls up to a rate of 0.5, best at an l2 of 1e-4."""
    rate, l2 = values["learning_rate"], values["l2"]
    epochs = min(values["epochs"], 12)
    slope = rate if rate <= 0.5 else -rate
    noise = random.Random(seed).uniform(0, 1e-3)
    means = [2 + noise - slope * epoch / 10 for epoch in range(epochs)]
    peak = 0.9 - 0.02 * abs(math.log10(max(l2, 1e-9)) + 4) + noise
    scores = [peak - 0.1 / (1 + epoch) for epoch in range(epochs)]
    losses = [EpochLosses(steps=10, mean=m, variance=1e-6, roughness=1e-6) for m in means]
    logs = [{"loss": m, "val_accuracy": a} for m, a in zip(means, scores, strict=True)]
    return Run(logs=logs, losses=losses, steps=10 * epochs, examples=100, validation_samples=1000)


def complete(oracle, trial):
    """Does what a tuner does with a trial."""
    values = trial.hyperparameters.values
    run = run_of(asked_values(values), values["tuner/seed"])
    record([run], oracle.objective, trial.metrics)
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def work(oracle, begun):
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        begun.append(trial.trial_id)
        complete(oracle, trial)
    assert trial.status == "STOPPED"
    assert not oracle.failure


def dying_write(lives, mode):
    """`write_json` that dies when `lives` are used up, before, in the middle or after."""

    def write(path, state):
        lives[0] -= 1
        if lives[0] == 0 and mode == "before":
            raise KilledError
        if lives[0] == 0 and mode == "middle":
            text = json.dumps(state)
            Path(f"{path}.0a1b2c3d.tmp").write_text(text[: len(text) // 2])
            raise KilledError
        _files.write_json(path, state)
        if lives[0] == 0:
            raise KilledError

    return write


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mode", ["before", "middle", "after"])
def test_killed_while_it_writes(tmp_path, monkeypatch, mode, seed):
    work(new_oracle(tmp_path / "undisturbed"), [])
    moments, lives, kills = random.Random(seed), [0], 0
    finished, begun = set(), []
    monkeypatch.setattr(oracle_module, "write_json", dying_write(lives, mode))
    while True:
        lives[0] = moments.randint(1, 12)
        begun.clear()
        try:
            work(new_oracle(tmp_path / "killed"), begun)
            break
        except KilledError:
            kills += 1
        assert not finished & set(begun)
        assert finished <= set(program.finished(tmp_path / "killed"))
        finished = set(program.finished(tmp_path / "killed"))
    assert kills >= 10
    assert program.outcome(tmp_path / "killed") == program.outcome(tmp_path / "undisturbed")


def test_failed_with_half_of_its_message_is_not_kept(tmp_path):
    """A metric reported before the kill does not mix with those of the attempt after it."""
    oracle = new_oracle(tmp_path)
    trial = oracle.create_trial("tuner0")
    oracle.update_trial(trial.trial_id, {"val_accuracy": 0.123}, step=0)
    again = new_oracle(tmp_path)
    retried = again.create_trial("tuner0")
    assert retried.trial_id == trial.trial_id
    complete(again, retried)
    history = again.trials[trial.trial_id].metrics.get_history("val_accuracy")
    assert 0.123 not in [value for one in history for value in one.value]


def test_max_trials_counts_the_finished_ones(tmp_path):
    work(new_oracle(tmp_path, max_trials=5), begun := [])
    assert len(begun) == 5
    work(new_oracle(tmp_path, max_trials=5), begun := [])
    assert begun == []
    work(new_oracle(tmp_path, max_trials=7), begun := [])
    assert len(begun) == 2


def test_failures_that_ended_a_search_are_run_again(tmp_path):
    oracle = new_oracle(tmp_path)
    complete(oracle, oracle.create_trial("tuner0"))
    failed = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        failed.append(trial.trial_id)
        trial.status, trial.message = "INVALID", "Traceback\nRuntimeError: no such file"
        oracle.end_trial(trial)
    assert len(failed) == 3
    assert "3 trials in a row failed: RuntimeError: no such file" in oracle.failure
    work(new_oracle(tmp_path), begun := [])
    assert begun[:3] == failed
    work(new_oracle(tmp_path / "undisturbed"), [])
    assert program.outcome(tmp_path) == program.outcome(tmp_path / "undisturbed")


def test_one_failure_is_final(tmp_path):
    oracle = new_oracle(tmp_path)
    trial = oracle.create_trial("tuner0")
    trial.status, trial.message = "INVALID", "RuntimeError: too large"
    oracle.end_trial(trial)
    complete(oracle, oracle.create_trial("tuner0"))
    work(new_oracle(tmp_path), begun := [])
    assert trial.trial_id not in begun


def test_multi_objective_of_a_diverged_run(tmp_path):
    objectives = [
        keras_tuner.Objective("val_accuracy", "max"),
        keras_tuner.Objective("val_loss", "min"),
    ]
    oracle = new_oracle(tmp_path, objective=objectives)
    trial = oracle.create_trial("tuner0")
    record([Run(steps=3, diverged=True)], oracle.objective, trial.metrics)
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    assert oracle.trials[trial.trial_id].status == "COMPLETED"
    assert oracle.trials[trial.trial_id].score == math.inf
