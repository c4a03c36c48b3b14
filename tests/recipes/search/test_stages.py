"""The stages on recorded and simulated trials."""

import ast
import dataclasses
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from trainwell.recipes.search import stages
from trainwell.recipes.search._final_fit import FinalFit
from trainwell.recipes.search._scores import score_of
from trainwell.recipes.search.stages import (
    BatchSizeStage,
    Candidate,
    Decision,
    EpochLosses,
    EpochsStage,
    L2Stage,
    LearningRateStage,
    Reason,
    Trial,
)

# [784, 30, 10] on MNIST, batch 10, lambda 0, one seed of a NumPy network: each epoch's mean and
# variance of the true losses of its 5,000 steps.
# fmt: off
NIELSEN = {
    0.01: (
        [2.1451, 1.1053, 0.8339, 0.7176, 0.6515, 0.6077],
        [0.033, 0.079, 0.095, 0.108, 0.111, 0.115],
    ),
    0.1: (
        [0.8533, 0.4746, 0.3997, 0.3551, 0.3238, 0.3012],
        [0.107, 0.122, 0.106, 0.096, 0.088, 0.083],
    ),
    0.3: (
        [0.6358, 0.388, 0.3297, 0.2979, 0.2762, 0.2612],
        [0.132, 0.115, 0.1, 0.088, 0.085, 0.08],
    ),
    0.5: (
        [0.589, 0.3738, 0.327, 0.2967, 0.273, 0.2622],
        [0.143, 0.12, 0.108, 0.098, 0.09, 0.089],
    ),
    0.7: (
        [0.5794, 0.3846, 0.3376, 0.3075, 0.2887, 0.2742],
        [0.152, 0.135, 0.117, 0.109, 0.103, 0.1],
    ),
    1.0: (
        [0.5914, 0.4052, 0.3604, 0.3346, 0.3162, 0.3048],
        [0.165, 0.145, 0.132, 0.119, 0.119, 0.117],
    ),
}
# fmt: on


def identity(candidate):
    return json.dumps([dict(candidate.values), candidate.execution], sort_keys=True)


def trained(candidate, means=(), variances=None, **settings):
    variances = variances or [0.0] * len(means)
    losses = tuple(
        EpochLosses(steps=5000, mean=m, variance=v, roughness=v)
        for m, v in zip(means, variances, strict=True)
    )
    return Trial(
        trial_id=identity(candidate),
        values=candidate.values,
        execution=candidate.execution,
        losses=losses,
        **settings,
    )


def search(stage, train, chosen=None, limit=30):
    """All trials that the stage asked for, and its last decision."""
    trials = []
    for _ in range(limit):
        decision = stage.decide(trials, chosen)
        if decision.action != "try":
            return trials, decision
        trials += [train(candidate) for candidate in decision.candidates]
    raise AssertionError("no end")


def rates_tried(trials):
    return sorted(trial.values["learning_rate"] for trial in trials)


def recorded(candidate):
    return trained(candidate, *NIELSEN[candidate.values["learning_rate"]])


def rises_as_counted(candidate):
    """The text's network: none up to 0.25, one at 0.5, two at 1.0, all else equal."""
    rate = candidate.values["learning_rate"]
    if rate > 2:
        return trained(candidate, diverged=True)
    cost = np.array([6, 5, 4, 3, 2, 1]) * (0.1 + 0.01 / rate)
    rises = 0 if rate < 0.4 else 1 if rate < 0.7 else 2
    for epoch in (2, 4)[:rises]:
        cost[epoch] = cost[epoch - 1] * 1.1
    return trained(candidate, cost.tolist())


def bowl(best, cost_at_best=0.2):
    """Costs that fall to a last value with its minimum over the rates at `best`."""

    def train(candidate):
        rate = candidate.values["learning_rate"]
        last = cost_at_best * (1 + 0.5 * math.log10(rate / best) ** 2)
        if rate > 20 * best:
            return trained(candidate, diverged=True)
        return trained(candidate, [2.3, 1.5 + last, 1.0 + last, 0.5 + last, 0.1 + last, last])

    return train


