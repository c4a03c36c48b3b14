"""What of the inputs reaches the first layer, and how it is scaled there."""

import math
from typing import Any

from ._graph import Graph, is_activation, is_kernel, is_maximum, is_shape, kind, path


class Input:
    """An input's numbers, as they reach the first kernel."""

    def __init__(self, described: dict[str, Any], scale: float, offset: float) -> None:
        self.mean = scale * described["mean"] + offset
        self.std = abs(scale) * described["std"]
        self.rms = math.hypot(self.mean, self.std)
        means = described.get("feature_mean") or [described["mean"]] * 2
        deviations = described.get("feature_std") or [described["std"]] * 2
        self.feature_mean = sorted(scale * one + offset for one in means)
        self.feature_std = sorted(abs(scale) * one for one in deviations)
        self.quartile = abs(scale) * (described.get("feature_std_quartile") or 0.0)
        self.features = math.prod(described.get("shape") or [1])

    @property
    def offset(self) -> float:
        """The least |mean| / deviation that some feature must have."""
        low, high = self.feature_mean
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        # Which deviation belongs to which mean isn't known.
        return nearest / self.feature_std[1] if self.feature_std[1] > 0 else 0.0

    @property
    def unlike(self) -> float:
        """How many times the largest deviation is that of a quarter of the features."""
        return self.feature_std[1] / self.quartile if self.quartile > 0 else 1.0


def entries(network: dict[str, Any], graph: Graph, inputs: list[dict[str, Any]]) -> list[int]:
    """For each of the described inputs the layer that takes it; empty where that isn't sure."""
    first = [at for at in range(len(graph.layers)) if not graph.parents(at)]
    if len(inputs) != len(first):
        return []
    named = {path(graph.layers[at]).rpartition("/")[2]: at for at in first}
    names = [one.get("name") or "" for one in inputs]
    if not any(names):
        names = list(network.get("inputs") or [])
    if set(names) == set(named):
        return [named[name] for name in names]
    return first if len(first) == 1 else []


def first_kernel(graph: Graph, entry: int) -> tuple[int, float, float] | None:
    """The kernel that an input reaches, and its scale and offset there; None behind anything else.

    None too where a normalization follows on the kernel: it takes the scale out again.
    """
    scale, offset = 1.0, 0.0
    for at in (entry, *graph.after(entry)):
        layer = graph.layers[at]
        if is_kernel(layer):
            return None if _normalized_after(graph, at) else (at, scale, offset)
        if kind(layer) == "Rescaling" and layer.get("scale") is not None:
            by = float(layer["scale"])
            scale, offset = scale * by, offset * by + float(layer.get("offset") or 0.0)
        elif not (is_shape(layer) or is_maximum(layer) or kind(layer) == "Concatenate"):
            return None
    return None


def _normalized_after(graph: Graph, at: int) -> bool:
    for one in graph.after(at):
        layer = graph.layers[one]
        if layer.get("normalizes"):
            return True
        if not (is_shape(layer) or is_maximum(layer) or is_activation(layer)):
            return False
    return False
