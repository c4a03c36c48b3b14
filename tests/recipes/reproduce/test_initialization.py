"""`initialization`: the deviation of z as the text computes it."""

import math

import numpy as np
import pytest

from trainwell.recipes.reproduce.initialization import (
    _ahead,
    _told,
    pre_activations,
    run,
    saturated,
)
from trainwell.recipes.reproduce.outcome import Setting

_NAMES = {"1 / sqrt(n)": math.sqrt(1.5), "N(0, 1)": math.sqrt(501)}


@pytest.mark.parametrize("name", list(_NAMES))
def test_z_has_the_texts_deviation(name):
    z = np.concatenate([pre_activations(name, seed) for seed in range(3)])
    # A sample's deviation has itself one of about 1 / sqrt(2 n) of its size.
    assert z.std() == pytest.approx(_NAMES[name], rel=5 / math.sqrt(2 * len(z)))
    assert abs(z.mean()) < 5 * _NAMES[name] / math.sqrt(len(z))


def test_share_of_saturated_units_is_the_normal_distributions():
    z = np.concatenate([pre_activations("N(0, 1)", seed) for seed in range(3)])
    # sigma' = 0.25 (1 - tanh²(z / 2)) is under 1% of 0.25 from 2 artanh(sqrt(0.99)) on.
    expected = math.erfc(2 * math.atanh(math.sqrt(0.99)) / math.sqrt(2 * 501))
    error = math.sqrt(expected * (1 - expected) / len(z))
    assert saturated(z).mean() == pytest.approx(expected, abs=5 * error)
    assert not saturated(pre_activations("1 / sqrt(n)", 0)).any()  # 4.9 deviations out


def test_saturated_is_told_on_both_sides():
    assert saturated(np.array([-6.0, -5.9, 0.0, 5.9, 6.0])).tolist() == [1, 0, 0, 0, 1]


def test_what_is_told_turns_with_the_numbers():
    assert _ahead(np.array([1.0, 3.0])) == "2.0 points ahead"
    assert _ahead(np.array([-1.0, -1.0])) == "1.0 points behind"
    assert _ahead(np.array([-1.0, 4.0])) == "1.5 points ahead (not with every seed)"


def test_told_names_both_ends_of_the_curves():
    z = {name: pre_activations(name, 0)[None] for name in _NAMES}
    one, other = np.array([[80.0], [90.0]]), np.array([[70.0], [95.0]])
    curves = {(units, name): curve for units in (30, 100)
              for name, curve in zip(_NAMES, (one, other), strict=True)}  # fmt: skip

    class Data:
        name = "digits"

    told = _told(z, curves, Data())
    assert "with 30 units 1 / sqrt(n) is 10.0 points ahead after one epoch" in told
    assert "and 5.0 points behind after 2." in told


def test_small_run_on_digits():
    outcome = run(Setting(quick=True, seeds=1, data="digits"))
    rows = {row.what: row for row in outcome.rows}
    for units in (30, 100):
        for name in _NAMES:
            # 287 images are held out: far above what guessing gives.
            accuracy = rows[f"{units} units, {name}, epoch 10"].mean / 100
            assert accuracy > 0.1 + 5 * math.sqrt(0.1 * 0.9 / 287)
    assert rows["mean slope, 1 / sqrt(n)"].mean > 5 * rows["mean slope, N(0, 1)"].mean
    assert set(outcome.figures) == {"z", "accuracy"}
