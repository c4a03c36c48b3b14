"""The loss's course: no progress, slow progress, swings, overfitting, NaN. All on planted runs."""

import numpy as np
import pytest
from courses import falling, noise, run
from records import LN_10, dense_network, record_of

from trainwell.callbacks._rows import SKIPPED
from trainwell.callbacks.diagnosis._penalty import data_losses
from trainwell.callbacks.diagnosis.gradients import exploding_gradient
from trainwell.callbacks.diagnosis.non_finite import non_finite
from trainwell.callbacks.diagnosis.progress import not_learning, slow_convergence
from trainwell.callbacks.diagnosis.swings import oscillating_loss, overfitting

RUNS = 300


def severities(rule, record):
    return [str(finding.severity) for finding in rule(record)]


def share_flagged(rule, make, level="error"):
    return np.mean([level in severities(rule, make(seed)) for seed in range(RUNS)])


# ------------------------------------------------------------------ not_learning


def test_a_loss_at_guessing_is_an_error_after_a_quarter_of_the_plan():
    losses = LN_10 + noise(0, 1000, 0.1)
    assert severities(not_learning, run(losses)) == ["error"]
    assert severities(not_learning, run(losses[:300], 1000)) == ["error"]
    assert severities(not_learning, run(losses[:150], 1000)) == ["warning"]
    assert severities(not_learning, run(losses[:90], 1000)) == []  # under 0.1 of the plan
    [finding] = not_learning(run(losses))
    assert finding.first_step == 0 and "2.303" in finding.evidence


def test_almost_no_progress_is_told_from_none_by_the_noise():
    # 0.02 of the way is beyond 0.01, and five standard errors where the noise is 0.1.
    assert severities(not_learning, run(0.98 * LN_10 + noise(0, 2000, 0.1))) == []
    assert severities(not_learning, run(0.998 * LN_10 + noise(0, 2000, 0.1))) == ["error"]


def test_how_often_no_progress_is_missed_and_seen_where_it_isnt():
    def dead(seed):
        return run(LN_10 + noise(seed, 500))

    def sound(seed):
        return run(falling(500, 100) + noise(seed, 500))

    def barely(seed):  # sound, but noise in the labels leaves 0.9 of guessing's loss
        return run(falling(500, 30, floor=0.9 * LN_10) + noise(seed, 500))

    assert share_flagged(not_learning, dead) >= 0.99
    assert share_flagged(not_learning, sound) == 0
    # 0.23 below guessing at a standard error of 0.3 / sqrt(50) = 0.042: 5.4 of them, 3 needed.
    assert share_flagged(not_learning, barely) <= 0.02


def test_a_start_far_above_that_comes_down_to_guessing_is_no_learning():
    losses = LN_10 + 10 * np.exp(-np.arange(1000) / 20) + noise(0, 1000, 0.05)
    assert severities(not_learning, run(losses)) == ["error"]


def test_a_loss_that_stays_far_above_guessing_is_no_learning():
    assert severities(not_learning, run(9.9 + noise(0, 500, 0.1))) == ["error"]


def test_a_loss_above_guessing_may_be_a_penalty():
    penalized = 4 + 3 * np.exp(-np.arange(1000) / 50) + noise(0, 1000, 0.05)
    assert severities(not_learning, run(penalized)) == ["warning"]  # no accuracy to ask
    reached = np.linspace(0.1, 0.9, 20)
    assert severities(not_learning, run(penalized, accuracy=reached)) == []
    assert severities(not_learning, run(penalized, accuracy=np.full(20, 0.1))) == ["error"]


def regularized(strengths, losses, **options):
    """A run of kernels with a norm of 5 and 1,024 weights each, hidden ones with a penalty."""
    network = dense_network(1, planned_epochs=20)
    network["layers"][0]["kernel_regularizer"] = strengths
    return run(losses, network=network, **options)


@pytest.mark.parametrize(
    ("strengths", "penalty"),
    [
        ({"l1": 0.0, "l2": 0.4}, 0.4 * 25),
        # Uniform weights with |W| = 5 have the mean sqrt(3) / 2 * 5 / 32.
        ({"l1": 0.01, "l2": 0.0}, 0.01 * 1024 * np.sqrt(3) / 2 * 5 / 32),
        ({"l1": 0.01, "l2": 0.4}, 0.4 * 25 + 0.01 * 1024 * np.sqrt(3) / 2 * 5 / 32),
        ({"l1": 0.0, "l2": 0.0}, 0.0),
    ],
)
def test_what_a_penalty_adds_is_taken_off(strengths, penalty):
    stuck = LN_10 + noise(0, 1000, 0.05)
    learned = falling(1000, 100) + noise(0, 1000, 0.05)
    assert severities(not_learning, regularized(strengths, penalty + stuck, weight=5)) == ["error"]
    assert severities(not_learning, regularized(strengths, penalty + learned, weight=5)) == []
    record = regularized(strengths, penalty + stuck, weight=5)
    (found,) = not_learning(record)
    assert ("regularization" in [one.kind for one in found.remedies]) == (penalty > LN_10)
    np.testing.assert_allclose(data_losses(record), stuck, atol=1e-5)


