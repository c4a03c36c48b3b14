"""Curves of several seeds in one axes: their mean, and the range they span."""

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from ...callbacks._palette import RUN_COLOURS

DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
"""Line styles, so that curves differ not by colour alone."""


def band(axes: Any, values: Any, label: str, at: int = 0, dashes: int | None = None) -> None:
    """Draws `[epochs, seeds]` from epoch 1 on.

    Args:
        axes: Where.
        values: A number for each epoch and seed.
        label: For the legend.
        at: Which of the house's colours. Defaults to the first.
        dashes: Which of `DASHES`. Defaults to `None`: the same as the colour.
    """
    curves = np.asarray(values)
    epochs = np.arange(1, len(curves) + 1)
    low, high = curves.min(axis=1), curves.max(axis=1)
    line = DASHES[(at if dashes is None else dashes) % len(DASHES)]
    axes.fill_between(epochs, low, high, color=RUN_COLOURS[at], alpha=0.15, lw=0)
    axes.plot(epochs, curves.mean(axis=1), color=RUN_COLOURS[at], ls=line, lw=1.6, label=label)


def epochs_below(axes: Any) -> None:
    """Labels the x-axis as epochs, which have no halves."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
