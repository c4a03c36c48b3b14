"""What a network with one output is asked to do: its output, its loss and its targets together."""

import math
from dataclasses import dataclass
from typing import Any

from .._best_constant import loss_name
from ..record import TrainingRecord
from ._graph import Graph, is_activation, is_kernel, path
from .finding import Remedy

CATEGORICAL = ("categorical_crossentropy", "sparse_categorical_crossentropy")
CROSSENTROPIES = (*CATEGORICAL, "binary_crossentropy")
_SEVERAL = (*CATEGORICAL, "kl_divergence")
REGRESSIONS = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
)
HINGES = ("hinge", "squared_hinge")

RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, math.inf),
    "exponential": (0.0, math.inf),
    "linear": (-math.inf, math.inf),
    "elu": (-1.0, math.inf),
    "selu": (-1.7580993408473766, math.inf),
}
"""What an output activation can put out."""

_SOUND = {
    "one_hot": ("softmax", "categorical_crossentropy"),
    "classes": ("softmax", "sparse_categorical_crossentropy"),
    "binary": ("sigmoid", "binary_crossentropy"),
    "multi_hot": ("sigmoid", "binary_crossentropy"),
    "probabilities": ("sigmoid", "binary_crossentropy"),
    "signs": ("tanh", "hinge"),
    "continuous": ("linear", "mean_squared_error"),
}


@dataclass(frozen=True)
class Task:
    """Output, loss and targets.

    Attributes:
        layer: Path of the layer that applies the output's activation.
        activation: Its activation.
        units: Size of the output's last axis, None where it isn't known.
        rank: Axes of the output without the batch's, None where they aren't known.
        loss: Name of the loss as `loss_name` gives it.
        from_logits: Whether the loss takes logits.
        targets: Their description, `{}` where there is none.
    """

    layer: str
    activation: str
    units: int | None
    rank: int | None
    loss: str
    from_logits: bool
    targets: dict[str, Any]

    @property
    def width(self) -> int | None:
        """Size of the targets' last axis, 1 of a number for each sample or place."""
        shape = self.targets.get("shape")
        if shape is None:
            return None
        if not shape or (self.rank is not None and len(shape) < self.rank):
            return 1
        return int(shape[-1])

    @property
    def kind(self) -> str | None:
        """What the targets are; one of the keys of `sound`, None where they aren't known."""
        low, high = self.targets.get("min"), self.targets.get("max")
        if low is None or high is None:
            return None
        if self.targets.get("one_hot"):
            return "one_hot"
        whole, distinct = self.targets.get("integer"), self.targets.get("distinct")
        if whole and low == 0 and high == 1:
            return "binary" if self.width == 1 else "multi_hot"
        if distinct == 2 and low == -1 and high == 1:
            return "signs"
        if whole and low >= 0 and self.width == 1 and distinct is not None and distinct > 2:
            return "classes"
        return "probabilities" if low >= 0 and high <= 1 else "continuous"

    @property
    def sound(self) -> tuple[str, str]:
        """Output activation and loss that suit the targets and the units, or else the loss."""
        kind, loss, several = self.kind, self.loss, self.units != 1
        if loss == "poisson":
            return "softplus", loss
        if self.from_logits and loss in CROSSENTROPIES:
            return "linear", loss
        if kind == "binary" and several and self.units is not None:
            return _SOUND["classes"]
        if kind in ("probabilities", "continuous") and several and loss in _SEVERAL:
            return "softmax", loss  # soft labels, or labels that were divided
        one_each = self.units is not None and self.units == self.targets.get("classes")
        if kind == "classes" and loss not in CROSSENTROPIES and not one_each:
            return _SOUND["continuous"]  # amounts, unless there is a unit for each
        if kind is not None:
            return _SOUND[kind]
        if loss in _SEVERAL:
            return ("softmax", loss) if several else _SOUND["binary"]
        return ("sigmoid" if loss == "binary_crossentropy" else "linear"), loss

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """The output and the loss that suit, where they are others than now."""
        output, loss = self.sound
        source = "Goodfellow, Bengio and Courville 2016, section 6.2.2"
        mended = Remedy(
            kind="output_activation",
            value=output,
            reason=f"Its values are what {loss} and the targets expect.",
            source=source,
        )
        likelihood = Remedy(
            kind="loss",
            value=loss,
            reason=f"It is the likelihood of such targets with {output} outputs.",
            source=source,
        )
        return tuple([mended] * (output != self.activation) + [likelihood] * (loss != self.loss))


def task_of(record: TrainingRecord) -> Task | None:
    """The task of a record, None where it has several outputs, or its loss isn't known."""
    graph, loss = Graph(record.network), loss_name(record.network.get("loss"))
    outputs = graph.outputs()
    if loss is None or len(outputs) != 1 or len(record.network.get("outputs") or [0]) > 1:
        return None
    layer = graph.layers[graph.made_by(outputs[0])]
    activation = layer.get("activation") or ("linear" if is_kernel(layer) else None)
    if activation is None or not (is_kernel(layer) or is_activation(layer)):
        return None
    shape = graph.layers[outputs[0]].get("output_shape") or []
    targets = record.data.get("targets") or []
    return Task(
        layer=path(layer),
        activation=activation,
        units=int(shape[-1]) if shape and shape[-1] else layer.get("units"),
        rank=len(shape) - 1 if shape else None,
        loss=loss,
        from_logits=bool(record.network.get("from_logits")),
        targets=targets[0] if len(targets) == 1 else {},
    )
