"""The cliff in the loss of one recurrent unit: its surface, who is thrown off, the figure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import ALERT, INK, PAGE, RUN_COLOURS
from ._recurrent_unit import TARGET, Descent, unit

Doubles = npt.NDArray[np.float64]

SOLVED, THROWN = 0.01, 1.0  # loss at the end; length of a step


def solved(found: Descent) -> float:
    """Percent of the starts that end near the target."""
    return float(100 * (found.loss < SOLVED).mean())


def thrown(found: Descent) -> float:
    """Percent of the starts that one step throws far away."""
    return float(100 * (found.lengths.max(axis=0) > THROWN).mean())


def surface() -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Weights, biases, loss and norm of the gradient on a grid."""
    weights, biases = np.meshgrid(np.linspace(4, 7.2, 241), np.linspace(-4, -1.5, 241))
    found = unit(weights, biases)
    return weights, biases, found.loss, found.norm


def cliff_figure(ground: tuple[Doubles, ...], descents: Mapping[str, Descent]) -> Any:
    """The same start with free and with clipped steps, on the loss over weight and bias."""
    weights, biases, loss, _ = ground
    figure = new_figure(3.9)
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    start = _telling(descents["no clipping"], descents["global_clipnorm 1"])
    for axes, (way, found) in zip(both, descents.items(), strict=True):
        style(axes, f"{way}: loss {found.loss[start]:.1g}", "bias" if axes is both[0] else "")
        axes.grid(visible=False)
        levels = np.geomspace(1e-4, 0.6, 24)
        drawn = axes.contourf(
            weights, biases, np.maximum(loss, 1e-4), levels, cmap="cividis", norm=LogNorm()
        )
        way_taken = found.weight[:, start], found.bias[:, start]
        axes.plot(*way_taken, color=INK, lw=2.6)
        axes.plot(*way_taken, color=PAGE, lw=1.0)
        jumps = np.flatnonzero(found.lengths[:, start] > THROWN)
        axes.plot(
            found.weight[jumps, start], found.bias[jumps, start], "X", color=ALERT, ms=11,
            mec=PAGE, zorder=5,
        )  # fmt: skip
        axes.plot(*(one[0] for one in way_taken), "o", color=RUN_COLOURS[1], ms=8, mec=PAGE)
        axes.set(xlim=(4, 7.2), ylim=(-4, -1.5), xlabel="weight")
    bar = figure.colorbar(drawn, ax=list(both), aspect=30, pad=0.01)
    bar.set_ticks([1e-4, 1e-3, 1e-2, 1e-1], labels=["≤0.0001", "0.001", "0.01", "0.1"])
    bar.set_label(f"loss, target {TARGET:g}; X: thrown more than {THROWN:g} away", fontsize=9)
    bar.outline.set_visible(False)
    return figure


def _telling(free: Descent, clipped: Descent) -> int:
    """Of the starts that are thrown away, the one that clipped comes nearest to the target."""
    far = free.lengths.max(axis=0) > THROWN
    return int(np.argmin(clipped.loss - far))
