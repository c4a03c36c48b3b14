"""What to try next in a repair: remedies in the order of the evidence, then the textbook's."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from ..callbacks.diagnosis._remedies import (
    ADAM,
    NORMALIZATION,
    STANDARDIZED_INPUT,
    activation,
    initializer,
    range_test,
)
from ..callbacks.diagnosis.finding import Finding, Severity
from .prescription import Choice, first_remedies, key_of

_TEXTBOOK = (
    STANDARDIZED_INPUT,
    activation("elu"),
    initializer("elu"),
    NORMALIZATION,
    ADAM,
)
"""Géron, chapter 11, table 11-2; Adam for his Nesterov, as no learning rate is known."""

_EVIDENCE = Finding(
    symptom="not_learning",
    layers=(),
    severity=Severity.WARNING,
    first_step=0,
    evidence="What the findings suggest was not enough.",
)


class Choices:
    """The remedies so far, and which come next.

    Attributes:
        tried: `(symptom, key)` of what was tried.
    """

    def __init__(self) -> None:
        self.tried: set[tuple[str, str]] = set()
        self._textbook = 0

    def of_findings(self, findings: Sequence[Finding]) -> list[Choice]:
        """The next untried remedies: of root causes, then of what follows from them."""
        chosen = first_remedies(findings, self.tried)
        if not chosen:
            chosen = first_remedies([replace(one, cause=None) for one in findings], self.tried)
        return self._taken(chosen)

    def of_textbook(self) -> list[Choice]:
        """What the textbook recommends for any deep network, at first, then with a found rate."""
        self._textbook += 1
        remedies = {1: _TEXTBOOK, 2: (*_TEXTBOOK, range_test())}.get(self._textbook, ())
        return [(_EVIDENCE, remedy) for remedy in remedies]

    def _taken(self, chosen: list[Choice]) -> list[Choice]:
        self.tried |= {(finding.symptom, key_of(remedy)) for finding, remedy in chosen}
        return chosen


_ENDS = ("input_scaling", "target_scaling", "output_activation", "loss")
_OF_LAYERS = ("activation", "initializer")


def added(older: Collection[Choice], newer: Collection[Choice]) -> list[Choice]:
    """All choices, the older ones without those that newer ones replace."""
    replaced = {remedy.kind for _, remedy in newer} - set(_OF_LAYERS)
    if "optimizer" in replaced:
        replaced.add("learning_rate")
    return [*(choice for choice in older if choice[1].kind not in replaced), *newer]


def of_the_ends(choices: Collection[Choice]) -> list[Choice]:
    """Those that suit the network to its data: a textbook's network needs them too."""
    return [choice for choice in choices if choice[1].kind in _ENDS]
