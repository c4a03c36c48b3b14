"""`TaskScore`: accuracy, R², chance and noise by hand, for every kind of targets."""

import math

import keras
import numpy as np
import pytest

from trainwell.recipes._task_score import TaskScore

SPARSE = "sparse_categorical_crossentropy"


class Answers:
    """Stands for a model with given outputs."""

    def __init__(self, outputs, loss="mse", names=("out",)):
        self.outputs, self.loss, self.output_names = outputs, loss, list(names)

    def predict(self, x, **options):
        return self.outputs


def score(y, outputs, loss=None, model_loss=None, factor=1.0):
    task = TaskScore(np.zeros(len(y)), np.asarray(y), loss, factor)
    return task, task.of(Answers(np.asarray(outputs, "float32"), model_loss or loss))


THREE = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.7, 0.2, 0.1]]


def test_class_numbers():
    task, accuracy = score([0, 1, 2, 1], THREE, SPARSE)
    assert (task.metric, accuracy, task.chance) == ("accuracy", 0.75, 0.5)
    assert task.skill(0.75) == 0.5
    # Logits, and a column of numbers, are answered alike.
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert score(np.array([[0], [1], [2], [1]]), np.log(THREE), logits)[1] == 0.75


def test_one_hot():
    task, accuracy = score(np.eye(3)[[0, 1, 2, 1]], THREE, "categorical_crossentropy")
    assert (task.kinds, accuracy, task.chance) == (["one_hot"], 0.75, 0.5)
    # Whatever the loss: here a model that was given the wrong one.
    assert score(np.eye(3)[[0, 1, 2, 1]], THREE, "mse")[1] == 0.75


def test_smoothed_labels_are_classes():
    y = 0.9 * np.eye(3)[[0, 1, 2, 1]] + 0.1 / 3
    task, accuracy = score(y, THREE, "categorical_crossentropy")
    assert (task.kinds, accuracy, task.chance) == (["one_hot"], 0.75, 0.5)


def test_scaled_class_numbers():
    task, accuracy = score(np.array([0, 1, 2, 1]) / 255, THREE, SPARSE, factor=255.0)
    assert (task.kinds, accuracy, task.chance) == (["classes"], 0.75, 0.5)


def test_class_numbers_under_a_loss_for_one_hot_targets_are_classes():
    assert score([0, 1, 2, 1], THREE, "categorical_crossentropy")[1] == 0.75
    assert score([0, 1, 2, 1], THREE, "binary_crossentropy")[1] == 0.75


def test_class_numbers_under_a_regressions_loss_are_amounts():
    task, r_squared = score([0.0, 1, 2, 1], [[0.0], [1], [2], [0]], "mse")
    assert (task.metric, r_squared, task.chance) == ("R²", 1 - 1 / 2, 0.0)


def test_class_numbers_with_a_unit_for_each_are_classes_whatever_the_loss():
    y = np.array([0, 1, 2, 2])
    task = TaskScore(np.zeros(4), y, "mean_squared_error", units=3)
    assert (task.metric, task.kinds) == ("accuracy", ["classes"])
    assert TaskScore(np.zeros(4), y, "mean_squared_error", units=1).metric == "R²"
    assert TaskScore(np.zeros(4), y, "mean_squared_error", units=4).metric == "R²"


def test_a_single_unit_for_class_numbers_is_rounded():
    assert score([0, 1, 2, 1], [[0.2], [1.4], [1.6], [2.0]], SPARSE)[1] == 0.75


Y = [0, 0, 1, 1, 1]


def test_binary_with_a_sigmoid_logits_or_softmax():
    task, accuracy = score(Y, [[0.1], [0.6], [0.9], [0.51], [0.2]], "binary_crossentropy")
    assert (task.kinds, accuracy, task.chance) == (["binary"], 0.6, 0.6)
    logits = keras.losses.BinaryCrossentropy(from_logits=True)
    assert score(Y, [[-1.0], [0.3], [0.3], [0.2], [-3]], logits)[1] == 0.6
    two = [[0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.3, 0.7], [0.6, 0.4]]
    assert score(Y, two, SPARSE)[1] == 0.6
    assert score(Y, two, "binary_crossentropy", SPARSE)[1] == 0.6


def test_the_mended_models_loss_tells_whether_its_outputs_are_logits():
    logits = keras.losses.BinaryCrossentropy(from_logits=True)
    assert score(Y, [[-1.0], [-0.3], [0.3], [0.2], [0.1]], "mse", logits)[1] == 1
    assert score(Y, [[-1.0], [-0.3], [0.3], [0.2], [0.1]], "mse")[1] == 0.4


def test_hinge_takes_0_and_1_for_signs():
    assert score(Y, [[-1.0], [0.3], [0.3], [0.2], [-3]], "hinge")[1] == 0.6


def test_signs():
    task, accuracy = score([-1, 1, 1, -1], [[-0.2], [0.1], [-0.4], [0.3]], "hinge")
    assert (task.kinds, accuracy, task.chance) == (["signs"], 0.5, 0.5)
    assert score([-1, 1, 1, -1], [[-0.2], [0.1], [-0.4], [-0.3]], "mse")[1] == 0.75


def test_one_class_among_the_held_out_samples():
    assert score([1, 1], [[0.9], [0.2]], "binary_crossentropy")[1] == 0.5
    assert score([-1, -1], [[0.9], [-0.2]], "hinge")[1] == 0.5


