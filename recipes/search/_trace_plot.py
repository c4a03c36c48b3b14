"""A trace of a search as a figure: a row for each stage that has trials."""

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...callbacks import _figures as look
from ...callbacks._palette import MUTED
from ._trace_curves import draw_batch_sizes, draw_epochs
from ._trace_panels import Row
from ._trace_rates import draw_costs, draw_last_costs
from ._trace_rows import Traced
from ._trace_scores import draw_rate_again, draw_strengths

_Panel = Callable[[Axes, Row], None]


def plot_trace(trace: Traced) -> Figure:
    """Draws the stages below each other, each with what it chose in its title."""
    rows = [Row.of(trace, stage) for stage in trace.stages]
    rows = [row for row in rows if row.trials]
    if not rows:
        return _empty()
    heights = [row.inches for row in rows]
    figure = look.new_figure(sum(heights))
    grid = figure.add_gridspec(len(rows), 2, width_ratios=(7, 5), height_ratios=heights)
    for at, row in enumerate(rows):
        panels = _panels(row)
        places = [grid[at, :]] if len(panels) == 1 else [grid[at, 0], grid[at, 1]]
        for panel, place in zip(panels, places, strict=True):
            panel(figure.add_subplot(place), row)
    return figure


def _panels(row: Row) -> list[_Panel]:
    """What is drawn of a stage; one that is not known has its objective over the epochs."""
    # A stage that comes again has a number behind its name.
    kind = row.stage.name.split(" ")[0]
    if kind == "LearningRateStage" and row.having("learning_rate"):
        return [draw_costs, draw_last_costs]
    if kind == "L2Stage" and row.strengths():
        return [draw_strengths, draw_rate_again] if row.rates_again() else [draw_strengths]
    if kind == "BatchSizeStage" and row.having("batch_size"):
        return [draw_batch_sizes]
    return [draw_epochs]


def _empty() -> Figure:
    figure = look.new_figure(1.5)
    figure.text(0.5, 0.5, "No trial yet.", ha="center", va="center", fontsize=11, color=MUTED)
    return figure
