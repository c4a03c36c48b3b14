"""Vanishing and exploding gradients: planted and found, almost there, and absent."""

import numpy as np
import pytest
from records import LN_10, dense_network, norms_over_depth, record_of

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks.diagnosis.gradients import exploding_gradient, vanishing_gradient

SIGMOID = 0.25  # its largest slope


def only(findings):
    (finding,) = findings
    return finding


def vanishing(**options):
    return list(vanishing_gradient(record_of(**options)))


def exploding(**options):
    return list(exploding_gradient(record_of(**options)))


# ---------------------------------------------------------------------- vanishing


def test_a_deep_sigmoid_network_that_does_not_learn():
    finding = only(vanishing(depth=8, kernel=norms_over_depth(8, SIGMOID), activation="sigmoid"))
    assert finding.symptom == "vanishing_gradient" and finding.severity == "error"
    assert finding.layers[0] == "hidden_1" and "hidden_8" not in finding.layers
    assert finding.first_step == 0
    assert "1.64e+04 times, 4 times a layer" in finding.evidence  # 4 to the 7th
    assert finding.remedies[0].kind == "activation"


@pytest.mark.parametrize(
    ("depth", "steps", "loss", "severity"),
    [
        (4, 100, LN_10, "warning"),  # 1.8 decades
        (6, 100, LN_10, "error"),  # 3.0
        (5, 30, LN_10, None),  # too early to say
        (6, 30, LN_10, "warning"),
        (7, 30, LN_10, "warning"),  # 3.6
        (9, 30, LN_10, "error"),  # 4.8: rounded away
        (9, 1, LN_10, "error"),  # seen before training
        (9, 100, 0.8 * LN_10, "warning"),  # learns, mostly in its last layers
        (9, 500, 0.8 * LN_10, "error"),  # rests there at the end of the plan
        (9, 500, 0.7 * LN_10, "warning"),
        (9, 100, 0.1, "info"),  # has learned
        (4, 100, 0.8 * LN_10, None),  # Nielsen's networks, which train
        (2, 100, LN_10, None),
    ],
)
def test_vanishing_is_judged_with_depth_and_progress(depth, steps, loss, severity):
    kernel = norms_over_depth(depth, SIGMOID)
    found = vanishing(depth=depth, kernel=kernel, steps=steps, loss=loss, activation="sigmoid")
    assert [finding.severity for finding in found] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("optimizer", "scale", "severity"),
    # 4 to the 8th less than the last layer's norm, over 32² weights: 4.8e-7 each, or 4.8e-11.
    [("SGD", 1.0, "error"), ("Adam", 1.0, "warning"), ("Adam", 1e-4, "error")],
)
def test_adam_makes_full_steps_of_small_gradients(optimizer, scale, severity):
    network = dense_network(9, "sigmoid", optimizer={"name": optimizer, "learning_rate": 0.001})
    kernel = scale * norms_over_depth(9, SIGMOID)
    assert only(vanishing(depth=9, kernel=kernel, steps=30, network=network)).severity == severity


def test_what_is_within_an_attention_layer_has_no_place_in_the_profile():
    record = record_of(depth=8, kernel=norms_over_depth(8, SIGMOID), baseline=LN_10)
    assert only(vanishing_gradient(record)).severity == "error"
    for column, layer in zip(
        record.groups["gradients"].columns, record.network["layers"], strict=True
    ):
        if layer["path"] < "hidden_8":  # but for the last, and the output
            layer |= {"path": f"attention_{layer['path']}", "class": "MultiHeadAttention"}
            column["layer"] = f"{layer['path']}/query"
    assert not list(vanishing_gradient(record))


@pytest.mark.parametrize("depth", [2, 10, 60])
def test_a_solved_network_has_tiny_gradients_everywhere(depth):
    assert not vanishing(depth=depth, kernel=1e-9, weight=10, bias=1e-9, loss=1e-8)


def test_a_gentle_slope_over_many_layers_and_a_single_layer_far_behind_are_none():
    assert not vanishing(depth=60, kernel=norms_over_depth(60, 0.8))  # 5.7 decades, 0.1 a layer
    kernel = np.ones(9)
    kernel[0] = 1e-6
    assert not vanishing(depth=8, kernel=kernel)


def test_a_slope_within_the_scatter_of_the_layers_is_none():
    generator = np.random.default_rng(0)
    for _ in range(50):
        logs = generator.normal(0, 1, 6)
        logs -= np.polyval(np.polyfit(np.arange(6), logs, 1), np.arange(6))
        assert not vanishing(depth=6, kernel=10 ** np.append(logs, 0))


def test_it_is_dated_from_when_it_began():
    kernel = np.ones((200, 9))
    kernel[60:] = norms_over_depth(8, SIGMOID)
    assert only(vanishing(depth=8, steps=200, kernel=kernel)).first_step == 60


@pytest.mark.parametrize(
    ("kernel", "severity"), [(1e-7, "error"), (1e-4, "error"), (3e-3, None), (0.0, None)]
)
def test_weights_too_small_flatten_the_network_without_a_slope(kernel, severity):
    kernel = np.append(np.full(4, kernel), 0.1)
    found = vanishing(kernel=kernel, weight=1.0, bias=1.0)
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_flat_in_the_first_steps_is_a_warning_and_targets_in_the_thousands_are_none():
    assert only(vanishing(kernel=1e-4, weight=1.0, bias=1.0, steps=1)).severity == "warning"
    # Loss 1e6, gradients of 1e3 in kernels and biases alike.
    network = dense_network(loss="mse")
    assert not vanishing(kernel=1e3, bias=1e3, weight=0.5, loss=1e6, baseline=1e6, network=network)


