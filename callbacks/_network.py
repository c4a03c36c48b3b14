"""A plain description of a model: what reports show and rules read, without Keras in it."""

import warnings
from typing import Any

import keras

from ._best_constant import loss_name
from ._connections import Place, places_of
from ._layer_activations import path_of
from ._layer_description import describe_layer, name_of


def describe_network(model: Any, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """The network as JSON-ready data.

    Args:
        model: A Keras model; nested models are opened.
        params: What Keras tells its callbacks: `"epochs"` and `"steps"`. Defaults to `{}`.

    Returns:
        `{"name", "class", "parameters", "inputs", "outputs", "layers", "loss", "from_logits",
        "metrics", "optimizer", "planned_epochs", "steps_per_epoch"}`. A layer, or an operation
        such as `keras.ops.add`, is `{"path", "class", "inputs", "output", ...}` with all that
        `describe_layer` tells: `"inputs"` are the indexes of the layers that feed it, None where
        they can't be known, and `"output"` says whether it makes an output of the model. An
        optimizer with a schedule has its text as `"learning_rate"`, and the first rate as
        `"initial_learning_rate"`. What a model does not have is None.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' on lambdas, which are only read here
        return _described(model, params or {})


def _described(model: Any, params: dict[str, Any]) -> dict[str, Any]:
    loss = getattr(model, "loss", None)
    return {
        "name": model.name,
        "class": type(model).__name__,
        "parameters": int(model.count_params()) if model.built else None,
        "inputs": [one.name for one in model.inputs] if isinstance(model, keras.Function) else [],
        "outputs": list(getattr(model, "output_names", None) or []),
        "layers": [_layer(place, model.name) for place in places_of(model)],
        "loss": name_of(loss),
        "from_logits": _from_logits(loss),
        "metrics": _metrics(model),
        "optimizer": _optimizer(getattr(model, "optimizer", None)),
        "planned_epochs": params.get("epochs"),
        "steps_per_epoch": params.get("steps"),
    }


def _layer(place: Place, model_name: str) -> dict[str, Any]:
    layer = place.layer
    return {
        "path": path_of(layer, model_name),
        "class": type(layer).__name__,
        **describe_layer(layer),
        "inputs": None if place.inputs is None else sorted(place.inputs),
        "output": place.output,
    }


def _from_logits(loss: Any) -> bool | None:
    """Whether the loss takes logits, None where it has no such choice, or isn't one loss."""
    if hasattr(loss, "from_logits"):
        return bool(loss.from_logits)
    # A name or a function stands for its defaults.
    return False if "crossentropy" in (loss_name(name_of(loss)) or "") else None


def _metrics(model: Any) -> list[str]:
    """Names of the metrics that the model was compiled with."""
    try:
        config = model.get_compile_config() or {}
    except Exception:  # what a user's loss or metric raises, where it can't be written down
        return []
    return [name for one in _flat(config.get("metrics")) if (name := _metric(one))]


def _flat(metrics: Any) -> list[Any]:
    if isinstance(metrics, dict) and "class_name" not in metrics:
        metrics = list(metrics.values())
    if isinstance(metrics, (list, tuple)):
        return [flat for one in metrics for flat in _flat(one)]
    return [] if metrics is None else [metrics]


def _metric(metric: Any) -> str | None:
    if not isinstance(metric, dict):
        return str(metric)
    config = metric.get("config")
    name = config.get("name") if isinstance(config, dict) else config
    return str(name or metric.get("class_name"))


def _optimizer(optimizer: Any) -> dict[str, Any] | None:
    if optimizer is None:
        return None
    config = optimizer.get_config()
    plain: dict[str, Any] = {
        k: v for k, v in config.items() if isinstance(v, (str, int, float, bool))
    }
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        plain = {**(_optimizer(optimizer.inner_optimizer) or {}), "loss_scaling": True}
    elif "inner_optimizer" in config:  # another wrapper: what it adds, and what it wraps
        inner = _optimizer(optimizer.inner_optimizer) or {}
        return {**inner, **plain, "name": f"{type(optimizer).__name__}({inner.get('name')})"}
    elif "learning_rate" not in plain:  # a schedule
        schedule = config.get("learning_rate")
        plain["learning_rate"] = str(schedule)
        plain["initial_learning_rate"] = _initial_rate(schedule)
    return {**plain, "name": plain["name"] if "loss_scaling" in plain else type(optimizer).__name__}


def _initial_rate(schedule: Any) -> float | None:
    """The rate that a saved schedule begins with, where it says so."""
    config = schedule.get("config") if isinstance(schedule, dict) else None
    rate = config.get("initial_learning_rate") if isinstance(config, dict) else None
    return float(rate) if isinstance(rate, (int, float)) else None
