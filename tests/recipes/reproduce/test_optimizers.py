"""`optimizers`: the ravine against Keras, what a budget buys, exclusive or, what is told."""

import keras
import numpy as np
import pytest

from trainwell.recipes.reproduce import _momentum_and_scale, _ravine, _start_points, optimizers
from trainwell.recipes.reproduce._nielsen import Images
from trainwell.recipes.reproduce.optimizers import Course, at_budget


@pytest.mark.parametrize(
    ("momentum", "nesterov", "steps"), [(0.0, False, 310), (0.9, False, 71), (0.9, True, 23)]
)
def test_the_ways_through_the_ravine_are_those_of_keras(momentum, nesterov, steps):
    found = _ravine.path(momentum, nesterov=nesterov)
    assert len(found) == 1 + steps
    assert _ravine.loss(found[-1]) < 1e-3 <= _ravine.loss(found[-2])
    optimizer = keras.optimizers.SGD(0.01, momentum=momentum, nesterov=nesterov)
    place = keras.Variable(np.ones(2, "float32"))
    for expected in found[1:6]:
        optimizer.apply([np.float32(_ravine.CURVATURE) * place.numpy()], [place])
        np.testing.assert_allclose(place.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_newton_is_there_in_one_step():
    np.testing.assert_allclose(_ravine.newton(np.array([0.3, -2.0])), [0.0, 0.0], atol=1e-12)


def test_a_budget_buys_the_steps_that_it_pays_for():
    course = Course(
        np.array([[1.0, 1.0], [0.5, 0.6], [0.2, 0.3]]),
        np.array([[0.0, 0.0], [20.0, 24.0], [40.0, 48.0]]),
    )
    np.testing.assert_array_equal(at_budget(course, 40), [0.2, 0.6])
    np.testing.assert_array_equal(at_budget(course, 10), [1.0, 1.0])


def test_losses_of_exclusive_or():
    outputs = np.array([[0.0, 1.0, 1.0, 0.0], [0.5] * 4, [0.0, 1.0, 0.5, 0.5]])
    expected = np.log(2) * np.array([0, 1, 0.5])
    np.testing.assert_allclose(_start_points.losses(outputs), expected, atol=1e-9)
    assert _start_points.solved(_start_points.losses(outputs)) == pytest.approx(100 / 3)


def test_an_output_that_cannot_tell_two_inputs_apart_is_not_solved():
    """Equal outputs for a 0 and a 1 cost log 2 each at best: half of it over four examples."""
    apart = np.array([[1e-6, 1 - 1e-6, at, at] for at in np.linspace(0.01, 0.99, 99)])
    assert _start_points.solved(_start_points.losses(apart)) == 0


def test_starts_of_one_spread_are_in_one_row():
    found = _start_points.ends(starts=2, epochs=1)
    assert list(found) == list(_start_points.DEVIATIONS)
    assert all(one.shape == (2,) for one in found.values())
    small = found["N(0, 0.1²)"]
    np.testing.assert_allclose(small, np.log(2), rtol=0.1)  # outputs of about a half


@pytest.mark.parametrize(
    ("plain", "poor", "said"),
    [(1.0, 2.0, "holds here"), (0.1, 2.0, "does not hold"), (1.0, 0.1, "does not hold")],
)
def test_it_takes_both_only_where_each_alone_does_worse(plain, poor, said):
    cells = {(1.0, 0.0): plain, (1.0, 0.9): 0.1, (4.0, 0.0): poor, (4.0, 0.9): poor}
    spread = np.array([-0.01, 0.01])
    told = _momentum_and_scale.told({key: value + spread for key, value in cells.items()})
    assert said in told


@pytest.mark.parametrize(("newton", "said"), [(0.01, "steps holds"), (0.9, "steps does not hold")])
def test_the_numbers_decide_what_is_told_of_newton(newton, said):
    def course(end):
        losses = np.linspace(1.0, end, 11)[:, None]
        return Course(losses, np.arange(11.0)[:, None])

    ends = {"gradient descent": 0.3, "momentum 0.9": 0.2, "Nesterov 0.9": 0.1}
    courses = {name: course(end) for name, end in (ends | {"HessianFree": newton}).items()}
    x = np.zeros((5, 64), "float32")
    told = optimizers._told(
        _ravine.paths(), courses, {name: at_budget(one, 10) for name, one in courses.items()}, 10,
        Images(x, x, x, x, "drawn"),
    )  # fmt: skip
    assert said in told
    assert "momentum 0.9 and Nesterov 0.9 beat gradient descent" in told
    # 65 x 30 + 31 x 10 weights
    assert f"{2260**2 / 1e6:.0f} million" in told


def test_cells_are_by_scale_and_momentum():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 5)).astype("float32")
    y = np.eye(10, dtype="float32")[rng.integers(0, 10, 20)]
    found = _momentum_and_scale.cells(
        Images(x, y, x, y, "drawn"), (1e-3, 1.0), {0.0: (1e-6,)}, [0, 1], epochs=1, batch_size=10
    )
    assert list(found) == [(1e-3, 0.0), (1.0, 0.0)]
    # Weights near 0 give the ten classes equal shares, others do not.
    np.testing.assert_allclose(found[1e-3, 0.0], np.log(10), rtol=1e-5)
    assert np.all(np.abs(found[1.0, 0.0] - np.log(10)) > 1e-4)
