"""The initializers that Keras lacks: Nielsen's two, delta-orthogonal and looks-linear."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="trainwell")
class NielsenNormal(keras.initializers.VarianceScaling):
    """Nielsen's initializer, for sigmoid networks as his book has them.

    ```
    kernel   N(0, 1 / fan_in)   not truncated
    bias     N(0, 1)            whatever has fewer than two axes
    ```

    One object does for `kernel_initializer` and for `bias_initializer`: a shape of one axis is a
    bias. Choose it to reproduce the book; to train, `initializer_for(activation)` fits better.

    Args:
        seed: Integer or `keras.random.SeedGenerator`. With an integer or `None` each call gives
            the same values. Defaults to `None`.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Weight initialization".

    Example:
        ```python
        NielsenNormal(seed=0)((1000, 30))  # standard deviation 1 / sqrt(1000)
        NielsenNormal(seed=0)((30,))  # standard deviation 1
        ```
    """

    def __init__(self, seed: Any = None) -> None:
        super().__init__(1.0, "fan_in", "untruncated_normal", seed=seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draws a tensor of that shape."""
        if len(shape) < 2:
            return keras.random.normal(shape, dtype=dtype, seed=self.seed)
        return super().__call__(shape, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """The seed, from which the initializer is made again."""
        return {"seed": super().get_config()["seed"]}


@keras.saving.register_keras_serializable(package="trainwell")
class NaiveNormal(keras.initializers.RandomNormal):
    """Weights and biases N(0, 1): how not to do it, for comparison.

    ```
    Var(z) = n + 1      for n inputs that are 1
    ```

    The pre-activations of 1,000 inputs, half of them 1, have a standard deviation of 22.4:
    sigmoid and tanh units start saturated. Choose it to show what `NielsenNormal` cures.

    Args:
        seed: Integer or `keras.random.SeedGenerator`. With an integer or `None` each call gives
            the same values. Defaults to `None`.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Weight initialization".

    Example:
        ```python
        NaiveNormal(seed=0)((1000, 30))  # standard deviation 1
        ```
    """

    def __init__(self, seed: Any = None) -> None:
        super().__init__(0.0, 1.0, seed=seed)

    def get_config(self) -> dict[str, Any]:
        """The seed, from which the initializer is made again."""
        return {"seed": super().get_config()["seed"]}


@keras.saving.register_keras_serializable(package="trainwell")
class DeltaOrthogonal(keras.initializers.Orthogonal):
    """An orthogonal matrix at the center of a convolution's kernel, zeros elsewhere.

    ```
    kernel[center] = gain Q,   Q Q' = 1   (c_in, c_out),  c_in <= c_out
    ```

    Each pixel starts as `x Q`, so that a convolution of stride 1 keeps the norm of every input,
    edges included. Choose it for very deep convolutional networks without normalization or
    skips, with tanh and a gain slightly above 1; a network of 10,000 such layers trains.
    The center of an even kernel is the tap before the middle, where padding `"same"` looks at the
    pixel itself. A kernel of two axes, a dense layer's, is plainly orthogonal.

    Not for transposed, depthwise and grouped convolutions, whose kernels are laid out otherwise
    and whose shapes don't tell.

    Args:
        gain: Float, above 0. What the matrix is multiplied by. Defaults to `1`.
        seed: Integer or `keras.random.SeedGenerator`. With an integer or `None` each call gives
            the same values. Defaults to `None`.

    Raises:
        ValueError: The gain is not positive; when called, on a shape without two axes or a
            convolution with more input than output channels.

    Reference:
        Xiao et al. 2018, "Dynamical Isometry and a Mean Field Theory of CNNs: How to Train
        10,000-Layer Vanilla Convolutional Neural Networks".

    Example:
        ```python
        kernel = DeltaOrthogonal(seed=0)((3, 3, 16, 16))
        kernel[1, 1] @ keras.ops.transpose(kernel[1, 1])  # the identity
        ```
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        _check_gain(gain)
        super().__init__(gain, seed=seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draws a tensor of that shape."""
        *window, inputs, outputs = _kernel_shape(self, shape)
        if window and inputs > outputs:
            raise ValueError(
                "A convolution keeps the norm of its input only with at least as many output as "
                f"input channels. Received: shape={tuple(shape)}, {inputs} inputs and {outputs} "
                "outputs. Use more filters, or keras.initializers.Orthogonal here."
            )
        matrix = super().__call__((inputs, outputs), dtype=dtype)
        # TensorFlow pads (size - 1) // 2 in front.
        before = [(size - 1) // 2 for size in window]
        padding = [(tap, size - 1 - tap) for tap, size in zip(before, window, strict=True)]
        center = keras.ops.reshape(matrix, (*(1 for _ in window), inputs, outputs))
        return keras.ops.pad(center, [*padding, (0, 0), (0, 0)]) if window else matrix


@keras.saving.register_keras_serializable(package="trainwell")
class LooksLinear(DeltaOrthogonal):
    """Mirrored orthogonal kernels, with which a network of `CReLU` starts exactly linear.

    ```
    kernel = [W, -W]          W orthogonal, half as many rows as the kernel
    [relu(h), relu(-h)] kernel = relu(h) W - relu(-h) W = h W
    ```

    A network of any depth then starts as one orthogonal map: it neither explodes nor vanishes,
    and its gradients don't shatter. Choose it for very deep ReLU networks without skips. Each
    kernel that reads a `CReLU` takes it; the first, which reads the inputs themselves, takes
    `keras.initializers.Orthogonal()`. Biases start at zero. Over a convolution `W` is
    delta-orthogonal.

    Args:
        gain: Float, above 0. What the matrix is multiplied by. Defaults to `1`.
        seed: Integer or `keras.random.SeedGenerator`. With an integer or `None` each call gives
            the same values. Defaults to `None`.

    Raises:
        ValueError: The gain is not positive; when called, on a shape whose number of inputs is
            odd, or that `DeltaOrthogonal` refuses.

    Reference:
        Balduzzi et al. 2017, "The Shattered Gradients Problem: If resnets are the answer, then
        what is the question?"

    Example:
        ```python
        x = inputs = keras.Input((64,))
        x = keras.layers.Dense(64, kernel_initializer="orthogonal")(x)
        for i in range(100):
            x = keras.layers.Dense(64, kernel_initializer=LooksLinear(seed=i))(CReLU()(x))
        keras.Model(inputs, x)  # keeps the norm of every input
        ```
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draws a tensor of that shape."""
        *window, inputs, outputs = _kernel_shape(self, shape)
        if inputs % 2:
            raise ValueError(
                "LooksLinear is for kernels that read a CReLU, which puts out twice what it "
                f"takes. Received: shape={tuple(shape)}, {inputs} inputs. The first layer, which "
                "reads the data, takes keras.initializers.Orthogonal()."
            )
        half = super().__call__((*window, inputs // 2, outputs), dtype=dtype)
        return keras.ops.concatenate([half, -half], axis=-2)


def _check_gain(gain: Any) -> None:
    number = isinstance(gain, Real) and not isinstance(gain, bool)
    if not (number and 0 < gain < math.inf):
        raise ValueError(
            f"`gain` must be a positive number. Received: gain={gain!r}. 1 keeps the norm."
        )


def _kernel_shape(initializer: Any, shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) < 2:
        raise ValueError(
            f"{type(initializer).__name__} is for kernels, [*window, inputs, outputs]. Received: "
            f"shape={tuple(shape)}. Biases take 'zeros'."
        )
    return tuple(shape)