class TestLearningRate:
    def test_walks_the_texts_path_on_the_recorded_network(self):
        trials, decision = search(LearningRateStage(), recorded)
        # 0.5 ends 0.001 above 0.3, where two standard errors of the gap are 0.012: once more.
        assert rates_tried(trials) == [0.01, 0.1, 0.3, 0.3, 0.5, 0.5, 0.7, 1.0]
        assert decision.action == "done"
        assert decision.chosen == {"learning_rate": 0.25}
        sentences = [reason.sentence for reason in decision.reasons]
        assert any(s.startswith("The decade is 0.1") for s in sentences)
        assert any(s.startswith("At 0.7") and "too large" in s for s in sentences)
        assert decision.reason.startswith("The threshold is 0.5")
        assert 0.25 <= 2 * decision.chosen["learning_rate"] <= 0.7

    def test_one_rise_is_no_oscillation_two_are(self):
        trials, decision = search(LearningRateStage(), rises_as_counted)
        assert max(rates_tried(trials)) == 1.0
        assert decision.chosen == {"learning_rate": 0.25}
        verdict = next(r.sentence for r in decision.reasons if r.sentence.startswith("At 1 "))
        assert "oscillates" in verdict

    def test_three_rates_of_the_text(self):
        """0.025: .878 -> .339; 0.25: .495 -> .339; 2.5: .925 -> .861."""
        ends = {0.025: (0.878, 0.339), 0.25: (0.495, 0.339), 2.5: (0.925, 0.861)}

        def train(candidate):
            first, last = ends[candidate.values["learning_rate"]]
            return trained(candidate, np.linspace(first, last, 6).tolist(), [0.1] * 6)

        stage = LearningRateStage(start=0.025, highest=2.5, lowest=0.025)
        decision = stage.decide([train(c) for c in stage.decide([]).candidates])
        assert [c.values["learning_rate"] for c in decision.candidates] == [0.075, 0.125]

    def test_first_candidates(self):
        decision = LearningRateStage(epochs=3).decide([], {"batch_size": 10})
        assert [dict(c.values) for c in decision.candidates] == [
            {"l2": 0.0, "batch_size": 10, "learning_rate": rate, "epochs": 3}
            for rate in (0.01, 0.1)
        ]

    @pytest.mark.parametrize("best", [1e-4, 1e-3, 0.02, 0.3, 5.0])
    def test_finds_a_minimum_anywhere(self, best):
        # Without noise a rate falls if no smaller one is nearer to the minimum on the log scale.
        # Those tried are at most a factor 3 apart, so that the nearest is within its root.
        _, decision = search(LearningRateStage(), bowl(best))
        threshold = 2 * decision.chosen["learning_rate"]
        assert 1 / math.sqrt(3) <= threshold / best <= math.sqrt(3)

    def test_goes_down_past_divergence(self):
        trials, decision = search(LearningRateStage(), bowl(1e-4))
        assert rates_tried(trials)[-2:] == [0.01, 0.1]
        assert "training diverges" in " ".join(r.sentence for r in decision.reasons)

    def test_goes_up_where_nothing_happens_yet(self):
        def train(candidate):
            rate = candidate.values["learning_rate"]
            return trained(candidate, [2.3] * 6, [1.0] * 6) if rate < 0.5 else bowl(3.0)(candidate)

        _, decision = search(LearningRateStage(), train)
        assert decision.chosen == {"learning_rate": 1.5}

    def test_all_nan_fails_with_the_way_out(self):
        trials, decision = search(LearningRateStage(), lambda c: trained(c, diverged=True))
        assert decision.action == "failed"
        assert decision.chosen == {}
        assert "Look at the data (NaN, scale)" in decision.reason
        assert rates_tried(trials)[0] == 1e-6
        assert len(decision.reasons[-1].trials) == len(trials)

    def test_one_nan_decade_is_survived(self):
        def train(candidate):
            if candidate.values["learning_rate"] == 1.0:
                return trained(candidate, [0.5, math.nan])
            return recorded(candidate)

        _, decision = search(LearningRateStage(), train)
        assert decision.chosen == {"learning_rate": 0.25}

    def test_a_decade_must_save_a_tenth_of_the_cost(self):
        """As another seed of the recorded network did: 1.0 ends 6% below 0.1, both above 0.3."""
        ends = {0.01: 0.624, 0.1: 0.299, 0.3: 0.256, 0.5: 0.263, 0.7: 0.269, 1.0: 0.28}

        def train(candidate):
            last = ends[candidate.values["learning_rate"]]
            return trained(candidate, np.linspace(2, last, 6).tolist(), [0.1] * 6)

        trials, decision = search(LearningRateStage(), train)
        assert rates_tried(trials)[-1] == 1.0
        assert decision.chosen == {"learning_rate": 0.25}
        assert any("saves less than a tenth" in r.sentence for r in decision.reasons)

    def test_the_boundary_of_the_range_is_told(self):
        _, decision = search(LearningRateStage(highest=0.1), bowl(5.0))
        assert decision.chosen == {"learning_rate": 0.05}
        assert any("boundary of the range" in r.sentence for r in decision.reasons)
        _, decision = search(LearningRateStage(), bowl(5.0))
        assert not any("boundary of the range" in r.sentence for r in decision.reasons)

    def test_a_noisy_search_stays_near_the_best(self):
        thresholds = []
        for seed in range(50):
            generator = np.random.default_rng(seed)

            def train(candidate, generator=generator):
                clean = bowl(0.3)(candidate)
                means = [e.mean * generator.normal(1, 0.02) for e in clean.losses]
                # 5,000 steps of this variance: a standard error of 2%.
                variances = [5000 * (0.02 * mean) ** 2 for mean in means]
                return trained(candidate, means, variances, diverged=clean.diverged)

            thresholds.append(2 * search(LearningRateStage(), train)[1].chosen["learning_rate"])
        # At 1.0 the cost is 13.7% above that at 0.3: 4.5 standard errors of the gap.
        assert 0.2 <= np.quantile(thresholds, 0.05) <= np.quantile(thresholds, 0.95) <= 0.7

    @pytest.mark.parametrize(
        ("argument", "value"),
        [("start", 0.0), ("start", math.nan), ("start", "x"), ("epochs", 1), ("epochs", 2.5),
         ("share", -1), ("share", 100), ("lowest", 1000), ("highest", True)],
    )  # fmt: skip
    def test_bad_arguments(self, argument, value):
        with pytest.raises(ValueError, match=f"`{argument}`.*{argument}="):
            LearningRateStage(**{argument: value})

    def test_a_start_outside_of_the_range(self):
        with pytest.raises(ValueError, match=r"start=0.01, lowest=0.1"):
            LearningRateStage(start=0.01, lowest=0.1)

    @pytest.mark.parametrize(
        ("stage", "chosen", "first"),
        [
            ({}, {}, 0.01),
            ({}, {"learning_rate": 0.25}, 0.1),
            ({}, {"learning_rate": 1e-3}, 1e-3),
            ({"start": 0.01}, {"learning_rate": 0.25}, 0.01),
            ({"lowest": 0.2}, {}, 0.2),
            ({"highest": 1.0}, {"learning_rate": 30.0}, 1.0),
        ],
    )
    def test_where_it_begins(self, stage, chosen, first):
        decision = LearningRateStage(**stage).decide([], chosen)
        assert decision.candidates[0].values["learning_rate"] == first
        with pytest.raises(ValueError, match=r"`learning_rate`.*learning_rate='fast'"):
            LearningRateStage().decide([], {"learning_rate": "fast"})

    def test_the_largest_rate_tried_is_no_threshold(self):
        """1 saves less than a tenth against 0.1, and no smaller rate is below it beyond noise."""
        ends = {0.01: 0.6, 0.1: 0.308, 0.3: 0.31, 0.5: 0.31, 0.7: 0.31, 1.0: 0.3, 2.0: 0.29}

        def train(candidate):
            rate = candidate.values["learning_rate"]
            if rate not in ends and rate != 3.0:
                return trained(candidate, diverged=True)
            return trained(candidate, np.linspace(0.7, ends.get(rate, 0.28), 6).tolist())

        trials, decision = search(LearningRateStage(), train)
        assert rates_tried(trials)[-3:] == [3.0, 5.0, 10.0]
        assert decision.chosen == {"learning_rate": 1.5}
        assert not any("boundary of the range" in r.sentence for r in decision.reasons)
        _, decision = search(LearningRateStage(highest=1.0), train)
        assert decision.chosen == {"learning_rate": 0.5}
        assert any("threshold 1 lies on the boundary" in r.sentence for r in decision.reasons)

    def test_the_smallest_rate_tried_is_no_threshold(self):
        """From 0.1 down in steps, since no whole decade lies in the range."""
        stage = LearningRateStage(start=0.1, lowest=0.013)
        trials, decision = search(stage, bowl(0.013))
        # 0.05 and 0.03 are better than 0.1, then half of 0.03.
        assert rates_tried(trials)[:3] == [0.015, 0.03, 0.05]
        assert decision.chosen == {"learning_rate": 0.0075}
        assert any("threshold 0.015 lies on the boundary" in r.sentence for r in decision.reasons)

    def test_a_rate_that_no_longer_counts_is_told(self):
        ends = {0.01: 0.6, 0.1: 0.3, 1.0: 0.26, 0.3: 0.29, 0.5: 0.15, 0.7: 0.27, 10.0: 0.5}

        def train(candidate):
            last = ends[candidate.values["learning_rate"]]
            return trained(candidate, np.linspace(0.7, last, 6).tolist(), [8.0] * 6)

        _, decision = search(LearningRateStage(), train)
        assert decision.chosen == {"learning_rate": 0.25}
        sentences = [r.sentence for r in decision.reasons]
        assert any(s.startswith("At 1 ") and s.endswith("it falls.") for s in sentences)
        assert sentences[-2] == "No longer taken to fall: 1, as 0.5 has reached 0.15."

    def test_down_for_the_reason_there_is(self):
        sentences = " ".join(r.sentence for r in search(LearningRateStage(), bowl(1e-4))[1].reasons)
        assert "Try 0.001, down, as none of them falls." in sentences
        assert "the best rate so far is the smallest one tried" in sentences


