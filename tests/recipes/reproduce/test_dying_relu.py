"""Shares of dead units, and the rate that kills most."""

import numpy as np

from trainwell.recipes.reproduce._dying_relu_words import (
    Deaths,
    best_rate,
    deadliest,
    larger_kill,
    rows,
    told,
)
from trainwell.recipes.reproduce.dying_relu import KINDS, run, share
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


def test_what_diverged_is_left_out_and_counted():
    nan, kinds = np.nan, KINDS[:2]
    dead = np.array([[[2.0, 4.0], [30.0, nan]], [[0.0, 0.0], [nan, nan]]])
    accuracy = np.array([[[90.0, 92.0], [20.0, nan]], [[91.0, 93.0], [nan, nan]]])
    woken = np.array([[0.0, 0.0], [50.0, 70.0]])
    given = kinds, dead, woken, accuracy, (0.1, 0.7), ([0.0, 0.0], [94.0, 96.0])
    said = told(Deaths(*given), 0.03)
    for part in (
        "of the runs that did not diverge: 3% at 0.1, 30% at 0.7 (1 of 2 diverged)",
        "half of the units are not reached, 30% at most; a run that diverges has none to count",
        "At rate 0.7 ReLU reaches 20.0% (1 of 2 diverged); more: batch normalization 95.0%; in "
        "all runs diverged: leaky ReLU 0.01.",
    ):
        assert part in said
    found = {row.what: row.ours for row in rows(Deaths(*given))}
    assert found["accuracy, rate 0.7, ReLU (1 of 2 diverged)"] == [20.0]
    assert found["accuracy at its best rate, leaky ReLU 0.01"] == [91.0, 93.0]
    assert not any("accuracy, rate 0.7, leaky" in what for what in found)
    assert best_rate(np.array([[50.0, 50.0], [99.0, nan]])) == 0  # (99 + 0) / 2


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
        np.testing.assert_array_equal(np.isnan(accuracy), diverged)
    by_layer = np.mean(outcome.summary["dead_by_layer_relu"], axis=1)
    np.testing.assert_allclose(by_layer, np.ravel(outcome.summary["dead"]["ReLU"]), rtol=1e-6)
    assert set(outcome.figures) == {"rates", "woken"}
