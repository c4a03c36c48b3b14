"""Findings of all rules: merged by symptom, with their causes, roots first."""

import numpy as np
import pytest
from records import LN_10, record_of

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks.diagnosis._arranged import arranged
from trainwell.callbacks.diagnosis._causes import EDGES, SYMPTOM_ORDER
from trainwell.callbacks.diagnosis.diagnose import RULES, diagnose
from trainwell.callbacks.diagnosis.finding import SYMPTOMS, Finding, Remedy, Severity


def finding(symptom, *layers, severity="error", step=0, evidence="numbers", remedies=()):
    return Finding(
        symptom=symptom,
        layers=layers,
        severity=Severity(severity),
        first_step=step,
        evidence=evidence,
        remedies=remedies,
    )


def order(*findings, record=None):
    record = record or record_of(4, 100)
    return [(found.symptom, found.cause) for found in arranged(record, findings)]


def test_every_symptom_has_one_rule_and_one_place():
    assert sorted(rule.__name__ for rule in RULES) == sorted(SYMPTOMS)
    assert sorted(SYMPTOM_ORDER) == sorted(SYMPTOMS)
    assert {name for edge in EDGES for name in (edge.root, edge.effect)} <= set(SYMPTOMS)
    assert all(edge.root != edge.effect for edge in EDGES)


def test_an_empty_record_and_a_sound_run_have_no_findings():
    assert diagnose(TrainingRecord()) == []
    falling = 0.1 + 2.2 * np.exp(-np.arange(500) / 60)
    noise = 0.02 * np.random.default_rng(0).standard_normal(500)
    record = record_of(4, 500, loss=falling + noise, kernel=1.0, weight=5.0, update=5e-3, dead=0.1)
    assert [f for f in diagnose(record) if f.severity is Severity.ERROR] == []


def test_no_progress_without_a_cause_is_a_root():
    noise = 0.05 * np.random.default_rng(0).standard_normal(500)
    record = record_of(4, 500, loss=LN_10 + noise, kernel=1.0, baseline=LN_10)
    [found] = diagnose(record)
    assert (found.symptom, found.severity, found.cause) == ("not_learning", "error", None)


def test_the_root_comes_first_and_its_consequences_keep_their_severity():
    found = arranged(
        record_of(4, 100),
        [
            finding("not_learning"),
            finding("dying_relu", "hidden_2"),
            finding("unscaled_input", severity="warning"),
        ],
    )
    assert [(one.symptom, one.cause, one.severity) for one in found] == [
        ("unscaled_input", None, "warning"),
        ("dying_relu", "unscaled_input", "error"),
        ("not_learning", "dying_relu", "error"),
    ]


def test_roots_are_ordered_by_severity_then_step_then_place():
    assert order(
        finding("overfitting", severity="warning", step=50),
        finding("excessive_dropout", severity="warning"),
        finding("missing_activation"),
        finding("disconnected_layer"),
    ) == [
        ("disconnected_layer", None),
        ("missing_activation", None),
        ("excessive_dropout", None),
        ("overfitting", None),
    ]


def test_information_is_nobodys_cause():
    assert order(finding("not_learning"), finding("unscaled_input", severity="info")) == [
        ("not_learning", None),
        ("unscaled_input", None),
    ]


def test_what_comes_later_is_no_cause_but_within_a_rules_window_it_may_be():
    steps = record_of(4, 1000)  # a window is 100 steps
    late, near = finding("dying_relu", step=600), finding("dying_relu", step=80)
    lost = finding("not_learning", step=0)
    assert ("not_learning", None) in order(late, lost, record=steps)
    assert ("not_learning", "dying_relu") in order(near, lost, record=steps)


def test_the_rate_explains_what_comes_later_and_the_gradient_what_is_there_from_the_start():
    rate = finding("learning_rate_too_high")
    assert order(rate, finding("exploding_gradient")) == [
        ("exploding_gradient", None),
        ("learning_rate_too_high", "exploding_gradient"),
    ]
    assert order(rate, finding("exploding_gradient", step=50)) == [
        ("learning_rate_too_high", None),
        ("exploding_gradient", "learning_rate_too_high"),
    ]


@pytest.mark.parametrize(
    ("saturated", "vanishing", "cause"),
    [("hidden_3", "hidden_1", "saturated_activation"), ("hidden_1", "hidden_3", None)],
)
def test_gradients_vanish_below_saturated_units(saturated, vanishing, cause):
    found = order(
        finding("saturated_activation", saturated), finding("vanishing_gradient", vanishing)
    )
    assert dict(found)["vanishing_gradient"] == cause


def test_the_cause_in_the_very_layer_is_nearer_than_a_worse_one_elsewhere():
    found = order(
        finding("improper_output_activation", "output"),
        finding("unscaled_input", "hidden_1", severity="warning"),
        finding("dying_relu", "hidden_1", step=12),
    )
    assert dict(found)["dying_relu"] == "unscaled_input"


