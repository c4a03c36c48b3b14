"""One compiled model for all runs that differ in numbers alone: rate, L2, batch size, seeds.

Tracing and compiling a training step takes longer than many a run of a search. Where a new model
is the same as the one before but for these numbers, its initial weights move into the old model,
whose compiled step reads the rate and the strengths from variables.
"""

import hashlib
import json
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ._loss_watch import LossWatch

_STEPS_AT_ONCE = 20
# Put on a model by hand, they are in no configuration.
_METHODS = ("call", "train_step", "test_step", "compute_loss", "compute_metrics")
# What these learn before training is part of the compiled step, or is not in their configuration.
_LOOKUPS = ("TextVectorization", "StringLookup", "IntegerLookup", "Discretization")


class SharedModel:
    """A model with its compiled step, ready for one run.

    Args:
        model: A compiled model, built or not.
        at_once: Boolean. Whether several steps may be run in one call, unseen by callbacks.
        structure: String. What it has in common with others; `None` where it is to be used once.
    """

    def __init__(self, model: Any, at_once: bool, structure: str | None) -> None:
        self.model, self.structure, self.at_once = model, structure, at_once
        if at_once and model.steps_per_execution == 1:
            model.steps_per_execution = _STEPS_AT_ONCE
        self._strengths: list[Any] = []
        if structure is not None:
            self._make_live()
        self.watch = LossWatch(model)

    def _make_live(self) -> None:
        optimizer = self.model.optimizer
        optimizer.build(self.model.trainable_variables)
        self._start = [(variable, variable.numpy()) for variable in optimizer.variables]
        for regularizer in _l2s(self.model):
            variable = tf.Variable(float(regularizer.l2), trainable=False, dtype="float32")
            regularizer.l2 = variable
            self._strengths.append(variable)

    def take_over(self, fresh: Any) -> None:
        """Becomes what a model of the same structure is."""
        for own, its in zip(self.model.variables, fresh.variables, strict=True):
            own.assign(its)
        for variable, value in self._start:
            variable.assign(value)
        self.model.optimizer.learning_rate = float(fresh.optimizer.learning_rate.numpy())
        for variable, regularizer in zip(self._strengths, _l2s(fresh), strict=True):
            variable.assign(regularizer.l2)


def structure_of(model: Any) -> str | None:
    """What a model is but for the numbers that can be moved in; `None` where it can't be told.

    It can where all of it is Keras' or trainwell's own: a function or a class of the user's may
    hold numbers that no configuration shows.
    """
    rate = getattr(model.optimizer, "learning_rate", None)
    if not model.built or not isinstance(rate, keras.Variable) or vars(model).keys() & {*_METHODS}:
        return None
    text = _described(model, numbers=False)
    if text is None:
        return None
    return hashlib.sha256((text + _learned_before(model)).encode()).hexdigest()


def configuration(model: Any) -> str | None:
    """The model with its optimizer, all numbers included, seeds excepted."""
    return _described(model, numbers=True)


def _described(model: Any, numbers: bool) -> str | None:
    """A model's configuration as text, or `None` where not all of it is known."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lambdas are refused here anyway
            config = keras.saving.serialize_keras_object(model)
        return json.dumps(_masked(config, numbers), sort_keys=True)
    # What a configuration of the user's own raises, and JSON where it holds other things.
    except (TypeError, ValueError, NotImplementedError, _ForeignError):
        return None


class _ForeignError(Exception):
    """Something that is not Keras' and not ours."""


def _masked(config: Any, numbers: bool) -> Any:
    if isinstance(config, (list, tuple)):
        return [_masked(item, numbers) for item in config]
    if not isinstance(config, dict):
        return config
    _refuse_foreign(config)
    found = {key: _masked(value, numbers) for key, value in config.items() if key != "seed"}
    inner = found.get("config")
    if numbers or not isinstance(inner, dict):
        return found
    module, name = config.get("module"), config.get("class_name")
    if module == "keras.regularizers" and name == "L2":
        found["config"] = {**inner, "l2": "*"}
    if module == "keras.optimizers" and isinstance(inner.get("learning_rate"), float):
        found["config"] = {**inner, "learning_rate": "*"}
    return found


def _refuse_foreign(config: dict[str, Any]) -> None:
    module, name = str(config.get("module")), config.get("class_name")
    known = module == "None" or module.split(".")[0] in ("keras", "trainwell", "builtins")
    is_lambda = list(config) == ["value"] and isinstance(config["value"], (list, tuple))
    if not known or is_lambda or name in ("function", "__lambda__", *_LOOKUPS):
        raise _ForeignError


def _learned_before(model: Any) -> str:
    """What `adapt` has put into the compiled step as constants."""
    found = hashlib.sha256()
    for layer in _layers(model):
        if isinstance(layer, keras.layers.Normalization):
            for variable in layer.variables:
                found.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return found.hexdigest()


def _layers(model: Any) -> list[Any]:
    found = []
    for layer in model.layers:
        found += [layer, *(_layers(layer) if isinstance(layer, keras.Model) else [])]
    return found


def _l2s(model: Any) -> list[Any]:
    """The L2 penalties of a model's variables, each once."""
    found = {}
    for variable in model.trainable_variables:
        regularizer = getattr(variable, "regularizer", None)
        if type(regularizer) is keras.regularizers.L2:
            found[id(regularizer)] = regularizer
    return list(found.values())
