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

    Args:
        kind: String. What to change: `"activation"`, `"initializer"`, `"normalization"`,
            `"output_activation"`, `"loss"`, `"input_scaling"`, `"target_scaling"`, `"clipping"`,
            `"learning_rate"`, `"optimizer"`, `"dropout"`, `"regularization"`,
            `"connect"`, `"epochs"` or `"batch_size"`.
        value: What to set it to, as plain data.
        reason: String. Why, in a sentence.
        source: String. The paper or chapter that says so.
    """

    kind: str
    value: Any
    reason: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, where, since when, by which numbers, and what may help.

    Args:
        symptom: String. One of `SYMPTOMS`.
        layers: Tuple of the layers that show it, in the network's order; empty where it is no
            layer's.
        severity: `Severity`, or its name.
        first_step: Integer. The step from which on it shows, `0` where it does from the start.
        evidence: String. The numbers, in a sentence.
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