def test_a_gradient_that_underflows_behind_smooth_activations():
    kernel = np.array([0, 0, 1e-38, 1e-30, 1])
    finding = only(vanishing(kernel=kernel, activation="sigmoid"))
    assert finding.layers == ("hidden_1", "hidden_2") and finding.severity == "error"
    assert not vanishing(kernel=np.array([0, 0, 1.0, 1, 1]), activation="relu")  # dying_relu's


def test_records_without_gradients_are_silent():
    for record in (TrainingRecord(), record_of(gradients=False, dead=0.1), record_of(depth=1)):
        assert not list(vanishing_gradient(record))
        assert not list(exploding_gradient(record))


# ---------------------------------------------------------------------- exploding


@pytest.mark.parametrize(
    ("ratio", "loss", "severity"),
    [
        (2.0, LN_10, "error"),  # 512 over 10 layers
        (1.5, LN_10, None),  # 38
        (2.0, 0.8 * LN_10, "warning"),
        (2.0, 0.1, "info"),
        (1.0, LN_10, None),
    ],
)
def test_growth_over_depth(ratio, loss, severity):
    found = exploding(depth=10, kernel=norms_over_depth(10, ratio), loss=loss)
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_growth_behind_batch_normalization_is_by_design():
    network = dense_network(30)
    plain = record_of(30, kernel=norms_over_depth(30, 1.2108), network=network)  # 256 times
    assert only(exploding_gradient(plain)).severity == "error"
    network["layers"] += [{"path": f"bn_{at}", "normalizes": True} for at in range(30)]
    assert not list(exploding_gradient(plain))


def test_zero_branches_at_the_first_step_are_by_design():
    kernel = np.array([5, 0, 0, 0, 1.0])
    network = dense_network()
    network["layers"].append({"path": "add", "class": "Add", "merges": True})
    assert not exploding(kernel=kernel, steps=1, network=network)
    assert not vanishing(kernel=kernel[::-1], steps=1, network=network)


def test_growth_forwards_with_a_first_loss_out_of_proportion():
    std = 4.0 ** np.arange(6)
    finding = only(exploding(depth=6, std=std, loss=1e3))
    assert finding.severity == "error" and "4 times a layer" in finding.evidence
    assert finding.layers == tuple(f"hidden_{at}" for at in range(1, 7))
    assert only(exploding(depth=6, std=std, loss=1e3, steps=1)).severity == "warning"
    assert not exploding(depth=6, std=std, loss=5.0)
    assert not exploding(depth=6, std=1.5 ** np.arange(6), loss=1e3)  # the targets', then


def test_growth_over_time():
    kernel = np.geomspace(1, 1e6, 100)[:, np.newaxis]
    rising = np.geomspace(2, 50, 100)
    finding = only(exploding(kernel=kernel, loss=rising))
    assert finding.severity == "error" and 20 < finding.first_step < 60
    assert not exploding(kernel=kernel, loss=np.linspace(2.3, 1, 100))  # leaves a plateau
    assert not exploding(kernel=kernel**0.4, loss=rising)  # 250 times


def test_growth_to_the_end():
    norms = np.append(np.ones(50), 10.0 ** np.arange(10))
    kernel = np.append(norms, np.full(40, np.nan))[:, np.newaxis]
    loss = np.append(np.full(60, 2.0), np.full(40, np.nan))
    finding = only(exploding(kernel=kernel, loss=loss))
    assert finding.severity == "error" and finding.first_step == 51  # the last under 10 times
    assert "from step 60" in finding.evidence


def test_a_nan_out_of_nothing_is_not_the_gradients():
    kernel = np.where(np.arange(100) < 60, 1, np.nan)[:, np.newaxis]
    loss = np.where(np.arange(100) < 60, 2, np.nan)
    assert not exploding(kernel=kernel, loss=loss)
    assert not exploding(kernel=np.nan, loss=np.nan)


def test_a_first_pass_that_overflows_on_finite_data_is_the_networks():
    record = record_of(kernel=np.nan, loss=np.inf)
    record.data = {"inputs": [{"non_finite": 0}]}
    finding = only(exploding_gradient(record))
    assert finding.severity == "error" and finding.first_step == 0
    record.data = {"inputs": [{"non_finite": 3}]}
    assert not list(exploding_gradient(record))
    record.data, record.network["loss"] = {"inputs": [{"non_finite": 0}]}, "poisson"
    assert not list(exploding_gradient(record))


def test_steps_that_loss_scaling_skips_are_not_counted():
    record = record_of()
    rows = record.groups["gradients"].data
    rows["gradient_norm"][:3], rows["flags"][:3] = np.inf, 1
    assert not list(exploding_gradient(record))


def test_jumps_of_the_gradient_with_the_loss():
    kernel, loss = np.ones((200, 1)), np.full(200, 2.3)
    kernel[100], loss[101:] = 500, 9.0
    finding = only(exploding(steps=200, kernel=kernel, loss=loss))
    assert finding.severity == "error" and finding.first_step == 100
    loss[120:] = 1.5  # it came back and learns
    assert only(exploding(steps=200, kernel=kernel, loss=loss)).severity == "warning"
    loss[101:] = 2.3  # a hard batch
    assert not exploding(steps=200, kernel=kernel, loss=loss)
    loss[101:] = 9.0
    kernel[100] = 50
    assert not exploding(steps=200, kernel=kernel, loss=loss)
