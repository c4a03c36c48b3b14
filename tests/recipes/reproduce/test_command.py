"""`trainwell reproduce`: its catalog, what it refuses, what it writes."""

import json
from importlib import import_module

import numpy as np
import pytest
from typer.testing import CliRunner

from trainwell.recipes._command_line import CommandError
from trainwell.recipes._reproduce_command import _duration, _left_only_if_filled
from trainwell.recipes.cli import app
from trainwell.recipes.reproduce import depth_accuracy, learning_speed, overfitting
from trainwell.recipes.reproduce._nielsen import Images, images
from trainwell.recipes.reproduce.catalog import EXPERIMENTS, experiment
from trainwell.recipes.reproduce.outcome import Outcome, Row, Setting, counted, write


def test_the_list_has_one_name_a_line():
    done = CliRunner().invoke(app, ["reproduce", "--list"])
    assert done.exit_code == 0
    names = done.stdout.splitlines()
    assert names == [one.name for one in EXPERIMENTS]
    assert {"depth-accuracy", "learning-speed", "chain-rule", "initialization"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", [one.name for one in EXPERIMENTS])
def test_each_experiment_has_its_module(name):
    module = import_module(f"trainwell.recipes.reproduce.{experiment(name).module}")
    assert callable(module.run)


def test_an_unknown_name_is_refused_with_the_nearest():
    done = CliRunner().invoke(app, ["reproduce", "learning-sped"])
    assert done.exit_code != 0
    assert "Did you mean 'learning-speed'?" in str(done.exception)


def test_every_experiment_says_how_long_it_takes():
    assert all(1 <= one.minutes <= 60 for one in EXPERIMENTS)
    long, short = experiment("depth-accuracy"), experiment("chain-rule")
    assert f"about {long.minutes} minutes on one core; `--quick`" in _duration(long, False, None)
    assert "about 1 minute on one core with as many seeds as usual" in _duration(short, False, 7)
    assert "20 seconds" in _duration(long, True, None) and "minute" not in _duration(long, True, 3)


def arrays(folder, name="drawn", samples=1_300, shape=(5,), classes=10):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(samples, *shape)).astype("float32")
    y = np.arange(samples) % classes
    path = folder / f"{name}.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:100], y_test=y[:100])
    return str(path)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("learning-speed", {"classes": 26}, "10 outputs, one a class. Received: 'drawn' with 26"),
        ("overfitting", {"classes": 26}, "10 outputs, one a class. Received: 'drawn' with 26"),
        ("schedules", {"samples": 11}, "1,250 training examples at least. Received: 'drawn' with"),
        ("clipping", {"shape": (150,)}, "square images of one channel"),
        ("pretraining", {"shape": (150,)}, "square images of one channel"),
    ],
)
def test_data_that_cannot_be_used_are_refused_and_leave_no_folder(tmp_path, name, given, said):
    out = tmp_path / "new" / "out"
    arguments = ["reproduce", name, "--quick", "--data", arrays(tmp_path, **given), "--out", out]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert isinstance(done.exception, CommandError)
    assert said in str(done.exception) and "\n" not in str(done.exception)
    assert not out.parent.exists()
    assert experiment(name).title in done.stdout


