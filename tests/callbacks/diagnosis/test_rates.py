"""Learning rates too high and too low: the size of the steps joined with the loss's course."""

import numpy as np
import pytest
from courses import falling, noise, stepping
from records import LN_10, record_of

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks.diagnosis._learning import learning_of
from trainwell.callbacks.diagnosis._levels import start_of
from trainwell.callbacks.diagnosis._updates import updates_of
from trainwell.callbacks.diagnosis.rates import learning_rate_too_high, learning_rate_too_low

RUNS = 300


def severities(rule, record):
    return [str(finding.severity) for finding in rule(record)]


# ------------------------------------------------------------------ the size of the steps


def test_ratios_are_step_over_weights_by_kernel():
    ratios = np.array([2e-3] * 50 + [1e-3] * 150)[:, None] * np.array([1.0, 2.0, 3.0])
    updates = updates_of(stepping(np.ones(200), update=5 * ratios))
    assert updates.first == pytest.approx(4e-3) and updates.early == pytest.approx(4e-3)
    # The largest kernel's mean: 3 * (50 * 2e-3 + 150 * 1e-3) / 200.
    assert updates.median == pytest.approx(2e-3) and updates.largest == pytest.approx(3.75e-3)


def test_plain_sgd_tells_its_steps_by_its_gradients():
    # 0.1 / (1 - 0.9) * 0.05 / 5 = 0.01
    sgd = {"name": "SGD", "learning_rate": 0.1, "momentum": 0.9}
    record = stepping(np.ones(20), update=None, kernel=0.05, optimizer=sgd)
    assert updates_of(record).median == pytest.approx(0.01)
    assert updates_of(stepping(np.ones(20), update=None, optimizer={"name": "Adam"})) is None
    clipped = {**sgd, "clipnorm": 1.0}
    assert updates_of(stepping(np.ones(20), update=None, optimizer=clipped)) is None


def test_kernels_that_start_at_zero_are_left_out_and_small_ones_count_as_sound():
    record = stepping(np.ones(20), ratio=1e-3)
    record["weight_norm"][:, 0] = np.arange(20) * 1e-6
    assert updates_of(record).largest == pytest.approx(1e-3)
    small = stepping(np.ones(20), ratio=0.5)  # 2.5 of a norm of 5
    for column in small.groups["gradients"].columns:
        column["shape"] = [100, 400]  # LeCun's norm: 20
    updates = updates_of(small)
    assert updates.first == pytest.approx(2.5 / 20) and updates.median == pytest.approx(0.5)


# ------------------------------------------------------------------ too high


def test_a_negative_rate_is_too_high_and_a_zero_rate_too_low():
    for rate, rule in ((-1000.0, learning_rate_too_high), (0.0, learning_rate_too_low)):
        record = TrainingRecord({"optimizer": {"learning_rate": rate}})
        assert severities(rule, record) == ["error"]
    scheduled = stepping(
        falling(100, 20), optimizer={"name": "SGD", "learning_rate": 0.0}, rate=0.1
    )
    assert severities(learning_rate_too_low, scheduled) == []


def test_a_loss_that_multiplies_has_diverged():
    growing = 2.3 * 1.2 ** np.arange(30)
    [finding] = learning_rate_too_high(stepping(growing, 1000))
    assert finding.severity == "error" and finding.first_step < 15
    assert severities(learning_rate_too_high, stepping(2.3 * 1.02 ** np.arange(30), 1000)) == []
    assert severities(learning_rate_too_high, stepping(growing[:12], 1000, baseline=None)) == [
        "error"
    ]


def test_a_peak_that_passes_is_no_divergence():
    peak = 2.3 + 20 * np.exp(-((np.arange(60) - 10) ** 2) / 20)
    assert severities(learning_rate_too_high, stepping(peak, 1000)) == []


def test_a_trained_model_that_wanders_is_no_divergence():
    wandering = np.geomspace(1e-4, 1e-2, 100)
    assert severities(learning_rate_too_high, stepping(wandering)) == []


