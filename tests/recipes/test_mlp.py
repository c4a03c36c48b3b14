"""`mlp`: structure by hand, standardization by NumPy, seeds, saving, bad arguments."""

import math

import keras
import numpy as np
import pytest

from trainwell import recipes
from trainwell.recipes.activations import ACTIVATIONS
from trainwell.recipes.mlp import mlp

X = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)


def names(model):
    return [layer.name for layer in model.layers]


def kernels(model):
    return [w.numpy() for w in model.weights if w.path.endswith("kernel")]


@pytest.mark.parametrize("normalization", [None, "batch", "batch_after", "layer"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_builds_saves_and_loads(activation, normalization, tmp_path):
    model = mlp(6, [5, 4], 3, activation=activation, normalization=normalization, dropout=0.1)
    # In training first: it moves the statistics of batch normalization.
    assert np.isfinite(np.asarray(model(X, training=True))).all()
    out = np.asarray(model(X))
    assert out.shape == (16, 3)
    np.testing.assert_allclose(out.sum(axis=1), 1, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(X)), out)


def test_batch_normalization_as_first_layer():
    model = mlp((2, 3), [5], 3, input_normalization="batch")
    assert names(model)[:4] == ["input", "flatten", "input_batch_normalization", "hidden_1"]
    with pytest.raises(ValueError, match="`input_normalization` and `adapt_to`"):
        mlp(6, [5], 3, input_normalization="batch", adapt_to=X)


def test_layers_in_order():
    x = np.ones((4, 2, 3))
    block = ["hidden_{}", "hidden_{}_batch_normalization", "hidden_{}_activation"]
    drop = ["hidden_{}_dropout"]
    before = mlp((2, 3), [5, 4], 3, normalization="batch", dropout=[0.5, 0], adapt_to=x, name="net")
    assert before.name == "net"
    assert names(before) == [
        *("input", "standardize", "flatten"),
        *(name.format(1) for name in block + drop),
        *(name.format(2) for name in block),
        "output",
    ]
    after = mlp(6, [5], 3, normalization="batch_after", dropout=0.5)
    block[1:] = block[:0:-1]
    assert names(after) == ["input", *(name.format(1) for name in block + drop), "output"]
    layer = mlp((6,), [5], 3, normalization="layer")
    assert names(layer)[1:4] == ["hidden_1", "hidden_1_layer_normalization", "hidden_1_activation"]
    assert not before.compiled
    assert before.get_layer("output").activation is keras.activations.softmax
    assert before.get_layer("hidden_1").activation is keras.activations.linear


@pytest.mark.parametrize(
    ("normalization", "parameters"),
    [
        # kernels 6*5 + 5*4 + 4*3 = 62; biases 5 + 4 + 3
        (None, 62 + 12),
        # no hidden biases, but 4 numbers per hidden unit
        ("batch", 62 + 3 + 4 * 9),
        ("batch_after", 62 + 12 + 4 * 9),
        # gamma and beta
        ("layer", 62 + 3 + 2 * 9),
    ],
)
def test_parameters_by_hand(normalization, parameters):
    model = mlp(6, [5, 4], 3, normalization=normalization)
    assert model.count_params() == parameters
    has_bias = model.get_layer("hidden_2").use_bias
    assert has_bias == (normalization in (None, "batch_after"))


def test_the_example_of_the_design():
    # The module of the same name, imported above, must not hide the function (lazy-loader 0.6).
    assert recipes.mlp is mlp
    model = recipes.mlp((784,), [100] * 3, 10, activation="selu")
    assert model.count_params() == 784 * 100 + 100 + 2 * (100 * 100 + 100) + 100 * 10 + 10


@pytest.mark.parametrize(
    ("activation", "output_activation", "hidden_variance", "output_variance"),
    [
        ("relu", "softmax", 2 / 300, 2 / 600),
        ("tanh", "sigmoid", 2 / 600, 2 / 600),
        ("selu", "linear", 1 / 300, 2 / 600),
        ("swish", None, 2 / 300, 2 / 600),
        # Poisson regression; not in the table
        ("elu", "exponential", 2 / 300, 2 / 600),
        ("elu", "silu", 2 / 300, 2 / 300),
    ],
)
def test_initializer_fits_the_activation(
    activation, output_activation, hidden_variance, output_variance
):
    model = mlp(300, [300], 300, activation=activation, output_activation=output_activation)
    tolerance = 5 * math.sqrt(2 / 90_000)
    hidden, output = kernels(model)
    assert hidden.var() == pytest.approx(hidden_variance, rel=tolerance)
    assert output.var() == pytest.approx(output_variance, rel=tolerance)


INITIALIZERS = {
    "default": None,
    "name": "glorot_uniform",
    "object": keras.initializers.Orthogonal(),
    "seeded object": keras.initializers.HeNormal(seed=3),
    "generator": keras.initializers.HeNormal(seed=keras.random.SeedGenerator(3)),
}


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("initializer", INITIALIZERS.values(), ids=INITIALIZERS)
def test_layers_of_one_shape_get_different_kernels(initializer, seed):
    model = mlp(5, [5, 5], 5, kernel_initializer=initializer, seed=seed)
    first, second, third = kernels(model)
    assert not np.isclose(first, second).any()
    assert not np.isclose(second, third).any()


def test_biases_too():
    normal = keras.initializers.RandomNormal(stddev=1.0)
    model = mlp(5, [500, 500], 5, bias_initializer=normal, seed=0)
    first, second = (model.get_layer(name).bias.numpy() for name in ("hidden_1", "hidden_2"))
    assert not np.isclose(first, second).all()
    assert first.std() == pytest.approx(1, rel=5 / math.sqrt(2 * 500))
    # The bias and the kernel of one layer don't share a seed either.
    square = mlp(1, [7], 2, kernel_initializer=normal, bias_initializer=normal, seed=0)
    layer = square.get_layer("hidden_1")
    assert not np.isclose(layer.kernel.numpy()[0], layer.bias.numpy()).any()


def weights(**arguments):
    return kernels(mlp(6, [6, 6], 3, **arguments))


def test_seed_decides_the_weights():
    for a, same, other in zip(weights(seed=1), weights(seed=1), weights(seed=2), strict=True):
        np.testing.assert_array_equal(a, same)
        assert not np.isclose(a, other).any()


def test_seed_gives_the_same_kernels_with_and_without_dropout_and_normalization():
    more = weights(seed=1, dropout=0.2, normalization="batch")
    for a, b in zip(weights(seed=1), more, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("initializer", [None, keras.initializers.HeNormal()])
def test_set_random_seed_decides_where_there_is_no_seed(initializer):
    drawn = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        drawn.append(weights(kernel_initializer=initializer))
    for a, same, other in zip(*drawn, strict=True):
        np.testing.assert_array_equal(a, same)
        assert not np.isclose(a, other).any()


@pytest.mark.parametrize("activation", ["relu", "selu", "rrelu"])
def test_seed_decides_masks_and_slopes(activation):
    a, same, other = (
        np.asarray(mlp(6, [64], 3, activation=activation, dropout=0.5, seed=s)(X, training=True))
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(a, same)
    assert not np.allclose(a, other)


@pytest.mark.parametrize("arguments", [{"seed": 0}, {"activation_options": {"seed": 0}}, {}])
def test_random_slopes_differ_between_layers(arguments):
    model = mlp(6, [6, 6], 3, activation="rrelu", **arguments)
    one, two = (
        np.asarray(model.get_layer(f"hidden_{i}_activation")(-np.abs(X), training=True))
        for i in (1, 2)
    )
    assert not np.isclose(one, two).any()


def test_dropout_is_alpha_dropout_where_the_activation_normalizes_itself():
    kinds = {
        activation: type(mlp(6, [5], 3, activation=activation, dropout=0.1).layers[-2])
        for activation in ("selu", "elu", "relu")
    }
    assert kinds == {
        "selu": keras.layers.AlphaDropout,
        "elu": keras.layers.Dropout,
        "relu": keras.layers.Dropout,
    }
    rates = mlp(6, [5, 5, 5], 3, dropout=(0.1, 0, 0.3))
    assert [layer.rate for layer in rates.layers if "dropout" in layer.name] == [0.1, 0.3]


def test_selu_keeps_mean_0_and_variance_1_through_50_layers():
    x = np.random.default_rng(1).normal(3, 7, (500, 100)).astype(np.float32)
    model = mlp(100, [100] * 50, 10, activation="selu", adapt_to=x, seed=0)
    taps = [layer.output for layer in model.layers if "activation" in layer.name]
    signals = keras.Model(model.inputs, taps).predict(x, verbose=0)
    means, deviations = (np.array([getattr(s, m)() for s in signals]) for m in ("mean", "std"))
    assert np.abs(means).max() < 0.15
    assert 0.85 < deviations.min() <= deviations.max() < 1.15


def test_regularizer_and_constraint_reach_every_kernel():
    model = mlp(6, [50], 3, kernel_regularizer=keras.regularizers.L2(0.01), kernel_constraint=0.5)
    squares = sum(float((k.astype(np.float64) ** 2).sum()) for k in kernels(model))
    assert sum(map(float, model.losses)) == pytest.approx(0.01 * squares, rel=1e-5)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, np.arange(16) % 3, verbose=0)
    for kernel in kernels(model):
        assert np.linalg.norm(kernel, axis=0).max() <= 0.5 + 1e-5
    by_name = mlp(6, [5], 3, kernel_regularizer="l2", kernel_constraint="non_neg")
    assert isinstance(by_name.get_layer("output").kernel_constraint, keras.constraints.NonNeg)
    assert by_name.get_layer("hidden_1").kernel_regularizer.l2 == pytest.approx(0.01)


def test_activation_options():
    options = {"negative_slope": 0.2}
    model = mlp(6, [5, 5], 3, activation="leaky_relu", activation_options=options)
    assert model.get_layer("hidden_2_activation").negative_slope == 0.2
    with pytest.raises(ValueError, match=r"Did you mean 'negative_slope'"):
        mlp(6, [5], 3, activation="leaky_relu", activation_options={"negative_slop": 0.2})


# ---------------------------------------------------------------- standardization


def standardized(model, x):
    return np.asarray(model.get_layer("standardize")(x))


@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 3, 2)])
def test_standardizes_each_feature(shape, tmp_path):
    x = np.random.default_rng(2).normal(50, 9, (5000, *shape)) * np.arange(1, 1 + shape[-1])
    model = mlp(shape, [5], 3, adapt_to=x)
    expected = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(standardized(model, x), expected, atol=2e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))
    for statistic in ("mean", "variance"):
        np.testing.assert_array_equal(
            *(getattr(m.get_layer("standardize"), statistic).numpy() for m in (model, loaded))
        )


