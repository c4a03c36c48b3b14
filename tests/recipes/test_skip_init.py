"""SkipInit: identity at the start, gradients by hand, saving."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.layers.skip_init import SkipInit

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


def residual(depth, initial_value=0.0):
    x = inputs = keras.Input((4,))
    for _ in range(depth):
        branch = keras.layers.Dense(4, activation="relu")(x)
        x = keras.layers.Add()([x, SkipInit(initial_value)(branch)])
    return keras.Model(inputs, x)


def test_multiplies_by_one_number():
    layer = SkipInit(initial_value=-0.5)
    np.testing.assert_array_equal(np.asarray(layer(X)), -0.5 * X)
    assert [weight.shape for weight in layer.trainable_weights] == [()]
    assert layer.scale.path.endswith("scale")


def test_a_residual_network_starts_as_the_identity():
    np.testing.assert_array_equal(np.asarray(residual(50)(X)), X)


@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_gradients_by_hand(scale):
    layer, x = SkipInit(scale), tf.constant(X)
    layer.build(X.shape)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x) ** 2)
    by_scale, by_x = tape.gradient(loss, [layer.scale.value, x])
    # loss = scale² sum(x²)
    assert float(by_scale) == pytest.approx(2 * scale * float((X**2).sum()), rel=1e-5)
    np.testing.assert_allclose(by_x.numpy(), 2 * scale**2 * X, rtol=1e-6)


@pytest.mark.parametrize(("value", "zero"), [(0.0, True), (0.5, False)])
def test_at_0_only_the_scalar_gets_a_first_gradient(value, zero):
    model = residual(1, value)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(X) - 1) ** 2)
    kernel, bias, scale = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert (not kernel.numpy().any()) == zero
    assert (not bias.numpy().any()) == zero
    assert float(scale) != 0


@pytest.mark.parametrize("jit_compile", [False, True])
def test_trains_saves_and_loads(jit_compile, tmp_path):
    model = residual(3, 0.25)
    model.compile("sgd", "mse", jit_compile=jit_compile)
    model.fit(X, np.zeros_like(X), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    scales = [layer.scale for layer in loaded.layers if isinstance(layer, SkipInit)]
    assert len(scales) == 3
    assert all(float(scale) != 0.25 for scale in scales)
    np.testing.assert_array_equal(np.asarray(loaded(X)), np.asarray(model(X)))
    clone = keras.models.clone_model(model)
    assert [layer.initial_value for layer in clone.layers if hasattr(layer, "initial_value")] == [
        0.25
    ] * 3


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_precision(policy):
    layer = SkipInit(0.5, dtype=policy)
    out = layer(keras.ops.cast(X, layer.compute_dtype))
    assert keras.backend.standardize_dtype(out.dtype) == layer.compute_dtype
    assert layer.scale.dtype == layer.variable_dtype


def test_hands_a_mask_on():
    x = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 2, 0]]))
    assert SkipInit(1.0)(x)._keras_mask is not None


@pytest.mark.parametrize("value", [math.nan, math.inf, "0", None, True])
def test_bad_values(value):
    with pytest.raises(ValueError, match=r"finite number\. Received: initial_value="):
        SkipInit(value)
