"""`Treatment`: a model under change, and what the remedies need to know of it."""

from typing import Any

import keras
import numpy as np

from ..callbacks._connections import places_of
from ..callbacks._network import describe_network
from ..callbacks.diagnosis._graph import Graph, is_activation, is_kernel, path
from ._recompiling import arguments_of_compile
from ._surgery import Surgery

DAMAGE = frozenset(
    {
        "dying_relu",
        "exploding_gradient",
        "learning_rate_too_high",
        "non_finite",
        "saturated_activation",
    }
)
"""Symptoms that leave weights from which training does not come back."""


class Treatment:
    """What is going to be changed of a model.

    Attributes:
        model: The model as it is; it stays so.
        x: Training inputs, None where they were not given.
        y: Training targets likewise.
        graph: Its layers' descriptions with their connections.
        surgery: The edits of its layers.
        compile: Arguments of the new model's `compile`, without the optimizer.
        optimizer: The new optimizer, to be changed.
        rate_is_asked: Whether a range test is to find the rate.
        disturbed: Indexes of the layers whose function is another than before.
    """

    def __init__(self, model: Any, x: Any = None, y: Any = None) -> None:
        self.model, self.x, self.y = model, x, y
        self.graph = Graph(describe_network(model))
        self.surgery = Surgery(model)
        self.compile = arguments_of_compile(model)
        self.optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        self.rate_is_asked = False
        self.disturbed: set[int] = set()
        self._layers = [place.layer for place in places_of(model)]

    def layer(self, at: int) -> Any:
        """The layer of an index."""
        return self._layers[at]

    def name(self, at: int) -> str:
        """Its path in the model."""
        return path(self.graph.layers[at])

    def hidden(self) -> list[int]:
        """Hidden layers with a kernel that may be changed."""
        return [at for at in self.graph.hidden() if self.is_free(at)]

    def is_free(self, at: int) -> bool:
        """Whether its configuration can be told anew: a Keras layer that learns, unwrapped."""
        layer = self.graph.layers[at]
        return layer.get("trainable") is not False and layer.get("wraps") is None

    def of(self, names: tuple[str, ...]) -> list[int]:
        """The hidden layers among those that a finding names, all where it names none."""
        named = [at for at in self.hidden() if self._answers_to(at, names)]
        return named if named else self.hidden()

    def output(self) -> int | None:
        """The layer that makes the only output's values, None where there are several."""
        outputs = self.graph.outputs()
        return self.graph.made_by(outputs[0]) if len(outputs) == 1 else None

    def lasting(self, symptoms: set[str]) -> list[Any]:
        """The layers whose weights still make sense: nothing before them was changed."""
        broken = any(not np.isfinite(w.numpy()).all() for w in self.model.weights)
        if symptoms & DAMAGE or broken or (self.disturbed and not self.graph.known):
            return []
        stale = set(self.disturbed)
        for at in range(len(self._layers)):
            if stale.intersection(self.graph.parents(at)):
                stale.add(at)
        return [layer for at, layer in enumerate(self._layers) if at not in stale]

    def _answers_to(self, at: int, names: tuple[str, ...]) -> bool:
        """Whether a layer, or the activation or normalization behind it, is named."""
        behind = []
        for after in self.graph.after(at):
            layer = self.graph.layers[after]
            if not (is_activation(layer) or layer.get("normalizes")) or is_kernel(layer):
                break
            behind.append(after)
        return any(self.name(one) in names for one in (at, *behind))


def rebuilt(layer: Any, **changed: Any) -> Any:
    """A layer or an optimizer of the same class, with some of its configuration changed."""
    return type(layer).from_config({**layer.get_config(), **changed})


def innermost(optimizer: Any) -> Any:
    """The optimizer that updates the weights, within those that wrap it."""
    inner = getattr(optimizer, "inner_optimizer", None)
    return innermost(inner) if isinstance(inner, keras.optimizers.Optimizer) else optimizer