def test_a_folder_that_was_there_or_holds_something_stays(tmp_path):
    (tmp_path / "there").mkdir()
    for folder, written in ((tmp_path / "there", False), (tmp_path / "a" / "b", True)):
        with pytest.raises(KeyboardInterrupt), _left_only_if_filled(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if written:
                (folder / "figure.png").touch()
            raise KeyboardInterrupt
        assert folder.is_dir()


def test_fewer_than_60000_examples_are_split_without_overlap(tmp_path):
    """At 50,000, as of CIFAR-10, nothing would be left behind the training images."""
    for samples, quick, sizes in ((1_300, False, (1_040, 260)), (50_000, True, (5_000, 2_000))):
        path = arrays(tmp_path, samples=samples, shape=(2,))
        data = images(Setting(quick=quick, data=path))
        assert (len(data.x), len(data.x_validation)) == sizes
        assert len(data.y) == len(data.x) and len(data.y_validation) == len(data.x_validation)
        rows = {one.tobytes() for one in data.x}
        assert not rows & {one.tobytes() for one in data.x_validation}


@pytest.mark.parametrize(("name", "there"), [("mnist", True), ("fashion", False)])
def test_the_texts_numbers_stand_beside_mnist_alone(tmp_path, name, there, monkeypatch):
    monkeypatch.setattr(learning_speed, "_over_epochs", lambda layers, *_: np.ones((2, layers)))
    path = arrays(tmp_path, name=name)
    assert images(Setting(data=path)).of_the_text is there
    assert overfitting._parts(Setting(data=path)).of_the_text is there
    rows = learning_speed.run(Setting(quick=True, seeds=1, data=path)).rows
    assert [row.text is not None for row in rows] == [there] * 3


def test_one_seed_is_one_seed():
    assert [counted(n, "seed") for n in (1, 2, 1_000)] == ["1 seed", "2 seeds", "1,000 seeds"]
    data = Images(*(np.zeros((1, 1)),) * 4, "drawn")
    ratios = {"2": np.array([6.0])}
    told = learning_speed._told(ratios, {"2": [6.0]}, data)
    assert "6 times with 2 hidden layers as fast as the first: of 1 seed on drawn" in told
    assert "[" not in told and "median" not in told


def test_rows_tell_mean_and_deviation(tmp_path):
    rows = [Row(what="one", ours=[1.0, 3.0], text=2.5, unit="%"), Row(what="|w|", ours=[7.0])]
    outcome = Outcome(rows=rows, told="So it is.", summary={"nothing": float("nan")})
    setting = Setting(quick=True)
    assert [setting.seeds_or(5, quick=2), setting.seeds_or(3, quick=1)] == [[0, 1], [0]]
    write(outcome, experiment("chain-rule"), setting, 1.25, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["rows"][0]["mean"] == 2.0
    assert summary["rows"][0]["deviation"] == pytest.approx(2**0.5)
    assert summary["rows"][1]["deviation"] is None and summary["nothing"] is None
    assert summary["seeds"] == 2 and summary["seeds_given"] is None
    assert "| one | 2 ± 1.414 % | 2 | 2.5 % |" in (tmp_path / "table.md").read_text()
    assert "| \\|w\\| | 7 | 1 |  |" in (tmp_path / "table.md").read_text()


def test_layers_are_compared_within_one_network():
    norms = np.array([[1.0, 2.0, 6.0], [1.0, 4.0, 4.0], [1.0, 8.0, 16.0]])
    assert learning_speed.faster(norms) == [4.0, 2.0]
    data = Images(*(np.zeros((1, 1)),) * 4, "drawn")
    ratios = {"2": np.array([2.0, 3.0]), "3": np.array([9.0, 8.0])}
    told = learning_speed._told(ratios, {"2": [2.5], "3": [4.0, 2.0]}, data)
    assert "more slowly holds: from the second on" in told
    assert "with 3 hidden layers 4, 2 times as fast as the one before it (medians)" in told
    # The deeper network's ratio is larger, and yet its second layer is not slower than its third.
    told = learning_speed._told(ratios, {"2": [2.5], "3": [12.0, 0.7]}, data)
    assert "more slowly does not hold here" in told


def test_learning_speed_at_the_start():
    """Each layer further from the output learns slower: the ratio grows with the layers."""
    outcome = learning_speed.run(Setting(quick=True, seeds=4, data="digits"))
    ratios = outcome.summary["last_over_first"]
    assert list(ratios) == ["2", "3", "4"]
    assert 1 < ratios["2"] < ratios["3"] < ratios["4"]
    steps = outcome.summary["layer_over_the_one_before"]
    assert [len(one) for one in steps.values()] == [1, 2, 3]
    assert steps["2"] == [pytest.approx(ratios["2"])]
    assert [len(row.ours) for row in outcome.rows] == [4, 4, 4]
    assert set(outcome.figures) == {"speed", "neurons"}


def test_windows_narrow_at_the_ends_so_that_a_line_stays_one():
    """Geometric means of symmetric windows leave an exponential as it is."""
    values = 0.9 ** np.arange(40.0)
    np.testing.assert_allclose(learning_speed._smooth(values), values, rtol=1e-12)


def test_depth_accuracy_has_a_row_for_each_depth():
    outcome = depth_accuracy.run(Setting(quick=True, seeds=1, data="digits"))
    assert [row.what[0] for row in outcome.rows] == ["1", "2", "3", "4"]
    assert all(row.text is None for row in outcome.rows)  # the text's are of 30 epochs of MNIST
    # A deep sigmoid network is still near chance when a shallow one is not.
    assert outcome.rows[0].mean > outcome.rows[3].mean
