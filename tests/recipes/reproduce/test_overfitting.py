"""`overfitting`: accuracies and costs by hand, and where early stopping ends a run."""

import numpy as np
import pytest

from trainwell.recipes.reproduce.outcome import Setting
from trainwell.recipes.reproduce.overfitting import (
    Course,
    Parts,
    _parts,
    _told,
    measures,
    run,
    stopped,
    stops,
)


def test_accuracy_and_cost_by_hand():
    y = np.array([[1.0, 0.0], [0.0, 1.0]])
    outputs = np.array([[[0.8, 0.1], [0.6, 0.5]], [[0.5, 0.4], [0.2, 1.0]]])
    accuracy, cost = measures(outputs, y)
    assert accuracy.tolist() == [50, 100]
    first = -(np.log(0.8) + np.log(0.9) + np.log(0.4) + np.log(0.5)) / 2
    second = -(np.log(0.5) + np.log(0.6) + np.log(0.8) + np.log(1.0)) / 2
    np.testing.assert_allclose(cost, [first, second])


def test_a_sure_mistake_costs_no_more_than_keras_says():
    _, cost = measures(np.array([[[0.0, 0.0]]]), np.array([[1.0, 0.0]]))
    assert cost[0] == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize(
    ("accuracy", "wait", "expected"),
    [
        ([1, 2, 3, 3, 3, 9], 2, (4, 2)),  # two epochs without a better one, the best was 2
        ([1, 2, 3, 3, 3, 9], 3, (5, 5)),  # waits long enough
        ([5, 4, 4, 4], 1, (1, 0)),
        ([1, 2, 3], 10, (2, 2)),  # goes through
    ],
)
def test_no_improvement_in_n(accuracy, wait, expected):
    assert stopped(np.array(accuracy, "float64"), wait) == expected


def course(test, validation=None, train=100.0):
    test = np.array(test, "float64")[:, None]
    return Course(
        np.full_like(test, train), test if validation is None else np.array(validation)[:, None],
        test, np.zeros_like(test), 101 - test,
    )  # fmt: skip


def test_the_test_set_does_not_choose_the_epoch():
    one = course(test=[70, 90, 60, 95, 50], validation=[1, 2, 3, 3, 3])
    epochs, kept = stops(one, 2)
    assert (epochs.tolist(), kept.tolist()) == ([5], [60])


def test_what_is_told_turns_with_the_numbers():
    data = Parts((np.zeros((7, 1)), None), None, None, "digits")
    low, high = course([70, 80, 75]), course([70, 80, 85])
    told = _told({0.0: low, 0.1: high}, data)
    assert "lambda 0.1 helps holds: test accuracy +10.0 points, a gap of 15.0" in told
    assert "the test cost rises again by 24%" in told  # from 21 to 26
    told = _told({0.0: high, 0.1: low}, data)
    assert "helps does not hold here: test accuracy -10.0 points, a gap of 25.0" in told
    assert "does not rise again" in told


def test_parts_of_the_digits_do_not_overlap():
    data = _parts(Setting(quick=True, data="digits"))
    assert [len(x) for x, _ in data[:3]] == [500, 500, 360]
    assert data.train[0].shape == (500, 64) and data.train[1].shape == (500, 10)
    rows = {one.tobytes() for one in data.train[0]}
    assert not rows & {one.tobytes() for one in data.validation[0]}
    assert data.train[0].min() >= 0 and data.train[0].max() == 1


def test_small_run_on_digits():
    outcome = run(Setting(quick=True, seeds=1, data="digits"))
    rows = {row.what: row.mean for row in outcome.rows}
    test = rows["lambda 0: test accuracy after epoch 40"] / 100
    train = rows["lambda 0: training accuracy there"] / 100
    # More than what 360 test images can be off by chance.
    assert train - test > 2 * np.sqrt(test * (1 - test) / 360)
    waits = [rows[f"lambda 0, no improvement in {wait}: epochs"] for wait in (10, 20, 30)]
    assert 11 <= waits[0] <= waits[1] <= waits[2] <= 40
    assert set(outcome.figures) == {"overfitting"}
