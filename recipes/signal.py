"""`signal_per_layer`: mean and deviation of what each hidden layer puts out."""

from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from ..callbacks._probe import seen_on_probe
from ._hidden_layers import HiddenLayers
from ._layer_graph import LayerGraph

Doubles = npt.NDArray[np.float64]

_MOST_SAMPLES = 2000


class LayerSignal(NamedTuple):
    """What one layer puts out, over all units and samples.

    Attributes:
        layer: String. Name of the layer; of a nested one, after its models' names.
        mean: Float.
        deviation: Float. Standard deviation.
    """

    layer: str
    mean: float
    deviation: float


def signal_per_layer(model: Any, x: Any) -> list[LayerSignal]:
    """Mean and deviation of each hidden layer's output, after its activation.

    One forward pass in inference mode, which changes nothing in the model. Where the deviations
    grow or shrink from layer to layer, the gradients do so too, and the initializer does not fit
    the activation.

    Args:
        model: A Keras model. One that is not built yet is built by `x`.
        x: Array of inputs, or a list or dict of arrays, two samples at least. Of more than 2,000
            samples, 2,000 evenly spaced ones are used.

    Returns:
        A list of `LayerSignal(layer, mean, deviation)`, in the order of the layers. The last
        layer with weights is the output's and is not listed, unless it applies SELU; nor are
        those whose activation is an operation, such as `keras.ops.selu`, instead of a layer.

    Raises:
        ValueError: `model` or `x` is not as described.

    Reference:
        Glorot & Bengio 2010; Klambauer et al. 2017.

    Example:
        ```python
        x = np.random.default_rng(0).normal(size=(500, 100))
        model = mlp(100, [100] * 20, 10, activation="sigmoid", seed=0)
        signal_per_layer(model, x)[-1]  # mean 0.48, deviation 0.12
        ```
    """
    x = checked_inputs(model, x)
    seen = seen_on_probe(model, x)
    hidden = HiddenLayers(LayerGraph.of(model))
    return [
        LayerSignal(path, float(values.mean()), float(values.std()))
        for path, values in hidden_outputs(hidden, seen)
    ]


def checked_inputs(model: Any, x: Any) -> Any:
    """Inputs of at most 2,000 samples that fit the model.

    Raises:
        ValueError: It is no Keras model, or they are no inputs.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a keras.Model. Received: model={model!r}. Pass what `mlp` or another "
            "builder returns."
        )
    parts = [np.asarray(part) for part in keras.tree.flatten(x)]
    lengths = {part.shape[0] if part.ndim else 0 for part in parts}
    if len(lengths) != 1 or min(lengths) < 2 or any(p.dtype.kind not in "biuf" for p in parts):
        raise ValueError(
            "`x` must be an array of numbers, or a list or dict of such arrays, with the same 2 or "
            "more samples each, such as `x_train[:500]`. Received: a "
            f"{type(x).__name__} of shapes {[part.shape for part in parts]}."
        )
    if not all(np.isfinite(part).all() for part in parts):
        raise ValueError(
            "`x` must be finite. Received: x with NaN or infinite values. Replace them first."
        )
    samples = lengths.pop()
    expected = getattr(model, "input_shape", None)
    if len(parts) == 1 and isinstance(expected, tuple) and not _fits(parts[0].shape, expected):
        raise ValueError(
            f"`x` must be of the shape that the model takes, {expected}. Received: x of shape "
            f"{parts[0].shape}."
        )
    chosen = np.linspace(0, samples - 1, min(samples, _MOST_SAMPLES)).astype(int)
    return keras.tree.map_structure(lambda part: np.asarray(part)[chosen], x)


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        size in (None, given) for size, given in zip(expected, shape, strict=True)
    )


def hidden_outputs(hidden: HiddenLayers, seen: Any) -> list[tuple[str, Doubles]]:
    """`(path, [samples, units])` of each hidden layer whose output was seen."""
    outputs = []
    for node, place in zip(hidden.nodes, hidden.places, strict=True):
        calls = seen.calls.get(id(hidden.graph.nodes[hidden.activation(place)[1]].layer))
        if calls:
            outputs.append((node.path, features_of(calls[0][1])))
    return outputs


def features_of(tensor: Any) -> Doubles:
    """A tensor as `[n, features]`."""
    values: Doubles = keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")).astype(
        "float64"
    )
    return values.reshape(-1, values.shape[-1])
