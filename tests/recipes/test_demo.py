"""The demo: its files and keys, same seed same numbers, its words, its prediction."""

import json
import math

import keras
import numpy as np
import pytest
from rich.console import Console

from trainwell.callbacks.record import TrainingRecord
from trainwell.recipes._demo_words import note_on, predicted_sigmoid_ratio
from trainwell.recipes.datasets import Dataset, load
from trainwell.recipes.demo import NETWORKS, _batches, compare
from trainwell.recipes.mlp import mlp

DIGITS = load("digits")
SMALL = Dataset(
    DIGITS.x_train[:200], DIGITS.y_train[:200], DIGITS.x_test[:100], DIGITS.y_test[:100], "few", 10
)
KEYS = {
    "name",
    "activation",
    "kernel_initializer",
    "normalization",
    "learning_rate",
    "val_accuracy",
    "gradient_ratio_first_step",
    "gradient_ratio_last_step",
    "seconds",
    "note",
}


def summary(out, **options):
    out.mkdir(exist_ok=True)
    with (out / "terminal.txt").open("w") as file:
        compare(SMALL, out, console=Console(file=file), **options)
    return json.loads((out / "summary.json").read_text())


def without_seconds(found):
    for network in found["networks"]:
        assert network.pop("seconds") > 0
    return found


def test_files_and_keys(tmp_path):
    found = summary(tmp_path, layers=3, epochs=1)
    names = [network.name for network in NETWORKS]
    assert [found[key] for key in ("dataset", "layers", "epochs")] == ["few", 3, 1]
    assert [network["name"] for network in found["networks"]] == names
    assert set(found) == {"dataset", "layers", "epochs", "networks"}
    assert all(set(network) == KEYS for network in found["networks"])
    files = {"summary.json", "report.html", "gradient_profiles.png", "terminal.txt"}
    files |= {f"{name}.{kind}" for name in names for kind in ("record", "png")}
    assert {path.name for path in tmp_path.iterdir()} == files
    said, page = ((tmp_path / file).read_text() for file in ("terminal.txt", "report.html"))
    for network in found["networks"]:
        record = TrainingRecord.load(tmp_path / f"{network['name']}.record")
        ratios = record.gradient_ratio()
        assert len(ratios) == math.ceil(200 / 32)
        assert network["gradient_ratio_first_step"] == pytest.approx(ratios[0])
        assert network["gradient_ratio_last_step"] == pytest.approx(ratios[-1])
        assert record.epochs[-1]["val_accuracy"] == pytest.approx(network["val_accuracy"])
        assert network["name"] in said and network["name"] in page
    assert "E[sigma'(z)^2]" in said


def test_same_seed_same_numbers_another_seed_others(tmp_path):
    options = {"layers": 2, "epochs": 2, "networks": (NETWORKS[0], NETWORKS[-1])}
    first, again, other = (
        without_seconds(summary(tmp_path / folder, seed=seed, **options))
        for folder, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first == again
    assert first["networks"] != other["networks"]


def test_one_layer_has_no_ratio_and_the_summary_is_json(tmp_path):
    found = summary(tmp_path, layers=1, epochs=1, networks=NETWORKS[1:2])
    assert found["networks"][0]["gradient_ratio_first_step"] is None
    assert "NaN" not in (tmp_path / "summary.json").read_text()


def test_each_epoch_has_an_order_of_its_own():
    keras.utils.set_random_seed(0)
    batches = _batches(SMALL, 0)
    first, second = (np.concatenate([y for _, y in batches]) for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(np.sort(first), np.sort(SMALL.y_train))
    assert np.array_equal(np.sort(first), np.sort(second))
    again = np.concatenate([y for _, y in _batches(SMALL, 0)])
    assert np.array_equal(first, again)


def test_names_and_initializers():
    assert len({network.name for network in NETWORKS}) == len(NETWORKS)
    named = {network.name: network.initializer_name for network in NETWORKS}
    assert named["naive"] == "RandomNormal(stddev=1)"
    assert named["relu-he"] == "HeNormal" and named["selu-lecun"] == "LecunNormal"


def test_notes_follow_the_numbers():
    classes = np.arange(1000) % 10
    note = note_on(20, 2e-12, 3e-12, 0.0, 0.1, classes)
    assert note == (
        "gradient vanished: layer 1 gets 2.0e-12 of layer 20's; no better than guessing"
    )
    assert note_on(20, 0.5, 0.6, 0.39, 0.6, classes) == (
        "gradient arrives: layer 1 gets 0.5 of layer 20's; 39% of the units start saturated"
    )
    assert "exploded" in note_on(20, 80.0, 1.0, None, 0.9, classes)
    assert "at the last step 1.0e+00" in note_on(20, 80.0, 1.0, None, 0.9, classes)
    assert (
        note_on(20, math.nan, math.nan, None, math.nan, classes) == "no gradient ratio; no accuracy"
    )
    # 0.1 + 3 sqrt(0.1 * 0.9 / 1000) = 0.1285
    assert "guessing" in note_on(20, 1.0, 1.0, None, 0.128, classes)
    assert "guessing" not in note_on(20, 1.0, 1.0, None, 0.129, classes)


def test_prediction_by_hand():
    # No spread at all: z = 0, sigma = 1/2, sigma' = 1/4; two layers of width 4, s -> 0.
    # ratio = s * sqrt(n) / 4 * sqrt(inputs / (n / 4)) = s sqrt(inputs) / 2
    assert predicted_sigmoid_ratio(9, 4, 2, 1e-4) == pytest.approx(1.5e-4, rel=1e-4)


def test_prediction_against_single_samples():
    x, y = DIGITS.x_train[:60], DIGITS.y_train[:60]
    squares = np.zeros(2)
    for seed in range(6):
        normal = keras.initializers.RandomNormal(stddev=1.0)
        model = mlp(
            (8, 8),
            [100] * 6,
            10,
            activation="sigmoid",
            kernel_initializer=normal,
            bias_initializer=normal,
            adapt_to=DIGITS.x_train,
            seed=seed,
        )
        squares += _squared_norms_per_sample(model, x, y)
    expected = predicted_sigmoid_ratio(61, 100, 6, 1.0)
    assert math.sqrt(squares[0] / squares[1]) == pytest.approx(expected, rel=0.25)


def _squared_norms_per_sample(model, x, y):
    """Sum over samples of |a|^2 |delta|^2, the squared kernel gradient of one sample."""
    import tensorflow as tf

    layers = [model.get_layer("hidden_1"), model.get_layer("hidden_6")]
    inputs = [model.get_layer("flatten").output, model.get_layer("hidden_5_activation").output]
    parts = keras.Model(model.input, [*inputs, layers[0].output])(x)
    first_in, last_in, z = parts
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        h, seen = z, []
        for layer in model.layers[model.layers.index(layers[0]) + 1 :]:
            h = layer(h)
            if layer is layers[1]:
                seen.append(h)
        loss = keras.losses.SparseCategoricalCrossentropy(reduction="sum")(y, h)
    squares = []
    for a, at in ((first_in, z), (last_in, seen[0])):
        delta = tape.gradient(loss, at)
        squares.append(float(tf.reduce_sum(tf.reduce_sum(a**2, 1) * tf.reduce_sum(delta**2, 1))))
    return np.array(squares)
