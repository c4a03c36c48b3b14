"""Arguments of `compile`: those that are known, plain for one output, and of another loss."""

from collections.abc import Mapping
from typing import Any

import keras

from ...callbacks._best_constant import loss_name
from ...callbacks._layer_description import name_of
from .._recompiling import arguments_of_compile

_ACCURACIES = {
    "binary_crossentropy": keras.metrics.BinaryAccuracy,
    "categorical_crossentropy": keras.metrics.CategoricalAccuracy,
    "sparse_categorical_crossentropy": keras.metrics.SparseCategoricalAccuracy,
}


def known_arguments(model: Any) -> tuple[dict[str, Any], list[str]]:
    """What `compile` was given, without the optimizer and the metrics that Keras can't save.

    Returns:
        The arguments, and a sentence on what was left out.

    Raises:
        ValueError: `compile` is the model's own.
    """
    try:
        return arguments_of_compile(model), []
    except ValueError:
        if type(model).compile is not keras.Model.compile:
            raise
    lost: list[str] = []
    config = {k: v for k, v in model.get_compile_config().items() if k not in ("optimizer", "loss")}
    arguments = {name: _known(value, lost) for name, value in config.items()}
    sentence = (
        f"The metrics {', '.join(lost)} are not known to Keras and are left out: register them "
        "with `keras.saving.register_keras_serializable`, or compile the new model with them."
    )
    return {**arguments, "loss": model.loss, "auto_scale_loss": False}, [sentence]


def the_loss(arguments: dict[str, Any]) -> Any:
    """The loss of a model with one output, without the list or dict around it."""
    loss = arguments.get("loss")
    within = list(loss.values()) if isinstance(loss, Mapping) else loss
    return within[0] if isinstance(within, (list, tuple)) and len(within) == 1 else loss


def with_loss(arguments: dict[str, Any], loss: Any, weight: float | None = None) -> dict[str, Any]:
    """The same with another loss, by the output's name where it was; the weight is multiplied."""
    old = arguments.get("loss")
    given = keras.tree.flatten(arguments.get("loss_weights") or 1.0)[0]
    changed: dict[str, Any] = {"loss": [loss] if isinstance(old, (list, tuple)) else loss}
    if isinstance(old, Mapping):
        changed = {"loss": dict.fromkeys(old, loss)}
    if weight is not None:
        whole = weight * float(given)
        changed["loss_weights"] = dict.fromkeys(old, whole) if isinstance(old, Mapping) else [whole]
    return {**arguments, **changed}


def unnamed(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same without the name of the only output, which is going to be another."""
    flat = {**arguments, "loss": the_loss(arguments)}
    for name in ("loss_weights", "metrics", "weighted_metrics"):
        if isinstance(flat.get(name), Mapping):
            flat[name] = keras.tree.flatten(list(flat[name].values()))
    return flat


def with_accuracies_of(loss: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments whose accuracies are those of another loss, where they were of one kind.

    `"accuracy"` is found anew by Keras; `"binary_accuracy"` and its like would stay.
    """
    kind = _ACCURACIES.get(loss_name(name_of(loss)) or "")
    changed = {
        name: keras.tree.map_structure(lambda metric: _suited(metric, kind), arguments[name])
        for name in ("metrics", "weighted_metrics")
        if kind is not None and arguments.get(name)
    }
    return {**arguments, **changed}


def _suited(metric: Any, kind: Any) -> Any:
    if isinstance(metric, str):
        known = {loss.replace("crossentropy", "accuracy") for loss in _ACCURACIES}
        return kind(name=metric) if metric in known else metric
    others = tuple(one for one in _ACCURACIES.values() if one is not kind)
    return kind(name=metric.name) if type(metric) in others else metric


def _known(value: Any, lost: list[str]) -> Any:
    """A part of the configuration made again, None of what can't be."""
    if isinstance(value, (list, tuple)):
        made = [_known(one, lost) for one in value]
        return [one for one in made if one is not None]
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _known(one, lost) for key, one in value.items()}
    try:
        return keras.saving.deserialize_keras_object(value)
    except (TypeError, ValueError):
        config = value.get("config") if isinstance(value, dict) else None
        lost.append(str(config.get("name") if isinstance(config, dict) else config))
        return None
