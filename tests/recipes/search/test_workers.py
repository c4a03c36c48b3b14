"""A chief and its workers: whoever is killed or paused, the search ends, with the same choice."""

import importlib.util
import json
import os
import random
import signal
import time
import types
from pathlib import Path

import grpc
import keras_tuner
import pytest

from trainwell.recipes.search import _surviving_oracle as oracle_module
from trainwell.recipes.search._link import Link
from trainwell.recipes.search._pulse import pulse


def _load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


program, resume = _load("search_program"), _load("test_resume")


# ---------------------------------------------------------------------- real processes


@pytest.fixture(scope="module")
def nursery():
    nursery = program.Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def expected(nursery, tmp_path_factory):
    directory = tmp_path_factory.mktemp("undisturbed")
    assert nursery.wait(nursery.start(directory=str(directory)), 120) == 0
    return program.outcome(directory)


class Team:
    """A chief and workers in one project."""

    def __init__(self, nursery, directory, **options):
        self.nursery, self.directory = nursery, directory
        self.port, self.log = program.free_port(), directory / "log"
        self.options = {"directory": str(directory), "log": str(self.log), **options}

    def start(self, name):
        errors = self.directory / f"errors-{name}"
        return self.nursery.start(name, self.port, errors=errors, **self.options)

    def lines(self):
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def wait_until_in_a_run(self, name):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            mine = [line["what"] for line in self.lines() if line["process"] == name]
            if mine and mine[-1] == "begin":
                return
            time.sleep(0.02)
        raise AssertionError(f"{name} never began")


def test_a_worker_is_killed(nursery, expected, tmp_path):
    team = Team(nursery, tmp_path, pause=0.1)
    chief, first, second = (team.start(name) for name in ("chief", "first", "second"))
    team.wait_until_in_a_run("second")
    nursery.kill(second)
    assert nursery.wait(first, 120) == 0
    assert nursery.wait(chief, 30) == 0
    assert program.outcome(tmp_path) == expected
    begun = sum(line["what"] == "begin" for line in team.lines())
    assert begun in (len(expected), len(expected) + 1)  # only the killed one's again, if any


def test_the_chief_is_killed_and_a_worker_paused(nursery, expected, tmp_path):
    team = Team(nursery, tmp_path, pause=0.1, timeout=2.0)
    chief, first, second = (team.start(name) for name in ("chief", "first", "second"))
    team.wait_until_in_a_run("first")
    nursery.kill(chief)
    before = program.finished(tmp_path)
    chief = team.start("chief")
    team.wait_until_in_a_run("second")
    os.kill(second, signal.SIGSTOP)
    time.sleep(4.0)  # longer than the timeout: its trial is handed out again
    os.kill(second, signal.SIGCONT)
    assert nursery.wait(first, 120) == 0
    assert nursery.wait(chief, 30) == 0
    after = program.finished(tmp_path)
    assert {trial_id: after[trial_id] for trial_id in before} == before
    assert program.outcome(tmp_path) == expected


def test_failing_trials_end_all_with_the_reason(nursery, tmp_path):
    team = Team(nursery, tmp_path, broken="always")
    chief, first = team.start("chief"), team.start("first")
    assert nursery.wait(first, 60) == 1
    assert nursery.wait(chief, 30) == 1
    for name in ("chief", "first"):
        errors = (tmp_path / f"errors-{name}").read_text()
        assert "3 trials in a row failed: RuntimeError: build_model is broken" in errors


# ---------------------------------------------------------------------- a clock of our own


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    fake = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(oracle_module, "time", fake)
    return now


@pytest.mark.parametrize("seed", range(6))
def test_workers_that_die_at_random(tmp_path, clock, seed):
    """In each turn one of three asks, ends, dies in silence, or comes back late with a report."""
    resume.work(resume.new_oracle(tmp_path / "undisturbed"), [])
    oracle = resume.new_oracle(tmp_path / "many", worker_timeout=10.0)
    moves, running, late, names = random.Random(seed), {}, [], iter(range(10**6))
    workers = [f"worker-{next(names)}" for _ in range(3)]
    deaths = 0
    while not oracle.is_over():
        place = moves.randrange(3)
        name, move = workers[place], moves.random()
        clock[0] += 1.0
        for trial in running.values():
            oracle.get_trial(trial.trial_id)
        if name not in running:
            trial = oracle.create_trial(name)
            if trial.status == "RUNNING":
                running[name] = keras_tuner.engine.trial.Trial.from_proto(trial.to_proto())
        elif move < 0.2:
            late.append(running.pop(name))
            workers[place] = f"worker-{next(names)}"
            deaths += 1
        else:
            resume.complete(oracle, running.pop(name))
        if late and move > 0.9:
            resume.complete(oracle, late.pop())
    assert deaths > 0
    assert not oracle.failure
    expected = program.outcome(tmp_path / "undisturbed")
    assert program.outcome(tmp_path / "many") == expected
    for trial in late:
        resume.complete(oracle, trial)
    assert program.outcome(tmp_path / "many") == expected


