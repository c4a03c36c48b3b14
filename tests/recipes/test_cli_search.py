"""`trainwell search`: its files, going on after a kill, its workers, what it refuses."""

import copy
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trainwell.recipes._command_line import CommandError
from trainwell.recipes._search_folder import RESULTS, Folder, Settings, data_for
from trainwell.recipes.datasets import Dataset

TRAINWELL = Path(sys.executable).with_name("trainwell")
SETTINGS = Settings(recipe="mlp", data="digits", digest="d", seed=0, batch_size=32)
LIMIT = 240


def command(*arguments):
    return [str(part) for part in (TRAINWELL, "search", *arguments)]


def environment(**more):
    return {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"} | more


def run(*arguments, cwd, **more):
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment(**more),
        timeout=LIMIT,
    )


def refused(done):
    assert done.returncode == 2, done
    assert done.stderr.startswith("trainwell: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def small_dataset():
    """Three classes, a normal cloud each: far above chance, and never all right."""
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 400)
    x = (np.array([[1.5, 0], [0, 1.5], [0, 0]])[y] + random.normal(size=(400, 2))).astype("float32")
    return Dataset(x[:300], y[:300], x[300:], y[300:], "small", 3)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A folder with `small.npz` and its finished search in `out`, and what was printed."""
    folder = tmp_path_factory.mktemp("search")
    data = small_dataset()
    np.savez(folder / "small.npz", **{k: getattr(data, k) for k in data._fields if k[1] == "_"})
    return folder, run("--data", "small.npz", "--out", "out", cwd=folder)


def summary_in(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def trials_in(folder):
    """The finished trials, as KerasTuner keeps them."""
    kept = [json.loads(file.read_text()) for file in folder.glob("project/trial_*/trial.json")]
    return [trial for trial in kept if trial["status"] == "COMPLETED"]


def without_time(summary):
    return {name: value for name, value in summary.items() if name != "training_seconds"}


# ------------------------------------------------------------------ a whole search


def test_search_tells_its_way_and_writes_its_files(searched):
    folder, done = searched
    assert done.returncode == 0 and done.stderr == "", done
    assert "LearningRateStage: Try 0.01, 0.1" in done.stdout
    assert done.stdout.splitlines()[-1] == "Model: out/model.keras"
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {*RESULTS, "project", "search.json", "search.lock"}


def test_summary_agrees_with_the_trials(searched):
    out = searched[0] / "out"
    summary, trials = summary_in(out), trials_in(out)
    assert set(summary) == {
        *("recipe", "data", "seed", "learning_rate", "l2", "batch_size", "epochs"),
        *("val_accuracy", "test_accuracy", "trials", "training_steps", "training_seconds"),
    }
    assert summary["trials"] == len(trials) > 5
    steps = [t["metrics"]["metrics"]["run/steps"]["observations"][0]["value"][0] for t in trials]
    assert summary["training_steps"] == sum(steps)
    [final] = [t for t in trials if t["hyperparameters"]["values"]["tuner/stage"] == "FinalFit"]
    values = final["hyperparameters"]["values"]
    assert summary["learning_rate"] == values["learning_rate"] and summary["l2"] == values["l2"]
    # 240 samples are left to train on: 8 batches of 32.
    epochs = len(final["metrics"]["metrics"]["val_accuracy"]["observations"])
    assert max(steps) >= 8 * epochs > 8 * 30
    trace = json.loads((out / "trace.json").read_text(encoding="utf-8"))
    assert len(trace["trials"]) == len(trials)


def test_saved_model_is_as_good_as_the_summary_says(searched):
    import keras

    out = searched[0] / "out"
    summary = summary_in(out)
    model = keras.models.load_model(out / "model.keras")
    parts = data_for("mlp", small_dataset(), seed=0)
    for name, x, y in (
        ("val_accuracy", parts.x_validation, parts.y_validation),
        ("test_accuracy", parts.x_test, parts.y_test),
    ):
        right = np.argmax(model.predict(x, verbose=0), axis=1) == y
        assert summary[name] == pytest.approx(right.mean(), abs=1e-6)
        assert summary[name] > 0.6


def test_finished_search_prints_its_result_again(searched):
    folder, done = searched
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "project").rglob("*")}
    again = run("--data", "small.npz", "--out", "out", cwd=folder)
    assert again.returncode == 0 and again.stderr == ""
    assert again.stdout.splitlines()[-4:] == done.stdout.splitlines()[-4:]
    assert (folder / "out" / "trace.txt").read_text(encoding="utf-8") in again.stdout
    after = {path: path.stat().st_mtime_ns for path in (folder / "out" / "project").rglob("*")}
    assert after == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", 1], "seed 0 (here 1)"),
        (["--recipe", "residual_mlp"], "recipe 'mlp' (here 'residual_mlp')"),
        (
            ["--data", "digits", "--batch-size", 8],
            "other data ('small.npz', here 'digits'), batch_size 32 (here 8)",
        ),
    ],
)
def test_another_search_is_refused(searched, arguments, words):
    folder, _ = searched
    before = (folder / "out" / "summary.json").read_bytes()
    message = refused(run("--data", "small.npz", "--out", "out", *arguments, cwd=folder))
    assert words in message and "--overwrite" in message
    assert (folder / "out" / "summary.json").read_bytes() == before


def test_killed_with_its_workers_it_goes_on_to_the_same_result(searched):
    folder, _ = searched
    given = ("--data", "small.npz", "--out", "killed")
    with subprocess.Popen(
        command(*given, "--workers", 2),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as chief:
        workers = children_of(chief.pid, 2)
        os.kill(workers[0], signal.SIGKILL)  # is started again, for the trial that it died in
        lines = iter(chief.stdout.readline, "")
        said = next(line for line in lines if "started again" in line)
        assert "worker-1 was killed by signal 9" in said
        next(line for line in lines if "At 0.01 " in line)
        workers = children_of(chief.pid, 2)
        chief.kill()
    assert gone(workers)
    done = run(*given, cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done
    assert "Going on with the search in 'killed'" in done.stdout
    assert without_time(summary_in(folder / "killed")) == without_time(summary_in(folder / "out"))


def children_of(pid, count):
    """The processes that one has started; waits for so many."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        children = [int(child) for child in file.read_text().split()]
        if len(children) == count:
            return children
        time.sleep(0.05)
    raise AssertionError(f"{pid} has no {count} children")


