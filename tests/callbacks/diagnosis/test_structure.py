import math

import numpy as np
import pytest
from networks import (
    BINARY,
    CLASSES,
    GLOROT,
    HE,
    ONE_HOT,
    ZEROS,
    connections,
    deep,
    dense,
    network,
    plain,
    record,
    targets,
)
from records import record_of

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks._rows import Rows
from trainwell.callbacks.diagnosis._gains import gain
from trainwell.callbacks.diagnosis.initialization import poor_initialization
from trainwell.callbacks.diagnosis.losses import improper_loss
from trainwell.callbacks.diagnosis.outputs import improper_output_activation
from trainwell.callbacks.diagnosis.self_normalization import self_normalization_broken
from trainwell.callbacks.diagnosis.structure import (
    disconnected_layer,
    excessive_dropout,
    missing_activation,
)


def severities(rule, *arguments):
    return [str(finding.severity) for finding in rule(record(*arguments))]


def classifier(activation, loss, units=3, **changes):
    return network(dense(16, "relu"), dense(units, activation), loss=loss, **changes)


# ---------------------------------------------------------------------- output activation

CATEGORICAL = "categorical_crossentropy"
SPARSE = "sparse_categorical_crossentropy"
BCE = "binary_crossentropy"


@pytest.mark.parametrize(
    ("activation", "loss", "units", "target", "expected"),
    [
        ("softmax", CATEGORICAL, 3, ONE_HOT, []),
        ("softmax", SPARSE, 3, CLASSES, []),
        ("exponential", CATEGORICAL, 3, ONE_HOT, []),
        ("sigmoid", CATEGORICAL, 3, ONE_HOT, ["warning"]),
        ("relu", CATEGORICAL, 3, ONE_HOT, ["error"]),
        ("linear", CATEGORICAL, 3, ONE_HOT, ["error"]),
        ("linear", SPARSE, 3, CLASSES, ["error"]),
        ("tanh", "CategoricalCrossentropy", 3, ONE_HOT, ["error"]),
        ("sigmoid", BCE, 1, BINARY, []),
        ("relu", BCE, 1, BINARY, ["error"]),
        ("softplus", BCE, 1, BINARY, ["warning"]),
        ("softmax", BCE, 1, BINARY, ["error"]),
        ("softmax", "mse", 1, BINARY, ["error"]),
        ("softmax", BCE, 3, ONE_HOT, ["warning"]),
        ("linear", "poisson", 1, targets([1], 0, 9), ["error"]),
        ("softplus", "poisson", 1, targets([1], 0, 9), []),
        ("linear", CATEGORICAL, 3, None, ["error"]),
        ("linear", "a loss of one's own", 3, ONE_HOT, []),
    ],
)
def test_an_output_against_its_loss(activation, loss, units, target, expected):
    described = classifier(activation, loss, units)
    assert severities(improper_output_activation, described, target) == expected


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("linear", []), ("softmax", ["info"]), ("sigmoid", ["info"]), ("relu", ["warning"])],
)
def test_an_output_of_logits(activation, expected):
    described = classifier(activation, SPARSE, from_logits=True)
    assert severities(improper_output_activation, described, CLASSES) == expected


@pytest.mark.parametrize(
    ("activation", "mean", "std", "low", "high", "expected"),
    [
        ("linear", 0, 1, -4, 4, []),
        ("sigmoid", 0.5, 0.2, 0, 1, []),
        ("sigmoid", 20_000, 6000, 400, 35_000, ["error"]),
        ("relu", 50, 10, 0, 90, []),
        # E[(0 - y)+²] of a standard normal y is a half.
        ("relu", 0, 1, -4, 4, ["error"]),
        # 2 (1 + 1) Q(1) - 2 phi(1) = 0.6346 - 0.4839 = 0.151
        ("tanh", 0, 1, -4, 4, ["warning"]),
        ("tanh", 0, 0.3, -1, 1, []),
        ("tanh", 0, 0.3, -1.01, 1.01, []),
    ],
)
def test_an_output_against_the_range_of_its_targets(activation, mean, std, low, high, expected):
    target = targets([1], low, high, mean=mean, std=std)
    described = classifier(activation, "mse", 1)
    assert severities(improper_output_activation, described, target) == expected


