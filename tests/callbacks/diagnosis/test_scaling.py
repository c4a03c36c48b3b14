import numpy as np
import pytest
from networks import BINARY, CLASSES, ONE_HOT, dense, network, plain, record, targets

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks._data_description import describe_arrays
from trainwell.callbacks.diagnosis.input_scaling import unscaled_input
from trainwell.callbacks.diagnosis.target_scaling import unscaled_target

ADAM = {"name": "Adam", "learning_rate": 0.001}


def sgd(rate, **options):
    return {"name": "SGD", "learning_rate": rate, **options}


def severities(rule, *arguments):
    return [str(finding.severity) for finding in rule(record(*arguments))]


def inputs(x):
    return describe_arrays(np.asarray(x, "float32"))["inputs"][0]


def normal(*shape, mean=0.0, std=1.0):
    return mean + std * np.random.default_rng(0).normal(size=shape)


def judged(x, *before, optimizer=ADAM, behind=(), **changes):
    x = np.asarray(x)
    layers = [*before, dense(16, "relu"), *behind, dense(3)]
    described = network(*layers, features=x.shape[-1], optimizer=optimizer, **changes)
    return severities(unscaled_input, described, None, inputs(x))


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (normal(200, 8), []),
        (normal(200, 8, std=3), []),
        (normal(200, 8, std=9), []),
        (normal(200, 8, std=11), ["warning"]),
        (normal(200, 8, std=0.02), []),
        (normal(200, 8, std=0.005), ["warning"]),
        (np.random.default_rng(0).uniform(0, 1, (200, 8)), []),
        (np.random.default_rng(0).uniform(0, 255, (200, 8)), ["warning"]),
        (np.random.default_rng(0).uniform(-1, 1, (200, 8)), []),
        (np.zeros((200, 8)), []),
    ],
)
def test_the_scale_of_inputs(x, expected):
    assert judged(x) == expected


def test_offsets():
    assert judged(normal(500, 8, mean=5)) == []
    assert judged(normal(500, 8, mean=9.9, std=0.9), planned_epochs=10_000) == ["warning"]
    # A bias needs 67 / 1.7 / 0.001 = 39,000 steps; 1,000 are planned, or 5,000.
    far = normal(500, 3, mean=67, std=1.7)
    assert judged(far) == ["error"]
    assert judged(far, planned_epochs=50) == ["warning"]
    assert judged(far, planned_epochs=None) == ["warning"]


def test_features_of_unlike_scales():
    x = normal(500, 8)
    assert judged(x * [1, 1, 1, 1, 1, 1, 1, 500]) == ["warning"]  # the root mean square is 177
    x = x * [0.001, 0.001, 0.001, 1, 1, 1, 1, 9]
    assert judged(x) == ["warning"]
    assert judged(x, planned_epochs=1, steps_per_epoch=100) == ["error"]


def test_rates_that_overshoot_along_the_mean():
    pixels = np.random.default_rng(0).uniform(0, 255, (500, 64))
    # 64 · 127.5² / 147 = 7,070 times the rate.
    assert judged(pixels, optimizer=sgd(0.01)) == ["error"]
    assert judged(pixels, optimizer=sgd(0.005)) == ["warning"]
    assert judged(pixels, optimizer=sgd(0.01, clipnorm=1.0)) == ["warning"]
    assert judged(pixels / 255, optimizer=sgd(1.0)) == []
    schedule = {"name": "SGD", "learning_rate": "a schedule", "initial_learning_rate": 0.01}
    assert judged(pixels, optimizer=schedule) == ["error"]
    assert judged(pixels, optimizer={**schedule, "initial_learning_rate": None}) == ["warning"]


def test_steps_of_adam_that_jump():
    far = normal(200, 64, std=1e6)
    assert judged(far, optimizer={"name": "Adam", "learning_rate": 0.01}) == ["error"]
    assert judged(far) == ["warning"]


def test_what_takes_the_scale_out():
    pixels = np.random.default_rng(0).uniform(0, 255, (200, 8))
    rescaling = plain("Rescaling", scale=1 / 255, offset=0.0)
    batch, relu = plain("BatchNormalization"), plain("ReLU", activation="relu")
    assert judged(pixels, rescaling) == []
    assert judged(pixels, plain("Rescaling", scale=0.5, offset=0.0)) == ["warning"]
    assert judged(pixels, plain("Normalization", normalizes=True)) == []
    assert judged(pixels, plain("InputLayer"), batch) == []
    assert judged(pixels, plain("InputLayer")) == ["warning"]
    assert judged(pixels, behind=(batch,)) == []
    assert judged(pixels, behind=(relu, batch)) == []
    assert judged(pixels, plain("Embedding", parameters=80)) == []