def test_a_first_step_as_large_as_the_weights_overwrites_them():
    stuck = LN_10 + noise(0, 500, 0.1)
    assert severities(learning_rate_too_high, stepping(stuck, ratio=1.5)) == ["error"]
    assert severities(learning_rate_too_high, stepping(stuck, ratio=0.7)) == []
    assert severities(learning_rate_too_high, stepping(falling(500, 50), ratio=1.5)) == ["warning"]


def test_three_steps_as_large_as_the_weights_overwrite_them_too():
    stuck = LN_10 + noise(0, 500, 0.1)
    ratio = np.full(500, 1e-3)
    ratio[4:7] = 1.5
    [finding] = learning_rate_too_high(stepping(stuck, ratio=ratio))
    assert finding.severity == "error" and "steps change the weights by 1.5" in finding.evidence
    # Before any way can be gone, as in a check before training.
    for size, expected in ((1.9, ["warning"]), (2.1, ["error"])):
        first = stepping(stuck[:10], 500, ratio=np.where(np.arange(10) > 4, size, 1e-3))
        assert severities(learning_rate_too_high, first) == expected
    ratio[5:7] = 0.9
    assert severities(learning_rate_too_high, stepping(stuck, ratio=ratio)) == []


def test_a_jump_in_the_first_steps_is_not_what_a_run_starts_from():
    assert start_of(np.array([2.0, 3.0, 4.0])) == 3.0
    assert start_of(np.array([0.5, 300.0, 130.0])) == 0.5 == start_of(np.array([0.5]))
    assert start_of(np.array([3.0, 1.0, 0.1])) == 1.0
    # It ends at 0.7, not below 0.5; from 130 on that would be nearly all of the way.
    losses = 0.7 + 300 * np.exp(-np.arange(500) / 3) + noise(0, 500, 0.05)
    losses[0] = 0.5
    made = stepping(losses, ratio=29.0, baseline=None)
    made.network["loss"] = "huber"
    assert severities(learning_rate_too_high, made) == ["error"]
    assert not learning_of(made).has_begun


def test_unscaled_targets_take_large_steps():
    made = stepping(LN_10 + noise(0, 500, 0.1), ratio=12.0)
    made.network["loss"] = "mean_squared_error"
    made.network["layers"][-1]["activation"] = "linear"
    target = {"mean": 0.0, "std": 1.0, "min": -3.0, "max": 3.0, "shape": [10]}
    made.data["targets"] = [target]
    assert severities(learning_rate_too_high, made) == ["error"]
    made.data["targets"] = [target | {"mean": 5000.0, "std": 2000.0, "min": 1e3, "max": 9e3}]
    assert severities(learning_rate_too_high, made) == ["warning"]


def test_an_early_jump_by_large_steps_counts_where_nothing_is_learned():
    jump = LN_10 + 5 * np.exp(-np.arange(500) / 10) * (np.arange(500) > 2) + noise(0, 500, 0.05)
    [finding] = learning_rate_too_high(stepping(jump, ratio=0.2))
    assert finding.severity == "error" and finding.first_step <= 5
    assert severities(learning_rate_too_high, stepping(jump, ratio=0.05)) == []
    learned = jump - 1.5 * (1 - np.exp(-np.arange(500) / 50))
    assert severities(learning_rate_too_high, stepping(learned, ratio=0.2)) == []


def test_swings_by_large_steps_are_a_rate_too_high():
    swinging = np.where(np.arange(20) % 2, 1.5, 0.8).repeat(50) + noise(0, 1000)
    assert severities(learning_rate_too_high, stepping(swinging, ratio=0.02)) == ["warning"]
    assert severities(learning_rate_too_high, stepping(swinging, ratio=0.002)) == []


