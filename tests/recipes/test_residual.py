"""`residual_mlp`: blocks by hand and by NumPy, depth, saving, the recursion limit, errors."""

import inspect
import math
import sys

import keras
import numpy as np
import pytest

from trainwell.recipes.activations import ACTIVATIONS
from trainwell.recipes.residual import residual_mlp

X = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
Y = np.arange(16) % 3


def names(model):
    return [layer.name for layer in model.layers]


def parameters_of(model, layer):
    return [w.numpy() for w in model.get_layer(layer).weights]


def relu(values):
    return np.maximum(values, 0)


def test_blocks_by_numpy():
    model = residual_mlp(6, [6, 5], 3, normalization=None, output_activation="linear", seed=0)

    def dense(layer, values):
        kernel, *bias = parameters_of(model, layer)
        return values @ kernel + (bias[0] if bias else 0)

    h = X
    for block in ("block_1", "block_2"):
        branch = dense(f"{block}_dense_2", relu(dense(f"{block}_dense_1", h)))
        shortcut = h if block == "block_1" else dense("block_2_projection", h)
        h = relu(shortcut + branch)
    np.testing.assert_allclose(np.asarray(model(X)), dense("output", h), rtol=1e-5, atol=1e-6)
    assert len(parameters_of(model, "block_2_projection")) == 1


def test_blocks_of_pre_activation_by_numpy():
    model = residual_mlp(
        6, [6, 5], 3, normalization=None, pre_activation=True, output_activation="linear", seed=0
    )

    def dense(layer, values):
        kernel, *bias = parameters_of(model, layer)
        return values @ kernel + (bias[0] if bias else 0)

    h = X + dense("block_1_dense_2", relu(dense("block_1_dense_1", X)))
    branch = dense("block_2_dense_2", relu(dense("block_2_dense_1", relu(h))))
    h = dense("block_2_projection", h) + branch
    expected = dense("output", relu(h))
    np.testing.assert_allclose(np.asarray(model(X)), expected, rtol=1e-5, atol=1e-6)


def by_hand():
    """He et al. 2016: two blocks, the second wider, batch normalization before activations."""
    layers = keras.layers

    def normalized(x, width, name):
        x = layers.Dense(width, use_bias=False, name=name)(x)
        return layers.BatchNormalization(name=f"{name}_batch_normalization")(x)

    x = inputs = keras.Input((6,), name="input")
    for block, width in (("block_1", 6), ("block_2", 5)):
        branch = normalized(x, width, f"{block}_dense_1")
        branch = layers.ReLU(name=f"{block}_dense_1_activation")(branch)
        branch = layers.Dropout(0.1, name=f"{block}_dense_1_dropout")(branch)
        branch = normalized(branch, width, f"{block}_dense_2")
        if x.shape[-1] != width:
            x = normalized(x, width, f"{block}_projection")
        x = layers.Add(name=f"{block}_add")([x, branch])
        x = layers.ReLU(name=f"{block}_activation")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="output")(x))


def test_the_layers_are_those_of_a_network_built_by_hand():
    model, hand = residual_mlp(6, [6, 5], 3, dropout=0.1), by_hand()
    assert [(layer.name, type(layer)) for layer in model.layers] == [
        (layer.name, type(layer)) for layer in hand.layers
    ]
    hand.set_weights(model.get_weights())
    np.testing.assert_array_equal(np.asarray(model(X)), np.asarray(hand(X)))
    assert not model.compiled


