"""`recurrent`: cells against NumPy, initializers, gradients through time, bad arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.recurrent import recurrent

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5, 3)).astype(np.float32)
Y = np.arange(6) % 2
CELLS = ("lstm", "gru", "simple")
every_cell = pytest.mark.parametrize("cell", CELLS)


def small(**arguments):
    return recurrent(**{"input_shape": (5, 3), "units": [4, 2], "outputs": 2, **arguments})


def values(model):
    return {v.path: v.numpy() for v in model.weights}


def of_kind(model, kind):
    return [v.numpy() for v in model.weights if v.path.endswith(f"cell/{kind}")]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# ---------------------------------------------------------------- structure


@every_cell
@pytest.mark.parametrize("bidirectional", [False, True])
def test_trains_saves_and_loads(cell, bidirectional, tmp_path):
    model = small(
        cell=cell,
        bidirectional=bidirectional,
        normalization="layer",
        dropout=0.1,
        recurrent_dropout=0.1,
        adapt_to=X,
        seed=0,
    )
    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(Y, model(X, training=True))
    for v, g in zip(
        model.trainable_weights,
        tape.gradient(loss, [v.value for v in model.trainable_weights]),
        strict=True,
    ):
        assert g is not None, v.path
        assert np.isfinite(g.numpy()).all(), v.path
        assert g.numpy().any(), v.path
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(X)), np.asarray(model(X)))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(np.asarray(clone(X)), np.asarray(model(X)))


def test_layers_in_order():
    model = small(normalization="layer", dropout=[0.1, 0], adapt_to=X, name="net")
    assert model.name == "net"
    assert [layer.name for layer in model.layers] == [
        *("input", "standardize"),
        *("recurrent_1", "recurrent_1_layer_normalization", "recurrent_1_dropout"),
        *("recurrent_2", "recurrent_2_layer_normalization"),
        "output",
    ]
    assert not model.compiled
    assert model.get_layer("recurrent_1").output.shape == (None, 5, 4)
    assert model.get_layer("recurrent_2").output.shape == (None, 2)


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("simple", 1)])
@pytest.mark.parametrize("ways", [1, 2])
def test_parameters_by_hand(cell, gates, ways):
    model = small(cell=cell, bidirectional=ways == 2)
    first, second = gates * 4 * (3 + 4 + 1), gates * 2 * (4 * ways + 2 + 1)
    assert model.count_params() == ways * (first + second) + 2 * (2 * ways + 1)


def test_any_length_and_an_output_for_each_time_step():
    model = small(input_shape=(None, 3), return_sequences=True, adapt_to=X)
    assert model(X).shape == (6, 5, 2)
    assert model(np.repeat(X, 2, axis=1)).shape == (6, 10, 2)
    np.testing.assert_allclose(np.asarray(model(X)).sum(axis=-1), 1, rtol=1e-5)


# ---------------------------------------------------------------- against NumPy


def test_simple_cells_against_numpy():
    model = small(cell="simple", bidirectional=True, units=[4], seed=0)
    w = values(model)
    ends = []
    for way, steps in (("forward", range(5)), ("backward", range(4, -1, -1))):
        kernel, recurrent_kernel, bias = (
            w[f"recurrent_1/{way}_recurrent_1/simple_rnn_cell/{part}"]
            for part in ("kernel", "recurrent_kernel", "bias")
        )
        h = np.zeros((6, 4))
        for t in steps:
            h = np.tanh(X[:, t] @ kernel + h @ recurrent_kernel + bias)
        ends.append(h)
    z = np.concatenate(ends, axis=1) @ w["output/kernel"] + w["output/bias"]
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(model(X)), expected, atol=1e-6)


def test_an_lstm_against_numpy():
    model = small(cell="lstm", units=[4], output_activation="linear", seed=0)
    w = values(model)
    kernel, recurrent_kernel, bias = (
        w[f"recurrent_1/lstm_cell/{part}"] for part in ("kernel", "recurrent_kernel", "bias")
    )
    h = c = np.zeros((6, 4))
    for t in range(5):
        i, f, g, o = np.split(X[:, t] @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    expected = h @ w["output/kernel"] + w["output/bias"]
    np.testing.assert_allclose(np.asarray(model(X)), expected, atol=1e-6)


# ---------------------------------------------------------------- initialization


@every_cell
def test_recurrent_kernels_start_orthogonal(cell):
    for kernel in of_kind(small(cell=cell, units=[8, 8]), "recurrent_kernel"):
        np.testing.assert_allclose(kernel @ kernel.T, np.eye(8), atol=1e-5)


def test_forget_gates_start_with_a_bias_of_one():
    ones, twos = (small(cell="lstm", bias_initializer=b) for b in ("zeros", "ones"))
    np.testing.assert_array_equal(of_kind(ones, "bias")[0], [0] * 4 + [1] * 4 + [0] * 8)
    np.testing.assert_array_equal(of_kind(twos, "bias")[0], np.ones(16))


def test_irnn_starts_as_a_sum():
    # Le et al. 2015: identity and ReLU add up what is positive.
    model = recurrent(
        (5, 3),
        [3],
        2,
        cell="simple",
        activation="relu",
        kernel_initializer="identity",
        recurrent_initializer="identity",
    )
    sums = keras.Model(model.input, model.get_layer("recurrent_1").output)
    np.testing.assert_allclose(np.asarray(sums(np.abs(X))), np.abs(X).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("cell", "gates", "activation", "scale"),
    [("simple", 1, "tanh", None), ("gru", 3, "tanh", None), ("simple", 1, "selu", 1 / 50)],
)
def test_variance_of_each_kernel(cell, gates, activation, scale):
    model = recurrent((5, 50), [60], 40, cell=cell, activation=activation, seed=0)
    kernel, output = of_kind(model, "kernel")[0], model.get_layer("output").kernel.numpy()
    expected = scale or 2 / (50 + gates * 60)
    assert kernel.var() == pytest.approx(expected, rel=5 * (2 / kernel.size) ** 0.5)
    assert output.var() == pytest.approx(2 / 100, rel=5 * (2 / output.size) ** 0.5)


@every_cell
@pytest.mark.parametrize("initializer", [None, keras.initializers.GlorotNormal()])
def test_no_two_kernels_are_equal_and_the_seed_decides_them(cell, initializer):
    def drawn(seed, **more):
        model = small(
            cell=cell,
            input_shape=(5, 8),
            units=[4, 4],
            bidirectional=True,
            kernel_initializer=initializer,
            seed=seed,
            **more,
        )
        return [*of_kind(model, "kernel"), *of_kind(model, "recurrent_kernel")]

    first = drawn(1)
    for i, a in enumerate(first):
        for b in first[:i]:
            assert a.shape != b.shape or not np.isclose(a, b).any()
    for a, same, other in zip(first, drawn(1, dropout=0.1), drawn(2), strict=True):
        np.testing.assert_array_equal(a, same)
        assert not np.isclose(a, other).any()


def test_the_seed_decides_the_masks():
    a, same, other = (
        np.asarray(small(recurrent_dropout=0.5, dropout=0.5, seed=s)(X, training=True))
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(a, same)
    assert not np.allclose(a, other)


# ---------------------------------------------------------------- gradients through time


def norms_through_time(steps, features, **arguments):
    """Norm of the gradient of a random sum of the last state with respect to each step's input."""
    model = recurrent((steps, features), [features], 1, output_activation="linear", **arguments)
    states = keras.Model(model.input, model.get_layer("recurrent_1").output)
    x = tf.zeros((1, steps, features))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(states(x) * np.arange(1, features + 1, dtype=np.float32))
    return np.linalg.norm(tape.gradient(loss, x).numpy()[0], axis=1)


