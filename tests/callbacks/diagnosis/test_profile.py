"""The line through the log norms over depth, against numbers worked out by hand."""

import numpy as np
import pytest
from records import dense_network, hidden_names, record_of

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks.diagnosis._learning import learning_of
from trainwell.callbacks.diagnosis._profile import (
    NORMALIZED_GROWTH,
    fitted,
    has_shortcuts,
    hidden_layers,
    log_medians,
    normalized_share,
    profile_of,
)

ALL = np.arange(100)


def test_a_line_is_fitted_exactly_and_its_rise_is_slope_times_layers():
    record = record_of(5, kernel=10.0 ** np.array([-4, -3, -2, -1, 0, 3]))
    profile = profile_of(record, ALL)
    assert profile.layers == tuple(hidden_names(5))
    np.testing.assert_allclose([profile.slope, profile.decades], [1, 4], rtol=1e-6)
    assert profile.error < 1e-6 and profile.is_clear
    assert profile.below(3) == ("hidden_1", "hidden_2")


def test_speeds_are_relative_to_the_weights():
    weight = np.array([1.0, 10, 100, 1000, 5])
    profile = profile_of(record_of(4, kernel=2 * weight, weight=weight), ALL)
    np.testing.assert_allclose(profile.logs, np.log10(2), rtol=1e-6)
    assert abs(profile.slope) < 1e-6


def test_what_an_l2_penalty_adds_is_taken_off():
    """Data gradients of 0.01 to 1 under a penalty's of 2 * 0.01 * 5 = 0.1, at a right angle."""
    data = 10.0 ** np.array([-2, -1.5, -1, -0.5, 0])
    network = dense_network(4)
    for layer in network["layers"]:
        layer["kernel_regularizer"] = {"l1": 0.0, "l2": 0.01}
    recorded = np.hypot(data, 0.1)
    plain = profile_of(record_of(4, kernel=recorded, weight=5.0), ALL)
    taken_off = profile_of(record_of(4, kernel=recorded, weight=5.0, network=network), ALL)
    np.testing.assert_allclose(taken_off.logs, np.log10(data[:4] / 5), rtol=1e-3)
    np.testing.assert_allclose(taken_off.slope, 0.5, rtol=1e-3)
    assert plain.slope < 0.3


def test_of_a_penalty_alone_no_more_is_taken_off_than_rounding_allows():
    network = dense_network(3)
    for layer in network["layers"]:
        layer["kernel_regularizer"] = {"l1": 0.0, "l2": 0.01}
    record = record_of(3, kernel=0.1, weight=5.0, network=network)
    np.testing.assert_allclose(profile_of(record, ALL).logs, np.log10(0.003 * 0.1 / 5), rtol=1e-3)


def test_one_layer_far_off_does_not_move_the_slope():
    depths = np.arange(9.0)
    logs = 0.5 * depths
    logs[0] = 10  # a first layer on raw pixels, say
    slope, error = fitted(depths, logs, np.zeros(9))
    assert slope == 0.5 and error == 0


def test_error_of_two_layers_comes_from_the_steps():
    # Deviation 0.2 for both and squares about the mean of depth 0 and 1 summing to 1/2.
    slope, error = fitted(np.array([0.0, 1.0]), np.array([0.0, 0.3]), np.array([0.1, 0.2]))
    np.testing.assert_allclose([slope, error], [0.3, 0.2 * np.sqrt(2)])


def test_median_over_the_window_and_its_error():
    values = np.array([[1, 0.0], [10, 0], [100, 5], [np.nan, 0]])
    medians, errors = log_medians(values)
    np.testing.assert_array_equal(medians, [1, np.nan])  # the second is 0 in most rows
    np.testing.assert_allclose(errors[0], np.sqrt(np.pi / 2) * 1.4826 / np.sqrt(3))


@pytest.mark.parametrize(("layers", "rate"), [(3, 0.22), (6, 0.041), (10, 0.042), (20, 0.017)])
def test_how_often_a_level_profile_with_scatter_is_called_clear(layers, rate):
    generator = np.random.default_rng(1)
    depths, draws = np.arange(float(layers)), 400
    found = [
        fitted(depths, generator.normal(0, 0.2, layers), np.zeros(layers)) for _ in range(draws)
    ]
    clear = np.mean([abs(slope) > 3 * error for slope, error in found])
    assert abs(clear - rate) < 3.3 * np.sqrt(rate * (1 - rate) / draws)  # 1 in 1,000 by chance
    # By chance no slope makes the 2 decades of an error.
    assert max(abs(slope) for slope, _ in found) * (layers - 1) < 2


