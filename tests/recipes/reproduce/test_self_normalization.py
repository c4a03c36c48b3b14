"""The signal in a plain loop, the formulas of SELU, and a narrowing network."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.reproduce._broken_conditions import stack
from trainwell.recipes.reproduce._plain_loop import (
    Flow,
    dense,
    dense_with_shortcut,
    flow,
    normal,
    uniform,
)
from trainwell.recipes.reproduce._signal_history import pyramid_formula
from trainwell.recipes.reproduce.self_normalization import (
    alpha_dropout_growth,
    growth,
    growth_formula,
    in_domain,
    stays,
)

Z = np.linspace(-12, 12, 480_001)
DENSITY = np.exp(-(Z**2) / 2) / math.sqrt(2 * math.pi)


def test_what_passes_each_layer_is_what_the_chain_rule_gives_by_hand():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.integers(0, 10, 7)
    first, second = rng.normal(size=(3, 4)), rng.normal(size=(4, 5))
    found = flow(x, y, [first, second], dense(tf.tanh), measure=lambda h: tf.reduce_max(h))
    h1 = np.tanh(x @ first)
    h2 = np.tanh(h1 @ second)
    readout = normal((5, 10), 1 / 5, 0, "readout")
    logits = h2 @ readout
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    by_h2 = (shares - np.eye(10)[y]) / 7 @ readout.T
    by_z2 = by_h2 * (1 - h2**2)
    by_h1 = by_z2 @ second.T
    by_z1 = by_h1 * (1 - h1**2)
    np.testing.assert_allclose(found.mean, [h1.mean(), h2.mean()])
    np.testing.assert_allclose(found.deviation, [h1.std(), h2.std()])
    np.testing.assert_allclose(found.backward, [by_h1.std(), by_h2.std()])
    norms = [np.linalg.norm(x.T @ by_z1), np.linalg.norm(h1.T @ by_z2)]
    np.testing.assert_allclose(found.gradient, norms)
    np.testing.assert_allclose(found.measured, [h1.max(), h2.max()])


def test_a_shortcut_adds_only_where_the_widths_allow_it():
    h, layer = tf.ones((1, 2), "float64"), dense_with_shortcut(tf.identity)
    np.testing.assert_array_equal(layer(h, tf.eye(2, dtype="float64")), [[2, 2]])
    np.testing.assert_array_equal(layer(h, tf.ones((2, 3), "float64")), [[2, 2, 2]])


@pytest.mark.parametrize(
    ("mode", "variance"), [("fan_in", 1 / 200), ("fan_out", 1 / 300), ("fan_avg", 1 / 250)]
)
@pytest.mark.parametrize("draw", [normal, uniform])
def test_kernels_have_the_variance_of_their_mode(mode, variance, draw):
    (kernel,) = stack([200, 300], 1.0, 0, mode, draw)
    # 60,000 draws: five standard errors of a normal's variance; a uniform's is smaller.
    assert abs(kernel.var() / variance - 1) < 5 * math.sqrt(2 / kernel.size)
    assert draw is normal or np.abs(kernel).max() <= math.sqrt(3 * variance)
    assert (stack([200, 300], 1.0, 1, mode, draw)[0] != kernel).all()


def test_the_growth_is_the_mean_square_of_the_slope_at_a_normal():
    slope = np.where(Z > 0, 1.0507009873554805, 1.0507009873554805 * 1.6732632423543772 * np.exp(Z))
    assert growth_formula() == pytest.approx(np.trapezoid(slope**2 * DENSITY, Z), rel=1e-4)


def test_alpha_dropout_takes_what_its_rescaling_takes():
    # Of a layer that keeps everything alike, its outputs have slopes a or 0.
    layer = keras.layers.AlphaDropout(0.2, seed=0, dtype="float64")
    x = tf.zeros((1, 1_000_000), "float64")
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x, training=True))
    slopes = tape.gradient(total, x).numpy()
    share = (slopes != 0).mean()
    assert share == pytest.approx(0.8, abs=5 * math.sqrt(0.16 / slopes.size))
    expected = growth_formula() * slopes.max() ** 2 * 0.8
    assert alpha_dropout_growth(0.2) == pytest.approx(expected, rel=1e-6)


def flowing(mean, deviation, backward=(1.0,)):
    given = [np.array(one, "float64") for one in (mean, deviation, backward)]
    return Flow(*given, np.zeros(1), np.zeros(1))


def test_growth_is_the_variances_factor_a_layer():
    # 2 and 8 are apart by 4 in deviation, 16 in variance, over two layers: 4 a layer.
    assert growth(flowing([0], [1], [8, 4, 2])) == pytest.approx(4)


def test_the_theorems_domain():
    one = flowing([0, 0.11, 0, -0.1, 0], [1, 1, math.sqrt(0.79), math.sqrt(1.49), 1.23])
    assert in_domain(one).tolist() == [True, False, False, True, False]


def test_a_network_stays_where_most_of_its_later_half_does():
    inside, outside = flowing([0] * 4, [9, 9, 1, 1]), flowing([0] * 4, [1, 1, 9, 9])
    assert stays([inside]) and not stays([outside])
    assert not stays([inside, outside])


def test_a_narrowing_network_by_the_linear_theory():
    # Three halvings between the first output and the last.
    assert pyramid_formula("fan_in") == pytest.approx((1, 1 / 8))
    assert pyramid_formula("fan_out") == pytest.approx((8, 1))
    assert pyramid_formula("fan_avg") == pytest.approx(((4 / 3) ** 3, (2 / 3) ** 3))


def test_activations_stay_and_gradients_grow_over_a_hundred_layers():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 30)), rng.integers(0, 10, 50)
    runs = [
        flow(x, y, stack([30, *[200] * 100], 1.0, seed), dense(tf.nn.selu)) for seed in range(2)
    ]
    assert stays(runs)
    # Over 99 layers the formula gives 1.0716^49.5 = 30; a seed strays by a factor of a few.
    assert all(one.gradient[0] > 3 * one.gradient[-1] for one in runs)
