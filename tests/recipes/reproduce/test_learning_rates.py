"""`learning-rates`: the cost with its penalty, how it swings, and what is said of them."""

import numpy as np
import pytest

from trainwell.recipes.replicate import replicate
from trainwell.recipes.reproduce._nielsen import Images, compiled, network
from trainwell.recipes.reproduce.learning_rates import _told, cost_of, run, upwards
from trainwell.recipes.reproduce.outcome import Setting


def test_cost_is_what_keras_evaluates():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(40, 6)).astype("float32")
    y = np.eye(10, dtype="float32")[rng.integers(0, 10, 40)]
    replicas = replicate(lambda seed: compiled(network(seed, [5], 6, 40, lam=2.0)), [0, 1])
    expected = [model.evaluate(x, y, verbose=0)[0] for model in replicas.models]
    np.testing.assert_allclose(cost_of(replicas, x, y), expected, rtol=1e-5)
    # lambda / (2 n) sum(w²) is in it.
    weights = [sum(float((w**2).sum()) for w in one.get_weights() if w.ndim == 2)
               for one in replicas.models]  # fmt: skip
    bare = replicas.evaluate(x, y)["loss"]
    np.testing.assert_allclose(cost_of(replicas, x, y) - bare, np.array(weights) / 40, rtol=1e-4)


def test_upwards_by_hand():
    costs = np.array([[3.0, 3.0, 3.0], [2.0, 4.0, 2.0], [2.5, 3.0, 1.0], [1.0, 4.0, 0.5]])
    # 0.5 of 1 + 0.5 + 1.5; 2 of 3; none of 2.5.
    np.testing.assert_allclose(upwards(costs), [100 / 6, 200 / 3, 0])


@pytest.fixture
def data():
    return Images(np.zeros((7, 1)), np.zeros((7, 10)), None, None, "digits")


def test_what_is_told_turns_with_the_numbers(data):
    falling = np.array([[1.0], [0.8], [0.6], [0.5]])
    fast, wild = np.array([[0.5], [0.4], [0.41], [0.3]]), np.array([[1.0], [2.0], [0.9], [1.5]])
    told = _told({0.025: falling, 0.25: fast, 2.5: wild}, data)
    assert told.count("does not hold here") == 0 and told.count(" holds") == 4
    assert "needs 4 epochs for what 0.25 does in one" in told
    told = _told({0.025: wild, 0.25: wild, 2.5: falling}, data)
    assert told.count("does not hold here") == 4 and " holds" not in told


def test_small_run_on_digits():
    outcome = run(Setting(quick=True, seeds=1, data="digits"))
    costs = {float(rate): np.array(cost) for rate, cost in outcome.summary["costs"].items()}
    # Steps of a tenth of the size: one epoch goes less far than one at 0.25, and never up.
    assert upwards(costs[0.025]) == 0
    assert costs[0.025][0] > costs[0.25][0]
    rows = {row.what: row for row in outcome.rows}
    assert rows["rate 2.5: cost after epoch 10"].ours == costs[2.5][-1].tolist()
    assert all(row.text is None for row in outcome.rows)  # the text has no digits
    assert set(outcome.figures) == {"cost"}
