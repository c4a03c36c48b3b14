"""The epoch logs as small figures: each metric with its validation twin."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import _figures as look
from ._palette import INK, RUN_COLOURS

MOST_PANELS = 6


def metric_names(epochs: Sequence[dict[str, Any]]) -> list[str]:
    """Metrics of the logs without their `val_` twins and without what the monitors added."""
    names = dict.fromkeys(
        name.removeprefix("val_")
        for logs in epochs
        for name, value in logs.items()
        if isinstance(value, (int, float)) and name not in ("epoch", "fit", "learning_rate")
    )
    # Keras' logs are sorted by name; the loss belongs first.
    return sorted(
        (name for name in names if not name.startswith("gradient_")),
        key=lambda name: name != "loss",
    )


def plot_training_curves(epochs: Sequence[dict[str, Any]]) -> Figure | None:
    """Draws each metric of the epoch logs, in training and in validation, by epoch.

    Returns:
        The figure, one panel per metric, 6 at most; None where the logs hold no metric.
    """
    names = metric_names(epochs)[:MOST_PANELS]
    if not names:
        return None
    rows = -(-len(names) // 2)
    figure = look.new_figure(2.4 * rows)
    grid = figure.subplots(rows, 2, squeeze=False, sharex=True).flatten()
    x = np.arange(1, len(epochs) + 1)
    for axes, name in zip(grid, names, strict=False):
        look.style(axes, look.plain(name))
        marker = "o" if len(epochs) <= 30 else ""
        for at, (key, label) in enumerate(((name, "training"), (f"val_{name}", "validation"))):
            values = np.array([float(logs.get(key, np.nan)) for logs in epochs])
            if not np.isnan(values).all():
                axes.plot(
                    x, np.where(np.isfinite(values), values, np.nan), label=label, gid=key,
                    color=RUN_COLOURS[at], marker=marker, markersize=3, linewidth=1.4,
                )  # fmt: skip
        axes.set_xlabel("epoch")
        axes.xaxis.set_tick_params(labelbottom=True)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        if len(axes.lines) > 1:
            axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    return figure
