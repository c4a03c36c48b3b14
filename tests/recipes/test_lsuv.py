"""LSUV: variances by NumPy, what is left alone, what is refused."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.lsuv import ScaledLayer, lsuv
from trainwell.recipes.mlp import mlp

X = np.random.default_rng(0).normal(3, 5, (64, 12)).astype(np.float32)
IMAGES = np.random.default_rng(1).normal(2, 4, (16, 8, 8, 3)).astype(np.float32)


def dense_by_numpy(layer, x):
    return x.astype(np.float64) @ layer.kernel.numpy() + layer.bias.numpy()


def state(model):
    return [np.array(variable.numpy()) for variable in model.variables]


def assert_same(before, model):
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "swish"])
def test_every_layer_puts_out_unit_variance(activation):
    model = mlp(12, [20, 30, 10], 5, activation=activation, seed=0)
    report = lsuv(model, X, seed=0)
    assert [row.layer for row in report] == ["hidden_1", "hidden_2", "hidden_3", "output"]
    x = X
    for row in report:
        z = dense_by_numpy(model.get_layer(row.layer), x)
        assert z.var() == pytest.approx(1, abs=1e-4)
        assert row.variance_after == pytest.approx(z.var(), rel=1e-4)
        assert row.scale == pytest.approx(1 / math.sqrt(row.variance_before), rel=1e-5)
        assert row.iterations == 1
        x = np.asarray(keras.activations.get(activation)(z.astype(np.float32)))
    assert not any(layer.bias.numpy().any() for layer in model.layers if hasattr(layer, "bias"))


def test_an_activation_inside_the_layer_is_not_measured():
    inline = keras.Sequential(
        [keras.Input((12,)), keras.layers.Dense(9, "relu"), keras.layers.Dense(4, "softmax")]
    )
    lsuv(inline, X)
    first, second = inline.layers
    z = dense_by_numpy(first, X)
    assert z.var() == pytest.approx(1, abs=1e-4)
    assert dense_by_numpy(second, np.maximum(z, 0)).var() == pytest.approx(1, abs=1e-4)
    assert first.activation is keras.activations.relu
    assert "call" not in vars(first)


def test_an_activation_with_weights_inside_the_layer():
    inline = keras.Sequential([keras.Input((12,)), keras.layers.Dense(9, keras.layers.PReLU())])
    inline(X)  # builds the PReLU
    count = len(inline.variables)
    assert lsuv(inline, X)[0].variance_after == pytest.approx(1, abs=1e-4)
    assert isinstance(inline.layers[0].activation, keras.layers.PReLU)
    assert len(inline.variables) == count


def test_orthonormal_first_or_the_kernels_that_are_there():
    model = mlp(12, [12], 3, seed=0)
    kernel = model.get_layer("hidden_1").kernel.numpy()
    [first, _] = lsuv(model, X, orthonormal=False)
    scaled = model.get_layer("hidden_1").kernel.numpy()
    np.testing.assert_allclose(scaled, kernel * first.scale, rtol=1e-6)
    [first, _] = lsuv(model, X, seed=1)
    q = model.get_layer("hidden_1").kernel.numpy() / first.scale
    np.testing.assert_allclose(q @ q.T, np.eye(12), atol=1e-5)
    again = mlp(12, [12], 3, seed=7)
    lsuv(again, X, seed=1)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_within_the_tolerance_nothing_is_scaled():
    model = mlp(12, [20], 5, seed=0)
    lsuv(model, X)
    before = state(model)
    report = lsuv(model, X, orthonormal=False)
    assert [(row.scale, row.iterations) for row in report] == [(1.0, 0)] * 2
    assert_same(before, model)
    wide = lsuv(mlp(12, [20], 5, seed=0), X, orthonormal=False, tolerance=1e6)
    assert [row.iterations for row in wide] == [0, 0]
    assert wide[0].variance_before == wide[0].variance_after != pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("stddev", [0.5, 0.9])
def test_biases_stay_and_count(stddev):
    normal = keras.initializers.RandomNormal(stddev=stddev, seed=0)
    model = mlp(12, [400], 3, bias_initializer=normal, seed=0)
    layer = model.get_layer("hidden_1")
    bias = layer.bias.numpy()
    report = lsuv(model, X, seed=0)
    np.testing.assert_array_equal(layer.bias.numpy(), bias)
    assert dense_by_numpy(layer, X).var() == pytest.approx(1, abs=1e-3)
    assert report[0].iterations == 1


def convolutional():
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu")(x)
    x = keras.layers.SeparableConv2D(8, 3, activation="tanh")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.Conv2DTranspose(4, 3, strides=2)(x)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def test_convolutions_of_all_kinds():
    model = convolutional()
    assert len(lsuv(model, IMAGES, tolerance=1e-3, seed=0)) == 5
    linear = [keras.Model(model.input, layer.output) for layer in model.layers[1:]]
    for part, layer in zip(linear, model.layers[1:], strict=True):
        if isinstance(layer, keras.layers.Flatten):
            continue
        out = np.asarray(part(IMAGES))
        if layer.activation is keras.activations.tanh:
            out = np.arctanh(np.clip(out, -1 + 1e-7, 1 - 1e-7))
        if layer.activation is not keras.activations.relu:
            assert out.var() == pytest.approx(1, abs=0.01)


def test_nested_models_and_shared_layers():
    inner = keras.Sequential([keras.Input((12,)), keras.layers.Dense(12, name="a")], name="inner")
    shared = keras.layers.Dense(12, activation="tanh", name="shared")
    inputs = keras.Input((12,))
    model = keras.Model(inputs, shared(shared(inner(inputs))))
    report = lsuv(model, X, tolerance=1e-5)
    assert [row.layer for row in report] == ["inner/a", "shared"]
    z = dense_by_numpy(inner.layers[0], X)
    assert z.var() == pytest.approx(1, abs=1e-4)
    assert dense_by_numpy(shared, z).var() == pytest.approx(1, abs=1e-4)


def test_frozen_layers_keep_their_kernels():
    model = mlp(12, [20, 20], 5, seed=0)
    frozen = model.get_layer("hidden_2")
    frozen.trainable = False
    kernel = frozen.kernel.numpy()
    assert [row.layer for row in lsuv(model, X)] == ["hidden_1", "output"]
    np.testing.assert_array_equal(frozen.kernel.numpy(), kernel)


def test_layers_inside_of_others():
    inputs = keras.Input((5, 12))
    steps = keras.layers.Dense(4, name="steps")
    x = keras.layers.LSTM(4)(keras.layers.TimeDistributed(steps)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, name="last")(x))
    sequences = np.random.default_rng(2).normal(size=(8, 5, 12)).astype(np.float32)
    report = lsuv(model, sequences, tolerance=1e-5)
    assert [row.layer.split("/")[-1] for row in report] == ["steps", "last"]
    assert dense_by_numpy(steps, sequences[:, 0]).var() == pytest.approx(1, abs=1e-4)


def test_layers_inside_a_compiled_function_are_left_alone():
    class Compiled(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(4)
            self.run = tf.function(self.dense)

        def call(self, x):
            return self.run(x)

        def compute_output_shape(self, shape):
            return (*shape[:-1], 4)

    inner = Compiled()
    model = keras.Sequential([keras.Input((12,)), inner, keras.layers.Dense(3, name="last")])
    model(X)
    assert [row.layer for row in lsuv(model, X, orthonormal=False)] == ["last"]


def test_nothing_but_kernels_changes():
    model = mlp(12, [20], 5, normalization="batch", dropout=0.5, seed=0)
    kernels = {weight.path for weight in model.weights if weight.path.endswith("kernel")}
    before = state(model)
    lsuv(model, X)
    for variable, old in zip(model.variables, before, strict=True):
        same = np.array_equal(variable.numpy(), old)
        assert same == (variable.path not in kernels)


def test_several_inputs_and_a_subclassed_model():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.left, self.right = keras.layers.Dense(4), keras.layers.Dense(4)

        def call(self, inputs):
            return self.left(inputs["a"]) + self.right(inputs["b"])

    model, x = Two(), {"a": X, "b": 10 * X}
    model(x)
    report = lsuv(model, x)
    assert len(report) == 2
    assert dense_by_numpy(model.left, X).var() == pytest.approx(1, abs=1e-4)
    assert dense_by_numpy(model.right, 10 * X).var() == pytest.approx(1, abs=1e-4)


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = mlp(12, [20, 20], 5, seed=0)
    finally:
        keras.config.set_dtype_policy("float32")
    for row in lsuv(model, X):
        assert row.variance_after == pytest.approx(1, abs=0.02)


def test_trains_a_network_that_no_initializer_fits():
    x = inputs = keras.Input((12,))
    for i in range(15):
        x = keras.layers.Dense(12, kernel_initializer=keras.initializers.RandomNormal(seed=i))(x)
        x = keras.layers.Activation("softsign")(x)
    model = keras.Model(inputs, x)
    assert np.asarray(model(X)).std() < 1e-8
    lsuv(model, X, seed=0)
    assert np.asarray(model(X)).std() > 0.3


def with_dead_layer():
    inputs = keras.Input((12,))
    x = keras.layers.Dense(5, name="alive")(inputs)
    x = keras.layers.Rescaling(0.0)(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="dead")(x))


def with_large_biases():
    ramp = keras.initializers.RandomNormal(stddev=3.0, seed=0)
    return mlp(12, [50], 3, bias_initializer=ramp, seed=0)


def frozen():
    model = mlp(12, [5], 3)
    model.trainable = False
    return model


def subclassed():
    class Model(keras.Model):
        def call(self, x):
            return x

    return Model()


def small():
    return mlp(12, [5], 3)


BAD = [
    (with_dead_layer, {}, r"layer 'dead'\. It has outputs of variance 0: .*dead units"),
    (small, {"x": 0 * X}, r"layer 'hidden_1'.*variance 0"),
    (with_large_biases, {}, r"layer 'hidden_1'\. It has biases of variance \d.*zero at best"),
    (small, {"x": np.where(X > 5, np.nan, X)}, r"`x` must be finite.*\(64, 12\), with \d+ numbers"),
    (small, {"x": X[:0]}, r"with n >= 1.*shape \(0, 12\)"),
    (small, {"x": X.astype(str)}, r"of numbers.*dtype <U"),
    (small, {"x": X[:, :5]}, r"that the model can be called on\. Received: x of shape \(64, 5\)"),
    (frozen, {}, r"that is not frozen\. Received: model="),
    (subclassed, {}, r"must be a built keras\.Model.*Call it on a batch"),
    (lambda: "model", {}, r"must be a built keras\.Model\. Received: model='model'"),
    (small, {"tolerance": 0}, r"`tolerance` must be a positive number\. Received: tolerance=0"),
    (small, {"tolerance": math.nan}, r"tolerance=nan"),
    (small, {"max_iterations": 0}, r"`max_iterations` must be a positive integer"),
    (small, {"orthonormal": "yes"}, r"`orthonormal` must be True or False.*'yes'"),
    (small, {"seed": 0.5}, r"`seed` must be an integer or None"),
]


@pytest.mark.parametrize(("build", "arguments", "message"), BAD)
def test_bad_arguments_leave_the_model_as_it_was(build, arguments, message):
    model = build()
    before = state(model) if isinstance(model, keras.Model) else None
    with pytest.raises(ValueError, match=message):
        lsuv(model, **{"x": X, **arguments})
    if before is not None:
        assert_same(before, model)
        assert not any("call" in vars(layer) for layer in model.layers)


def test_the_report_is_plain():
    [row, *_] = lsuv(small(), X)
    assert isinstance(row, ScaledLayer)
    assert {type(value) for value in row} == {str, float, int}
