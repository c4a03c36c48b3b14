"""`convnet`: a convolutional network of blocks, as VGG."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from ._arguments import (
    check_choice,
    check_flag,
    output_function,
    positive_integer,
    rates_of,
    sizes_of,
)
from ._channels import (
    CHANNELS_LAST,
    image_input,
    image_shape_of,
    map_options,
)
from ._wiring import Wiring

_POOLINGS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


def convnet(
    input_shape: Sequence[int],
    filters: Sequence[int],
    outputs: int,
    *,
    kernel_size: int = 3,
    convolutions_per_block: int = 2,
    activation: str | None = "relu",
    kernel_initializer: Any = None,
    normalization: str | None = None,
    pooling: str = "max",
    global_pooling: bool = True,
    dense_units: Sequence[int] = (),
    dropout: float | Sequence[float] = 0.0,
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
    output_activation: Any = "softmax",
    adapt_to: Any = None,
    seed: int | None = None,
    name: str | None = None,
    bias_initializer: Any = "zeros",
    activation_options: Mapping[str, Any] | None = None,
) -> keras.Model:
    """A network for images of up to some 20 layers, wired as its activation needs; as VGG.

    ```
    block   [convolution - normalization - activation] * convolutions_per_block - pooling - dropout
    net     input - standardize - block * n - [dense - normalization - activation - dropout] * m
            - output
    ```

    Choose it where position matters little and 20 layers do; deeper ones train better with
    shortcuts, as in `resnet`. Convolutions keep the size of their maps, each pooling halves it
    (rounded down), and the last block's averages it to a single number per filter.

    The layers are called `channel`, `standardize`, `block_1_conv_1`,
    `block_1_conv_1_batch_normalization` or `..._layer_normalization`,
    `block_1_conv_1_activation`, ..., `block_1_pooling`, `block_1_dropout`, `block_2_conv_1`, ...,
    `global_pooling` or `flatten`, `hidden_1`, ..., `output`; those not asked for are absent.

    Args:
        input_shape: Tuple of integers. Shape of one image, `(height, width, channels)`, or
            `(height, width)` of a single channel.
        filters: Sequence of integers. For each block, the filters of its convolutions.
        outputs: Integer. Width of the output layer.
        kernel_size: Integer. Height and width of each filter. Defaults to `3`.
        convolutions_per_block: Integer. Defaults to `2`.
        activation: String. Of the hidden layers, see `ACTIVATIONS`; `None` is linear. Defaults
            to `"relu"`.
        kernel_initializer: Keras initializer or its name, for all kernels. Defaults to `None`:
            what the activation needs, normally distributed.
        normalization: `"batch"` or `"layer"` (over the channels of each pixel), before the
            activation and in place of a bias, or `"batch_after"`, batch normalization after it.
            Defaults to `None`.
        pooling: `"max"` or `"average"`, over 2x2 pixels. Defaults to `"max"`.
        global_pooling: Boolean. Whether the last block ends with the average of each map, so
            that few weights follow; else with a pooling as the others, then flattened, as in VGG.
            Defaults to `True`.
        dense_units: Sequence of integers. Widths of dense layers before the output. Defaults to
            `()`.
        dropout: Float in `[0, 1)`, or one per block and then one per dense layer. Rate after each
            block's pooling and each dense layer; alpha dropout where the activation normalizes
            itself. Defaults to `0`.
        kernel_regularizer: Keras regularizer or its name, for all kernels. Defaults to `None`.
        kernel_constraint: Float, Keras constraint or its name, for all kernels. A number is the
            largest norm of each filter or unit. Defaults to `None`.
        output_activation: Keras activation or its name, inside the output layer. Defaults to
            `"softmax"`.
        adapt_to: Array `[n, *input_shape]` of training images, finite. The model standardizes
            its inputs with the mean and variance of each channel, saved with it. Defaults to
            `None`: no standardization.
        seed: Integer. Of all weights, dropout masks and random slopes, one derived for each.
            Defaults to `None`: `keras.utils.set_random_seed` decides.
        name: String. Name of the model. Defaults to `None`: Keras makes one.
        bias_initializer: Keras initializer or its name, for all biases. Defaults to `"zeros"`.
        activation_options: Mapping. Passed to `activation_layer`. Defaults to `None`.

    Returns:
        An uncompiled `keras.Model`, `[batch, *input_shape] -> [batch, outputs]`.

    Raises:
        ValueError: An argument is not as described, or the image is too small for the poolings.

    Reference:
        Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image
        Recognition"; Lin, Chen & Yan 2014, "Network In Network" (global average pooling).

    Example:
        ```python
        x = np.random.default_rng(0).normal(size=(64, 32, 32, 3))
        model = convnet((32, 32, 3), [32, 64, 128], 10, normalization="batch", adapt_to=x, seed=0)
        model(x).shape  # (64, 10)
        ```
    """
    widths, dense = _filters_of(filters), sizes_of("dense_units", dense_units)
    check_flag("global_pooling", global_pooling)
    _check_poolings(image_shape_of(input_shape), len(widths), global_pooling)
    kernel_size = positive_integer("kernel_size", kernel_size)
    convolutions = positive_integer("convolutions_per_block", convolutions_per_block)
    check_choice("pooling", pooling, tuple(_POOLINGS))
    outputs = positive_integer("outputs", outputs)
    rates = rates_of(dropout, len(widths) + len(dense))
    last = output_function(output_activation, outputs)
    wiring = Wiring(
        activation,
        kernel_initializer,
        bias_initializer,
        kernel_regularizer,
        kernel_constraint,
        normalization,
        activation_options,
        seed,
    )
    maps = replace(wiring, activation_options=map_options(activation, activation_options))

    inputs, x = image_input(input_shape, adapt_to)
    for i, (width, rate) in enumerate(zip(widths, rates, strict=False), 1):
        for j in range(1, convolutions + 1):
            x = _convolution(maps, f"block_{i}_conv_{j}", width, kernel_size, x)
        if i < len(widths) or not global_pooling:
            x = _POOLINGS[pooling](2, name=f"block_{i}_pooling", **CHANNELS_LAST)(x)
        else:
            x = keras.layers.GlobalAveragePooling2D(name="global_pooling", **CHANNELS_LAST)(x)
        x = wiring.drop(f"block_{i}", rate)(x) if rate else x
    if not global_pooling:
        x = keras.layers.Flatten(name="flatten")(x)
    for i, (width, rate) in enumerate(zip(dense, rates[len(widths) :], strict=True), 1):
        weights = wiring.weights(f"hidden_{i}")
        x = keras.layers.Dense(width, use_bias=wiring.use_bias, **weights)(x)
        for layer in wiring.finish(f"hidden_{i}", rate):
            x = layer(x)
    x = keras.layers.Dense(outputs, activation=last, **wiring.weights("output", feeds=last))(x)
    return keras.Model(inputs, x, name=name)


def _convolution(wiring: Wiring, name: str, filters: int, kernel_size: int, x: Any) -> Any:
    convolution = keras.layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        use_bias=wiring.use_bias,
        **CHANNELS_LAST,
        **wiring.weights(name, kernel_rank=4),
    )
    for layer in (convolution, *wiring.finish(name)):
        x = layer(x)
    return x


def _filters_of(filters: Any) -> list[int]:
    way_out = " Pass the filters of each block, such as [32, 64, 128]."
    widths = sizes_of("filters", filters, way_out)
    if not widths:
        raise ValueError(
            f"`filters` must name at least one block. Received: filters={filters!r}.{way_out}"
        )
    return widths


def _check_poolings(shape: tuple[int, ...], blocks: int, global_pooling: bool) -> None:
    """Refuses more halvings than the image has pixels for."""
    height, width = shape[:2]
    halvings, possible = blocks - global_pooling, min(height, width).bit_length() - 1
    if halvings <= possible:
        return
    sizes = " -> ".join(f"{height >> i}x{width >> i}" for i in range(possible + 2))
    raise ValueError(
        f"{blocks} blocks halve the image {halvings} times, too often for its size: {sizes}. "
        f"Received: input_shape={shape}, {blocks} filters. At most {possible + global_pooling} "
        "blocks fit: pass fewer filters with more convolutions_per_block, or larger images."
    )
