"""Dead and saturated units: planted and found, almost there, and absent."""

import numpy as np
import pytest
from records import LN_10, dense_network, record_of

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks.diagnosis.units import dead_bound, dying_relu, saturated_activation


def only(findings):
    (finding,) = findings
    return finding


def severities(rule, **options):
    return [str(finding.severity) for finding in rule(record_of(**options))]


# ---------------------------------------------------------------------- dying


def test_a_dead_layer_stops_the_signal():
    finding = only(dying_relu(record_of(dead=[0.1, 0.2, 1, 0.3])))
    assert finding.symptom == "dying_relu" and finding.severity == "error"
    assert finding.layers == ("hidden_3",) and finding.first_step == 0
    assert "100% of hidden_3's 32 units are dead from the start" in finding.evidence
    assert finding.remedies[0].kind == "initializer"


@pytest.mark.parametrize(
    ("dead", "loss", "steps", "expected"),
    [
        (0.95, LN_10, 100, ["error"]),
        (0.80, LN_10, 100, ["warning"]),
        (0.76, LN_10, 100, []),  # the bound for 32 units is 0.765
        (0.95, LN_10, 30, ["warning"]),  # too early to say
        (1.00, LN_10, 1, ["error"]),
        (0.80, 0.8 * LN_10, 100, ["warning"]),
        # At rest at the end of the plan, 500 steps, a fifth or three tenths of the way gone.
        (0.95, 0.8 * LN_10, 500, ["error"]),
        (0.95, 0.7 * LN_10, 500, ["warning"]),
        (0.80, 0.8 * LN_10, 500, ["warning"]),
        (0.95, 0.1, 100, ["info"]),
        (0.80, 0.1, 100, []),
        (0.40, 0.1, 100, []),  # a sound wide network late in training
        (0.00, LN_10, 100, []),
    ],
)
def test_dead_units_are_judged_with_progress(dead, loss, steps, expected):
    assert severities(dying_relu, dead=dead, loss=loss, steps=steps) == expected


def test_the_bound_is_what_chance_does_not_explain():
    np.testing.assert_allclose(dead_bound(100), 0.7)
    np.testing.assert_allclose(dead_bound(25), 0.8)
    assert dead_bound(9) == 1 and dead_bound(8) > 1 and dead_bound(None) == 0.7
    # Half of the units asleep by chance: beyond the bound in under one layer of 500.
    generator = np.random.default_rng(0)
    for units in (16, 32, 64, 256):
        shares = generator.binomial(units, 0.5, 20_000) / units
        assert (shares >= dead_bound(units)).mean() < 0.002


def test_a_narrow_layer_is_dead_only_if_all_of_it_stays_so():
    assert severities(dying_relu, dead=1, units=4) == ["error"]
    assert severities(dying_relu, dead=1, units=4, steps=10) == []
    assert severities(dying_relu, dead=0.75, units=4) == []


def test_the_way_around_a_dead_layer():
    network = dense_network()
    network["layers"].append({"path": "add", "class": "Add", "merges": True})
    assert severities(dying_relu, dead=1, steps=30, network=network) == ["warning"]


def test_units_that_died_in_training_are_dated_and_blamed_on_the_rate():
    dead = np.zeros((300, 4))
    dead[150:, 1] = 1
    finding = only(dying_relu(record_of(dead=dead, steps=300, rate=0.5)))
    # Called dead at 150, at the end of the 50 steps of an epoch that they slept through.
    assert finding.first_step == 101
    assert "since step 101, at a rate of 0.5" in finding.evidence
    assert (finding.remedies[0].kind, finding.remedies[0].value) == ("learning_rate", 0.01)


def test_units_that_a_batch_let_sleep_come_back():
    dead = np.zeros((100, 4))
    dead[::3] = 1
    assert severities(dying_relu, dead=dead) == []


