"""The places of batch normalization, and the collapse of the last hidden layer."""

import numpy as np

from trainwell.recipes.mlp import mlp
from trainwell.recipes.reproduce._collapse import Collapse
from trainwell.recipes.reproduce._examples import examples
from trainwell.recipes.reproduce.batch_norm import PLACES, verdict
from trainwell.recipes.reproduce.outcome import Setting

DIGITS = Setting(quick=True, seeds=1, data="digits")


def test_each_place_is_where_its_label_says():
    orders = {}
    for place in PLACES:
        model = mlp(
            (6,), [4], 3, normalization=place.hidden, input_normalization=place.first, seed=0
        )
        names = [layer.name.replace("input_", "first_") for layer in model.layers[1:-1]]
        orders[place.label] = [
            "N" if "batch" in name else "f" if "activation" in name else "W" for name in names
        ]
    assert orders == {
        "none": ["W", "f"],
        "first": ["N", "W", "f"],
        "first and before activations": ["N", "W", "N", "f"],
        "first and after activations": ["N", "W", "f", "N"],
        "before activations": ["W", "N", "f"],
        "after activations": ["W", "f", "N"],
    }


def test_the_verdict_follows_the_differences():
    assert verdict(np.array([1.0, 1.1, 0.9])) == "holds"
    assert verdict(np.array([-1.0, -1.1, -0.9])) == "does not hold here"
    assert verdict(np.array([1.0, -1.0, 0.1])) == "is undecided over these seeds"
    assert verdict(np.array([1.0])) == "is undecided over these seeds"


def test_examples_are_standardized_by_their_training_part():
    given, raw = examples(DIGITS), examples(DIGITS, standardize=False)
    assert raw.x.min() == 0 and raw.x.max() == 1 and raw.y.dtype.kind == "i"
    varies = raw.x.std(axis=0) > 0
    mean, deviation = raw.x[:, varies].mean(axis=0), raw.x[:, varies].std(axis=0)
    expected = (raw.x_validation[:, varies] - mean) / deviation
    np.testing.assert_allclose(given.x_validation[:, varies], expected, rtol=1e-3, atol=1e-4)
    assert len(examples(DIGITS, most=50).x) == 50


def test_normalized_sigmoids_start_at_a_half_and_stay_there_at_first():
    collapse = Collapse(examples(DIGITS, most=200), DIGITS, epochs=1)
    for means in collapse.means.values():
        assert means.shape == (2, 4)  # before training and after an epoch
        assert abs(means[0] - 0.5).max() < 0.2
    assert abs(collapse.means["sigmoid, batch normalization"][1, -1] - 0.5) < 0.2
