"""At depth 50 the recommended starts carry the gradient to the first layer, and the naive don't.

`benchmarks/signal_at_depth.py` has the whole table, over seeds.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell import recipes

X = np.random.default_rng(0).normal(size=(64, 20)).astype("float32")
Y = np.arange(64) % 10


def first_over_last(model, steps_before=0):
    """Of the hidden kernels' gradient norms, after some steps of gradient descent."""
    kernels = [v for v in model.trainable_variables if v.path.endswith("kernel")][:-1]
    for step in range(steps_before + 1):
        with tf.GradientTape() as tape:
            loss = keras.losses.sparse_categorical_crossentropy(Y, model(X, training=True))
        variables = model.trainable_variables if step < steps_before else kernels
        gradients = tape.gradient(loss, [v.value for v in variables])
        if step < steps_before:
            keras.optimizers.SGD(0.01).apply(gradients, variables)
    norms = [float(tf.norm(tf.cast(gradient, tf.float64))) for gradient in gradients]
    return norms[0] / norms[-1]


def dense(width=60, **options):
    return recipes.mlp(20, [width] * 50, 10, seed=0, **options)


def test_the_naive_normal_vanishes_where_layers_are_narrow_and_explodes_where_wide():
    naive = {"kernel_initializer": recipes.NaiveNormal(), "bias_initializer": recipes.NaiveNormal()}
    ratios = [first_over_last(dense(width, activation="sigmoid", **naive)) for width in (20, 400)]
    assert ratios[0] < 1e-6 and ratios[1] > 1e2


def test_glorot_with_the_sigmoid_vanishes():
    # sigma' is at most 1/4, and a Glorot kernel about keeps a norm: (1/4)^49 = 3e-30.
    assert first_over_last(dense(activation="sigmoid")) < 1e-25


@pytest.mark.parametrize("activation", ["tanh", "relu", "leaky_relu", "prelu", "elu", "selu"])
def test_the_table_keeps_it_within_two_orders_of_magnitude(activation):
    assert 1e-2 < first_over_last(dense(activation=activation)) < 1e2


@pytest.mark.parametrize("options", [{}, {"pre_activation": True}])
def test_shortcuts_keep_it_with_batch_normalization(options):
    model = recipes.residual_mlp(20, [60] * 25, 10, seed=0, **options)
    assert 1e-2 < first_over_last(model) < 1e2


def test_a_branch_that_starts_at_zero_passes_gradients_after_the_first_step():
    model = recipes.residual_mlp(20, [60] * 25, 10, normalization=None, skip_init=True, seed=0)
    kernels = [v for v in model.trainable_variables if "dense_1/kernel" in v.path]
    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(Y, model(X, training=True))
    gradients = tape.gradient(loss, [v.value for v in kernels])
    assert all(not np.any(gradient) for gradient in gradients)  # by design
    assert 1e-2 < first_over_last(model, steps_before=1) < 1e2
