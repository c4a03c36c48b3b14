"""`SkipInit`: one trainable number that a residual branch is multiplied by."""

import math
from numbers import Real
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="trainwell")
class SkipInit(keras.layers.Layer):
    """Multiplies by one trainable scalar, the last layer of a residual branch.

    ```
    y = scale * x      scale = initial_value at the start
    block(h) = h + SkipInit()(branch(h))
    ```

    At 0 every block is the identity at the start, so that a residual network of any depth starts
    as a shallow one, without batch normalization. Choose it where batch normalization is in the
    way: small batches, recurrent use, a network that must act alike in training and inference.
    In the first step the branch's own weights get gradients of exactly zero, since the scalar
    hides them: the scalar moves first. `1 / sqrt(blocks)` instead of 0 trains everything from
    the first step on.

    Args:
        initial_value: Float, finite. Defaults to `0`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        Any.

    Output shape:
        Same as the input's.

    Raises:
        ValueError: `initial_value` is not a finite number.

    Reference:
        De & Smith 2020, "Batch Normalization Biases Residual Blocks Towards the Identity
        Function in Deep Networks" (SkipInit); Bachlechner et al. 2020, "ReZero is All You Need".

    Example:
        ```python
        x = inputs = keras.Input((16,))
        for _ in range(100):
            branch = keras.layers.Dense(16, activation="relu")(x)
            x = keras.layers.Add()([x, SkipInit()(branch)])
        model = keras.Model(inputs, x)  # the identity, until it is trained
        ```
    """

    def __init__(self, initial_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        number = isinstance(initial_value, Real) and not isinstance(initial_value, bool)
        if not (number and math.isfinite(initial_value)):
            raise ValueError(
                f"`initial_value` must be a finite number. Received: initial_value="
                f"{initial_value!r}. 0 starts each block as the identity."
            )
        self.initial_value = float(initial_value)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Adds the scalar."""
        initializer = keras.initializers.Constant(self.initial_value)
        self.scale = self.add_weight(shape=(), initializer=initializer, name="scale")

    def call(self, inputs: Any) -> Any:
        """Applies the scalar."""
        return self.scale * inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments, from which the saved layer is made again."""
        config: dict[str, Any] = super().get_config()
        return {**config, "initial_value": self.initial_value}
