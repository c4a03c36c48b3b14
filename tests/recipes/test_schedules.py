"""`PowerDecay` and `Warmup`, against their equations and Keras' own schedules."""

import math

import keras
import numpy as np
import pytest

from trainwell.recipes.mlp import mlp
from trainwell.recipes.schedules import PowerDecay, Warmup

SCHEDULES = keras.optimizers.schedules
STEPS = np.array([0, 1, 7, 100, 12_345])


def rates(schedule, steps=STEPS):
    return np.array([float(schedule(int(step))) for step in steps])


@pytest.mark.parametrize("power", [0.5, 1, 1.7, 3])
def test_power_decay_by_its_equation(power):
    expected = 0.8 / (1 + STEPS / 50) ** power
    np.testing.assert_allclose(rates(PowerDecay(0.8, 50, power)), expected, rtol=1e-5)


def test_power_1_is_inverse_time_decay():
    theirs = SCHEDULES.InverseTimeDecay(0.8, decay_steps=50, decay_rate=1.0)
    np.testing.assert_allclose(rates(PowerDecay(0.8, 50)), rates(theirs), rtol=1e-6)


def test_warmup_by_hand():
    schedule = Warmup(PowerDecay(0.8, decay_steps=100), steps=10, start_factor=0.5)
    np.testing.assert_allclose(rates(schedule, [0, 5, 10, 110]), [0.4, 0.6, 0.8, 0.4], rtol=1e-6)
    constant = rates(Warmup(0.2, 4, start_factor=0.0), [0, 1, 3, 4, 5, 1000])
    np.testing.assert_allclose(constant, [0, 0.05, 0.15, 0.2, 0.2, 0.2], rtol=1e-6)
    assert float(Warmup(0.2, 4)(0)) == pytest.approx(0.02)


def test_warmup_of_cosine_decay_is_keras_own():
    ours = Warmup(SCHEDULES.CosineDecay(0.4, 20), 8, start_factor=0.25)
    theirs = SCHEDULES.CosineDecay(0.1, 20, warmup_target=0.4, warmup_steps=8)
    np.testing.assert_allclose(rates(ours, range(35)), rates(theirs, range(35)), rtol=1e-5)


class Recorded(SCHEDULES.LearningRateSchedule):
    def __init__(self):
        self.steps = []

    def __call__(self, step):
        self.steps.append(float(step))
        return 0.1


def test_no_schedule_is_asked_for_a_step_before_0():
    inner = Recorded()
    rates(Warmup(inner, steps=10), [0, 3, 10, 12])
    assert min(inner.steps) == 0
    assert max(inner.steps) == 2


def fitted(model, epochs, initial_epoch=0):
    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    y = np.arange(32) % 3
    model.fit(x, y, 8, epochs, verbose=0, shuffle=False, initial_epoch=initial_epoch)
    return model.get_weights()


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    "schedule",
    [PowerDecay(0.5, 3, 0.7), Warmup(Warmup(PowerDecay(0.5, 3), 2), 3), Warmup(0.5, 6)],
    ids=["power", "nested", "constant"],
)
def test_saved_loaded_and_resumed(schedule, jit, tmp_path):
    """Four epochs in a row, and two, saved, loaded, two more: bit for bit the same."""
    path = tmp_path / "model.keras"

    def compiled():
        model = mlp(4, [5], 3, seed=0)
        optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
        model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=jit)
        return model

    straight = fitted(compiled(), 4)
    first = compiled()
    fitted(first, 2)
    first.save(path)
    loaded = keras.models.load_model(path)
    for one, other in zip(straight, fitted(loaded, 4, initial_epoch=2), strict=True):
        np.testing.assert_array_equal(one, other)
    # The rate of the next step, after 4 epochs of 4.
    assert float(loaded.optimizer.learning_rate) == pytest.approx(float(schedule(16)))


@pytest.mark.parametrize("schedule", [PowerDecay(0.5, 3, 0.7), Warmup(PowerDecay(0.5, 3), 2)])
def test_configuration(schedule):
    again = SCHEDULES.deserialize(SCHEDULES.serialize(schedule))
    assert again.get_config() == schedule.get_config()
    np.testing.assert_array_equal(rates(again), rates(schedule))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PowerDecay(0, 10), r"`initial_learning_rate` .* above 0\. Received: .*=0"),
        (lambda: PowerDecay(math.inf, 10), r"initial_learning_rate=inf"),
        (lambda: PowerDecay(None, 10), r"initial_learning_rate=None"),
        (lambda: PowerDecay(0.1, 0), r"`decay_steps` must be .* Received: decay_steps=0"),
        (lambda: PowerDecay(0.1, 10, -1), r"`power` must be .* Received: power=-1"),
        (lambda: PowerDecay(0.1, 10, math.nan), r"power=nan"),
        (lambda: Warmup("cosine", 10), r"or a Keras schedule.*Received: schedule='cosine'"),
        (lambda: Warmup(-0.1, 10), r"schedule=-0\.1"),
        (lambda: Warmup(0.1, 0), r"`steps` must be a whole .* Received: steps=0\. An epoch"),
        (lambda: Warmup(0.1, 2.5), r"steps=2\.5"),
        (lambda: Warmup(0.1, None), r"steps=None"),
        (lambda: Warmup(0.1, 10, 1.5), r"in \[0, 1\]\. Received: start_factor=1\.5"),
        (lambda: Warmup(0.1, 10, "0"), r"start_factor='0'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
