"""`ResidualBlocks`: the stem, the stages and the blocks of `resnet`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from ._channels import CHANNELS_LAST
from ._wiring import Wiring

SHORTCUTS = ("identity", "projection")


@dataclass(frozen=True)
class ResidualBlocks:
    """Makes the parts of a residual network, each a function of Keras tensors.

    Args:
        wiring: What gives each layer its initializer, seed and so on.
        version: 1, or 2 for pre-activation.
        bottleneck: Whether a branch is 1x1, 3x3 and 1x1 instead of two 3x3.
        shortcut: One of `SHORTCUTS`.
        zero_branches: Whether each branch starts as 0.
    """

    wiring: Wiring
    version: int
    bottleneck: bool
    shortcut: str
    zero_branches: bool

    def stem(self, x: Any, filters: int) -> Any:
        """What comes before the first stage."""
        x = self._convolution("stem_conv", 3, filters)(x)
        return x if self.version == 2 else self._activated("stem_conv", x)

    def stage(self, x: Any, name: str, blocks: int, filters: int, nested: bool) -> Any:
        """`blocks` blocks; if `nested`, each is a model, and so is the stage."""
        if nested:
            return _as_model(name, partial(self._blocks, name, blocks, filters, nested), x)
        return self._blocks(name, blocks, filters, nested, x)

    def end(self, x: Any) -> Any:
        """What comes after the last stage."""
        return self._activated("end", x) if self.version == 2 else x

    def _blocks(self, name: str, blocks: int, filters: int, nested: bool, x: Any) -> Any:
        for i in range(1, blocks + 1):
            block = partial(self._block, f"{name}_block_{i}", filters, name != "stage_1", i == 1)
            x = _as_model(f"{name}_block_{i}", block, x) if nested else block(x)
        return x

    def _block(self, name: str, filters: int, halves: bool, first: bool, x: Any) -> Any:
        strides = 2 if halves and first else 1
        sizes = [(3, filters, strides), (3, filters, 1)]
        if self.bottleneck:
            sizes = [(1, filters, strides), (3, filters, 1), (1, 4 * filters, 1)]
        if self.version == 2:
            return self._pre_activated(name, sizes, first, x)
        branch = x
        for i, (size, width, stride) in enumerate(sizes, 1):
            conv, last = f"{name}_conv_{i}", i == len(sizes)
            branch = self._convolution(conv, size, width, stride)(branch)
            if last:
                branch = _normalization(conv, self.zero_branches)(branch)
            else:
                branch = self._activated(conv, branch)
        x = keras.layers.Add(name=f"{name}_add")([self._carry(name, strides, x, branch), branch])
        return self.wiring.activate(name)(x)

    def _pre_activated(
        self, name: str, sizes: list[tuple[int, int, int]], first: bool, x: Any
    ) -> Any:
        branch = carried = x
        for i, (size, width, stride) in enumerate(sizes, 1):
            conv, last = f"{name}_conv_{i}", i == len(sizes)
            branch = self._activated(conv, branch)
            if first and i == 1:
                # The first block of a stage activates before it splits (He et al. 2016).
                carried = branch
            zero = last and self.zero_branches
            branch = self._convolution(conv, size, width, stride, zero)(branch)
        carried = self._carry(name, sizes[0][2], carried, branch)
        return keras.layers.Add(name=f"{name}_add")([carried, branch])

    def _carry(self, name: str, strides: int, x: Any, branch: Any) -> Any:
        """`x` past the branch, in the branch's shape."""
        added = branch.shape[-1] - x.shape[-1]
        if strides == 1 and not added:
            return x
        if self.shortcut == "projection":
            x = self._convolution(f"{name}_shortcut", 1, branch.shape[-1], strides)(x)
            return _normalization(f"{name}_shortcut")(x) if self.version == 1 else x
        if strides > 1:
            subsample = f"{name}_shortcut_subsample"
            x = keras.layers.MaxPooling2D(1, strides, name=subsample, **CHANNELS_LAST)(x)
        # Of "channels_first" tensors Keras pads the last two axes: here the width and the filters.
        pad = keras.layers.ZeroPadding2D(
            ((0, 0), (0, added)), data_format="channels_first", name=f"{name}_shortcut_pad"
        )
        return pad(x)

    def _convolution(
        self, name: str, size: int, filters: int, strides: int = 1, zero: bool = False
    ) -> keras.layers.Layer:
        weights = self.wiring.weights(name, kernel_rank=4)
        if zero:
            weights["kernel_initializer"] = "zeros"
        return keras.layers.Conv2D(
            filters, size, strides, padding="same", use_bias=False, **CHANNELS_LAST, **weights
        )

    def _activated(self, name: str, x: Any) -> Any:
        return self.wiring.activate(name)(_normalization(name)(x))


def _normalization(name: str, zero: bool = False) -> keras.layers.Layer:
    """Batch normalization as He et al. set it; Keras' momentum of 0.99 is slow for deep nets."""
    return keras.layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        gamma_initializer="zeros" if zero else "ones",
        name=f"{name}_batch_normalization",
    )


def _as_model(name: str, build: Callable[[Any], Any], x: Any) -> Any:
    inputs = keras.Input(x.shape[1:], dtype=x.dtype, name=f"{name}_input")
    return keras.Model(inputs, build(inputs), name=name)(x)
