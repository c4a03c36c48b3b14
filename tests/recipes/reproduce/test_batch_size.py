"""`batch-size`: its rates, its clock, and the linear rule that it puts to the test."""

import numpy as np
import pytest

from trainwell.recipes.reproduce import batch_size
from trainwell.recipes.reproduce._nielsen import Images
from trainwell.recipes.reproduce.batch_size import Curve, rates, seconds_to


def test_rates_by_three_rules_each_once():
    assert rates(10) == [0.1]
    assert rates(1_000) == [0.1, 1.0, 10.0]
    assert rates(1) == [0.01, 0.0316, 0.1]
    assert rates(100, ["rate by the batch"]) == [1.0]


def test_the_first_epoch_at_the_goal_counts():
    accuracy = np.array([[10.0, 50.0], [60.0, 55.0], [90.0, 58.0]])
    np.testing.assert_array_equal(seconds_to(60.0, accuracy, 2.0), [4.0, np.inf])


def test_ten_batches_of_one_are_one_of_ten_at_a_tenth_of_the_rate():
    """To first order in the rate: the error of a step is of the second."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(20, 6)).astype("float32")
    y = np.eye(10, dtype="float32")[rng.integers(0, 10, 20)]
    data = Images(x, y, x, y, "drawn")
    weights = {}
    for size, rate in ((1, 1e-3), (10, 1e-2)):
        replicas = batch_size.replicate(batch_size._built(rate, data), [3])
        before = replicas.models[0].get_weights()
        replicas.fit(x, y, epochs=1, batch_size=size)
        weights[size] = replicas.models[0].get_weights()
    for old, one, ten in zip(before, weights[1], weights[10], strict=True):
        moved = np.linalg.norm(ten - old)
        assert moved > 0
        assert np.linalg.norm(one - ten) < 0.05 * moved


@pytest.mark.parametrize(
    ("ratio", "accuracy", "said"),
    [
        (30.0, 50.0, ("that batches pay holds", "want a larger rate")),
        (1.1, 95.0, ("that batches pay does not hold", "gain nothing by a larger rate")),
    ],
)
def test_the_numbers_decide_what_is_told(ratio, accuracy, said):
    x = np.zeros((100, 4), "float32")
    data = Images(x, x, x, x, "drawn")
    small = Curve(10, 0.1, np.array([[80.0], [90.0]]))
    same, larger = (
        Curve(100, r, np.array([[9.0], [a]])) for r, a in ((0.1, accuracy), (1.0, 85.0))
    )
    best = {10: small, 100: max(same, larger, key=lambda one: one.end)}
    waits = {10: np.array([1.5]), 100: np.array([np.inf])}
    told = batch_size._told(
        {"compiled loop": [ratio]}, best, [small, same, larger], waits, 80.0, data
    )
    for part in (*said, "10 in 1.5 s, 100 not within the run; 10 is the fastest"):
        assert part in told
