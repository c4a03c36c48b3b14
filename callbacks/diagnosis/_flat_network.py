"""Networks whose hidden layers do not reach the loss at all: no slope over depth shows these."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..activation_facts import ACTIVATION_FACTS
from ..record import TrainingRecord
from ._profile import columns, described_layers, output_layers

FLAT = 1e-3
"""AutoTrainer's ratio, here of a hidden kernel's gradient over the output bias's."""

_MORTAL = {name for name, facts in ACTIVATION_FACTS.items() if facts.units_can_die} | {"relu6"}


def flatness(
    record: TrainingRecord, rows: npt.NDArray[np.int64], layers: list[str]
) -> float | None:
    """The largest gradient of a hidden kernel over the output bias's, where it shows flatness.

    A zero is none: no unit is awake, or a branch begins at 0 by design. Against the loss alone
    targets in the thousands would look the same: the output's bias, whose gradient is as large
    as they are, tells the two apart.
    """
    norms = columns(record, "gradient_norm", layers)[rows]
    bias = columns(record, "gradient_norm", output_layers(record)[-1:], "bias")[rows]
    if not bias.shape[1]:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.median(norms / bias, axis=0)
        if "weight_norm" in record.statistics:
            loss = np.abs(record.loss[rows].astype(np.float64))[:, np.newaxis]
            shares = np.median(norms * columns(record, "weight_norm", layers)[rows] / loss, axis=0)
            if not (shares < FLAT).all():
                return None
    largest = float(np.max(ratio)) if np.isfinite(ratio).all() else math.nan
    return largest if 0 < largest < FLAT else None


def underflowing(
    record: TrainingRecord, rows: npt.NDArray[np.int64], layers: list[str]
) -> tuple[str, ...]:
    """The first layers whose gradient is 0 in all rows while a later one's is not.

    Where units can die, zeros have another cause, and nothing is returned.
    """
    described = described_layers(record)
    if not described or any(_can_die(layer) for layer in described):
        return ()
    zero = (columns(record, "gradient_norm", layers)[rows] == 0).all(axis=0)
    if len(rows) < 2 or zero.all() or not zero[0]:
        return ()
    return tuple(layers[: int(np.argmin(zero))])


def _can_die(layer: dict[str, Any]) -> bool:
    return layer.get("activation") in _MORTAL or layer.get("class") == "ReLU"
