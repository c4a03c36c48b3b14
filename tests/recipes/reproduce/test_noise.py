"""`noise`: two standard errors, from the seeds or from the images."""

import pytest

from trainwell.recipes.reproduce._noise import noise


def test_over_seeds():
    # Variances 2 and 8 of two seeds each: 2 sqrt(1 + 4).
    assert noise([89.0, 91.0], [86.0, 90.0], 100) == pytest.approx(2 * 5**0.5)


def test_of_one_seed_over_images():
    # 90% and 50% of 100 images: 2 sqrt(9 + 25).
    assert noise([90.0], [50.0], 100) == pytest.approx(2 * 34**0.5)