def test_a_penalty_that_is_not_known_is_only_warned_of():
    penalized = 4 + 3 * np.exp(-np.arange(1000) / 50) + noise(0, 1000, 0.05)
    options = {"accuracy": np.full(20, 0.1)}
    unknown = {"l1": None, "l2": None}
    assert severities(not_learning, regularized(unknown, penalized, weight=5, **options)) == [
        "warning"
    ]
    # No norms were recorded.
    assert severities(not_learning, regularized({"l1": 0, "l2": 0.1}, penalized, **options)) == [
        "warning"
    ]
    assert severities(not_learning, regularized(None, penalized, weight=5, **options)) == ["error"]
    record = regularized(None, penalized, weight=5, **options)
    record.network["layers"][0]["penalized"] = True  # its outputs
    assert severities(not_learning, record) == ["warning"]


def test_dropout_raises_the_training_loss_alone():
    losses = LN_10 + noise(0, 1000, 0.05)
    assert severities(not_learning, run(losses, val=np.full(20, 1.5))) == []
    assert severities(not_learning, run(losses, val=np.full(20, LN_10))) == ["error"]


def test_a_collapse_says_since_when():
    losses = np.concatenate([falling(500, 50), np.full(500, LN_10)]) + noise(0, 1000, 0.05)
    [finding] = not_learning(run(losses))
    assert finding.severity == "error" and 450 <= finding.first_step <= 600


def test_a_plateau_whose_gradient_grows_is_a_warning_until_half_of_the_plan():
    losses = LN_10 + noise(0, 300, 0.05)
    growing = np.exp(np.arange(300) / 100)[:, None]
    assert severities(not_learning, run(losses, 1000, kernel=growing)) == ["warning"]
    assert severities(not_learning, run(losses, 500, kernel=growing)) == ["error"]
    assert severities(not_learning, run(losses, 1000, kernel=1.0)) == ["error"]


def test_a_trained_model_and_a_loss_of_its_own_are_left_alone():
    assert severities(not_learning, run(0.05 + noise(0, 1000, 0.01))) == []
    adversarial = dense_network(1, planned_epochs=20, loss=None)
    assert severities(not_learning, run(noise(0, 1000) + 3, network=adversarial)) == []


def test_an_adversary_that_is_told_to_deceive_is_left_alone():
    fooled = run(0.7 + noise(0, 1000, 0.05), baseline=None, network=dense_network(
        1, planned_epochs=20, loss="binary_crossentropy"))  # fmt: skip
    assert severities(not_learning, fooled) == ["warning"]
    fooled.data["targets"] = [{"min": 1.0, "max": 1.0}]
    assert severities(not_learning, fooled) == []


def test_hinges_of_probabilities_have_no_constant_to_be_compared_with():
    # One of ten classes: the best constant, -1, costs 0.2; what softmax can make is 0.9 and more.
    network = dense_network(1, planned_epochs=20, loss="hinge")
    assert severities(not_learning, run(falling(1000, 100, 0.9, 1.1), network=network,
                                        baseline=0.2)) == []  # fmt: skip
    network["layers"][-1]["activation"] = "linear"
    assert severities(not_learning, run(falling(1000, 100, 0.9, 1.1), network=network,
                                        baseline=0.2)) == ["error"]  # fmt: skip


def test_a_loss_without_a_baseline_is_judged_against_its_start_and_only_warned_of():
    regression = dense_network(1, planned_epochs=20, loss="mean_squared_error")
    at_rest, sound = 7 + noise(0, 1000), 7 * falling(1000, 200) + noise(0, 1000)
    options = {"network": regression, "baseline": None}
    assert severities(not_learning, run(at_rest, **options)) == ["warning"]
    assert severities(not_learning, run(sound, **options)) == []


def test_a_loss_that_falls_while_the_accuracy_stays_is_an_error():
    stuck = run(falling(1000, 100, floor=0.01), accuracy=np.full(20, 0.1))
    [finding] = not_learning(stuck)
    assert finding.severity == "error" and "90.0% are wrong" in finding.evidence


