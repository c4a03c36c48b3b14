"""`clipping`: the unit's derivatives, its clipped descents against Keras', the sequences."""

import keras
import numpy as np
import pytest

from trainwell.recipes.reproduce import clipping
from trainwell.recipes.reproduce._cliff import solved, thrown
from trainwell.recipes.reproduce._nielsen import Images
from trainwell.recipes.reproduce._recurrent_unit import Descent, descent, sigmoid, unit
from trainwell.recipes.reproduce.clipping import Training, pixels, spike
from trainwell.recipes.reproduce.outcome import Setting


def test_without_a_weight_the_unit_is_its_bias():
    found = unit(0.0, np.log(0.6 / 0.4))  # sigmoid(x) = 0.6
    assert found.loss == pytest.approx(0.01)
    assert found.of_bias == pytest.approx(2 * -0.1 * 0.6 * 0.4)
    assert found.of_weight == pytest.approx(2 * -0.1 * 0.6 * 0.4 * 0.6)  # x = w 0.6 + b


def test_derivatives_are_those_of_the_loss():
    weight, bias, h = np.array([2.0, 4.9, 6.0]), np.array([-1.0, -2.5, -2.8]), 1e-6
    found = unit(weight, bias)
    by_weight = (unit(weight + h, bias).loss - unit(weight - h, bias).loss) / (2 * h)
    by_bias = (unit(weight, bias + h).loss - unit(weight, bias - h).loss) / (2 * h)
    np.testing.assert_allclose(found.of_weight, by_weight, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.of_bias, by_bias, rtol=1e-5, atol=1e-9)


def test_sigmoid_is_shifted_tanh_and_never_overflows():
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])
    z = np.linspace(-5, 5, 11)
    np.testing.assert_allclose(sigmoid(z), 1 / (1 + np.exp(-z)))


@pytest.mark.parametrize("clipnorm", [None, 0.05])
def test_descents_are_those_of_keras(clipnorm):
    place = keras.Variable(np.array([5.5, -3.0]), dtype="float64")
    optimizer = keras.optimizers.SGD(0.1, global_clipnorm=clipnorm)
    for _ in range(5):
        at = unit(*place.numpy())
        optimizer.apply([keras.ops.array([at.of_weight, at.of_bias], "float64")], [place])
    found = descent(5.5, -3.0, 0.1, 5, clipnorm)
    np.testing.assert_allclose([found.weight[-1], found.bias[-1]], place.numpy(), rtol=1e-6)


def test_no_clipped_step_is_longer_than_the_rate():
    """On the cliff a free step is thrown away: its gradient is in the hundreds."""
    steep = 4.98, -2.6
    norm = float(unit(*steep).norm)
    free, clipped = descent(*steep, 0.1, 1), descent(*steep, 0.1, 1, 1.0)
    assert norm > 100
    assert free.lengths[0] == pytest.approx(0.1 * norm)
    assert clipped.lengths[0] == pytest.approx(0.1)


def test_images_become_sequences_of_pixels_or_of_means():
    large = np.arange(2 * 784, dtype="float32").reshape(2, 784)
    y = np.zeros((2, 10), "float32")
    found = pixels(Images(large, y, large, y, "drawn"), 1)
    assert found.x.shape == (1, 49, 1)
    assert found.x_validation.shape == (2, 49, 1)
    assert found.name == "drawn averaged to 7 x 7 pixels"
    assert found.x[0, 0, 0] == np.mean([28 * row + np.arange(4) for row in range(4)])
    small = large[:, :64]
    np.testing.assert_array_equal(pixels(Images(small, y, small, y, "drawn"), 2).x[..., 0], small)


def test_spikes_and_shares():
    assert spike(np.array([1.0, 2.0, 8.0])) == 4.0
    assert spike(np.array([1.0, np.nan])) == np.inf
    losses = np.array([0.001, 0.5, 0.09, 0.0])
    lengths = np.array([[0.1, 0.2, 3.0, 0.1], [0.5, 1.0, 0.1, 0.1]])
    found = Descent(losses, losses, lengths, losses)
    assert (solved(found), thrown(found)) == (50.0, 25.0)


@pytest.mark.parametrize(("free", "clipped"), [(0.5, 0.001), (0.001, 0.5)])
def test_the_numbers_decide_what_is_told(free, clipped):
    def descents(loss):
        return Descent(np.zeros((2, 1)), np.zeros((2, 1)), np.ones((1, 1)), np.array([loss]))

    def training(loss):
        return [Training(np.array([1.0, 3.0, 2.0]), 90.0 if loss < 0.01 else 10.0)]

    x = np.zeros((500, 49, 1), "float32")
    told = clipping._told(
        {"no clipping": descents(free), "global_clipnorm 1": descents(clipped)},
        {("no clipping", 0.1): training(free), ("clipnorm 1", 0.1): training(clipped)},
        {("no clipping", 0.1): [1.5], ("clipnorm 1", 0.1): [1.5]},
        Images(x, x, x, x, "drawn"),
    )
    better = clipped < free
    assert ("holds there" in told and "does not hold there" not in told) is better
    assert ("Clipping helps it: clipnorm 1 is +80 points" in told) is better


def test_a_gap_within_noise_is_no_help():
    ends = {"no clipping": (40.0, 60.0), "clipnorm 1": (42.0, 62.0)}
    runs = {(way, 0.1): [Training(np.ones(1), one) for one in both] for way, both in ends.items()}
    told = clipping._compared(runs, list(ends), 1_000)
    # Each variance is 200, over two runs 100; 2 sqrt(100 + 100) = 28.
    assert "does not clearly help it: clipnorm 1 is +2 points" in told
    assert "no more than the 28 of noise" in told


def test_the_quick_run_shows_the_cliff():
    outcome = clipping.run(Setting(quick=True, seeds=1, data="digits"))
    rows = {row.what: row.mean for row in outcome.rows}
    free, clipped = (
        rows[f"one unit, {way}, 60 starts: end at a loss under 0.01"]
        for way in ("no clipping", "global_clipnorm 1")
    )
    starts = outcome.summary["starts"]
    # Three standard errors of the difference of two shares of so many starts.
    assert clipped - free > 300 * (0.5 / starts) ** 0.5
    assert rows["one unit, no clipping, 60 starts: thrown more than 1 away in one step"] > 0
    longest = "one unit, {}, 60 starts: median of the longest steps"
    assert rows[longest.format("global_clipnorm 1")] == pytest.approx(0.1)  # rate times the bound
    assert rows[longest.format("no clipping")] > 0.1
    assert set(outcome.figures) == {"cliff", "norms"}
