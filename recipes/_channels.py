"""Inputs whose last axis holds channels or features: images and sequences."""

from collections.abc import Mapping
from typing import Any

import keras

from ._arguments import samples_of, shape_of
from .mlp import standardization

# Said to each layer: where `keras.config` says otherwise, the normalizations would not follow.
CHANNELS_LAST = {"data_format": "channels_last"}


def image_shape_of(input_shape: Any) -> tuple[int, ...]:
    """The shape of one image: height, width and, where there is a third axis, channels."""
    shape = shape_of(input_shape)
    if len(shape) not in (2, 3):
        raise ValueError(
            "`input_shape` must be an image's: (height, width) or (height, width, channels). "
            f"Received: input_shape={input_shape!r} ({len(shape)} axes). Reshape the images, such "
            "as `x.reshape(-1, 28, 28)`; for inputs without a grid use `mlp`."
        )
    return shape


def image_input(input_shape: Any, adapt_to: Any) -> tuple[Any, Any]:
    """The Keras input of images, and the same with a channel axis and standardized."""
    shape = image_shape_of(input_shape)
    x = inputs = keras.Input(shape, name="input")
    if len(shape) == 2:
        x = keras.layers.Reshape((*shape, 1), name="channel")(x)
    if adapt_to is not None:
        channels = shape[2] if len(shape) == 3 else 1
        x = channel_standardization(samples_of(adapt_to, shape), channels)(x)
    return inputs, x


def channel_standardization(samples: Any, channels: int) -> keras.layers.Layer:
    """A Keras normalization with one mean and variance for each channel of `samples`.

    A channel that is constant in `samples` is treated as `mlp` treats a constant feature.
    """
    by_channel = standardization(samples.reshape(-1, channels), (channels,))
    return keras.layers.Normalization.from_config({**by_channel.get_config(), "axis": -1})


def map_options(activation: Any, options: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The activation's options over feature maps: PReLU learns one slope a channel (He et al.).

    Keras' own default is one a pixel, which binds the weights to the image's size.
    """
    return {"shared_axes": (1, 2), **(options or {})} if activation == "prelu" else options
