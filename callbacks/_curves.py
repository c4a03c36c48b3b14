"""Which curves of a group of rows a dashboard shows, as plain data; used by `tensorboard.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._rows import Rows
from ._statistics import STATISTICS
from .record import TrainingRecord

MOST_LAYERS = 16
_IN_DECADES = frozenset(STATISTICS) - {"zero_fraction"}

Floats = npt.NDArray[np.float32]
Values = Callable[[npt.NDArray[np.void]], Floats]


@dataclass(frozen=True)
class Curve:
    """One number a step.

    Attributes:
        tag: Its name on the dashboard.
        meaning: What it is, in words.
        values: From rows `[n]` of the group to the numbers `[n]`.
        of_layer: Whether it tells of one layer, and so has histograms.
        in_decades: Whether its spread is one of orders of magnitude.
    """

    tag: str
    meaning: str
    values: Values
    of_layer: bool = False
    in_decades: bool = False


def curves_of(group: Rows, network: dict[str, Any], every_layer: bool = False) -> list[Curve]:
    """The curves of a group: the step's, then each statistic's, of all variables and of the layers.

    Args:
        group: The group; of its rows nothing is read.
        network: The description of the network that it is of.
        every_layer: Whether to show all layers, rather than at most `MOST_LAYERS`.

    Returns:
        The curves, none of them of a layer that no gradient reaches.
    """
    owners = _owners(group)
    shown = list(owners) if every_layer else _evenly_spaced(group, owners)
    some = "" if len(shown) == len(owners) else f"; {len(shown)} of {len(owners)} layers are shown"
    curves = _of_step(group, network)
    for statistic in group.statistics:
        meaning, decades = statistic.replace("_", " "), statistic in _IN_DECADES
        if statistic in STATISTICS:
            meaning = STATISTICS[statistic].meaning
            of_all = [at for columns in owners.values() for at in columns]
            whole = f"{meaning}; of all trained variables together"
            curves.append(Curve(statistic, whole, _combined(group, statistic, of_all)))
        for layer in shown:
            values = _combined(group, statistic, owners[layer])
            curves.append(Curve(f"{statistic}/{layer}", meaning + some, values, True, decades))
    return curves


def _of_step(group: Rows, network: dict[str, Any]) -> list[Curve]:
    curves = [
        Curve("loss", "true loss of the step's batch", lambda rows: rows["loss"]),
        Curve("learning_rate", "learning rate of the step", lambda rows: rows["learning_rate"]),
    ]
    if "gradient_norm" in group.statistics and len(_record(group, network).hidden_kernels()) > 1:
        meaning = "kernel-gradient norm of the first over the last hidden layer"
        curves.append(
            Curve(
                "gradient_ratio",
                meaning,
                lambda rows: _record(group, network, rows).gradient_ratio(),
            )
        )
    return curves


def _record(
    group: Rows, network: dict[str, Any], rows: npt.NDArray[np.void] | None = None
) -> TrainingRecord:
    record = TrainingRecord(network, memory_limit=2**62)  # it must not thin itself
    record.add_group(Rows.from_description(group.description() | {"stride": 1}))
    if rows is not None:
        record.append(group.name, rows)
    return record


def _combined(group: Rows, statistic: str, columns: list[int]) -> Values:
    if len(columns) == 1:
        return lambda rows: rows[statistic][:, columns[0]]
    sizes = np.array([group.columns[at]["size"] for at in columns], np.float64)
    return lambda rows: STATISTICS[statistic].combine(rows[statistic][:, columns], sizes)


def _owners(group: Rows) -> dict[str, list[int]]:
    """The columns of each layer, in the order of the model."""
    owners: dict[str, list[int]] = {}
    for at, column in enumerate(group.columns):
        if column.get("connected", True):
            owners.setdefault(column.get("layer", column["path"]), []).append(at)
    return owners


def _evenly_spaced(group: Rows, owners: dict[str, list[int]]) -> list[str]:
    if len(owners) <= MOST_LAYERS:
        return list(owners)

    # Along convolution, normalization, convolution, ... equal strides would mix the two at random.
    def has_kernel(layer: str) -> bool:
        return any(group.columns[at].get("part") == "kernel" for at in owners[layer])

    layers = list(filter(has_kernel, owners))
    if len(layers) < 2:
        layers = list(owners)
    chosen = np.linspace(0, len(layers) - 1, MOST_LAYERS).round().astype(int)
    return [layers[at] for at in dict.fromkeys(chosen.tolist())]
