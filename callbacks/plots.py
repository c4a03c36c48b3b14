"""Figures of a record: gradient norms over the steps, and the speed of learning."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from . import _figures as look
from ._arguments import check_record
from ._depth_profiles import plot_depth_profiles as plot_depth_profiles
from ._palette import INK, depth_colours
from ._series import (
    Doubles,
    binned,
    layer_series,
    layers_with,
    running_geometric_mean,
)
from .record import Part, TrainingRecord


def plot_gradient_norms(
    record: TrainingRecord, *, part: Part = "kernel", points: int = 20_000
) -> Figure:
    """Draws every layer's gradient norm over the steps, coloured by depth, above the true loss.

    The axis is logarithmic. Steps whose norm is exactly 0 lie on a line marked 0, NaN and infinite
    steps are red ticks along the top. A long run is drawn as the median of each bin of steps, with
    up to 10 layers also the range within the bin.

    Args:
        record: The record.
        part: `"kernel"`, `"bias"` or `"all"` of each layer's variables. Defaults to `"kernel"`.
        points: Integer. Points to draw, over all layers together, in 50 to 300 bins of steps.
            Defaults to `20_000`.

    Returns:
        The figure: one line per layer in the first axes, each with the layer's path as `gid`.

    Raises:
        ValueError: The record is empty, or no layer has such a part.

    Example:
    ```python
    plot_gradient_norms(monitor.record).savefig("norms.png")
    ```
    """
    check_record(record)
    series = layer_series(record, "gradient_norm", part, points)
    names = look.short_names(series.layers)
    loss, _, _ = binned(record.loss[:, None].astype(np.float64), len(series.x))
    figure, axes, below = _axes_above_loss(series.x, loss[:, 0])
    look.style(axes, f"{look.OF_PART[part]} norm of each layer", "L2 norm")
    few = len(names) <= look.FEW_LAYERS
    shown = np.stack([series.low, series.high]) if few else series.middle
    floor = look.log_scale(axes, shown, bool(series.zero_steps.size))
    lines = _layer_lines(axes, series.layers, series.x, series.middle, floor)
    if few and len(series.x) < len(record.steps):
        for at, line in enumerate(lines):
            low, high = (look.on_floor(v[:, at], floor) for v in (series.low, series.high))
            axes.fill_between(series.x, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    look.mark_zeros(axes, series.zero_steps, floor)
    look.mark_non_finite(axes, series.non_finite_steps)
    look.mark_epochs(axes, record)
    if below:
        look.mark_epochs(below, record, label=False)
    look.depth_key(figure, axes, lines, names)
    return figure


def plot_learning_speed(
    record: TrainingRecord,
    *,
    part: Part | None = None,
    smooth: int | None = None,
    points: int = 20_000,
) -> Figure:
    """Draws how fast each hidden layer learns: the norm of its gradient over the steps.

    Args:
        record: The record.
        part: `"bias"`, as in the text, `"kernel"` or `"all"`. Defaults to `None`: the biases
            where a hidden layer has any (batch normalization drops them), else the kernels.
        smooth: Integer. Rows in the running geometric mean; 1 draws the norms themselves. Defaults
            to a fiftieth of the rows.
        points: Integer. Points to draw, over all layers together, in 50 to 300 bins of steps.
            Defaults to `20_000`.

    Returns:
        The figure: one line per hidden layer with the layer's path as `gid`; up to 10 layers also
        have their unsmoothed norms behind it, faint.

    Raises:
        ValueError: The record is empty, or no hidden layer has such a part.

    Reference:
        - Nielsen, Neural Networks and Deep Learning (2015), chapter 5.
    """
    check_record(record)
    if smooth is not None and (not isinstance(smooth, int) or smooth < 1):
        raise ValueError(
            f"`smooth` must be a whole number of rows, at least 1. Received: smooth={smooth!r}"
        )
    part = part or _part_with_biases(record)
    hidden = _hidden_with(record, part)
    series = layer_series(record, "gradient_norm", part, points, hidden)
    names = look.short_names(series.layers)
    rows = smooth or max(1, len(record.steps) // 50)
    window = max(1, round(rows * len(series.x) / len(record.steps)))
    speed = running_geometric_mean(series.middle, window)
    figure = look.new_figure(4.0)
    axes = figure.add_subplot()
    look.style(axes, _speed_title(names, series.middle), f"{look.OF_PART[part]} norm")
    _step_axis(axes)
    raw = len(names) <= look.FEW_LAYERS and window > 1
    floor = look.log_scale(axes, series.middle if raw else speed, bool(series.zero_steps.size))
    lines = _layer_lines(axes, series.layers, series.x, speed, floor)
    if raw:
        for at, line in enumerate(lines):
            behind = look.on_floor(series.middle[:, at], floor)
            axes.plot(series.x, behind, color=line.get_color(), alpha=0.25, linewidth=0.7, zorder=1)
    look.mark_zeros(axes, series.zero_steps, floor)
    look.mark_non_finite(axes, series.non_finite_steps)
    look.mark_epochs(axes, record)
    look.depth_key(figure, axes, lines, names)
    return figure


def _axes_above_loss(x: Doubles, loss: Doubles) -> tuple[Figure, Axes, Axes | None]:
    """A figure with axes for the layers and, where the loss was recorded, smaller ones for it."""
    if not np.isfinite(loss).any():
        figure = look.new_figure(4.0)
        axes = figure.add_subplot()
        _step_axis(axes)
        return figure, axes, None
    figure = look.new_figure(5.0)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    look.style(below, y_label="loss")
    _step_axis(below)
    below.plot(x, loss, _dot(x), color=INK, linewidth=1.0, gid="loss")
    positive = loss[loss > 0]
    if len(positive) == np.isfinite(loss).sum() and positive.max() > 100 * positive.min():
        look.log_scale(below, positive, zeros=False)
    return figure, axes, below


def _step_axis(axes: Axes) -> None:
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _dot(x: Doubles) -> str:
    """A format that shows a single point, which no line does."""
    return "o" if len(x) == 1 else "-"


def _layer_lines(
    axes: Axes, layers: Sequence[str], x: Doubles, values: Doubles, floor: float
) -> list[Line2D]:
    """One line per layer, coloured by depth."""
    width, heights = look.line_width(len(layers)), look.on_floor(values, floor)
    return [
        axes.plot(x, heights[:, at], _dot(x), color=colour, linewidth=width, gid=layer)[0]
        for at, (layer, colour) in enumerate(zip(layers, depth_colours(len(layers)), strict=True))
    ]


def _part_with_biases(record: TrainingRecord) -> Part:
    biases = layers_with(record, "bias") if record.groups else []
    return "bias" if set(record.hidden_kernels()) & set(biases) else "kernel"


def _hidden_with(record: TrainingRecord, part: Part) -> list[str]:
    having = layers_with(record, part) if record.groups else []
    hidden = [layer for layer in record.hidden_kernels() if layer in having]
    if not hidden:
        raise ValueError(
            f"No hidden layer has a variable of this part that a gradient reaches. Received: "
            f"part={part!r}. With hidden layers, leave `part` out; a network without any has no "
            "speed of learning to compare."
        )
    return hidden


def _speed_title(names: Sequence[str], speed: Doubles) -> str:
    """The first step in words: how many times as fast the last hidden layer learns."""
    first, last = speed[0, 0], speed[0, -1]
    if len(names) < 2 or not (np.isfinite(first) and np.isfinite(last) and first > 0 and last > 0):
        return "Speed of learning of each hidden layer"
    ratio, faster, slower = last / first, names[-1], names[0]
    if ratio < 1:
        ratio, faster, slower = 1 / ratio, slower, faster
    faster, slower = look.plain(faster, 18), look.plain(slower, 18)
    times = f"{ratio:,.0f}" if 100 <= ratio < 1e6 else f"{ratio:.3g}"
    return f"At first {faster} learns {times} times as fast as {slower}"