def test_a_silent_worker_loses_its_trial_and_a_living_one_keeps_it(tmp_path, clock):
    oracle = resume.new_oracle(tmp_path, worker_timeout=10.0)
    kept, lost = oracle.create_trial("living"), oracle.create_trial("silent")
    clock[0] += 9.0
    oracle.get_trial(kept.trial_id)
    clock[0] += 2.0
    assert oracle.create_trial("third").trial_id == lost.trial_id
    assert oracle.create_trial("living").trial_id == kept.trial_id


def test_a_chief_started_again_leaves_workers_their_trials(tmp_path, clock, monkeypatch):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    first = resume.new_oracle(tmp_path, worker_timeout=10.0)
    held, dead = first.create_trial("living"), first.create_trial("dead")
    second = resume.new_oracle(tmp_path, worker_timeout=10.0)
    other = second.create_trial("third")
    assert other.trial_id not in (held.trial_id, dead.trial_id)
    resume.complete(second, keras_tuner.engine.trial.Trial.from_proto(held.to_proto()))
    assert second.trials[held.trial_id].status == "COMPLETED"
    clock[0] += 11.0
    assert second.create_trial("fourth").trial_id in (dead.trial_id, other.trial_id)
    assert second.create_trial("fifth").trial_id in (dead.trial_id, other.trial_id)


def test_a_report_on_a_trial_of_another_project_is_ignored(tmp_path):
    oracle = resume.new_oracle(tmp_path)
    stranger = keras_tuner.engine.trial.Trial(oracle.get_space(), "9999", "COMPLETED")
    oracle.end_trial(stranger)
    assert oracle.trials == {}
    assert oracle.create_trial("tuner0").status == "RUNNING"


def test_a_fatal_error_of_a_worker_ends_the_search_and_is_not_kept(tmp_path):
    oracle = resume.new_oracle(tmp_path)
    trial = oracle.create_trial("worker")
    report = keras_tuner.engine.trial.Trial.from_proto(trial.to_proto())
    report.hyperparameters.values["tuner/failure"] = "`build_model` ignores it"
    oracle.end_trial(report)
    assert oracle.is_over()
    assert oracle.failure == "`build_model` ignores it"
    stopped = oracle.create_trial("other")
    assert stopped.status == "STOPPED"
    assert stopped.hyperparameters.values["tuner/failure"] == oracle.failure
    resume.work(resume.new_oracle(tmp_path), begun := [])
    assert begun[0] == trial.trial_id


# ---------------------------------------------------------------------- the link


class AwayError(grpc.RpcError):
    def __init__(self, code):
        self._code = code

    def code(self):
        return self._code


class Stub:
    """Answers after so many failures."""

    def __init__(self, failures, code=grpc.StatusCode.UNAVAILABLE):
        self.failures, self.code, self.calls = failures, code, 0

    def GetTrial(self, request, **options):  # noqa: N802
        self.calls += 1
        if self.calls <= self.failures:
            raise AwayError(self.code)
        return request


def test_a_worker_asks_again():
    client = types.SimpleNamespace(stub=Stub(failures=1))
    Link(client, patience=5.0)
    assert client.stub.GetTrial("0001", timeout=3600) == "0001"


def test_a_worker_gives_up_on_a_chief_that_is_gone():
    client = types.SimpleNamespace(stub=Stub(failures=10**6))
    Link(client, patience=0.6)
    with pytest.raises(keras_tuner.errors.FatalError, match=r"no answer for 0\.6 seconds"):
        client.stub.GetTrial("0001")


def test_a_chief_that_fails_is_not_asked_again():
    client = types.SimpleNamespace(stub=(stub := Stub(1, grpc.StatusCode.UNKNOWN)))
    Link(client, patience=5.0)
    with pytest.raises(AwayError):
        client.stub.GetTrial("0001")
    assert stub.calls == 1


def test_the_pulse_beats_within_the_timeout():
    asked = []
    oracle = types.SimpleNamespace(stub=None, get_trial=asked.append)
    with pulse(oracle, "0007", timeout=0.4):
        time.sleep(0.35)
    assert len(asked) >= 2
    assert set(asked) == {"0007"}
    count = len(asked)
    time.sleep(0.25)
    assert len(asked) == count
