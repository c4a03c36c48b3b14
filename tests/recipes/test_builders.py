"""One conformance test over all builders: signal, saving, initializers, bad arguments."""

import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell import recipes
from trainwell.recipes.activations import ACTIVATIONS

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(8, 6)).astype("float32")
IMAGES = RNG.normal(size=(8, 8, 8, 2)).astype("float32")
SEQUENCES = RNG.normal(size=(8, 5, 6)).astype("float32")

# Builder -> its positional arguments, options that keep it small, and a batch of inputs.
BUILDERS = {
    "mlp": (((6,), [12, 10], 3), {}, VECTORS),
    "self_normalizing_mlp": (((6,), [12, 10], 3), {}, VECTORS),
    "residual_mlp": (((6,), [12, 12, 10], 3), {}, VECTORS),
    "wide_and_deep": (((6,), [12, 10], 3), {}, VECTORS),
    "convnet": (((8, 8, 2), [8, 12], 3), {"dense_units": [9]}, IMAGES),
    "resnet": (((8, 8, 2), 3), {"depth": 8, "width": 8}, IMAGES),
    "recurrent": (((5, 6), [12, 10], 3), {}, SEQUENCES),
}
OPTIONS = {
    "residual_mlp": [{"pre_activation": True}, {"skip_init": True, "normalization": None}],
    "wide_and_deep": [{"normalization": "layer"}],
    "convnet": [{"normalization": "batch", "pooling": "average"}, {"global_pooling": False}],
    "resnet": [
        {"version": 2},
        {"depth": 11, "version": 2, "shortcut": "projection", "width": 4},
        {"zero_branches": True},
    ],
    "recurrent": [
        {"cell": "gru", "bidirectional": True},
        {"cell": "simple", "normalization": "layer"},
        {"return_sequences": True, "dropout": 0.1},
    ],
    "mlp": [
        {"normalization": "batch", "dropout": 0.2},
        {"input_normalization": "batch"},
        {"adapt_to": VECTORS},
    ],
    "self_normalizing_mlp": [{"adapt_to": VECTORS, "dropout": 0.1}],
}


def build(name, **options):
    positional, small, x = BUILDERS[name]
    return getattr(recipes, name)(*positional, **{"seed": 0, **small, **options}), x


def parameters(name):
    return inspect.signature(getattr(recipes, name)).parameters


def cases():
    for name in BUILDERS:
        if "activation" in parameters(name) and name != "recurrent":
            for activation in ACTIVATIONS:
                yield pytest.param(name, {"activation": activation}, id=f"{name}-{activation}")
        for options in OPTIONS.get(name, []):
            marks = "-".join(f"{key}={str(value)[:12]}" for key, value in options.items())
            yield pytest.param(name, options, id=f"{name}-{marks}".replace("\n", ""))


def test_every_builder_is_in_the_table():
    public = [getattr(recipes, name) for name in recipes.__all__]
    builders = {
        each.__name__
        for each in public
        if inspect.isfunction(each) and "outputs" in inspect.signature(each).parameters
    }
    assert builders - {"reuse_layers"} == set(BUILDERS)


@pytest.mark.parametrize(("name", "options"), cases())
def test_builds_learns_saves_and_loads(name, options, tmp_path):
    model, x = build(name, **options)
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = tf.reduce_mean(tf.square(outputs - 0.1))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path

    model.compile("sgd", "mse")
    model.train_on_batch(x, np.zeros(outputs.shape))  # statistics and weights have moved
    expected = np.asarray(model(x))
    assert np.isfinite(expected).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")  # safe mode
    np.testing.assert_array_equal(np.asarray(loaded(x)), expected)


def variance_bounds(size, variance):
    """What the mean square of `size` normal numbers stays within, but for one time in 100,000.

    The chi-squared quantiles, by Wilson and Hilferty. A truncated normal spreads less.
    """
    spread = math.sqrt(2 / (9 * size))
    low, high = (max(1 - spread**2 + z * spread, 0) ** 3 for z in (-4.42, 4.42))
    return variance * low, variance * high


def fans(shape):
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


TABLE = {"glorot": lambda i, o: 2 / (i + o), "he": lambda i, o: 2 / i, "lecun": lambda i, o: 1 / i}


@pytest.mark.parametrize("activation", ["tanh", "relu", "selu", "elu", "sigmoid"])
@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "self_normalizing_mlp"])
def test_kernels_have_the_variance_of_the_table(name, activation):
    wide = {"mlp": [60, 50], "wide_and_deep": [60, 50], "residual_mlp": [60, 60]}
    positional, options, _ = BUILDERS[name]
    if name in wide:
        positional = (positional[0], wide[name], positional[2])
    model = getattr(recipes, name)(*positional, **options, activation=activation, seed=1)
    hidden = TABLE[ACTIVATIONS[activation].facts.initializer]
    seen = 0
    for layer in model.layers:
        for variable in layer.trainable_weights:
            kernel = np.asarray(variable)
            if variable.path.endswith("recurrent_kernel") or not variable.path.endswith("kernel"):
                continue
            rule = TABLE["glorot"] if layer.name == "output" else hidden
            if "projection" in layer.name:
                rule = TABLE["glorot"]  # a shortcut is linear
            low, high = variance_bounds(kernel.size, rule(*fans(kernel.shape)))
            assert low < np.mean(kernel.astype(np.float64) ** 2) < high, variable.path
            seen += 1
    assert seen >= 3


