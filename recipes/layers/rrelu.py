"""`RReLU`: a leaky ReLU whose slope is drawn anew for each element while it trains."""

from numbers import Real
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="trainwell")
class RReLU(keras.layers.Layer):
    """Randomized leaky ReLU, a regularizer for networks that overfit.

    ```
    f(z) = z        for z >= 0
    f(z) = a z      for z < 0,   a ~ U(lower, upper) per element in training,
                                 a = (lower + upper) / 2 in inference
    ```

    Args:
        lower: Float. Smallest slope of the negative side. Defaults to `1/8`.
        upper: Float. Largest slope of the negative side. Defaults to `1/3`.
        seed: Integer. Seed of the slopes. Two layers of one seed draw the same slopes. Defaults
            to `None`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        Any.

    Output shape:
        Same as the input's.

    Call arguments:
        inputs: Floating tensor of any shape.
        training: Boolean. Whether to draw the slopes or to take their mean.

    Raises:
        ValueError: Not `0 <= lower <= upper`, or `upper` is not finite.

    Reference:
        Xu, Wang, Chen & Li 2015, "Empirical Evaluation of Rectified Activations in
        Convolutional Network"; Géron, chapter 11.

    Example:
        ```python
        layer = RReLU()
        layer(np.array([-24.0, 0.0, 2.0]))  # [-5.5, 0.0, 2.0]: the mean slope is 11/48
        ```
    """

    def __init__(
        self, lower: float = 1 / 8, upper: float = 1 / 3, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        # `not` around the whole, so that NaN is refused as well.
        numbers = all(isinstance(slope, Real) for slope in (lower, upper))
        if not (numbers and 0 <= lower <= upper < float("inf")):
            raise ValueError(
                f"The slopes of RReLU must satisfy 0 <= lower <= upper, both finite. Received: "
                f"lower={lower!r}, upper={upper!r}. Xu et al. use lower=1/8, upper=1/3."
            )
        self.lower, self.upper, self.seed = lower, upper, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Applies the function."""
        slope: Any = (self.lower + self.upper) / 2
        if training:
            slope = keras.random.uniform(
                keras.ops.shape(inputs),
                self.lower,
                self.upper,
                dtype=inputs.dtype,
                seed=self.seed_generator,
            )
        # The maximum of both sides would be wrong for slopes above 1.
        return keras.ops.where(inputs >= 0, inputs, slope * inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments, from which the saved layer is made again."""
        config: dict[str, Any] = super().get_config()
        return {**config, "lower": self.lower, "upper": self.upper, "seed": self.seed}