def test_the_share_out_of_reach_is_said():
    target = targets([1], -4, 4, mean=0, std=1)
    (found,) = improper_output_activation(record(classifier("tanh", "mse", 1), target))
    assert "about 15% of their variance" in found.evidence
    assert found.layers == ("layer_1",) and found.remedies[0].value == "linear"


def test_an_activation_layer_behind_the_last_kernel_is_the_output():
    layers = [dense(16, "relu"), dense(1), plain("Activation", activation="sigmoid")]
    assert not severities(improper_output_activation, network(*layers, loss=BCE), BINARY)
    layers[2] = plain("Reshape")
    assert severities(improper_output_activation, network(*layers, loss=BCE), BINARY) == ["error"]


def test_several_outputs_and_unknown_ones_are_silent():
    described = classifier("relu", f"{BCE}, mse", 1)
    assert not severities(improper_output_activation, described, BINARY)
    described = network(dense(16, "relu"), plain("Mystery"), loss=BCE)
    assert not severities(improper_output_activation, described, BINARY)
    assert not list(improper_output_activation(TrainingRecord()))


# ---------------------------------------------------------------------- loss


@pytest.mark.parametrize(
    ("activation", "loss", "units", "target", "expected"),
    [
        ("softmax", CATEGORICAL, 3, ONE_HOT, []),
        ("softmax", CATEGORICAL, 4, ONE_HOT, ["error"]),
        ("softmax", CATEGORICAL, 3, CLASSES, ["error"]),
        ("softmax", CATEGORICAL, 1, BINARY, ["error"]),
        ("softmax", SPARSE, 3, CLASSES, []),
        ("softmax", SPARSE, 5, CLASSES, []),
        ("softmax", SPARSE, 2, CLASSES, ["error"]),
        ("softmax", SPARSE, 3, ONE_HOT, ["error"]),
        ("sigmoid", BCE, 1, BINARY, []),
        ("sigmoid", BCE, 1, targets([], 0, 1), []),
        ("sigmoid", BCE, 1, targets([1], -1, 1, integer=True, distinct=2), ["error"]),
        ("sigmoid", BCE, 1, CLASSES, ["error"]),
        ("sigmoid", BCE, 3, targets([3], 0, 1, integer=True, distinct=2), []),
        ("softmax", CATEGORICAL, 3, targets([3], 0, 1, integer=True, distinct=2), ["warning"]),
        ("softmax", "mse", 3, ONE_HOT, ["warning"]),
        ("sigmoid", "mean_absolute_error", 1, BINARY, ["warning"]),
        ("softmax", "hinge", 3, ONE_HOT, ["warning"]),
        ("linear", "squared_hinge", 1, BINARY, []),
        ("linear", "mse", 1, targets([], -3, 3), []),
        ("linear", "mse", 4, targets([], -3, 3), ["error"]),
        ("tanh", "hinge", 1, targets([1], -1, 1, integer=True, distinct=2), []),
    ],
)
def test_a_loss_against_its_targets(activation, loss, units, target, expected):
    assert severities(improper_loss, classifier(activation, loss, units), target) == expected


def test_labels_of_each_pixel_suit_a_sparse_loss():
    image = plain("Softmax", activation="softmax", output_shape=[None, 8, 8, 3])
    described = network(dense(16, "relu"), dense(3), image, loss=SPARSE)
    for shape in ([8, 8], [8, 8, 1]):
        label = targets(shape, 0, 2, integer=True, distinct=3)
        assert not severities(improper_loss, described, label)


def test_without_data_a_loss_is_judged_by_its_units_alone():
    assert severities(improper_loss, classifier("softmax", CATEGORICAL, 1)) == ["error"]
    assert not severities(improper_loss, classifier("softmax", CATEGORICAL, 3))


