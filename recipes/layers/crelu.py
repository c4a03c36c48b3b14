"""`CReLU`: both sides of a ReLU, next to each other."""

from numbers import Integral
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="trainwell")
class CReLU(keras.layers.Layer):
    """Concatenated ReLU: loses nothing of its input, and has twice its width.

    ```
    f(z) = [relu(z), relu(-z)]
    ```

    No unit of it can die: where one side is flat the other one is not. Choose it with
    `LooksLinear` kernels for very deep networks, or in the first convolutions of a network, whose
    filters tend to come in pairs of opposite sign.

    Args:
        axis: Integer. The axis of the units, not 0 (the batch). Defaults to `-1`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        Any of rank 2 and more.

    Output shape:
        Same as the input's, twice as long on `axis`.

    Raises:
        ValueError: `axis` is not an integer, or the input has no such axis.

    Reference:
        Shang et al. 2016, "Understanding and Improving Convolutional Neural Networks via
        Concatenated Rectified Linear Units"; Balduzzi et al. 2017.

    Example:
        ```python
        CReLU()(np.array([[-1.0, 2.0]]))  # [[0.0, 2.0, 1.0, 0.0]]
        ```
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, Integral) or isinstance(axis, bool) or axis == 0:
            raise ValueError(
                "`axis` must be an integer other than 0, the axis of the batch. Received: "
                f"axis={axis!r}. Use -1 for channels last, 1 for channels first."
            )
        self.axis: int = int(axis)
        # A mask has the axes of batch and time.
        self.supports_masking = self.axis == -1
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Applies the function."""
        self.compute_output_shape(inputs.shape)  # refuses an axis that isn't there
        sides = [keras.ops.relu(inputs), keras.ops.relu(-inputs)]
        return keras.ops.concatenate(sides, axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, twice as long on the axis."""
        shape = list(input_shape)
        if not -len(shape) < self.axis < len(shape):
            raise ValueError(
                f"The input must have the axis that is doubled, after the batch's. Received: "
                f"axis={self.axis}, an input of shape {tuple(shape)}."
            )
        size = shape[self.axis]
        shape[self.axis] = None if size is None else 2 * size
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments, from which the saved layer is made again."""
        config: dict[str, Any] = super().get_config()
        return {**config, "axis": self.axis}
