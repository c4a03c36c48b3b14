"""The train function of a model: traced anew while it is watched, and given back."""

import weakref
from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from ._keras_private import known_variables


@dataclass
class _Functions:
    """The train functions of one model, and how many watch it."""

    kept: Any
    own: Any = None
    watchers: int = 0


class Retraced:
    """Makes a model trace its training step anew; `undo` brings the old function back.

    With several on one model, the last one to go brings it back.

    Args:
        model: A compiled Keras model.
    """

    _of: ClassVar["weakref.WeakKeyDictionary[Any, _Functions]"] = weakref.WeakKeyDictionary()

    def __init__(self, model: Any) -> None:
        functions = self._of.get(model)
        if functions is None or model.train_function is not functions.own:
            functions = self._of[model] = _Functions(kept=model.train_function)
        model.make_train_function(force=True)
        functions.own = model.train_function
        functions.watchers += 1
        self._model, self._functions = weakref.ref(model), functions

    def undo(self) -> None:
        """Gives the model its old function back, unless it has been compiled anew."""
        model, functions = self._model(), self._functions
        functions.watchers -= 1
        if model is not None and not functions.watchers and model.train_function is functions.own:
            model.train_function = functions.kept


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
