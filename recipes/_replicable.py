"""Whether models can be trained as one: alike, without randomness, by an elementwise optimizer."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import keras

from ..callbacks._keras_private import excludes_from_weight_decay

_ELEMENTWISE = (
    keras.optimizers.SGD,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
    keras.optimizers.RMSprop,
    keras.optimizers.Adagrad,
    keras.optimizers.Adadelta,
    keras.optimizers.Adamax,
    keras.optimizers.Nadam,
    keras.optimizers.Lion,
)
_NOT_OF_THE_FUNCTION = ("name", "seed", "shared_object_id", "build_config")
_NODES = ("inbound_nodes", "input_layers", "output_layers")
_ALONE = "Train the seeds one by one."


def check_seeds(seeds: Any) -> list[int]:
    """The seeds as integers.

    Raises:
        ValueError: They are none, or two are the same.
    """
    given = [] if isinstance(seeds, (str, Integral)) else list(seeds)
    whole = all(isinstance(one, Integral) and int(one) >= 0 for one in given)
    if not given or not whole or len(set(given)) < len(given):
        raise ValueError(
            "`seeds` must be a sequence of different whole numbers from 0 on, such as range(5). "
            f"Received: seeds={seeds!r}."
        )
    return [int(one) for one in given]


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
    if len(set(map(id, models))) < len(models):
        raise ValueError(
            "`build` must make a new model each time it is called. Received: the same model for "
            "two seeds."
        )
    _check_kind(first)
    for model in models[1:]:
        difference = _difference(_facts(first), _facts(model))
        if difference:
            raise ValueError(
                "`build` must give the same network for each seed, its first weights apart. "
                f"Received: two that differ in {difference}. {_ALONE}"
            )
    _check_layers(first)


def _check_kind(model: Any) -> None:
    name = type(model).__name__
    if len(getattr(model, "outputs", ())) != 1 or len(getattr(model, "inputs", ())) != 1:
        raise ValueError(
            "The network must be a Sequential or Functional model with one input and one output. "
            f"Received: {name} {model.name!r}. {_ALONE}"
        )
    for method in ("train_step", "test_step", "compute_loss"):
        if getattr(type(model), method) is not getattr(keras.Model, method):
            raise ValueError(
                f"The network must be trained by Keras' own step. Received: a `{method}` of "
                f"{name}. {_ALONE}"
            )
    if not (isinstance(model.loss, (str, keras.losses.Loss)) or callable(model.loss)):
        raise ValueError(
            "The network must be compiled with one loss: its name, a Keras loss or a function. "
            f"Received: loss={model.loss!r}."
        )


def _facts(model: Any) -> dict[str, Any]:
    """What has to be equal, first weights and names apart."""
    facts = {
        f"layer {at} ({type(layer).__name__})": _plain(layer.get_config())
        for at, layer in enumerate(model.layers)
    }
    compiled_with = model.get_compile_config()
    facts |= {f"the {name}": _plain(one) for name, one in compiled_with.items()}
    return facts | {"their variables": [tuple(one.shape) for one in model.variables]}


def _plain(config: Any) -> Any:
    """A configuration without names, seeds and initializers."""
    if isinstance(config, dict):
        return {
            key: _plain(value)
            for key, value in config.items()
            if key not in (*_NOT_OF_THE_FUNCTION, *_NODES) and not key.endswith("initializer")
        }
    if isinstance(config, (list, tuple)):
        return [_plain(one) for one in config]
    return config if isinstance(config, (str, int, float, bool, type(None))) else str(config)


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    different = [key for key in one | other if one.get(key) != other.get(key)]
    return different[0] if different else ""


def _check_layers(model: Any) -> None:
    """Refuses layers that draw at random, and masks."""
    for layer in _layers(model):
        if any(_draws(one) for one in (layer, getattr(layer, "forward_layer", None)) if one):
            raise ValueError(
                "The network must have no random layers, as dropout: one draw would serve all "
                f"seeds. Received: {layer.name!r} ({type(layer).__name__}). {_ALONE}"
            )
        if getattr(layer, "mask_zero", False) or isinstance(layer, keras.layers.Masking):
            raise ValueError(
                "The network must have no masks: the stacked loss does not see them. Received: "
                f"{layer.name!r} ({type(layer).__name__}). {_ALONE}"
            )


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


def _draws(layer: Any) -> bool:
    """Whether it has a seed generator that it uses: recurrent layers always have one."""
    if hasattr(layer, "layers") or hasattr(layer, "forward_layer"):
        return False
    if isinstance(layer, keras.layers.RNN):
        cells = getattr(layer.cell, "cells", [layer.cell])
        rates = ("dropout", "recurrent_dropout")
        return any(getattr(cell, rate, 0) for cell in cells for rate in rates)
    return any("seed_generator" in one.path for one in layer.non_trainable_variables)


def check_optimizer(optimizer: Any) -> None:
    """Refuses optimizers whose step of one weight depends on others, or on more than a step.

    Raises:
        ValueError: See above.
    """
    options = ["clipnorm", "global_clipnorm", "use_ema", "loss_scale_factor",
               "gradient_accumulation_steps"]  # fmt: skip
    wrong = [name for name in options if getattr(optimizer, name, None)]
    if excludes_from_weight_decay(optimizer):
        wrong.append("exclude_from_weight_decay")
    if type(optimizer) in _ELEMENTWISE and not wrong:
        return
    known = ", ".join(one.__name__ for one in _ELEMENTWISE)
    raise ValueError(
        "All seeds' weights are one tensor to the optimizer, so that it must treat each weight "
        f"for itself and each step alike: {known}, without {', '.join(options)}. Received: "
        f"{', '.join([type(optimizer).__name__, *wrong])}. `clipvalue` is possible."
    )
