"""`HiddenLayers`: which layers of a model are hidden, and the activation that each applies."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras

from ..callbacks._layer_activations import applied_by
from ._layer_graph import LayerGraph, Node

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
)


@dataclass(frozen=True)
class HiddenLayers:
    """A model's graph, seen from its layers with weights; normalizations don't count as such."""

    graph: LayerGraph

    @cached_property
    def weighted(self) -> list[bool]:
        """Of each node, whether it is a layer with weights."""
        return [_has_weights(node.layer) for node in self.graph.nodes]

    @cached_property
    def after_weights(self) -> list[bool]:
        """Of each node, whether it comes after a layer with weights."""
        return self.graph.fed_by(self.weighted)

    @cached_property
    def before_weights(self) -> list[bool]:
        """Of each node, whether it comes before a layer with weights, the output's for example."""
        return self.graph.feeds(self.weighted)

    @cached_property
    def places(self) -> list[int]:
        """Of the layers with weights, less the last ones; these too where they apply SELU."""
        return [
            i
            for i, weighted in enumerate(self.weighted)
            if weighted and (self.before_weights[i] or self.activation(i)[0] == "selu")
        ]

    @property
    def first(self) -> list[Node]:
        """The layers with weights that the inputs reach."""
        flags = zip(self.graph.nodes, self.weighted, self.after_weights, strict=True)
        return [node for node, weighted, after in flags if weighted and not after]

    @property
    def nodes(self) -> list[Node]:
        """The hidden layers."""
        return [self.graph.nodes[i] for i in self.places]

    @property
    def dense(self) -> list[Node]:
        """The hidden layers that are dense."""
        return [node for node in self.nodes if isinstance(node.layer, keras.layers.Dense)]

    @property
    def between(self) -> list[tuple[int, Node]]:
        """What stands between layers with weights."""
        return [
            (i, node)
            for i, node in enumerate(self.graph.nodes)
            if not self.weighted[i] and self.after_weights[i] and self.before_weights[i]
        ]

    def activation(self, place: int) -> tuple[str, int]:
        """The activation of a layer with weights, and the place of what applies it."""
        name = applied_by(self.graph.nodes[place].layer).name
        at = place
        while name == "linear":
            children = self.graph.children[at]
            if len(children) != 1 or self.weighted[children[0]]:
                return "linear", place
            at = children[0]
            name = activation_name(self.graph.nodes[at].layer) or "linear"
        return name, at


def activation_name(layer: Any) -> str | None:
    """The activation that a layer or an operation is, None of one that does something else."""
    if not isinstance(layer, keras.Layer):
        return "selu" if type(layer).__name__ == "Selu" else None
    applied = applied_by(layer)
    return applied.name if applied.alone else None


def _has_weights(layer: Any) -> bool:
    if isinstance(layer, (*NORMALIZATIONS, keras.layers.Normalization)):
        return False
    return bool(getattr(layer, "weights", None)) and activation_name(layer) is None
