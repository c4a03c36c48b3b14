"""The calls of layers that a functional model's configuration writes down."""

from collections.abc import Iterator
from typing import Any

Tensor = tuple[str, int, int]
"""The layer that makes it, in which of its calls, as which of its outputs."""


def saved_calls(config: dict[str, Any]) -> dict[str, list[list[Tensor]]]:
    """The tensors among the arguments of each call, by the layer's name.

    Args:
        config: What `get_config` of a functional model gives. In contrast to `layer.input`, which
            is that of the first model that a layer was part of, it knows this model alone.
    """
    return {
        layer["name"]: [list(_tensors(call)) for call in layer["inbound_nodes"]]
        for layer in config["layers"]
    }


def _tensors(arguments: Any) -> Iterator[Tensor]:
    if isinstance(arguments, dict):
        if arguments.get("class_name") == "__keras_tensor__":
            yield tuple(arguments["config"]["keras_history"])
            return
        arguments = list(arguments.values())
    if isinstance(arguments, (list, tuple)):
        for one in arguments:
            yield from _tensors(one)