def test_the_wrong_answers_that_a_loss_allows_are_no_contradiction():
    # 99 of 100 samples are of one class: the accuracy can rest there while the loss falls.
    rare = run(falling(1000, 100, 0.03, 0.7), baseline=0.056, accuracy=np.full(20, 0.99),
               guessing=0.99, network=dense_network(1, planned_epochs=20, classes=1,
                                                    loss="binary_crossentropy"))  # fmt: skip
    assert severities(not_learning, rare) == []
    # A loss of 0.5 allows 0.72 wrong, and calibrated outputs 0.36: 0.5 wrong is too many.
    two = dense_network(1, planned_epochs=20, classes=1, loss="binary_crossentropy")
    for reached, expected in ((0.5, ["error"]), (0.7, [])):
        binary = run(falling(1000, 100, 0.5, 0.8), baseline=np.log(2), network=two, guessing=0.5,
                     accuracy=np.full(20, reached))  # fmt: skip
        assert severities(not_learning, binary) == expected


@pytest.mark.parametrize(
    ("loss", "scale", "expected"),
    [
        ("binary_crossentropy", 1.0, ["error"]),
        ("binary_crossentropy", 0.4, []),  # weights of samples or classes scale it
        ("binary_focal_crossentropy", 1.0, []),  # a wrong answer may cost less than ln 2
        ("mean_squared_error", 1.0, []),
    ],
)
def test_the_bound_is_that_of_an_unscaled_plain_crossentropy(loss, scale, expected):
    network = dense_network(1, planned_epochs=20, classes=1, loss=loss)
    losses = scale * falling(1000, 100, 0.05, 0.7)
    made = run(losses, baseline=np.log(2), network=network, guessing=0.5,
               accuracy=np.full(20, 0.5))  # fmt: skip
    assert severities(not_learning, made) == expected


def test_what_is_missing_keeps_the_rules_silent():
    from trainwell.callbacks import TrainingRecord

    for rule in (not_learning, slow_convergence, oscillating_loss, overfitting, non_finite):
        assert list(rule(TrainingRecord())) == []
        assert list(rule(record_of(2, 1, gradients=False, dead=0.1))) == []


# ------------------------------------------------------------------ slow_convergence


def test_a_fall_too_slow_for_the_plan_is_found_and_graded():
    # From 2.4 by 0.1 in 400 of 1,000 steps: 2.15 at best by the end, of 1.15 halfway.
    slow = 2.4 - 0.1 * np.arange(400) / 400 + noise(0, 400, 0.005)
    [finding] = slow_convergence(run(slow, 1000))
    assert finding.severity == "error"
    assert severities(slow_convergence, run(slow[:150], 1000)) == ["warning"]
    quicker = 2.4 - 0.3 * np.arange(400) / 400 + noise(0, 400, 0.02)  # 1.65
    assert severities(slow_convergence, run(quicker, 1000)) == ["warning"]
    quick = 2.4 - 0.6 * np.arange(400) / 400 + noise(0, 400, 0.02)  # 0.9
    assert severities(slow_convergence, run(quick, 1000)) == []


def test_a_floor_is_not_slow_convergence():
    labels_noise = falling(1000, 100, floor=1.8) + noise(0, 1000, 0.02)
    assert severities(slow_convergence, run(labels_noise, 2000)) == []


def test_a_crossentropy_on_soft_targets_cannot_reach_zero():
    slow = run(2.4 - 0.1 * np.arange(400) / 400 + noise(0, 400, 0.005), 1000)
    slow.data["targets"] = [{"integer": False, "one_hot": False}]
    assert severities(slow_convergence, slow) == []
    slow.data["targets"] = [{"integer": True, "one_hot": False}]
    assert severities(slow_convergence, slow) == ["error"]


def test_a_plateau_that_ends_is_not_slow_convergence():
    leaving = LN_10 - 0.02 * np.exp(np.arange(300) / 100) + noise(0, 300, 0.01)
    assert severities(slow_convergence, run(leaving, 1000)) == []


def test_how_often_slow_convergence_is_seen_where_it_isnt():
    rng = np.random.default_rng(0)
    paces = np.exp(rng.uniform(np.log(20), np.log(300), RUNS))

    def sound(seed):
        return run(falling(400, paces[seed]) + noise(seed, 400), 1000)

    def at_rest(seed):
        return run(LN_10 + noise(seed, 400), 1000)

    assert share_flagged(slow_convergence, sound) == 0
    assert share_flagged(slow_convergence, sound, "warning") <= 0.02
    assert share_flagged(slow_convergence, at_rest, "warning") <= 0.02


# ------------------------------------------------------------------ oscillating_loss