def accurate(accuracy_of, cost=1000, validation_samples=10_000):
    """Trials whose accuracy is a function of the candidate."""

    def train(candidate):
        accuracy = accuracy_of(candidate)
        return trained(
            candidate,
            accuracy=(accuracy / 2, accuracy),
            validation_samples=validation_samples,
            examples=cost,
            diverged=accuracy == 0,
        )

    return train


def by_l2(best, unit=1.0):
    """Accuracy 0.98 at the best strength, less with the decades away from it; 0.94 at 0."""

    def accuracy(candidate):
        strength = candidate.values["l2"]
        off = 3 if strength == 0 else min(abs(math.log10(strength / unit / best)), 4)
        return 0.97 - 0.01 * off - 0.02 * abs(math.log2(candidate.values["learning_rate"] / 0.25))

    return accuracy


CHOSEN = {"learning_rate": 0.25, "batch_size": 10}


class TestL2:
    def test_zero_and_one_first_then_times_and_divided_by_ten(self):
        stage = L2Stage(samples=50_000)
        first = stage.decide([], CHOSEN)
        # lambda / (2 * 50,000)
        assert [c.values["l2"] for c in first.candidates] == [0.0, 1e-5]
        train = accurate(by_l2(1.0, 1e-5))
        second = stage.decide([train(c) for c in first.candidates], CHOSEN)
        assert [c.values["l2"] for c in second.candidates] == [1e-4, 1e-6]
        assert all(c.values["epochs"] == 10 for c in second.candidates)
        assert all(c.values["learning_rate"] == 0.25 for c in second.candidates)

    @pytest.mark.parametrize("best", [0.01, 1.0, 5.0, 300.0])
    def test_finds_the_strength_within_a_quarter_of_a_decade(self, best):
        _, decision = search(L2Stage(samples=50_000), accurate(by_l2(best, 1e-5)), CHOSEN)
        assert abs(math.log10(decision.chosen["l2"] / 1e-5 / best)) <= 0.26
        assert decision.chosen["learning_rate"] == 0.25

    def test_the_second_round_of_refinement_is_finer(self):
        # Strengths a quarter of a decade apart: 10 ** 0.25 is 1.77828.
        train = accurate(by_l2(1.77828, 1e-5), validation_samples=10**9)
        _, decision = search(L2Stage(samples=50_000), train, CHOSEN)
        assert decision.chosen["l2"] == 1.77828e-5

    def test_the_noise_of_repetitions(self):
        # Means 0.92, deviations 0.02 twice: variance 0.0008, over two runs 0.0004.
        runs = [Trial(trial_id=str(a), values={}, accuracy=(0.1, a, 0.5)) for a in (0.9, 0.94)]
        score = score_of(runs)
        assert (score.mean, score.standard_error) == pytest.approx((0.92, 0.02))
        # Of 100 samples: 0.9 * 0.1 / 100 is the larger variance, 0.0009.
        runs = [Trial(trial_id="b", values={}, accuracy=(0.9,), validation_samples=100)] * 2
        assert score_of(runs).standard_error == pytest.approx(math.sqrt(0.0009 / 2))

    def test_keras_units(self):
        _, decision = search(L2Stage(start=1e-4), accurate(by_l2(1e-3)), CHOSEN)
        assert decision.chosen["l2"] == pytest.approx(1e-3)

    def test_the_range_is_extended_and_its_end_told(self):
        stage = L2Stage(samples=50_000, decades=2)
        trials, decision = search(stage, accurate(by_l2(1e4, 1e-5)), CHOSEN)
        # 100 is two decades above 1, and then 316 within the decade.
        assert {t.values["l2"] for t in trials} >= {1e-6, 1e-5, 1e-4, 1e-3, 3.16228e-3}
        assert 1e-2 not in {t.values["l2"] for t in trials}
        assert any(
            r.sentence.startswith("None that hurts was seen up to 100, the boundary of the range")
            for r in decision.reasons
        )

    def test_the_range_goes_up_until_a_strength_hurts(self):
        # Of 1,000 at 0.9: 0.0095, twice a gap's 0.027: 0.89 is level with 0.9, 0.5 is worse.
        ends = {0.0: 0.89, 1e-6: 0.89, 1e-5: 0.89, 1e-4: 0.89, 1e-3: 0.9, 1e-2: 0.5}
        train = accurate(lambda c: ends[c.values["l2"]], validation_samples=1000)
        stage = L2Stage(samples=50_000, halvings=0, revisit_learning_rate=False)
        trials, decision = search(stage, train, CHOSEN)
        assert decision.chosen["l2"] == 1e-3
        assert {t.values["l2"] for t in trials} == set(ends)

    def test_no_penalty_where_every_one_harms(self):
        def harms(candidate):
            return 0.97 - 0.02 * (candidate.values["l2"] > 0)

        trials, decision = search(L2Stage(samples=50_000), accurate(harms), CHOSEN)
        assert decision.chosen == {"l2": 0.0, "learning_rate": 0.25}
        assert len(trials) == 4

    def test_no_penalty_at_a_tie_is_refused_in_the_refinement_too(self):
        # 0 is worse while repetitions agree; that of 3.2e-5 makes it level, and it is cheaper.
        ends = {0.0: -1.1, 1e-4: -1.0, 1e-3: -2.0, 1e-5: -1.2}

        def train(candidate):
            strength = candidate.values["l2"]
            end = ends.get(strength, -1.9 if candidate.execution else -1.0)
            return trained(candidate, accuracy=(end,), examples=10 if strength else 5)

        trials, decision = search(L2Stage(revisit_learning_rate=False), train)
        assert [t.values["l2"] for t in trials if t.execution] == [1e-4, 0.0, 3.16228e-5]
        assert any("A penalty is taken" in r.sentence for r in decision.reasons)
        assert decision.chosen == {"l2": 1e-4}

    def test_of_level_strengths_two_are_repeated_then_the_cheaper_wins(self):
        def train(candidate):
            cost = 500 if candidate.values["l2"] == 1e-4 else 1000
            return accurate(lambda c: 0.97, cost)(candidate)

        stage = L2Stage(samples=50_000, halvings=0, revisit_learning_rate=False)
        trials, decision = search(stage, train, CHOSEN)
        assert decision.chosen["l2"] == 1e-4
        # 0, 1, 10, 0.1; no strength hurts: 100, 1000, 10,000; two again.
        assert sorted(t.execution for t in trials) == [0] * 7 + [1] * 2
        assert {t.values["l2"] for t in trials if t.execution} == {0.0, 1e-4}
        single = L2Stage(samples=50_000, halvings=0, executions=1)
        assert {t.execution for t in search(single, train, CHOSEN)[0]} == {0}

    def test_a_gap_beyond_two_standard_errors_is_not_repeated(self):
        # At 0.97 of 10,000: 0.0017, a gap's 0.0024, twice that 0.0048.
        def gap(candidate):
            return 0.97 + 0.006 * (candidate.values["l2"] == 1e-5)

        stage = L2Stage(samples=50_000, halvings=0, revisit_learning_rate=False)
        trials, decision = search(stage, accurate(gap), CHOSEN)
        assert {t.execution for t in trials} == {0}
        assert decision.chosen["l2"] == 1e-5

    def test_the_rate_is_looked_at_once_more(self):
        def prefers_half(candidate):
            rate, strength = candidate.values["learning_rate"], candidate.values["l2"]
            bonus = 0.03 * (strength == 1e-5)
            return 0.9 + bonus - 0.02 * (strength > 0) * abs(math.log2(rate / 0.125))

        stage = L2Stage(samples=50_000, halvings=0)
        trials, decision = search(stage, accurate(prefers_half), CHOSEN)
        assert decision.chosen == {"l2": 1e-5, "learning_rate": 0.125}
        # The best was on the boundary of the rates tried, half and twice: a quarter as well.
        assert min(rates_tried(trials)) == 0.0625

    def test_level_rates_keep_the_rate(self):
        def level(candidate):
            return 0.95 + 0.02 * (candidate.values["l2"] == 1e-5)

        _, decision = search(L2Stage(samples=50_000, halvings=0), accurate(level), CHOSEN)
        assert decision.chosen == {"l2": 1e-5, "learning_rate": 0.25}

    def test_large_strengths_may_diverge(self):
        def accuracy(candidate):
            return 0.0 if candidate.values["l2"] > 5e-5 else by_l2(1.0, 1e-5)(candidate)

        _, decision = search(L2Stage(samples=50_000), accurate(accuracy), CHOSEN)
        assert decision.chosen["l2"] == 1e-5
        _, decision = search(L2Stage(), accurate(lambda c: 0.0), CHOSEN)
        assert decision.action == "failed"

    def test_without_a_learning_rate_there_is_none_to_revisit(self):
        _, decision = search(
            L2Stage(start=1.0), accurate(lambda c: 0.9 + 0.05 * (c.values["l2"] == 1))
        )
        assert decision.chosen == {"l2": 1.0}  # fmt: skip

    def test_an_objective_never_reported(self):
        with pytest.raises(ValueError, match="reports no accuracy to choose by"):
            search(L2Stage(), lambda c: trained(c, [1.0]), CHOSEN)

    @pytest.mark.parametrize(
        ("argument", "value"),
        [("samples", 0), ("start", -1.0), ("executions", 0), ("halvings", -1), ("decades", 1.5)],
    )
    def test_bad_arguments(self, argument, value):
        with pytest.raises(ValueError, match=f"`{argument}`.*Received: {argument}={value}"):
            L2Stage(**{argument: value})