@pytest.mark.parametrize("cell", ["simple", "lstm", "gru"])
def test_recurrent_kernels_are_orthogonal(cell):
    model, _ = build("recurrent", cell=cell)
    kernels = [np.asarray(v) for v in model.variables if v.path.endswith("recurrent_kernel")]
    assert len(kernels) == 2
    for kernel in kernels:
        np.testing.assert_allclose(kernel @ kernel.T, np.eye(len(kernel)), atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_one_seed_gives_one_model_and_no_two_equal_kernels(name):
    first, second, other = (build(name, seed=seed)[0] for seed in (3, 3, 4))
    kernels = [np.asarray(v) for v in first.trainable_variables if v.path.endswith("kernel")]
    for one, same, else_ in zip(first.variables, second.variables, other.variables, strict=True):
        assert one.path.split("/")[-1] == same.path.split("/")[-1]
        if "seed_generator" not in one.path:
            np.testing.assert_array_equal(one, same)
        if one.path.endswith("kernel"):
            assert not np.array_equal(one, else_)
    for i, kernel in enumerate(kernels):
        assert not any(
            kernel.shape == later.shape and np.array_equal(kernel, later)
            for later in kernels[i + 1 :]
        )


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize(
    "regularizer", ["l1", "l2", "l1_l2", keras.regularizers.L1L2(1e-3, 1e-2)], ids=range(4)
)
def test_regularizers_and_max_norm_reach_every_kernel(name, regularizer):
    most = 2.0 if name == "self_normalizing_mlp" else 0.5  # it refuses what breaks it
    model, x = build(name, kernel_regularizer=regularizer, kernel_constraint=most)
    kernels = [v for v in model.trainable_variables if v.path.endswith("kernel")]
    l1, l2 = {"l1": (0.01, 0), "l2": (0, 0.01), "l1_l2": (0.01, 0.01)}.get(
        regularizer, (1e-3, 1e-2)
    )
    arrays = [np.asarray(kernel, np.float64) for kernel in kernels]
    expected = sum(l1 * np.abs(w).sum() + l2 * np.square(w).sum() for w in arrays)
    np.testing.assert_allclose(float(sum(model.losses)), expected, rtol=1e-5)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(x, np.ones(model(x).shape))
    for kernel in (v for v in kernels if "recurrent" not in v.path.split("/")[-1]):
        axes = tuple(range(kernel.ndim - 1))
        norms = np.sqrt(np.sum(np.asarray(kernel) ** 2, axis=axes))
        assert (norms <= most + 1e-5).all(), kernel.path


BAD = {
    "input_shape": [0, (), (None, 3), "6", 2.5, (3, -1), None],
    "hidden_units": [[], [0], ["a"], 8, "88", None],
    "filters": [[], [0], 8, None, [1.5]],
    "units": [[], [0], ["a"], None],
    "outputs": [0, -1, 2.5, "3", None, True],
    "activation": ["rellu", 3],
    "kernel_initializer": ["he_norml", 3],
    "bias_initializer": ["zeroes", 3],
    "recurrent_initializer": ["orthogonl", 3],
    "kernel_regularizer": ["l3", 0.1],
    "kernel_constraint": ["norm", 0, -1.0, float("nan")],
    "normalization": ["bach", True, 3],
    "input_normalization": ["layer", True],
    "dropout": [1, -0.1, "0.5", [0.1] * 7, float("nan")],
    "recurrent_dropout": [1, -0.1, "0.5"],
    "output_activation": ["softmx", 3],
    "adapt_to": [np.zeros((4, 3)), np.zeros((0, 6)), "data", np.full((4, 6), np.nan)],
    "seed": ["0", 1.5, True],
    "name": [3, ["net"]],
    "activation_options": [{"slope": 1}, 3],
    "wide_shape": [0, (), "3", (2.5,)],
    "pre_activation": ["yes", 1],
    "skip_init": ["no", 2],
    "zero_branches": ["no", 2],
    "bottleneck": ["no", 2],
    "bidirectional": ["both", 2],
    "return_sequences": ["all", 2],
    "global_pooling": ["max", 2],
    "kernel_size": [0, 2.5, "3"],
    "convolutions_per_block": [0, 1.5, "2"],
    "pooling": ["mean", 2, None],
    "dense_units": [[0], "9", 8],
    "depth": [0, 21, 2.5, "20"],
    "version": [0, 3, "1", True],
    "shortcut": ["linear", None],
    "width": [0, 2.5, "16"],
    "cell": ["ltsm", None],
}


def bad_cases():
    for name in BUILDERS:
        for argument in parameters(name):
            for i, value in enumerate(BAD[argument]):
                if (name, argument) == ("recurrent", "input_shape") and value == (
                    None,
                    3,
                ):  # sequences of any length
                    continue
                yield pytest.param(name, argument, value, id=f"{name}-{argument}-{i}")


@pytest.mark.parametrize(("name", "argument", "value"), bad_cases())
def test_a_bad_argument_is_refused_by_name(name, argument, value):
    positional, options, _ = BUILDERS[name]
    names = list(parameters(name))[: len(positional)]
    arguments = {**dict(zip(names, positional, strict=True)), **options, argument: value}
    with pytest.raises(ValueError) as error:
        getattr(recipes, name)(**arguments)
    named = {"activation_options": "slope"}.get(argument, argument)
    assert named in str(error.value) or argument in str(error.value)
    assert "Received" in str(error.value)
