"""What a step and an example cost, from timings."""

import numpy as np
import pytest

from trainwell.recipes.search._step_cost import costs_from, measure
from trainwell.recipes.search.stages import BatchSizeStage


def test_two_exact_timings():
    # 0.003 = 0.002 + 10 * 0.0001, 0.012 = 0.002 + 100 * 0.0001.
    assert costs_from([(10, 0.003), (100, 0.012)]) == pytest.approx((0.002, 0.0001))


def test_the_shortest_round_counts():
    slow = [(10, 0.3), (100, 0.012), (10, 0.003), (100, 5.0)]
    assert costs_from(slow) == pytest.approx((0.002, 0.0001))
    assert costs_from(reversed(slow)) == costs_from(slow)


def test_the_squares_are_of_relative_errors():
    generator = np.random.default_rng(0)
    sizes = np.array([1, 8, 64, 512])
    seconds = (0.002 + 1e-4 * sizes) * generator.uniform(0.9, 1.1, 4)
    # The normal equations of errors divided by the time.
    rows = np.stack([1 / seconds, sizes / seconds], axis=1)
    expected = np.linalg.solve(rows.T @ rows, rows.T @ np.ones(4))
    found = costs_from(zip(sizes.tolist(), seconds.tolist(), strict=True))
    assert found == pytest.approx(tuple(expected))
    scaled = costs_from(zip(sizes.tolist(), (60 * seconds).tolist(), strict=True))
    assert scaled == pytest.approx([60 * cost for cost in found])


def test_no_cost_is_below_zero():
    # Larger batches are faster: a step costs the mean of the inverse over that of its square.
    step, example = costs_from([(10, 2.0), (100, 1.0)])
    assert (step, example) == (pytest.approx((1 / 2 + 1) / (1 / 4 + 1)), 0.0)
    # More than proportional: a line through 0.
    step, example = costs_from([(1, 1.0), (10, 100.0)])
    assert (step, example) == (0.0, pytest.approx((1 + 0.1) / (1 + 0.01)))
    assert BatchSizeStage(step_cost=step, example_cost=example).cost(5, 10) == 10 * example


@pytest.mark.parametrize("timings", [[], [(10, 1.0)], [(10, 1.0), (10, 2.0)]])
def test_one_size_tells_nothing(timings):
    with pytest.raises(ValueError, match="at least two batch sizes"):
        costs_from(timings)


@pytest.mark.parametrize("timing", [(0, 1.0), (10, 0.0), (10, float("nan")), (10, float("inf"))])
def test_bad_timings(timing):
    with pytest.raises(ValueError, match=r"above 0\. Received: "):
        costs_from([(1, 1.0), timing])


class Counting:
    """A model whose steps take 2 units and 0.1 an example, the first of a size 100 more."""

    def __init__(self):
        self.now, self.seen = 0.0, []

    def train_on_batch(self, x, y):
        assert len(x) == len(y)
        self.now += 2 + 0.1 * len(x) + 100 * (len(x) not in self.seen)
        self.seen.append(len(x))


def test_measure_takes_turns_after_a_warm_up():
    model = Counting()
    timings = measure(
        model,
        [4, 8],
        lambda size: (np.zeros((size, 1)), np.zeros(size)),
        rounds=2,
        steps=3,
        clock=lambda: model.now,
    )
    assert model.seen == [4, 4, 8, 8] + 2 * [4, 4, 4, 8, 8, 8]
    assert [size for size, _ in timings] == [4, 8, 4, 8]
    assert costs_from(timings) == pytest.approx((2, 0.1))


def test_measure_a_real_model():
    import keras

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    batch = lambda size: (np.zeros((size, 3)), np.zeros((size, 1)))  # noqa: E731
    timings = measure(model, [2, 64], batch, rounds=1, steps=2)
    assert all(cost >= 0 for cost in costs_from(timings))
    assert [size for size, _ in timings] == [2, 64]