def gone(processes):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not any(Path(f"/proc/{pid}").exists() for pid in processes):
            return True
        time.sleep(0.05)
    return False


# ------------------------------------------------------------------ refusals


def test_help():
    done = run("--help", cwd=".")
    assert done.returncode == 0
    for words in ("--recipe", "convnet", "--workers", "--out", "KERASTUNER_ORACLE_PORT"):
        assert words in done.stdout


ADDRESS = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": "1"}


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["--recipe", "mpl"], {}, "Did you mean 'mlp'"),
        (["--data", "missing.npz"], {}, "'missing.npz' cannot be opened"),
        (["--workers", 0], {}, "--workers"),
        (["--out", "/dev/null/folder"], {}, "--out must be a folder"),
        ([], ADDRESS, "no KERASTUNER_TUNER_ID"),
        (["--workers", 2], {**ADDRESS, "KERASTUNER_TUNER_ID": "w"}, "Leave one of them out"),
    ],
)
def test_refusals(arguments, variables, words, tmp_path):
    assert words in refused(run(*arguments, cwd=tmp_path, **variables))
    assert list(tmp_path.iterdir()) == []


def test_data_of_another_shape_than_the_recipe_takes_are_refused():
    with pytest.raises(CommandError, match=r"--recipe convnet takes images.*shape \(2,\)"):
        data_for("convnet", small_dataset(), 0)
    data = small_dataset()
    few = data._replace(x_train=data.x_train[:4], y_train=data.y_train[:4])
    with pytest.raises(CommandError, match=r"with 4 of them"):
        data_for("mlp", few, 0)


# ------------------------------------------------------------------ the folder


def test_held_out_samples_are_a_fifth_and_the_seed_says_which():
    data = small_dataset()
    parts, same, other = (data_for("mlp", data, seed) for seed in (3, 3, 4))
    assert len(parts.x) == 240 and len(parts.x_validation) == 60
    both = np.concatenate([parts.x, parts.x_validation])
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(data.x_train, axis=0))
    assert parts.digest() == same.digest() != other.digest()
    large = data._replace(x_train=np.zeros((60_000, 1)), y_train=np.zeros(60_000, np.int64))
    assert len(data_for("mlp", large, 0).x_validation) == 10_000


