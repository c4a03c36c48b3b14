import json
import math

import numpy as np
import pytest

from trainwell.callbacks._best_constant import best_constant, loss_name
from trainwell.callbacks._data_description import describe_arrays


def described(x, y=None, loss=None):
    data = describe_arrays(x, y, loss)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    return data


def test_an_input_has_its_range_and_its_features():
    x = np.array([[0.0, 10.0], [2.0, 10.0], [4.0, 40.0]], "float32")
    data = described(x)
    (one,) = data["inputs"]
    assert data["samples"] == 3 and data["targets"] == data["outputs"] == []
    assert (one["shape"], one["dtype"], one["non_finite"]) == ([2], "float32", 0)
    assert (one["min"], one["max"], one["mean"]) == (0, 40, 11)
    assert one["std"] == pytest.approx(np.std([0, 2, 4, 10, 10, 40]))
    assert one["feature_mean"] == [2, 20]
    assert one["feature_std"] == pytest.approx([math.sqrt(8 / 3), math.sqrt(200)])
    assert data["baseline"] == {"loss": None, "accuracy": None}


def test_features_are_the_last_axis():
    x = np.stack([np.zeros((5, 4, 4)), np.ones((5, 4, 4))], axis=-1)
    (one,) = described(x)["inputs"]
    assert one["shape"] == [4, 4, 2] and one["feature_mean"] == [0, 1]
    assert one["feature_std"] == [0, 0] and one["feature_std_quartile"] is None


def test_the_quartile_leaves_constant_features_out():
    x = np.array([[0, -1, -2, -4, -8, 7], [0, 1, 2, 4, 8, 7]], "float32")
    assert described(x)["inputs"][0]["feature_std_quartile"] == np.quantile([1, 2, 4, 8], 0.25)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_left_out(bad):
    x = np.array([[1.0, 5.0], [3.0, bad], [bad, bad]])
    (one,) = described(x)["inputs"]
    assert (one["min"], one["max"], one["mean"], one["non_finite"]) == (1, 5, 3, 3)
    assert one["feature_mean"] == [2, 5]
    (none,) = described(np.full((3, 2), bad))["inputs"]
    assert none["min"] is None and none["feature_mean"] is None and none["non_finite"] == 6


def test_large_inputs_are_described_by_some_rows_and_all_extremes():
    x = np.random.default_rng(3).normal(2, 3, (300_000, 20)).astype("float32")
    x[123_456, 7], x[222_222, 3] = 900.0, np.nan
    (one,) = described(x)["inputs"]
    assert one["max"] == 900 and one["non_finite"] == 1
    # Of two million values, five standard errors: 3 / sqrt(2e6) of the mean.
    assert one["mean"] == pytest.approx(2, abs=5 * 3 / math.sqrt(2e6))
    assert describe_arrays(x)["inputs"] == [one]


def test_the_state_of_numpys_generator_is_left_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    described(np.zeros((300_000, 20), "float32"))
    assert (np.random.get_state()[1] == before).all()


def test_several_arrays():
    data = described({"a": np.zeros((4, 2)), "b": [np.ones((4, 1)), np.ones(4)]}, np.arange(4))
    assert [one["shape"] for one in data["inputs"]] == [[2], [1], []]
    assert data["targets"][0]["shape"] == [] and data["samples"] == 4
    named = described({"a": np.zeros((4, 2)), "b": np.ones(4)})["inputs"]
    assert [one["name"] for one in named] == ["a", "b"]


def test_lists_of_numbers_and_text():
    assert described([[1, 2], [3, 4]])["inputs"][0]["shape"] == []
    assert described(np.array(["one", "two"]))["inputs"][0]["mean"] is None
    assert described(np.zeros((0, 3)))["inputs"][0]["mean"] is None


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.array([0, 2, 2, 1]), (True, 3, False, 3, 0.5)),
        (np.array([[0.0], [1], [1], [1]]), (True, 2, False, 2, 0.75)),
        (np.eye(3)[[0, 2, 2, 1]], (True, 2, True, 3, 0.5)),
        (np.array([[1, 1, 0], [0, 0, 0]]), (True, 2, False, None, None)),
        (np.array([-1, 1, 1]), (True, 2, False, None, 2 / 3)),
        (np.array([0.5, 1.5, 1.5]), (False, 2, False, None, None)),
        (np.arange(1001) / 7, (False, None, False, None, None)),
        (np.array([[True], [False]]), (True, 2, False, 2, 0.5)),
        (np.array([0.0, np.nan]), (False, 1, False, None, None)),
    ],
)
def test_targets(y, expected):
    (one,) = described(np.zeros((len(y), 1)), y)["targets"]
    found = tuple(one[key] for key in ("integer", "distinct", "one_hot", "classes", "majority"))
    assert found == pytest.approx(expected)


