"""Trials run again because noise hides the choice, and trials ended because they are lost."""

import dataclasses
import math

import numpy as np
import pytest

from trainwell.recipes.search._oscillation import is_stalled, pooled, summarize
from trainwell.recipes.search._scores import (
    best_accuracy,
    cannot_win,
    is_lost,
    score_of,
    spread_of,
)
from trainwell.recipes.search._trials import EpochLosses, Rival, Trial
from trainwell.recipes.search.stages import (
    BatchSizeStage,
    EpochsStage,
    L2Stage,
    LearningRateStage,
)

CHOSEN = {"learning_rate": 0.25, "batch_size": 32}


def epochs(means, variance=0.0, steps=100):
    return tuple(
        EpochLosses(steps=steps, mean=m, variance=variance, roughness=variance) for m in means
    )


def answered(candidate, **settings):
    name = f"{sorted(candidate.values.items())} {candidate.execution}"
    return Trial(trial_id=name, values=candidate.values, execution=candidate.execution, **settings)


def search(stage, train, chosen=None):
    trials, asked = [], []
    while (decision := stage.decide(trials, chosen)).action == "try":
        asked += decision.candidates
        trials += [train(candidate) for candidate in decision.candidates]
        assert len(trials) < 60
    return trials, asked, decision


def test_runs_together_are_one_run_with_more_steps():
    one, other = epochs([4, 2], 1.0, 10), epochs([2, 1, 0], 4.0, 30)
    # Means (10 * 4 + 30 * 2) / 40 and so on; the third epoch is missing in the first run.
    (first, second) = pooled([one, other])
    assert (first.steps, first.mean, first.variance) == (40, 2.5, 3.25)
    assert (second.mean, second.roughness) == (1.25, 3.25)


def rates(repeated):
    """0.01, 0.1, 0.3, 0.5, 0.7, 1; a gap's two errors are 0.02 * sqrt(2) = 0.028, once."""
    last = {0.01: 0.6, 0.1: 0.4, 0.3: 0.30, 0.5: 0.31, 0.7: 0.35, 1.0: 0.45, 0.2: 0.33}

    def train(candidate):
        rate = candidate.values["learning_rate"]
        cost = repeated.get(rate, last[rate]) if candidate.execution else last[rate]
        return answered(candidate, losses=epochs([2, 1.5, 1, 0.8, 0.7, cost], 0.01))

    return train


class TestLearningRate:
    def test_the_gap_that_decides_is_run_again(self):
        trials, _, decision = search(LearningRateStage(), rates({}))
        again = sorted(t.values["learning_rate"] for t in trials if t.execution)
        assert again == [0.3, 0.5]
        assert decision.chosen == {"learning_rate": 0.25}
        assert any(
            "within two standard errors: run 0.3, 0.5" in r.sentence for r in decision.reasons
        )

    def test_both_runs_together_decide(self):
        # 0.3 stays at 0.30; 0.5 has 0.31 and 0.35, together 0.33: two errors are now 0.02.
        trials, _, decision = search(LearningRateStage(), rates({0.5: 0.35}))
        assert decision.chosen == {"learning_rate": 0.15}
        assert any(
            r.sentence.startswith("At 0.5, in 2 runs, ") and "too large" in r.sentence
            for r in decision.reasons
        )
        assert len(trials) == 8

    def test_a_rate_that_diverges_with_another_seed_is_too_large(self):
        def train(candidate):
            trial = rates({})(candidate)
            bad = candidate.values["learning_rate"] == 0.5 and candidate.execution
            return dataclasses.replace(trial, diverged=bool(bad))

        assert search(LearningRateStage(), train)[2].chosen == {"learning_rate": 0.15}

    def test_single_executions(self):
        trials, _, decision = search(LearningRateStage(executions=1), rates({0.5: 0.35}))
        assert {t.execution for t in trials} == {0}
        assert decision.chosen == {"learning_rate": 0.25}
        with pytest.raises(ValueError, match="`executions`"):
            LearningRateStage(executions=0)

    def test_where_no_gap_decides_nothing_is_run_again(self):
        # The threshold itself has the lowest cost of all.
        lowest = {0.3: 0.35, 0.5: 0.30, 0.7: 0.40}

        def train(candidate):
            trial = rates({})(candidate)
            rate = candidate.values["learning_rate"]
            if rate not in lowest:
                return trial
            return dataclasses.replace(
                trial, losses=epochs([2, 1.5, 1, 0.8, 0.7, lowest[rate]], 0.01)
            )

        trials, _, decision = search(LearningRateStage(), train)
        assert {t.execution for t in trials} == {0}
        assert decision.chosen == {"learning_rate": 0.25}

    def test_rivals_are_the_best_run_that_the_decision_rests_on(self):
        _, asked, _ = search(LearningRateStage(), rates({}))
        first = [c.rival.curve for c in asked if c.values["learning_rate"] in (0.01, 0.1)]
        assert first == [(), ()]
        assert asked[2].values["learning_rate"] == 1.0
        assert asked[2].rival == Rival(measure="cost", curve=(2, 1.5, 1, 0.8, 0.7, 0.4))

    def test_a_run_that_was_cut_off_is_judged_by_what_it_has(self):
        def train(candidate):
            if candidate.values["learning_rate"] < 0.6:
                return rates({})(candidate)
            trial = answered(candidate, losses=epochs([2.3, 2.3, 2.3], 0.01))
            assert is_lost(trial, candidate.rival)
            return trial

        _, _, decision = search(LearningRateStage(), train)
        assert decision.chosen == {"learning_rate": 0.25}


