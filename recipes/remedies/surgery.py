"""`Surgery`: a model made anew with some of its layers changed, and layers put between them."""

import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import keras

from .remaking import model_like, remade, uncompiled

Factory = Callable[[], Any]


@dataclass
class Edit:
    """What is done to one layer; what is put behind it, in this order.

    Attributes:
        config: What its configuration is told anew.
        kind: The class that it is made of, None where that stays.
        instead: Makes the layer that takes its place, None where it stays.
        normalization: Makes the normalization behind it.
        activation: Makes the activation behind that.
        dropout: Makes the dropout behind that.
    """

    config: dict[str, Any] = field(default_factory=dict)
    kind: Any = None
    instead: Factory | None = None
    normalization: Factory | None = None
    activation: Factory | None = None
    dropout: Factory | None = None

    def behind(self) -> list[Any]:
        """The layers that take its output."""
        makes = (self.normalization, self.activation, self.dropout)
        return [make() for make in makes if make is not None]


class Surgery:
    """Collects edits of a Sequential or Functional model, and makes the model that has them.

    Layers are new, also where nothing is changed, and have weights as their initializers draw
    them; those of layers that are kept are carried over.

    Args:
        model: Keras model.

    Attributes:
        model: The model as it is; it stays so.
        at_inputs: For each input, what makes the layer that takes it first, or None.
        at_output: What makes the layer that takes the only output, or None.

    Raises:
        ValueError: Its layers cannot be listed or called anew.
    """

    def __init__(self, model: Any) -> None:
        if not isinstance(model, (keras.Sequential, keras.Function)):
            raise ValueError(
                "The model must be Sequential or Functional, so that its layers can be changed. "
                f"Received: model {model.name!r} of type {type(model).__name__}. Change its code "
                "as the findings' remedies say."
            )
        self.model = model
        self.at_inputs: list[Factory | None] = []
        self.at_output: Factory | None = None
        self._edits: dict[int, Edit] = {}
        self._made: dict[int, list[Any]] = {}

    def edit(self, layer: Any) -> Edit:
        """The edit of a layer, empty at first."""
        return self._edits.setdefault(id(layer), Edit())

    def perform(self) -> Any:
        """The new model, not compiled."""
        self._made = {}
        new = self._anew(self.model, self.at_inputs, self.at_output)
        _take_flags(self.model, new, self._made)
        return new

    def carry_over(self, layers: Collection[Any]) -> None:
        """Gives the new layers of these old ones their weights, where they have the same shapes."""
        for old in layers:
            made = self._made.get(id(old))
            if made is not None and isinstance(old, keras.Layer) and type(made[0]) is type(old):
                _take_state(old, made[0])

    def _anew(self, model: Any, at_inputs: list[Factory | None], at_output: Factory | None) -> Any:
        if isinstance(model, keras.Sequential):
            return self._sequential(model, at_inputs, at_output)
        return self._functional(model, at_inputs, at_output)

    def _sequential(self, model: Any, at_inputs: list[Any], at_output: Factory | None) -> Any:
        layers = [make() for make in at_inputs if make is not None]
        for layer in model.layers:
            layers += self._replacements(layer)
        new = model_like(model)
        tensors = getattr(model, "inputs", None)  # none of one that was never built
        if tensors:
            new.add(_input_like(tensors[0], tensors[0].name))
        for layer in [*layers, *([at_output()] if at_output else [])]:
            new.add(layer)
        return new

    def _functional(self, model: Any, at_inputs: list[Any], at_output: Factory | None) -> Any:
        names = {
            id(layer.output): layer.name
            for layer in model.layers
            if isinstance(layer, keras.layers.InputLayer)
        }
        inputs = keras.tree.map_structure(
            lambda one: _input_like(one, names.get(id(one), one.name)), model.input
        )
        prepared = {
            id(tensor): make()(tensor)
            for tensor, make in zip(keras.tree.flatten(inputs), at_inputs, strict=False)
            if make is not None
        }
        behind: dict[int, list[Any]] = {}

        def clone(layer: Any) -> Any:
            first, *rest = self._replacements(layer)
            behind[id(first)] = rest
            return first

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            args, kwargs = keras.tree.map_structure(
                lambda one: prepared.get(id(one), one), (args, kwargs)
            )
            outputs = layer(*args, **kwargs)
            for after in behind.get(id(layer), ()):
                outputs = after(outputs)
            return outputs

        new = keras.models.clone_model(
            uncompiled(model), input_tensors=inputs, clone_function=clone, call_function=call
        )
        outputs = new.output
        if at_output is not None:
            outputs = keras.tree.map_structure(at_output(), outputs)
        return model_like(model, inputs, outputs)

    def _replacements(self, layer: Any) -> list[Any]:
        """What stands for a layer in the new model: one or more, each made once."""
        if id(layer) not in self._made:
            edit = self._edits.get(id(layer), Edit())
            if isinstance(layer, (keras.Sequential, keras.Function)):
                first = self._anew(layer, [], None)
            else:
                first = edit.instead() if edit.instead else remade(layer, edit.config, edit.kind)
            self._made[id(layer)] = [first, *edit.behind()]
        return self._made[id(layer)]


def _input_like(tensor: Any, name: str) -> Any:
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        name=name,
        sparse=bool(getattr(tensor, "sparse", False)),
    )


def _take_flags(old: Any, new: Any, made: dict[int, list[Any]]) -> None:
    """Trainable or not, as it was; from the outside inwards, for a model tells its layers."""
    if new.trainable != old.trainable:
        new.trainable = old.trainable
    for layer in old.layers:
        if id(layer) not in made:  # an input, which Keras makes itself
            continue
        twin = made[id(layer)][0]
        if isinstance(layer, (keras.Sequential, keras.Function)):
            _take_flags(layer, twin, made)
        elif twin.trainable != layer.trainable:
            twin.trainable = layer.trainable


def _take_state(old: Any, new: Any) -> None:
    """Weights and what else a layer holds: numbers of draws, adapted vocabularies."""
    for part in ("variables", "weights"):
        sources, targets = getattr(old, part), getattr(new, part)
        if [one.shape for one in sources] == [one.shape for one in targets]:
            for source, target in zip(sources, targets, strict=True):
                target.assign(source)
            break
    if isinstance(new, keras.layers.Normalization):
        new.finalize_state()
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