# ---------------------------------------------------------------------- missing activation


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([dense(16), dense(16, "relu"), dense(3)], ["warning"]),
        ([dense(16), dense(16), dense(3, "softmax")], ["error"]),
        ([dense(16), dense(3)], ["error"]),
        ([dense(3)], []),
        ([dense(16, "relu"), dense(3)], []),
        ([dense(16), plain("ReLU", activation="relu"), dense(3)], []),
        ([dense(16), plain("BatchNormalization"), dense(16, "relu"), dense(3)], ["warning"]),
        (
            [dense(16), plain("BatchNormalization"), plain("ReLU", activation="relu"), dense(3)],
            [],
        ),
        ([dense(16), plain("MaxPooling2D"), dense(16, "relu"), dense(3)], ["warning"]),
        ([dense(16), plain("LayerNormalization"), dense(3)], []),
        ([dense(16), plain("Mystery"), dense(3)], []),
        ([dense(16, trainable=False), dense(16, "relu"), dense(3)], []),
        # A code, narrower than what it takes and what it feeds; one unit wider it is none.
        ([dense(16, "relu"), dense(2), dense(16, "relu"), dense(8)], []),
        ([dense(16, "relu"), dense(16), dense(16, "relu"), dense(8)], ["warning"]),
        ([dense(2), dense(8)], []),
    ],
)
def test_layers_without_an_activation_between_them(layers, expected):
    assert severities(missing_activation, network(*layers)) == expected


@pytest.mark.parametrize(("loss", "expected"), [(1.0, "warning"), (2.0, "error")])
def test_a_linear_network_that_learns_had_a_linear_task(loss, expected):
    made = record_of(2, 100, loss=loss, baseline=np.log(10))
    made.network |= {"layers": network(dense(16), dense(16), dense(3))["layers"]}
    (found,) = missing_activation(made)
    assert found.severity == expected


def test_the_ends_of_branches_need_no_activation():
    layers = [dense(8, "relu"), dense(8), plain("Add"), dense(8, "relu"), dense(3)]
    described = network(*layers, inputs=[[], [0], [0, 1], [2], [3]])
    assert not severities(missing_activation, described)
    layers = [dense(16), dense(8, "relu"), dense(8, "relu"), plain("Concatenate"), dense(3)]
    described = network(*layers, inputs=[[], [0], [0], [1, 2], [3]])
    assert not severities(missing_activation, described)


def test_unknown_connections_are_silent():
    described = network(dense(16), dense(16), dense(3), inputs=[[], None, None])
    assert not severities(missing_activation, described)


# ---------------------------------------------------------------------- dropout


@pytest.mark.parametrize(
    ("rates", "units", "expected"),
    [
        ([0.5, 0.5, 0.5], 64, []),
        ([0.6], 64, ["warning"]),
        ([0.8, 0.8], 64, ["warning"]),
        # 1 / (1 - 0.9) squared is 100.
        ([0.9, 0.901], 64, ["error"]),
        ([0.5] * 7, 64, []),
        # 0.5 to the third power is an eighth of all samples, to the fourth a sixteenth.
        ([0.5], 3, ["warning"]),
        ([0.5], 4, []),
    ],
)
def test_dropout(rates, units, expected):
    layers = [one for rate in rates for one in (dense(units, "relu"), plain("Dropout", rate=rate))]
    assert severities(excessive_dropout, network(*layers, dense(3))) == expected


def test_dropout_in_parallel_does_not_add_up():
    layers = [
        dense(64),
        plain("Dropout", rate=0.9),
        plain("Dropout", rate=0.92),
        plain("Add"),
        dense(3),
    ]
    described = network(*layers, inputs=[[], [0], [0], [1, 2], [3]])
    assert severities(excessive_dropout, described) == ["warning"]


# ---------------------------------------------------------------------- initializers


def uniform(bound):
    return {"class": "RandomUniform", "minval": -bound, "maxval": bound}


def normal(stddev):
    return {"class": "RandomNormal", "mean": 0.0, "stddev": stddev}