def test_bytes_and_an_integer_shape():
    x = np.random.default_rng(3).integers(0, 256, (300, 6), np.uint8)
    model = mlp(6, [5], 3, adapt_to=x)
    expected = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(standardized(model, x), expected, atol=1e-5)


def test_a_clone_keeps_the_statistics():
    model = mlp(6, [5], 3, adapt_to=X + 100)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(np.asarray(clone(X + 100)), np.asarray(model(X + 100)))


@pytest.mark.parametrize("constant", [0.0, 0.1, 255.0])
def test_constant_features_do_not_explode(constant):
    x = np.random.default_rng(4).normal(0, 66, (500, 4)).astype(np.float32)
    x[:, 1] = constant
    model = mlp(4, [5], 3, adapt_to=x)
    np.testing.assert_allclose(standardized(model, x)[:, 1], 0, atol=1e-6)
    scale = math.sqrt(np.delete(x.astype(np.float64), 1, axis=1).var(axis=0).mean())
    other = x.copy()
    other[:, 1] = constant + 255
    np.testing.assert_allclose(standardized(model, other)[:, 1], 255 / scale, rtol=1e-4)


def test_constant_features_among_small_ones_keep_their_unit():
    x = np.tile(np.float32([0.5, 0.0]), (10, 1))
    x[::2, 0] = 0.6
    # 0.05² is below 1, where a difference of 1 must not become 20
    assert standardized(mlp(2, [5], 3, adapt_to=x), x + 1)[0, 1] == pytest.approx(1)
    assert standardized(mlp(2, [5], 3, adapt_to=x[:1]), x + 1)[0, 1] == pytest.approx(1)


