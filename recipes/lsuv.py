"""`lsuv`: scales the kernels of a built model until each layer puts out unit variance."""

import math
from numbers import Real
from typing import Any

import keras
import numpy as np

from ..callbacks._layer_activations import layers_within, path_of
from ..callbacks._patches import Patches
from ._arguments import check_flag, check_seed, layer_seed, positive_integer
from ._kernel_layers import kernel_of
from ._unit_variance import ScaledLayer, UnitVariance


def lsuv(
    model: keras.Model,
    x: Any,
    *,
    tolerance: float = 0.1,
    max_iterations: int = 10,
    orthonormal: bool = True,
    seed: int | None = None,
) -> list[ScaledLayer]:
    """Layer-sequential unit-variance initialization of a built model, by a batch of data.

    ```
    kernel <- an orthonormal matrix
    while |Var(z) - 1| > tolerance:  kernel <- kernel / sqrt(Var(z))      z = x kernel + bias
    ```

    The variance is that of a layer's outputs before its activation, over all samples, places and
    units. Dense and convolutional layers, in nested models too, are scaled in the order in which
    they are called, in one pass through the model. Biases stay as they are; with biases other
    than 0 the scale is solved for, so that they count in the variance.

    Choose it where no initializer is known to fit: unusual activations, pooling, merged branches,
    inputs of an odd scale. It needs no batch normalization and costs about two predictions. Call
    it before training, on some hundred samples; not after `fixup`, whose zeros it would undo.

    Left alone are frozen layers, cells of recurrent layers, layers with weights of another kind
    and those that run inside a compiled function. A layer that is called several times, as for
    each step of a sequence, is scaled at its first call. Dropout is off.

    Args:
        model: A built Keras model. Its kernels are changed in place.
        x: Array `[n, ...]`, one batch of training inputs, or a list or dict of them where the
            model has several inputs. All of it goes through the model at once.
        tolerance: Float, above 0. A layer whose variance is as close to 1 as this is done.
            Defaults to `0.1`.
        max_iterations: Integer. Most scalings of one layer; one is enough in exact arithmetic.
            Defaults to `10`.
        orthonormal: Boolean. Whether to draw orthonormal kernels first, or to scale those that
            are there. Defaults to `True`.
        seed: Integer. Of the orthonormal kernels, one derived for each layer. Defaults to
            `None`: `keras.utils.set_random_seed` decides.

    Returns:
        A list of `ScaledLayer`, in the order of the calls.

    Raises:
        ValueError: The model is not built or has no layer to scale, `x` does not fit it, or the
            outputs of a layer have no variance that a scale brings to 1; the message names the
            layer, and the model has its former weights.

    Reference:
        Mishkin & Matas 2016, "All You Need Is a Good Init".

    Example:
        ```python
        x = np.random.default_rng(0).normal(5, 3, (256, 20)).astype("float32")
        model = mlp(20, [64] * 50, 3, activation="tanh")
        [layer.variance_after for layer in lsuv(model, x)]  # 1.0, 1.0, ...
        ```
    """
    layers = _layers_of(model)
    _check_arguments(tolerance, orthonormal, seed)
    scaling = UnitVariance(tolerance, positive_integer("max_iterations", max_iterations))
    x = _batch(x)
    before = [(variable, np.array(variable.numpy())) for variable in model.variables]
    kernels = {id(kernel_of(layer)) for _, layer in layers}
    patches = Patches()
    try:
        for path, layer in layers:
            if orthonormal:
                _draw_orthonormal(kernel_of(layer), layer_seed(seed, path))
            patches.put(layer, "call", scaling.of(path, layer))
        model(x, training=False)
        before = [(v, value) for v, value in before if id(v) not in kernels]
    except Exception as error:
        # Keras adds its own lines to what a layer raises.
        if scaling.failure is None:
            scaling.failure = (
                f"`x` must be a batch that the model can be called on. Received: {_shapes(x)}, "
                f"and the call failed with {type(error).__name__}: {error}"
            )
        raise ValueError(scaling.failure) from error
    finally:
        patches.undo()
        for variable, value in before:
            variable.assign(value)
    return scaling.done


def _draw_orthonormal(kernel: Any, seed: int | None) -> None:
    kernel.assign(keras.initializers.Orthogonal(seed=seed)(kernel.shape, dtype="float32"))


# ---------------------------------------------------------------- arguments


def _layers_of(model: Any) -> list[tuple[str, Any]]:
    """The layers to scale, and their paths."""
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            f"`model` must be a built keras.Model. Received: model={model!r}. Call it on a batch, "
            "or `model.build(input_shape)`, first."
        )
    found = [
        layer
        for layer in layers_within(model)
        if kernel_of(layer) is not None and layer.trainable and kernel_of(layer).trainable
    ]
    if not found:
        raise ValueError(
            "`model` must have a dense or convolutional layer that is not frozen. Received: "
            f"model={model.name!r} without. Set `trainable = True` on those to initialize."
        )
    paths = [path_of(layer, model.name) for layer in found]
    return [
        (path if paths.count(path) == 1 else f"{path}:{paths[: i + 1].count(path)}", layer)
        for i, (path, layer) in enumerate(zip(paths, found, strict=True))
    ]


def _check_arguments(tolerance: Any, orthonormal: Any, seed: Any) -> None:
    number = isinstance(tolerance, Real) and not isinstance(tolerance, bool)
    if not (number and 0 < tolerance < math.inf):
        raise ValueError(
            f"`tolerance` must be a positive number. Received: tolerance={tolerance!r}. Mishkin "
            "and Matas take 0.1."
        )
    check_flag("orthonormal", orthonormal)
    check_seed(seed)


def _batch(x: Any) -> Any:
    """The inputs as arrays, refused unless they are numbers, finite and some."""
    arrays = keras.tree.map_structure(np.asarray, x)
    for array in keras.tree.flatten(arrays):
        if array.ndim == 0 or array.size == 0 or array.dtype.kind not in "biuf":
            raise ValueError(
                "`x` must be an array [n, ...] of numbers with n >= 1, or a list or dict of them. "
                f"Received: {_shapes(arrays)} of dtype {array.dtype}."
            )
        if not np.isfinite(array).all():
            raise ValueError(
                f"`x` must be finite. Received: {_shapes(arrays)}, with "
                f"{int((~np.isfinite(array)).sum())} numbers that are not."
            )
    return arrays


def _shapes(x: Any) -> str:
    shapes = [np.shape(part) for part in keras.tree.flatten(x)]
    return f"x of shape {', '.join(map(str, shapes))}"