def test_swings_beyond_noise_are_found():
    epochs = np.where(np.arange(20) % 2, 1.5, 0.8).repeat(50)
    [finding] = oscillating_loss(run(epochs + noise(0, 1000)))
    assert finding.severity == "warning" and "9 times" in finding.evidence
    high = np.where(np.arange(20) % 2, 2.8, 2.1).repeat(50) + noise(0, 1000)
    assert severities(oscillating_loss, run(high)) == ["error"]


def test_swings_that_noise_explains_are_not_found():
    assert severities(oscillating_loss, run(1 + noise(0, 1000, 0.7))) == []
    # Beyond noise, but of 0.04 of guessing's loss.
    small = np.where(np.arange(20) % 2, 1.09, 1.0).repeat(50) + noise(0, 1000, 0.01)
    assert severities(oscillating_loss, run(small)) == []


def test_alternating_steps_are_found_and_small_batches_are_not():
    alternating = 1 + 0.5 * (-1.0) ** np.arange(1000) + noise(0, 1000, 0.1)
    assert severities(oscillating_loss, run(alternating)) == ["warning"]
    network = dense_network(1, planned_epochs=500, steps_per_epoch=2)  # two unshuffled batches
    assert severities(oscillating_loss, run(alternating, network=network)) == []


def test_batches_that_come_round_in_the_same_order_are_no_swings():
    # 36 batches of their own difficulty, as `fit` repeats their order after `set_random_seed`.
    seen = 0
    for seed in range(RUNS):
        losses = np.tile(1 + noise(seed, 36), 20) + noise(seed + RUNS, 720, 0.02)
        network = dense_network(1, planned_epochs=20, steps_per_epoch=36)
        seen += severities(oscillating_loss, run(losses, network=network)) != []
    assert seen <= 0.01 * RUNS


@pytest.mark.parametrize("size", [0.1, 0.5, 1.0])
def test_how_often_noise_is_taken_for_swings(size):
    def sound(seed):
        return run(falling(1000, 200) + noise(seed, 1000, size))

    assert share_flagged(oscillating_loss, sound, "warning") <= 0.01


def test_accuracy_swings_are_found():
    swinging = np.where(np.arange(20) % 2, 0.5, 0.7)
    quiet = falling(1000, 100)
    assert severities(oscillating_loss, run(quiet, accuracy=swinging)) == ["warning"]
    almost = np.where(np.arange(20) % 2, 0.68, 0.7)
    assert severities(oscillating_loss, run(quiet, accuracy=almost)) == []


# ------------------------------------------------------------------ overfitting


def test_a_validation_loss_that_turns_is_overfitting():
    epochs = np.arange(20)
    val = 0.5 + 0.05 * np.maximum(epochs - 8, 0) + 0.5 * np.exp(-epochs / 2)
    train = falling(1000, 200)
    [finding] = overfitting(run(train, val=val))
    assert finding.severity == "warning" and 300 <= finding.first_step <= 450
    assert finding.remedies[0].kind == "dropout"


def test_almost_overfitting_and_none():
    epochs, train = np.arange(20), falling(1000, 200)
    slight = 0.5 + 0.001 * np.maximum(epochs - 8, 0) + 0.5 * np.exp(-epochs / 2)  # up by 2%
    assert severities(overfitting, run(train, val=slight)) == []
    short = 0.5 + 0.1 * np.maximum(epochs - 16, 0) + 0.01 * np.abs(epochs - 16)  # three epochs
    assert severities(overfitting, run(train, val=short)) == []
    both = 0.5 + 0.05 * np.maximum(epochs - 8, 0)  # the training loss rises too: no overfitting
    assert severities(overfitting, run(both.repeat(50), val=both)) == []


def test_a_weighted_loss_is_not_held_against_an_unweighted_guess():
    """A loss of 0.8 against guessing's 0.147: weights of 20 on a rare class do that."""
    losses = np.full(1000, 0.8)
    plain, weighted = run(losses, baseline=0.147), run(losses, baseline=0.147)
    weighted.data["weighted"] = True
    assert severities(not_learning, plain) == ["error"]
    assert "error" not in severities(not_learning, weighted)


def test_a_validation_loss_that_never_beats_guessing_is_an_error():
    """The training loss goes from 2.4 to 0.2, guessing's is ln 10 = 2.303."""
    train = falling(1000, 200)
    never = np.full(20, 2.9)
    [finding] = overfitting(run(train, val=never))
    assert finding.severity == "error" and finding.first_step == 0
    assert "never was below 2.303" in finding.evidence and "it is 2.9" in finding.evidence
    early = overfitting(run(train[:400], 1000, val=never[:8]))  # 0.4 of the plan
    assert [one.severity for one in early] == ["warning"]


