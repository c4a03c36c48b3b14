"""`trainwell`: what it loads, its exit codes, one line of stderr for what it refuses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainwell.callbacks.record import TrainingRecord

TRAINWELL = Path(sys.executable).with_name("trainwell")


def run(*arguments, **options):
    # As a user's shell would have it: the tests' own log level would hide what the command prints.
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [TRAINWELL, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        **options,
    )


def refused(done):
    assert done.returncode == 2, done
    assert done.stderr.startswith("trainwell: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def record(tmp_path):
    """A record of one small training, on disk."""
    import keras

    from trainwell.callbacks import GradientNorms

    model = keras.Sequential(
        [keras.Input((2,)), *(keras.layers.Dense(3, activation="tanh") for _ in range(3))]
    )
    model.compile("sgd", "mse")
    monitor = GradientNorms()
    model.fit(np.ones((8, 2)), np.ones((8, 3)), epochs=2, verbose=0, callbacks=[monitor])
    monitor.record.save(tmp_path / "run.record")
    return tmp_path / "run.record"


def test_help_and_version():
    done = run("--help")
    assert done.returncode == 0 and "demo" in done.stdout and "report" in done.stdout
    assert "--epochs" in run("demo", "--help").stdout
    done = run("--version")
    assert done.returncode == 0 and done.stdout.startswith("trainwell 0.")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from trainwell.recipes import cli; sys.argv = ['trainwell', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dmeo"], "dmeo"),
        (["demo", "--layers", "0"], "--layers"),
        (["demo", "--layers", "1000"], "--layers"),
        (["demo", "--epochs", "0"], "--epochs"),
        (["demo", "--epochs", "many"], "valid integer"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--bad"], "--bad"),
        (["demo", "--data", "mnits"], "Did you mean 'mnist'"),
        (["demo", "--data", "missing.npz"], "'missing.npz' cannot be opened"),
        (["demo", "--out", "/dev/null/folder"], "--out must be a folder"),
        (["report"], "RECORD"),
        (["report", "missing.record"], "There is no record 'missing.record'"),
        (["report", "."], "Is a directory"),
    ],
)
def test_refusals(arguments, words, tmp_path):
    assert words in refused(run(*arguments, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_report_refuses_what_is_no_record(tmp_path):
    (tmp_path / "text").write_text("hello")
    assert "is not a trainwell record" in refused(run("report", "text", cwd=tmp_path))
    TrainingRecord().save(tmp_path / "empty")
    assert "'empty' holds no step" in refused(run("report", "empty", cwd=tmp_path))


def test_report(record, tmp_path):
    done = run("report", record, "--out", tmp_path / "a" / "b")
    assert done.returncode == 0 and done.stderr == ""
    written = {path.name for path in (tmp_path / "a" / "b").iterdir()}
    assert written == {"report.html", "summary.json", "gradient_norms.png", "learning_speed.png"}
    summary = json.loads((tmp_path / "a" / "b" / "summary.json").read_text(encoding="utf-8"))
    assert summary["rows"] == len(TrainingRecord.load(record).steps) and not summary["truncated"]
    # Once more, and of a record that was cut off: the files are replaced.
    record.write_bytes(record.read_bytes()[:-40])
    done = run("report", record, "--out", tmp_path / "a" / "b")
    assert done.returncode == 0
    assert "cut off" in (tmp_path / "a" / "b" / "report.html").read_text(encoding="utf-8")


def test_report_needs_no_tensorflow(record, tmp_path):
    code = (
        "import sys; from trainwell.recipes import cli\n"
        f"sys.argv = ['trainwell', 'report', {str(record)!r}, '--out', {str(tmp_path / 'out')!r}]\n"
        "try: cli.main()\n"
        "except SystemExit as done: assert done.code == 0\n"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_interrupted_demo_says_so_in_one_line(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    command = [str(TRAINWELL), "demo", "--layers", "2", "--epochs", "2", "--out", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout.readline().startswith("naive")  # seven more to go
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors == "trainwell: interrupted\n"
