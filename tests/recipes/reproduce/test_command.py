"""`trainwell reproduce`: its catalog, what it refuses, what it writes."""

import json
from importlib import import_module

import numpy as np
import pytest
from typer.testing import CliRunner

from trainwell.recipes.cli import app
from trainwell.recipes.reproduce import depth_accuracy, learning_speed
from trainwell.recipes.reproduce.catalog import EXPERIMENTS, experiment
from trainwell.recipes.reproduce.outcome import Outcome, Row, Setting, write


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


def test_rows_tell_mean_and_deviation(tmp_path):
    rows = [Row(what="one", ours=[1.0, 3.0], text=2.5, unit="%"), Row(what="two", ours=[7.0])]
    outcome = Outcome(rows=rows, told="So it is.", summary={"nothing": float("nan")})
    write(outcome, experiment("chain-rule"), Setting(quick=True), 1.25, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["rows"][0]["mean"] == 2.0
    assert summary["rows"][0]["deviation"] == pytest.approx(2**0.5)
    assert summary["rows"][1]["deviation"] is None and summary["nothing"] is None
    assert "| one | 2 ± 1.414 % | 2 | 2.5 % |" in (tmp_path / "table.md").read_text()


def test_learning_speed_at_the_start():
    """Each layer further from the output learns slower: the ratio grows with the layers."""
    outcome = learning_speed.run(Setting(quick=True, seeds=4, data="digits"))
    ratios = outcome.summary["last_over_first"]
    assert list(ratios) == ["2", "3", "4"]
    assert 1 < ratios["2"] < ratios["3"] < ratios["4"]
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