@pytest.mark.parametrize(
    ("means", "rival", "expected"),
    [
        ([], (), False),
        ([2.3, 2.3, 2.3], (), False),  # a plateau, and nothing better is known
        ([2.3, 2.3, 2.3], (2, 1.5, 1, 0.8, 0.7, 0.6), True),
        ([2.3, 2.3], (2, 1.5, 1, 0.8, 0.7, 0.6), False),  # before half of its epochs
        # The rival has fallen by 1: a twentieth is 0.05.
        ([2.0, 2.0, 1.94], (2, 1.5, 1, 0.8, 0.7, 0.6), False),
        ([2.0, 2.0, 1.96], (2, 1.5, 1, 0.8, 0.7, 0.6), True),
        # Down from a peak, yet not to where the rival was after one epoch.
        ([9.0, 2.5, 2.3], (2, 1.5, 1, 0.8, 0.7, 0.6), True),
        ([9.0, 2.5, 2.05], (2, 1.5, 1, 0.8, 0.7, 0.6), False),
        ([1.0, 1.1, 1.2], (), True),  # two rises
        ([1.0, 1.2, 1.1, 1.3], (), True),
        ([1.0, 1.2, 1.1, 1.0], (), False),
        ([1.0, math.nan], (), True),
        # The error is 0.01: four of a gap's are 0.0566.
        ([2.3, 2.3, 2.3], (2.4, 2.3, 2.245, 2, 2, 2), False),
        ([2.3, 2.3, 2.3], (2.4, 2.3, 2.243, 2, 2, 2), True),
        ([2.3] * 7, (2.0,) * 6, False),
    ],
)
def test_stalled_by_hand(means, rival, expected):
    assert is_stalled(epochs(means, 0.01), rival) is expected
    trial = Trial(trial_id="a", values={}, losses=epochs(means, 0.01))
    assert is_lost(trial, Rival(measure="cost", curve=rival)) is expected
    assert is_lost(trial, None) is False


def test_what_rests_by_noise_is_not_stalled():
    # Its true cost falls as the rival's does: a cut would be an error.
    generator, cost = np.random.default_rng(0), 0.5 + 2 * np.exp(-np.arange(60) / 20)
    rival = tuple(cost.reshape(6, 10).mean(axis=1))
    for _ in range(500):
        losses = summarize(cost * generator.gamma(1, 1, 60), 10)
        assert not is_stalled(losses[:3], rival)


