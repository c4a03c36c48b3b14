"""`convnet`: structure by hand, one net against NumPy, standardization, seeds, bad arguments."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.activations import ACTIVATIONS
from trainwell.recipes.convolutional import convnet

X = np.random.default_rng(0).normal(size=(8, 6, 4, 3)).astype(np.float32)
Y = np.arange(8) % 5


def small(**arguments):
    return convnet(**{"input_shape": (6, 4, 3), "filters": [4, 2], "outputs": 5, **arguments})


def names(model):
    return [layer.name for layer in model.layers]


def kernels(model):
    return [w.numpy() for w in model.weights if w.path.endswith("kernel")]


def gradients(model, x=X, y=Y):
    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(y, model(x, training=True))
    return tape.gradient(loss, [w.value for w in model.trainable_weights])


@pytest.mark.parametrize(
    ("activation", "normalization"),
    [
        *((activation, None) for activation in ACTIVATIONS),
        *(("relu", normalization) for normalization in ("batch", "batch_after", "layer")),
    ],
)
def test_trains_saves_and_loads(activation, normalization, tmp_path):
    model = small(activation=activation, normalization=normalization, dropout=0.1, adapt_to=X)
    for variable, gradient in zip(model.trainable_weights, gradients(model), strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(np.asarray(gradient)).all(), variable.path
    out = np.asarray(model(X))
    assert out.shape == (8, 5)
    np.testing.assert_allclose(out.sum(axis=1), 1, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(X)), out)


def test_layers_in_order():
    model = small(
        convolutions_per_block=1,
        normalization="batch",
        dropout=[0.1, 0.2, 0.3],
        dense_units=[7],
        adapt_to=X,
        name="net",
    )
    assert model.name == "net"
    assert names(model) == [
        *("input", "standardize"),
        *("block_1_conv_1", "block_1_conv_1_batch_normalization", "block_1_conv_1_activation"),
        *("block_1_pooling", "block_1_dropout"),
        *("block_2_conv_1", "block_2_conv_1_batch_normalization", "block_2_conv_1_activation"),
        *("global_pooling", "block_2_dropout"),
        *("hidden_1", "hidden_1_batch_normalization", "hidden_1_activation", "hidden_1_dropout"),
        "output",
    ]
    drops = [layer.rate for layer in model.layers if "dropout" in layer.name]
    assert drops == [0.1, 0.2, 0.3]
    assert not model.compiled
    flat = small(global_pooling=False, normalization="batch_after")
    assert names(flat)[-3:] == ["block_2_pooling", "flatten", "output"]
    assert names(flat)[1:4] == [
        *("block_1_conv_1", "block_1_conv_1_activation", "block_1_conv_1_batch_normalization")
    ]
    # 6x4 pixels halved twice, rounded down, leave 1x1 of 2 filters
    assert flat.get_layer("flatten").output.shape == (None, 1 * 1 * 2)
    assert isinstance(
        small(pooling="average").get_layer("block_1_pooling"), (keras.layers.AveragePooling2D)
    )


@pytest.mark.parametrize(
    ("normalization", "parameters"),
    [
        # kernels 9 * (3*4 + 4*4 + 4*2 + 2*2) = 360 and 2*5; biases 4 + 4 + 2 + 2 and 5
        (None, 370 + 12 + 5),
        # no biases of convolutions, but 4 numbers a filter
        ("batch", 370 + 5 + 4 * 12),
        ("batch_after", 370 + 12 + 5 + 4 * 12),
        ("layer", 370 + 5 + 2 * 12),
    ],
)
def test_parameters_by_hand(normalization, parameters):
    assert small(normalization=normalization).count_params() == parameters


def correlate(x, kernel):
    """A convolution with zero padding, by its definition."""
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = (
        padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )
    return sum(shifted)


def test_one_network_against_numpy():
    model = small(
        convolutions_per_block=1, bias_initializer=keras.initializers.RandomNormal(stddev=0.3)
    )
    w = {v.path: v.numpy().astype(np.float64) for v in model.weights}
    h = np.maximum(correlate(X, w["block_1_conv_1/kernel"]) + w["block_1_conv_1/bias"], 0)
    h = h.reshape(8, 3, 2, 2, 2, 4).max(axis=(2, 4))
    h = np.maximum(correlate(h, w["block_2_conv_1/kernel"]) + w["block_2_conv_1/bias"], 0)
    z = h.mean(axis=(1, 2)) @ w["output/kernel"] + w["output/bias"]
    softmax = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(model(X)), softmax, atol=1e-6)


@pytest.mark.parametrize(("activation", "scale"), [("relu", 2), ("selu", 1), ("tanh", None)])
def test_variance_of_each_kernel(activation, scale):
    model = convnet((8, 8, 16), [32, 32], 40, activation=activation, seed=0)
    for layer in model.layers:
        if not layer.weights:
            continue
        kernel = layer.kernel.numpy()
        fan_in, fan_out = math.prod(kernel.shape[:-1]), math.prod(kernel.shape) / kernel.shape[-2]
        variance = 2 / (fan_in + fan_out)
        if scale is not None and layer.name != "output":
            variance = scale / fan_in
        # A truncated normal's fourth moment is below the normal's: 5 deviations of chi-squared.
        tolerance = 5 * math.sqrt(2 / kernel.size)
        assert kernel.var() == pytest.approx(variance, rel=tolerance), layer.name


def test_kernels_of_one_shape_differ_and_the_seed_decides_them():
    build = {"filters": [4, 4], "input_shape": (6, 4, 4), "outputs": 4}
    first, second, third, fourth, _ = kernels(convnet(**build, seed=1))
    for a, b in ((first, second), (second, third), (third, fourth)):
        assert not np.isclose(a, b).any()
    same, other = kernels(convnet(**build, seed=1, dropout=0.1)), kernels(convnet(**build, seed=2))
    np.testing.assert_array_equal(first, same[0])
    assert not np.isclose(first, other[0]).any()


def test_prelu_learns_a_slope_a_filter_and_a_unit():
    model = small(activation="prelu", dense_units=[7])
    assert model.get_layer("block_1_conv_1_activation").alpha.shape == (1, 1, 4)
    assert model.get_layer("hidden_1_activation").alpha.shape == (7,)


def test_regularizer_and_constraint_reach_every_kernel():
    model = small(kernel_regularizer=keras.regularizers.L2(0.01), kernel_constraint=0.5)
    squares = sum(float((k.astype(np.float64) ** 2).sum()) for k in kernels(model))
    assert sum(map(float, model.losses)) == pytest.approx(0.01 * squares, rel=1e-5)
    for layer in model.layers:
        if not layer.weights:
            continue
        large = np.ones(layer.kernel.shape, np.float32)
        norms = np.linalg.norm(layer.kernel_constraint(large).numpy().reshape(-1, large.shape[-1]))
        # every filter at the limit of 0.5
        assert norms == pytest.approx(0.5 * math.sqrt(large.shape[-1]), rel=1e-5)


def test_alpha_dropout_for_selu():
    assert isinstance(
        small(activation="selu", dropout=0.1).get_layer("block_1_dropout"),
        keras.layers.AlphaDropout,
    )


# ---------------------------------------------------------------- inputs


def test_standardizes_each_channel(tmp_path):
    x = np.random.default_rng(2).normal(50, 9, (500, 6, 4, 3)) * [1, 10, 100]
    model = small(adapt_to=x)
    expected = (x - x.mean(axis=(0, 1, 2))) / x.std(axis=(0, 1, 2))
    got = np.asarray(model.get_layer("standardize")(x))
    np.testing.assert_allclose(got, expected, atol=2e-5)
    clone = keras.models.clone_model(model)
    np.testing.assert_array_equal(np.asarray(clone.get_layer("standardize")(x)), got)


def test_a_constant_channel_does_not_explode():
    x = np.random.default_rng(2).normal(0, 66, (100, 6, 4, 3))
    x[..., 1] = 7
    layer = small(adapt_to=x).get_layer("standardize")
    scale = math.sqrt(x[..., [0, 2]].var(axis=(0, 1, 2)).mean())
    got = np.asarray(layer(np.full((1, 6, 4, 3), 7 + 255.0)))
    np.testing.assert_allclose(got[..., 1], 255 / scale, rtol=1e-4)


def test_images_without_a_channel_axis():
    x = X[..., 0] * 3 + 5
    flat, deep = (
        convnet(shape, [4], 5, adapt_to=data, seed=0)
        for shape, data in (((6, 4), x), ((6, 4, 1), x[..., None]))
    )
    np.testing.assert_array_equal(np.asarray(flat(x)), np.asarray(deep(x[..., None])))
    assert names(flat)[1:3] == ["channel", "standardize"]


def test_channels_stay_last_whatever_keras_is_set_to():
    keras.config.set_image_data_format("channels_first")
    try:
        out = np.asarray(small(seed=0)(X))
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(out, np.asarray(small(seed=0)(X)))


@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-5), ("mixed_float16", 2**-8)])
def test_jit_and_mixed_precision_train_alike(policy, tolerance):
    losses = []
    for name, jit_compile in (("float32", False), (policy, True)):
        keras.config.set_dtype_policy(name)
        try:
            model = small(normalization="batch", convolutions_per_block=1, adapt_to=X, seed=0)
        finally:
            keras.config.set_dtype_policy("float32")
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit_compile)
        losses.append(model.fit(X, Y, epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=tolerance)


# ---------------------------------------------------------------- bad arguments

BAD = [
    ({"input_shape": (784,)}, r"\(height, width\) or .*input_shape=\(784,\) \(1 axes\)\. Reshape"),
    ({"input_shape": (2, 8, 8, 3)}, r"\(4 axes\)"),
    ({"input_shape": (8, 0)}, r"Received: input_shape=\(8, 0\)"),
    (
        {"filters": [4] * 4},
        r"4 blocks halve the image 3 times, too often for its size: 6x4 -> 3x2 -> 1x1 -> 0x0\. "
        r"Received: input_shape=\(6, 4, 3\), 4 filters\. At most 3 blocks fit",
    ),
    ({"filters": [4] * 3, "global_pooling": False}, r"3 blocks .* At most 2 blocks fit"),
    ({"filters": []}, r"at least one block\. Received: filters=\[\]\. Pass the filters"),
    ({"filters": 32}, r"`filters` must be a sequence .* filters=32\. Pass the filters"),
    ({"filters": [4, 0]}, r"Received: filters\[1\]=0\. Pass the filters"),
    ({"outputs": 0}, r"Received: outputs=0"),
    ({"outputs": 1}, r"is constant 1"),
    ({"kernel_size": 0}, r"Received: kernel_size=0"),
    ({"kernel_size": (3, 3)}, r"Received: kernel_size=\(3, 3\)"),
    ({"convolutions_per_block": 0}, r"Received: convolutions_per_block=0"),
    ({"activation": "reul"}, r"Did you mean 'relu'"),
    ({"kernel_initializer": "he_nrmal"}, r"he_nrmal"),
    ({"normalization": "bach"}, r"Did you mean 'batch'"),
    ({"pooling": "min"}, r"one of 'max', 'average'\. Received: pooling='min'"),
    ({"global_pooling": "max"}, r"must be True or False\. Received: global_pooling='max'"),
    ({"dense_units": 7}, r"`dense_units` must be a sequence .* dense_units=7"),
    ({"dense_units": [1.5]}, r"Received: dense_units\[0\]=1\.5"),
    ({"dropout": [0.1]}, r"\(2 here\).*dropout=\[0\.1\]"),
    ({"dropout": 1}, r"in \[0, 1\)\. Received: dropout=1"),
    ({"kernel_regularizer": "l3"}, r"kernel_regularizer='l3'"),
    ({"kernel_constraint": 0}, r"Received: kernel_constraint=0"),
    ({"output_activation": "sofmax"}, r"Did you mean 'softmax'"),
    ({"adapt_to": X[..., :2]}, r"shape \(n, 6, 4, 3\).*Received: adapt_to of shape \(8, 6, 4, 2\)"),
    ({"adapt_to": X * np.nan}, r"must be finite"),
    ({"seed": "1"}, r"Received: seed='1'"),
    ({"bias_initializer": "zeroes"}, r"zeroes"),
    ({"activation_options": {"negative_slop": 1}}, r"Did you mean 'negative_slope'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
