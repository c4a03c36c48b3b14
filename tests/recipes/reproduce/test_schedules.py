"""`schedules`: the rates that a person can compute, and what is told."""

import numpy as np
import pytest

from trainwell.callbacks.halve_on_plateau import HalveOnPlateau
from trainwell.callbacks.one_cycle import OneCycle
from trainwell.recipes.reproduce import schedules
from trainwell.recipes.reproduce.schedules import Data, Training, first_epoch, schedule


def at(name, step):
    """25 epochs of 40 steps, from 0.1."""
    given, callbacks = schedule(name, 0.1, 25, 40)
    assert callbacks == []
    return float(given(step))


def test_piecewise_changes_where_gerons_does():
    rates = [at("piecewise", step) for step in (0, 200, 201, 600, 601, 999)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.05, 0.05, 0.01, 0.01], rtol=1e-6)


def test_exponential_is_a_tenth_after_20_of_25_epochs():
    assert at("exponential", 0) == pytest.approx(0.1)
    assert at("exponential", 800) == pytest.approx(0.01)


def test_power_ends_where_gerons_does():
    """1e-4 a step over 25 epochs of 1,719 steps: 0.01 / (1 + 4.3)."""
    assert at("power", 1_000) == pytest.approx(0.1 / (1 + 25 * 1_719 * 1e-4), rel=2e-3)


def test_the_others_are_callbacks_on_a_rate():
    assert schedule("constant", 0.1, 25, 40) == (0.1, [])
    rate, (plateau,) = schedule("plateau", 0.1, 25, 40)
    assert rate == 0.1
    assert isinstance(plateau, HalveOnPlateau)
    assert plateau.patience == 5
    rate, (cycle,) = schedule("1cycle", 0.1, 25, 40)
    assert isinstance(cycle, OneCycle)
    assert cycle.max_learning_rate == rate == 0.1


def training(*validation, test=90.0):
    values = np.array(validation, "float64")
    return Training(np.full(len(values), 0.1), values, test)


def test_the_first_epoch_at_the_goal_counts_and_the_last_where_there_is_none():
    found = first_epoch([training(50, 80, 85), training(50, 60, 70)], 80.0)
    assert found == [2.0, 3.0]


def test_one_training_has_a_rate_and_an_accuracy_for_each_epoch():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 6)).astype("float32"), rng.integers(0, 10, 64)
    data = Data(x, y, x, y, x, y, "drawn")
    found = schedules._trained("exponential", 0.1, 0, data, 5)
    np.testing.assert_allclose(found.rates, 0.1 ** (1 + np.arange(1, 6) / 4), rtol=1e-5)
    assert len(found.validation) == 5
    assert found.test == pytest.approx(found.validation[-1], abs=1e-4)


@pytest.mark.parametrize(
    ("constant", "said"),
    [(85.0, "holds here for all of them"), (95.0, "does not hold here"), (90.5, "only for 1cycle")],
)
def test_the_numbers_decide_what_is_told(constant, said):
    chosen = {name: [training(90, test=90.0)] for name in schedules._NAMES}
    chosen["constant"] = [training(90, test=constant)]
    chosen["1cycle"] = [training(90, test=91.0)]
    x = np.zeros((10**6, 1), "int8")  # images judged, so many that a point is no noise
    told = schedules._told(
        chosen, {name: [1.0] for name in chosen}, 90.0, 1, Data(x, x, x, x, x, x, "drawn")
    )
    assert said in told
    assert "it is 1.0 points" in told