@pytest.mark.parametrize(
    ("accuracy", "rival", "samples", "expected"),
    [
        # At epoch 4 the rival's at epoch 2, 0.9. Errors of 100 samples: 0.03 and, at 0.66,
        # 0.0474: four of a gap's are 0.2243.
        ((0.1, 0.2, 0.3, 0.66), (0.5, 0.9, 0.95), 100, True),
        ((0.1, 0.2, 0.3, 0.68), (0.5, 0.9, 0.95), 100, False),
        ((0.1, 0.68, 0.3, 0.1), (0.5, 0.9, 0.95), 100, False),  # the best so far counts
        ((0.1, 0.2, 0.3), (0.5, 0.9, 0.95), 100, False),
        ((0.1, 0.1, 0.1, 0.1), (0.5, 0.9), 0, False),  # unknown noise
        ((-9.0, -9.0, -9.0, -9.0), (-1.0, -0.5), 100, False),  # no share
        ((0.1,) * 9, (0.9,), 100, True),  # a rival with fewer epochs
        ((0.1,) * 4, (), 100, False),
        ((math.nan,) * 4, (0.5, 0.9), 100, False),
    ],
)
def test_cannot_win_by_hand(accuracy, rival, samples, expected):
    trial = Trial(trial_id="a", values={}, accuracy=accuracy, validation_samples=samples)
    assert cannot_win(trial, rival) is expected
    assert is_lost(trial, Rival(measure="accuracy", curve=rival)) is expected


def test_what_learns_half_as_fast_is_never_given_up():
    reached = [1 - 0.5**e for e in range(1, 11)]
    slower = [1 - 0.5 ** (e / 2) for e in range(1, 11)]
    for epoch in range(1, 11):
        trial = Trial(
            trial_id="a", values={}, accuracy=tuple(slower[:epoch]), validation_samples=10**6
        )
        assert not cannot_win(trial, reached)


def test_a_lost_strength_is_never_chosen_though_it_is_cheaper():
    """Without a penalty 0.9 at once; at ten times the first strength 0.1, ended after four."""

    def train(candidate):
        share = 0.1 if candidate.values["l2"] > 5e-4 else 0.9
        curve = (share,) * (4 if share == 0.1 else 10)
        trial = answered(
            candidate, accuracy=curve, validation_samples=100, examples=1000 * len(curve)
        )
        assert is_lost(trial, candidate.rival) is (share == 0.1)
        return trial

    trials, asked, decision = search(L2Stage(), train, CHOSEN)
    assert [c.rival.curve for c in asked[:2]] == [(), ()]
    assert asked[2].rival == Rival(measure="accuracy", curve=(0.9,) * 10)
    assert decision.chosen["l2"] <= 1e-4
    assert [t.execution for t in trials if t.values["l2"] > 5e-4] == [0]


def test_level_strengths_end_the_stage_after_nine_trials():
    """Four settings, three decades more since none hurts, the two best again; no finer steps."""

    def train(candidate):
        return answered(candidate, accuracy=(0.97,), validation_samples=1000)

    trials, _, decision = search(L2Stage(samples=1000), train, CHOSEN)
    assert len(trials) == 9
    assert decision.chosen == {"l2": 0.1 / 2000, "learning_rate": 0.25}
    assert any("no better than with 0.1 beyond noise" in r.sentence for r in decision.reasons)


def test_no_penalty_is_chosen_where_it_is_better_beyond_noise():
    def train(candidate):
        accuracy = 0.97 if candidate.values["l2"] == 0 else 0.9
        return answered(candidate, accuracy=(accuracy,), validation_samples=1000)

    _, _, decision = search(L2Stage(samples=1000), train, CHOSEN)
    assert decision.chosen == {"l2": 0.0, "learning_rate": 0.25}


def objective(value_of, spread):
    """A negative loss, of which only repetitions tell the noise."""

    def train(candidate):
        value = value_of(candidate) + (spread if candidate.execution else 0.0)
        return answered(candidate, accuracy=(value - 1, value), steps=1, examples=10)

    return train


