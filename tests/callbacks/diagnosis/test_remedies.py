"""What is to be changed to what: remedies that hang on the record."""

import numpy as np
import pytest
from networks import BINARY, CLASSES, HE, ONE_HOT, dense, network, plain, record, targets
from records import dense_network, record_of

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks.diagnosis._remedies import against_vanishing, faster, slower
from trainwell.callbacks.diagnosis.finding import Remedy
from trainwell.callbacks.diagnosis.gradients import exploding_gradient
from trainwell.callbacks.diagnosis.losses import improper_loss
from trainwell.callbacks.diagnosis.non_finite import non_finite
from trainwell.callbacks.diagnosis.outputs import improper_output_activation
from trainwell.callbacks.diagnosis.self_normalization import self_normalization_broken
from trainwell.callbacks.diagnosis.structure import missing_activation
from trainwell.callbacks.diagnosis.target_scaling import unscaled_target

CATEGORICAL = "categorical_crossentropy"
SPARSE = "sparse_categorical_crossentropy"
BCE = "binary_crossentropy"
LECUN = {"class": "LecunNormal"}


def remedies(rule, made):
    (finding,) = rule(made)
    return {remedy.kind: remedy.value for remedy in finding.remedies}


def test_a_remedy_is_of_a_known_kind():
    with pytest.raises(ValueError, match=r"`kind` must be one of .* Received: kind='prayer'"):
        Remedy(kind="prayer", value=None, reason="It helps.", source="Anon.")


@pytest.mark.parametrize(
    ("optimizer", "rate", "slow", "fast"),
    [
        ("SGD", 0.5, 0.01, 5.0),
        ("SGD", 1e-3, 1e-4, 0.01),
        ("Adam", 1.0, 1e-3, 10.0),
        ("Adam", 1e-6, 1e-7, 1e-3),
        ("OneOfOnesOwn", 0.3, 0.03, 3.0),
        ("OneOfOnesOwn", None, None, None),
        ("SGD", -1.0, 0.01, 0.01),
        ("SGD", 0.0, 0.01, 0.01),
    ],
)
def test_rates_move_tenfold_and_to_the_usual_one_at_least(optimizer, rate, slow, fast):
    made = TrainingRecord({"optimizer": {"name": optimizer, "learning_rate": rate}})
    assert (slower(made).value, faster(made).value) == (slow, fast)
    assert (slow is None) == ("range test" in slower(made).reason)


@pytest.mark.parametrize(
    ("behind", "by_weights", "expected"),
    [
        ("sigmoid", False, [("activation", "relu"), ("initializer", "he_normal")]),
        ("sigmoid", True, [("initializer", "glorot_uniform"), ("normalization", "batch")]),
        ("relu", False, [("initializer", "he_normal"), ("normalization", "batch")]),
        ("selu", False, [("initializer", "lecun_normal"), ("normalization", "batch")]),
        (None, False, [("activation", "relu"), ("initializer", "he_normal")]),
    ],
)
def test_only_a_flat_activation_is_swapped(behind, by_weights, expected):
    found = against_vanishing(behind, by_weights=by_weights)
    assert [(one.kind, one.value) for one in found[:2]] == expected


def test_a_slope_without_bound_is_what_to_change_first_where_numbers_overflow():
    kernel = np.append(np.ones(50), np.full(50, np.nan))[:, np.newaxis]
    kernel[40:50] = 1e9
    options = {"kernel": kernel, "loss": np.where(np.arange(100) < 50, 2, np.nan)}
    for function, first in (("exponential", "activation"), ("relu", "clipping")):
        made = record_of(**options, network=dense_network(activation=function))
        for rule in (exploding_gradient, non_finite):
            (finding,) = rule(made)
            assert finding.remedies[0].kind == first
            assert ("elu" in [one.value for one in finding.remedies]) == (first == "activation")


# ---------------------------------------------------------------------- output and loss


def classifier(activation, loss, target, units=3, **changes):
    described = network(dense(16, "relu"), dense(units, activation), loss=loss, **changes)
    return record(described, target)


