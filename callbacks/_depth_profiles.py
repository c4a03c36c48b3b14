"""`plot_depth_profiles`: how the gradient changes on its way through each of several networks."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import _figures as look
from ._arguments import check_record
from ._palette import INK, RUN_COLOURS
from ._series import Doubles, layer_values
from .record import Part, TrainingRecord

_MARKERS = "osD^vPX*"


def plot_depth_profiles(runs: Mapping[str, TrainingRecord], *, part: Part = "kernel") -> Figure:
    """Draws each network's gradient norm at the first step against the depth of the layer.

    The gradient goes from left to right, from the output to the first layer, which all networks
    share however deep they are: a falling line vanishes, a rising one explodes.

    Args:
        runs: Records by the name of the network.
        part: `"kernel"`, `"bias"` or `"all"` of each layer's variables. Defaults to `"kernel"`.

    Returns:
        The figure: one line per network, with the network's name as `gid`.

    Raises:
        ValueError: There is no network, or a record is empty.
    """
    if not runs:
        raise ValueError("`runs` must hold at least one record. Received: runs={}")
    for record in runs.values():
        check_record(record)
    profiles = {name: _first_norms(record, part) for name, record in runs.items()}
    everything = np.concatenate(list(profiles.values()))
    figure = look.new_figure(4.4)
    axes = figure.add_subplot()
    look.style(axes, f"{look.OF_PART[part]} norm at the first step", "L2 norm")
    axes.set_xlabel("layer, counted from the input   (the gradient flows this way →)")
    floor = look.log_scale(axes, everything, bool((everything == 0).any()))
    deepest = max(map(len, profiles.values()))
    axes.set_xlim(deepest + 0.03 * deepest, 1 - 0.01 * deepest)
    inner = [tick for tick in MaxNLocator(8, integer=True).tick_values(1, deepest) if tick > 1]
    axes.set_xticks([1, *(int(tick) for tick in inner if tick <= deepest)])
    ends = []
    for at, (name, norms) in enumerate(profiles.items()):
        colour = RUN_COLOURS[at % len(RUN_COLOURS)]
        heights = look.on_floor(norms, floor)
        axes.plot(
            np.arange(len(norms)) + 1, heights, color=colour, linewidth=1.6, gid=name,
            linestyle="-" if at < len(RUN_COLOURS) else "--",
            marker=_MARKERS[at % len(_MARKERS)], markersize=3, markevery=max(1, len(norms) // 20),
        )  # fmt: skip
        finite = np.flatnonzero(np.isfinite(heights))
        ends.append(float(heights[finite[0]]) if finite.size else floor)
    labels = [
        look.plain(name) + ("" if np.isfinite(norms).all() else " (non-finite)")
        for name, norms in profiles.items()
    ]
    _label_ends(axes, labels, ends)
    return figure


def _first_norms(record: TrainingRecord, part: Part) -> Doubles:
    """Norms by depth at the first finite step: loss scaling skips some at the start."""
    _, values = layer_values(record, "gradient_norm", part)
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    return np.asarray(values[finite[0] if finite.size else 0])


def _label_ends(axes: Axes, labels: Sequence[str], ends: Sequence[float]) -> None:
    """Names the lines at their right ends, moved apart, each tied to its line."""
    low, high = np.log10(axes.get_ylim())
    wanted = [float((np.log10(end) - low) / (high - low)) for end in ends]
    for at, (label, end, height) in enumerate(
        zip(labels, ends, spread(wanted, 0.055, 0.01, 0.99), strict=True)
    ):
        colour = RUN_COLOURS[at % len(RUN_COLOURS)]
        axes.annotate(
            label, (1, end), (1.04, height), "data", axes.transAxes, va="center", fontsize=9,
            color=INK, annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": colour, "linewidth": 1.2, "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )  # fmt: skip


def spread(heights: Sequence[float], gap: float, bottom: float, top: float) -> list[float]:
    """Heights moved apart to at least `gap`, in the same order, as far as they fit.

    Example:
    ```python
    spread([0.5, 0.5], gap=0.1, bottom=0.0, top=1.0)  # [0.45, 0.55]
    ```
    """
    order = np.argsort(heights, kind="stable")
    placed = np.asarray(heights, np.float64)[order]
    gap = min(gap, (top - bottom) / max(len(placed) - 1, 1))
    steps = gap * np.arange(len(placed))
    # Least squares under the gaps is isotonic regression of the heights less their offsets.
    placed = np.clip(_isotonic(placed - steps) + steps, bottom + steps, top - steps[::-1])
    result = np.empty(len(placed))
    result[order] = placed
    return result.tolist()


def _isotonic(values: Doubles) -> Doubles:
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, held = blocks.pop()
            mean, count = (mean * count + before * held) / (count + held), count + held
        blocks.append((mean, count))
    return np.concatenate([np.full(count, mean) for mean, count in blocks] or [np.empty(0)])
