"""Names written beside the ends of curves, moved apart where they would overlap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from ...callbacks._palette import RULE
from ...callbacks._series import Doubles

FONT = 8.5
_LINE_HEIGHT = 1.35 * FONT


@dataclass(frozen=True, kw_only=True)
class EndLabel:
    """The name of a curve.

    Args:
        text: String.
        x: Float. Where the curve ends, NaN for a name without a line to it.
        y: Float. Its height there, in the axes' units; infinite for the top.
        colour: String. The curve's.
        bold: Boolean. Whether it is the one chosen. Defaults to `False`.
    """

    text: str
    x: float
    y: float
    colour: str
    bold: bool = False


def label_ends(axes: Axes, labels: Sequence[EndLabel], height: float) -> None:
    """Writes the labels right of the axes, at their curves' heights where there is room.

    Args:
        axes: The axes, with their limits set.
        labels: The labels, in any order.
        height: Float. Height of the axes in points.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    right = axes.get_xlim()[1]
    top = axes.get_ylim()[1]
    heights = np.array([min(label.y, top) for label in labels], np.float64)
    shares = np.array([to_axes.transform((right, y))[1] for y in heights])
    placed = spread(np.clip(shares, 0, 1), _LINE_HEIGHT / height)
    for label, y, share in zip(labels, heights, placed, strict=True):
        line = {"arrowstyle": "-", "color": RULE, "linewidth": 0.8, "relpos": (0, 0.5)}
        away = math.isnan(label.x)
        axes.annotate(
            label.text, (right, y) if away else (label.x, y), (1.05, share), "data",
            "axes fraction", va="center", fontsize=FONT, color=label.colour,
            fontweight="bold" if label.bold else "normal", annotation_clip=False,
            arrowprops=None if away else line,
        )  # fmt: skip


def spread(wanted: Doubles, gap: float) -> Doubles:
    """Positions at least `gap` apart, in the wanted order and as near to it as can be.

    Without the gap it is an isotonic regression, solved by pooling neighbors that would overlap.
    """
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    pools: list[tuple[float, int]] = []
    for position in wanted[order] - steps:
        mean, count = float(position), 1
        while pools and pools[-1][0] > mean:
            other, size = pools.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        pools.append((mean, count))
    flat = np.array([mean for mean, count in pools for _ in range(count)])
    # All within 0 to 1 where there is room, else centered around it.
    last = max(1 - gap * (len(wanted) - 1), 0.0)
    excess = min(1 - gap * (len(wanted) - 1), 0.0) / 2
    result = np.empty(len(wanted))
    result[order] = np.clip(flat, 0, last) + steps + excess
    return result
