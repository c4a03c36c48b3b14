"""A plain description of a model: what reports show and rules read, without Keras in it."""

from collections.abc import Iterator
from typing import Any

import keras


def describe_network(model: Any, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """The network as JSON-ready data.

    Args:
        model: A Keras model; nested models are opened.
        params: What Keras tells its callbacks: `"epochs"` and `"steps"`. Defaults to `{}`.

    Returns:
        `{"name", "class", "parameters", "outputs", "layers", "loss", "optimizer", "planned_epochs",
        "steps_per_epoch"}`; a layer is `{"path", "class", "activation", "units",
        "kernel_initializer", "parameters"}`. What a model does not have is None.
    """
    params = params or {}
    return {
        "name": model.name,
        "class": type(model).__name__,
        "parameters": int(model.count_params()) if model.built else None,
        "outputs": list(getattr(model, "output_names", None) or []),
        "layers": [_layer(layer, model.name) for layer in _leaves(model)],
        "loss": _name(getattr(model, "loss", None)),
        "optimizer": _optimizer(getattr(model, "optimizer", None)),
        "planned_epochs": params.get("epochs"),
        "steps_per_epoch": params.get("steps"),
    }


def _leaves(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _layer(layer: Any, model_name: str) -> dict[str, Any]:
    activation = getattr(layer, "activation", None)
    return {
        "path": (getattr(layer, "path", None) or layer.name).removeprefix(f"{model_name}/"),
        "class": type(layer).__name__,
        "activation": _name(activation),
        "units": getattr(layer, "units", None) or getattr(layer, "filters", None),
        "kernel_initializer": _name(getattr(layer, "kernel_initializer", None)),
        "parameters": int(layer.count_params()) if layer.built else None,
    }


def _optimizer(optimizer: Any) -> dict[str, Any] | None:
    if optimizer is None:
        return None
    config = optimizer.get_config()
    plain = {k: v for k, v in config.items() if isinstance(v, (str, int, float, bool))}
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        plain = {**(_optimizer(optimizer.inner_optimizer) or {}), "loss_scaling": True}
    elif "inner_optimizer" in config:  # another wrapper: what it adds, and what it wraps
        inner = _optimizer(optimizer.inner_optimizer) or {}
        return {**inner, **plain, "name": f"{type(optimizer).__name__}({inner.get('name')})"}
    elif "learning_rate" not in plain:  # a schedule
        plain["learning_rate"] = str(config.get("learning_rate"))
    return {**plain, "name": plain["name"] if "loss_scaling" in plain else type(optimizer).__name__}


def _name(thing: Any) -> str | None:
    """`"relu"` of a function, `"HeNormal"` of an object, a list or dict as its text."""
    if thing is None or isinstance(thing, str):
        return thing
    if isinstance(thing, (list, tuple)):
        return ", ".join(str(_name(one)) for one in thing)
    if isinstance(thing, dict):
        return ", ".join(f"{key}: {_name(one)}" for key, one in thing.items())
    return str(getattr(thing, "__name__", None) or type(thing).__name__)
