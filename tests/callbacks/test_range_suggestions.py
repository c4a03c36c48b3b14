"""What a range test suggests, on curves whose answers can be told by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest

from trainwell.callbacks._range_suggestions import (
    SUGGESTIONS,
    Course,
    half_threshold,
    rises_and_falls,
    slide,
    steepest,
    suggest,
    tenth_of_minimum,
    valley,
)


def rates(count, lowest=1e-3, ratio=2.0):
    return lowest * ratio ** np.arange(count)


def course_of(losses, steps=None, smoothing=0.0, stop_factor=4.0):
    course = Course(steps or len(losses), smoothing, stop_factor)
    for rate, loss in zip(rates(len(losses)), losses, strict=True):
        course.add(float(rate), float(loss))
    return course


def suggested(losses, smoothing=0.0, **options):
    course = course_of(losses, smoothing=smoothing, **options)
    return suggest(course, options.get("steps") or len(losses), smoothing)


# Ten flat, ten falling by 0.1, five rising by 0.1.
VEE = np.concatenate([np.full(10, 2.0), 2.0 - 0.1 * np.arange(1, 11), 1.0 + 0.1 * np.arange(1, 6)])


def test_the_moving_average_by_hand():
    # 2; (0.5 * 2 * 0.5 + 0.5 * 4) / 0.75; (0.125 * 2 + 0.25 * 4 + 0.5 * 8) / 0.875
    course = course_of([2.0, 4.0, 8.0], steps=20, smoothing=0.5)
    np.testing.assert_allclose(course.smoothed, [2, 2.5 / 0.75, 5.25 / 0.875])
    np.testing.assert_allclose(course_of(VEE).smoothed, VEE)  # no smoothing at all


@pytest.mark.parametrize("smoothing", [0.5, 0.9, 0.98])
def test_the_moving_average_is_the_weighted_mean(smoothing):
    losses = np.random.default_rng(0).uniform(1, 2, 30)
    at = np.arange(30)
    weights = np.where(at[:, None] >= at, smoothing ** (at[:, None] - at), 0.0)
    expected = weights @ losses / weights.sum(axis=1)
    np.testing.assert_allclose(course_of(losses, smoothing=smoothing).smoothed, expected)


def test_a_course_ends_where_the_loss_is_four_times_the_smallest():
    course = course_of([*[1.0] * 10, 0.5, 2.0, 2.001, 1.0], steps=20)
    assert (course.ended, len(course.losses), course.losses[-1]) == ("diverged", 13, 2.001)
    assert course_of([*[1.0] * 10, 0.5, 100.0], steps=20, stop_factor=math.inf).ended == "early"


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_course_ends_at_once_where_the_loss_is_not_finite(loss):
    course = course_of([1.0, loss, 1.0], steps=20, stop_factor=math.inf)
    assert (course.ended, len(course.losses)) == ("non_finite", 2)
    assert math.isnan(course.smoothed[1])


def test_a_lucky_first_batch_is_not_what_the_rest_is_held_against():
    assert course_of([0.01, 0.02, *[1.0] * 10], steps=20, smoothing=0.5).ended == "early"


def test_a_negative_loss_may_go_on_falling():
    # A log-likelihood of -1 is not "larger than 4 times" -1.
    assert course_of(-1.0 - 0.1 * np.arange(20)).ended == "highest"
    assert course_of([*[-1.0] * 10, 2.1], steps=20).ended == "diverged"  # -1 + 3 * 1


def test_a_course_ends_after_its_steps():
    assert course_of(np.ones(20)).ended == "highest"
    assert course_of(np.ones(19), steps=20).ended == "early"


def test_valley():
    # Falls from point 9 (2.0) to point 19 (1.0): 11 points, from 19 - 11 on; thirds of 3.67:
    # point 8 + 3 + 1.
    assert valley(rates(25), VEE) == rates(25)[12]
    # The longest falling subsequence skips what rises: 9, 7, 6, 5, 3 ends at point 7, 5 long.
    assert valley(rates(9), np.array([9, 7, 8, 6, 10, 5, 11, 3, 12.0])) == rates(9)[7 - 5 + 1 + 0]
    # All six fall: from -1 on, as in fastai.
    assert valley(rates(6), np.arange(6, 0, -1.0)) == rates(6)[-1 + 2 + 1]
    assert valley(rates(5), np.arange(5.0)) is None
    assert valley(rates(5), np.ones(5)) is None
    assert valley(rates(2), np.array([2.0, 1.0])) is None


def test_valley_finds_the_longest_falling_subsequence():
    """Against trying all of them."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        losses = generator.integers(0, 6, 9).astype(float)
        best = max(
            (
                (len(chosen), -chosen[-1])
                for bits in range(1, 2**9)
                if (chosen := [i for i in range(9) if bits >> i & 1])
                and all(losses[a] > losses[b] for a, b in pairwise(chosen))
            ),
        )
        length, end = best[0], -best[1]
        at = end - length + length // 3 + int(length / 6)
        expected = None if length == 1 else rates(9)[at]
        assert valley(rates(9), losses) == expected


