"""How every figure looks: a log axis that shows zeros, epochs, non-finite steps, names."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from ._palette import ALERT, DEPTH, INK, MUTED, PAGE, RULE
from ._series import Doubles, Steps
from .record import TrainingRecord

OF_PART = {"kernel": "Kernel gradient", "bias": "Bias gradient", "all": "Gradient"}
FEW_LAYERS = 10
FEW_EPOCHS = 30
WIDTH = 7.2


def line_width(count: int) -> float:
    """Thinner lines where there are more of them."""
    return 1.6 if count <= FEW_LAYERS else 1.0 if count <= 50 else 0.6


def plain(text: str, longest: int = 28) -> str:
    """Text as it stands, without matplotlib's formulas, cut in the middle where too long."""
    if len(text) > longest:
        text = text[: longest // 2] + "…" + text[-(longest // 2 - 1) :]
    return text.replace("$", r"\$")


def short_names(layers: Sequence[str]) -> list[str]:
    """Paths without the folder that all of them share."""
    heads = {layer.split("/", 1)[0] for layer in layers}
    if len(heads) == 1 and all("/" in layer for layer in layers):
        return short_names([layer.split("/", 1)[1] for layer in layers])
    return list(layers)


def new_figure(height: float) -> Figure:
    """An empty figure on white, whatever style is set."""
    return Figure(figsize=(WIDTH, height), facecolor=PAGE, layout="constrained")


def style(axes: Axes, title: str = "", y_label: str = "") -> None:
    """The house's look: no box, light grid, quiet ticks."""
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(which="both", colors=MUTED, labelcolor=MUTED, labelsize=9)
    axes.tick_params(which="minor", length=0)
    axes.grid(True, axis="y", color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_ylabel(y_label, fontsize=9, color=MUTED)
    axes.xaxis.label.set(fontsize=9, color=MUTED)


def log_scale(axes: Axes, values: Doubles, zeros: bool) -> float:
    """Sets a log y-axis around the positive values and, below a line marked 0, room for zeros.

    Args:
        axes: The axes.
        values: All values to be drawn, of any shape.
        zeros: Whether there are zeros to be shown.

    Returns:
        The height that stands for 0.
    """
    positive = values[np.isfinite(values) & (values > 0)]
    bottom, top = np.log10([positive.min(), positive.max()]) if positive.size else (-1.0, 0.0)
    # Two decades at least, or the axis would have no two labels.
    missing = max(0.0, 2 - (top - bottom)) / 2
    bottom, top = bottom - missing, top + missing
    margin = 0.04 * (top - bottom)
    lowest, floor = bottom - margin, bottom - 4 * margin
    axes.set_yscale("log")
    axes.set_ylim(10 ** (floor - margin if zeros else lowest), 10 ** (top + margin))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: power_of_ten(value) if value >= 10**lowest else "")
    )
    axes.yaxis.set_minor_formatter(NullFormatter())
    if zeros:
        axes.axhline(10**floor, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), gid="zero")
        axes.annotate(
            "0", (0, 10**floor), (-6, 0), axes.get_yaxis_transform(), "offset points",
            ha="right", va="center", fontsize=9, color=MUTED, annotation_clip=False,
        )  # fmt: skip
    return float(10**floor)


def power_of_ten(value: float) -> str:
    """The label of a decade, as 10⁻³."""
    exponent = round(float(np.log10(value)))
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def on_floor(values: Doubles, floor: float) -> Doubles:
    """The values with zeros put on the line that stands for 0."""
    return np.where(values == 0, floor, values)


def mark_zeros(axes: Axes, steps: Steps, floor: float) -> None:
    """Triangles on the line marked 0 at the steps where some layer's value was 0."""
    if steps.size:
        axes.plot(
            thinned(steps), np.full(thinned(steps).shape, floor), "v",
            color=MUTED, markersize=4, gid="zeros", clip_on=False,
        )  # fmt: skip


def mark_non_finite(axes: Axes, steps: Steps) -> None:
    """Red ticks along the top at NaN and infinite steps, the first named."""
    if not steps.size:
        return
    shown, more = thinned(steps), f" and {steps.size - 1:,} more" if steps.size > 1 else ""
    axes.plot(
        shown, np.full(shown.shape, 0.985), "|", color=ALERT, markersize=9, markeredgewidth=1.5,
        transform=axes.get_xaxis_transform(), gid="non-finite", clip_on=False,
    )  # fmt: skip
    axes.axvline(float(steps[0]), color=ALERT, linewidth=0.8, alpha=0.6)
    low, high = axes.get_xlim()
    left = steps[0] < (low + high) / 2
    axes.annotate(
        f"non-finite at step {steps[0]:,}{more}",
        (float(steps[0]), 0.93), (5 if left else -5, 0), axes.get_xaxis_transform(),
        "offset points", ha="left" if left else "right", va="top", fontsize=9, color=ALERT,
    )  # fmt: skip


def thinned(steps: Steps, most: int = 200) -> Steps:
    """Steps spread over the whole, the first among them, so that marks stay few."""
    kept = np.linspace(0, len(steps) - 1, min(most, len(steps))).astype(int)
    return np.asarray(steps[np.unique(kept)])


def mark_epochs(axes: Axes, record: TrainingRecord, *, label: bool = True) -> None:
    """Light lines where epochs begin, where few, and their numbers along the top."""
    fits, epochs = record.fit, record.epoch
    begins = np.flatnonzero((np.diff(fits) != 0) | (np.diff(epochs) != 0)) + 1
    if not begins.size:
        return
    steps = np.concatenate([record.steps[:1], record.steps[begins]])
    if len(steps) <= FEW_EPOCHS:
        for step in steps[1:]:
            axes.axvline(float(step), color=RULE, linewidth=0.5, zorder=0)
    if label:
        shown = range(0, len(steps), -(-len(steps) // 10))
        top = axes.secondary_xaxis("top")
        top.set_xticks(steps[shown], [f"epoch {i + 1}" if i == 0 else str(i + 1) for i in shown])
        top.tick_params(length=2, color=RULE, labelcolor=MUTED, labelsize=8, pad=1)
        top.spines["top"].set_visible(False)


def depth_key(figure: Figure, axes: Axes, lines: Sequence[Line2D], names: Sequence[str]) -> None:
    """Names the layers beside the axes: each where they are few, else a bar of depth."""
    if len(names) <= FEW_LAYERS:
        handles = [Line2D([], [], color=line.get_color(), linewidth=2) for line in lines]
        legend = figure.legend(
            handles, [" " for _ in names], loc="outside right upper", frameon=False, fontsize=9
        )
        # Set afterwards: matplotlib drops labels that begin with an underscore.
        for text, name in zip(legend.get_texts(), names, strict=True):
            text.set(text=plain(name), color=INK)
        return
    scale = ScalarMappable(Normalize(0.5, len(names) + 0.5), ListedColormap(DEPTH))
    bar = figure.colorbar(scale, ax=axes, aspect=30, pad=0.01)
    between = np.linspace(1, len(names), 5).round().astype(int)[1:-1]
    bar.set_ticks([1, *between, len(names)])
    bar.set_ticklabels(
        [f"1 {plain(names[0], 20)}", *map(str, between), f"{len(names)} {plain(names[-1], 20)}"]
    )
    bar.ax.tick_params(length=0, labelsize=9, labelcolor=INK)
    bar.outline.set_visible(False)
    if bar.solids is not None:
        bar.solids.set_edgecolor("face")  # else the page shines through between the levels