def by_batch(epochs_to_target, samples=1000, seconds=lambda: 1.0):
    """Accuracy 0.95 from an epoch on that depends on the batch size."""

    def train(candidate):
        size = candidate.values["batch_size"]
        accuracy = [0.5 if e < epochs_to_target(size) else 0.95 for e in range(1, 11)]
        return trained(
            candidate,
            accuracy=tuple(accuracy),
            validation_samples=10_000,
            steps=10 * math.ceil(samples / size),
            examples=10 * samples,
            seconds=seconds(),
        )

    return train


class TestBatchSize:
    STAGE = BatchSizeStage(step_cost=1.0, example_cost=0.01)

    def test_cost_by_hand(self):
        # 100 steps and 1,000 examples: 100 + 10.
        assert self.STAGE.cost(100, 1000) == pytest.approx(110)

    def test_the_cheapest_way_to_the_accuracy(self):
        # An epoch costs 1000 / size + 10: 16: 73, 32: 42, 64: 26, 128: 18, 256: 14.
        # Epochs: 1, 1, 2, 4, 8: costs 73, 42, 52, 72, 112.
        trials, decision = search(self.STAGE, by_batch(lambda b: max(1, b // 32)), CHOSEN32)
        assert decision.chosen == {"batch_size": 32, "learning_rate": 0.25}
        assert [t.values["batch_size"] for t in trials] == [32, 16, 64]
        assert "32: 42" in decision.reason and "64: 52" in decision.reason

    def test_the_boundary_is_extended(self):
        trials, decision = search(self.STAGE, by_batch(lambda b: 1), CHOSEN32)
        assert decision.chosen == {"batch_size": 1024, "learning_rate": 8.0}
        assert "on the boundary" in decision.reason
        assert len(trials) == 7

    def test_an_accuracy_within_noise_of_the_best_will_do(self):
        # At 0.95 of 10,000 two standard errors are 0.0044.
        def train(candidate):
            accuracy = {16: 0.95, 32: 0.95, 64: 0.946, 128: 0.945}[candidate.values["batch_size"]]
            trial = by_batch(lambda b: 1)(candidate)
            return dataclasses.replace(trial, accuracy=(accuracy,) * 10)

        _, decision = search(self.STAGE, train, CHOSEN32)
        assert decision.chosen["batch_size"] == 64
        assert "128: never" in decision.reason

    def test_goes_down_to_one(self):
        costs = by_batch(lambda b: 1 if b < 2 else 100)
        _, decision = search(self.STAGE, costs, {**CHOSEN32, "batch_size": 2})
        assert decision.chosen == {"batch_size": 1, "learning_rate": 0.125}

    def test_seconds_decide_nothing(self):
        generator = random.Random(0)
        train = by_batch(lambda b: max(1, b // 32), seconds=generator.random)
        chosen = [search(self.STAGE, train, CHOSEN32)[1].chosen for _ in range(5)]
        assert chosen == [{"batch_size": 32, "learning_rate": 0.25}] * 5

    @pytest.mark.parametrize(("power", "rate"), [(0.0, 0.25), (0.5, 0.353553), (1.0, 0.5)])
    def test_the_rate_goes_with_the_size(self, power, rate):
        stage = BatchSizeStage(step_cost=1.0, example_cost=0.01, rate_scaling=power)
        values = stage.decide([], CHOSEN32).candidates[2].values
        assert (values["batch_size"], values["learning_rate"]) == (64, rate)

    def test_a_size_that_diverges_is_never_chosen(self):
        def train(candidate):
            if candidate.values["batch_size"] > 32:
                return trained(candidate, diverged=True)
            return by_batch(lambda b: 1)(candidate)

        _, decision = search(self.STAGE, train, CHOSEN32)
        assert decision.chosen["batch_size"] == 32
        assert "64: never" in decision.reason
        _, decision = search(self.STAGE, lambda c: trained(c, diverged=True), CHOSEN32)
        assert decision.action == "failed"

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="needs `learning_rate`"):
            self.STAGE.decide([])
        with pytest.raises(ValueError, match=r"`batch_size`.*batch_size=0"):
            self.STAGE.decide([], {**CHOSEN32, "batch_size": 0})
        with pytest.raises(ValueError, match="rate_scaling=2"):
            BatchSizeStage(step_cost=1.0, example_cost=1.0, rate_scaling=2)
        with pytest.raises(ValueError, match=r"`rate_scaling`.*rate_scaling='x'"):
            BatchSizeStage(rate_scaling="x")
        with pytest.raises(ValueError, match=r"`start`.*start=32, largest=8"):
            BatchSizeStage(largest=8)
        with pytest.raises(ValueError, match="step_cost=0, example_cost=0"):
            BatchSizeStage(step_cost=0, example_cost=0)
        with pytest.raises(ValueError, match="step_cost=-1"):
            BatchSizeStage(step_cost=-1, example_cost=1.0)
        with pytest.raises(ValueError, match=r"both.*step_cost=1.0, example_cost=None"):
            BatchSizeStage(step_cost=1.0)

    def test_costs_to_be_measured(self):
        with pytest.raises(ValueError, match=r"Measure both once.*dataclasses.replace"):
            BatchSizeStage().decide([], CHOSEN32)
        measured = dataclasses.replace(BatchSizeStage(), step_cost=1.0, example_cost=0.01)
        train = by_batch(lambda b: max(1, b // 32))
        assert search(measured, train, CHOSEN32) == search(self.STAGE, train, CHOSEN32)


CHOSEN32 = {"learning_rate": 0.25, "batch_size": 32}


def curve(*steps, samples=100_000):
    """A run with the accuracies' plateaus at these epochs, stopped by its patience or limit."""

    def train(candidate):
        accuracy = []
        for epoch in range(1, candidate.values["epochs"] + 1):
            accuracy.append(max((a for e, a in steps if e <= epoch), default=0.1))
            if epoch - accuracy.index(max(accuracy)) - 1 >= candidate.values["patience"]:
                break
        return trained(candidate, accuracy=tuple(accuracy), validation_samples=samples)

    return train


class TestEpochs:
    def test_no_improvement_in_ten_then_twenty_then_thirty(self):
        trials, decision = search(EpochsStage(), curve((5, 0.9), (20, 0.95)))
        # Ten epochs after the 5th training stops; the step at 20 takes more patience.
        assert [len(t.accuracy) for t in trials] == [40]
        assert [r.sentence for r in decision.reasons[1:3]] == [
            "With no improvement in 10: it ends after 15 epochs, with a best validation accuracy "
            "of 0.9000 after 5 epochs.",
            "With no improvement in 20: it ends after 40 epochs, with a best validation accuracy "
            "of 0.9500 after 20 epochs.",
        ]
        assert decision.chosen == {"epochs": 20}
        assert decision.final == {"patience": 30}

    def test_a_gain_within_noise_is_not_worth_it(self):
        # At 0.9 of 100: 0.03, a gap's 0.042: 0.05 is under two of them.
        _, decision = search(EpochsStage(), curve((5, 0.9), (20, 0.95), samples=100))
        assert decision.chosen == {"epochs": 5}
        assert any("no more than noise" in r.sentence for r in decision.reasons)

    def test_a_limit_that_comes_first_is_doubled(self):
        steps = [(e, 0.5 + e / 1000) for e in range(1, 31)]
        stage = EpochsStage(patience=(2, 5), limit=10)
        trials, decision = search(stage, curve(*steps))
        assert [t.values["epochs"] for t in trials] == [10, 20, 40]
        assert {t.values["patience"] for t in trials} == {5}
        assert decision.chosen == {"epochs": 30}
        assert any(r.sentence == "Run again, longer: at most 20 epochs." for r in decision.reasons)
        _, decision = search(dataclasses.replace(stage, extensions=0), curve(*steps))
        assert decision.chosen == {"epochs": 10}
        assert any("allows no more" in r.sentence for r in decision.reasons)

    def test_divergence_fails(self):
        _, decision = search(EpochsStage(), lambda c: trained(c, diverged=True))
        assert decision.action == "failed"

    def test_less_patience_would_have_ended_before_the_divergence(self):
        def train(candidate):
            accuracy = (0.5, *[0.9] * 15)
            return trained(candidate, accuracy=accuracy, validation_samples=100, diverged=True)

        _, decision = search(EpochsStage(), train)
        assert decision.chosen == {"epochs": 2}
        assert any("training diverges before" in r.sentence for r in decision.reasons)

    def test_one_epoch(self):
        decision = search(EpochsStage(), curve((1, 0.9)))[1]
        assert "after 1 epoch." in decision.reason

    @pytest.mark.parametrize("patience", [(), (20, 10), (10, 30), (0,), (10, 10), 10, "10"])
    def test_bad_arguments(self, patience):
        with pytest.raises(ValueError, match="`patience`"):
            EpochsStage(patience=patience)

    def test_a_limit_that_no_patience_could_outlast(self):
        with pytest.raises(ValueError, match=r"`limit`.*limit=39, patience=\(10, 20\)"):
            EpochsStage(limit=39)
        assert EpochsStage(limit=40).limit == 40


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [((0.5, 0.875, 0.6), "reaches 0.8750 after 2 epochs."), ((0.5,), "0.5000 after 1 epoch.")],
)
def test_the_final_fit_tells_its_best_epoch(accuracy, said):
    _, decision = search(FinalFit(), lambda c: trained(c, accuracy=accuracy))
    assert decision.reason.endswith(said)


def test_a_final_fit_that_never_is_finite_fails():
    _, decision = search(FinalFit(), lambda c: trained(c, accuracy=(math.nan,)))
    assert decision.action == "failed"


WALKS = [
    (LearningRateStage(), recorded, None),
    (LearningRateStage(), bowl(1e-3), None),
    (L2Stage(samples=50_000), accurate(by_l2(5.0, 1e-5)), CHOSEN),
    (L2Stage(samples=50_000), accurate(lambda c: 0.97), CHOSEN),
    (BatchSizeStage(step_cost=1.0, example_cost=0.01), by_batch(lambda b: b // 32), CHOSEN32),
    (EpochsStage(), curve((5, 0.9), (20, 0.95)), None),
]


@pytest.mark.parametrize(("stage", "train", "chosen"), WALKS)
class TestEveryStage:
    def test_order_and_strangers_change_nothing(self, stage, train, chosen):
        trials, last = search(stage, train, chosen)
        strangers = [
            Trial(trial_id="x", values={"learning_rate": 0.02}),
            Trial(trial_id="y", values={**trials[0].values, "dropout": 0.5}, accuracy=(1.0,)),
            Trial(trial_id="z", values=trials[0].values, execution=7, accuracy=(1.0,)),
        ]
        for seed in range(10):
            shuffled = trials + strangers
            random.Random(seed).shuffle(shuffled)
            assert stage.decide(shuffled, chosen) == last

    def test_one_at_a_time_leads_to_the_same(self, stage, train, chosen):
        trials, last = search(stage, train, chosen)
        alone = []
        while (decision := stage.decide(alone, chosen)).action == "try":
            alone.append(train(decision.candidates[-1]))
        assert decision == last
        assert sorted(t.trial_id for t in alone) == sorted(t.trial_id for t in trials)

    def test_waits_for_what_runs(self, stage, train, chosen):
        first = stage.decide([], chosen).candidates
        running = [Trial(trial_id=identity(c), values=c.values, finished=False) for c in first]
        assert stage.decide(running, chosen).action == "wait"
        assert stage.decide(running, chosen).candidates == ()
        some = stage.decide(running[:1], chosen)
        assert some.candidates == first[1:]
        assert some.action == ("try" if len(first) > 1 else "wait")

    def test_a_finished_trial_counts_before_one_that_runs_again(self, stage, train, chosen):
        trials, last = search(stage, train, chosen)
        again = [dataclasses.replace(t, trial_id="!" + t.trial_id, finished=False) for t in trials]
        assert stage.decide(again + trials, chosen) == last
        assert stage.decide(trials + again, chosen) == last

    def test_candidates_are_distinct_and_each_decision_has_its_reason(self, stage, train, chosen):
        trials = []
        while (decision := stage.decide(trials, chosen)).action == "try":
            asked = [identity(c) for c in decision.candidates]
            assert len(set(asked)) == len(asked)
            assert not set(asked) & {t.trial_id for t in trials}
            assert decision.reason.endswith(".")
            trials += [train(c) for c in decision.candidates]
        known = {t.trial_id for t in trials}
        assert all(r.sentence and set(r.trials) <= known for r in decision.reasons)
        # The way is told from its beginning: earlier reasons stay, in order.
        before = stage.decide(trials[:-1], chosen).reasons
        assert decision.reasons[: len(before) - 1] == before[:-1]

    def test_json_there_and_back(self, stage, train, chosen):
        trials, last = search(stage, train, chosen)
        strict = json.dumps([t.to_json() for t in trials], allow_nan=False)
        loaded = [Trial.from_json(state) for state in json.loads(strict)]
        assert loaded == trials
        assert stage.decide(loaded, chosen) == last
        for decision in (last, stage.decide(trials[:1], chosen)):
            text = json.dumps(decision.to_json(), allow_nan=False)
            assert Decision.from_json(json.loads(text)) == decision


def test_json_of_what_is_not_finite():
    losses = (EpochLosses(steps=2, mean=math.nan, variance=math.inf, roughness=0.0),)
    trial = Trial(trial_id="n", values={"l2": 0.0}, losses=losses, accuracy=(0.1, math.nan))
    loaded = Trial.from_json(json.loads(json.dumps(trial.to_json(), allow_nan=False)))
    assert math.isnan(loaded.losses[0].mean) and math.isnan(loaded.losses[0].variance)
    assert loaded.accuracy[0] == 0.1 and math.isnan(loaded.accuracy[1])
    stage = LearningRateStage()
    assert Reason(sentence="a").trials == () and Candidate(values={}).execution == 0
    assert stage.decide([loaded]).action == "try"


def test_the_stages_need_no_keras():
    files = sorted(Path(stages.__file__).parent.glob("*.py"))
    own = [f for f in files if f.stem in {"stages", "simplify"} or f.stem.endswith("_stage")]
    own += [f for f in files if f.stem in PRIVATE]
    assert len(own) == 6 + len(PRIVATE)
    for file in own:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not {n.split(".")[0] for n in names} & {"keras", "keras_tuner", "tensorflow"}


PRIVATE = {"_trials", "_replay", "_oscillation", "_scores", "_checks", "_judged_rates"}
PRIVATE |= {"_step_cost"}


def test_values_that_no_tuner_could_keep():
    trial = Trial(trial_id="list", values={"units": [1, 2]})
    with pytest.raises(ValueError, match=r"'list'.*units.*Received: values="):
        LearningRateStage().decide([trial])
    with pytest.raises(ValueError, match="`chosen` must map names to values"):
        LearningRateStage().decide([], [0.1])


def test_numbers_of_numpy_become_json():
    chosen = {"learning_rate": np.float64(0.25), "batch_size": np.int64(32)}
    decision = BatchSizeStage(step_cost=1.0, example_cost=0.01).decide([], chosen)
    json.dumps(decision.to_json(), allow_nan=False)
