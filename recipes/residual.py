"""`residual_mlp`: blocks of two dense layers, each added to what it was given."""

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ._arguments import (
    check_choice,
    check_flag,
    output_function,
    positive_integer,
    rates_of,
    shape_of,
    units_of,
)
from ._wiring import Wiring
from .mlp import standardization

NORMALIZATIONS = (None, "batch", "layer")

# Keras' walk through a model's graph takes a Python frame for each layer on its way. Besides it:
# the first branch, and what calls the walk when a saved model is loaded.
_FRAMES_BESIDES = 50


def residual_mlp(
    input_shape: int | Sequence[int],
    hidden_units: Sequence[int],
    outputs: int,
    *,
    activation: str | None = "relu",
    kernel_initializer: Any = None,
    normalization: str | None = "batch",
    pre_activation: bool = False,
    skip_init: bool = False,
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
    """A dense network of residual blocks, two dense layers each.

    ```
    block(h) = f(S h + N(W2 f(N(W1 h))))       pre_activation=False
    block(h) = S h + W2 f(N(W1 f(N(h))))       pre_activation=True
    f: activation   N: normalization   S: identity, or a projection where the width changes
    ```

    To choose where a plain network of that depth does not train: on the way back the gradient
    passes each block unchanged through the shortcut. With `pre_activation` nothing stands in the
    shortcuts' way, the better choice for hundreds of blocks; the first block then has no
    activation before `W1`, and the last is followed by normalization and activation. Without
    normalization each block adds to the variance of the signal, which about doubles from block to
    block: use `skip_init` then, or a few blocks only.

    The layers of the first block are called `block_1_dense_1`,
    `block_1_dense_1_batch_normalization`, `block_1_dense_1_activation`,
    `block_1_dense_1_dropout`, `block_1_dense_2`, `block_1_dense_2_batch_normalization`,
    `block_1_skip_init`, `block_1_projection`, `block_1_projection_batch_normalization`,
    `block_1_add` and `block_1_activation`; with pre-activation, normalization and activation are
    called after the dense layer that they precede, the last ones `final_batch_normalization` and
    `final_activation`. Those that are not asked for are absent.

    Args:
        input_shape: Integer or tuple of integers. Shape of one sample; of rank 2 and more it is
            flattened.
        hidden_units: Sequence of integers. Width of each block, that of both its dense layers.
        outputs: Integer. Width of the output layer.
        activation: String. Of the blocks, see `ACTIVATIONS`; `None` is linear. Defaults to
            `"relu"`.
        kernel_initializer: Keras initializer or its name, for all kernels. Defaults to `None`:
            what the activation needs, normally distributed; Glorot for projections.
        normalization: `"batch"` or `"layer"`, before each activation; the dense layers in the
            blocks have no bias then. Defaults to `"batch"`.
        pre_activation: Boolean. Whether activations stand before the dense layers of a branch
            instead of after them, so that shortcuts are not interrupted. Defaults to `False`.
        skip_init: Boolean. Whether a `SkipInit` layer multiplies each branch by a trainable
            number, 0 at first, so that each block starts as its shortcut. Defaults to `False`.
        dropout: Float in `[0, 1)`, or one per block. Rate between the two dense layers of a
            block, after the activation. Defaults to `0`.
        kernel_regularizer: Keras regularizer or its name, for all kernels. Defaults to `None`.
        kernel_constraint: Float, Keras constraint or its name, for all kernels. A number is the
            largest norm of each unit's incoming weights. Defaults to `None`.
        output_activation: Keras activation or its name, inside the output layer. Defaults to
            `"softmax"`.
        adapt_to: Array `[n, *input_shape]` of training inputs, by which the model standardizes
            its inputs, see `mlp`. Defaults to `None`: no standardization.
        seed: Integer. Of all weights, dropout masks and random slopes, one derived for each.
            Defaults to `None`: `keras.utils.set_random_seed` decides.
        name: String. Name of the model. Defaults to `None`: Keras makes one.
        bias_initializer: Keras initializer or its name, for all biases. Defaults to `"zeros"`.
        activation_options: Mapping. Passed to `activation_layer`. Defaults to `None`.

    Returns:
        An uncompiled `keras.Model`, `[batch, *input_shape] -> [batch, outputs]`.

    Raises:
        ValueError: An argument is not as described, or there are more blocks than Keras can
            follow within Python's recursion limit: of 1,000 by default, which allows about 470
            blocks of one width, 940 with `pre_activation`.

    Reference:
        He, Zhang, Ren & Sun 2016, "Deep Residual Learning for Image Recognition" and "Identity
        Mappings in Deep Residual Networks"; De & Smith 2020 (SkipInit).

    Example:
        ```python
        x = np.random.default_rng(0).normal(5, 3, (256, 20))
        model = residual_mlp(20, [64] * 25, 3, pre_activation=True, adapt_to=x, seed=0)
        model(x).shape  # (256, 3), through 51 dense layers
        ```
    """
    shape, units = shape_of(input_shape), units_of(hidden_units)
    outputs = positive_integer("outputs", outputs)
    rates, last = rates_of(dropout, len(units)), output_function(output_activation, outputs)
    check_choice("normalization", normalization, NORMALIZATIONS)
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
    blocks = _Blocks(
        wiring, check_flag("pre_activation", pre_activation), check_flag("skip_init", skip_init)
    )
    _check_depth(int(np.prod(shape)), units, blocks)

    x = inputs = keras.Input(shape, name="input")
    if adapt_to is not None:
        x = standardization(adapt_to, shape)(x)
    if len(shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    for i, (width, rate) in enumerate(zip(units, rates, strict=True), 1):
        x = blocks.block(x, f"block_{i}", width, rate, activate=i > 1)
    if pre_activation:
        x = _through(wiring.finish("final"), x)
    x = keras.layers.Dense(outputs, activation=last, **wiring.weights("output", feeds=last))(x)
    return keras.Model(inputs, x, name=name)


@dataclass(frozen=True)
class _Blocks:
    """Makes residual blocks, functions of Keras tensors."""

    wiring: Wiring
    pre_activation: bool
    skip_init: bool

    def block(self, x: Any, name: str, width: int, rate: float, activate: bool) -> Any:
        """One block; `activate` tells whether a branch of pre-activation begins with one."""
        if self.pre_activation:
            branch = self._branch_of_pre_activation(x, name, width, rate, activate)
        else:
            branch = self._branch(x, name, width, rate)
        if self.skip_init:
            from .layers.skip_init import SkipInit

            branch = SkipInit(name=f"{name}_skip_init")(branch)
        # The shortcut first: Keras follows the first one into the depth of its recursion.
        x = keras.layers.Add(name=f"{name}_add")([self._shortcut(x, name, width), branch])
        return x if self.pre_activation else self.wiring.activate(name)(x)

    def shortcut_layers(self, width_in: int, width: int) -> int:
        """How many layers a shortcut has."""
        if width_in == width:
            return 0
        return 2 if self._normalizes_shortcuts else 1

    @property
    def _normalizes_shortcuts(self) -> bool:
        return self.wiring.normalization is not None and not self.pre_activation

    def _dense(self, name: str, width: int, use_bias: bool | None = None, **feeds: Any) -> Any:
        use_bias = self.wiring.use_bias if use_bias is None else use_bias
        return keras.layers.Dense(width, use_bias=use_bias, **self.wiring.weights(name, **feeds))

    def _branch(self, x: Any, name: str, width: int, rate: float) -> Any:
        first, second = f"{name}_dense_1", f"{name}_dense_2"
        x = _through([self._dense(first, width), *self.wiring.finish(first, rate)], x)
        x = self._dense(second, width)(x)
        return x if self.wiring.normalization is None else self.wiring.normalize(second)(x)

    def _branch_of_pre_activation(
        self, x: Any, name: str, width: int, rate: float, activate: bool
    ) -> Any:
        first, second = f"{name}_dense_1", f"{name}_dense_2"
        before = self.wiring.finish(first) if activate else []
        between = self.wiring.finish(second)
        drop = [self.wiring.drop(second, rate)] if rate else []
        dense = self._dense(first, width), self._dense(second, width)
        return _through([*before, dense[0], *between, *drop, dense[1]], x)

    def _shortcut(self, x: Any, name: str, width: int) -> Any:
        if x.shape[-1] == width:
            return x
        name = f"{name}_projection"
        x = self._dense(name, width, use_bias=False, feeds=None)(x)
        return self.wiring.normalize(name)(x) if self._normalizes_shortcuts else x


def _through(layers: Sequence[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def _check_depth(width_in: int, units: list[int], blocks: _Blocks) -> None:
    """Refuses what would end in a `RecursionError` of Keras."""
    shortcuts = sum(map(blocks.shortcut_layers, [width_in, *units], units))
    needed = shortcuts + len(units) * (1 if blocks.pre_activation else 2)
    needed += len(inspect.stack(0)) + _FRAMES_BESIDES
    if needed > sys.getrecursionlimit():
        advice = "" if blocks.pre_activation else " `pre_activation=True` needs half as much;"
        raise ValueError(
            f"`hidden_units` has more blocks than Keras can follow within Python's recursion limit "
            f"of {sys.getrecursionlimit()}. Received: hidden_units of {len(units)} blocks, which "
            f"need {needed}.{advice} sys.setrecursionlimit({2 * needed}) allows them, before a "
            "saved model is loaded too."
        )
