"""The kernels that a run began with, where they are not what their initializers draw."""

import math
from typing import Any

import numpy as np

from ..record import TrainingRecord
from ._gains import MEASURED, constant, gain
from ._graph import Graph, fans, path
from ._rate import first_rate

_FACTOR = 2.0
_STEPS = 10.0


def begin_with_measured(graph: Graph, record: TrainingRecord) -> None:
    """Puts the mean square of the first recorded weights in the place of their initializers.

    Only where the two differ by more than a factor of 2, which what an initializer draws does
    not: a model that was trained or loaded before is judged by its weights.
    """
    squares = _mean_squares(record)
    moved = _STEPS * (first_rate(record.network) or 0.0)
    for at, layer in enumerate(graph.layers):
        square = squares.get(path(layer))
        if square is not None and not _is_drawn(layer, square, moved):
            measured = {"class": MEASURED, "mean_square": square}
            graph.layers[at] = {**layer, "initializer": measured}


def broken_from_the_start(record: TrainingRecord) -> tuple[str, ...]:
    """Layers whose weights are NaN or infinite before the first step, as a broken run left them.

    Only where the norms are those before the step, which they are beside those of the update.
    """
    group = record.groups.get("gradients")
    if group is None or not {"weight_norm", "update_norm"} <= set(group.statistics):
        return ()
    if not len(group.data) or record.steps[0] != 0:
        return ()
    norms = group.data["weight_norm"][0]
    broken = {
        column["layer"]
        for column, norm in zip(group.columns, norms, strict=True)
        if column.get("connected", True) and not math.isfinite(norm)
    }
    return tuple(layer for layer in record.layers if layer in broken)


def _mean_squares(record: TrainingRecord) -> dict[str, float]:
    group = next((g for g in record.groups.values() if "weight_norm" in g.statistics), None)
    if group is None or not len(group.data):
        return {}
    norms = np.asarray(group.data["weight_norm"][0], np.float64)
    return {
        column["layer"]: float(norm**2 / column["size"])
        for column, norm in zip(group.columns, norms, strict=True)
        if column["part"] == "kernel" and column["size"] and math.isfinite(norm)
    }


def _is_drawn(layer: dict[str, Any], square: float, moved: float) -> bool:
    value, sizes = constant(layer.get("initializer")), fans(layer)
    if value is not None:
        return abs(math.sqrt(square) - abs(value)) <= moved
    expected = gain(layer)
    if sizes is None or expected is None:
        return sizes is None
    return expected / _FACTOR <= sizes[0] * square <= expected * _FACTOR
