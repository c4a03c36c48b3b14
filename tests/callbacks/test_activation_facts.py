"""The facts against Keras' own functions, differentiated numerically in float64."""

import math
import subprocess
import sys

import keras
import numpy as np
import pytest

from trainwell.callbacks.activation_facts import ACTIVATION_FACTS, SATURATION, facts_of

# Those with a slope of their own have no plain Keras function of their default.
LEAKS = {"leaky_relu": 0.01, "prelu": 0.25, "rrelu": 11 / 48}
NAMES = [name for name in ACTIVATION_FACTS if name != "softmax"]
FACTS = [pytest.param(ACTIVATION_FACTS[name], id=name) for name in NAMES]

GRID = np.arange(-40, 40, 0.001)


def f(name, z):
    z = np.asarray(z, np.float64)
    if name in LEAKS:
        return np.where(z >= 0, z, LEAKS[name] * z)
    return np.asarray(keras.activations.get(name)(keras.ops.convert_to_tensor(z)))


def slope(name, z, h=1e-6):
    z = np.asarray(z, np.float64)
    return (f(name, z + h) - f(name, z - h)) / (2 * h)


@pytest.mark.parametrize("facts", FACTS)
def test_saturation_bounds(facts):
    slopes = np.abs(slope(facts.name, GRID))
    # 1e-6: what rounding leaves of a central difference.
    threshold = SATURATION * slopes.max() * (1 - 1e-6)
    below, above = facts.saturates_below - GRID > 1e-3, GRID - facts.saturates_above > 1e-3
    assert (slopes[below | above] < threshold).all()
    for bound, inside in ((facts.saturates_below, 1), (facts.saturates_above, -1)):
        outermost = np.clip(bound + inside * 1e-3, -39, 39)
        assert abs(slope(facts.name, outermost)) >= threshold


@pytest.mark.parametrize("facts", FACTS)
def test_flat_values_are_the_limits(facts):
    for bound, flat, z in (
        (facts.saturates_below, facts.flat_below, -1e9),
        (facts.saturates_above, facts.flat_above, 1e9),
    ):
        assert (flat is None) == math.isinf(bound)
        if flat is not None:
            assert f(facts.name, z) == pytest.approx(flat, abs=2e-9)


@pytest.mark.parametrize("facts", FACTS)
def test_output_bounds_where_the_output_tells(facts):
    monotone = bool((np.diff(f(facts.name, GRID)) >= -1e-9).all())
    assert monotone == (facts.name not in ("gelu", "swish", "mish"))
    for bound, output in (
        (facts.saturates_below, facts.output_below),
        (facts.saturates_above, facts.output_above),
    ):
        assert (output is None) == (math.isinf(bound) or not monotone)
        if output is not None:
            assert output == pytest.approx(float(f(facts.name, bound)), rel=1e-12, abs=1e-12)


def test_bounds_by_hand():
    # softsign' = 1/(1+|z|)² = 1/100 at |z| = 9; softplus' = sigmoid(z) = 1/100 at -ln 99.
    assert ACTIVATION_FACTS["softsign"].saturates_above == pytest.approx(9)
    assert ACTIVATION_FACTS["softplus"].saturates_below == pytest.approx(-4.5951, abs=1e-4)
    assert ACTIVATION_FACTS["tanh"].saturates_above == pytest.approx(2.9932, abs=1e-4)
    assert ACTIVATION_FACTS["sigmoid"].saturates_below == pytest.approx(-5.9864, abs=1e-4)
    assert ACTIVATION_FACTS["selu"].saturates_below == pytest.approx(-4.6052, abs=1e-4)
    assert ACTIVATION_FACTS["selu"].flat_below == pytest.approx(-1.7581, abs=1e-4)


@pytest.mark.parametrize("facts", FACTS)
def test_units_can_die_only_where_output_and_slope_are_exactly_zero(facts):
    negative = GRID[GRID < -0.01]
    dead = not f(facts.name, negative).any() and not slope(facts.name, negative).any()
    assert facts.units_can_die == dead == (facts.name == "relu")


def moments(name, variance):
    """E[f(z)] and E[f(z)²], z ~ N(0, variance), by a Riemann sum."""
    z = np.arange(-12, 12, 1e-4)
    density = np.exp(-(z**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance) * 1e-4
    out = f(name, z)
    return float((out * density).sum()), float((out**2 * density).sum())


@pytest.mark.parametrize("facts", FACTS)
def test_self_normalizing_is_an_attracting_fixed_point(facts):
    mean, square = moments(facts.name, 1.0)
    fixed = abs(mean) < 1e-6 and abs(square - 1) < 1e-6
    # LeCun's weights carry E[f²] on as the next variance; a linear layer would keep 1.5 and 0.5.
    pulled = moments(facts.name, 1.5)[1] < 1.4 and moments(facts.name, 0.5)[1] > 0.55
    assert facts.self_normalizing == (fixed and pulled) == (facts.name == "selu")


def test_initializer_families():
    families = {"glorot": set(), "he": set(), "lecun": set()}
    for facts in ACTIVATION_FACTS.values():
        families[facts.initializer].add(facts.name)
    assert families["glorot"] == {"linear", "softmax", "sigmoid", "tanh", "softsign"}
    assert families["lecun"] == {"selu"}
    assert families["he"] == {
        *("relu", "leaky_relu", "prelu", "rrelu", "elu", "gelu", "swish", "mish", "softplus")
    }


@pytest.mark.parametrize(
    ("alias", "name"), [("silu", "swish"), ("logistic", "sigmoid"), (None, "linear")]
)
def test_other_names(alias, name):
    assert facts_of(alias) is ACTIVATION_FACTS[name]


@pytest.mark.parametrize("name", NAMES)
def test_each_entry_is_found_by_its_name(name):
    assert facts_of(name).name == name


@pytest.mark.parametrize(
    ("received", "message"),
    [
        ("reul", r"Received: activation='reul'\. Did you mean 'relu'\?"),
        ("LeakyReLU", r"Did you mean 'leaky_relu'\?"),
        ("xyzzy", r"Received: activation='xyzzy'\. Known are 'linear', 'softmax'"),
        (3, r"must be the name of a known activation function\. Received: activation=3"),
        (["relu"], r"Received: activation=\['relu'\]"),
    ],
)
def test_unknown_names(received, message):
    with pytest.raises(ValueError, match=message):
        facts_of(received)


def test_facts_need_neither_keras_nor_tensorflow():
    code = (
        "import sys, trainwell.callbacks.activation_facts;"
        "assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