def test_orthogonal_kernels_keep_the_gradient_through_100_steps():
    norms = norms_through_time(
        100, 4, cell="simple", kernel_initializer="orthogonal", activation="linear"
    )
    np.testing.assert_allclose(norms, np.linalg.norm([1, 2, 3, 4]), rtol=1e-4)
    # tanh'(0) = 1, and zeros stay zeros
    tanh = norms_through_time(100, 4, cell="simple", kernel_initializer="orthogonal")
    np.testing.assert_allclose(tanh, norms, rtol=1e-4)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_the_gain_decides_whether_the_gradient_explodes(gain):
    norms = norms_through_time(
        11,
        4,
        cell="simple",
        kernel_initializer="orthogonal",
        recurrent_initializer=keras.initializers.Orthogonal(gain),
    )
    np.testing.assert_allclose(norms[:-1] / norms[1:], gain, rtol=1e-4)


def test_weights_of_100_multiply_the_gradient_by_25_a_step():
    constant = keras.initializers.Constant
    model = recurrent(
        (9, 1),
        [1],
        1,
        cell="simple",
        activation="sigmoid",
        kernel_initializer=constant(50.0),
        recurrent_initializer=constant(100.0),
        bias_initializer=constant(-50.0),
        output_activation="linear",
    )
    # 50 * 1 - 50 = 0 at first, then 100 * sigma(0) - 50 = 0, and sigma'(0) * 100 = 25
    x = tf.constant([1.0] + [0.0] * 8)[None, :, None]
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = model(x)
    norms = np.abs(tape.gradient(out, x).numpy().ravel())
    np.testing.assert_allclose(norms[:-1] / norms[1:], 25, rtol=1e-5)


def test_regularizer_and_constraint_reach_recurrent_kernels_too():
    model = small(
        cell="simple", kernel_regularizer=keras.regularizers.L2(0.01), kernel_constraint=0.5
    )
    squares = sum((k.astype(float) ** 2).sum() for p, k in values(model).items() if "kernel" in p)
    assert sum(map(float, model.losses)) == pytest.approx(0.01 * squares, rel=1e-5)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.train_on_batch(X, Y)
    for path, kernel in values(model).items():
        if "kernel" in path:
            assert np.linalg.norm(kernel, axis=0).max() <= 0.5 + 1e-5, path