def test_depth_is_that_of_the_graph_where_it_is_known():
    network = dense_network(4)
    for at, fed_by in enumerate([[], [0], [0], [1, 2], [3]]):  # two branches side by side
        network["layers"][at]["inputs"] = fed_by
    profile = profile_of(record_of(4, network=network), ALL)
    assert profile.depths.tolist() == [0, 1, 1, 2]
    network["layers"][2]["inputs"] = None
    assert profile_of(record_of(4, network=network), ALL).depths.tolist() == [0, 1, 2, 3]


def test_embeddings_are_left_out_and_missing_groups_are_no_error():
    record = record_of(3)
    record.groups["gradients"].columns[0]["path"] = "hidden_1/embeddings"
    assert hidden_layers(record) == ["hidden_2", "hidden_3"]
    assert hidden_layers(TrainingRecord()) == []
    assert profile_of(record_of(1), ALL) is None


def test_what_the_network_says_of_normalization_and_shortcuts():
    network = dense_network(4)
    assert normalized_share(record_of(4, network=network), hidden_names(4)) == 0
    assert not has_shortcuts(record_of(4, network=network))
    network["layers"] += [
        {"path": "bn", "class": "BatchNormalization", "normalizes": True},
        {"path": "add", "class": "Add", "merges": True},
    ]
    assert normalized_share(record_of(4, network=network), hidden_names(4)) == 0.25
    assert has_shortcuts(record_of(4, network=network))
    np.testing.assert_allclose(10**NORMALIZED_GROWTH, 1.2112, atol=1e-4)


@pytest.mark.parametrize(
    ("loss", "steps", "begun", "stuck"),
    [
        (np.log(10), 100, False, True),
        (np.log(10), 99, False, False),  # not yet 100 steps
        (0.97 * np.log(10), 100, False, True),  # under PROGRESS
        (0.9 * np.log(10), 100, True, False),
        (np.geomspace(1e6, 1e3, 100), 100, False, False),  # far off, on its way
        (1e3, 100, False, True),
    ],
)
def test_progress_is_measured_from_the_best_constant_prediction(loss, steps, begun, stuck):
    learning = learning_of(record_of(steps=steps, loss=loss))
    assert (learning.has_begun, learning.is_stuck) == (begun, stuck)


def test_progress_has_to_stand_out_of_the_noise():
    noisy = np.tile([0.0, 2 * np.log(10) - 0.5], 50)  # mean 11% below, error of the mean 22%
    assert not learning_of(record_of(loss=noisy)).has_begun


def test_baseline_of_the_data_and_accuracy_come_first():
    assert learning_of(record_of(loss=50.0, baseline=100.0)).share == 0.5
    record = record_of(loss=3.0, epochs=[{"accuracy": 0.8}])
    record.data = {"baseline": {"loss": None, "accuracy": 0.5}}
    assert learning_of(record).has_begun  # a penalty may keep the loss up
    np.testing.assert_allclose(learning_of(record).share, 0.6)


def test_a_run_that_ends_in_nan_has_not_learned():
    loss = np.r_[np.full(80, 0.1), np.full(20, np.nan)]
    assert not learning_of(record_of(loss=loss)).has_begun


def test_without_a_baseline_nothing_is_called_stuck():
    network = dense_network(loss="custom")
    learning = learning_of(record_of(loss=1e-3, network=network))
    assert not learning.has_begun and not learning.is_stuck  # it may be a model trained before
    assert learning_of(record_of(loss=np.geomspace(9, 1, 100), network=network)).has_begun
    below_zero = learning_of(record_of(loss=-0.9, network=network))
    assert below_zero.share is None and below_zero.evidence == "the loss is not known"


def test_a_run_is_over_at_its_last_recorded_step():
    falling = np.geomspace(1e6, 1e3, 50)  # would count as on its way
    assert learning_of(record_of(steps=50, every=10, loss=falling)).is_stuck  # 500 planned
    assert not learning_of(record_of(steps=48, every=10, loss=falling[:48])).is_stuck
