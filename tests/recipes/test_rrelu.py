"""RReLU: slopes of Xu et al. 2015, measured."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.layers.rrelu import RReLU

N = 20_000
MINUS_ONES = -np.ones((100, N // 100), np.float32)


def test_inference_takes_the_mean_slope_exactly():
    out = RReLU()(np.array([-24.0, 0.0, 2.0], np.float32))
    # (1/8 + 1/3) / 2 = 11/48, and 24 * 11/48 = 5.5
    np.testing.assert_array_equal(np.asarray(out), np.float32([-5.5, 0.0, 2.0]))
    half = RReLU(lower=0.25, upper=0.75)(MINUS_ONES, training=False)
    np.testing.assert_array_equal(np.asarray(half), 0.5 * MINUS_ONES)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_slopes_are_uniform(jit_compile):
    layer = RReLU(seed=0)
    call = tf.function(lambda x: layer(x, training=True), jit_compile=jit_compile)
    first, second = -call(MINUS_ONES).numpy().ravel(), -call(MINUS_ONES).numpy().ravel()
    width = 1 / 3 - 1 / 8
    for slopes in (first, second):
        assert slopes.min() >= np.float32(1 / 8)
        assert slopes.max() <= np.float32(1 / 3)
        # A uniform's standard deviation is width / sqrt(12).
        assert slopes.mean() == pytest.approx(11 / 48, abs=5 * width / math.sqrt(12 * N))
        quarters = np.histogram(slopes, bins=4, range=(1 / 8, 1 / 3))[0]
        assert np.abs(quarters - N / 4).max() < 5 * math.sqrt(N * 0.25 * 0.75)
    assert np.mean(first == second) < 0.01


def test_positive_side_is_untouched_and_the_gradient_is_the_slope():
    layer, x = RReLU(seed=1), tf.constant([[-2.0, -1.0, 0.5, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x, training=True)
    gradient = tape.gradient(out, x).numpy()
    np.testing.assert_array_equal(out.numpy()[0, 2:], [0.5, 3.0])
    np.testing.assert_array_equal(gradient[0, 2:], [1.0, 1.0])
    np.testing.assert_allclose(gradient * x.numpy(), out.numpy(), rtol=1e-6)


def test_slopes_above_one():
    out = RReLU(lower=2.0, upper=2.0)(np.array([-1.0, 1.0]), training=True)
    np.testing.assert_array_equal(np.asarray(out), [-2.0, 1.0])


def test_seed_decides_the_slopes():
    one, same, other = (np.asarray(RReLU(seed=s)(MINUS_ONES, training=True)) for s in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert np.mean(one == other) < 0.01


def test_set_random_seed_decides_where_there_is_no_seed():
    draws = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        draws += [np.asarray(RReLU()(MINUS_ONES, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(draws[0], draws[2])
    assert np.mean(draws[0] == draws[1]) < 0.01


def test_trains_under_jit_and_comes_back_from_disk(tmp_path):
    inputs = keras.Input((4,))
    hidden = RReLU(lower=0.1, upper=0.3, seed=7, name="slopes")(keras.layers.Dense(8)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.compile("sgd", "mse", jit_compile=True)
    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    history = model.fit(x, x[:, :1], epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("slopes")
    assert isinstance(layer, RReLU)
    assert (layer.lower, layer.upper, layer.seed) == (0.1, 0.3, 7)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_keeps_the_dtype(dtype):
    out = RReLU(dtype=dtype)(keras.ops.cast(MINUS_ONES, dtype), training=True)
    assert keras.backend.standardize_dtype(out.dtype) == dtype
    assert np.isfinite(np.asarray(keras.ops.cast(out, "float32"))).all()


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(-0.1, 0.3), (0.3, 0.1), (math.nan, 0.3), (0.1, math.nan), (0.1, math.inf)],
)
def test_bad_slopes(lower, upper):
    message = rf"0 <= lower <= upper.*Received: lower={lower}, upper={upper}"
    with pytest.raises(ValueError, match=message):
        RReLU(lower=lower, upper=upper)
