"""`LayerGraph`: all layers of a model and what feeds them, as one flat graph."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras

from ..callbacks._saved_calls import Tensor, saved_calls


@dataclass(frozen=True)
class Node:
    """One call of a layer, or of an operation such as `keras.ops.add`.

    Attributes:
        layer: The layer or the operation.
        path: Its name, after those of the models that it is nested in.
        parents: Places in the graph of the nodes whose outputs it takes.
    """

    layer: Any
    path: str
    parents: tuple[int, ...]


@dataclass
class LayerGraph:
    """The nodes of a model, each after those that feed it; nested models are opened.

    Attributes:
        nodes: Of the whole model.
        unseen: `(name, reason)` of the models whose connections can't be seen. Their layers stand
            in the order in which the model has them, each fed by the one before.
    """

    nodes: list[Node] = field(default_factory=list)
    unseen: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, model: Any) -> "LayerGraph":
        """The graph of a Keras model."""
        graph = cls()
        graph._open(model, "", [])
        return graph

    def fed_by(self, chosen: Sequence[bool]) -> list[bool]:
        """Whether each node has one of the chosen before it, at any distance."""
        fed: list[bool] = []
        for node in self.nodes:
            fed.append(any(chosen[p] or fed[p] for p in node.parents))
        return fed

    def feeds(self, chosen: Sequence[bool]) -> list[bool]:
        """Whether each node has one of the chosen after it, at any distance."""
        feeds = [False] * len(self.nodes)
        for i in reversed(range(len(self.nodes))):
            for p in self.nodes[i].parents:
                feeds[p] |= chosen[i] or feeds[i]
        return feeds

    @cached_property
    def children(self) -> list[list[int]]:
        """Of each node, the places of those that take its output."""
        children: list[list[int]] = [[] for _ in self.nodes]
        for i, node in enumerate(self.nodes):
            for parent in set(node.parents):
                children[parent].append(i)
        return children

    def _add(self, layer: Any, prefix: str, parents: list[int]) -> list[int]:
        """Places of the nodes that make the layer's outputs, one each."""
        if isinstance(layer, keras.Model):
            return self._open(layer, f"{prefix}{layer.name}/", parents)
        self.nodes.append(Node(layer, f"{prefix}{layer.name}", tuple(parents)))
        return [len(self.nodes) - 1]

    def _open(self, model: Any, prefix: str, parents: list[int]) -> list[int]:
        reason = "a subclassed model"
        if isinstance(model, keras.Function):
            # Made anew, as a subclass may have a configuration of its own kind.
            plain = keras.Model(model.inputs, model.outputs, name=model.name)
            try:
                config = plain.get_config()
            except (NotImplementedError, TypeError, ValueError):
                reason = "a layer of it has no working `get_config`"
            else:
                return self._open_functional(plain, config, prefix, parents)
        if not isinstance(model, keras.Sequential):
            self.unseen.append((model.name, reason))
        for layer in model.layers:
            parents = self._add(layer, prefix, parents)
        return parents

    def _open_functional(
        self, plain: Any, config: dict[str, Any], prefix: str, parents: list[int]
    ) -> list[int]:
        operations = {operation.name: operation for operation in plain.operations}
        made: dict[tuple[str, int], list[int]] = {}
        for i, (name, call, _) in enumerate(_references(config["input_layers"])):
            fed = [parents[min(i, len(parents) - 1)]] if parents else None
            made[name, call] = fed or self._add(operations[name], prefix, [])
        waiting = [
            (name, call, tensors)
            for name, calls in saved_calls(config).items()
            for call, tensors in enumerate(calls)
        ]
        while waiting:
            later = []
            for name, call, tensors in waiting:
                if all(tensor[:2] in made for tensor in tensors):
                    made[name, call] = self._add(operations[name], prefix, _places(tensors, made))
                else:  # a shared layer, whose second call comes after others
                    later.append((name, call, tensors))
            if len(later) == len(waiting):
                raise ValueError(
                    f"The connections of {plain.name!r} are not a graph without loops."
                )
            waiting = later
        return _places(_references(config["output_layers"]), made)


def _places(tensors: Sequence[Tensor], made: dict[tuple[str, int], list[int]]) -> list[int]:
    """The nodes that make these tensors; one node makes all outputs of a layer."""
    return [made[name, call][min(at, len(made[name, call]) - 1)] for name, call, at in tensors]


def _references(nested: Any) -> list[Tensor]:
    """The tensors that a model begins or ends with."""
    flat = iter(keras.tree.flatten(nested))
    return list(zip(flat, flat, flat, strict=True))
