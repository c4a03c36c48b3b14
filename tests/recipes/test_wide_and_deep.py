"""`wide_and_deep`: the graph against one built by hand, the output by NumPy, two inputs, errors."""

import keras
import numpy as np
import pytest

from trainwell.recipes.mlp import mlp
from trainwell.recipes.wide_and_deep import wide_and_deep

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 6)).astype(np.float32)
WIDE = RANDOM.normal(size=(16, 2)).astype(np.float32)


def weights_of(model, layer):
    return [w.numpy() for w in model.get_layer(layer).weights]


def test_one_input_by_numpy():
    model = wide_and_deep(6, [5, 4], 3, output_activation="linear", seed=0)
    hidden = X
    for layer in ("hidden_1", "hidden_2"):
        kernel, bias = weights_of(model, layer)
        hidden = np.maximum(hidden @ kernel + bias, 0)
    kernel, bias = weights_of(model, "output")
    assert kernel.shape == (6 + 4, 3)
    expected = np.concatenate([X, hidden], axis=1) @ kernel + bias
    np.testing.assert_allclose(np.asarray(model(X)), expected, rtol=1e-5, atol=1e-6)


def test_two_inputs_by_numpy():
    model = wide_and_deep(6, [5], 3, wide_shape=2, output_activation="linear", seed=0)
    kernel, bias = weights_of(model, "hidden_1")
    hidden = np.maximum(X @ kernel + bias, 0)
    kernel, bias = weights_of(model, "output")
    expected = np.concatenate([WIDE, hidden], axis=1) @ kernel + bias
    for given in ((WIDE, X), [WIDE, X], {"deep_input": X, "wide_input": WIDE}):
        np.testing.assert_allclose(np.asarray(model(given)), expected, rtol=1e-5, atol=1e-6)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit((WIDE, X), np.arange(16) % 3, verbose=0)
    np.testing.assert_array_equal(model.predict((WIDE, X), verbose=0), np.asarray(model((WIDE, X))))


def by_hand():
    dense = keras.layers.Dense
    x = inputs = keras.Input((6,), name="input")
    for i, width in ((1, 5), (2, 4)):
        x = dense(width, use_bias=False, name=f"hidden_{i}")(x)
        x = keras.layers.BatchNormalization(name=f"hidden_{i}_batch_normalization")(x)
        x = keras.layers.ReLU(name=f"hidden_{i}_activation")(x)
        x = keras.layers.Dropout(0.1, name=f"hidden_{i}_dropout")(x)
    x = keras.layers.Concatenate(name="wide_and_deep")([inputs, x])
    return keras.Model(inputs, dense(3, activation="softmax", name="output")(x))


def test_the_layers_are_those_of_a_network_built_by_hand():
    model, hand = wide_and_deep(6, [5, 4], 3, normalization="batch", dropout=0.1), by_hand()
    assert [(layer.name, type(layer)) for layer in model.layers] == [
        (layer.name, type(layer)) for layer in hand.layers
    ]
    hand.set_weights(model.get_weights())
    np.testing.assert_array_equal(np.asarray(model(X)), np.asarray(hand(X)))


def test_the_deep_path_has_the_weights_of_mlp():
    deep, plain = wide_and_deep(6, [5, 4], 3, seed=1), mlp(6, [5, 4], 3, seed=1)
    for layer in ("hidden_1", "hidden_2"):
        for a, b in zip(weights_of(deep, layer), weights_of(plain, layer), strict=True):
            np.testing.assert_array_equal(a, b)


def test_both_paths_are_standardized():
    x = X * 3 + 50
    one = wide_and_deep(6, [5], 3, adapt_to=x, seed=0)
    concatenated = keras.Model(one.input, one.get_layer("wide_and_deep").output)
    expected = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(np.asarray(concatenated(x))[:, :6], expected, atol=1e-4)
    pair = (WIDE[:, None], x.reshape(16, 2, 3))
    two = wide_and_deep((2, 3), [5], 3, wide_shape=(1, 2), adapt_to=pair)
    assert [layer.name for layer in two.layers if "hidden" not in layer.name] == [
        *("deep_input", "deep_standardize", "wide_input", "deep_flatten", "wide_standardize"),
        *("wide_flatten", "wide_and_deep", "output"),
    ]
    standardized = np.asarray(two.get_layer("wide_standardize")(WIDE[:, None]))
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(standardized.std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("wide_shape", [None, 2])
def test_saves_loads_and_clones(wide_shape, tmp_path):
    adapt_to = X if wide_shape is None else (WIDE, X)
    x = X if wide_shape is None else (WIDE, X)
    model = wide_and_deep(
        6,
        [5],
        3,
        wide_shape=wide_shape,
        activation="selu",
        dropout=0.5,
        normalization="layer",
        adapt_to=adapt_to,
        seed=0,
        name="net",
    )
    assert model.name == "net"
    assert not model.compiled
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (loaded, clone):
        np.testing.assert_array_equal(np.asarray(other(x)), np.asarray(model(x)))


def test_compiles_to_xla_and_trains_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = wide_and_deep(6, [5], 3, wide_shape=2, adapt_to=(WIDE, X), seed=0)
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
        # The first steps only find the loss scale.
        history = model.fit((WIDE, X), np.arange(16) % 3, epochs=20, verbose=0).history["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


BAD = [
    ({"wide_shape": 0}, r"`wide_shape` must be .* Received: wide_shape=0\. Pass the shape"),
    ({"wide_shape": (None, 2)}, r"Received: wide_shape=\(None, 2\)"),
    ({"wide_shape": 2, "adapt_to": X}, r"pair of arrays.* adapt_to=ndarray \(16, 6\)\. Pass"),
    ({"wide_shape": 2, "adapt_to": (X, X)}, r"`input_shape=\(2,\)`.*shape \(16, 6\)"),
    ({"adapt_to": X[:, :5]}, r"Received: adapt_to of shape \(16, 5\)"),
    ({"input_shape": ()}, r"Received: input_shape=\(\)"),
    ({"hidden_units": []}, r"at least one hidden layer"),
    ({"outputs": 0}, r"Received: outputs=0"),
    ({"outputs": 1}, r"is constant 1\."),
    ({"output_activation": "sofmax"}, r"Did you mean 'softmax'\?"),
    ({"normalization": "bach"}, r"Did you mean 'batch'\?"),
    ({"activation": "reul"}, r"Did you mean 'relu'\?"),
    ({"dropout": [0.1]}, r"one for each hidden layer \(2 here\)"),
    ({"kernel_constraint": 0}, r"Received: kernel_constraint=0"),
    ({"kernel_regularizer": "l3"}, r"l3"),
    ({"kernel_initializer": "he_nrmal"}, r"he_nrmal"),
    ({"bias_initializer": "zeroes"}, r"zeroes"),
    ({"activation_options": {"slope": 1}}, r"slope=1"),
    ({"seed": 1.5}, r"Received: seed=1\.5"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    good = {"input_shape": 6, "hidden_units": [5, 4], "outputs": 3}
    with pytest.raises(ValueError, match=message):
        wide_and_deep(**{**good, **arguments})
