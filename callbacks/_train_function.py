"""The train function of a model: traced anew while it is watched, and given back."""

import weakref
from typing import Any

import keras

from ._keras_private import known_variables


class Retraced:
    """Makes a model trace its training step anew, until `undo` brings the old function back.

    Args:
        model: A compiled Keras model.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._kept = weakref.ref(model), model.train_function
        model.make_train_function(force=True)
        self._own = model.train_function

    def undo(self) -> None:
        """Gives the model its old function back, unless it has been compiled anew."""
        model = self._model()
        if model is not None and model.train_function is self._own:
            model.train_function = self._kept


def retrace_would_change(model: Any) -> bool:
    """Whether tracing the train step anew would train other variables than the cached one does.

    That is so where `trainable` was switched after the first `fit` without compiling again: the
    cached function goes on with the old variables, a new one would raise or leave some out.
    """
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not inner.built or type(model).train_step is not keras.Model.train_step:
        return False
    now = {id(variable) for variable in model.trainable_variables}
    return now != {id(variable) for variable in known_variables(inner)}
