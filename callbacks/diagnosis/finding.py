"""`Finding` and `Remedy`: what a rule says."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SYMPTOMS = (
    "vanishing_gradient",
    "exploding_gradient",
    "dying_relu",
    "saturated_activation",
    "poor_initialization",
    "oscillating_loss",
    "slow_convergence",
    "not_learning",
    "non_finite",
    "learning_rate_too_high",
    "learning_rate_too_low",
    "unscaled_input",
    "unscaled_target",
    "improper_output_activation",
    "improper_loss",
    "missing_activation",
    "self_normalization_broken",
    "disconnected_layer",
    "excessive_dropout",
    "overfitting",
)
"""Every symptom that a rule may name."""

KINDS = (
    "activation",
    "initializer",
    "normalization",
    "output_activation",
    "loss",
    "input_scaling",
    "target_scaling",
    "clipping",
    "learning_rate",
    "optimizer",
    "dropout",
    "regularization",
    "connect",
    "epochs",
    "batch_size",
)
"""Everything that a remedy may change."""


class Severity(StrEnum):
    """How bad it is.

    - `ERROR`: this run will not reach what a sound network reaches.
    - `WARNING`: it costs speed or accuracy.
    - `INFO`: worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One change that may help.

    | kind | value |
    | --- | --- |
    | `"activation"` | name of a hidden layer's activation, `"relu"` |
    | `"initializer"` | name of the initializer that fits the activation, `"he_normal"` |
    | `"normalization"` | `"batch"`: a batch normalization before each activation |
    | `"output_activation"` | name of the output's activation, `"softmax"` |
    | `"loss"` | name of Keras' loss function, `"categorical_crossentropy"` |
    | `"input_scaling"` | `"standardize"`, or `"clean"`: drop or fill what is not finite |
    | `"target_scaling"` | `{"mean": m, "std": s}` to standardize with; or `{"labels": factor}`, by
      which divided labels become whole numbers, `None` where it can't be known |
    | `"clipping"` | Keras' argument of the optimizer, `{"clipnorm": 1.0}` |
    | `"learning_rate"` | the rate, `None` for what a range test finds |
    | `"optimizer"` | Keras' lower-case name, `"adam"` |
    | `"dropout"` | the rate, 0 for none |
    | `"regularization"` | `{"l2": 1e-4}`, on the kernels |
    | `"connect"` | `"residual"`: shortcuts; `None`: what is cut off must be connected by hand |
    | `"epochs"` | `"early_stopping"`, or `None` for more of them |
    | `"batch_size"` | `None`: a larger one |

    Where an `"activation"` is followed by an `"initializer"`, that is the one for the new
    activation.

    Args:
        kind: String. What to change; one of the table.
        value: What to set it to, as plain data.
        reason: String. Why, in a sentence.
        source: String. The paper or chapter that says so.

    Raises:
        ValueError: The kind is unknown.
    """

    kind: str
    value: Any
    reason: str
    source: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            known = ", ".join(map(repr, KINDS))
            raise ValueError(f"`kind` must be one of {known}. Received: kind={self.kind!r}.")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, where, since when, by which numbers, and what may help.

    Args:
        symptom: String. One of `SYMPTOMS`.
        layers: Tuple of the layers that show it, in the network's order; empty where it is no
            layer's.
        severity: `Severity`, or its name.
        first_step: Integer. The step from which on it shows, `0` where it does from the start.
        evidence: String. The numbers, in sentences.
        remedies: Tuple of `Remedy`, the most promising first.
        cause: String. The symptom that it follows from, `None` for a root. Defaults to `None`.

    Raises:
        ValueError: The symptom or the severity is unknown.
    """

    symptom: str
    layers: tuple[str, ...]
    severity: Severity
    first_step: int
    evidence: str
    remedies: tuple[Remedy, ...] = ()
    cause: str | None = None

    def __post_init__(self) -> None:
        for name in (self.symptom, *([self.cause] if self.cause else [])):
            if name not in SYMPTOMS:
                known = ", ".join(map(repr, SYMPTOMS))
                raise ValueError(f"A symptom must be one of {known}. Received: {name!r}.")
        object.__setattr__(self, "severity", Severity(self.severity))

    def __str__(self) -> str:
        """One line: severity, symptom, where, the numbers."""
        where = f" in {_listed(self.layers)}" if self.layers else ""
        return (
            f"{self.severity}: {self.symptom}{where}, from step {self.first_step}: {self.evidence}"
        )


def _listed(layers: tuple[str, ...]) -> str:
    shown = ", ".join(layers[:3])
    return shown if len(layers) <= 3 else f"{shown} and {len(layers) - 3} more"
