"""What a range test changes, kept and put back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

_ABSENT = object()
_ATTRIBUTES = ("history", "stop_training", "train_function")


class KeptState:
    """The state of a model and its optimizer, to be put back bit for bit.

    All variables are copied to the host: weights, statistics and seeds of the layers, those of
    the optimizer and of the metrics. An optimizer that has none yet is built first, with what it
    would begin with.

    Args:
        model: A compiled Keras model that has its weights.
    """

    def __init__(self, model: Any) -> None:
        optimizer = model.optimizer
        if not optimizer.built:
            with model.distribute_strategy.scope():
                optimizer.build(model.trainable_variables)
        self._model = model
        variables = [*model.variables, *optimizer.variables, *model.metrics_variables]
        rate = optimizer.learning_rate
        if isinstance(rate, keras.Variable):  # that of a callable is nobody else's
            variables.append(rate)
        unique = {id(variable): variable for variable in variables}.values()
        self._values = [(variable, variable.numpy().copy()) for variable in unique]
        self._attributes = {name: vars(model).get(name, _ABSENT) for name in _ATTRIBUTES}

    def restore_variables(self) -> None:
        """Puts the variables back."""
        self._model.reset_metrics()  # those of metrics that had none yet
        for variable, value in self._values:
            variable.assign(value)

    def restore_attributes(self) -> None:
        """Puts back what `fit` leaves on the model."""
        for name, value in self._attributes.items():
            if value is not _ABSENT:
                setattr(self._model, name, value)
            elif name in vars(self._model):
                delattr(self._model, name)


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Puts Python's and NumPy's random states back, which data may draw from."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