def two_inputs(order, names=(None, None)):
    layers = [plain("InputLayer"), plain("InputLayer"), dense(4), dense(4), plain("Concatenate")]
    described = network(*layers, dense(1), inputs=[[], [], [0], [1], [2, 3], [4]])
    described["inputs"] = order
    given = [inputs(normal(99, 8)), inputs(normal(99, 8, std=100))]
    given = [{**one, "name": name} for one, name in zip(given, names, strict=True)]
    return list(unscaled_input(TrainingRecord(described, {"inputs": given, "targets": []})))


def test_two_inputs_are_judged_each():
    (found,) = two_inputs(["layer_0", "layer_1"])
    assert found.layers == ("layer_3",) and found.remedies[0].kind == "input_scaling"
    (found,) = two_inputs(["layer_1", "layer_0"])
    assert found.layers == ("layer_2",)
    (found,) = two_inputs(["layer_0", "layer_1"], ("layer_1", "layer_0"))
    assert found.layers == ("layer_2",)
    assert two_inputs([]) == []  # whose is whose isn't known


def test_inputs_behind_a_concatenation_count_with_their_own_features():
    layers = [plain("InputLayer"), plain("InputLayer"), plain("Concatenate"), dense(16, "relu")]
    described = network(*layers, dense(3), inputs=[[], [], [0, 1], [2], [3]], features=8)
    described["inputs"] = ["layer_0", "layer_1"]
    for scale, expected in ((1.0, []), (1000.0, ["layer_3"])):
        given = [inputs(normal(99, 4)), inputs(normal(99, 4, std=scale))]
        found = unscaled_input(TrainingRecord(described, {"inputs": given, "targets": []}))
        assert [layer for one in found for layer in one.layers] == expected


# ---------------------------------------------------------------------- targets


def regression(optimizer=ADAM, activation="linear", loss="mse"):
    return network(dense(64, "relu"), dense(1, activation), optimizer=optimizer, loss=loss)


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        (0, 1, []),
        (0, 9, []),
        (0, 11, ["warning"]),
        (2000, 700, ["warning"]),
        (0, 0.01, []),
        (0, 0.0005, ["warning"]),
    ],
)
def test_the_scale_of_regression_targets(mean, std, expected):
    target = targets([1], mean - 3 * std, mean + 3 * std, mean=mean, std=std)
    assert severities(unscaled_target, regression(), target) == expected


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        # 2 · rate · 100 · sqrt(64): 16 and 1.6 deviations.
        (sgd(0.01), ["error"]),
        (sgd(0.001), ["warning"]),
        (sgd(0.001, momentum=0.9), ["error"]),
        (sgd(0.01, clipvalue=1.0), ["warning"]),
    ],
)
def test_the_shock_of_the_first_step(optimizer, expected):
    target = targets([1], -300, 300, mean=0, std=100)
    assert severities(unscaled_target, regression(optimizer), target) == expected
    assert severities(unscaled_target, regression(optimizer, loss="mae"), target) == ["warning"]


def test_losses_on_another_scale_are_silent():
    target = targets([1], 0, 9000, mean=2000, std=900)
    assert not severities(unscaled_target, regression(loss="msle"), target)


@pytest.mark.parametrize(
    ("loss", "target", "expected"),
    [
        ("sparse_categorical_crossentropy", CLASSES, []),
        ("sparse_categorical_crossentropy", targets([1], 0, 9 / 255, distinct=10), ["error"]),
        ("categorical_crossentropy", ONE_HOT, []),
        ("categorical_crossentropy", targets([3], 0, 1 / 255, distinct=2), ["warning"]),
        # Smoothed labels
        ("categorical_crossentropy", targets([3], 0.033, 0.933, distinct=2), []),
        ("binary_crossentropy", BINARY, []),
    ],
)
def test_labels_that_were_divided(loss, target, expected):
    described = network(dense(16, "relu"), dense(3, "softmax"), loss=loss)
    assert severities(unscaled_target, described, target) == expected


def test_without_data_both_are_silent():
    assert not severities(unscaled_input, regression())
    assert not severities(unscaled_target, regression())
    assert not list(unscaled_input(TrainingRecord()))
