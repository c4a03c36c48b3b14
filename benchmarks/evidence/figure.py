"""The forest plot: a row a claim, a mark a data set, with its interval."""

from collections.abc import Sequence
from typing import Any

from claim import Claim
from data_sets import NAMES
from effects import Effect
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from trainwell.callbacks._figures import new_figure, style
from trainwell.callbacks._palette import INK, MUTED, RULE, RUN_COLOURS

Effects = dict[str, Effect]

_MARKS = dict(zip(NAMES, "osD^", strict=True))
_COLOURS = dict(zip(NAMES, RUN_COLOURS, strict=False))
_APART = 0.19  # of the marks of a row
_UNITS = {
    "points": ("Accuracy: percentage points in favor of the claim", 1.0,
               (-30, -10, -3, -1, 0, 1, 3, 10, 30)),
    "ln": ("Loss: ln of the ratio in favor of the claim", 0.3, (-3, -1, -0.3, 0, 0.3, 1, 3)),
}  # fmt: skip


def draw(found: Sequence[tuple[Claim, Effects, str]]) -> Figure:
    """Two panels, one for each unit.

    Args:
        found: Each claim with its effects by data set and its verdict, in order.
    """
    rows = {
        unit: [one for one in found if one[0].measures[0].unit == unit and one[1]]
        for unit in _UNITS
    }
    rows = {unit: some for unit, some in rows.items() if some}
    count = sum(map(len, rows.values()))
    figure = new_figure(1.6 + 0.3 * count)
    panels = figure.subplots(
        len(rows), 1, squeeze=False, height_ratios=[len(one) + 1.2 for one in rows.values()]
    )[:, 0]
    for axes, (unit, some) in zip(panels, rows.items(), strict=True):
        _panel(axes, unit, some)
    lines = [
        Line2D([], [], color=_COLOURS[name], marker=_MARKS[name], lw=1.4, ms=5, label=name)
        for name in NAMES
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _panel(axes: Any, unit: str, rows: Sequence[tuple[Claim, Effects, str]]) -> None:
    title, linear, ticks = _UNITS[unit]
    style(axes, title)
    axes.grid(False)
    axes.set_xscale("symlog", linthresh=linear, linscale=0.8)
    axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
    for tick in ticks:
        axes.axvline(tick, color=RULE, linewidth=0.5, zorder=0)
    smallest = rows[0][0].smallest
    axes.axvspan(-smallest, smallest, color=RULE, alpha=0.5, linewidth=0, zorder=0)
    for place, (_, effects, _) in enumerate(rows):
        if place % 2:
            axes.axhspan(place - 0.5, place + 0.5, color=RULE, alpha=0.22, linewidth=0, zorder=0)
        for at, name in enumerate(NAMES):
            if name in effects:
                _mark(axes, place + (at - 1.5) * _APART, name, effects[name])
    axes.set_yticks(range(len(rows)), [claim.name for claim, _, _ in rows])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=8.5, length=0)
    axes.set_xticks(ticks, [f"{tick:+g}".replace("-", "−") if tick else "0" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(len(rows) - 0.5, -0.5)


def _mark(axes: Any, height: float, name: str, effect: Effect) -> None:
    """Filled where the effect counts, hollow where it does not."""
    colour, (mean, low, high) = _COLOURS[name], effect.interval
    clear = effect.counts != "neither"
    axes.plot([low, high], [height, height], color=colour, lw=1.3, solid_capstyle="butt")
    axes.plot([mean], [height], _MARKS[name], color=colour, ms=3.6,
              mfc=colour if clear else "white", mew=1.0)  # fmt: skip
