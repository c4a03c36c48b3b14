"""`trainwell check`: what it finds, writes, refuses, and that it leaves the file alone."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from trainwell.callbacks.diagnosis.finding import Finding
from trainwell.callbacks.record import TrainingRecord
from trainwell.recipes import cli
from trainwell.recipes._command_line import CommandError
from trainwell.recipes.check import check as steps
from trainwell.recipes.check import command
from trainwell.recipes.check.data import data_of
from trainwell.recipes.check.file import own_modules
from trainwell.recipes.check.model import _matches
from trainwell.recipes.check.words import to_begin_with, verdict
from trainwell.recipes.layers.rrelu import RReLU

TRAINWELL = Path(sys.executable).with_name("trainwell")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(320, 6)).astype("float32")
WAY = RNG.normal(size=(6, 3))
LABELS = (X @ WAY).argmax(axis=1)
FILES = {"report.html", "summary.json", "record"}


def network(*hidden, output="softmax", loss="sparse_categorical_crossentropy", shape=(6,), units=3):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input(shape), *hidden, layers.Dense(units, output)], name="network"
    )
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


def hidden():
    return layers.Dense(24, "relu", kernel_initializer="he_normal")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder with two models and their data."""
    folder = tmp_path_factory.mktemp("check")
    network(hidden(), hidden()).save(folder / "sound.keras")
    # A linear output, and a layer of trainwell's own.
    network(layers.Dense(24), RReLU(seed=0), output=None).save(folder / "faulty.keras")
    np.savez(
        folder / "data.npz",
        x_train=X[:256],
        y_train=LABELS[:256],
        x_test=X[256:],
        y_test=LABELS[256:],
    )
    return folder


