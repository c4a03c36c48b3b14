"""The figure that proves a finding, for the report: each drawn once, under the first that needs it.

What is read off the layers alone is proved by a table of them.
"""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from . import _figures as look
from ._activation_plots import plot_activation_stats
from ._data_ranges import has_inputs, has_targets, plot_input_ranges, plot_target_ranges
from ._depth_profiles import plot_depth_profiles
from ._layer_table import main_part
from ._palette import ALERT, INK, MUTED, RUN_COLOURS
from ._report_page import figure_html
from ._series import has_rows, layer_values, layers_with
from ._symptom_words import SYMPTOM_WORDS
from ._tables import table_html
from ._training_curves import plot_training_curves
from .plots import plot_gradient_norms
from .record import TrainingRecord

_POINTS = 4_000
_FEW_LAYERS = 12


class FindingFigures:
    """Draws what a finding is seen on, each figure once.

    Args:
        record: The record that the findings are of.
    """

    def __init__(self, record: TrainingRecord) -> None:
        self._record = record
        self._drawn: dict[str, str] = {}

    def html(self, symptom: str, first_step: int | None, layers: Sequence[str] = ()) -> str:
        """The figure, a reference to it where it is drawn already, or nothing."""
        kind = _KIND_OF.get(symptom)
        if symptom == "exploding_gradient" and not _grows_over_depth(self._record):
            kind = "norms"
        if kind is None:
            return ""
        if kind == "layers":
            return concerned_layers_html(self._record, layers)
        if not _CAN_DRAW[kind](self._record):
            return ""
        if kind in self._drawn:
            title = SYMPTOM_WORDS[self._drawn[kind]][0]
            return f'<p class="muted">See the figure under “{title}”.</p>'
        self._drawn[kind] = symptom
        if kind == "loss":
            return figure_html(plot_batch_loss(self._record, first_step), _CAPTIONS[kind])
        return figure_html(_DRAW[kind](self._record), _CAPTIONS[kind])


def concerned_layers_html(record: TrainingRecord, layers: Sequence[str]) -> str:
    """The network's layers with a mark on those of a finding; only these where there are many."""
    described = record.network.get("layers") or []
    named = [one for one in described if one.get("path") in layers]
    if not named:
        return ""
    shown = described if len(described) <= _FEW_LAYERS else named[:_FEW_LAYERS]
    return table_html(
        [
            {
                "layer": one.get("path"),
                "class": one.get("class"),
                "activation": one.get("activation") or "–",
                "dropped out": "–" if one.get("rate") is None else f"{one['rate']:.0%}",
                "": "◂ here" if one in named else "",
            }
            for one in shown
        ]
    )


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
    if positive.size and positive.max() > 20 * positive.min():
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


def _grows_over_depth(record: TrainingRecord) -> bool:
    """Whether the first layer's gradient is over ten times the last one's at the first step."""
    if not _has_depth(record):
        return False
    _, norms = layer_values(record, "gradient_norm", main_part(record))
    return bool(norms[0, 0] > 10 * norms[0, -1])


def _has_activations(record: TrainingRecord) -> bool:
    group = record.groups.get("activations")
    return (
        group is not None and bool(len(group.data)) and bool(np.isfinite(group.data["std"]).any())
    )


def _depth(record: TrainingRecord) -> Figure:
    name = str(record.network.get("name") or "gradient")
    return plot_depth_profiles({name: record}, part=main_part(record))


def _norms(record: TrainingRecord) -> Figure:
    return plot_gradient_norms(record, part=main_part(record), points=_POINTS)


def _activations(record: TrainingRecord) -> Figure:
    return plot_activation_stats(record, points=_POINTS)


def _has_validation(record: TrainingRecord) -> bool:
    return any("val_loss" in epoch for epoch in record.epochs)


def _curves(record: TrainingRecord) -> Figure:
    kept = ("loss", "val_loss", "accuracy", "val_accuracy")
    epochs = [{key: one for key, one in epoch.items() if key in kept} for epoch in record.epochs]
    figure = plot_training_curves(epochs)
    return look.new_figure(1.0) if figure is None else figure


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
    "unscaled_target": "targets",
    "improper_output_activation": "targets",
    "improper_loss": "targets",
    "unscaled_input": "inputs",
    "overfitting": "curves",
    "missing_activation": "layers",
    "excessive_dropout": "layers",
    "disconnected_layer": "layers",
}
_CAN_DRAW = {
    "depth": _has_depth,
    "activations": _has_activations,
    "loss": _has_loss,
    "inputs": has_inputs,
    "targets": has_targets,
    "curves": _has_validation,
    "norms": _has_depth,
}
_DRAW: dict[str, Callable[[TrainingRecord], Figure]] = {
    "depth": _depth,
    "activations": _activations,
    "inputs": plot_input_ranges,
    "targets": plot_target_ranges,
    "curves": _curves,
    "norms": _norms,
}
_CAPTIONS = {
    "depth": "The gradient on its way from the output to the first layer, at the first step. Each "
    "point is a layer; in a sound network all are about as high.",
    "activations": "How wide each layer's signal is, and how much of it is flat or dead. In a "
    "sound network the line at the top stays level.",
    "loss": "A network that learns falls below the best constant prediction. That is the "
    "one fixed answer that costs least.",
    "inputs": "From the smallest to the largest number; blue is the mean, and a standard deviation "
    "to either side.",
    "targets": "What the network should answer and what it does: from the smallest to the largest "
    "number; blue is the mean, and a standard deviation to either side.",
    "norms": "The gradient of each layer over the steps. In a sound run it stays within two or "
    "three powers of ten.",
    "curves": "From where the two part, the network learns the training samples by heart.",
}
