"""`self_normalizing_mlp`, and `check_self_normalizing`, which says why a network is none."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras

from ..callbacks._probe import seen_on_probe
from ._arguments import check_initializer, constraint_of, shape_of, units_of
from ._hidden_layers import HiddenLayers
from ._kernel_scale import constraint_fault, initializer_fault
from ._layer_graph import LayerGraph
from ._self_normalizing_checks import broken_by_construction, broken_by_inputs, broken_by_signal
from .mlp import mlp
from .signal import checked_inputs


def self_normalizing_mlp(
    input_shape: int | Sequence[int],
    hidden_units: Sequence[int],
    outputs: int,
    *,
    dropout: float | Sequence[float] = 0.0,
    adapt_to: Any = None,
    output_activation: Any = "softmax",
    kernel_initializer: Any = None,
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """A deep dense network whose layers pull their outputs to mean 0 and deviation 1.

    ```
    selu(z) = 1.0507 z                       for z > 0
    selu(z) = 1.0507 * 1.6733 (exp(z) - 1)   for z <= 0
    input - standardize - flatten - [dense - SELU - alpha dropout] * n - output
    ```

    To choose for dense networks of many layers, on tables above all: it needs no normalization,
    so that it costs nothing in inference and does not depend on the batch. It holds on
    conditions: each input feature is standardized, all hidden layers are dense, start from LeCun
    normal kernels and biases of 0 and apply SELU, each layer feeds the next only, dropout is
    alpha dropout, and nothing else normalizes. This builder keeps all of them, the first by
    `adapt_to`, and refuses arguments that break one; `check_self_normalizing` tests any model
    for them. With skip connections, convolutions or recurrent layers take another activation.

    An L1 or L2 penalty is allowed: the start is as without it. In training it shrinks the kernels
    below variance `1 / fan_in`; see what that does with `signal_per_layer`.

    Args:
        input_shape: Integer or tuple of integers. Shape of one sample; of rank 2 and more it is
            flattened.
        hidden_units: Sequence of integers. Width of each hidden layer. The theory is for wide
            ones: at 30 units and less the signal strays by chance.
        outputs: Integer. Width of the output layer.
        dropout: Float in `[0, 1)`, or one per hidden layer. Rate of alpha dropout, after each
            activation; 0.05 to 0.1 are usual. Defaults to `0`.
        adapt_to: Array `[n, *input_shape]` of training inputs, finite, by which the model
            standardizes its inputs, see `mlp`. Defaults to `None`: they are standardized already.
        output_activation: Keras activation or its name, inside the output layer. Defaults to
            `"softmax"`.
        kernel_initializer: Keras initializer or its name, for all kernels, whose variance must
            be `1 / fan_in` as LeCun's. Defaults to `None`: LeCun normal, and what
            `output_activation` needs in the output layer.
        kernel_regularizer: Keras regularizer or its name, for all kernels. Defaults to `None`.
        kernel_constraint: Float, Keras constraint or its name, for all kernels. A number is the
            largest norm of each unit's incoming weights, which starts near 1. Defaults to
            `None`.
        seed: Integer. Of all weights and dropout masks, one derived for each. Defaults to
            `None`: `keras.utils.set_random_seed` decides.
        name: String. Name of the model. Defaults to `None`: Keras makes one.

    Returns:
        An uncompiled `keras.Model`, `[batch, *input_shape] -> [batch, outputs]`, its layers named
        as those of `mlp`.

    Raises:
        ValueError: An argument is not as described, the variance that an initializer draws or
            that a constraint leaves is outside 0.95 to 1.1 of `1 / fan_in`, or the mean is not 0.

    Reference:
        Klambauer, Unterthiner, Mayr & Hochreiter 2017, "Self-Normalizing Neural Networks";
        Géron, chapter 11.

    Example:
        ```python
        x = np.random.default_rng(0).normal(5, 3, (500, 20))
        model = self_normalizing_mlp(20, [100] * 50, 3, dropout=0.05, adapt_to=x, seed=0)
        check_self_normalizing(model, x)  # []
        ```
    """
    widths = [math.prod(shape_of(input_shape)), *units_of(hidden_units)]
    _check_kernels(widths, kernel_initializer, kernel_constraint)
    return mlp(
        input_shape,
        hidden_units,
        outputs,
        activation="selu",
        kernel_initializer=kernel_initializer,
        dropout=dropout,
        kernel_regularizer=kernel_regularizer,
        kernel_constraint=kernel_constraint,
        output_activation=output_activation,
        adapt_to=adapt_to,
        seed=seed,
        name=name,
    )


def check_self_normalizing(model: Any, x: Any = None) -> list[str]:
    """Why a network does not normalize itself: one sentence for each broken condition.

    For networks with SELU that train worse than they should. Checked are, of all layers before
    the output's, nested models included:

    - the layers are dense, each fed by the one before only, and nothing else normalizes;
    - the activation is SELU, inside the dense layer or as the next layer;
    - kernels are drawn with mean 0 and variance `1 / fan_in`, LeCun normal or another
      distribution, biases are 0, and no constraint changes that;
    - dropout is alpha dropout;
    - with `x`: what reaches the first layer with weights is standardized, by feature, and each
      layer's outputs have a mean within 0 +- 0.1 and a variance within 0.8 to 1.5, the theorem's
      domain, plus four standard errors of a network of its width.

    Penalties such as L2 are no broken condition: they leave the start as it is.

    Args:
        model: A Keras model, compiled or not. Of a subclassed one the connections can't be seen,
            and a sentence says so.
        x: Array of inputs as the model gets them, or a list or dict of arrays, from the training
            set. A hundred samples will do, a thousand where features have outliers. Of more than
            2,000, 2,000 evenly spaced ones are used. Defaults to `None`: nothing is measured.

    Returns:
        A list of strings, empty where all conditions hold. Each names the condition, the layers
        with the value found, and the cure.

    Raises:
        ValueError: `model` is no Keras model, or not built and without `x`; `x` is not as
            described.

    Reference:
        Klambauer et al. 2017, theorem 1; Géron, chapter 11.

    Example:
        ```python
        model = mlp(20, [100] * 3, 3, activation="selu", normalization="batch")
        check_self_normalizing(model)  # ["Normalization between the layers, ..."]
        ```
    """
    if x is None:
        _check_built(model)
        return broken_by_construction(HiddenLayers(LayerGraph.of(model)))
    x = checked_inputs(model, x)
    seen = seen_on_probe(model, x)
    hidden = HiddenLayers(LayerGraph.of(model))
    return [
        *broken_by_construction(hidden),
        *broken_by_inputs(hidden, seen),
        *broken_by_signal(hidden, seen),
    ]


def _check_kernels(widths: list[int], initializer: Any, constraint: Any) -> None:
    """Refuses what takes the kernels away from variance `1 / fan_in`."""
    check_initializer("kernel_initializer", initializer)
    found, bounded = keras.initializers.get(initializer), constraint_of(constraint)
    for shape in dict.fromkeys(itertools.pairwise(widths)):
        fault = found and initializer_fault(found, shape)
        if fault:
            raise ValueError(
                "`kernel_initializer` must draw with mean 0 and variance 1 / fan_in. Received: "
                f"kernel_initializer={initializer!r} ({fault}, for a kernel of shape {shape}). "
                "Leave it out for LeCun normal."
            )
        fault = constraint_fault(bounded, shape)
        if fault:
            raise ValueError(
                "`kernel_constraint` must leave LeCun normal kernels nearly as they are. Received: "
                f"kernel_constraint={constraint!r} ({fault}, for a kernel of shape {shape}). The "
                "norms of incoming weights start near 1: allow 2 or more."
            )


def _check_built(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a keras.Model. Received: model={model!r}. Pass what "
            "`self_normalizing_mlp` or another builder returns."
        )
    if not (model.built and all(layer.built for layer in model.layers)):
        raise ValueError(
            f"`model` must be built. Received: model={model.name!r}, which has no weights yet. "
            "Pass `x`, or call the model on a batch first."
        )
