"""`front_of`: the first layers of a trained model, copied or shared, as a model of their own."""

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import keras

from ..callbacks._saved_calls import saved_calls
from ..callbacks.activation_facts import did_you_mean


def front_of(model: Any, layers: Any, copy: bool) -> Any:
    """The model of the layers to keep.

    Args:
        model: Sequential or functional model, or the path of one.
        layers: As in `reuse_layers`.
        copy: Boolean. Whether its layers are copies; those from a file are nobody else's.

    Raises:
        ValueError: The model cannot be cut so.
    """
    whole, loaded = _functional(model)
    if copy and not loaded:
        whole = _copy(whole)
    kept = _kept(whole, layers)
    front = _up_to(whole, kept[-1])
    missing = set(kept) - {layer.name for layer in front.layers}
    if missing:
        raise ValueError(
            f"The last layer to keep must need all others. Received: {kept[-1]!r} as the last, "
            f"which does not need {sorted(missing)}. Name the layer in which all end."
        )
    if isinstance(front.output, (list, tuple, dict)) or len(front.output.shape) != 2:
        raise ValueError(
            "The last reused layer must put out one vector a sample. Received: layers="
            f"{layers!r}, with {kept[-1]!r} as the last, which puts out {front.output!r}. Keep "
            "the layers up to the pooling or `Flatten`, or add one: keras.Model(model.input, "
            "keras.layers.GlobalAveragePooling2D()(model.output))."
        )
    return front if len(kept) == len(_proper(front)) else _skipping(front, kept, copy)


def _functional(model: Any) -> tuple[Any, bool]:
    """The model as a functional one that is not compiled, and whether it was loaded."""
    loaded = isinstance(model, (str, Path))
    if loaded:
        if not Path(model).is_file():
            raise ValueError(f"`model` must be a model or the path of one. Received: {model!r}.")
        model = keras.models.load_model(model, compile=False)
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model or a path. Received: model={model!r}.")
    if not model.built:
        raise ValueError(
            "The model must be built, so that its layers have weights. Received: model "
            f"{model.name!r}, which is not. Begin it with `keras.Input(shape)`, and train it."
        )
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, model.outputs), loaded
    if "input_layers" not in model.get_config():
        raise ValueError(
            "The model must be sequential or functional, so that it can be cut between layers. "
            f"Received: model {model.name!r} of type {type(model).__name__}."
        )
    return keras.Model(model.input, model.output), loaded


def _kept(model: Any, layers: Any) -> list[str]:
    """Names of the layers to keep, in the model's order."""
    known = [layer.name for layer in _proper(model)]
    if isinstance(layers, Integral) and not isinstance(layers, bool):
        count = int(layers)
        if count not in range(1 - len(known), len(known) + 1) or count == 0:
            raise ValueError(
                "`layers` as an integer is the number of first layers to keep, or of last ones to "
                f"leave out if negative. Received: layers={layers!r}; the model has {len(known)}: "
                f"{known}."
            )
        return known[:count]
    names = [layers] if isinstance(layers, str) else layers
    if not isinstance(names, Sequence) or not names or not all(name in known for name in names):
        raise ValueError(
            "`layers` must be an integer, the name of the last layer to keep, or a sequence of "
            f"names. Received: layers={layers!r}.{did_you_mean(layers, known)} The model's "
            f"layers are {known}."
        )
    if isinstance(layers, str):
        return [layer.name for layer in _proper(_up_to(model, layers))]
    return sorted(set(names), key=known.index)


def _skipping(front: Any, kept: list[str], copy: bool) -> Any:
    """The model without the layers that are not kept: what they were fed goes on as it is."""

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in kept or not isinstance(layer, keras.Layer):
            return layer(*args, **kwargs)
        if isinstance(args[0], (list, tuple, dict)):
            raise ValueError(
                f"A layer that joins several others cannot be left out. Received: layers={kept!r}, "
                f"without {layer.name!r}."
            )
        return args[0]

    return _copy(front, call) if copy else _clone(front, lambda layer: layer, call)


def _copy(model: Any, call: Any = None) -> Any:
    """The model of new layers with the same weights."""
    copy = _clone(model, None, call)
    for layer in _proper(copy):
        layer.set_weights(model.get_layer(layer.name).get_weights())
        _finalize(layer)
    return copy


def _clone(model: Any, function: Any, call: Any) -> Any:
    return keras.models.clone_model(model, clone_function=function, call_function=call)


def _up_to(model: Any, name: str) -> Any:
    _check_called_once(model, name)
    return keras.Model(model.input, model.get_layer(name).output)


def _proper(model: Any) -> list[Any]:
    return [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def _finalize(layer: Any) -> None:
    """Keras' `Normalization` reads the weights that it adapted only when told to."""
    if isinstance(layer, keras.layers.Normalization):
        layer.finalize_state()
    for inner in layer.layers if isinstance(layer, keras.Model) else ():
        _finalize(inner)


def _check_called_once(model: Any, name: str) -> None:
    """Refuses a last layer of several outputs: Keras would take that of its first call."""
    calls = len(saved_calls(model.get_config())[name])
    if calls > 1:
        raise ValueError(
            "`layers` must end in a layer that the model calls once. Received: "
            f"{name!r}, which it calls {calls} times. Build the front by hand, as "
            "keras.Model(model.input, tensor)."
        )
