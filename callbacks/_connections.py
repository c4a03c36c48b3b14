"""Which layer of a model feeds which, read from the model's own configuration."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras

from ._saved_calls import Tensor, saved_calls

Places = list[int] | None
"""Indexes of layers; None where that can't be known."""


@dataclass
class Place:
    """A layer, or an operation such as `keras.ops.add`, among all of a model.

    Attributes:
        layer: The layer or the operation.
        inputs: Indexes of those that feed it, None where that can't be known.
        output: Whether its output is the model's; None where that can't be known.
    """

    layer: Any
    inputs: Places = field(default_factory=list)
    output: bool | None = False


@dataclass
class _Opened:
    """A model among the layers: what takes its inputs, and what makes its outputs."""

    entries: list[int]
    exits: list[Places]


def places_of(model: Any) -> list[Place]:
    """All layers of a model in its order, each once; nested models are opened.

    A layer that is called several times is fed by the union of what feeds its calls. Connections
    are known of Sequential and Functional models; a subclassed model has none that could be read.
    """
    places: list[Place] = []
    opened = _open(model, places)
    known = all(one is not None for one in opened.exits)
    for place in places:
        place.output = False if known else None
    for made in opened.exits:
        for index in made or ():
            places[index].output = True
    return places


def _open(model: Any, places: list[Place]) -> _Opened:
    if isinstance(model, keras.Sequential):
        return _open_sequential(model, places)
    config = _config_of(model) if isinstance(model, keras.Function) else None
    if config is None:
        return _open_unseen(model, places)
    return _open_functional(model, config, places)


def _open_sequential(model: Any, places: list[Place]) -> _Opened:
    entries: list[int] = []
    before: list[Places] = []
    for layer in model.layers:
        opened = _add(layer, places)
        for index in opened.entries:
            _feed(places[index], before)
        entries, before = entries or opened.entries, opened.exits
    return _Opened(entries, before)


def _open_unseen(model: Any, places: list[Place]) -> _Opened:
    entries = []
    for layer in model.layers:
        entries += _add(layer, places).entries
    for index in entries:
        places[index].inputs = None
    return _Opened(entries, [None])


def _open_functional(model: Any, config: dict[str, Any], places: list[Place]) -> _Opened:
    opened = {one.name: _add(one, places) for one in model.operations}

    def made_by(tensor: Tensor) -> Places:
        exits = opened[tensor[0]].exits
        return exits[min(tensor[2], len(exits) - 1)]

    for name, calls in saved_calls(config).items():
        entries = opened[name].entries
        for tensors in calls:
            made = [made_by(tensor) for tensor in tensors]
            # The inputs of a nested functional model are layers of their own, one a tensor.
            one_each = len(entries) == len(made) and len(made) > 1
            for at, index in enumerate(entries):
                _feed(places[index], [made[at]] if one_each else made)
    inputs = [
        index
        for name, _, _ in _references(config["input_layers"])
        for index in opened[name].entries
    ]
    return _Opened(inputs, [made_by(one) for one in _references(config["output_layers"])])


def _add(layer: Any, places: list[Place]) -> _Opened:
    if isinstance(layer, keras.Model):
        return _open(layer, places)
    at = next((i for i, place in enumerate(places) if place.layer is layer), len(places))
    if at == len(places):
        places.append(Place(layer))
    return _Opened([at], [[at]])


def _feed(place: Place, made: list[Places]) -> None:
    for one in made:
        if one is None or place.inputs is None:
            place.inputs = None
        else:
            place.inputs += [index for index in one if index not in place.inputs]


def _config_of(model: Any) -> dict[str, Any] | None:
    """The configuration with the calls in it, None where a layer can't write one."""
    try:
        config = model.get_config()
        if "output_layers" not in config:  # a subclass, whose configuration is of its own kind
            config = keras.Model(model.inputs, model.outputs, name=model.name).get_config()
    except Exception:  # a user's `get_config` may raise anything
        return None
    names = {operation.name for operation in model.operations}
    same = names == {layer["name"] for layer in config["layers"]}
    return dict(config) if same else None


def _references(nested: Any) -> Iterator[Tensor]:
    flat = iter(keras.tree.flatten(nested))
    return zip(flat, flat, flat, strict=True)