def test_several_labels():
    y = np.array([[1, 1, 0], [0, 1, 0]])
    task, accuracy = score(y, [[0.9, 0.4, 0.1], [0.2, 0.7, 0.8]], "binary_crossentropy")
    assert (task.kinds, accuracy) == (["multi_hot"], pytest.approx(4 / 6))
    assert task.chance == pytest.approx((0.5 + 1 + 1) / 3)


def test_regression_of_several_columns():
    y = np.array([[0.0, 10], [2, 30], [4, 20]])
    outputs = y + np.array([[1, 0], [0, 2], [0, 0]])
    # Squares around the means: 4 + 0 + 4 and 100 + 100 + 0.
    assert score(y, outputs, "mse")[1] == pytest.approx(1 - 5 / 208)
    assert score(y, np.broadcast_to(y.mean(axis=0), y.shape), "mse")[1] == pytest.approx(0)


def test_regression_takes_a_column_for_a_row_of_numbers():
    assert score([1.5, 2.5, 4.0], [[1.5], [2.5], [4.0]], "mae")[1] == 1
    assert score([1.5, 2.5, 4.0], [[1.5, 0]] * 3, "mae")[1] == -math.inf


def test_sequences_of_class_numbers():
    y = np.array([[0, 1, 2], [2, 1, 0]])
    outputs = np.eye(3)[[[0, 1, 2], [2, 2, 2]]]
    task, accuracy = score(y, outputs, SPARSE)
    assert (task.kinds, accuracy, task.chance) == (["classes"], pytest.approx(4 / 6), 1 / 3)
    assert score(y[..., None], outputs, SPARSE)[1] == pytest.approx(4 / 6)
    # Of two classes, which look like several labels.
    task, accuracy = score([[0, 1, 1], [1, 1, 1]], np.eye(2)[[[0, 1, 1], [1, 1, 0]]], SPARSE)
    assert (task.kinds, accuracy) == (["classes"], pytest.approx(5 / 6))


def test_sequences_one_hot():
    y = np.eye(3)[[[0, 1, 2], [2, 1, 0]]]
    assert score(y, np.eye(3)[[[0, 1, 2], [2, 2, 2]]], "mse")[1] == pytest.approx(4 / 6)


def test_images():
    y = np.random.default_rng(0).uniform(size=(4, 5, 5))
    assert score(y, y[..., None], "mse")[1] == pytest.approx(1)
    assert score(y, np.broadcast_to(y.mean(axis=0), y.shape), "mse")[1] == pytest.approx(0)
    bits = np.round(y)
    task, accuracy = score(bits, bits[..., None], "binary_crossentropy")
    assert (task.metric, accuracy) == ("accuracy", 1)


def test_outputs_that_are_not_finite():
    assert score([0, 1], [[np.nan], [1.0]], "mse")[1] == -math.inf
    assert score([0, 1, 2], [[np.inf, 0, 0]] * 3, SPARSE)[1] == -math.inf


def test_outputs_of_another_shape_answer_nothing():
    assert score([[1, 1], [0, 1]], [[1.0], [1]], "mse")[1] == 0.0


def test_several_outputs_are_averaged():
    y = [np.array([0.0, 2, 4]), np.array([0, 1, 1])]
    losses = ["mse", "binary_crossentropy"]
    task = TaskScore(None, y, losses)
    outputs = [np.array([[0.0], [2], [4]]), np.array([[0.1], [0.9], [0.2]])]
    assert task.kinds == ["numbers", "binary"]
    assert task.of(Answers(outputs, losses, ("p", "q"))) == pytest.approx((1 + 2 / 3) / 2)
    assert task.chance == pytest.approx((0 + 2 / 3) / 2)
    assert task.of(Answers(outputs[0], "mse")) == -math.inf


def test_outputs_by_name():
    y = {"q": np.array([0, 1, 1]), "p": np.array([0.0, 2, 4])}
    losses = {"q": keras.losses.BinaryCrossentropy(from_logits=True), "p": "mse"}
    task = TaskScore(None, y, losses)
    outputs = [np.array([[-0.1], [0.2], [0.3]]), np.array([[0.0], [2], [4]])]
    assert task.kinds == ["numbers", "binary"]  # in the names' order
    assert task.of(Answers(outputs, losses, ("q", "p"))) == 1
    assert task.of(Answers(dict(zip("qp", outputs, strict=True)), losses, ("q", "p"))) == 1
    assert TaskScore(None, {"q": y["q"]}, {"q": "binary_crossentropy"}).kinds == ["binary"]


def test_noise_is_two_standard_errors_of_a_difference():
    task = TaskScore(None, np.zeros(200))
    assert task.noise(0.5) == pytest.approx(2 * math.sqrt(2 * 0.25 / 200))
    # Of all right or all wrong, and of an R² below 0, as of a share of one in ten thousand.
    for edge in (0.0, 1.0, -3.0, -math.inf):
        assert task.noise(edge) == pytest.approx(2 * math.sqrt(2 * 1e-4 / 200))


def test_of_a_model(tmp_path):
    x = np.array([[0.0], [1], [2], [3]])
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.set_weights([np.array([[2.0]]), np.array([1.0])])
    assert TaskScore(x, 2 * x + 1, "mse").of(model) == pytest.approx(1)
    assert TaskScore(x, x, "mse").of(model) == pytest.approx(1 - 30 / 5)
