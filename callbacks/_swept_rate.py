"""A learning rate that the compiled step itself moves from one given value to the next."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._optimizer_settings import innermost, variable_of_step


class SweptRate:
    """Sets the rate of each step of an optimizer, from now until `give_back`.

    Args:
        model: A compiled Keras model.
        rates: The rate of each update `[n]`; those after the last one have the last one's.
        accumulated: Integer. Calls of `apply` that make an update.

    Raises:
        ValueError: The optimizer computes its rate by a function.
    """

    def __init__(self, model: Any, rates: npt.NDArray[np.float32], accumulated: int) -> None:
        self._optimizer, self._rates, self._accumulated = model.optimizer, rates, accumulated
        rate, self._schedule = self._optimizer.learning_rate, None
        if not isinstance(rate, keras.Variable):
            self._schedule = _schedule_of(self._optimizer)
        with model.distribute_strategy.scope():
            self._calls = variable_of_step(0, "int32")
            self._rate = rate if self._schedule is None else variable_of_step(0.0, "float32")
        if self._schedule is None:
            self._before = rate.numpy()
        else:
            self._held = _Held(self._rate)
            self._optimizer.learning_rate = self._held
        self._rate.assign(rates[0])

    def advancing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The optimizer's `apply`, which afterwards sets the rate of the next call."""

        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            result = original(grads, trainable_variables)
            self._calls.assign_add(1)
            update = tf.convert_to_tensor(self._calls.value) // self._accumulated
            rate = tf.gather(tf.constant(self._rates), tf.minimum(update, len(self._rates) - 1))
            self._rate.assign(tf.cast(rate, self._rate.dtype))
            return result

        return apply

    @property
    def is_in_place(self) -> bool:
        """Whether the rate is the one that was set here, and nobody else's by now."""
        if self._schedule is not None:
            return _schedule_of(self._optimizer) is self._held
        update = min(int(self._calls.numpy()) // self._accumulated, len(self._rates) - 1)
        is_own: bool = self._rate.numpy() == self._rates[update].astype(self._rate.dtype)
        return self._optimizer.learning_rate is self._rate and bool(is_own)

    def give_back(self) -> None:
        """Puts the old rate, or the schedule, back in its place."""
        if self._schedule is None:
            self._rate.assign(self._before)
        else:
            self._optimizer.learning_rate = self._schedule


class _Held(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that is whatever a variable holds."""

    def __init__(self, rate: Any) -> None:
        self._rate = rate

    def __call__(self, step: Any) -> Any:
        return self._rate.value

    def get_config(self) -> dict[str, Any]:
        return {"rate": float(self._rate.numpy())}


def _schedule_of(optimizer: Any) -> Any:
    """The very schedule that an optimizer was given, which Keras shows only the values of."""
    for value in vars(innermost(optimizer)).values():
        if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
            return value
    raise ValueError(
        "A range test sets the learning rate, but the optimizer computes its own. Received: an "
        f"optimizer {type(optimizer).__name__} with a function for a rate. Compile with a number "
        "or a keras.optimizers.schedules.LearningRateSchedule."
    )
