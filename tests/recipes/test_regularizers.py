"""`nielsen_l2`."""

import math

import keras
import numpy as np
import pytest

from trainwell.recipes.mlp import mlp
from trainwell.recipes.regularizers import nielsen_l2


def test_his_units():
    penalty = nielsen_l2(5.0, 50_000)
    assert isinstance(penalty, keras.regularizers.L2)
    assert float(penalty(np.array([3.0, 4.0]))) == pytest.approx(5 / 100_000 * 25)
    assert float(nielsen_l2(0, 10)(np.array([3.0]))) == 0
    # NumPy's numbers, as a search hands them on.
    assert float(nielsen_l2(np.float32(2), np.int64(4))(np.array([2.0]))) == 1


def test_one_step_decays_weights_by_eta_lambda_over_n():
    """Nielsen's rule: w -> (1 - eta lam / n) w - eta gradient; here the gradient is 0."""
    model = mlp(3, [4], 2, kernel_regularizer=nielsen_l2(10.0, 100), seed=0)
    model.compile(keras.optimizers.SGD(0.5), lambda y, p: keras.ops.sum(0.0 * p))
    before = [w.numpy() for w in model.weights]
    model.train_on_batch(np.ones((1, 3)), np.zeros((1, 2)))
    for variable, old in zip(model.weights, before, strict=True):
        factor = 1 - 0.5 * 10 / 100 if variable.name == "kernel" else 1
        np.testing.assert_allclose(variable.numpy(), factor * old, rtol=1e-6)


def test_saves_and_loads(tmp_path):
    model = mlp(3, [4], 2, kernel_regularizer=nielsen_l2(5.0, 1000), seed=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("output").kernel_regularizer.l2 == pytest.approx(0.0025)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 10), r"from 0 on\. Received: lam=-1\. 0 is no penalty"),
        ((math.nan, 10), r"Received: lam=nan"),
        ((math.inf, 10), r"Received: lam=inf"),
        (("1", 10), r"Received: lam='1'"),
        ((True, 10), r"Received: lam=True"),
        ((1, 0), r"positive integer\. Received: samples=0\. Pass len\(x_train\)"),
        ((1, 10.0), r"Received: samples=10\.0"),
        ((1, None), r"Received: samples=None"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        nielsen_l2(*arguments)