CLASSES = np.array([0, 0, 1, 2])
ENTROPY = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))


@pytest.mark.parametrize(
    ("loss", "y", "expected"),
    [
        ("mse", np.array([0.0, 2, 4]), 8 / 3),
        ("MSE", np.array([0.0, 2, 4]), 8 / 3),
        ("MeanSquaredError", np.array([[0.0, 1], [2, 1]]), 0.5),
        ("mae", np.array([0.0, 1, 8]), 8 / 3),
        ("sparse_categorical_crossentropy", CLASSES, ENTROPY),
        ("SparseCategoricalCrossentropy", CLASSES[:, None], ENTROPY),
        ("categorical_crossentropy", np.eye(3)[CLASSES], ENTROPY),
        ("kl_divergence", np.eye(3)[CLASSES], ENTROPY),
        ("binary_crossentropy", np.array([[0.0], [1], [1], [1]]), 0.5623351446),
        ("poisson", np.array([0.0, 2, 4]), 2 - 2 * math.log(2)),
        ("hinge", np.array([-1, 1, 1, 1]), 0.5),
        ("squared_hinge", np.array([-1, 1, 1, 1]), 0.75),
        ("log_cosh", np.array([-2.0, 2]), math.log(math.cosh(2))),
        ("huber", np.array([-3.0, -3, 3, 3]), 2.5),
        ("huber", np.array([0.0, 1, 2]), 1 / 3),
        ("Huber", np.array([0.0, 1, 2]), None),  # its delta isn't known
        ("mean_squared_logarithmic_error", np.exp([0.0, 2, 4]) - 1, 8 / 3),
        ("sparse_categorical_crossentropy", CLASSES / 255, None),
        ("binary_crossentropy", np.array([-1.0, 1]), None),
        ("mse", np.ones(5), None),
        ("mse", np.array([0.0, np.inf]), None),
        ("mse", np.array(["one", "two"]), None),
        ("a loss of one's own", CLASSES, None),
        ("mse, mse", CLASSES, None),
        (None, CLASSES, None),
    ],
)
def test_the_best_constant(loss, y, expected):
    assert best_constant(loss, y) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    "loss", ["mse", "mae", "binary_crossentropy", "poisson", "squared_hinge", "log_cosh", "huber"]
)
def test_no_constant_is_better(loss):
    y = (np.random.default_rng(0).random(200) < 0.3).astype(float)
    signs = 2 * y - 1
    constants = np.linspace(0.001, 0.999, 999)[:, None]
    around = 2 * constants - 1
    with np.errstate(all="ignore"):
        losses = {
            "mse": (y - constants) ** 2,
            "mae": np.abs(y - constants),
            "binary_crossentropy": -np.log(np.where(y == 1, constants, 1 - constants)),
            "poisson": constants - y * np.log(constants),
            "squared_hinge": np.maximum(0, 1 - signs * around) ** 2,
            "huber": (y - constants) ** 2 / 2,
            "log_cosh": np.log(np.cosh(y - constants)),
        }[loss].mean(axis=1)
    assert best_constant(loss, y) == pytest.approx(losses.min(), abs=2e-3)
    assert best_constant(loss, y) <= losses.min() + 1e-12


def test_the_baseline_of_a_task():
    data = described(np.zeros((4, 1)), CLASSES, "sparse_categorical_crossentropy")
    assert data["baseline"]["loss"] == pytest.approx(ENTROPY)
    assert data["baseline"]["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", "mean_squared_error"),
        ("BinaryCrossentropy", "binary_crossentropy"),
        ("KLDivergence", "kl_divergence"),
        ("LogCosh", "log_cosh"),
        ("huber", "huber"),
        ("MAPE", "mean_absolute_percentage_error"),
        ("a: mse", None),
        (None, None),
    ],
)
def test_names_of_losses(loss, expected):
    assert loss_name(loss) == expected
