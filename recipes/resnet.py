"""`resnet`: the residual networks of He et al. for small images, 20 to 1202 layers deep."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ._arguments import (
    check_choice,
    check_flag,
    output_function,
    positive_integer,
)
from ._channels import CHANNELS_LAST, image_input, image_shape_of, map_options
from ._residual_blocks import SHORTCUTS, ResidualBlocks
from ._wiring import Wiring

# Weighted layers of a block.
_BASIC, _BOTTLENECK = 2, 3

# Up to here the network is one graph of layers. Keras walks a graph by recursion, some 3.5 calls
# a weighted layer, and Python allows 1,000: deeper ones are models of stages of blocks.
_FLAT_DEPTH = 164


def resnet(
    input_shape: Sequence[int],
    outputs: int,
    *,
    depth: int = 20,
    version: int = 1,
    bottleneck: bool | None = None,
    shortcut: str = "identity",
    width: int = 16,
    zero_branches: bool = False,
    activation: str | None = "relu",
    kernel_initializer: Any = None,
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
    output_activation: Any = "softmax",
    adapt_to: Any = None,
    seed: int | None = None,
    name: str | None = None,
    bias_initializer: Any = "zeros",
    activation_options: Mapping[str, Any] | None = None,
) -> keras.Model:
    """A residual network for small images (CIFAR, 32x32), from 20 to more than 1,000 layers deep.

    ```
    net                 convolution - 3 stages of n blocks - global average - output
    block, version 1    x -> activation(shortcut(x) + branch(x))
           branch       convolution - normalization - activation - convolution - normalization
    block, version 2    x -> shortcut(x) + branch(x), the sum is left as it is; the first block
                        of a stage normalizes and activates x before the two part
           branch       [normalization - activation - convolution] * 2
    ```

    The gradient reaches each block through the sums, whatever the branches do. Choose depth 20 to
    110 in version 1, and version 2 beyond. From the second stage on, the first block of a stage
    halves the image and doubles the filters. A basic branch has two 3x3 convolutions,
    depth = 6n + 2; a bottleneck has 1x1, 3x3 and 1x1, the last with four times the filters,
    depth = 9n + 2. Convolutions have no bias; all their kernels, shortcuts included, are He's.

    | He et al. | arguments | parameters |
    | --- | --- | --- |
    | ResNet-20, 56, 110 | `depth=20`, 56, 110 | 0.27, 0.85, 1.7 million |
    | ResNet-1202 | `depth=1202` | 19.4 million |
    | pre-activation 164 | `depth=164, version=2, shortcut="projection"` | 1.7 million |
    | pre-activation 1001 | `depth=1001, version=2, shortcut="projection"` | 10.3 million |

    The layers are called `stem_conv`, `stage_1_block_1_conv_1`,
    `stage_1_block_1_conv_1_batch_normalization`, `stage_1_block_1_conv_1_activation`, ...,
    `stage_1_block_1_add`, `stage_1_block_1_activation`, ..., `stage_2_block_1_shortcut`, ...,
    `global_pooling`, `output`. Above depth 164 each block is a model within the model of its
    stage, `stage_1`, since Keras can't walk a graph of a thousand layers; the layers and
    variables in them keep their names.

    Depth costs tracing. Depth 1202 takes 24 s of a CPU core to build and 240 s to trace its first
    step, in a process of 5.7 GB, with `model.optimizer.build(model.trainable_variables)` before
    `fit`; without that call the step is traced twice, in 390 s and 7.6 GB
    (`benchmarks/resnet_1202.py`).

    Args:
        input_shape: Tuple of integers. Shape of one image, `(height, width, channels)`, or
            `(height, width)` of a single channel.
        outputs: Integer. Width of the output layer.
        depth: Integer. Layers with weights on the longest path, 6n + 2 or 9n + 2. Defaults to
            `20`.
        version: Integer. `1`, or `2` for pre-activation. Defaults to `1`.
        bottleneck: Boolean. Whether branches are bottlenecks. Defaults to `None`: where only one
            kind has this depth, that one; where both do (20, 56, 110, 164, ...), basic in version
            1 and bottlenecks in version 2.
        shortcut: Where a block changes the shape, `"identity"` takes every second pixel and adds
            filters of zeros, without weights (the paper's option A), and `"projection"` is a 1x1
            convolution (its option B). Elsewhere it is the identity. Defaults to `"identity"`.
        width: Integer. Filters of the first stage, before a bottleneck's four times. Defaults to
            `16`.
        zero_branches: Boolean. Whether each branch starts as 0, so that the network starts as its
            shortcuts: by the scale of its last normalization in version 1, by its last kernel in
            version 2 (whose scale would never leave 0). Such branches' other weights have zero
            gradients in the first step. Worth it beyond depth 110: without, each block of a fresh
            network amplifies in inference, where the statistics of its normalizations are not
            yet those of data, and depth 1202 overflows there until it has trained for a while.
            Defaults to `False`.
        activation: String. Of the hidden layers, see `ACTIVATIONS`; `None` is linear. Defaults
            to `"relu"`.
        kernel_initializer: Keras initializer or its name, for all kernels. Defaults to `None`:
            what the activation needs, normally distributed.
        kernel_regularizer: Keras regularizer or its name, for all kernels; the papers'
            is `keras.regularizers.L2(5e-5)`. Defaults to `None`.
        kernel_constraint: Float, Keras constraint or its name, for all kernels. A number is the
            largest norm of each filter or unit. Defaults to `None`.
        output_activation: Keras activation or its name, inside the output layer. Defaults to
            `"softmax"`.
        adapt_to: Array `[n, *input_shape]` of training images, finite. The model standardizes
            its inputs with the mean and variance of each channel, saved with it. Defaults to
            `None`: no standardization.
        seed: Integer. Of all weights and random slopes, one derived for each. Defaults to
            `None`: `keras.utils.set_random_seed` decides.
        name: String. Name of the model. Defaults to `None`: Keras makes one.
        bias_initializer: Keras initializer or its name, of the output's bias. Defaults to
            `"zeros"`.
        activation_options: Mapping. Passed to `activation_layer`. Defaults to `None`.

    Returns:
        An uncompiled `keras.Model`, `[batch, *input_shape] -> [batch, outputs]`.

    Raises:
        ValueError: An argument is not as described; the message names the nearest depths.

    Reference:
        He, Zhang, Ren & Sun 2015, "Deep Residual Learning for Image Recognition", section 4.2;
        the same 2016, "Identity Mappings in Deep Residual Networks"; Goyal et al. 2017 (scales of
        zero).

    Example:
        ```python
        model = resnet((32, 32, 3), 10, depth=56, zero_branches=True, seed=0)
        sum(w.numpy().size for w in model.trainable_weights)  # 853_018
        ```
    """
    image_shape_of(input_shape)
    outputs, width = positive_integer("outputs", outputs), positive_integer("width", width)
    _check_version(version)
    check_choice("shortcut", shortcut, SHORTCUTS)
    check_flag("zero_branches", zero_branches)
    blocks, bottleneck = _blocks_of(depth, version, bottleneck)
    last = output_function(output_activation, outputs)
    wiring = Wiring(
        activation,
        kernel_initializer,
        bias_initializer,
        kernel_regularizer,
        kernel_constraint,
        "batch",
        map_options(activation, activation_options),
        seed,
    )
    make = ResidualBlocks(wiring, version, bottleneck, shortcut, zero_branches)

    inputs, x = image_input(input_shape, adapt_to)
    x = make.stem(x, width)
    for i in (1, 2, 3):
        x = make.stage(x, f"stage_{i}", blocks, width * 2 ** (i - 1), nested=depth > _FLAT_DEPTH)
    x = make.end(x)
    x = keras.layers.GlobalAveragePooling2D(name="global_pooling", **CHANNELS_LAST)(x)
    x = keras.layers.Dense(outputs, activation=last, **wiring.weights("output", feeds=last))(x)
    return keras.Model(inputs, x, name=name)


def _check_version(version: Any) -> None:
    if isinstance(version, bool) or version not in (1, 2):
        raise ValueError(
            "`version` must be 1 (activation after the sum) or 2 (pre-activation). "
            f"Received: version={version!r}."
        )


def _blocks_of(depth: Any, version: int, bottleneck: bool | None) -> tuple[int, bool]:
    """Blocks of each stage, and whether they are bottlenecks."""
    depth = positive_integer("depth", depth)
    if bottleneck is not None:
        check_flag("bottleneck", bottleneck)
    kinds = {None: (_BASIC, _BOTTLENECK), False: (_BASIC,), True: (_BOTTLENECK,)}[bottleneck]
    for layers in kinds if version == 1 else kinds[::-1]:
        blocks, rest = divmod(depth - 2, 3 * layers)
        if blocks > 0 and not rest:
            return blocks, layers == _BOTTLENECK
    rules = " or ".join(f"{3 * layers}n + 2" for layers in kinds)
    nearest = sorted({near for layers in kinds for near in _nearest(depth, 3 * layers)})
    raise ValueError(
        f"`depth` must be {rules} with n >= 1 (6n + 2 with basic blocks, 9n + 2 with bottlenecks). "
        f"Received: depth={depth}, bottleneck={bottleneck!r}. The nearest are "
        f"{', '.join(map(str, nearest))}."
    )


def _nearest(depth: int, step: int) -> tuple[int, int]:
    """The depths `n * step + 2` below and above."""
    blocks = max((depth - 2) // step, 1)
    return blocks * step + 2, (blocks + (depth > step + 2)) * step + 2
