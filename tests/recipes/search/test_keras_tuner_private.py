"""Each private name of KerasTuner that the search relies on is still there, and does the same."""

import inspect

import keras_tuner
import pytest

from trainwell.recipes.search import _keras_tuner_private as private


@pytest.mark.parametrize("name", [private.ORACLE_FILE, private.SAVE_TRIAL])
def test_of_an_oracle(name):
    assert callable(getattr(keras_tuner.Oracle, name))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (private.TUNER_FILE, ["self"]),
        (private.RUN_TRIAL, ["self", "trial", "fit_args", "fit_kwargs"]),
        (private.BUILD, ["self", "hp"]),
        (private.COPIED_CALLBACKS, ["self", "callbacks"]),
        (private.TENSORBOARD_FOLDERS, ["self", "callbacks", "trial", "execution"]),
        (private.CHECKPOINT_FILE, ["self", "trial_id"]),
        (private.BUILD_CONFIG_FILE, ["self", "trial_id"]),
    ],
)
def test_of_a_tuner(name, parameters):
    method = getattr(keras_tuner.Tuner, name)
    assert list(inspect.signature(method).parameters) == parameters


def test_who_calls_what_is_replaced():
    tuner, oracle = keras_tuner.engine.base_tuner.BaseTuner, keras_tuner.Oracle
    assert f"self.{private.RUN_TRIAL}(" in inspect.getsource(tuner._try_run_and_update_trial)
    assert f"self.{private.TUNER_FILE}()" in inspect.getsource(tuner.__init__)
    assert inspect.getsource(inspect.getmodule(oracle)).count(f"self.{private.SAVE_TRIAL}(") == 3


def test_the_queue_and_the_counts():
    oracle = keras_tuner.Oracle(objective="val_loss")
    assert private.retry_queue(oracle) == []


def test_the_callback_and_the_service():
    assert list(inspect.signature(private.tuner_callback()).parameters) == ["tuner", "trial"]
    make, add = private.servicer()
    assert list(inspect.signature(make).parameters) == ["oracle"]
    assert callable(add)
