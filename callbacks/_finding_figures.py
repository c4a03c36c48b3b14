"""The figure that proves a finding, for the report: each drawn once, under the first that needs it.

What is read off the network or the data alone, a loss that does not suit the targets say, is proved
by the numbers in its evidence.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from . import _figures as look
from ._activation_plots import plot_activation_stats
from ._depth_profiles import plot_depth_profiles
from ._layer_table import main_part
from ._palette import ALERT, INK, MUTED, RUN_COLOURS
from ._report_page import figure_html
from ._series import has_rows, layers_with
from .record import TrainingRecord

_POINTS = 4_000


class FindingFigures:
    """Draws what a finding is seen on, each figure once.

    Args:
        record: The record that the findings are of.
    """

    def __init__(self, record: TrainingRecord) -> None:
        self._record = record
        self._drawn: dict[str, str] = {}

    def html(self, symptom: str, first_step: int | None) -> str:
        """The figure, a reference to it where it is drawn already, or nothing."""
        kind = _KIND_OF.get(symptom)
        if kind is None or not _CAN_DRAW[kind](self._record):
            return ""
        if kind in self._drawn:
            return f'<p class="muted">See the figure under {self._drawn[kind]}.</p>'
        self._drawn[kind] = symptom
        if kind == "loss":
            return figure_html(plot_batch_loss(self._record, first_step), _CAPTIONS[kind])
        return figure_html(_DRAW[kind](self._record), _CAPTIONS[kind])


def plot_batch_loss(record: TrainingRecord, since: int | None = None) -> Figure:
    """Draws each recorded step's loss, the best constant prediction's, and since when it is wrong.

    Args:
        record: The record.
        since: Integer. Step to mark, None or 0 for none.

    Returns:
        The figure; the losses have `"loss"` as `gid`, the constant's `"baseline"`, the mark
        `"since"`.
    """
    losses, steps = record.loss.astype(np.float64), record.steps
    shown = np.linspace(0, len(steps) - 1, min(len(steps), _POINTS)).astype(int)
    figure = look.new_figure(2.6)
    axes = figure.add_subplot()
    look.style(axes, "Loss of each recorded step", "loss")
    positive = losses[np.isfinite(losses) & (losses > 0)]
    if positive.size and positive.max() > 100 * positive.min():
        look.log_scale(axes, losses, False)
    values = np.where(np.isfinite(losses), losses, np.nan)[shown]
    axes.plot(
        steps[shown], values, color=RUN_COLOURS[0], linewidth=1.0, gid="loss", label="batch loss",
        marker="o" if len(steps) == 1 else "", markersize=3,
    )  # fmt: skip
    baseline = (record.data.get("baseline") or {}).get("loss")
    if baseline is not None:
        axes.axhline(
            baseline, color=MUTED, linestyle="--", linewidth=1.0, gid="baseline",
            label="best constant prediction",
        )  # fmt: skip
    if since:
        axes.axvline(since, color=ALERT, linewidth=1.0, gid="since", label=f"since step {since:,}")
    axes.set_xlabel("step")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def _has_loss(record: TrainingRecord) -> bool:
    return has_rows(record) and bool(np.isfinite(record.loss).any())


def _has_depth(record: TrainingRecord) -> bool:
    if not has_rows(record) or "gradient_norm" not in record.statistics:
        return False
    return len(layers_with(record, main_part(record))) > 1


def _has_activations(record: TrainingRecord) -> bool:
    group = record.groups.get("activations")
    return (
        group is not None and bool(len(group.data)) and bool(np.isfinite(group.data["std"]).any())
    )


def _depth(record: TrainingRecord) -> Figure:
    name = str(record.network.get("name") or "gradient")
    return plot_depth_profiles({name: record}, part=main_part(record))


def _activations(record: TrainingRecord) -> Figure:
    return plot_activation_stats(record, points=_POINTS)


_KIND_OF = {
    "vanishing_gradient": "depth",
    "exploding_gradient": "depth",
    "poor_initialization": "activations",
    "self_normalization_broken": "activations",
    "dying_relu": "activations",
    "saturated_activation": "activations",
    "oscillating_loss": "loss",
    "slow_convergence": "loss",
    "not_learning": "loss",
    "non_finite": "loss",
    "learning_rate_too_high": "loss",
    "learning_rate_too_low": "loss",
    "unscaled_target": "loss",
}
_CAN_DRAW = {"depth": _has_depth, "activations": _has_activations, "loss": _has_loss}
_DRAW: dict[str, Callable[[TrainingRecord], Figure]] = {
    "depth": _depth,
    "activations": _activations,
}
_CAPTIONS = {
    "depth": "The gradient on its way from the output to the first layer, at the first step.",
    "activations": "How wide each layer's signal is, and how much of it is flat or dead.",
    "loss": "A network that learns falls below the best constant prediction.",
}
