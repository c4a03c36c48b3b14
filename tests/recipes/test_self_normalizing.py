"""Self-normalization: the builder, each condition broken in turn, the signal by NumPy."""

import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes._standardized import unstandardized
from trainwell.recipes.mlp import mlp
from trainwell.recipes.self_normalizing import check_self_normalizing, self_normalizing_mlp
from trainwell.recipes.signal import LayerSignal, signal_per_layer
from trainwell.recipes.wide_and_deep import wide_and_deep

layers = keras.layers
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(200, 20)).astype(np.float32)
Z = (X - X.mean(axis=0)) / X.std(axis=0)
SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(z):
    return SCALE * np.where(z > 0, z, ALPHA * np.expm1(np.minimum(z, 0)))


def dense(units=100, name=None, **changes):
    arguments = {"activation": "selu", "kernel_initializer": "lecun_normal", "name": name}
    return layers.Dense(units, **{**arguments, **changes})


def sequential(*between, shape=(20,)):
    """Three dense layers with SELU as they should be, and something after the second."""
    head = [dense(name="one"), dense(name="two")]
    return keras.Sequential(
        [keras.Input(shape), *head, *between, dense(name="three"), layers.Dense(3, name="output")]
    )


# ---------------------------------------------------------------- the builder


def test_50_layers_with_inputs_standardized_inside_break_no_condition():
    x = X * np.arange(1, 21) + 30
    model = self_normalizing_mlp(20, [100] * 50, 3, dropout=0.1, adapt_to=x, seed=0)
    assert check_self_normalizing(model, x) == []
    assert check_self_normalizing(model) == []
    signals = signal_per_layer(model, x)
    assert [signal.layer for signal in signals] == [f"hidden_{i}" for i in range(1, 51)]
    # The theorem's domain.
    assert max(abs(signal.mean) for signal in signals) < 0.1
    assert all(0.8 < signal.deviation**2 < 1.5 for signal in signals)


def test_layers_are_those_of_mlp_with_selu():
    model = self_normalizing_mlp((4, 5), [7, 6], 3, dropout=[0.1, 0], seed=1, name="net")
    plain = mlp((4, 5), [7, 6], 3, activation="selu", dropout=[0.1, 0], seed=1)
    assert model.name == "net"
    assert [(layer.name, type(layer)) for layer in model.layers] == [
        (layer.name, type(layer)) for layer in plain.layers
    ]
    assert isinstance(model.get_layer("hidden_1_dropout"), layers.AlphaDropout)
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_alpha_dropout_keeps_mean_and_variance():
    model = self_normalizing_mlp(20, [200], 3, dropout=0.2, seed=0)
    tap = keras.Model(model.input, model.get_layer("hidden_1_dropout").output)
    values = np.asarray(tap(np.tile(X, (20, 1)), training=True))
    without = np.asarray(tap(X))
    assert values.mean() == pytest.approx(without.mean(), abs=0.02)
    assert values.var() == pytest.approx(1, abs=0.05)


def test_uniform_lecun_and_orthogonal_kernels_are_allowed():
    for initializer in ("lecun_uniform", keras.initializers.Orthogonal()):
        model = self_normalizing_mlp(20, [20] * 2, 3, kernel_initializer=initializer)
        assert check_self_normalizing(model) == []
    assert self_normalizing_mlp(20, [30], 3, kernel_constraint=3.0).layers
    assert self_normalizing_mlp(20, [30], 3, kernel_constraint="unit_norm").layers


