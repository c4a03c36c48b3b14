"""What each run of a search is fed."""

import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.search._feeding import Feed

X = np.arange(10, dtype="float64").reshape(10, 1)
Y = np.arange(10)


def rows(data):
    return [batch[0].numpy().ravel().tolist() for batch in data]


def epoch(data):
    return [value for batch in rows(data) for value in batch]


def test_each_epoch_has_an_order_of_its_own_and_each_seed_repeats_its_orders():
    feed = Feed({"x": X, "y": Y}, as_it_is=False)
    first, again, other = (feed.arguments(4, seed)["x"] for seed in (1, 1, 2))
    epochs, repeated = [epoch(first), epoch(first)], [epoch(again), epoch(again)]
    assert epochs == repeated
    assert epochs[0] != epochs[1]
    assert epoch(other) != epochs[0]
    assert sorted(epochs[0]) == list(range(10))


def test_inputs_and_targets_stay_together_in_batches_of_the_size_asked_for():
    feed = Feed({"x": X, "y": Y, "sample_weight": 2.0 * Y}, as_it_is=False)
    batches = list(feed.arguments(4, 0)["x"])
    assert [len(batch[0]) for batch in batches] == [4, 4, 2]
    for x, y, weight in batches:
        assert x.numpy().ravel().tolist() == y.numpy().tolist()
        assert weight.numpy().tolist() == (2 * y).numpy().tolist()
    assert x.dtype == tf.float32


def test_a_split_takes_the_last_rows_as_fit_does_and_validates_them_in_order():
    feed = Feed({"x": X, "y": Y, "validation_split": 0.3}, as_it_is=False)
    found = feed.arguments(4, 0)
    assert sorted(epoch(found["x"])) == list(range(7))
    assert rows(found["validation_data"]) == [[7.0, 8.0, 9.0]]
    assert feed.validation_samples == 3
    assert "validation_split" not in found


def test_validation_data_are_batched_apart():
    feed = Feed({"x": X, "y": Y, "validation_data": (X[:3], Y[:3])}, as_it_is=False)
    assert rows(feed.arguments(2, 0)["validation_data"]) == [[0.0, 1.0, 2.0]]


def test_without_shuffling_the_order_stays():
    assert epoch(Feed({"x": X, "y": Y, "shuffle": False}, False).arguments(3, 5)["x"]) == list(
        range(10)
    )


def test_inputs_by_name():
    feed = Feed({"x": {"a": X, "b": -X}, "y": Y}, as_it_is=False)
    inputs, targets = next(iter(feed.arguments(10, 0)["x"]))
    assert (inputs["a"] == -inputs["b"]).numpy().all()
    assert inputs["a"].numpy().ravel().tolist() == targets.numpy().tolist()


def test_data_that_are_no_arrays_go_to_fit_as_they_are():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)
    found = Feed({"x": data, "class_weight": {0: 1.0}}, as_it_is=False).arguments(4, 0)
    assert found == {"x": data, "class_weight": {0: 1.0}}


def test_a_fit_of_the_users_own_gets_its_arrays():
    found = Feed(
        {"x": X, "y": Y, "validation_split": 0.3, "batch_size": 8}, as_it_is=True
    ).arguments(4, 0)
    assert found["x"] is X
    assert found["validation_split"] == 0.3
    assert found["batch_size"] == 4


@pytest.mark.parametrize(
    ("steps", "epochs", "examples"), [(6, 2, 20), (4, 1, 14), (0, 0, 0), (3, 1, 10)]
)
def test_examples_seen(steps, epochs, examples):
    # Ten examples in batches of four are three steps an epoch.
    feed = Feed({"x": X, "y": Y, "batch_size": 4}, as_it_is=False)
    assert feed.examples_in(steps, epochs, None) == examples


def test_arrays_of_several_lengths_are_refused():
    with pytest.raises(ValueError, match=r"same number of examples.*Received: \(10, 1\), \(9,\)"):
        Feed({"x": X, "y": Y[:9]}, as_it_is=False)


def test_other_data_are_described_otherwise():
    own = Feed({"x": X, "y": Y}, False).describe()
    assert own == Feed({"x": X.copy(), "y": Y}, False).describe()
    assert own != Feed({"x": X + 1, "y": Y}, False).describe()


def test_a_list_is_several_inputs_as_to_fit():
    feed = Feed({"x": [X, -X], "y": Y, "validation_split": 0.2}, as_it_is=False)
    inputs, targets = next(iter(feed.arguments(10, 0)["x"]))
    assert (inputs[0] == -inputs[1]).numpy().all()
    assert inputs[0].numpy().ravel().tolist() == targets.numpy().tolist()
    assert feed.validation_samples == 2


def test_inputs_that_are_not_finite_are_told():
    bad = X.copy()
    bad[3], bad[5] = np.nan, np.inf
    assert Feed({"x": X, "y": Y}, False).warnings() == []
    (sentence,) = Feed({"x": bad, "y": Y}, False).warnings()
    assert "2 values" in sentence