@pytest.mark.parametrize(
    ("initializer", "shape", "expected"),
    [
        (HE, [50, 20], 2.0),
        ({"class": "LecunUniform"}, [50, 20], 1.0),
        (GLOROT, [30, 10], 30 / 20),
        (GLOROT, [3, 3, 4, 12], 36 / 72),
        (normal(0.1), [50, 20], 0.5),
        (uniform(0.3), [50, 20], 50 * 0.03),
        ({"class": "Orthogonal", "gain": 2.0}, [10, 40], 4 / 4),
        ({"class": "VarianceScaling", "scale": 3.0, "mode": "fan_out"}, [50, 20], 7.5),
        ({"class": "OneOfOnesOwn"}, [50, 20], None),
        (HE, None, None),
    ],
)
def test_the_gain_of_an_initializer(initializer, shape, expected):
    value = gain({"initializer": initializer, "kernel_shape": shape})
    assert value == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("depth", "initializer", "activation", "optimizer", "expected"),
    [
        (50, HE, "relu", "SGD", []),
        (50, {"class": "LecunNormal"}, "selu", "SGD", []),
        (50, GLOROT, "tanh", "SGD", []),
        (50, HE, "tanh", "SGD", []),
        # log10 of sqrt(1/2) is -0.1505 a layer: -1.96 at 13 layers, -2.11 at 14.
        (13, GLOROT, "relu", "SGD", []),
        (14, GLOROT, "relu", "SGD", ["warning"]),
        (26, GLOROT, "relu", "SGD", ["warning"]),
        (27, GLOROT, "relu", "SGD", ["error"]),
        (27, GLOROT, "relu", "Adam", ["warning"]),
        # 64 · 0.05² / 3 / 2 = 0.0267: -0.787 a layer, -7 at nine.
        (8, uniform(0.05), "relu", "Adam", ["warning"]),
        (9, uniform(0.05), "relu", "Adam", ["error"]),
        # 64 / 2: 0.753 a layer upwards, 3.76 at five and 4.52 at six, with Adam too.
        (5, normal(1.0), "relu", "Adam", ["warning"]),
        (6, normal(1.0), "relu", "Adam", ["error"]),
        (6, normal(1.0), "relu", "SGD", ["error"]),
        (9, normal(1.0), "an activation of one's own", "Adam", []),
    ],
)
def test_the_scale_of_kernels(depth, initializer, activation, optimizer, expected):
    assert severities(poor_initialization, deep(depth, initializer, activation, optimizer)) == (
        expected
    )


@pytest.mark.parametrize(("depth", "expected"), [(9, ["warning"]), (10, ["error"])])
def test_classes_are_ranked_by_outputs_of_any_scale_with_adam(depth, expected):
    described = deep(depth, normal(1.0), optimizer="Adam") | {"loss": SPARSE}
    assert severities(poor_initialization, described) == expected


def test_weights_that_learned_are_no_error_any_more():
    made = record_of(2, 100, loss=1.0, baseline=np.log(10))
    made.network |= {"layers": deep(27, GLOROT)["layers"]}
    (found,) = poor_initialization(made)
    assert found.severity == "warning"


def test_a_normalization_makes_any_scale_good():
    described = deep(50, uniform(0.05), between=(plain("BatchNormalization"),))
    assert not severities(poor_initialization, described)


def test_the_evidence_has_the_numbers():
    (found,) = poor_initialization(record(deep(9, uniform(0.05), optimizer="Adam")))
    assert "Over 9 layers the signal changes by a factor of 8.3e-08" in found.evidence
    assert "variance 0.0533 / fan_in (RandomUniform" in found.evidence
    assert found.remedies[0].value == "he_normal"
    assert 10 ** (9 * 0.5 * math.log10(64 * 0.05**2 / 3 / 2)) == pytest.approx(8.3e-8, rel=0.01)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([dense(16, "relu", ZEROS), dense(3)], ["error"]),
        ([dense(16, "tanh", ZEROS), dense(3)], ["warning"]),
        ([dense(16, "tanh", {"class": "Constant", "value": 0.1}), dense(3)], ["warning"]),
        ([dense(16, "tanh", {"class": "Ones"}), dense(3, "linear", ZEROS)], ["error"]),
        ([dense(16, "tanh"), dense(3, "softmax", ZEROS)], []),
        ([dense(3, "softmax", ZEROS)], []),
        ([dense(1, "tanh", {"class": "Ones"}), dense(3)], []),
    ],
)
def test_kernels_of_one_value(layers, expected):
    assert severities(poor_initialization, network(*layers)) == expected


