"""The figure of the activations: how wide each layer's signal is, and what is flat or dead."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import _figures as look
from ._arguments import check_record
from ._palette import INK, MUTED, depth_colours
from ._series import Doubles, Steps, bin_centers, binned
from .record import TrainingRecord

_SHARES = {
    "saturated_fraction": "Saturated share of each layer's outputs",
    "dead_fraction": "Dead share of each layer's units",
}


def plot_activation_stats(record: TrainingRecord, *, points: int = 20_000) -> Figure:
    """Draws the deviation of each layer's output by depth, and its saturated and dead shares.

    On top the standard deviation by depth, at the first and at the last recorded step, on a log
    axis: a line that falls shows a signal that dies out on its way, one that rises a signal that
    explodes. Below it the shares over the steps, of the layers that have them, coloured by depth.

    Args:
        record: The record of an `ActivationStats`.
        points: Integer. Points to draw in each panel, over all layers together, in 50 to 300 bins
            of steps. Defaults to `20_000`.

    Returns:
        The figure; lines over the steps have the layer's path as `gid`.

    Raises:
        ValueError: The record holds no activations.

    Example:
    ```python
    plot_activation_stats(monitor.record).savefig("activations.png")
    ```
    """
    check_record(record)
    if points < 1:
        raise ValueError(f"`points` must be positive. Received: points={points}")
    group = record.groups.get("activations")
    if group is None or not len(group.data):
        raise ValueError(
            "The record holds no activations. List `ActivationStats()` in `callbacks=` and call "
            f"`model.fit` first. Received: {record!r}"
        )
    data = group.data
    layers = [column["path"] for column in group.columns]
    shown = [name for name in _SHARES if np.isfinite(data[name]).any()]
    figure = look.new_figure(2.6 + 2.1 * len(shown))
    panels: Any = figure.subplots(
        1 + len(shown), 1, squeeze=False, height_ratios=(1.2, *[1] * len(shown))
    )
    top, *below = panels[:, 0]
    _by_depth(top, layers, data["step"], data["std"].astype(np.float64))
    for axes, name in zip(below, shown, strict=True):
        _over_steps(axes, name, layers, data["step"], data[name].astype(np.float64), points)
    if below:
        below[-1].set_xlabel("step")
        colours, names = depth_colours(len(layers)), look.short_names(layers)
        keys = [Line2D([], [], color=colour) for colour in colours]
        look.depth_key(figure, panels[1:, 0], keys, names)
    return figure


def _by_depth(axes: Axes, layers: Sequence[str], steps: Steps, std: Doubles) -> None:
    look.style(axes, "Standard deviation of each layer's output", "std")
    floor = look.log_scale(axes, std[[0, -1]], bool((std[[0, -1]] == 0).any()))
    depth = np.arange(1, len(layers) + 1)
    marker = "o" if len(layers) <= 50 else ""
    rows = ((0, MUTED, "first"), (-1, INK, "last")) if len(steps) > 1 else ((0, INK, "only"),)
    for row, colour, which in rows:
        axes.plot(
            depth, look.on_floor(std[row], floor), color=colour, marker=marker, markersize=4,
            linewidth=1.4, label=f"{which} row, step {steps[row]:,}", gid=which,
        )  # fmt: skip
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    axes.set_xlabel("layer, from the input on")
    if len(layers) <= look.FEW_LAYERS:
        names = [look.plain(name, 14) for name in look.short_names(layers)]
        axes.set_xticks(depth, names, rotation=20 if len(layers) > 5 else 0)
        axes.set_xlabel("")


def _over_steps(
    axes: Axes, name: str, layers: Sequence[str], steps: Steps, shares: Doubles, points: int
) -> None:
    look.style(axes, _SHARES[name], "share")
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
    bins = min(max(50, points // len(layers)), 300)
    middle, _, _ = binned(shares, bins)
    x, width = bin_centers(steps, bins), look.line_width(len(layers))
    dot = "o" if len(x) == 1 else "-"
    for at, (layer, colour) in enumerate(zip(layers, depth_colours(len(layers)), strict=True)):
        if np.isfinite(middle[:, at]).any():
            axes.plot(x, middle[:, at], dot, color=colour, linewidth=width, gid=layer)