def test_steepest():
    losses = np.array([5.0, 4.9, 4.0, 3.5, 3.4, 9.0])
    assert steepest(rates(6), losses) == rates(6)[1]  # from 4.9 to 4.0
    # Per factor of the rate: 0.9 over a factor of 1000 is less than 0.5 over one of 2.
    assert steepest(np.array([1e-6, 1e-3, 2e-3]), np.array([2.0, 1.1, 0.6])) == 1e-3
    assert steepest(rates(3), np.array([1.0, 1.0, 2.0])) is None
    assert steepest(rates(1), np.ones(1)) is None


def test_tenth_of_minimum():
    assert tenth_of_minimum(rates(25), VEE) == pytest.approx(rates(25)[19] / 10)


def test_slide():
    # 20 flat, then 10 rising by 1: slopes 0 up to point 18, 0.5 at 19, 1 from 20 on. Pairs
    # (14, 29) down to (4, 19) differ, (3, 18) does not.
    losses = np.concatenate([np.zeros(20), np.arange(1, 11.0)])
    assert slide(rates(30), losses) == rates(30)[4]
    assert slide(rates(30), np.zeros(30)) is None  # flat at the right end too
    assert slide(rates(16), np.arange(16.0) ** 2) is None  # too few
    assert slide(rates(30), np.arange(30.0) ** 2) is None  # steeper and steeper from the left on


def test_half_threshold():
    # The smallest loss stands at point 19, after the update at rate 18.
    assert half_threshold(rates(25), VEE, first=2) == pytest.approx(rates(25)[18] / 2)
    # The warm-up does not count, nor does a fall after the rise.
    losses = np.array([0.1, 3.0, 2.0, 1.0, 5.0, 4.0, 9.0])
    assert half_threshold(rates(7), losses, first=1) == pytest.approx(rates(7)[2] / 2)


def test_all_suggestions_of_a_curve():
    found, reasons = suggested(VEE)
    middle = slice(2, 20)  # without the first tenth and the last five
    assert found == {
        "valley": valley(rates(25)[middle], VEE[middle]),
        "steepest": found["steepest"],
        "tenth_of_minimum": pytest.approx(rates(25)[19] / 10),
        "slide": slide(rates(25)[middle], VEE[middle]),
        "half_threshold": pytest.approx(rates(25)[18] / 2),
    }
    assert rates(25)[9] <= found["steepest"] <= rates(25)[18]
    assert list(found) == list(SUGGESTIONS)
    assert set(reasons) == {name for name, rate in found.items() if rate is None}


def test_a_loss_that_never_rises_has_no_threshold():
    found, reasons = suggested(2 - 0.05 * np.arange(30))
    assert found["valley"] and found["steepest"]
    for name in ("tenth_of_minimum", "half_threshold"):
        assert found[name] is None
        assert "raise `highest`" in reasons[name]


def test_a_loss_that_ends_at_nan_has_a_threshold():
    found, _ = suggested([*(2 - 0.05 * np.arange(30)), math.nan])
    assert found["half_threshold"] == pytest.approx(rates(30)[28] / 2)


@pytest.mark.parametrize("losses", [np.ones(30), 1 + 0.05 * np.arange(30)], ids=["flat", "rising"])
def test_a_loss_that_never_falls_suggests_nothing(losses):
    found, reasons = suggested(losses)
    assert set(found.values()) == {None}
    assert all("never fell" in reason for reason in reasons.values())


def test_too_few_losses_suggest_nothing():
    found, reasons = suggested([1.0, 2.0, math.nan], steps=20)
    assert set(found.values()) == {None}
    assert "stayed finite for 2 of 20 steps" in reasons["valley"]
    found, reasons = suggested([1.0, 2.0], steps=20)
    assert "only 2 of 20 rates were tried" in reasons["slide"]


@pytest.mark.parametrize("smoothing", [0.0, 0.9, 0.98])
@pytest.mark.parametrize("noise", ["normal", "exponential"])
def test_noise_alone_is_seldom_taken_for_a_fall(smoothing, noise):
    """Of 1000 curves that do nothing. Were 2 in 100 taken for falls, at most 8 would be seen with
    probability 0.002 (Poisson with mean 20).
    """
    generator = np.random.default_rng(0)
    falls = 0
    for _ in range(1000):
        losses = 5 + getattr(generator, noise)(size=100)
        smoothed = np.array(course_of(losses, smoothing=smoothing).smoothed)
        falls += rises_and_falls(losses, smoothed, 10, smoothing)[0]
    assert falls <= 8


@pytest.mark.parametrize("smoothing", [0.0, 0.9, 0.98])
def test_a_fall_of_twice_the_noise_is_seen(smoothing):
    generator = np.random.default_rng(0)
    trend = 5 - np.clip((np.arange(100) - 30) / 20, 0, 2)
    falls = 0
    for _ in range(100):
        losses = trend + generator.normal(scale=1 / 3, size=100)
        smoothed = np.array(course_of(losses, smoothing=smoothing).smoothed)
        falls += rises_and_falls(losses, smoothed, 10, smoothing)[0]
    assert falls >= 97
