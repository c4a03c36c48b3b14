"""`chain-rule`: the product formula by hand, against finite differences, and against Keras."""

import numpy as np
import pytest

from trainwell.recipes.reproduce._chain import FUNCTIONS, SLOPES, forward, products, widest_range
from trainwell.recipes.reproduce._one_neuron import CASES, decades, geometric, neurons
from trainwell.recipes.reproduce.chain_rule import run
from trainwell.recipes.reproduce.outcome import Setting


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_slopes_are_the_functions_derivatives(name):
    z = np.array([-3.0, -1.0, -0.2, 0.3, 1.5, 4.0])
    moved = (FUNCTIONS[name](z + 1e-6) - FUNCTIONS[name](z - 1e-6)) / 2e-6
    np.testing.assert_allclose(SLOPES[name](z), moved, rtol=1e-7, atol=1e-9)


def test_the_sigmoids_slope_is_a_quarter_at_most_and_exact_far_out():
    assert SLOPES["sigmoid"](np.array(0.0)) == 0.25
    assert SLOPES["sigmoid"](np.linspace(-9, 9, 1001)).max() == 0.25
    # sigma' = exp(-z) / (1 + exp(-z))², by which 1 - sigma would round to 0 at 40.
    assert SLOPES["sigmoid"](np.array(40.0)) == pytest.approx(np.exp(-40.0), rel=1e-12)


def test_one_neuron_a_layer_is_the_texts_product():
    kernels = [np.array([[w]]) for w in (0.3, -1.2, 2.0)]
    biases = [np.array([b]) for b in (0.1, 0.5, -0.4)]
    z1 = 0.3 * 1.0 + 0.1
    z2 = -1.2 / (1 + np.exp(-z1)) + 0.5
    z3 = 2.0 / (1 + np.exp(-z2)) - 0.4
    slope = [np.exp(-z) / (1 + np.exp(-z)) ** 2 for z in (z1, z2, z3)]
    zs = forward(kernels, biases, np.ones((1, 1)), "sigmoid")
    np.testing.assert_allclose(np.ravel(zs), [z1, z2, z3])
    expected = [slope[0] * -1.2 * slope[1] * 2.0 * slope[2], slope[1] * 2.0 * slope[2], slope[2]]
    np.testing.assert_allclose(np.ravel(products(kernels, zs, "sigmoid")), expected)


def test_products_of_jacobians_are_the_last_layers_derivatives():
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=shape) for shape in ((4, 3), (3, 5), (5, 2))]
    biases = [rng.normal(size=units) for units in (3, 5, 2)]
    x = rng.normal(size=(6, 4))
    jacobians = products(kernels, forward(kernels, biases, x, "tanh"), "tanh")
    assert [one.shape for one in jacobians] == [(6, 3, 2), (6, 5, 2), (6, 2, 2)]
    for layer, jacobian in enumerate(jacobians):
        for unit in range(len(biases[layer])):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [one.copy() for one in biases]
                moved[layer][unit] += step
                ends.append(np.tanh(forward(kernels, moved, x, "tanh")[-1]))
            np.testing.assert_allclose(
                jacobian[:, unit], (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-8
            )


@pytest.mark.parametrize("weight", [4.5, -6.9, 30.0])
def test_at_the_ends_of_the_range_the_factor_is_one(weight):
    half = widest_range(weight) / 2
    assert abs(weight) * SLOPES["sigmoid"](np.array(weight * half)) == pytest.approx(1)


def test_below_four_no_factor_reaches_one():
    assert widest_range(4.0) == widest_range(-2.0) == 0
    widths = [widest_range(weight) for weight in np.arange(4, 20, 0.1)]
    assert max(widths) == pytest.approx(0.45, abs=0.005)  # Nielsen's number, at 6.9
    assert np.arange(4, 20, 0.1)[np.argmax(widths)] == pytest.approx(6.9, abs=0.1)


def test_weights_of_a_hundred_explode_by_25_a_layer():
    chain = neurons(CASES[1], [0])
    np.testing.assert_allclose(chain.factors, 25)
    np.testing.assert_allclose(chain.measured[0] / chain.measured[0, -1], [25**3, 25**2, 25, 1])
    assert decades(chain)[0] == pytest.approx(3 * np.log10(25))


def test_formula_keras_and_moving_the_bias_agree():
    chain = neurons(CASES[0], [0, 1, 2])
    np.testing.assert_allclose(chain.measured, chain.predicted, rtol=1e-5)
    np.testing.assert_allclose(chain.moved, chain.predicted[:, 0], rtol=1e-4)


def test_geometric_means():
    np.testing.assert_allclose(geometric(np.array([[1.0, 4.0], [9.0, 1.0]])), [2, 3])


def test_small_run_on_digits():
    outcome = run(Setting(quick=True, seeds=1, data="digits"))
    rows = {row.what: row for row in outcome.rows}
    assert rows["factor, weights of 100 and z = 0"].mean == pytest.approx(25)
    # 19 slopes of at most 1/4 and weights whose norm is about 1 to 2: a layer can't keep half.
    assert rows["sigmoid, 1 / sqrt(n): factor a layer"].mean < 0.5
    for name in ("sigmoid, 1 / sqrt(n)", "tanh, Glorot", "ReLU, He"):
        assert rows[f"{name}: measured off predicted, at most"].mean < 1e-4
    assert "formula holds" in outcome.told
    assert set(outcome.figures) == {"derivatives", "one_neuron", "wide_layers"}
