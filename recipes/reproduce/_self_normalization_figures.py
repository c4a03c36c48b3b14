"""The figures of `self-normalization`."""

from typing import Any

import numpy as np

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, MUTED, RUN_COLOURS
from ._plain_loop import Flow


def depth_figure(runs: list[Flow], growth: float) -> Any:
    """Mean and deviation by layer, gradients below; one line a seed, the formula's dashed."""
    figure = new_figure(4.6)
    upper, lower = figure.subplots(2, 1, sharex=True)
    at = np.arange(1, len(runs[0].mean) + 1)
    style(upper, f"SELU, {len(at):,} layers: what they put out")
    style(lower, "Norms of their gradients, over the last layer's")
    for one in runs:
        upper.plot(at, one.deviation, color=RUN_COLOURS[0], lw=0.6, alpha=0.7)
        upper.plot(at, one.mean, color=RUN_COLOURS[1], lw=0.6, alpha=0.7)
        lower.plot(at, one.gradient / one.gradient[-1], color=RUN_COLOURS[0], lw=0.8, alpha=0.7)
    expected = growth ** ((len(at) - at) / 2)
    lower.plot(
        at, expected, color=INK, lw=1.2, ls="--", label=f"variance times {growth:.4f} a layer"
    )
    lower.set_yscale("log")
    lower.set_xlabel("layer")
    lower.legend(frameon=False, fontsize=9)
    upper.set_ylim(-0.4, 1.6)
    for name, colour, height in (
        ("deviation", RUN_COLOURS[0], 1.35),
        ("mean", RUN_COLOURS[1], 0.3),
    ):
        upper.annotate(name, (len(at), height), ha="right", color=colour, fontsize=9)
    return figure


def conditions_figure(broken: dict[str, list[Flow]]) -> Any:
    """Deviations and gradients by layer, a line for each broken condition."""
    figure = new_figure(6.0)
    for axes, (title, what) in zip(
        figure.subplots(2, 1, sharex=True),
        (
            ("Deviation of each layer's outputs", "deviation"),
            ("Norm of its gradient, over the last layer's", "gradient"),
        ),
        strict=True,
    ):
        style(axes, title)
        for (name, runs), look in zip(broken.items(), _looks(len(broken)), strict=True):
            values = np.median([getattr(one, what) for one in runs], axis=0)
            if what == "gradient":
                values = values / values[-1]
            axes.plot(np.arange(1, len(values) + 1), values, label=name, **look)
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        # What leaves the figure above would press all others into one line.
        axes.set_ylim(max(low, 1e-6), min(high, 1e6 if what == "gradient" else 300))
    axes.set_xlabel("layer")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  frameon=False, fontsize=8.5)  # fmt: skip
    return figure


def _looks(count: int) -> list[dict[str, Any]]:
    """Colour and dashes of each line, the first one thick."""
    dashes = ("-", "--", ":")
    return [
        {
            "color": INK if at == 0 else (*RUN_COLOURS[:6], RUN_COLOURS[7], MUTED)[at - 1],
            "ls": dashes[at % 3] if at else "-",
            "lw": 2.2 if at == 0 else 1.4,
        }
        for at in range(count)
    ]