@pytest.mark.parametrize(
    ("rule", "made", "expected"),
    [
        # Nothing is named that is as it should be.
        (improper_output_activation, classifier("linear", SPARSE, CLASSES),
         {"output_activation": "softmax"}),
        (improper_output_activation, classifier("softmax", BCE, BINARY, 1),
         {"output_activation": "sigmoid"}),
        (improper_output_activation, classifier("softmax", BCE, ONE_HOT), {"loss": CATEGORICAL}),
        # Two units for two classes.
        (improper_output_activation,
         classifier("linear", SPARSE, targets([], 0, 1, integer=True, distinct=2), 2),
         {"output_activation": "softmax"}),
        # Soft labels, and labels that were divided: their loss stays.
        (improper_output_activation, classifier("relu", CATEGORICAL, targets([3], 0.1, 0.8)),
         {"output_activation": "softmax"}),
        (improper_output_activation, classifier("linear", SPARSE, targets([1], 0, 2 / 255)),
         {"output_activation": "softmax"}),
        (improper_output_activation, classifier("relu", SPARSE, CLASSES, from_logits=True),
         {"output_activation": "linear"}),
        (improper_output_activation, classifier("linear", "poisson", targets([1], 0, 9), 1),
         {"output_activation": "softplus"}),
        (improper_output_activation, classifier("sigmoid", "mse", targets([1], -3, 3), 1),
         {"output_activation": "linear"}),
        (improper_loss, classifier("softmax", SPARSE, ONE_HOT), {"loss": CATEGORICAL}),
        (improper_loss, classifier("softmax", CATEGORICAL, CLASSES), {"loss": SPARSE}),
        (improper_loss, classifier("softmax", "mse", ONE_HOT), {"loss": CATEGORICAL}),
        (improper_loss, classifier("softmax", CATEGORICAL, BINARY, 1),
         {"loss": BCE, "output_activation": "sigmoid"}),
        (improper_loss, classifier("softmax", CATEGORICAL, None, 1),
         {"loss": BCE, "output_activation": "sigmoid"}),
        # More units would help, and that is no remedy's kind.
        (improper_loss, classifier("softmax", SPARSE, CLASSES, 2), {}),
    ],
)  # fmt: skip
def test_output_and_loss_become_what_suits_the_targets(rule, made, expected):
    assert remedies(rule, made) == expected


# ---------------------------------------------------------------------- targets


def labels(step, distinct=3, units=3, low=0.0):
    high = low + step * (distinct - 1)
    target = targets([1], np.float32(low), np.float32(high), distinct=distinct)
    described = network(dense(16, "relu"), dense(units, "softmax"), loss=SPARSE)
    return record(described, target)


@pytest.mark.parametrize(
    ("made", "factor"),
    [
        (labels(1 / 255), 255.0),
        (labels(0.5), 2.0),
        (labels(1 / 2.5), 2.5),
        (labels(1 / 255, distinct=2), 255.0),  # a class without samples
        (labels(1 / 2.5, distinct=2), None),
        (labels(1 / 255, distinct=4), None),  # more than there are units
        (labels(0.1, low=0.1, units=4), 10.0),
        (labels(0.1, low=0.15), None),
        (labels(0.1, distinct=1), None),
    ],
)
def test_by_what_labels_were_divided(made, factor):
    assert remedies(unscaled_target, made) == {"target_scaling": {"labels": factor}}


def test_rows_of_divided_ones():
    described = network(dense(16, "relu"), dense(3, "softmax"), loss=CATEGORICAL)
    made = record(described, targets([3], 0, np.float32(1 / 255), distinct=2))
    assert remedies(unscaled_target, made) == {"target_scaling": {"labels": 255.0}}


def test_regression_targets_are_standardized_by_their_own_numbers():
    described = network(dense(16, "relu"), dense(1))
    made = record(described, targets([1], 0, 9000, mean=2000.0, std=700.0))
    assert remedies(unscaled_target, made) == {"target_scaling": {"mean": 2000.0, "std": 700.0}}
    constant = record(described, targets([1], 50, 50, mean=50.0, std=0.0))
    assert remedies(unscaled_target, constant) == {"target_scaling": {"mean": 50.0, "std": 1.0}}


# ---------------------------------------------------------------------- layers


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([dense(16, "selu", HE), dense(3)], {"initializer": "lecun_normal"}),
        ([dense(16, "selu", LECUN), plain("Dropout", rate=0.1), dense(3)],
         {"activation": "elu", "initializer": "he_normal"}),
        ([dense(16, "selu", LECUN), plain("BatchNormalization"), dense(3)],
         {"activation": "elu", "initializer": "he_normal"}),
    ],
)  # fmt: skip
def test_what_breaks_self_normalization_is_mended_or_done_without(layers, expected):
    assert remedies(self_normalization_broken, record(network(*layers))) == expected


def test_a_missing_activation_is_that_of_the_other_layers():
    layers = [dense(16), dense(16, "tanh"), dense(16, "tanh"), dense(3)]
    assert remedies(missing_activation, record(network(*layers))) == {"activation": "tanh"}
    assert remedies(missing_activation, record(network(dense(16), dense(3)))) == {
        "activation": "relu"
    }
