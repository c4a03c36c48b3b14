"""What a plot draws of a record: the layers that have the part, and few enough points.

NumPy only. A long run is cut into bins of equally many steps; zeros and non-finite steps are kept
apart, so that a plot on a log axis can show them instead of losing them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .record import Part, TrainingRecord

Doubles = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]

# Fewer bins hide the course, more are narrower than a line on the figure.
FEWEST_BINS, MOST_BINS = 50, 300


@dataclass(frozen=True)
class Series:
    """A statistic of `L` layers in `B` bins of steps.

    Attributes:
        layers: Paths of the layers, by depth: `L` strings.
        x: The middle step of each bin: `[B]`.
        middle: Median over the bin's finite values, NaN where there is none: `[B, L]`.
        low: Smallest finite value of the bin: `[B, L]`.
        high: Largest finite value of the bin: `[B, L]`.
        zero_steps: Steps at which some layer's value was exactly 0.
        non_finite_steps: Steps at which some layer's value was NaN or infinite.
    """

    layers: tuple[str, ...]
    x: Doubles
    middle: Doubles
    low: Doubles
    high: Doubles
    zero_steps: Steps
    non_finite_steps: Steps


def layers_with(record: TrainingRecord, part: Part, statistic: str = "gradient_norm") -> list[str]:
    """Layers with a variable of this part that a gradient reaches, by depth."""
    columns = next(
        (group.columns for group in record.groups.values() if statistic in group.statistics), []
    )
    reached = {c["layer"] for c in columns if c["connected"] and part in ("all", c["part"])}
    return [layer for layer in record.layers if layer in reached]


def has_rows(record: TrainingRecord, statistic: str = "gradient_norm") -> bool:
    """Whether the statistic was recorded at one step at least."""
    return statistic in record.statistics and len(record[statistic]) > 0


def layer_values(
    record: TrainingRecord, statistic: str, part: Part, layers: Sequence[str] | None = None
) -> tuple[tuple[str, ...], Doubles]:
    """The layers that have the part and their values `[S, L]`, `layers` alone where given.

    Raises:
        ValueError: No row was recorded, or no layer has such a part.
    """
    # A statistic that no monitor was asked for is the record's own KeyError.
    if not record.groups or not len(record[statistic]):
        raise ValueError(
            f"The record holds no rows of {statistic!r}: no step has run yet. "
            "List the monitor in `callbacks=` and call `model.fit` first."
        )
    values, having = record.by_layer(statistic, part), layers_with(record, part, statistic)
    chosen = tuple(layer for layer in having if layers is None or layer in layers)
    if not chosen:
        raise ValueError(
            f"None of these layers has a {part} that a gradient reaches. Received: part={part!r}. "
            "Pass another `part`: 'kernel', 'bias' or 'all'."
        )
    at = [record.layers.index(layer) for layer in chosen]
    return chosen, values[:, at].astype(np.float64)


def layer_series(
    record: TrainingRecord,
    statistic: str,
    part: Part,
    points: int,
    layers: Sequence[str] | None = None,
) -> Series:
    """A statistic by layer, in so many bins that all layers together take about `points`."""
    if points < 1:
        raise ValueError(f"`points` must be positive. Received: points={points}")
    chosen, values = layer_values(record, statistic, part, layers)
    bins = min(max(FEWEST_BINS, points // len(chosen)), MOST_BINS)
    middle, low, high = binned(values, bins)
    return Series(
        chosen,
        bin_centers(record.steps, bins),
        middle,
        low,
        high,
        record.steps[(values == 0).any(axis=1)],
        record.steps[~np.isfinite(values).all(axis=1)],
    )


def binned(values: Doubles, bins: int) -> tuple[Doubles, Doubles, Doubles]:
    """Median, smallest and largest finite value of each bin of rows.

    Args:
        values: `[S, L]`; NaN and infinite values do not take part.
        bins: Integer. Bins at most; with `S <= bins` each row is one.

    Returns:
        Three arrays `[B, L]`, NaN where a bin has no finite value.
    """
    rows, columns = values.shape
    size = -(-rows // bins)
    filled = np.full((-(-rows // size) * size, columns), np.nan)
    filled[:rows] = np.where(np.isfinite(values), values, np.nan)
    # Sorting puts NaN last, so that the k finite values are the first k of their bin.
    ordered = np.sort(filled.reshape(-1, size, columns), axis=1)
    count = np.isfinite(ordered).sum(axis=1, keepdims=True)

    def at(rank: npt.NDArray[np.intp]) -> Doubles:
        return np.take_along_axis(ordered, np.maximum(rank, 0), axis=1)[:, 0]

    return (
        (at((count - 1) // 2) + at(np.minimum(count // 2, size - 1))) / 2,
        at(count * 0),
        at(count - 1),
    )


def bin_centers(steps: Steps, bins: int) -> Doubles:
    """The middle between the first and the last step of each bin: `[B]`."""
    size = -(-len(steps) // bins)
    ends = np.minimum(np.arange(size, len(steps) + size, size), len(steps)) - 1
    return np.asarray((steps[::size] + steps[ends]) / 2)


def running_geometric_mean(values: Doubles, window: int) -> Doubles:
    """Geometric mean over `window` rows around each; shorter at both ends.

    Zeros and NaN do not take part: 0 where nothing but zeros is in the window. NaN stays NaN.

    Args:
        values: `[B, L]`, not negative.
        window: Integer. Rows of the window; 1 gives the values themselves.

    Returns:
        `[B, L]`.
    """
    if window <= 1:
        return values
    positive = values > 0
    logs = np.where(positive, np.log(np.where(positive, values, 1)), 0)
    first = np.maximum(np.arange(len(values)) - window // 2, 0)
    last = np.minimum(np.arange(len(values)) - window // 2 + window, len(values))

    def window_sum(of: npt.NDArray[np.generic]) -> Doubles:
        total = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(of, axis=0, dtype=np.float64)])
        return np.asarray(total[last] - total[first])

    count = window_sum(positive)
    mean = np.exp(window_sum(logs) / np.maximum(count, 1))
    return np.where(np.isnan(values), np.nan, np.where(count > 0, mean, 0.0))
