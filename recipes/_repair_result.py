"""`Repair` and `Attempt`: what a repair came to, and by which trainings."""

from dataclasses import dataclass, field

import keras

from ..callbacks.diagnosis.finding import Finding
from .remedies.changes import Change


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One training of a repair.

    Attributes:
        number: 0 is the model as it was given, trained.
        changes: All that tells its model from the given one.
        not_changed: Remedies that could not be applied, in sentences.
        findings: What `TrainingDoctor` found in it.
        score: Its best score on the validation data, `-inf` where it never was finite.
        epochs: Epochs that it was trained.
        seconds: How long that took.
        outcome: What became of it, in a sentence.
    """

    number: int
    changes: tuple[Change, ...]
    not_changed: tuple[str, ...]
    findings: list[Finding]
    score: float
    epochs: int
    seconds: float
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What a repair came to.

    Attributes:
        model: The best model, trained, compiled, with its best weights.
        attempts: Every training, in order; number 0 is the model as it was given.
        healthy: Whether the returned model's training had no finding of severity "error".
        metric: `"accuracy"` or `"R²"`.
        score_before: Of the model as it was given.
        score: Of `model`.
        changes: What tells `model` from the given one.
        not_changed: What could not be changed, in sentences that say what to do by hand.
    """

    model: keras.Model
    attempts: list[Attempt] = field(default_factory=list)
    healthy: bool
    metric: str
    score_before: float
    score: float
    changes: tuple[Change, ...] = ()
    not_changed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The story: each attempt, then what the model was changed by."""
        state = "healthy" if self.healthy else "not healthy"
        head = f"{self.metric} {self.score_before:.3g} -> {self.score:.3g}, {state}."
        told = [f"  {attempt.number}. {attempt.outcome}" for attempt in self.attempts]
        changes = [f"  * {change}" for change in self.changes] or ["  * nothing"]
        by_hand = [f"  - {sentence}" for sentence in self.not_changed]
        rest = ["Left to do by hand:", *by_hand] if by_hand else []
        return "\n".join([head, "Attempts:", *told, "Changed:", *changes, *rest])
