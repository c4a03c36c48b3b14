"""The train function of a model: traced anew while it is watched, and given back."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from ._keras_private import known_variables
from ._optimizer_settings import innermost
from ._patches import Wrap


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
        if model is None or functions.watchers:
            return
        if model.train_function is functions.own:
            model.train_function = functions.kept
        if self._of.get(model) is functions:
            del self._of[model]  # its functions hold the model, which would never go


def before_later_training(model: Any, detach: Callable[[], None]) -> Wrap:
    """What to put over `make_train_function`, so that later training begins with `detach`.

    An exception ends `fit` without telling its callbacks; training that begins later asks for a
    train function. (By force only a monitor does, within the same `fit`.)
    """

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def make_train_function(force: bool = False) -> Any:
            if force:
                return original(force=True)
            traced = model.train_function
            detach()
            if model.train_function is traced:
                # Held by a monitor that is still hooked in, with what has gone traced into it.
                model.train_function = None
            return model.make_train_function()

        return make_train_function

    return wrap


def check_retrace(model: Any, who: str) -> None:
    """Refuses a model whose training step would be another if it were traced anew."""
    if retrace_would_change(model):
        raise ValueError(
            f"{who} traces the training step anew, but the trainable variables are not those that "
            "the optimizer was built with. Call `model.compile(...)` after switching `trainable`."
        )


def retrace_would_change(model: Any) -> bool:
    """Whether tracing the train step anew would train other variables than the cached one does.

    That is so where `trainable` was switched after the first `fit` without compiling again: the
    cached function goes on with the old variables, a new one would raise or leave some out.
    """
    inner = innermost(model.optimizer)
    if not inner.built or type(model).train_step is not keras.Model.train_step:
        return False
    now = {id(variable) for variable in model.trainable_variables}
    return now != {id(variable) for variable in known_variables(inner)}
