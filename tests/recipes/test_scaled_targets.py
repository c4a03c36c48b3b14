"""`ScaledLabels` and losses in the targets' units: values by hand, saved and loaded."""

import math

import keras
import numpy as np
import pytest

from trainwell.recipes.remedies.scaled_targets import (
    ScaledLabels,
    ScaledLabelsAccuracy,
    in_units_of_targets,
)

NAMES = np.array([0, 1, 2, 1])
OUTPUTS = np.array(
    [[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.7, 0.2, 0.1]], "float32"
)


def test_is_the_sparse_crossentropy_of_the_numbers():
    expected = -np.mean(np.log([0.5, 0.8, 0.6, 0.2]))
    assert float(ScaledLabels(255)(NAMES / 255, OUTPUTS)) == pytest.approx(expected, rel=1e-6)
    column = (NAMES / 255)[:, None]
    assert float(ScaledLabels(255)(column, OUTPUTS)) == pytest.approx(expected, rel=1e-6)


def test_is_the_crossentropy_of_logits_where_the_loss_takes_them():
    inner = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = ScaledLabels(4.0, inner)
    assert loss.from_logits
    assert not ScaledLabels(4.0).from_logits
    # Of equal logits every class has a third.
    assert float(loss(NAMES / 4, np.zeros((4, 3)))) == pytest.approx(math.log(3), rel=1e-6)


def test_takes_over_how_the_loss_is_summed():
    inner = keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    total = -np.sum(np.log([0.5, 0.8, 0.6, 0.2]))
    assert float(ScaledLabels(10, inner)(NAMES / 10, OUTPUTS)) == pytest.approx(total, rel=1e-6)


def test_weights_of_samples():
    loss = ScaledLabels(10)(NAMES / 10, OUTPUTS, sample_weight=np.array([1.0, 0, 0, 0]))
    assert float(loss) == pytest.approx(-math.log(0.5) / 4, rel=1e-6)


def test_numbers_up_to_a_thousand_come_back_from_float32():
    scaled = (np.arange(1000) / 999).astype("float32")
    outputs = np.eye(1000, dtype="float32")
    accuracy = ScaledLabelsAccuracy(999)
    accuracy.update_state(scaled, outputs)
    assert accuracy.result() == 1


def test_accuracy_by_hand():
    accuracy = ScaledLabelsAccuracy(255)
    accuracy.update_state(NAMES / 255, OUTPUTS)
    assert accuracy.result() == 0.75
    again = ScaledLabelsAccuracy.from_config(accuracy.get_config())
    assert (again.factor, again.name) == (255, "accuracy")


@pytest.mark.parametrize(
    "inner",
    [
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ],
)
def test_saved_and_loaded_in_safe_mode(inner, tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", ScaledLabels(255, inner), metrics=[ScaledLabelsAccuracy(255)])
    x = np.random.default_rng(0).normal(size=(4, 2))
    before = model.evaluate(x, NAMES / 255, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded.loss) is ScaledLabels
    assert loaded.loss.from_logits == model.loss.from_logits
    assert loaded.evaluate(x, NAMES / 255, verbose=0) == pytest.approx(before)


STANDARDIZED = np.array([0.1, -0.2, 3.0, -2.5], "float32")


@pytest.mark.parametrize(
    "loss",
    [
        *("mse", "mean_squared_error", "mae", keras.losses.MeanAbsoluteError()),
        *("huber", keras.losses.Huber(delta=0.5), keras.losses.MeanSquaredError()),
    ],
    ids=lambda loss: loss if isinstance(loss, str) else type(loss).__name__,
)
def test_a_weighted_loss_in_units_is_that_of_standardized_targets(loss):
    deviation, errors = 50.0, STANDARDIZED
    units, weight = in_units_of_targets(loss, deviation)
    y = np.zeros((4, 1), "float32")
    given, in_units = keras.losses.get(loss), keras.losses.get(units)
    expected = np.mean(given(y, errors[:, None]))
    assert weight * np.mean(in_units(y, deviation * errors[:, None])) == pytest.approx(
        expected, rel=1e-5
    )


def test_relative_losses_have_no_unit():
    assert in_units_of_targets("mape", 50.0) == ("mape", 1.0)
    assert in_units_of_targets("log_cosh", 50.0) == ("log_cosh", 0.02)