def test_without_activations_it_is_read_from_gradients_that_are_exactly_zero():
    norms = np.array([0, 0, 0, 1e-3, 1.0])  # hidden_3 is silent, its successor learns its bias
    kernel = np.array([0, 0, 0, 0, 1.0])
    finding = only(dying_relu(record_of(kernel=kernel, bias=norms)))
    assert finding.layers == ("hidden_3",) and finding.severity == "error"
    assert "no gradient" in finding.evidence
    assert severities(dying_relu, kernel=kernel, bias=norms, activation="tanh") == []
    assert severities(dying_relu, kernel=np.zeros(5), bias=0) == []  # nothing is sent
    assert severities(dying_relu, kernel=kernel, bias=norms, steps=1) == []
    assert severities(dying_relu, kernel=1e-12, bias=1e-12) == []


def test_without_activations_the_share_of_biases_counts():
    options = {"kernel": 1.0, "bias": 1.0}
    assert severities(dying_relu, **options, zero=[0, 0.95, 0, 0, 0]) == ["error"]
    assert severities(dying_relu, **options, zero=[0, 0.6, 0, 0, 0]) == []


def test_behind_a_nan_nothing_is_told():
    loss = np.where(np.arange(100) < 50, LN_10, np.nan)
    dead = np.where(np.arange(100) < 50, 0.1, 1.0)[:, np.newaxis]
    assert severities(dying_relu, dead=dead, loss=loss) == []


# ---------------------------------------------------------------------- saturated


def test_saturated_tanh_layers():
    options = {"saturated": [0.8, 0.1, 0.6, 0.2], "activation": "tanh"}
    finding = only(saturated_activation(record_of(**options)))
    assert finding.symptom == "saturated_activation" and finding.severity == "error"
    assert finding.layers == ("hidden_1", "hidden_3") and finding.first_step == 0
    assert "80% of hidden_1's outputs are in the flat parts of tanh" in finding.evidence


@pytest.mark.parametrize(
    ("activation", "saturated", "loss", "steps", "expected"),
    [
        ("sigmoid", 0.5, LN_10, 100, ["error"]),
        ("sigmoid", 0.49, LN_10, 100, []),
        ("sigmoid", 0.6, LN_10, 30, ["warning"]),
        ("sigmoid", 0.995, LN_10, 1, ["error"]),
        ("softsign", 0.6, 0.8 * LN_10, 100, ["warning"]),
        ("tanh", 0.6, 0.1, 100, ["info"]),
        ("tanh", 0.1, LN_10, 100, []),
        ("elu", 0.6, LN_10, 100, []),  # flat on one side
        ("elu", 0.95, LN_10, 100, ["error"]),
        ("relu", 0.95, LN_10, 100, []),  # zeros of a ReLU: dying_relu's
    ],
)
def test_saturation_is_judged_with_its_sides_and_progress(
    activation, saturated, loss, steps, expected
):
    options = {"activation": activation, "saturated": saturated, "loss": loss, "steps": steps}
    assert severities(saturated_activation, **options) == expected


def test_saturation_is_dated():
    saturated = np.linspace(0, 1, 101)[:, np.newaxis]
    finding = only(
        saturated_activation(record_of(saturated=saturated, steps=101, activation="tanh"))
    )
    assert finding.first_step == 50


def test_outputs_are_meant_to_saturate():
    network = dense_network(activation="tanh")
    network["outputs"] = ["hidden_4"]
    options = {"activation": "tanh", "network": network}
    assert severities(saturated_activation, saturated=[0, 0, 0, 0.9], **options) == []


def test_without_activations_float32_zeros_tell():
    options = {"kernel": 1.0, "bias": 1.0, "activation": "tanh"}
    assert severities(saturated_activation, **options, zero=[0.6, 0, 0, 0, 0]) == ["error"]
    assert severities(saturated_activation, **options, zero=[0.4, 0, 0, 0, 0]) == []
    zero = [0.6, 0, 0, 0, 0]
    assert severities(saturated_activation, **options, zero=zero, loss=0.1) == []


def test_empty_records_are_silent():
    for record in (TrainingRecord(), record_of(steps=0), record_of(steps=0, dead=0.5)):
        assert not list(dying_relu(record)) and not list(saturated_activation(record))