def test_a_validation_loss_that_once_beat_guessing_or_hardly_misses_it_is_none():
    train = falling(1000, 200)
    hardly = np.full(20, 2.4)  # within 0.05 of guessing
    assert severities(overfitting, run(train, val=hardly)) == []
    once = np.concatenate([np.full(17, 2.9), np.full(3, 2.0)])
    assert severities(overfitting, run(train, val=once)) == []
    stuck = np.full(1000, 2.3)  # nothing is learned: that is `not_learning`
    assert severities(overfitting, run(stuck, val=np.full(20, 2.9))) == []


def test_a_network_that_is_right_and_far_too_sure_is_only_warned_of():
    record = run(falling(1000, 200), accuracy=np.linspace(0.1, 0.9, 20), val=np.full(20, 2.9))
    for logs in record.epochs:
        logs["val_accuracy"] = 0.6  # half of the way from 0.1 to 1 is 0.55
    assert severities(overfitting, record) == ["warning"]


def test_how_often_noise_is_taken_for_overfitting():
    def sound(seed):
        rng = np.random.default_rng(seed)
        val = falling(1000, 100)[::50] + 0.05 * rng.standard_normal(20)
        return run(falling(1000, 300) + noise(seed, 1000), val=val)

    assert share_flagged(overfitting, sound, "warning") <= 0.01


def test_a_validation_accuracy_at_its_best_makes_it_information():
    val = 0.5 + 0.05 * np.maximum(np.arange(20) - 8, 0)
    record = run(falling(1000, 200), val=val)
    for at, logs in enumerate(record.epochs):
        logs["val_accuracy"] = min(0.9, 0.5 + at / 20)
    assert severities(overfitting, record) == ["info"]


# ------------------------------------------------------------------ non_finite


def test_the_first_nan_is_found_with_the_loss_before_it():
    losses, norms = np.full(100, 2.0), np.ones((100, 1))
    losses[40:], norms[40:] = np.nan, np.nan
    [finding] = non_finite(run(losses, kernel=norms))
    assert finding.severity == "error" and finding.first_step == 40 and finding.layers == ()
    assert "after a loss of 2" in finding.evidence


def test_a_layer_whose_gradient_alone_overflows_is_named():
    norms = np.ones((100, 2))
    norms[30, 0] = np.inf
    [finding] = non_finite(run(np.full(100, 2.0), kernel=norms))
    assert finding.layers == ("hidden_1",) and finding.first_step == 30


def test_weights_that_were_broken_before_are_not_this_runs_doing():
    options = {"kernel": np.nan, "loss": np.nan, "update": np.nan, "network": dense_network(2)}
    data = {"inputs": [{"non_finite": 0}]}
    broken = record_of(2, 10, weight=[1.0, np.nan, np.nan], **options)
    broken.data |= data
    [finding] = non_finite(broken)
    assert (finding.layers, finding.first_step) == (("hidden_2", "output"), 0)
    assert finding.remedies[0].kind == "initializer"
    assert list(exploding_gradient(broken)) == []
    sound = record_of(2, 10, weight=1.0, **options)
    sound.data |= data
    assert [one.symptom for one in exploding_gradient(sound)] == ["exploding_gradient"]
    [finding] = non_finite(sound)
    assert finding.remedies[0].kind == "clipping"


def test_skipped_steps_are_loss_scaling_until_they_never_end():
    norms = np.ones((100, 1))
    norms[:15] = np.inf
    record = run(np.full(100, 2.0), kernel=norms)
    record.groups["gradients"].data["flags"][:15] = SKIPPED
    assert severities(non_finite, record) == []
    record.groups["gradients"].data["flags"][:] = SKIPPED
    assert severities(non_finite, record) == ["error"]


def test_a_loss_that_was_not_shown_is_not_nan():
    record = run(np.full(100, np.nan))
    record.epochs = [{"loss": 2.0}]
    assert severities(non_finite, record) == []


def test_an_infinite_loss_and_bad_inputs_are_found():
    losses = np.full(100, 2.0)
    losses[-1] = np.inf
    assert severities(non_finite, run(losses)) == ["error"]
    record = run(np.full(100, 2.0))
    record.data["inputs"] = [{"non_finite": 3}]
    [finding] = non_finite(record)
    assert finding.first_step == 0 and finding.remedies[0].kind == "input_scaling"


def test_without_steps_the_logged_loss_is_read():
    record = record_of(1, gradients=False, epochs=[{"loss": 1.0}, {"loss": np.nan}])
    [finding] = non_finite(record)
    assert finding.first_step == 50
