"""`pretraining`: who gets a label, and what is told."""

import numpy as np
import pytest

from trainwell.recipes.reproduce import pretraining
from trainwell.recipes.reproduce.pretraining import labelled


def test_labels_are_spread_over_the_classes_and_fewer_are_among_the_more():
    y = np.random.default_rng(0).integers(0, 10, 2_000)
    few, more = labelled(50, 3, y), labelled(200, 3, y)
    for chosen, each in ((few, 5), (more, 20)):
        assert len(set(chosen.tolist())) == 10 * each
        np.testing.assert_array_equal(np.bincount(y[chosen]), [each] * 10)
    assert set(few) < set(more)
    assert set(labelled(50, 4, y)) != set(few)


@pytest.mark.parametrize(
    ("rbm", "modern", "said"),
    [
        (80.0, 90.0, ("trainable holds here", "today's network does better and needs no")),
        (80.0, 81.0, ("trainable holds here", "today's network does as well")),
        (80.0, 70.0, ("trainable holds here", "today's network does worse")),
        (30.0, 90.0, ("trainable does not hold here", "today's network does better")),
    ],
)
def test_the_numbers_decide_what_is_told(rbm, modern, said):
    ends = {
        "sigmoid, from scratch": [40.0, 80.0],
        "sigmoid, RBMs": [rbm, 85.0],
        "ReLU and He, from scratch": [modern, 95.0],
    }
    accuracy = {way: np.array([one]) for way, one in ends.items()}
    told = pretraining._told(accuracy, (100, 1_000), "drawn", 500)
    for part in (*said, f"from 40.0% to {rbm:.1f}%", f"is 5.0 points instead of {rbm - 40:.1f}"):
        assert part in told


def test_every_way_gives_an_accuracy_for_each_number_of_labels():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 4)
    x = np.eye(10, dtype="float32")[y] + rng.uniform(0, 0.1, (40, 10)).astype("float32")
    data = pretraining.Dataset(x, y, x, y, "drawn", 10)
    size = pretraining.Size(images=40, labels=(10, 20), epochs=1, tuning_steps=40)
    accuracy, kernel = pretraining._of_seed("ReLU and He, from scratch", 0, size, data)
    assert accuracy.shape == (2,)
    assert accuracy.min() > 50  # one-hot inputs
    assert kernel.shape == (10, 100)
