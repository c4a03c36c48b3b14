"""A compiled model's arguments of `compile`, anew: the same but for the optimizer's rate."""

from numbers import Real
from typing import Any

import keras

LOWER = 0.1


def check_rate(learning_rate: Any) -> None:
    """Refuses what is neither a positive finite number, nor a schedule, nor None."""
    if learning_rate is None or isinstance(
        learning_rate, keras.optimizers.schedules.LearningRateSchedule
    ):
        return
    number = isinstance(learning_rate, Real) and not isinstance(learning_rate, bool)
    if not number or not 0 < learning_rate < float("inf"):
        raise ValueError(
            "`learning_rate` must be a finite number above 0, a Keras schedule or None (a tenth "
            f"of the present rate). Received: learning_rate={learning_rate!r}."
        )


def arguments_of_compile(model: Any) -> dict[str, Any]:
    """What `compile` was given, without the optimizer; metrics are new and empty.

    Raises:
        ValueError: A part cannot be made from its configuration, or `compile` is the model's own.
    """
    if type(model).compile is not keras.Model.compile:
        raise ValueError(
            "The model must be compiled by Keras' own `compile`, whose arguments are known. "
            f"Received: model {model.name!r} of type {type(model).__name__}, which has its own. "
            "Set `trainable` of its layers and compile it again."
        )
    config, arguments = model.get_compile_config(), {}
    config.pop("optimizer", None)
    for name, value in config.items():
        try:
            arguments[name] = keras.saving.deserialize_keras_object(value)
        except (TypeError, ValueError) as error:
            if name != "loss":
                raise ValueError(
                    f"The model must be compiled with `{name}` that Keras can save. Received: "
                    f"{name}={value!r}. Register the function or class with `keras.saving."
                    "register_keras_serializable`, or call `unfreeze` inside "
                    "`keras.saving.custom_object_scope`."
                ) from error
    # A loss has no state, so that the old one serves, whether Keras could save it or not.
    arguments["loss"] = model.loss
    # With `auto_scale_loss` a plain optimizer in float16 would be wrapped where it was not.
    return {**arguments, "auto_scale_loss": False}


def optimizer_like(optimizer: Any, learning_rate: Any) -> Any:
    """A new optimizer of the same class and settings, with another rate."""
    rate = LOWER * float(optimizer.learning_rate) if learning_rate is None else learning_rate
    return type(optimizer).from_config(_with_rate(optimizer.get_config(), rate))


def _with_rate(config: dict[str, Any], rate: Any) -> dict[str, Any]:
    """The configuration with the rate where the innermost optimizer has it."""
    for name, value in config.items():
        inner = value.get("config") if isinstance(value, dict) else None
        if isinstance(inner, dict) and "optimizer" in name:
            return {**config, name: {**value, "config": _with_rate(inner, rate)}}
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = keras.saving.serialize_keras_object(rate)
    return {**config, "learning_rate": rate}
