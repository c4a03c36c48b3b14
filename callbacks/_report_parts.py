"""The sections of a report as HTML: the network, a run's figures; `findings_html` with them."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from ._layer_table import column_medians, layer_table_html, main_part
from ._report_findings import FindingLike, findings_html
from ._report_page import figure_html
from ._series import has_rows, layers_with
from ._tables import number, table_html
from ._training_curves import metric_names, plot_training_curves
from .plots import plot_gradient_norms, plot_learning_speed
from .record import TrainingRecord

__all__ = ["FindingLike", "facts_html", "findings_html", "training_html"]

_LAYER_COLUMNS = {
    "path": "layer",
    "class": "class",
    "activation": "activation",
    "units": "units",
    "kernel_initializer": "initializer",
    "parameters": "parameters",
}


_POINTS = 12_000
"""Of all figures: those of 200 layers stay near 200 kB, and those of many networks below it."""


def training_html(record: TrainingRecord, networks: int = 1) -> str:
    """How the training went and of which layers, for a page on so many networks."""
    return figures_html(record, _POINTS // networks) + "\n" + layers_html(record)


def facts_html(record: TrainingRecord) -> str:
    """What was trained and how far it came, as far as the record knows."""
    network = record.network
    shown = {
        "network": " ".join(str(network[k]) for k in ("name", "class") if network.get(k)),
        "parameters": network.get("parameters"),
        "loss": network.get("loss"),
        "optimizer": _optimizer(network.get("optimizer")),
        "epochs": _epochs(record),
        "batch size": network.get("batch_size"),
        "steps per epoch": network.get("steps_per_epoch"),
        **_last_metrics(record),
        **_gradient_facts(record),
    }
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{_breakable(number(value))}</dd></div>"
        for name, value in shown.items()
        if value not in (None, "")
    )
    cut = '<p class="alert">The record was cut off: its last rows are missing.</p>'
    return (cut if record.truncated else "") + (f"<dl>{facts}</dl>" if facts else "")


def layers_html(record: TrainingRecord) -> str:
    """The network's layers as it was described, folded."""
    layers = record.network.get("layers")
    if not layers:
        return ""
    rows = [
        {title: layer[key] for key, title in _LAYER_COLUMNS.items() if layer.get(key) is not None}
        for layer in layers
    ]
    return (
        f"<details><summary>The network's layers ({len(rows)})</summary>"
        f"{table_html(rows)}</details>"
    )


def figures_html(record: TrainingRecord, points: int) -> str:
    """The curves, the gradient norms, the speed of learning and the table of layers."""
    parts = []
    curves = plot_training_curves(record.epochs)
    if curves:
        parts.append(figure_html(curves, "Metrics at the end of each epoch."))
    if not has_rows(record) or not layers_with(record, "all"):
        return "\n".join([*parts, "<p>No step's gradients were recorded.</p>"])
    norms = plot_gradient_norms(record, part=main_part(record), points=points)
    parts.append(figure_html(norms, "Gradient norm of each layer, and the loss of each batch."))
    if len(record.hidden_kernels()) > 1:
        speed = plot_learning_speed(record, points=points)
        caption = "Speed of learning: gradient norm of each hidden layer, smoothed."
        parts.append(figure_html(speed, caption))
    return "\n".join([*parts, layer_table_html(record)])


def _breakable(text: str) -> str:
    """Escaped text that may break after an underscore."""
    return escape(text).replace("_", "_<wbr>")


def _optimizer(optimizer: Any) -> str:
    if not isinstance(optimizer, Mapping):
        return str(optimizer or "")
    shown = [f"{optimizer.get('name', '')}"]
    for key in ("learning_rate", "momentum", "clipnorm", "clipvalue", "global_clipnorm"):
        if optimizer.get(key):
            shown.append(f"{key} {number(optimizer[key])}")
    return ", ".join(part for part in shown if part)


def _epochs(record: TrainingRecord) -> str:
    planned, done = record.network.get("planned_epochs"), len(record.epochs)
    return f"{done} of {planned} planned" if planned and planned > done else f"{done or ''}"


def _last_metrics(record: TrainingRecord) -> dict[str, object]:
    """The last epoch's metrics."""
    last = record.epochs[-1] if record.epochs else {}
    keys = [key for name in metric_names(record.epochs) for key in (name, f"val_{name}")]
    return {f"last {key}": last[key] for key in keys[:8] if key in last}


def _gradient_facts(record: TrainingRecord) -> dict[str, object]:
    """Steps, and the first over the last hidden layer's gradient at first and in the median."""
    if not has_rows(record):
        return {}
    ratio = record.gradient_ratio()[:, None].astype(np.float64)
    facts: dict[str, object] = {"recorded steps": len(ratio)}
    if np.isfinite(ratio).any():
        facts["first / last hidden gradient, first step"] = float(ratio[0, 0])
        facts["first / last hidden gradient, median"] = float(column_medians(ratio)[0])
    return facts
