"""Dropout as in training, in a model that otherwise predicts; and seeds for it."""

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ..callbacks._layer_activations import layers_within
from ..callbacks._patches import Patches
from ._arguments import layer_seed

RATES = ("rate", "dropout", "recurrent_dropout")
_DROPOUTS = (keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianDropout)

_ONE_AT_A_TIME = threading.RLock()


def dropouts(model: Any) -> list[Any]:
    """The layers that drop out in training, recurrent ones with a rate among them."""
    return [layer for layer in layers_within(model) if _drops(layer)]


def _drops(layer: Any) -> bool:
    cell = getattr(layer, "cell", None)
    if not isinstance(layer, keras.layers.RNN) or cell is None:
        return isinstance(layer, _DROPOUTS)
    cells = [cell, *getattr(cell, "cells", ())]
    return any(getattr(one, rate, 0) for one in cells for rate in RATES)


@contextmanager
def dropout_active(model: Any) -> Iterator[None]:
    """Calls the model's dropout layers as in training; the others as they are asked."""
    patches = Patches()
    with _ONE_AT_A_TIME:
        try:
            for layer in dropouts(model):
                # A layer without the argument has its own mind, as the book's `MCDropout`.
                if "training" in inspect.signature(layer.call).parameters:
                    patches.put(layer, "call", _as_in_training)
            yield
        finally:
            patches.undo()


def _as_in_training(original: Any) -> Any:
    signature = inspect.signature(original)

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.arguments["training"] = True
        return original(*bound.args, **bound.kwargs)

    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def random_states(model: Any) -> list[Any]:
    """The variables of a model's random generators: those that are no weights."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


@contextmanager
def seeded(model: Any, seed: int) -> Iterator[None]:
    """Starts each random generator from a seed of its own, and puts it back."""
    states = random_states(model)
    before = [np.array(state.numpy()) for state in states]
    try:
        for i, state in enumerate(states):
            state.assign([layer_seed(seed, str(i)), 0])
        yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)
