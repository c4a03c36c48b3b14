"""The figure of the data: between which numbers inputs, targets and first answers lie."""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from . import _figures as look
from ._palette import INK, MUTED, PAGE, RULE, RUN_COLOURS
from .record import TrainingRecord

MADE_FOR = 3.0
"""Initializers presume inputs of mean 0 and deviation 1: nearly all lie within three of them."""

_LARGE = 10.0


def has_inputs(record: TrainingRecord) -> bool:
    """Whether the data of a record tell the inputs' range."""
    return bool(_rows(record.data, "inputs", "input"))


def has_targets(record: TrainingRecord) -> bool:
    """Whether they tell the targets', and these are no mere numbers of classes."""
    is_a_class = "sparse" in str(record.network.get("loss")).lower()
    return bool(_rows(record.data, "targets", "target")) and not is_a_class


def plot_input_ranges(record: TrainingRecord) -> Figure:
    """Draws the inputs' ranges before what a fresh layer is made for."""
    rows = _rows(record.data, "inputs", "input")
    figure = look.new_figure(1.1 + 0.35 * len(rows))
    axes = figure.add_subplot()
    look.style(axes, "The inputs")
    axes.axvspan(-MADE_FOR, MADE_FOR, color=RULE, alpha=0.6, gid="made-for", linewidth=0)
    _draw(axes, rows, MADE_FOR)
    axes.annotate(
        "what a fresh layer is made for", (0, 1), (0, 2), axes.get_xaxis_transform(),
        "offset points", ha="center", va="bottom", fontsize=8, color=MUTED, annotation_clip=False,
    )  # fmt: skip
    return figure


def plot_target_ranges(record: TrainingRecord) -> Figure:
    """Draws the targets' ranges over those of what the network answered before training."""
    rows = _rows(record.data, "targets", "target")
    rows |= _rows(record.data, "outputs", "fresh answer")
    figure = look.new_figure(1.0 + 0.35 * len(rows))
    axes = figure.add_subplot()
    look.style(axes, "The targets, and the network's answers before training")
    _draw(axes, rows, 1.0)
    return figure


def _rows(data: Mapping[str, Any], key: str, name: str) -> dict[str, Mapping[str, Any]]:
    """What is known of each array, by its label; those without numbers are left out."""
    found = [
        one
        for one in data.get(key) or []
        if all(_is_number(one.get(part)) for part in ("min", "max", "mean", "std"))
    ]
    if len(found) == 1:
        return {f"{name}s": found[0]}
    return {f"{name}s {at}": one for at, one in enumerate(found, 1)}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _draw(axes: Axes, rows: Mapping[str, Mapping[str, Any]], least: float) -> None:
    """A thin line from the least to the greatest number, a thick one a deviation to each side."""
    for at, (name, one) in enumerate(rows.items()):
        low, high, mean, std = (float(one[key]) for key in ("min", "max", "mean", "std"))
        inner = max(low, mean - std), min(high, mean + std)
        axes.plot([low, high], [at, at], color=INK, linewidth=1.2, gid=name, marker="|")
        axes.plot(inner, [at, at], color=RUN_COLOURS[0], linewidth=6, solid_capstyle="butt")
        axes.plot([mean], [at], "o", color=PAGE, markeredgecolor=RUN_COLOURS[0], markersize=6)
    ends = [abs(float(one[key])) for one in rows.values() for key in ("min", "max")]
    if max(ends) > _LARGE * least:
        axes.set_xscale("symlog", linthresh=least)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.06)
    axes.grid(True, axis="x", color=RULE, linewidth=0.5)
    axes.grid(False, axis="y")