def test_layers_of_pre_activation_in_order():
    model = residual_mlp((2, 3), [6], 3, pre_activation=True, adapt_to=X.reshape(16, 2, 3))
    second = [f"block_1_dense_2{end}" for end in ("_batch_normalization", "_activation", "")]
    assert names(model) == [
        *("input", "standardize", "flatten", "block_1_dense_1", *second, "block_1_add"),
        *("final_batch_normalization", "final_activation", "output"),
    ]


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        # Two kernels of 36 and 12 biases; the output's 18 + 3.
        ({"normalization": None}, 2 * 36 + 12 + 21),
        # No biases, but 4 numbers a unit, twice.
        ({"normalization": "batch"}, 2 * 36 + 8 * 6 + 21),
        # Gamma and beta, twice.
        ({"normalization": "layer"}, 2 * 36 + 4 * 6 + 21),
        ({"normalization": None, "skip_init": True}, 2 * 36 + 12 + 1 + 21),
    ],
)
@pytest.mark.parametrize("pre_activation", [False, True])
def test_parameters_by_hand(arguments, parameters, pre_activation):
    if arguments.get("skip_init"):
        pytest.importorskip("trainwell.recipes.layers.skip_init")
    model = residual_mlp(6, [6], 3, pre_activation=pre_activation, **arguments)
    assert model.count_params() == parameters


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_builds_saves_and_loads(activation, tmp_path):
    model = residual_mlp(
        6, [6, 4], 3, activation=activation, pre_activation=True, dropout=0.2, adapt_to=X, seed=0
    )
    assert np.isfinite(np.asarray(model(X, training=True))).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (loaded, clone):
        np.testing.assert_array_equal(np.asarray(other(X)), np.asarray(model(X)))


@pytest.mark.parametrize("normalization", [None, "layer"])
def test_skip_init_starts_as_the_shortcuts(normalization, tmp_path):
    pytest.importorskip("trainwell.recipes.layers.skip_init")
    model = residual_mlp(
        6,
        [6] * 3,
        3,
        normalization=normalization,
        activation="linear",
        skip_init=True,
        output_activation="linear",
        seed=0,
    )
    kernel, bias = parameters_of(model, "output")
    np.testing.assert_allclose(np.asarray(model(X)), X @ kernel + bias, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(X)), np.asarray(model(X)))


def test_each_kernel_has_its_initializer_and_its_own_seed():
    model = residual_mlp(100, [200, 200], 100, normalization=None, seed=1)
    kernels = {w.path: w.numpy() for w in model.weights if w.path.endswith("kernel")}
    assert len(kernels) == 6
    for path, kernel in kernels.items():
        fan_in, fan_out = kernel.shape
        he = "dense" in path
        variance = 2 / fan_in if he else 2 / (fan_in + fan_out)
        # Truncated at two deviations, the kurtosis is below a normal distribution's 3.
        assert kernel.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / kernel.size))
    first, second = (kernels[f"block_2_dense_{i}/kernel"] for i in (1, 2))
    assert not np.isclose(first, second).all()
    same = residual_mlp(100, [200, 200], 100, pre_activation=True, dropout=0.1, seed=1)
    for path, kernel in kernels.items():
        np.testing.assert_array_equal(same.get_layer(path.split("/")[0]).kernel.numpy(), kernel)


def test_regularizer_and_constraint_reach_every_kernel():
    model = residual_mlp(6, [6, 5], 3, kernel_regularizer="l2", kernel_constraint=0.5)
    assert len(model.losses) == 2 + 2 + 1 + 1
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            assert np.linalg.norm(weight.numpy(), axis=0).max() <= 0.5 + 1e-5


