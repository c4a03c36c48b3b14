"""Layers and models made anew from what they say of themselves, not compiled, with no weights."""

from typing import Any

import keras

_STEPS = ("call", "compute_loss", "compute_metrics", "fit", "test_step", "train_step")


def remade(layer: Any, changed: dict[str, Any] | None = None, kind: Any = None) -> Any:
    """A layer or an operation of the same configuration, or with some of it changed.

    Args:
        layer: The layer.
        changed: What its configuration is told anew. Defaults to `None`.
        kind: Its class. Defaults to `None`: that of the layer.

    Raises:
        ValueError: It can't be made from its configuration.
    """
    changed, kind = changed or {}, kind or type(layer)
    if isinstance(layer, keras.layers.Lambda):
        return _same_lambda(layer)
    try:
        config = layer.get_config()
    except Exception as error:  # what a user's `get_config` raises, or Keras where there is none
        raise ValueError(_rule(layer, error)) from error
    try:
        return kind.from_config({**config, **changed})
    except Exception as unknown:
        # Functions and objects that Keras can't find by their name are taken as they are.
        live = {name: _live(layer, name) for name in config if _live(layer, name) is not None}
        try:
            return kind.from_config({**config, **live, **changed})
        except Exception as error:
            raise ValueError(_rule(layer, unknown)) from error


def model_like(model: Any, inputs: Any = None, outputs: Any = None) -> Any:
    """A model of the same class and name: an empty Sequential, or one between these tensors.

    Raises:
        ValueError: The class trains in a way of its own and can't be called like Keras' own.
    """
    kind, plain, arguments = type(model), keras.Sequential, {}
    if not isinstance(model, keras.Sequential):
        plain, arguments = keras.Model, {"inputs": inputs, "outputs": outputs}
    if _is_of_keras(kind):
        return plain(**arguments, name=model.name)
    try:
        return kind(**arguments, name=model.name)
    except Exception as error:  # what the user's constructor raises
        own = [name for name in _STEPS if _is_overridden(kind, name)]
        if not own:
            return plain(**arguments, name=model.name)
        raise ValueError(
            f"The model must be one that can be made from its layers. Received: model "
            f"{model.name!r} of type {kind.__name__}, which has its own {', '.join(own)} and a "
            "constructor that takes other arguments than Keras'. Change its code as the findings' "
            "remedies say."
        ) from error


def uncompiled(model: Any) -> Any:
    """Of a functional model one between the same tensors that is not compiled."""
    if isinstance(model, keras.Sequential):
        return model
    return keras.Model(model.input, model.output, name=model.name)


def _same_lambda(layer: Any) -> Any:
    """A Lambda layer with the same function: its code is not read from a configuration."""
    shape = layer.get_config().get("output_shape")
    return keras.layers.Lambda(
        layer.function,
        output_shape=shape if isinstance(shape, (list, tuple)) else None,
        arguments=layer.arguments,
        name=layer.name,
        dtype=layer.dtype_policy,
    )


def _live(layer: Any, name: str) -> Any:
    value = getattr(layer, name, None)
    return value if callable(value) and not isinstance(value, keras.Layer) else None


def _is_of_keras(kind: Any) -> bool:
    return str(kind.__module__).partition(".")[0] == "keras"


def _is_overridden(kind: Any, name: str) -> bool:
    return not _is_of_keras(next(one for one in kind.__mro__ if name in vars(one)))


def _rule(layer: Any, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        "Each layer must be one that Keras can make anew. Received: layer "
        f"{layer.name!r} of type {type(layer).__name__} ({reason}). Give it a `get_config` with "
        "all arguments of its constructor."
    )
