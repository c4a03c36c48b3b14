"""A number of an optimizer that a compiled step reads from a variable."""

from typing import Any, Self

import tensorflow as tf


class LiveFloat(float):
    """A float to Python, a variable to TensorFlow.

    Keras keeps an optimizer's momentum as a number, which a compiled step holds for ever: to set
    another one later changes nothing. With this in its place the step reads a variable. Where
    Python looks, as in `if self.momentum != 0`, or a configuration that is saved meanwhile, it
    stays the number that it was made of.

    Args:
        value: Float. What it is to Python.
        variable: A scalar variable. What it is to TensorFlow.
    """

    variable: Any
    was_read: bool

    # Keras' type promotion asks for it before it converts.
    dtype = "float32"

    def __new__(cls, value: float, variable: Any) -> Self:
        made = super().__new__(cls, value)
        made.variable, made.was_read = variable, False
        return made

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """What `tf.convert_to_tensor` calls."""
        self.was_read = True
        value = tf.convert_to_tensor(self.variable)
        return value if dtype is None else tf.cast(value, dtype)

    def __reduce__(self) -> Any:
        """Copies are plain numbers."""
        return float, (float(self),)

    # `1 - self.beta_1` and its like, which Python would compute by itself.

    def __add__(self, other: Any) -> Any:
        return self.__tf_tensor__() + other

    def __radd__(self, other: Any) -> Any:
        return other + self.__tf_tensor__()

    def __sub__(self, other: Any) -> Any:
        return self.__tf_tensor__() - other

    def __rsub__(self, other: Any) -> Any:
        return other - self.__tf_tensor__()

    def __mul__(self, other: Any) -> Any:
        return self.__tf_tensor__() * other

    def __rmul__(self, other: Any) -> Any:
        return other * self.__tf_tensor__()