def test_zeros_at_the_end_of_a_residual_branch_are_sound():
    layers = [dense(8, "relu", HE), dense(8, "linear", ZEROS), plain("Add"), dense(3)]
    described = network(*layers, inputs=[[], [0], [0, 1], [2]])
    assert not severities(poor_initialization, described)


def with_weights(described, mean_square):
    """A record whose first row has kernels of that mean square."""
    made = record(described)
    columns = [
        {
            "path": f"{layer['path']}/kernel",
            "layer": layer["path"],
            "part": "kernel",
            "shape": layer["kernel_shape"],
            "size": math.prod(layer["kernel_shape"]),
            "connected": True,
        }
        for layer in described["layers"]
    ]
    group = made.add_group(Rows("gradients", columns, ("weight_norm",)))
    rows = np.zeros(1, group.dtype)
    rows["weight_norm"] = [math.sqrt(mean_square * column["size"]) for column in columns]
    made.append("gradients", rows)
    return made


@pytest.mark.parametrize(
    ("initializer", "mean_square", "expected"),
    [
        # Trained to what He draws: 2 / 64.
        (uniform(0.05), 2 / 64, []),
        (ZEROS, 2 / 64, []),
        # As drawn, and a step of the rate 0.01 behind.
        (uniform(0.05), 0.05**2 / 3, ["error"]),
        (ZEROS, 1e-4, ["error"]),
        # What an initializer that isn't known has drawn.
        ({"class": "OneOfOnesOwn"}, 0.05**2 / 3, ["error"]),
    ],
)
def test_weights_that_are_not_fresh_are_judged_themselves(initializer, mean_square, expected):
    made = with_weights(deep(9, initializer), mean_square)
    assert [str(one.severity) for one in poor_initialization(made)] == expected


# ---------------------------------------------------------------------- self-normalization

LECUN = {"class": "LecunNormal"}


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([dense(16, "selu", LECUN), dense(16, "selu", LECUN), dense(3)], []),
        ([dense(16, "selu", LECUN), plain("AlphaDropout", rate=0.1), dense(3)], []),
        ([dense(16, "selu", HE), dense(3)], ["warning"]),
        # Of a square kernel Glorot's variance is LeCun's.
        ([dense(8, "selu", GLOROT), dense(3)], []),
        ([dense(16, "selu", LECUN), plain("Dropout", rate=0.1), dense(3)], ["warning"]),
        ([dense(16, "selu", LECUN), plain("BatchNormalization"), dense(3)], ["warning"]),
        ([dense(16, "selu", LECUN, **{"class": "Conv1D"}), dense(3)], ["info"]),
        ([dense(16, "elu", HE), plain("Dropout", rate=0.1), dense(3)], []),
    ],
)
def test_the_conditions_of_self_normalization(layers, expected):
    assert severities(self_normalization_broken, network(*layers)) == expected


@pytest.mark.parametrize(("mean", "std", "expected"), [(0, 1, []), (0.13, 0.31, ["info"])])
def test_selu_asks_for_standardized_inputs(mean, std, expected):
    described = network(dense(16, "selu", LECUN), dense(3))
    given = {"mean": mean, "std": std}
    assert severities(self_normalization_broken, described, None, given) == expected


# ---------------------------------------------------------------------- disconnected layers


@pytest.mark.parametrize(
    ("connected", "expected"),
    [
        ((True, True, True), []),
        ((False, True, True), ["warning"]),
        ((False, True), ["warning"]),
        ((False, False, True), ["error"]),
    ],
)
def test_layers_without_a_gradient(connected, expected):
    found = list(disconnected_layer(connections(*connected)))
    assert [str(one.severity) for one in found] == expected
    cut = tuple(f"layer_{at}" for at in np.flatnonzero(~np.array(connected)))
    assert not found or found[0].layers == cut


def test_a_record_of_nothing_has_nothing_wrong():
    for rule in (missing_activation, excessive_dropout, disconnected_layer, poor_initialization):
        assert not list(rule(TrainingRecord()))