def test_how_often_a_sound_rate_is_called_too_high():
    def errors(steps, size, ratio):
        records = (
            stepping(falling(steps, 100) * np.exp(noise(seed, steps, size)), 1000, ratio=ratio)
            for seed in range(RUNS)
        )
        return sum("error" in severities(learning_rate_too_high, record) for record in records)

    assert errors(10, 0.3, 1e-3) == errors(300, 0.3, 0.05) == 0
    assert errors(20, 0.5, 0.2) <= 1


# ------------------------------------------------------------------ too low


def test_steps_that_cannot_reach_anywhere_are_too_low():
    at_rest = LN_10 + noise(0, 300, 0.1)
    # 1,000 steps of 5e-6 move a layer by 0.005 of its weights at the most.
    assert severities(learning_rate_too_low, stepping(at_rest, 1000, ratio=5e-6)) == ["error"]
    # 0.04 and 0.06: sound networks are better than guessing from 0.08 on.
    assert severities(learning_rate_too_low, stepping(at_rest, 1000, ratio=4e-5)) == ["error"]
    assert severities(learning_rate_too_low, stepping(at_rest, 1000, ratio=6e-5)) == []
    better = 0.9 * LN_10 + noise(0, 300, 0.1)
    assert severities(learning_rate_too_low, stepping(better, 1000, ratio=4e-5)) == []
    trained = 0.1 + noise(0, 300, 0.01)
    assert severities(learning_rate_too_low, stepping(trained, 1000, ratio=5e-6)) == []
    regression = stepping(at_rest, 1000, ratio=5e-6, baseline=None)
    regression.network["loss"] = "mean_squared_error"
    assert severities(learning_rate_too_low, regression) == ["warning"]


def test_a_steady_fall_by_small_steps_is_too_low():
    slow = 2.4 - 0.1 * np.arange(400) / 400 + noise(0, 400, 0.005)
    assert severities(learning_rate_too_low, stepping(slow, 1000, ratio=5e-5)) == ["error"]
    assert severities(learning_rate_too_low, stepping(slow[:150], 1000, ratio=5e-5)) == ["warning"]
    assert (
        severities(learning_rate_too_low, stepping(slow, 1000, ratio=2e-4)) == []
    )  # another cause
    quick = 2.4 - 0.6 * np.arange(400) / 400 + noise(0, 400, 0.005)
    assert severities(learning_rate_too_low, stepping(quick, 1000, ratio=5e-5)) == []


def test_no_steps_at_all_are_not_the_rates_fault():
    dead = np.zeros(300)
    dead[:3] = 1.0  # what killed it was a large step
    for ratio in (dead, 0 * dead):
        record = stepping(LN_10 + noise(0, 300, 0.1), 1000, ratio=ratio)
        assert severities(learning_rate_too_low, record) == []


def test_the_remedy_is_ten_times_as_much_or_as_little_or_the_usual_rate():
    slow = 2.4 - 0.1 * np.arange(400) / 400 + noise(0, 400, 0.005)
    [low] = learning_rate_too_low(stepping(slow, 1000, ratio=5e-5, rate=1e-5))
    assert low.remedies[0].value == 0.01  # SGD's
    for rate, expected in ((0.5, 0.01), (0.02, 0.002), (1000.0, 0.01)):
        [high] = learning_rate_too_high(stepping(2.3 * 1.2 ** np.arange(30), rate=rate))
        assert high.remedies[0].value == expected
    unknown = stepping(2.3 * 1.2 ** np.arange(30), rate=np.nan, optimizer={"name": "OneOfOnesOwn"})
    [high] = learning_rate_too_high(unknown)
    assert high.remedies[0].value is None and "range test" in high.remedies[0].reason


def test_without_steps_sizes_or_plan_they_are_silent():
    slow = 2.4 - 0.1 * np.arange(400) / 400
    for rule in (learning_rate_too_high, learning_rate_too_low):
        assert list(rule(TrainingRecord())) == []
        assert severities(rule, stepping(slow, update=None, optimizer={"name": "Adam"})) == []
        assert severities(rule, record_of(2, 1, gradients=False, dead=0.1)) == []
