"""The gallery's means, signs of gradients, what passes saturated units, and the ranking's pairs."""

import math

import numpy as np
import pytest

from trainwell.recipes.reproduce._activation_gallery import drawn, sigmoid_by_tanh
from trainwell.recipes.reproduce._clear import clearly_not_zero
from trainwell.recipes.reproduce._examples import examples
from trainwell.recipes.reproduce._signs_and_saturation import (
    LOSSES,
    of_one_sign,
    passed,
    signs,
)
from trainwell.recipes.reproduce.activations import RANKING, pairs
from trainwell.recipes.reproduce.outcome import Setting


def test_sigma_is_a_tanh():
    assert sigmoid_by_tanh() < 4 * np.finfo("float64").eps


@pytest.mark.parametrize(
    ("name", "mean", "slope"),
    [
        ("sigmoid", 0.5, 0.25),
        ("tanh", 0.0, 1.0),
        ("relu", 1 / math.sqrt(2 * math.pi), 1.0),
        # exp(z) - 1 below 0: e^(1/2) Phi(-1) - 1/2.
        ("elu", 1 / math.sqrt(2 * math.pi) + math.exp(0.5) * 0.15865525393145707 - 0.5, 1.0),
        ("selu", 0.0, 1.0507009873554805 * 1.6732632423543772),
    ],
)
def test_means_at_a_normal_and_largest_slopes(name, mean, slope):
    one = drawn(name)
    assert one.mean == pytest.approx(mean, abs=1e-5)
    # At 0 exactly a slope of one side is taken; just beside it SELU's falls by a step's share.
    assert one.slopes.max() == pytest.approx(slope, rel=0.005)


def test_gradients_of_one_sign_are_counted_by_neuron():
    gradients = np.array([[1, 1, 0, -2], [2, -1, 3, -1], [0, 1, 0, -1]])
    assert of_one_sign(gradients) == 75.0


def test_of_one_example_sigmoids_share_a_sign_and_of_tanh_hardly_any_neuron_does():
    data = examples(Setting(quick=True, data="digits"))
    assert signs(data, "sigmoid", 0)[1] == 100.0
    # Thirty outputs of either sign at random are alike with chance 2^-29.
    assert signs(data, "tanh", 0)[1] < 10


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weights", ["N(0, 1)", "1 / sqrt(n)"])
def test_what_passes_is_at_most_a_quarter_in_the_hidden_layer_whatever_the_loss(loss, weights):
    found = passed(weights, loss, 0)
    assert 0 < found["hidden"] <= 0.25
    if loss == "quadratic":
        assert found["output"] <= 0.25
    else:
        assert found["output"] == pytest.approx(1, rel=1e-4)


def test_saturated_units_let_less_through_with_every_loss():
    # z has a deviation of 22.4 against 1.22: half of them are beyond 15, where the slope is 3e-7.
    for loss in LOSSES:
        assert passed("N(0, 1)", loss, 0)["hidden"] < passed("1 / sqrt(n)", loss, 0)["hidden"] / 2


def test_a_difference_is_clear_outside_of_students_interval():
    # Of two seeds the mean must be 12.7 standard errors from 0: here they are 10, then 20.
    assert not clearly_not_zero([0.9, 1.1]) and clearly_not_zero([0.95, 1.05])
    assert clearly_not_zero([1.0, 1.2, 0.8])
    assert clearly_not_zero([-1.0, -1.2, -0.8])
    assert not clearly_not_zero([1.0, -1.0, 0.5])
    assert not clearly_not_zero([5.0])


def test_pairs_of_the_ranking():
    spread = np.array([-0.1, 0.0, 0.1])
    as_ranked = {label: 90.0 - at + spread * (at + 1) for at, label in enumerate(RANKING)}
    assert pairs(as_ranked) == {"hold": 15, "reverse": 0, "undecided": 0}
    swapped = as_ranked | {"SELU": as_ranked["ELU"], "ELU": as_ranked["SELU"]}
    assert pairs(swapped) == {"hold": 14, "reverse": 1, "undecided": 0}
    alike = as_ranked | {"SELU": as_ranked["ELU"]}
    assert pairs(alike)["undecided"] == 1