@pytest.fixture
def check(monkeypatch, capsys):
    """Runs the command in this process: its exit code, what it printed, its errors."""
    monkeypatch.setattr(command, "make_deterministic", lambda: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["trainwell", "check", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        printed = capsys.readouterr()
        return SimpleNamespace(code=done.value.code, out=printed.out, err=printed.err)

    return run


def refused(done):
    assert done.code == 2, done
    assert done.err.startswith("trainwell: ") and done.err.count("\n") == 1, done.err
    return done.err


def summary_in(folder):
    def no_constant(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads((folder / "summary.json").read_text(), parse_constant=no_constant)


# ------------------------------------------------------------------ a whole check


def test_from_the_shell_it_prints_findings_and_nothing_on_stderr(shelf, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    given = ["faulty.keras", "--data", "data.npz", "--out", tmp_path, "--fit", "--epochs", "12"]
    done = subprocess.run(
        [TRAINWELL, "check", *map(str, given)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=shelf,
        timeout=240,
    )
    assert done.returncode == 1 and done.stderr == "", done
    assert "Before training: improper_output_activation (error)" in done.stdout
    assert "A copy was trained for 12 epochs" in done.stdout
    assert "Try output activation softmax" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert summary_in(tmp_path)["errors"] >= 1


def test_sound_model_passes_and_its_summary_tells_what_was_seen(check, shelf, tmp_path):
    before = (shelf / "sound.keras").read_bytes()
    done = check(shelf / "sound.keras", "--data", shelf / "data.npz", "--out", tmp_path)
    assert done.code == 0 and done.err == ""
    assert "Nothing is wrong that the rules know of. What only training shows" in done.out
    summary = summary_in(tmp_path)
    assert summary["errors"] == summary["warnings"] == 0
    assert summary["findings"] == summary["preflight"] == []
    assert summary["fit"] is None and summary["repair"] is None
    assert summary["model"]["parameters"] == 6 * 24 + 24 + 24 * 24 + 24 + 24 * 3 + 3
    assert summary["data"] == {
        "file": str(shelf / "data.npz"),
        "samples": 256,
        "validation_samples": 64,
        "held_out": False,
        "input_shape": [6],
        "target_shape": [],
    }
    assert (shelf / "sound.keras").read_bytes() == before
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Check of sound.keras" in page and "Trial steps" in page


def test_watched_fit_is_the_users_own_fit_of_a_copy(check, shelf, tmp_path):
    before = (shelf / "sound.keras").read_bytes()
    given = (shelf / "sound.keras", "--data", shelf / "data.npz", "--out", tmp_path)
    done = check(*given, "--fit", "--epochs", 3, "--batch-size", 64, "--seed", 5)
    assert done.code == 0, done
    keras.utils.set_random_seed(5)
    model = keras.models.load_model(shelf / "sound.keras")
    test = X[256:], LABELS[256:]
    plain = model.fit(X[:256], LABELS[:256], 64, 3, verbose=0, validation_data=test)
    fit = summary_in(tmp_path)["fit"]
    assert fit["epochs"] == 3
    assert set(fit["logs"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, values in plain.history.items():
        assert fit["logs"][name] == pytest.approx(values[-1], rel=1e-5)
    assert fit["metric"] == "accuracy"
    assert fit["score"] == pytest.approx(plain.history["val_accuracy"][-1], abs=1e-6)
    assert fit["chance"] == pytest.approx(np.bincount(LABELS[256:]).max() / 64)
    assert f"the best fixed answer has {fit['chance']:.3f}" in done.out.replace("\n", " ")
    record = TrainingRecord.load(tmp_path / "record")
    assert len(record.epochs) == 3 and record.data["samples"] == 256
    assert (shelf / "sound.keras").read_bytes() == before


def test_finding_of_the_summary_is_that_of_the_terminal(check, shelf, tmp_path):
    done = check(shelf / "faulty.keras", "--data", shelf / "data.npz", "--out", tmp_path)
    assert done.code == 1
    assert "Not sound" in done.out and "cannot give the right answers" in done.out
    [found] = [one for one in summary_in(tmp_path)["findings"] if one["severity"] == "error"]
    assert found["symptom"] == "improper_output_activation"
    assert found["layers"] == [keras.models.load_model(shelf / "faulty.keras").layers[-1].name]
    assert found["first_step"] == 0 and found["cause"] is None
    assert found["evidence"].split(",")[0].lower() in done.out.lower()
    assert found["remedies"][0]["kind"] == "output_activation"
    assert found["remedies"][0]["value"] == "softmax"
    assert set(found["remedies"][0]) == {"kind", "value", "reason", "source"}


def test_what_keras_refuses_and_a_rule_explains_is_a_finding(check, shelf, tmp_path):
    data = tmp_path / "one_hot.npz"
    np.savez(data, x=X, y=np.eye(3)[LABELS])
    done = check(shelf / "sound.keras", "--data", data, "--out", tmp_path / "out", "--fit")
    assert done.code == 1 and "Not trained, as Keras refuses it" in done.out
    summary = summary_in(tmp_path / "out")
    assert summary["fit"] is None and summary["findings"][0]["symptom"] == "improper_loss"


def test_error_that_only_a_later_batch_raises(check, shelf, tmp_path, monkeypatch):
    def train(self, doctor):
        raise TypeError("no {{function_node f}} such\nbatch")

    monkeypatch.setattr(steps.Check, "_train", train)
    given = ("--data", shelf / "data.npz", "--fit", "--out")
    done = check(shelf / "faulty.keras", *given, tmp_path / "found")
    assert done.code == 1 and "as Keras refuses it: no such batch." in done.out
    assert summary_in(tmp_path / "found")["fit"] is None
    done = check(shelf / "sound.keras", *given, tmp_path / "not_found")
    assert "no such batch. The model takes (None, 6) and puts out (None, 3)" in refused(done)


def test_diverging_run_has_a_summary_without_nan(check, tmp_path):
    model = network(hidden(), loss="mse", output=None, units=1)
    model.compile(keras.optimizers.SGD(1e9), "mse")
    model.save(tmp_path / "wild.keras")
    np.savez(tmp_path / "d.npz", x=X, y=X[:, :1])
    given = (tmp_path / "wild.keras", "--data", tmp_path / "d.npz", "--out", tmp_path / "out")
    assert check(*given, "--fit", "--epochs", 2).code == 1
    summary = summary_in(tmp_path / "out")
    assert summary["fit"]["logs"]["loss"] is None and summary["data"]["held_out"]
    assert summary["fit"]["metric"] == "R²" and summary["fit"]["score"] is None
    assert summary["data"]["samples"] == 256 and summary["data"]["validation_samples"] == 64
    assert summary["fit"]["chance"] == 0


def test_model_of_one_batch_size_is_trained_on_whole_batches(check, tmp_path):
    model = keras.Sequential(
        [keras.Input((6,), batch_size=30), hidden(), layers.Dense(3, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.save(tmp_path / "thirty.keras")
    np.savez(tmp_path / "d.npz", x=X, y=LABELS, x_val=X, y_val=LABELS)
    given = (tmp_path / "thirty.keras", "--data", tmp_path / "d.npz", "--out", tmp_path / "out")
    assert check(*given, "--fit", "--epochs", 1).code == 0
    record = TrainingRecord.load(tmp_path / "out" / "record")
    assert record.network["steps_per_epoch"] == 320 // 30


def test_epochs_without_the_option_make_a_thousand_steps():
    assert steps._enough(45) == 23  # 1,035 steps
    assert steps._enough(10_000) == 5 and steps._enough(1) == 50


def test_what_keras_warns_of_is_a_finding(check, tmp_path, recwarn):
    model = network(hidden(), output="softmax", loss="binary_crossentropy", units=1)
    model.save(tmp_path / "one.keras")
    np.savez(tmp_path / "d.npz", x=X, y=LABELS == 1)
    recwarn.clear()
    given = (tmp_path / "one.keras", "--data", tmp_path / "d.npz", "--out", tmp_path / "out")
    done = check(*given, "--fit", "--epochs", 1)
    assert done.code == 1 and "softmax over one unit" in done.out.replace("\n   ", " ").lower()
    assert not [one for one in recwarn if "softmax" in str(one.message)]


def test_verdict_begins_with_the_root_of_the_first_error():
    def finding(symptom, severity, cause=None):
        return Finding(
            symptom=symptom, layers=("a",), severity=severity, first_step=0, evidence="E.",
            cause=cause,
        )  # fmt: skip

    found = [finding("unscaled_input", "warning"), finding("dying_relu", "error", "unscaled_input")]
    assert to_begin_with(found).startswith("Begin with unscaled_input in a: The inputs are not")
    assert to_begin_with(found[1:]).startswith("Begin with dying_relu in a")
    assert to_begin_with(found[:1]) == ""
    assert verdict(found[:1], watched=True).startswith("No error was found; what is warned of")
    assert "--fit" in verdict([], watched=False) and "--fit" not in verdict([], watched=True)


# ------------------------------------------------------------------ the repair


def test_repair_saves_a_model_that_trains_and_tells_what_was_changed(check, shelf, tmp_path):
    given = (shelf / "faulty.keras", "--data", shelf / "data.npz", "--out", tmp_path)
    done = check(*given, "--repair", "--epochs", 10)
    assert done.code == 1, done  # of the model as given
    repair = summary_in(tmp_path)["repair"]
    assert repair["score"] > 0.8 and repair["score"] > repair["score_before"]
    assert repair["model"] == str(tmp_path / "repaired.keras")
    assert any(one["after"] == "softmax" for one in repair["changes"])
    assert repair["attempts"][0]["number"] == 0 and repair["attempts"][0]["changes"] == []
    mended = keras.models.load_model(tmp_path / "repaired.keras")
    right = mended.predict(X[256:], verbose=0).argmax(axis=1) == LABELS[256:]
    assert right.mean() == pytest.approx(repair["score"], abs=1e-6)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (done.out, page):
        assert "What was changed" in text and repair["changes"][0]["reason"].split()[0] in text


def test_repair_that_changes_nothing_writes_no_model(check, shelf, tmp_path, monkeypatch):
    attempt = SimpleNamespace(
        number=0, changes=(), not_changed=(), findings=[], score=float("-inf"), epochs=1,
        seconds=0.1, outcome="as given [no markup]",
    )  # fmt: skip
    result = SimpleNamespace(
        model=None, attempts=[attempt], healthy=False, metric="accuracy", score=float("nan"),
        score_before=0.5, changes=(), not_changed=("Gather <more> data.",),
    )  # fmt: skip
    monkeypatch.setitem(
        sys.modules, "trainwell.recipes.repair", SimpleNamespace(repair=lambda *a, **k: result)
    )
    given = (shelf / "sound.keras", "--data", shelf / "data.npz", "--out", tmp_path)
    done = check(*given, "--repair")
    assert done.code == 0 and "By hand: Gather <more> data." in done.out
    assert "no change made it better, so that no repaired model is written" in done.out.replace(
        "\n", " "
    )
    assert {path.name for path in tmp_path.iterdir()} == FILES
    repair = summary_in(tmp_path)["repair"]
    assert repair["model"] is None and repair["score"] is None
    assert repair["attempts"][0]["score"] is None
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Gather &lt;more&gt; data." in page and "as given [no markup]" in page


def test_repaired_model_does_not_replace_the_given_one(check, shelf, tmp_path):
    (tmp_path / "repaired.keras").write_bytes((shelf / "sound.keras").read_bytes())
    given = (tmp_path / "repaired.keras", "--data", shelf / "data.npz", "--out", tmp_path)
    assert "Name another --out" in refused(check(*given, "--repair"))


# ------------------------------------------------------------------ models that are refused


def own_loss(y, outputs):
    return keras.ops.mean((y - outputs) ** 2, axis=-1)


class OwnLayer(layers.Layer):
    def call(self, inputs):
        return inputs


def two_inputs():
    first, second = keras.Input((6,)), keras.Input((6,))
    model = keras.Model([first, second], layers.Dense(3)(first + second))
    model.compile("sgd", "mse")
    return model


def uncompiled():
    return keras.Sequential([keras.Input((6,)), layers.Dense(3)])


def embedding():
    model = keras.Sequential(
        [keras.Input((6,), dtype="int32"), layers.Embedding(4, 2), layers.Flatten()]
    )
    model.add(layers.Dense(3, "softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


MODELS = {
    "not compiled": (uncompiled, "without optimizer and loss"),
    "a lambda": (lambda: network(layers.Lambda(lambda x: x)), "Lambda layer with Python code"),
    "a layer of one's own": (lambda: network(OwnLayer()), "holds the class 'OwnLayer'"),
    "a loss of one's own": (lambda: network(loss=own_loss), "holds the function 'own_loss'"),
    "two inputs": (two_inputs, "one input and one output. Received"),
    "another shape": (lambda: network(shape=(7,)), r"shape (7,). Received"),
    "indices that are not in the table": (embedding, "the inputs have the shape (256, 6)"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_models_that_are_refused(check, shelf, tmp_path, kind):
    build, words = MODELS[kind]
    build().save(tmp_path / "model.keras")
    data = shelf / "data.npz"
    if kind == "indices that are not in the table":
        data = tmp_path / "words.npz"
        np.savez(data, x_train=np.full((256, 6), 9), y_train=LABELS[:256], x_test=X, y_test=LABELS)
    done = check(tmp_path / "model.keras", "--data", data, "--out", tmp_path / "out")
    assert words in refused(done)
    assert not (tmp_path / "out" / "summary.json").exists()


def test_files_that_are_no_models(check, shelf, tmp_path):
    whole = (shelf / "sound.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.keras").write_text("hello")
    (tmp_path / "old.h5").write_bytes(whole)
    (tmp_path / "model.zip").write_bytes(whole)
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("config.json", "[]")
    for name, words in {
        "missing.keras": "cannot be opened: No such file",
        ".": "cannot be opened: Is a directory",
        "cut.keras": "damaged or cut off",
        "text.keras": "damaged or cut off",
        "old.h5": "of the older kind",
        "model.zip": "ends in .keras",
        "empty.keras": "describes no model",
    }.items():
        assert words in refused(check(tmp_path / name, "--data", shelf / "data.npz")), name


def test_damaged_weights_are_refused(check, shelf, tmp_path):
    with (
        zipfile.ZipFile(shelf / "sound.keras") as whole,
        zipfile.ZipFile(tmp_path / "model.keras", "w") as broken,
    ):
        for name in whole.namelist():
            content = whole.read(name)
            broken.writestr(name, content[:600] if name.endswith(".h5") else content)
    given = (tmp_path / "model.keras", "--data", shelf / "data.npz", "--out", tmp_path / "out")
    assert "Keras can't load" in refused(check(*given))


def test_own_modules_are_named_by_the_file(shelf):
    assert own_modules(shelf / "faulty.keras") == ["trainwell.recipes.layers.rrelu"]
    assert own_modules(shelf / "sound.keras") == []


@pytest.mark.parametrize(
    ("takes", "given", "fits"),
    [
        ((8, 8), (8, 8), True),
        ((8, 8, 1), (8, 8), True),
        ((8, 8), (8, 8, 1), True),
        ((None, 3), (12, 3), True),
        ((1,), (), True),
        ((64,), (8, 8), False),
        ((8, 8, 3), (8, 8), False),
        ((8,), (9,), False),
    ],
)
def test_shapes_fit_as_keras_makes_them_fit(takes, given, fits):
    assert _matches(takes, given) is fits
    if fits:
        model = keras.Sequential([keras.Input(takes), layers.Activation("relu")])
        assert len(model(np.zeros((2, *given))).shape) == 1 + len(takes)


# ------------------------------------------------------------------ data


def test_data_are_taken_as_they_are(tmp_path):
    images = RNG.integers(0, 256, (10, 4, 4)).astype("uint8")
    images[0, 0, 0] = 255
    targets = RNG.normal(size=(10, 2))
    np.savez(tmp_path / "d.npz", x=images, y=targets, x_val=images[:3], y_val=targets[:3])
    samples = data_of(str(tmp_path / "d.npz"), 0)
    assert samples.x.dtype == np.uint8 and samples.x.max() == 255
    np.testing.assert_array_equal(samples.y, targets)
    assert len(samples.x_validation) == 3 and not samples.held_out


def test_a_fifth_is_held_out_and_the_seed_says_which(tmp_path):
    x = np.arange(13.0)[:, None]
    np.savez(tmp_path / "d.npz", x=x, y=x[:, 0])
    one, same, other = (data_of(str(tmp_path / "d.npz"), seed) for seed in (1, 1, 2))
    assert len(one.x) == 11 and len(one.x_validation) == 2 and one.held_out
    np.testing.assert_array_equal(one.x[:, 0], one.y)
    both = np.concatenate([one.y, one.y_validation])
    np.testing.assert_array_equal(np.sort(both), np.arange(13.0))
    np.testing.assert_array_equal(one.x, same.x)
    assert not np.array_equal(one.x_validation, other.x_validation)


def test_named_data_are_those_of_load():
    samples = data_of("digits", 0)
    assert samples.x.shape == (1437, 8, 8) and samples.x.max() == 1 and not samples.held_out


NOTHING = np.empty((0, 6))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"inputs": X, "labels": LABELS}, "with inputs, labels"),
        ({"x_train_left": X, "x_train_right": X, "y_train": LABELS}, "`y_train` needs `x_train`"),
        ({"x_test": X, "y_test": LABELS}, "need the arrays x_train and y_train"),
        ({"x_train": X, "y_train": LABELS, "x_test": X}, "`x_test` needs `y_test`"),
        ({"x": X, "y": LABELS[:9]}, "320 and 9 rows"),
        ({"x": X, "y": LABELS.astype(str)}, "np.unique"),
        ({"x": X.astype(complex), "y": LABELS}, "dtype complex"),
        ({"x": NOTHING, "y": NOTHING}, "shape (0, 6)"),
        ({"x": X[:4], "y": LABELS[:4]}, "with 4 of them"),
        ({"x": np.array([{}, []], dtype=object), "y": LABELS[:2]}, "pickle runs code"),
        ({"x": X, "y": LABELS, "x_val": X[:, :2], "y_val": LABELS}, "`x` and `x_val`"),
        ({"x": X, "y": X, "x_val": X, "y_val": LABELS}, "(6,) and ()"),
    ],
)
def test_data_that_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(CommandError) as refusal:
        data_of(str(tmp_path / "d.npz"), 0)
    assert words in str(refusal.value)


def test_files_that_are_no_data(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", X)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    np.savez(tmp_path / "cut.npz", x=X, y=LABELS)
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name, words in {
        "missing.npz": "cannot be opened",
        "text.npz": "of another kind",
        "one.npz": "a single array",
        "cut.npz": "damaged",
        "data.csv": "the path of an .npz file",
    }.items():
        with pytest.raises(CommandError) as refusal:
            data_of(str(tmp_path / name), 0)
        assert words in str(refusal.value), name


def test_refusals_of_the_options(check, shelf, tmp_path):
    given = (shelf / "sound.keras", "--data", shelf / "data.npz")
    assert "--out must be a folder" in refused(check(*given, "--out", "/dev/null/folder"))
    assert "--epochs" in refused(check(*given, "--epochs", 0))
    assert "--data" in refused(check(shelf / "sound.keras"))
    assert "Did you mean 'digits'" in refused(check(shelf / "sound.keras", "--data", "digit"))
