"""Whether models can be trained as one: alike, without randomness, by an elementwise optimizer."""

from typing import Any

import keras

_ELEMENTWISE = (
    keras.optimizers.SGD,
    keras.optimizers.Adam,
    keras.optimizers.RMSprop,
    keras.optimizers.Adagrad,
    keras.optimizers.Adadelta,
    keras.optimizers.Adamax,
    keras.optimizers.Nadam,
    keras.optimizers.Lion,
)


def check_alike(models: list[Any]) -> None:
    """Refuses models that differ, or that have what does not come out of one call.

    Raises:
        ValueError: See above.
    """
    first = models[0]
    for model in models:
        if not isinstance(model, keras.Model) or not model.built or not model.compiled:
            raise ValueError(
                f"`build` must give a built, compiled Keras model. Received: {model!r}. Begin it "
                "with `keras.Input(shape)`, and call `compile`."
            )
        shapes = [tuple(one.shape) for one in model.variables]
        if shapes != [tuple(one.shape) for one in first.variables]:
            raise ValueError(
                "`build` must give the same network for each seed. Received: variables of other "
                f"shapes, {shapes}, than for the first seed."
            )
    if len(first.outputs) != 1 or len(first.inputs) != 1:
        raise ValueError(
            "The network must have one input and one output. Received: "
            f"{len(first.inputs)} and {len(first.outputs)}. Train the seeds one by one."
        )
    if any("seed" in variable.path for variable in first.non_trainable_variables):
        raise ValueError(
            "The network must have no random layers, as dropout: one draw would serve all seeds. "
            f"Received: {first.name!r} with some. Train the seeds one by one."
        )


def check_optimizer(optimizer: Any) -> None:
    """Refuses optimizers whose step of one weight depends on others.

    Raises:
        ValueError: See above.
    """
    clips = [name for name in ("clipnorm", "global_clipnorm") if getattr(optimizer, name, None)]
    if isinstance(optimizer, _ELEMENTWISE) and not clips:
        return
    received = ", ".join([type(optimizer).__name__, *clips])
    raise ValueError(
        "The optimizer must treat each weight for itself, without clipping by norm, as all seeds' "
        f"weights are one tensor to it. Received: {received}. `clipvalue` is possible."
    )
