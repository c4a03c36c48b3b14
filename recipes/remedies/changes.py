"""`Change`: one thing that a prescription changed, and why."""

from dataclasses import dataclass

from ...callbacks.diagnosis.finding import Finding, Remedy


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of a model.

    Attributes:
        kind: What was changed, as in `Remedy`.
        layers: Names of the layers it was changed in, empty where it is no layer's.
        before: What it was.
        after: What it is.
        symptom: The symptom that it is to mend.
        reason: Why, in a sentence.
        source: The paper or chapter that says so.
    """

    kind: str
    layers: tuple[str, ...]
    before: str
    after: str
    symptom: str
    reason: str
    source: str

    @classmethod
    def of(
        cls, finding: Finding, remedy: Remedy, layers: tuple[str, ...], before: str, after: str
    ) -> "Change":
        """A change that follows a finding's remedy."""
        return cls(
            kind=remedy.kind,
            layers=layers,
            before=before,
            after=after,
            symptom=finding.symptom,
            reason=remedy.reason,
            source=remedy.source,
        )

    def __str__(self) -> str:
        """One line: what, where, from what to what, and why."""
        where = f" of {listed(self.layers)}" if self.layers else ""
        return (
            f"{self.kind.replace('_', ' ')}{where}: {self.before} -> {self.after}, against "
            f"{self.symptom}. {self.reason.rstrip('.')}. ({self.source})"
        )


class NotChangedError(Exception):
    """A remedy that cannot be applied here; the message is a sentence with what to do by hand."""


def listed(names: tuple[str, ...]) -> str:
    """`"a, b, c and 4 more"`."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