# ---------------------------------------------------------------- bad arguments

BAD = [
    ({"hidden_units": []}, r"at least one hidden layer\. Received: hidden_units=\[\]\. Pass one"),
    ({"hidden_units": [5, 0]}, r"`hidden_units\[1\]` must be a positive integer\. Received: .*=0"),
    ({"hidden_units": [-5]}, r"Received: hidden_units\[0\]=-5"),
    ({"hidden_units": [5.0]}, r"must be a positive integer\. Received: hidden_units\[0\]=5\.0"),
    ({"hidden_units": [True]}, r"Received: hidden_units\[0\]=True"),
    ({"hidden_units": 100}, r"must be a sequence .* hidden_units=100\. Pass one width per hidden"),
    ({"hidden_units": "100"}, r"must be a sequence"),
    ({"outputs": 0}, r"`outputs` must be a positive integer\. Received: outputs=0"),
    ({"outputs": 2.5}, r"Received: outputs=2\.5"),
    (
        {"outputs": 1},
        r"`outputs=1` with `output_activation='softmax'` is constant 1\. "
        r"Use 'sigmoid' \(binary\) or 'linear' \(regression\)\.",
    ),
    ({"outputs": 1, "output_activation": keras.activations.softmax}, r"is constant 1\."),
    ({"outputs": 1, "output_activation": "log_softmax"}, r"is constant 0\."),
    ({"output_activation": "sofmax"}, r"output_activation='sofmax'\. Did you mean 'softmax'\?"),
    ({"output_activation": 3}, r"must be a Keras activation or its name.*output_activation=3"),
    ({"normalization": "bach"}, r"None, 'batch', 'batch_after'.*'bach'\. Did you mean 'batch'\?"),
    ({"activation": "reul"}, r"activation='reul'\. Did you mean 'relu'\?"),
    ({"dropout": 1.0}, r"in \[0, 1\)\. Received: dropout=1\.0"),
    ({"dropout": -0.1}, r"in \[0, 1\)\. Received: dropout=-0\.1"),
    ({"dropout": math.nan}, r"in \[0, 1\)\. Received: dropout=nan"),
    ({"dropout": None}, r"in \[0, 1\)\. Received: dropout=None\. 0 is no dropout"),
    ({"dropout": [0.1, 1.5]}, r"in \[0, 1\)\. Received: dropout=\[0\.1, 1\.5\]"),
    ({"dropout": [0.1]}, r"one for each hidden layer \(2 here\).*dropout=\[0\.1\] \(1 rates\)"),
    ({"kernel_constraint": 0}, r"largest norm, above 0\. Received: kernel_constraint=0"),
    ({"kernel_constraint": math.inf}, r"Received: kernel_constraint=inf"),
    ({"kernel_initializer": "he_nrmal"}, r"he_nrmal"),
    ({"kernel_regularizer": "l3"}, r"l3"),
    ({"seed": 1.5}, r"`seed` must be an integer or None\. Received: seed=1\.5"),
    ({"input_shape": (None, 6)}, r"Received: input_shape=\(None, 6\)\. Pass one sample's shape"),
    ({"input_shape": ()}, r"Received: input_shape=\(\)"),
    ({"input_shape": 0}, r"Received: input_shape=0"),
    ({"adapt_to": X[:, :5]}, r"shape \(n, 6\).*`input_shape=\(6,\)`.*Received: .*shape \(16, 5\)"),
    ({"adapt_to": X[0]}, r"Received: adapt_to of shape \(6,\)"),
    ({"adapt_to": X[:0]}, r"with n >= 1.*Received: adapt_to of shape \(0, 6\)"),
    ({"adapt_to": 3.0}, r"Received: adapt_to of shape \(\)"),
    ({"adapt_to": X.astype(str)}, r"must hold real numbers\. Received: adapt_to of dtype <U32"),
    ({"adapt_to": np.where(X > 2, np.nan, X)}, r"must be finite.*[1-6] of 6 features that are not"),
    ({"adapt_to": np.where(np.eye(16, 6) > 0, np.inf, X)}, r"Received: 6 of 6 features"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    good = {"input_shape": 6, "hidden_units": [5, 4], "outputs": 3}
    with pytest.raises(ValueError, match=message):
        mlp(**{**good, **arguments})
