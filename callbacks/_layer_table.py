"""The table of a report with a row per layer: how large its gradient was, from first to last."""

from collections.abc import Sequence
from html import escape

import numpy as np

from ._palette import css_colour, depth_colours
from ._series import Doubles, layer_values, layers_with
from ._tables import Bar, table_html
from .record import Part, TrainingRecord

FEW_ROWS = 40


def main_part(record: TrainingRecord) -> Part:
    """`"kernel"` where any layer has one, else `"all"`."""
    return "kernel" if layers_with(record, "kernel") else "all"


def layer_table_html(record: TrainingRecord) -> str:
    """The per-layer table with a bar of the median norm on a log scale.

    The ratio is the layer's median norm over that of the last hidden layer.
    """
    part = main_part(record)
    layers, norms = layer_values(record, "gradient_norm", part)
    medians = column_medians(norms)
    hidden = [at for at, layer in enumerate(layers) if layer in record.hidden_kernels()]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = medians / medians[hidden[-1]] if hidden else np.full(len(layers), np.nan)
    rows: list[dict[str, object]] = [
        {
            "layer": layer,
            "median, log scale": bar,
            "first step": norms[0, at],
            "median": medians[at],
            "last step": norms[-1, at],
            "over last hidden": float(ratios[at]) if hidden else None,
        }
        for at, (layer, bar) in enumerate(zip(layers, _bars(medians), strict=True))
    ]
    for title, values in _extra_columns(record, layers, part).items():
        for row, value in zip(rows, values, strict=True):
            row[title] = float(value)
    unreached = [layer for layer in record.layers if layer not in layers_with(record, "all")]
    note = f"No gradient reaches {', '.join(map(escape, unreached))}." if unreached else ""
    text = (
        f"Gradient norm of each layer's {'kernel' if part == 'kernel' else 'variables'} over "
        f"{len(norms):,} recorded steps. {note}"
    )
    opened = " open" if len(rows) <= FEW_ROWS else ""
    return (
        f"<details{opened}><summary>Layer by layer ({len(rows)})</summary>"
        f'<p class="muted">{text}</p>{table_html(rows)}</details>'
    )


def column_medians(values: Doubles) -> Doubles:
    """Median of each column's finite values, NaN where there is none: `[L]`."""
    return np.array(
        [np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else np.nan for c in values.T]
    )


def _bars(values: Doubles) -> list[Bar | None]:
    """A bar for each positive value, from 2% for the smallest to all for the largest, in logs."""
    logs = np.log10(np.where(values > 0, values, np.nan))
    if np.isnan(logs).all():
        return [None for _ in values]
    low, high = float(np.nanmin(logs)), float(np.nanmax(logs))
    shares = 0.02 + 0.98 * ((logs - low) / (high - low) if high > low else logs * 0 + 1)
    colours = map(css_colour, depth_colours(len(logs)))
    return [
        None if np.isnan(share) else Bar(float(share), colour)
        for share, colour in zip(shares, colours, strict=True)
    ]


def _extra_columns(record: TrainingRecord, layers: Sequence[str], part: Part) -> dict[str, Doubles]:
    """Medians of what was recorded besides the norms."""
    columns = {}
    if "zero_fraction" in record.statistics:
        columns["zero gradients"] = layer_values(record, "zero_fraction", part, layers)[1]
    if {"update_norm", "weight_norm"} <= set(record.statistics):
        updates, weights = (
            layer_values(record, statistic, part, layers)[1]
            for statistic in ("update_norm", "weight_norm")
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            columns["update / weight"] = updates / weights
    return {title: column_medians(values) for title, values in columns.items()}
