"""The layers that are linear in one kernel, which initializations of a built model set."""

from typing import Any

import keras

_KERNEL_LAYERS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def kernel_of(layer: Any) -> Any:
    """The kernel of a dense or convolutional layer, of a separable one the last; else None."""
    if not isinstance(layer, _KERNEL_LAYERS) or not layer.built:
        return None
    separable = isinstance(layer, (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D))
    kernel = layer.pointwise_kernel if separable else layer.kernel
    # With LoRA or quantization it is a tensor that is computed anew each time.
    return kernel if isinstance(kernel, keras.Variable) else None
