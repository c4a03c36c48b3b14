"""What a record tells of units: how many of a layer sleep or are saturated, seen or inferred."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..activation_facts import ACTIVATION_FACTS, ALIASES
from ..record import TrainingRecord
from ._learning import Doubles, window_width
from ._profile import columns, described_layers, hidden_layers, output_layers

_MORTAL = {name for name, facts in ACTIVATION_FACTS.items() if facts.units_can_die} | {"relu6"}


@dataclass(frozen=True)
class UnitShares:
    """The share of a layer's units, over time.

    Attributes:
        layer: Its path.
        activation: The name of what it applies.
        units: How many it has, None where unknown.
        steps: `[S]`.
        shares: `[S]`.
        seen: Whether they were counted, or inferred from gradients that are exactly 0.
    """

    layer: str
    activation: str
    units: int | None
    steps: Any
    shares: Doubles
    seen: bool = True

    @property
    def now(self) -> float:
        """Their median over the last window."""
        return float(np.median(self.shares[-window_width(len(self.shares)) :]))


def is_mortal(activation: str) -> bool:
    """Whether units of this activation can die."""
    return activation in _MORTAL


def is_flat_on_both_sides(activation: str) -> bool:
    """Whether it is one of sigmoid, tanh and softsign."""
    facts = ACTIVATION_FACTS.get(activation)
    return facts is not None and facts.flat_below is not None and facts.flat_above is not None


def counted_shares(record: TrainingRecord, statistic: str) -> list[UnitShares]:
    """Of the hidden layers of the group `"activations"` that have the statistic."""
    group = record.groups.get("activations")
    if group is None or statistic not in group.statistics or len(group.data) == 0:
        return []
    outputs, loss = _outputs(record), group.data["loss"]
    sound = np.isfinite(loss) if np.isfinite(loss).any() else np.ones(len(loss), bool)
    found = []
    for at, column in enumerate(group.columns):
        shares = group.data[statistic][:, at].astype(np.float64)
        # Behind a NaN every unit looks asleep.
        finite = np.isfinite(shares) & sound
        if column["path"] in outputs or not finite.any():
            continue
        activation = str(column.get("activation"))
        steps, units = group.data["step"][finite], column.get("units")
        found.append(UnitShares(column["path"], activation, units, steps, shares[finite]))
    return found


def inferred_shares(record: TrainingRecord) -> list[UnitShares]:
    """The share of each hidden layer's units whose bias has a gradient of exactly 0.

    Without `"zero_fraction"`, 1 where both kernel and bias have none. Only where the loss does
    send a gradient, and not where a branch of the network may be off by design: at the first
    step of one with shortcuts.
    """
    layers = hidden_layers(record)
    if not layers or not described_layers(record):
        return []
    sends = _sends_gradient(record, layers)
    if sends.sum() < 2:
        return []
    norms = columns(record, "gradient_norm", layers, "all")
    if "zero_fraction" in record.statistics:
        zeros = columns(record, "zero_fraction", layers, "bias")
        zeros = np.where(np.isfinite(zeros), zeros, norms == 0)
    else:
        zeros = (norms == 0).astype(np.float64)
    steps = record.steps[sends]
    return [
        UnitShares(layer, activation, units, steps, zeros[sends, at], seen=False)
        for at, layer in enumerate(layers)
        for activation, units in [_applied_after(record, layer)]
    ]


def usual_activation(record: TrainingRecord, layers: Iterable[str]) -> str | None:
    """What most of the layers apply, None where nothing is known of them."""
    known = {layer["path"] for layer in described_layers(record)}
    applied = Counter(_applied_after(record, layer)[0] for layer in layers if layer in known)
    return applied.most_common(1)[0][0] if applied else None


def _sends_gradient(record: TrainingRecord, layers: list[str]) -> Any:
    """Rows in which the output layers have a finite gradient that is not 0: bool `[S]`."""
    norms = record.by_layer("gradient_norm").astype(np.float64)
    outputs = [record.layers.index(layer) for layer in output_layers(record)]
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(norms[:, outputs]) > 0).any(axis=1) & np.isfinite(
            norms[:, [record.layers.index(layer) for layer in layers]]
        ).all(axis=1)


def _applied_after(record: TrainingRecord, path: str) -> tuple[str, int | None]:
    """The activation of a layer, or of the one that follows its normalization; and its units."""
    described = described_layers(record)
    at = next((i for i, layer in enumerate(described) if layer["path"] == path), None)
    if at is None:
        return "linear", None
    units, name = described[at].get("units"), _activation(described[at])
    for layer in described[at + 1 :]:
        normalizes = layer.get("normalizes", str(layer.get("class")).endswith("Normalization"))
        if name != "linear" or not (normalizes or _applies_alone(layer)):
            break
        name = _activation(layer)
    return name, units


def _applies_alone(layer: dict[str, Any]) -> bool:
    return layer.get("class") in ("Activation", "ReLU")


def _activation(layer: dict[str, Any]) -> str:
    if layer.get("class") == "ReLU":
        return "relu"
    name = str(layer.get("activation") or "linear")
    return ALIASES.get(name, name)


def _outputs(record: TrainingRecord) -> set[str]:
    named = set(record.network.get("outputs") or [])
    return {
        layer["path"]
        for layer in described_layers(record)
        if layer.get("output") or layer["path"].rpartition("/")[2] in named
    }