def test_units_die_above_poor_weights():
    poor = finding("poor_initialization", "hidden_2")
    assert dict(order(poor, finding("dying_relu", "hidden_3")))["dying_relu"]
    assert dict(order(poor, finding("dying_relu", "hidden_1")))["dying_relu"] is None


def test_a_mild_root_explains_no_error_and_comes_after_it():
    mild = finding("improper_output_activation", severity="warning")
    assert order(mild, finding("vanishing_gradient"), finding("not_learning")) == [
        ("vanishing_gradient", None),
        ("not_learning", "vanishing_gradient"),
        ("improper_output_activation", None),
    ]
    severe = finding("improper_output_activation")
    assert order(severe, finding("vanishing_gradient")) == [
        ("improper_output_activation", None),
        ("vanishing_gradient", "improper_output_activation"),
    ]
    # Of its own degree it may be the cause.
    assert order(mild, finding("slow_convergence", severity="warning"))[1][1]


@pytest.mark.parametrize(
    ("root", "effect"),
    [
        ("unscaled_input", "dying_relu"),
        ("unscaled_target", "exploding_gradient"),
        ("poor_initialization", "vanishing_gradient"),
        ("learning_rate_too_high", "non_finite"),
        ("dying_relu", "not_learning"),
        ("improper_loss", "not_learning"),
    ],
)
def test_scales_and_what_was_seen_early_explain_errors_even_as_warnings(root, effect):
    assert order(finding(root, severity="warning"), finding(effect)) == [
        (root, None),
        (effect, root),
    ]


@pytest.mark.parametrize(
    "telling", ["vanishing_gradient", "dying_relu", "saturated_activation", "exploding_gradient"]
)
def test_the_first_three_are_the_root_and_what_it_is_best_seen_on(telling):
    found = order(
        finding("not_learning"),
        finding("slow_convergence"),
        finding("excessive_dropout", severity="warning"),
        finding("overfitting", severity="warning"),
        finding(telling, step=50),
        finding("poor_initialization"),
    )
    assert [symptom for symptom, _ in found[:2]] == ["poor_initialization", telling]
    assert [symptom for symptom, _ in found[2:4]] == ["not_learning", "slow_convergence"]
    assert found[4:] == [("excessive_dropout", None), ("overfitting", None)]


def test_errors_are_the_first_of_the_roots_and_warnings_that_bring_errors_the_next():
    assert order(
        finding("unscaled_input", severity="warning"),
        finding("dying_relu"),
        finding("missing_activation"),
        finding("overfitting", severity="info"),
    ) == [
        ("missing_activation", None),
        ("unscaled_input", None),
        ("dying_relu", "unscaled_input"),
        ("overfitting", None),
    ]


def test_a_warning_between_a_root_and_an_error_stands_between_them():
    assert order(
        finding("unscaled_input", severity="warning"),
        finding("saturated_activation", severity="warning"),
        finding("vanishing_gradient"),
    ) == [
        ("unscaled_input", None),
        ("saturated_activation", "unscaled_input"),
        ("vanishing_gradient", "saturated_activation"),
    ]


def test_findings_of_one_symptom_become_one():
    one = Remedy(kind="activation", value="elu", reason="r", source="s")
    two = Remedy(kind="normalization", value="batch", reason="r", source="s")
    [merged] = arranged(
        record_of(4, 100),
        [
            finding("dying_relu", "hidden_3", severity="warning", step=5, remedies=(one, two)),
            finding("dying_relu", "hidden_1", step=9, evidence="all of it", remedies=(one,)),
        ],
    )
    assert merged.layers == ("hidden_1", "hidden_3") and merged.first_step == 5
    assert merged.severity == "error" and merged.remedies == (one, two)
    assert merged.evidence == "all of it numbers"


def test_no_set_of_findings_makes_a_circle():
    rng = np.random.default_rng(0)
    record = record_of(4, 100)
    for _ in range(200):
        chosen = rng.permutation(SYMPTOMS)[: rng.integers(1, len(SYMPTOMS) + 1)]
        steps = rng.integers(0, 3, len(chosen)) * rng.integers(0, 50)
        severities = rng.choice(["error", "warning", "info"], len(chosen))
        found = arranged(
            record, map(finding_at, chosen.tolist(), steps.tolist(), severities.tolist())
        )
        causes = {one.symptom: one.cause for one in found}
        for symptom in causes:
            at, seen = causes[symptom], {symptom}
            while at is not None:
                assert at in causes and at not in seen
                seen.add(at)
                at = causes[at]
        assert found[0].cause is None
        places = {one.symptom: at for at, one in enumerate(found)}
        for one in found:
            assert places[root_of(one.symptom, causes)] <= places[one.symptom]


def root_of(symptom, causes):
    while causes[symptom] is not None:
        symptom = causes[symptom]
    return symptom


def finding_at(symptom, step, severity):
    return finding(symptom, step=step, severity=severity)
