"""The layers of a model that is a chain, and its dense layers each with what follows it."""

from typing import Any

import keras

from ..callbacks._saved_calls import saved_calls


def chain_of(model: Any) -> list[Any]:
    """The layers of a sequential or functional model in order, nested chains opened.

    Raises:
        ValueError: The model is not built, or it is not a chain: it branches, shares a layer, has
            operations that are no layers, or is a subclass with a `call` of its own.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: model={model!r} of type "
            f"{type(model).__name__}."
        )
    if not model.built:
        raise ValueError(
            f"The model must be built, so that its layers have weights. Received: {_named(model)}, "
            "which is not. Begin it with `keras.Input(shape)`, or call `model.build`."
        )
    layers = model.layers if isinstance(model, keras.Sequential) else _functional_chain(model)
    chain: list[Any] = []
    for layer in layers:
        chain += _opened(layer)
    return chain


def dense_blocks(chain: list[Any]) -> tuple[list[Any], list[list[Any]]]:
    """The layers in front of the first dense one, and each dense layer with what follows it."""
    starts = [i for i, layer in enumerate(chain) if isinstance(layer, keras.layers.Dense)]
    front = chain[: starts[0]] if starts else chain
    ends = [*starts[1:], len(chain)]
    return front, [chain[start:end] for start, end in zip(starts, ends, strict=True)]


def _opened(layer: Any) -> list[Any]:
    if isinstance(layer, keras.layers.InputLayer):
        return []
    if isinstance(layer, keras.Model):
        try:
            return chain_of(layer)
        except ValueError:
            # A block that branches inside passes its inputs on as one layer.
            return [layer]
    return [layer]


def _functional_chain(model: Any) -> list[Any]:
    config = model.get_config()
    if "input_layers" not in config:
        raise ValueError(
            f"The model must be sequential or functional. Received: {_named(model)}. The order of "
            "the layers of a subclass is known to its `call` only."
        )
    layers: list[Any] = []
    before: str | None = None
    for name, calls in saved_calls(config).items():
        expected = [] if before is None else [[before]]
        if [[source for source, _, _ in tensors] for tensors in calls] != expected:
            raise ValueError(
                "The model must be a chain, in which each layer is used once and feeds the next. "
                f"Received: {_named(model)}, which is not one at {name!r}. A residual or "
                "many-headed network has no order in which to pretrain its layers."
            )
        try:
            layers.append(model.get_layer(name))
        except ValueError:
            raise ValueError(
                f"The model must consist of layers. Received: {_named(model)} with the operation "
                f"{name!r}. Put it into a layer, such as `keras.layers.Activation`."
            ) from None
        before = name
    return layers


def _named(model: Any) -> str:
    return f"model {model.name!r} of type {type(model).__name__}"
