"""Layers against NumPy formulas, initializers against Géron's table 11-1."""

import math

import keras
import numpy as np
import pytest

from trainwell.callbacks.activation_facts import ACTIVATION_FACTS
from trainwell.recipes.activations import ACTIVATIONS, activation_layer, initializer_for
from trainwell.recipes.layers.rrelu import RReLU

FAN_IN, FAN_OUT = 150, 450
FANS = {"fan_in": 150, "fan_out": 450, "fan_avg": 300}
TABLE = {"glorot": (1, "fan_avg"), "he": (2, "fan_in"), "lecun": (1, "fan_in")}

Z = np.array([[-3.0, -0.5, 0.0, 0.5, 3.0]], np.float32)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


REFERENCES = {
    "linear": lambda z: z,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softsign": lambda z: z / (1 + np.abs(z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z < 0, 0.01 * z, z),
    "prelu": lambda z: np.where(z < 0, 0.25 * z, z),
    "rrelu": lambda z: np.where(z < 0, 11 / 48 * z, z),
    "elu": lambda z: np.where(z < 0, np.exp(z) - 1, z),
    "selu": lambda z: 1.05070099 * np.where(z < 0, 1.67326324 * (np.exp(z) - 1), z),
    "gelu": lambda z: z * (1 + np.vectorize(math.erf)(z / math.sqrt(2))) / 2,
    "swish": lambda z: z * sigmoid(z),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
}


def test_the_table_has_a_layer_for_every_fact():
    assert set(ACTIVATIONS) == set(ACTIVATION_FACTS) == set(REFERENCES)
    for name, recipe in ACTIVATIONS.items():
        assert recipe.facts is ACTIVATION_FACTS[name]


@pytest.mark.parametrize("name", REFERENCES)
def test_layer_computes_the_formula(name):
    layer = activation_layer(name, name="here")
    assert layer.name == "here"
    expected = REFERENCES[name](Z.astype(np.float64))
    np.testing.assert_allclose(np.asarray(layer(Z)), expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("leaky_relu", keras.layers.LeakyReLU),
        ("prelu", keras.layers.PReLU),
        ("rrelu", RReLU),
        ("elu", keras.layers.ELU),
        ("relu", keras.layers.ReLU),
        ("selu", keras.layers.Activation),
        (None, keras.layers.Activation),
        ("silu", keras.layers.Activation),
    ],
)
def test_layers_are_keras_own(name, kind):
    assert type(activation_layer(name)) is kind


def test_options_reach_the_layer():
    for name, option, z, expected in (
        ("leaky_relu", {"negative_slope": 0.2}, -1.0, -0.2),
        ("elu", {"alpha": 2.0}, -50.0, -2.0),
        ("relu", {"max_value": 6.0}, 9.0, 6.0),
        ("rrelu", {"lower": 0.5, "upper": 0.5}, -2.0, -1.0),
    ):
        out = activation_layer(name, **option)(np.array([z]))
        np.testing.assert_allclose(np.asarray(out), [expected], rtol=1e-6)
    shared = activation_layer("prelu", shared_axes=[1, 2])
    shared.build((None, 8, 8, 3))
    assert shared.count_params() == 3


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        (
            "leaky_relu",
            "negtive_slope",
            r"takes 'negative_slope'\. Received: negtive_slope=0\.1\. ",
        ),
        ("leaky_relu", "negtive_slope", r"Did you mean 'negative_slope'\?"),
        ("leaky_relu", "alpha", r"'leaky_relu' takes 'negative_slope'\. Received: alpha=0\.1"),
        ("tanh", "alpha", r"'tanh' takes no options\. Received: alpha=0\.1"),
        ("silu", "beta", r"'swish' takes no options"),
        ("rrelu", "low", r"takes 'lower', 'upper', 'seed'.*Did you mean 'lower'\?"),
    ],
)
def test_unknown_options(name, option, message):
    with pytest.raises(ValueError, match=message):
        activation_layer(name, **{option: 0.1})


def test_unknown_activation():
    with pytest.raises(ValueError, match=r"Did you mean 'selu'"):
        activation_layer("sellu")
    with pytest.raises(ValueError, match=r"Did you mean 'tanh'"):
        initializer_for("tahn")


@pytest.mark.parametrize("mode", [None, "fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("name", [None, "tanh", "relu", "selu"])
def test_variance_and_limit(name, distribution, mode):
    scale, table_mode = TABLE[ACTIVATION_FACTS[name or "linear"].initializer]
    variance = scale / FANS[mode or table_mode]
    weights = np.asarray(
        initializer_for(name, distribution, seed=1, mode=mode)((FAN_IN, FAN_OUT)), np.float64
    )
    # Neither has heavier tails than a normal, whose sample variance has deviation sqrt(2/n).
    assert np.var(weights) == pytest.approx(variance, rel=5 * math.sqrt(2 / weights.size))
    assert abs(weights.mean()) < 5 * math.sqrt(variance / weights.size)
    # Cut at 2 standard deviations; of the cut one 0.87962566 is left.
    limit = math.sqrt(3 * variance)
    if distribution == "normal":
        limit = 2 * math.sqrt(variance) / 0.87962566
    assert 0.98 * limit < np.abs(weights).max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("relu",), "HeNormal"),
        (("relu", "uniform"), "HeUniform"),
        (("mish",), "HeNormal"),
        (("softsign",), "GlorotNormal"),
        (("softmax", "uniform"), "GlorotUniform"),
        ((None,), "GlorotNormal"),
        (("selu",), "LecunNormal"),
        (("selu", "uniform"), "LecunUniform"),
    ],
)
def test_named_classes_where_they_match(arguments, kind):
    assert type(initializer_for(*arguments)) is getattr(keras.initializers, kind)


def test_he_with_fan_avg_and_uniform_is_geron_s_variance_scaling():
    initializer = initializer_for("relu", "uniform", seed=3, mode="fan_avg")
    geron = keras.initializers.VarianceScaling(2.0, "fan_avg", "uniform", seed=3)
    assert type(initializer) is keras.initializers.VarianceScaling
    assert initializer.get_config() == geron.get_config()


def test_seeds():
    first, same, other = (np.asarray(initializer_for("elu", seed=s)((5, 5))) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.isclose(first, other).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distribution": "gaussian"}, r"`distribution` must be one of 'normal', 'uniform'.*gauss"),
        ({"distribution": "uniforn"}, r"Did you mean 'uniform'\?"),
        ({"mode": "fan_on"}, r"`mode` must be one of 'fan_in'.*mode='fan_on'\. Did you mean"),
    ],
)
def test_unknown_distribution_or_mode(arguments, message):
    with pytest.raises(ValueError, match=message):
        initializer_for("relu", **arguments)