def test_folder_lets_one_search_in(tmp_path):
    with (
        Folder(tmp_path).locked(),
        pytest.raises(CommandError, match="is at work"),
        Folder(tmp_path).locked(),
    ):
        pass
    with Folder(tmp_path).locked():
        pass


def test_folder_with_a_search_of_unknown_settings_is_refused(tmp_path):
    folder = Folder(tmp_path)
    folder.check(SETTINGS)
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(CommandError, match=r"search\.json can't be read"):
        folder.check(SETTINGS)
    (tmp_path / "search.json").unlink()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "oracle.json").touch()
    with pytest.raises(CommandError, match="not begun by `trainwell search`"):
        folder.check(SETTINGS)


def test_clearing_a_folder_leaves_what_is_not_the_searchs(tmp_path):
    for name in (*RESULTS, "search.json", "worker-1.log", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "project" / "trial_0").mkdir(parents=True)
    Folder(tmp_path).clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


# ------------------------------------------------------------------ the workers


def test_search_ends_when_all_workers_have_died(tmp_path, monkeypatch, capsys):
    from trainwell.recipes.search import _command_workers as workers
    from trainwell.recipes.search.oracle import HeuristicOracle
    from trainwell.recipes.search.stages import LearningRateStage

    monkeypatch.setattr(workers, "WORKER", [sys.executable, "-S", "-c", "raise SystemExit(3)"])
    oracle = HeuristicOracle([LearningRateStage()], seed=0)
    with workers.Workers(SETTINGS, tmp_path, 2) as team:
        team.watch(oracle, lambda: None)
        end = time.monotonic() + 60
        while not oracle.failure and time.monotonic() < end:
            time.sleep(0.05)
    assert "All workers have died" in oracle.failure and "exit code 3" in oracle.failure
    printed = capsys.readouterr().out
    for name in ("worker-1", "worker-2"):
        assert printed.count(f"{name} ended with exit code 3 and is started again") == 3
        assert printed.count(f"{name} ended with exit code 3 once more and is given up") == 1


def test_worker_ends_with_its_chief(tmp_path):
    arguments = {"settings": vars(SETTINGS), "out": str(tmp_path)}
    address = {**ADDRESS, "KERASTUNER_TUNER_ID": "w"}
    with subprocess.Popen(
        [sys.executable, "-m", "trainwell.recipes.search._command_worker", json.dumps(arguments)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(**address),
    ) as worker:
        time.sleep(1.0)
        assert worker.poll() is None
        worker.stdin.close()
        assert worker.wait(30) == 1


def test_interrupted_search_ends_its_workers(tmp_path):
    with subprocess.Popen(
        command("--workers", 2),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as chief:
        workers = children_of(chief.pid, 2)
        chief.stdout.readline()
        chief.send_signal(signal.SIGINT)
        _, errors = chief.communicate(timeout=LIMIT)
    assert chief.returncode == 130 and errors == "trainwell: interrupted\n"
    assert gone(workers)


# ------------------------------------------------------------------ the progress bars


def oracle_with(running):
    values = {"learning_rate": 0.1, "tuner/asked": "learning_rate"}
    trials = [
        SimpleNamespace(trial_id=name, hyperparameters=SimpleNamespace(values=values))
        for name in running
    ]
    finished = {name: SimpleNamespace(status="COMPLETED") for name in ("0000", "0001")}
    return SimpleNamespace(ongoing_trials=dict(enumerate(trials)), trials=finished)


@pytest.mark.parametrize("terminal", [True, False])
def test_display_shows_the_trials_that_run_in_a_terminal(terminal):
    from rich.console import Console

    from trainwell.recipes.search._command_display import Display

    screen = io.StringIO()
    with Display(
        Console(file=screen, force_terminal=terminal, width=100), oracle_with(["0002"])
    ) as display:
        display.epoch(3, 10)
    shown = screen.getvalue()
    assert [callback is copy.deepcopy(callback) for callback in display.callbacks()] == (
        [True] if terminal else []
    )
    assert ("2 trials finished" in shown) == terminal
    assert ("0002 learning_rate=0.1" in shown) == terminal
    assert ("epoch 3 of at most 10" in shown) == terminal