@pytest.mark.parametrize("jit_compile", [False, True])
def test_trains_in_mixed_precision(jit_compile):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = residual_mlp(6, [8], 3, dropout=0.1, seed=0)
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit_compile)
        history = model.fit(X, Y, epochs=20, verbose=0).history["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


def variance_ratio(**arguments):
    """Of the last to the first block's output."""
    model = residual_mlp(50, [50] * 20, 3, seed=0, **arguments)
    x = np.random.default_rng(1).normal(size=(200, 50))
    taps = [model.get_layer(f"block_{i}_add").output for i in (1, 20)]
    first, last = keras.Model(model.input, taps)(x, training=True)
    return float(np.var(last) / np.var(first))


def test_without_normalization_each_block_doubles_the_variance():
    # Linear and with LeCun normal kernels, a branch has the variance of its input.
    arguments = {"activation": "linear", "kernel_initializer": "lecun_normal"}
    plain = variance_ratio(normalization=None, **arguments)
    assert 2**17 < plain < 2**21
    # The branch's variance is 1 whatever h's is: h's grows by 1 a block, from 2 to 21.
    normalized = variance_ratio(normalization="batch", pre_activation=True, **arguments)
    assert normalized == pytest.approx(21 / 2, rel=0.2)


@pytest.mark.parametrize("pre_activation", [False, True])
def test_every_variable_of_51_dense_layers_has_a_finite_gradient(pre_activation):
    import tensorflow as tf

    model = residual_mlp(6, [8] * 25, 3, pre_activation=pre_activation, seed=0)
    with tf.GradientTape() as tape:
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(Y, model(X, training=1)))
    gradients = tape.gradient(loss, model.trainable_variables)
    norms = [float(tf.norm(g)) for g in gradients]
    assert np.isfinite(norms).all()
    assert min(norms) > 0


# ---------------------------------------------------------------- the recursion limit


def built_within(limit, **arguments):
    """Builds within that many frames besides those of the test."""
    old = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + limit)
    try:
        return residual_mlp(4, outputs=2, normalization=None, **arguments)
    finally:
        sys.setrecursionlimit(old)


@pytest.mark.parametrize(
    ("pre_activation", "units", "blocks"),
    [
        # Two frames a block; one; a projection more.
        (False, [4, 4], 60),
        (True, [4, 4], 120),
        (True, [3, 4], 60),
    ],
)
def test_the_last_depth_that_is_allowed_builds_and_the_next_says_why(pre_activation, units, blocks):
    # The builder itself and its check stand on the stack too.
    arguments = {"pre_activation": pre_activation}
    hidden_units = (units * blocks)[:blocks]
    model = built_within(50 + 120 + 2, hidden_units=hidden_units, **arguments)
    assert len(model.layers) > 3 * blocks
    with pytest.raises(ValueError, match=rf"{blocks + 2} blocks.*sys\.setrecursionlimit\(\d+\)"):
        built_within(50 + 120 + 2, hidden_units=[*hidden_units, *units], **arguments)


BAD = [
    ({"pre_activation": "yes"}, r"must be True or False\. Received: pre_activation='yes'"),
    ({"skip_init": 0.1}, r"must be True or False\. Received: skip_init=0\.1"),
    ({"normalization": "batch_after"}, r"None, 'batch', 'layer'.*normalization='batch_after'"),
    ({"hidden_units": [6] * 5000}, r"Python's recursion limit.*5000 blocks"),
    ({"input_shape": ()}, r"Received: input_shape=\(\)"),
    ({"hidden_units": []}, r"at least one hidden layer"),
    ({"outputs": 0}, r"Received: outputs=0"),
    ({"outputs": 1}, r"is constant 1\."),
    ({"output_activation": "sofmax"}, r"Did you mean 'softmax'\?"),
    ({"activation": "reul"}, r"Did you mean 'relu'\?"),
    ({"dropout": [0.1]}, r"one for each hidden layer \(2 here\)"),
    ({"kernel_constraint": 0}, r"Received: kernel_constraint=0"),
    ({"kernel_regularizer": "l3"}, r"l3"),
    ({"kernel_initializer": "he_nrmal"}, r"he_nrmal"),
    ({"bias_initializer": "zeroes", "normalization": None}, r"zeroes"),
    ({"activation_options": {"slope": 1}}, r"slope=1"),
    ({"seed": 1.5}, r"Received: seed=1\.5"),
    ({"adapt_to": X[:, :5]}, r"Received: adapt_to of shape \(16, 5\)"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    good = {"input_shape": 6, "hidden_units": [5, 4], "outputs": 3}
    with pytest.raises(ValueError, match=message):
        residual_mlp(**{**good, **arguments})