@pytest.mark.parametrize(("cell", "activation"), [("simple", "elu"), ("gru", "swish")])
def test_other_activations(cell, activation):
    model = small(cell=cell, activation=activation, output_activation="sigmoid", outputs=1)
    assert np.isfinite(np.asarray(model(X))).all()


def test_dropout_is_after_each_layer():
    model = small(dropout=[0.1, 0.3], recurrent_dropout=[0.2, 0])
    assert [layer.rate for layer in model.layers if "dropout" in layer.name] == [0.1, 0.3]
    cells = [model.get_layer(f"recurrent_{i}") for i in (1, 2)]
    assert [cell.recurrent_dropout for cell in cells] == [0.2, 0]
    assert [cell.dropout for cell in cells] == [0, 0]


# ---------------------------------------------------------------- inputs, jit, precision


def test_standardizes_each_feature_over_time():
    x = np.random.default_rng(1).normal(5, 3, (200, 5, 3)) * [1, 10, 100]
    layer = small(adapt_to=x).get_layer("standardize")
    expected = (x - x.mean(axis=(0, 1))) / x.std(axis=(0, 1))
    np.testing.assert_allclose(np.asarray(layer(x)), expected, atol=2e-5)


@every_cell
def test_jit_trains_alike(cell):
    losses = []
    for jit_compile in (False, True):
        model = small(cell=cell, units=[4], seed=0)
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit_compile)
        losses.append([model.train_on_batch(X, Y) for _ in range(2)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


@every_cell
def test_mixed_precision(cell):
    outputs = []
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = small(cell=cell, normalization="layer", adapt_to=X, seed=0)
        finally:
            keras.config.set_dtype_policy("float32")
        outputs.append(np.asarray(model(X), np.float32))
    np.testing.assert_allclose(*outputs, atol=0.01)


# ---------------------------------------------------------------- bad arguments

BAD = [
    ({"input_shape": (5,)}, r"\(time, features\), .*\(1 axes\)\. A series of .* \(time, 1\)"),
    ({"input_shape": (None,)}, r"Received: input_shape=\(None,\)"),
    ({"input_shape": (None, None)}, r"Received: input_shape=\(None,\)"),
    ({"input_shape": (5, 3, 1)}, r"\(3 axes\)"),
    ({"input_shape": "53"}, r"Received: input_shape='53'"),
    ({"units": []}, r"at least one recurrent layer\. Received: units=\[\]"),
    ({"units": 64}, r"`units` must be a sequence .*units=64\. Pass one width per recurrent"),
    ({"units": [4, -1]}, r"Received: units\[1\]=-1"),
    ({"outputs": 0}, r"Received: outputs=0"),
    ({"outputs": 1}, r"is constant 1"),
    ({"cell": "ltsm"}, r"'lstm', 'gru', 'simple'.*Did you mean 'lstm'"),
    ({"bidirectional": 2}, r"True or False\. Received: bidirectional=2"),
    ({"return_sequences": "yes"}, r"Received: return_sequences='yes'"),
    ({"activation": "prelu"}, r"without weights or randomness.*activation='prelu'\. Use 'tanh'"),
    ({"activation": "tahn"}, r"Did you mean 'tanh'"),
    ({"kernel_initializer": "glorot"}, r"glorot"),
    ({"recurrent_initializer": "orthogonl"}, r"orthogonl"),
    ({"normalization": "batch"}, r"one of None, 'layer'\. Received: normalization='batch'"),
    ({"dropout": 1.0}, r"in \[0, 1\)\. Received: dropout=1\.0"),
    ({"recurrent_dropout": 1.0}, r"in \[0, 1\)\. Received: recurrent_dropout=1\.0"),
    ({"recurrent_dropout": [0.1]}, r"`recurrent_dropout` .*\(2 here\).*recurrent_dropout=\[0\.1\]"),
    ({"kernel_regularizer": "l3"}, r"kernel_regularizer='l3'"),
    ({"kernel_constraint": 0}, r"Received: kernel_constraint=0"),
    ({"output_activation": "sofmax"}, r"Did you mean 'softmax'"),
    ({"adapt_to": X[0]}, r"shape \(n, 5, 3\).*Received: adapt_to of shape \(5, 3\)"),
    ({"input_shape": (None, 3), "adapt_to": X[..., :2]}, r"adapt_to of shape \(6, 5, 2\)"),
    ({"input_shape": (None, 3), "adapt_to": X[0]}, r"\(n, None, 3\).*adapt_to of shape \(5, 3\)"),
    ({"seed": 1.0}, r"Received: seed=1\.0"),
    ({"bias_initializer": "zeroes"}, r"zeroes"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
