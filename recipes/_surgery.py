"""`Surgery`: a model made anew with some of its layers changed, and layers put between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras

Factory = Callable[[], Any]


@dataclass
class Edit:
    """What is done to one layer.

    Attributes:
        config: What its configuration is told anew.
        instead: Makes the layer that takes its place, None where it stays.
        after: Make the layers that take its output, in order.
    """

    config: dict[str, Any] = field(default_factory=dict)
    instead: Factory | None = None
    after: list[Factory] = field(default_factory=list)


class Surgery:
    """Collects edits of a Sequential or Functional model, and makes the model that has them.

    Layers are new, also where nothing is changed, and have weights as their initializers draw
    them; those of layers that are kept are carried over.

    Args:
        model: Keras model.

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
        self._edits: dict[int, Edit] = {}
        self._made: dict[int, list[Any]] = {}

    def edit(self, layer: Any) -> Edit:
        """The edit of a layer, empty at first."""
        return self._edits.setdefault(id(layer), Edit())

    def perform(self) -> Any:
        """The new model, not compiled."""
        self._made = {}
        model = self._anew(self.model, self.at_inputs)
        model.trainable = self.model.trainable
        return model

    def carry_over(self, layers: list[Any]) -> None:
        """Gives the new layers of these old ones their weights, where they have the same shapes."""
        for old in layers:
            new = self._made.get(id(old), [None])[0]
            weights = getattr(old, "weights", [])
            if new is None or [w.shape for w in weights] != [w.shape for w in new.weights]:
                continue
            for source, target in zip(old.variables, new.variables, strict=True):
                target.assign(source)
            if isinstance(new, keras.layers.Normalization):
                new.finalize_state()

    def _anew(self, model: Any, at_inputs: list[Factory | None]) -> Any:
        if isinstance(model, keras.Sequential):
            return self._sequential(model, at_inputs)
        return self._functional(model, at_inputs)

    def _sequential(self, model: Any, at_inputs: list[Factory | None]) -> Any:
        layers = [make() for make in at_inputs if make is not None]
        for layer in model.layers:
            layers += self._replacements(layer)
        new = keras.Sequential(name=model.name)
        if model.built and model.inputs:
            (tensor,) = model.inputs
            new.add(keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name))
        for layer in layers:
            new.add(layer)
        return new

    def _functional(self, model: Any, at_inputs: list[Factory | None]) -> Any:
        inputs = keras.tree.map_structure(
            lambda one: keras.Input(batch_shape=one.shape, dtype=one.dtype, name=one.name),
            model.input,
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

        return keras.models.clone_model(
            model, input_tensors=inputs, clone_function=clone, call_function=call
        )

    def _replacements(self, layer: Any) -> list[Any]:
        """What stands for a layer in the new model: one or more, each made once."""
        if id(layer) not in self._made:
            edit = self._edits.get(id(layer), Edit())
            first = edit.instead() if edit.instead else self._remade(layer, edit.config)
            self._made[id(layer)] = [first, *(make() for make in edit.after)]
        return self._made[id(layer)]

    def _remade(self, layer: Any, changed: dict[str, Any]) -> Any:
        if isinstance(layer, (keras.Sequential, keras.Function)):
            new = self._anew(layer, [])
        else:
            new = type(layer).from_config({**layer.get_config(), **changed})
        if isinstance(layer, keras.Layer):
            new.trainable = layer.trainable
        return new
