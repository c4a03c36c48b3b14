"""Every symptom three times: planted and found, almost there and silent, absent and silent."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from courses import falling, noise, run, stepping
from networks import (
    CLASSES,
    GLOROT,
    HE,
    ONE_HOT,
    connections,
    deep,
    dense,
    network,
    plain,
    record,
    targets,
)
from records import LN_10, norms_over_depth, record_of

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks.activation_facts import ACTIVATION_FACTS
from trainwell.callbacks.diagnosis.diagnose import RULES, diagnose
from trainwell.callbacks.diagnosis.finding import KINDS, SYMPTOMS

Make = Callable[[], TrainingRecord]


@dataclass(frozen=True)
class Planted:
    """Three records, how bad the first is, and what helps first."""

    severity: str
    remedy: str
    planted: Make
    almost: Make
    absent: Make


def layers_of(*layers, target=None, given=None, **changes) -> Make:
    return lambda: record(network(*layers, **changes), target, given)


def over_depth(depth, ratio, activation="relu") -> Make:
    kernel = norms_over_depth(depth, ratio)
    return lambda: record_of(depth, kernel=kernel, activation=activation, baseline=LN_10)


def classifier(activation, loss, target, units=3) -> Make:
    return layers_of(dense(16, "relu"), dense(units, activation), loss=loss, target=target)


def regression(activation, std, low=None, high=None) -> Make:
    target = targets([1], low or -3 * std, high or 3 * std, mean=0.0, std=std)
    return layers_of(dense(16, "relu"), dense(1, activation), target=target)


def skips_to_find_its_scale():
    """15 steps that loss scaling skips, as it does to come down from 2^15."""
    norms = np.where(np.arange(100) < 15, np.inf, 1.0)[:, None]
    made = run(np.full(100, 2.0), kernel=norms)
    made.groups["gradients"].data["flags"][:15] = 1
    return made


def broken_from(step):
    whole = np.arange(100) < step
    return run(np.where(whole, 2.0, np.nan), kernel=np.where(whole, 1.0, np.nan)[:, None])


def slowly(fall):
    """400 of 1,000 steps in which the loss falls by `fall` from 2.4; 1.15 is halfway."""
    return run(2.4 - fall * np.arange(400) / 400 + noise(0, 400, 0.005), 1000)


def rising_since_epoch_9(by):
    epochs = np.arange(20)
    val = 0.5 + by * np.maximum(epochs - 8, 0) + 0.5 * np.exp(-epochs / 2)
    return run(falling(1000, 200), val=val)


def swinging(high, low, size):
    epochs = np.where(np.arange(20) % 2, high, low).repeat(50)
    return run(epochs + noise(0, 1000, size))


AT_REST = LN_10 + noise(0, 500, 0.1)
ENDLESS_MEANS = {"mean": 0.0, "min": -3.0, "max": 3.0}

TABLE = {
    # 4 times a layer over 5 layers is 3 decades; nothing is learned. Under 1 decade is silent.
    "vanishing_gradient": Planted(
        "error", "activation",
        over_depth(6, 0.25, "sigmoid"),
        over_depth(4, 10 ** (-0.95 / 3), "sigmoid"),
        over_depth(6, 1.0, "sigmoid"),
    ),
    # 512 times over 10 layers; the bound is 70.
    "exploding_gradient": Planted(
        "error", "clipping",
        over_depth(10, 2.0),
        over_depth(10, 69 ** (1 / 9)),
        over_depth(10, 1.0),
    ),
    # The bound for 32 units is 0.765.
    "dying_relu": Planted(
        "error", "initializer",
        lambda: record_of(dead=[0.1, 0.95, 0.2, 0.2]),
        lambda: record_of(dead=[0.1, 0.76, 0.2, 0.2]),
        lambda: record_of(dead=0.1),
    ),
    "saturated_activation": Planted(
        "error", "initializer",
        lambda: record_of(saturated=[0.1, 0.5, 0.1, 0.1], activation="tanh"),
        lambda: record_of(saturated=[0.1, 0.49, 0.1, 0.1], activation="tanh"),
        lambda: record_of(saturated=0.05, activation="tanh"),
    ),
    # log10 of sqrt(1/2) is -0.1505 a layer: -4.06 at 27 layers, -1.96 at 13.
    "poor_initialization": Planted(
        "error", "initializer",
        lambda: record(deep(27, GLOROT)),
        lambda: record(deep(13, GLOROT)),
        lambda: record(deep(27, HE)),
    ),
    # 0.7 up and down each epoch; 0.09 is 0.04 of guessing's loss, 0.05 are needed.
    "oscillating_loss": Planted(
        "warning", "learning_rate",
        lambda: swinging(1.5, 0.8, 0.3),
        lambda: swinging(1.09, 1.0, 0.01),
        lambda: run(falling(1000, 200) + noise(0, 1000)),
    ),
    "slow_convergence": Planted(
        "error", "learning_rate",
        lambda: slowly(0.1),
        lambda: slowly(0.55),
        lambda: run(falling(400, 100) + noise(0, 400), 1000),
    ),
    # 0.02 of the way is beyond the 0.01 needed, and six standard errors.
    "not_learning": Planted(
        "error", "learning_rate",
        lambda: run(LN_10 + noise(0, 2000, 0.1)),
        lambda: run(0.98 * LN_10 + noise(0, 2000, 0.1)),
        lambda: run(falling(2000, 100) + noise(0, 2000, 0.1)),
    ),
    "non_finite": Planted(
        "error", "clipping",
        lambda: broken_from(40),
        skips_to_find_its_scale,
        lambda: broken_from(100),
    ),
    # The first step is 1.5 times the weights; 1 is the bound.
    "learning_rate_too_high": Planted(
        "error", "learning_rate",
        lambda: stepping(AT_REST, ratio=1.5),
        lambda: stepping(AT_REST, ratio=0.95),
        lambda: stepping(falling(500, 50) + noise(0, 500, 0.1)),
    ),
    # 500 planned steps move a layer by 0.0025 or 0.055 of its weights at the most; 0.05 is needed.
    "learning_rate_too_low": Planted(
        "error", "learning_rate",
        lambda: stepping(AT_REST, ratio=5e-6),
        lambda: stepping(AT_REST, ratio=1.1e-4),
        lambda: stepping(falling(500, 50) + noise(0, 500, 0.1)),
    ),
    "unscaled_input": Planted(
        "warning", "input_scaling",
        layers_of(dense(16, "relu"), dense(3), given={**ENDLESS_MEANS, "std": 10.1}),
        layers_of(dense(16, "relu"), dense(3), given={**ENDLESS_MEANS, "std": 9.9}),
        layers_of(dense(16, "relu"), dense(3), given={**ENDLESS_MEANS, "std": 1.0}),
    ),
    "unscaled_target": Planted(
        "warning", "target_scaling",
        regression("linear", 10.1),
        regression("linear", 9.9),
        regression("linear", 1.0),
    ),
    # tanh leaves 0.151 of a standard normal target's variance out of reach; of one with a
    # deviation of 0.3, 6e-4.
    "improper_output_activation": Planted(
        "warning", "output_activation",
        regression("tanh", 1.0),
        regression("tanh", 0.3, -1.01, 1.01),
        regression("linear", 1.0),
    ),
    # Labels 0 to 2.
    "improper_loss": Planted(
        "error", "loss",
        classifier("softmax", "categorical_crossentropy", CLASSES),
        classifier("softmax", "sparse_categorical_crossentropy", CLASSES),
        classifier("softmax", "categorical_crossentropy", ONE_HOT),
    ),
    # A bottleneck is narrower than both what it takes and what follows.
    "missing_activation": Planted(
        "warning", "activation",
        layers_of(dense(16, "relu"), dense(16), dense(16, "relu"), dense(3)),
        layers_of(dense(16, "relu"), dense(15), dense(16, "relu"), dense(3)),
        layers_of(dense(16, "relu"), dense(16, "relu"), dense(3)),
    ),
    # The theorem holds for variances of 0.95 to 1.1 over fan_in.
    "self_normalization_broken": Planted(
        "warning", "initializer",
        layers_of(dense(16, "selu", {"class": "VarianceScaling", "scale": 1.11, "mode": "fan_in"}),
                  dense(3)),
        layers_of(dense(16, "selu", {"class": "VarianceScaling", "scale": 1.09, "mode": "fan_in"}),
                  dense(3)),
        layers_of(dense(16, "selu", {"class": "LecunNormal"}), dense(3)),
    ),
    # A gradient of 0 is one.
    "disconnected_layer": Planted(
        "error", "connect",
        lambda: connections(False, False, True),
        lambda: record_of(2, kernel=[0.0, 0.0, 1.0]),
        lambda: connections(True, True, True),
    ),
    "excessive_dropout": Planted(
        "warning", "dropout",
        layers_of(dense(64, "relu"), plain("Dropout", rate=0.51), dense(3)),
        layers_of(dense(64, "relu"), plain("Dropout", rate=0.5), dense(3)),
        layers_of(dense(64, "relu"), dense(3)),
    ),
    # Up by a half and by 2% from its minimum of 0.52; 5% are needed.
    "overfitting": Planted(
        "warning", "dropout",
        lambda: rising_since_epoch_9(0.05),
        lambda: rising_since_epoch_9(0.001),
        lambda: run(falling(1000, 200), val=falling(1000, 200)[::50]),
    ),
}  # fmt: skip

RULE = {rule.__name__: rule for rule in RULES}


def test_the_table_has_every_symptom():
    assert sorted(TABLE) == sorted(SYMPTOMS)


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_planted_and_found(symptom):
    case = TABLE[symptom]
    made = case.planted()
    (finding,) = RULE[symptom](made)
    assert (finding.symptom, finding.severity) == (symptom, case.severity)
    assert finding.remedies[0].kind == case.remedy
    assert [one.severity for one in diagnose(made) if one.symptom == symptom] == [case.severity]


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_almost_there_and_silent(symptom):
    assert list(RULE[symptom](TABLE[symptom].almost())) == []


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_absent_and_silent(symptom):
    made = TABLE[symptom].absent()
    assert list(RULE[symptom](made)) == []
    assert "error" not in [one.severity for one in diagnose(made) if one.symptom == symptom]


# ---------------------------------------------------------------------- what findings say

SENTENCES = re.compile(r"[A-Z0-9].*[.]", re.DOTALL)

OUTPUTS = ("softmax", "sigmoid", "linear", "tanh", "softplus")
LOSSES = ("hinge", "poisson", "kl_divergence")

# What a remedy of each kind may be set to.
VALUES = {
    "activation": lambda value: value in ("relu", "leaky_relu", "elu", "selu"),
    "initializer": lambda value: value in ("glorot_uniform", "he_normal", "lecun_normal"),
    "normalization": lambda value: value == "batch",
    "output_activation": lambda value: value in OUTPUTS,
    "loss": lambda value: value.endswith(("crossentropy", "error")) or value in LOSSES,
    "input_scaling": lambda value: value in ("standardize", "clean"),
    "target_scaling": lambda value: set(value) in ({"mean", "std"}, {"labels"}),
    "clipping": lambda value: value == {"clipnorm": 1.0},
    "learning_rate": lambda value: value is None or 0 < value < 10,
    "optimizer": lambda value: value == "adam",
    "dropout": lambda value: 0 <= value < 1,
    "regularization": lambda value: value == {"l2": 1e-4},
    "connect": lambda value: value in ("residual", None),
    "epochs": lambda value: value in ("early_stopping", None),
    "batch_size": lambda value: value is None,
}  # fmt: skip


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_findings_speak_in_sentences_and_remedies_in_the_vocabulary(symptom):
    assert set(VALUES) == set(KINDS)
    for finding in diagnose(TABLE[symptom].planted()):
        assert SENTENCES.fullmatch(finding.evidence), finding.evidence
        assert ".." not in finding.evidence and ";." not in finding.evidence
        for remedy in finding.remedies:
            assert SENTENCES.fullmatch(remedy.reason), remedy.reason
            assert VALUES[remedy.kind](remedy.value), remedy


def test_an_initializer_fits_the_activation_that_is_there_or_comes_with_it():
    for symptom in ("saturated_activation", "vanishing_gradient", "dying_relu"):
        (finding,) = RULE[symptom](TABLE[symptom].planted())
        function = {"saturated_activation": "tanh", "dying_relu": "relu"}.get(symptom, "sigmoid")
        for remedy in finding.remedies:
            if remedy.kind == "activation":
                function = remedy.value
            if remedy.kind == "initializer":
                family = ACTIVATION_FACTS[function].initializer
                assert remedy.value.startswith(family), (symptom, remedy)