class TestUnknownNoise:
    def test_the_two_best_strengths_are_run_again(self):
        # Spread 0.04 twice: variance 0.0008, a deviation of 0.028; two errors of a gap of
        # single runs 0.08, of two runs 0.057. All but 10 times the strength are level.
        ends = {0.0: -1.0, 1e-4: -1.01, 1e-3: -1.5, 1e-5: -1.02}
        train = objective(lambda c: ends[c.values["l2"]], 0.04)
        trials, _, decision = search(L2Stage(), train, CHOSEN)
        assert sorted(t.values["l2"] for t in trials if t.execution) == [0.0, 1e-4]
        assert decision.chosen == {"l2": 1e-4, "learning_rate": 0.25}
        assert any("Only repetitions tell the noise" in r.sentence for r in decision.reasons)
        assert len(trials) == 6

    def test_a_leader_found_later_is_run_again_and_wins(self):
        # Spread 0.26 and 0.23: variance 0.030, a gap of two runs' two errors 0.35.
        ends = {0.0: [-3.21], 1e-4: [-3.4], 1e-3: [-3.2, -3.46], 1e-5: [-3.16, -3.39]}
        ends |= {1e-2: [-3.0, -3.0], 1e-1: [-3.9]}

        def train(candidate):
            runs = ends.get(candidate.values["l2"], [-3.3])
            value = runs[min(candidate.execution, len(runs) - 1)]
            return answered(candidate, accuracy=(value,), steps=1, examples=10)

        trials, _, decision = search(L2Stage(), train)
        assert [t.execution for t in trials if t.values["l2"] == 1e-2] == [0, 1]
        assert decision.chosen == {"l2": 1e-2}
        assert "By score (0: -3.2100" in decision.reason and "l2 is 0.01." in decision.reason

    def test_every_gap_counts_where_repetitions_agree_or_are_not_wanted(self):
        def peak(candidate):
            strength, rate = candidate.values["l2"], candidate.values["learning_rate"]
            off = 5 if strength == 0 else abs(math.log10(strength / 1e-4))
            return -1 - 0.001 * off - 0.01 * abs(math.log2(rate / 0.25))

        for executions in (1, 2):
            stage = L2Stage(executions=executions)
            trials, _, decision = search(stage, objective(peak, 0.0), CHOSEN)
            assert decision.chosen == {"l2": 1e-4, "learning_rate": 0.25}
            assert {t.execution for t in trials} == set(range(executions))

    def test_the_best_batch_size_is_run_again(self):
        # 64 is best by 0.001, and its repetition 0.02 lower: -1.01 ± 0.01, target -1.03.
        def train(candidate):
            size = candidate.values["batch_size"]
            end = {16: -1.002, 32: -1.001, 64: -1.0, 128: -2.0}[size]
            trial = objective(lambda c: end, -0.02)(candidate)
            return dataclasses.replace(trial, steps=1024 // size)

        stage = BatchSizeStage(step_cost=1.0, example_cost=0.0)
        trials, _, decision = search(stage, train, CHOSEN)
        assert [t.values["batch_size"] for t in trials if t.execution] == [64]
        assert "score of -1.0300" in decision.reason
        assert decision.chosen["batch_size"] == 64

    @pytest.mark.parametrize(("spread", "epochs_chosen"), [(0.0, 20), (0.5, 5)])
    def test_the_shorter_training_is_run_again(self, spread, epochs_chosen):
        def train(candidate):
            curve = [-2.0] * 4 + [-1.0] * 15 + [-0.9] * 20
            curve = [value + spread * candidate.execution for value in curve]
            return answered(candidate, accuracy=tuple(curve))

        trials, _, decision = search(EpochsStage(), train)
        assert [(t.values["patience"], t.execution) for t in trials] == [(20, 0), (20, 1)]
        assert decision.chosen == {"epochs": epochs_chosen}


def test_scores_by_hand():
    def runs(*accuracies, samples=0):
        return [
            Trial(trial_id=str(a), values={}, accuracy=(a,), validation_samples=samples)
            for a in accuracies
        ]

    # Squares 2 * 0.02² and 2 * 0.01² over one degree of freedom each.
    assert spread_of([runs(0.9, 0.94), runs(0.5, 0.52), runs(0.1)]) == pytest.approx(0.0005)
    assert spread_of([runs(0.9), runs(0.5)]) is None
    # All of 20 samples right: the deviation of 1/22, not 0.
    expected = math.sqrt(1 / 22 * 21 / 22 / 20)
    assert score_of(runs(1.0, samples=20)).standard_error == pytest.approx(expected)
    assert score_of(runs(0.9), 0.0016).standard_error == pytest.approx(0.04)
    assert best_accuracy(runs(math.nan)[0]) == -math.inf
    assert best_accuracy(Trial(trial_id="a", values={}, accuracy=(math.nan, 0.3))) == 0.3
    # An overflow is noise as well.
    assert math.isinf(score_of(runs(1e300, -1e300)).standard_error)


def test_a_training_whose_accuracy_is_never_finite_fails():
    def train(candidate):
        return answered(candidate, accuracy=(math.nan,) * 3)

    assert search(EpochsStage(), train)[2].action == "failed"
    assert search(L2Stage(), train, CHOSEN)[2].action == "failed"
    stage = BatchSizeStage(step_cost=1.0, example_cost=1.0)
    assert search(stage, train, CHOSEN)[2].action == "failed"
