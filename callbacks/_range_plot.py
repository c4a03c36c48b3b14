"""The figure of a range test: the losses over the rates, and the suggestions."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from . import _figures as look
from ._palette import INK, MUTED, RUN_COLOURS
from ._series import Doubles

_ENDS = {
    "highest": "",
    "diverged": ", until it diverged",
    "non_finite": ", until it was not finite",
    "early": ", until there was no more data",
}


def plot_range(
    rates: Doubles,
    losses: Doubles,
    smoothed: Doubles,
    suggestions: Mapping[str, float | None],
    ended: str,
) -> Figure:
    """Draws the true losses as dots, the smoothed ones as a line, a stroke for each suggestion."""
    figure = look.new_figure(4.0)
    axes = figure.add_subplot()
    look.style(axes, f"Loss while the learning rate grows{_ENDS[ended]}", "loss")
    axes.set_xlabel("learning rate")
    axes.set_xscale("log")
    shown = [*rates, *filter(None, suggestions.values())]
    axes.set_xlim(min(shown) / 1.1, max(*shown, 10 * rates[0]) * 1.1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: look.power_of_ten(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    finite = np.where(np.isfinite(losses), losses, np.nan)
    axes.plot(rates, finite, ".", color=MUTED, markersize=4, gid="losses", label="of a batch")
    axes.plot(rates, smoothed, color=INK, linewidth=1.6, gid="smoothed", label="smoothed")
    axes.set_ylim(*_range_shown(losses, smoothed))
    _mark_suggestions(axes, rates, smoothed, suggestions)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK)
    return figure


def _mark_suggestions(
    axes: Axes, rates: Doubles, smoothed: Doubles, suggestions: Mapping[str, float | None]
) -> None:
    finite = np.isfinite(smoothed)
    rates, smoothed = rates[finite], smoothed[finite]
    for (name, rate), colour in zip(suggestions.items(), RUN_COLOURS, strict=False):
        if rate is None:
            continue
        height = np.interp(np.log(rate), np.log(rates), smoothed)
        axes.axvline(rate, color=colour, linewidth=0.8, alpha=0.6, zorder=1)
        axes.plot(
            [rate], [height], "o", color=colour, markersize=6, gid=name,
            label=f"{name.replace('_', ' ')}: {rate:.2g}",
        )  # fmt: skip


def _range_shown(losses: Doubles, smoothed: Doubles) -> tuple[float, float]:
    """Heights that show the fall; the rise to infinity would flatten it to a line."""
    finite = np.isfinite(smoothed)
    if not finite.any():
        return 0.0, 1.0
    inside, first = losses[finite], float(smoothed[finite][0])
    low = float(min(inside.min(), smoothed[finite].min()))
    high = max(first, float(np.quantile(inside, 0.9)))
    if first > low:
        high = min(high, low + 3 * (first - low))
    margin = 0.05 * (high - low) or 0.05 * abs(low) or 0.5
    return low - margin, high + margin
