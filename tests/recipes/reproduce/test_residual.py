"""Gradient norms of hidden kernels, and the 1 of the shortcuts' formula."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.reproduce.residual import (
    NETWORKS,
    _told,
    along_last,
    first_over_last,
    kernel_norms,
)
from trainwell.recipes.residual import residual_mlp

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 12)).astype("float32"), np.arange(20) % 10


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_has_as_many_hidden_kernels_as_layers(name):
    model = NETWORKS[name](12, 6, 0)
    norms = kernel_norms(model, X, Y)
    assert norms.shape == (6,)
    name = (
        "hidden_1" if "plain" in name or name == "ReLU, batch normalization" else "block_1_dense_1"
    )
    kernel = model.get_layer(name).kernel.value
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = keras.losses.sparse_categorical_crossentropy(Y, model(X, training=True))
        loss = tf.reduce_mean(loss)
    assert norms[0] == pytest.approx(float(tf.norm(tape.gradient(loss, kernel))), rel=1e-4)


def test_branches_of_zero_leave_the_1_alone():
    model = residual_mlp(
        12, [8] * 5, 10, normalization=None, pre_activation=True, skip_init=True, seed=0
    )
    np.testing.assert_allclose(along_last(model, X, Y), np.ones(5), rtol=1e-6)


def test_what_the_branches_add_is_measured():
    # Linear branches without activation: dL/dx_1 = (1 + W1 W2)' dL/dx_2.
    model = residual_mlp(
        12, [8] * 2, 10, activation=None, normalization=None, pre_activation=True, seed=0
    )
    kernels = [model.get_layer(f"block_2_dense_{at}").kernel.numpy() for at in (1, 2)]
    eye = keras.Model(model.input, [model.get_layer("block_2_add").output, model.output])
    with tf.GradientTape() as tape:
        last, outputs = eye(X, training=True)
        tape.watch(last)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y, outputs))
    g = tape.gradient(loss, last).numpy()
    expected = ((g @ (np.eye(8) + kernels[0] @ kernels[1]).T) * g).sum() / (g**2).sum()
    assert along_last(model, X, Y) == pytest.approx([expected, 1.0], rel=1e-4)


def test_first_over_last_is_by_seed():
    assert first_over_last(np.array([[6.0, 1.0, 2.0], [1.0, 1.0, 4.0]])).tolist() == [3.0, 0.25]


@pytest.mark.parametrize(("lowest", "holds"), [(0.6, True), (0.4, False)])
def test_the_most_even_network_is_named_whether_convenient_or_not(lowest, holds):
    ends = dict(zip(NETWORKS, (1e-30, 0.6, 2.0, 3e4, 40.0, 0.04), strict=True))
    norms = {name: np.array([[one, 1.0]]) for name, one in ends.items()}
    trained = {name: np.array([[50.0]]) for name in NETWORKS}
    told = _told(norms, np.array([[lowest, 1.0]]), trained)
    assert "Of the ReLU networks ReLU, plain has the most even profile: 2; not 3e+04 (" in told
    assert f"half of what the shortcut brings, or more, {'holds' if holds else 'does not'}" in told


def test_shortcuts_bring_a_sigmoid_networks_gradient_back():
    # sigma' is at most 1/4: over 20 layers a Glorot kernel leaves about 4^-19 of the gradient.
    plain, shortcuts = (
        kernel_norms(NETWORKS[f"sigmoid, {kind}"](12, 20, 0), X, Y)
        for kind in ("plain", "shortcuts")
    )
    assert plain[0] / plain[-1] < 1e-6 < 1e-2 < shortcuts[0] / shortcuts[-1]