BAD = [
    ({"kernel_initializer": "he_normal"}, r"1 / fan_in\. Received: .*'he_normal' \(HeNormal, var"),
    ({"kernel_initializer": "glorot_uniform"}, r"GlorotUniform, variance 0\.3.*shape \(20, 100\)"),
    ({"kernel_initializer": "ones"}, r"Ones, mean 1"),
    ({"kernel_initializer": "zeros"}, r"Zeros, variance 0 /.* Leave it out for LeCun normal"),
    ({"kernel_initializer": "lecun"}, r"lecun"),
    ({"kernel_constraint": 0.5}, r"`kernel_constraint` must leave .*=0\.5 \(MaxNorm, .*2 or more"),
    ({"kernel_constraint": "non_neg"}, r"NonNeg, variance 0\.[45]"),
    ({"kernel_constraint": -1}, r"Received: kernel_constraint=-1"),
    ({"kernel_regularizer": "l3"}, r"l3"),
    ({"input_shape": ()}, r"Received: input_shape=\(\)"),
    ({"hidden_units": []}, r"at least one hidden layer"),
    ({"outputs": 0}, r"Received: outputs=0"),
    ({"outputs": 1}, r"is constant 1\."),
    ({"output_activation": "sofmax"}, r"Did you mean 'softmax'\?"),
    ({"dropout": 1}, r"in \[0, 1\)\. Received: dropout=1"),
    ({"seed": 1.5}, r"Received: seed=1\.5"),
    ({"adapt_to": X[:, :5]}, r"Received: adapt_to of shape \(200, 5\)"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    good = {"input_shape": 20, "hidden_units": [100, 4], "outputs": 3}
    with pytest.raises(ValueError, match=message):
        self_normalizing_mlp(**{**good, **arguments})


# ---------------------------------------------------------------- each condition alone


def skipping(join):
    inputs = keras.Input((20,))
    first = dense(name="one")(inputs)
    second = join(first, dense(name="two")(first))
    return keras.Model(inputs, layers.Dense(3)(dense(name="three")(second)))


def after_convolution():
    convolution = layers.Conv1D(8, 3, activation="relu", name="convolution")
    tail = [layers.Flatten(), dense(name="one"), layers.Dense(3)]
    return keras.Sequential([keras.Input((20, 1)), convolution, *tail])


def two_towers():
    inputs = [keras.Input((5,)), keras.Input((7,))]
    towers = [dense(50, name=f"tower_{i}")(x) for i, x in enumerate(inputs)]
    x = layers.Concatenate(name="join")(towers)
    return keras.Model(inputs, layers.Dense(3)(dense(name="top")(x)))


def with_change(**changes):
    head = [keras.Input((20,)), dense(name="one"), dense(name="two", **changes)]
    return keras.Sequential([*head, dense(name="three"), layers.Dense(3, name="output")])


NORMAL = keras.initializers.RandomNormal(stddev=0.2)

BROKEN = {
    "relu": (with_change(activation="relu"), r"Another activation than SELU: `two` \(relu\); use"),
    "no activation": (with_change(activation=None), r"than SELU: `two` \(linear\); use"),
    "elu layer": (
        keras.Sequential(
            [keras.Input((20,)), dense(activation=None, name="one"), layers.ELU(), layers.Dense(3)]
        ),
        r"than SELU: `one` \(elu\)",
    ),
    "he": (
        with_change(kernel_initializer="he_normal"),
        r"variance 1 / fan_in: `two` \(HeNormal, variance [12]\.?\d* / fan_in\); use kernel_init",
    ),
    "glorot": (
        with_change(units=300, kernel_initializer="glorot_uniform"),
        # 2 / (100 + 300) = 0.5 / 100
        r"fan_in: `two` \(GlorotUniform, variance 0\.(49|50?)\d* / fan_in\)",
    ),
    "mean": (
        with_change(kernel_initializer=keras.initializers.RandomNormal(mean=0.1, stddev=0.1)),
        r"fan_in: `two` \(RandomNormal, mean 0\.(1|09\d+|10\d+)\)",
    ),
    "biases": (
        with_change(bias_initializer=NORMAL),
        r"Biases .* 0: `two` \(RandomNormal, mean .*, deviation 0\.[12]\d*\)",
    ),
    "constant biases": (
        with_change(bias_initializer=keras.initializers.Constant(0.5)),
        r"0: `two` \(Constant, mean 0\.5, deviation 0\); use bias_initializer='zeros'",
    ),
    "constraint": (
        with_change(kernel_constraint=keras.constraints.MaxNorm(0.5)),
        # Norms of about 1, cut to 0.5.
        r"Constraints .*: `two` \(MaxNorm, variance 0\.2[45]\d* / fan_in\); allow",
    ),
    "dropout": (
        sequential(layers.Dropout(0.2, name="drop")),
        r"Dropout that .*: `drop` \(Dropout of 0\.2\); use keras\.layers\.AlphaDropout",
    ),
    "gaussian dropout": (
        sequential(layers.GaussianDropout(0.2, name="drop")),
        r"`drop` \(GaussianDropout of 0\.2\)",
    ),
    "dropout of inputs": (
        keras.Sequential([keras.Input((20,)), layers.Dropout(0.1), dense(), layers.Dense(3)]),
        r"\(Dropout of 0\.1\)",
    ),
    "batch normalization": (
        sequential(layers.BatchNormalization(name="norm")),
        r"Normalization between .*: `norm` \(BatchNormalization\); remove it",
    ),
    "layer normalization": (
        sequential(layers.LayerNormalization(name="norm")),
        r"`norm` \(LayerNormalization\)",
    ),
    "batch normalization inside": (
        mlp(20, [100] * 2, 3, activation="selu", normalization="batch"),
        r"`hidden_1_batch_normalization` \(B.*\), `hidden_2_batch_normalization` \(B",
    ),
    "convolution": (after_convolution(), r"not dense: `convolution` \(Conv1D\); self-norm"),
    "recurrent": (
        keras.Sequential([keras.Input((5, 4)), layers.LSTM(8, name="lstm"), layers.Dense(3)]),
        r"not dense: `lstm` \(LSTM\)",
    ),
    "noise": (sequential(layers.GaussianNoise(0.1, name="noise")), r"not dense: `noise` \(Gauss"),
    "twice": (sequential(layers.Activation("selu", name="again")), r"not dense: `again` \(Activ"),
    "skip": (
        skipping(lambda a, b: layers.Add(name="add")([a, b])),
        r"Connections .* sequential: `add` \(takes `one` and `two`\); remove the skip",
    ),
    "skip by an operation": (skipping(lambda a, b: a + b), r"sequential: `add.*` \(takes `one` an"),
    "itself": (skipping(lambda a, b: layers.Add(name="add")([b, b])), r"takes `two` and `two`"),
    "two towers": (two_towers(), r"`join` \(takes `tower_0` and `tower_1`\)"),
    "wide and deep": (
        wide_and_deep(20, [50], 3, activation="selu"),
        r"`wide_and_deep` \(takes `input` and `hidden_1_activation`\)",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_each_broken_condition_is_found_alone(case):
    model, message = BROKEN[case]
    [sentence] = check_self_normalizing(model)
    assert re.search(message, sentence), sentence
    assert sentence.endswith(".")


SOUND = {
    "sequential": sequential(),
    "alpha dropout": sequential(layers.AlphaDropout(0.3)),
    "activation layers": keras.Sequential(
        [
            keras.Input((20,)),
            *(dense(activation=None), layers.Activation("selu"), layers.AlphaDropout(0.1)),
            *(dense(activation=None), layers.Activation(keras.activations.selu)),
            *(layers.Dense(3), layers.Softmax()),
        ]
    ),
    "dropout of 0": sequential(layers.Dropout(0.0)),
    "equivalent scaling": with_change(kernel_initializer=keras.initializers.VarianceScaling()),
    "square glorot": with_change(kernel_initializer="glorot_normal"),
    "equivalent normal": with_change(
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.1)
    ),
    "penalty": with_change(kernel_regularizer="l2"),
    "wide constraint": with_change(kernel_constraint=keras.constraints.MaxNorm(3)),
    "no biases": with_change(use_bias=False),
    "hidden layers only": keras.Sequential([keras.Input((20,)), dense(), dense()]),
}


@pytest.mark.parametrize("case", SOUND)
def test_sound_networks_break_no_condition(case):
    assert check_self_normalizing(SOUND[case], X) == []


def nested(activation):
    inner = keras.Sequential([keras.Input((100,)), dense(name="a", activation=activation)])
    inputs = keras.Input((20,))
    x = keras.Model(inputs, dense(name="b")(inputs), name="functional")(inputs)
    return keras.Model(inputs, layers.Dense(3)(inner(x)))


def test_nested_models_are_opened():
    assert check_self_normalizing(nested("selu"), X) == []
    model = nested("relu")
    [sentence] = check_self_normalizing(model)
    assert f"`{model.layers[2].name}/a` (relu)" in sentence
    signals = signal_per_layer(model, X)
    assert [s.layer for s in signals] == ["functional/b", f"{model.layers[2].name}/a"]


def test_two_heads_of_one_sequential_body_are_no_skip_connection():
    inputs = keras.Input((20,))
    x = dense()(dense()(inputs))
    heads = {"a": layers.Dense(3, activation="softmax", name="a")(x), "b": layers.Dense(1)(x)}
    assert check_self_normalizing(keras.Model(inputs, heads), X) == []


def test_a_layer_called_twice():
    inputs, shared = keras.Input((100,)), dense(name="shared")
    model = keras.Model(inputs, layers.Dense(3)(shared(shared(inputs))))
    assert check_self_normalizing(model) == []
    x = shared(inputs)
    skip = keras.Model(inputs, layers.Dense(3)(layers.Add()([x, shared(x)])))
    [sentence] = check_self_normalizing(skip)
    assert "takes `shared` and `shared`" in sentence


class Subclassed(keras.Model):
    def __init__(self, **changes):
        super().__init__(name="sub")
        self.one, self.two, self.out = dense(), dense(name="two", **changes), layers.Dense(3)

    def call(self, inputs):
        return self.out(self.two(self.one(inputs)))


def test_a_subclassed_model_says_what_is_not_seen():
    [unseen] = check_self_normalizing(Subclassed(), X)
    assert "can't be seen" in unseen
    assert "`sub` (a subclassed model)" in unseen
    _, found = check_self_normalizing(Subclassed(activation="tanh"), X)[:2]
    assert "`two` (tanh)" in found


class WithoutConfig(layers.Layer):
    def call(self, inputs):
        return inputs

    def get_config(self):
        raise NotImplementedError


def test_a_layer_without_configuration_hides_the_connections():
    model = sequential(WithoutConfig(name="own"))
    [other] = check_self_normalizing(model)
    assert "not dense: `own` (WithoutConfig)" in other
    inputs = keras.Input((20,))
    x = WithoutConfig(name="own")(dense()(inputs))
    unseen, other = check_self_normalizing(keras.Model(inputs, layers.Dense(3)(x), name="net"))
    assert "`net` (a layer of it has no working `get_config`)" in unseen
    assert "not dense: `own` (WithoutConfig)" in other


def test_whole_numbers_into_an_embedding():
    head = [keras.Input((3,), dtype="int32"), layers.Embedding(10, 4, name="words")]
    model = keras.Sequential([*head, layers.Flatten(), dense(), layers.Dense(2)])
    found = check_self_normalizing(model, RANDOM.integers(0, 10, (50, 3)))
    assert "not dense: `words` (Embedding)" in found[0]
    assert not any("standardized" in sentence for sentence in found)


def test_many_layers_are_one_sentence():
    [activations, initializers] = check_self_normalizing(mlp(300, [300] * 9, 3))
    assert (
        "`hidden_1` (relu), `hidden_2` (relu), `hidden_3` (relu), `hidden_4` (relu) and 5 more"
        in (activations)
    )
    assert "`hidden_1` (HeNormal, variance 2" in initializers


def test_a_check_changes_nothing():
    model = self_normalizing_mlp(20, [30, 30], 3, dropout=0.5, seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = [v.numpy() for v in model.variables]
    keras.utils.set_random_seed(0)
    expected = keras.random.normal((3,)).numpy(), np.random.rand()
    keras.utils.set_random_seed(0)
    check_self_normalizing(model, X)
    assert (keras.random.normal((3,)).numpy() == expected[0]).all()
    assert np.random.rand() == expected[1]
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert "call" not in vars(model.get_layer("hidden_1"))
    model.fit(X, np.arange(200) % 3, verbose=0)


# ---------------------------------------------------------------- what the inputs show


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X + 1, r"before `one` 20 of 20 features are off"),
        (X * 2, r"20 of 20 features are off and the mean square of all is [34]\.?\d* \("),
        (X / 2, r"20 of 20 features are off"),
        # One of twenty, of deviation 30: the mean square is (19 + 900) / 20 = 46.
        (Z * np.where(np.arange(20) == 7, 30, 1), r" 1 of 20 .* is 4[56]\.?\d* \(feature 7: mean"),
        (RANDOM.uniform(0, 1, (200, 20)), r"deviation 0\.(2|3)"),
        # Rare features: none can be judged for itself.
        ((RANDOM.uniform(0, 1, (200, 20)) < 0.02) * 1.0, r"\d of 20 .* is 0\.0\d"),
    ],
)
def test_inputs_that_are_not_standardized(x, message):
    found = check_self_normalizing(sequential(), x)
    assert re.search(r"^Inputs that are not standardized: .*" + message, found[0]), found[0]


def test_standardized_inputs_raise_no_alarm():
    for seed in range(100):
        random = np.random.default_rng(seed)
        for samples in (50, 1000):
            x = random.normal(size=(samples, 20))
            for drawn in (x, np.sign(x), random.uniform(-(3**0.5), 3**0.5, (samples, 20))):
                assert unstandardized(drawn) is None
    model = sequential()
    # Constant features, which a standardization leaves at 0.
    assert check_self_normalizing(model, X * (np.arange(20) > 1)) == []


def test_what_precedes_the_first_dense_layer_counts():
    x = RANDOM.integers(0, 256, (300, 4, 5)).astype(np.uint8)
    standardize = layers.Normalization(axis=(1, 2), mean=x.mean(axis=0), variance=x.var(axis=0))
    head = [keras.Input((4, 5)), standardize, layers.Flatten()]
    assert check_self_normalizing(keras.Sequential([*head, dense(), layers.Dense(3)]), x) == []
    plain = keras.Sequential([head[0], layers.Flatten(), dense(), layers.Dense(3)])
    assert len(check_self_normalizing(plain, x)) == 2


# ---------------------------------------------------------------- the signal


def test_signal_by_numpy():
    model = self_normalizing_mlp(20, [40, 30], 3, dropout=0.3, seed=0)
    hidden, expected = X, []
    for name in ("hidden_1", "hidden_2"):
        kernel, bias = (w.numpy() for w in model.get_layer(name).weights)
        hidden = selu(hidden @ kernel + bias)
        expected.append((name, hidden.mean(), hidden.std()))
    found = signal_per_layer(model, X)
    assert isinstance(found[0], LayerSignal)
    assert [signal.layer for signal in found] == [name for name, _, _ in expected]
    for signal, (_, mean, deviation) in zip(found, expected, strict=True):
        assert signal.mean == pytest.approx(mean, abs=1e-5)
        assert signal.deviation == pytest.approx(deviation, rel=1e-5)


def test_of_many_samples_2000_evenly_spaced_are_used():
    model = self_normalizing_mlp(20, [30], 3, seed=0)
    x = RANDOM.normal(size=(7997, 20))
    assert signal_per_layer(model, x) == signal_per_layer(model, x[::4])


def test_signal_of_two_inputs_and_of_a_convolution():
    pair = {"first": RANDOM.normal(size=(50, 5)), "second": RANDOM.normal(size=(50, 7))}
    assert [s.layer for s in signal_per_layer(two_towers(), list(pair.values()))] == [
        *("tower_0", "tower_1", "top"),
    ]
    assert [s.layer for s in signal_per_layer(after_convolution(), X[..., None])] == [
        *("convolution", "one"),
    ]


def test_kernels_that_grew_are_found_by_the_signal_alone():
    model = self_normalizing_mlp(20, [100] * 4, 3, seed=0)
    kernel = model.get_layer("hidden_2").kernel
    kernel.assign(3 * kernel.numpy())
    [sentence] = check_self_normalizing(model, X)
    assert sentence.startswith("The signal leaves mean 0 and deviation 1 in ")
    assert "`hidden_2` (mean " in sentence
    kernel.assign(kernel.numpy() * np.inf)
    [sentence] = check_self_normalizing(model, X)
    assert "in 3 of 4 hidden layers: `hidden_2` (mean nan, deviation nan) to `hidden_4`" in sentence


def test_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = self_normalizing_mlp(20, [100] * 5, 3, dropout=0.1, seed=0)
        assert check_self_normalizing(model, X) == []
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(X, np.arange(200) % 3, batch_size=200, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")


def test_the_domain_holds_the_fixed_points_of_the_theorem():
    """The fixed point of mean and variance for the extreme weights that `_kernel_scale` allows."""
    z = np.linspace(-12, 12, 2001)
    activated = selu(z)

    def fixed_point(weight_sum, squares):
        mean, variance = 0.0, 1.0
        for _ in range(200):
            center, deviation = weight_sum * mean, math.sqrt(squares * variance)
            density = np.exp(-((z - center) ** 2) / (2 * deviation**2))
            density /= density.sum()
            mean, second = density @ activated, density @ activated**2
            variance = second - mean**2
        return mean, variance

    assert fixed_point(0, 1) == pytest.approx((0, 1), abs=1e-4)
    for weight_sum in (-0.1, 0.1):
        for squares in (0.95, 1.1):
            mean, variance = fixed_point(weight_sum, squares)
            assert abs(mean) < 0.1
            assert 0.8 < variance < 1.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a model",), r"`model` must be a keras\.Model\. Received: model='a model'"),
        (("a model", X), r"`model` must be a keras\.Model\. Received: model='a model'"),
        ((Subclassed(),), r"`model` must be built\. Received: model='sub'.*Pass `x`"),
        ((keras.Sequential([dense()]),), r"`model` must be built"),
        ((sequential(), X[:1]), r"2 or more samples.*ndarray of shapes \[\(1, 20\)\]"),
        ((sequential(), 3.0), r"Received: a float of shapes \[\(\)\]"),
        ((sequential(), [X, X[:5]]), r"shapes \[\(200, 20\), \(5, 20\)\]"),
        ((sequential(), X.astype(str)), r"array of numbers"),
        ((sequential(), X * np.nan), r"`x` must be finite"),
        ((sequential(), tf.data.Dataset.from_tensors(X)), r"array of numbers"),
    ],
)
def test_bad_arguments_of_the_check(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_self_normalizing(*arguments)
