"""Whether a cost falls: verdicts on curves whose answer is known, and their error rates."""

import math

import numpy as np
import pytest

from trainwell.recipes.search._oscillation import course_of, is_hopeless, is_more, summarize
from trainwell.recipes.search._trials import EpochLosses, Trial

NAN, INF = math.nan, math.inf


def trial(*losses, **settings):
    return Trial(trial_id="a", values={}, losses=losses, **settings)


def epochs(means, sd=0.0, steps=100):
    rows = [EpochLosses(steps=steps, mean=m, variance=sd**2, roughness=sd**2) for m in means]
    return trial(*rows)


def word(means, sd=0.0, steps=100):
    return course_of(epochs(means, sd, steps), len(means)).word


def test_summary_by_hand():
    # Losses 1, 3, 2, 4: mean 2.5, squared deviations 2.25 + .25 + .25 + 2.25 over 3,
    # squared differences 4, 1, 4 over 3 and halved. The last loss begins an epoch not completed.
    (summary,) = summarize([1.0, 3.0, 2.0, 4.0, 9.0], 4)
    assert (summary.steps, summary.mean) == (4, 2.5)
    assert summary.variance == pytest.approx(5 / 3)
    assert summary.roughness == pytest.approx(1.5)


def test_summary_of_single_steps_and_of_nothing():
    single = summarize([2.0, 1.0], 1)
    assert [(s.mean, s.variance, s.roughness) for s in single] == [(2.0, 0, 0), (1.0, 0, 0)]
    assert summarize([2.0], 3) == ()
    with pytest.raises(ValueError, match=r"steps_per_epoch=0"):
        summarize([1.0], 0)
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        summarize([[1.0, 2.0]], 1)


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([6, 5, 4, 3, 2, 1], "falls"),
        ([6, 5, 5.5, 4, 3, 2], "falls"),  # one rise is chance
        ([6, 5, 5.5, 4, 4.5, 2], "oscillates"),
        ([6, 5, 4, 5, 6, 7], "rises"),
        ([6, 6, 6, 6, 6, 6], "flat"),
        ([6, 5, NAN, 3, 2, 1], "diverged"),
        ([6, 5, INF, 3, 2, 1], "diverged"),
        # Two rises of a thousandth of the fall: rest, where there is no noise to measure.
        ([6, 2, 1, 1.001, 1, 1.001], "falls"),
    ],
)
def test_words_without_noise(means, expected):
    assert word(means) == expected


def test_a_rise_counts_beyond_two_standard_errors():
    # A deviation of 1 over 100 steps: 0.1 a mean, 0.1414 a difference, 0.2828 two of them.
    assert word([6, 5, 5.29, 4, 4.29, 2], sd=1.0) == "oscillates"
    assert word([6, 5, 5.28, 4, 4.28, 2], sd=1.0) == "falls"
    assert word([6, 5.9, 5.8, 5.73, 5.72, 5.72], sd=1.0) == "flat"
    assert word([6, 5.9, 5.8, 5.73, 5.72, 5.71], sd=1.0) == "falls"
    assert is_more(1.0, 0.0, 0.3, 0.4) is False
    assert is_more(1.0001, 0.0, 0.3, 0.4) is True


def test_only_the_first_epochs_count():
    course = course_of(epochs([6, 5, 4, 9, 9, 9]), 3)
    assert (course.word, course.cost, course.rises) == ("falls", 4, 0)
    assert course_of(epochs([6, 5, 5.5, 4, 4.5, 2]), 6).rises == 2


def test_diverged_and_empty_trials():
    assert course_of(trial(diverged=True), 6).cost == INF
    with pytest.raises(ValueError, match=r"'a' is finished, yet has no losses"):
        course_of(trial(), 6)
    # A variance that overflows is no noise to excuse anything.
    huge = summarize([1.0, 1e200, -1e200, 1.0] * 3, 4)
    assert course_of(trial(*huge), 3).word == "diverged"


def test_an_alternating_loss_oscillates_though_its_means_fall():
    steps = np.arange(300)
    losses = 2 - steps / 300 + 0.5 * (-1.0) ** steps
    assert course_of(trial(*summarize(losses, 50)), 6).word == "oscillates"
    smooth = 2 - steps / 300 + 0.5 * np.random.default_rng(0).normal(size=300)
    assert course_of(trial(*summarize(smooth, 50)), 6).word == "falls"


def noisy(cost, noise, runs, seed):
    generator = np.random.default_rng(seed)
    return cost * generator.gamma(1 / noise**2, noise**2, (runs, len(cost)))


def share_of(words, cost, noise, runs=300, seed=0):
    steps = len(cost) // 6
    rows = noisy(cost, noise, runs, seed)
    return np.mean([course_of(trial(*summarize(r, steps)), 6).word in words for r in rows])


def binomial_bound(share, runs=300):
    return share + 4 * math.sqrt(share * (1 - share) / runs)


T = np.arange(6 * 45) / 45


@pytest.mark.parametrize("noise", [0.1, 0.3, 1.0])
def test_noise_is_not_called_oscillation(noise):
    falling = 0.2 + 2 * np.exp(-T)
    assert share_of(("falls",), falling, noise) > 0.97
    # At rest each of five differences exceeds two of its errors with probability 0.023, and the
    # last mean the first one: together at most 0.023 + 10 * 0.023² = 0.028 for normal means.
    resting = share_of(("rises", "oscillates"), np.ones_like(T), noise)
    assert resting <= binomial_bound(0.028)


def test_swings_are_called_oscillation():
    swing = 1 + 0.6 * np.sin(np.pi * T)
    assert share_of(("oscillates", "rises"), swing, 0.3) > 0.99
    assert share_of(("oscillates", "rises"), swing, 1.0) > 0.8


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], False),
        ([2.3], False),
        ([NAN], True),
        ([2.3, INF], True),
        ([2.3, -INF], True),
        ([2.3, 30.0, 2.5, 2.2], False),
        ([2.3] + [9.0] * 10, False),  # under four times
        ([2.3] + [9.5] * 10, True),
        ([2.3] + [9.5] * 9, False),  # not for ten steps yet
        ([2.0**n for n in range(12)], True),
        ([0.0] + [9.5] * 10, False),  # no ratio to 0
        ([-1.0] + [9.5] * 10, False),
    ],
)
def test_hopeless_by_hand(losses, expected):
    assert is_hopeless(losses) is expected


def test_divergence_is_cut_off_within_an_epoch():
    t = np.arange(45)
    for cost in (1.1**t, 2.0**t, 1e3**t):
        for row in noisy(cost, 0.3, 100, 1):
            assert any(is_hopeless(row[: n + 1]) for n in range(45))


def test_noise_is_not_hopeless():
    for cost in (np.ones(90), 0.2 + 2 * np.exp(-np.arange(90) / 45)):
        cut = [any(is_hopeless(r[: n + 1]) for n in range(90)) for r in noisy(cost, 1.0, 200, 2)]
        assert np.mean(cut) <= 0.03


@pytest.mark.parametrize(("window", "factor"), [(2, 4.0), (10, 1.0), (10, NAN)])
def test_hopeless_bad_arguments(window, factor):
    with pytest.raises(ValueError, match=f"window={window}, factor={factor}"):
        is_hopeless([1.0], window=window, factor=factor)
