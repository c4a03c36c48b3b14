"""Shares of dead units, and the rate that kills most."""

import numpy as np

from trainwell.recipes.reproduce.dying_relu import KINDS, deadliest, larger_kill, run, share
from trainwell.recipes.reproduce.outcome import Setting


def test_the_share_is_over_layers_and_units():
    asleep = np.zeros((1, 1, 2, 2, 5), bool)
    asleep[0, 0, 1, 0, :3] = True
    assert share(asleep).tolist() == [[[0.0, 30.0]]]


def test_the_deadliest_rate_leaves_out_what_diverged():
    nan = np.nan
    relu = [[1.0, 3.0], [nan, 40.0], [nan, nan]]
    others = [[90.0, 90.0]] * 3
    assert deadliest(np.array([relu, others])) == 1


def test_whether_larger_rates_kill_more():
    assert larger_kill([1.0, 3.0, 4.0, np.nan], 1) == "holds"
    assert larger_kill([1.0, 9.0, 4.0, 5.0], 1) == "does not hold here"
    assert larger_kill([1.0, 9.0, np.nan], 1) == "is undecided, as all of them diverged"


def test_no_training_wakes_a_relu_of_the_first_layer():
    outcome = run(Setting(quick=True, seeds=1, data="digits"))
    found = {row.what: row for row in outcome.rows}
    assert found["woken of those put to sleep, ReLU"].ours == [0.0]
    for kind in KINDS:
        dead, accuracy = (
            np.array(outcome.summary[name][kind.label]) for name in ("dead", "accuracy")
        )
        diverged = np.array(outcome.summary["diverged"][kind.label], bool)[:, None]
        np.testing.assert_array_equal(np.isnan(dead), diverged)
        assert not accuracy[diverged].any()
    by_layer = np.mean(outcome.summary["dead_by_layer_relu"], axis=1)
    np.testing.assert_allclose(by_layer, np.ravel(outcome.summary["dead"]["ReLU"]), rtol=1e-6)
    assert set(outcome.figures) == {"rates", "woken"}
