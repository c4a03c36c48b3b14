"""How `trainwell check` puts what it found: a verdict in a sentence, changes as rows."""

import math
from collections.abc import Sequence
from typing import Any

from ...callbacks._symptom_words import SYMPTOM_WORDS
from ...callbacks.diagnosis.finding import Finding, Severity


def told(findings: Sequence[Finding]) -> str:
    """The symptoms by severity, in a line."""
    return ", ".join(f"{one.symptom} ({one.severity})" for one in findings) or "nothing found"


def verdict(findings: Sequence[Finding], *, watched: bool) -> str:
    """What it comes to.

    Args:
        findings: As `diagnose` orders them.
        watched: Boolean. Whether a training was watched.
    """
    severities = {one.severity for one in findings}
    if Severity.ERROR in severities:
        return "Not sound: as it is, this model will not reach what a sound one reaches."
    more = "" if watched else " What only training shows is not known yet: --fit watches it."
    if Severity.WARNING in severities:
        return f"No error was found; what is warned of costs speed or accuracy.{more}"
    return f"Nothing is wrong that the rules know of.{more}"


def to_begin_with(findings: Sequence[Finding]) -> str:
    """What to mend first, a sentence; `""` where nothing is an error."""
    error = next((one for one in findings if one.severity is Severity.ERROR), None)
    if error is None:
        return ""
    root = _root_of(error, findings)
    where = f" in {listed(root.layers)}" if root.layers else ""
    return f"Begin with {root.symptom}{where}: {SYMPTOM_WORDS[root.symptom][0]}."


def _root_of(finding: Finding, findings: Sequence[Finding]) -> Finding:
    """What brought it about, to be mended first."""
    by_symptom = {one.symptom: one for one in findings}
    while finding.cause in by_symptom:
        finding = by_symptom[finding.cause]
    return finding


def outcome(repair: Any) -> str:
    """What a repair came to, in a sentence.

    Args:
        repair: `Repair`.
    """
    trained = score_text(repair.attempts[0].score)
    scores = (
        f"{repair.metric} on the validation data: {score_text(repair.score_before)} as it is in "
        f"the file, {trained} after a training as it is"
    )
    if not repair.changes:
        sound = "nothing had to be changed" if repair.healthy else "no change made it better"
        return f"{scores[:1].upper()}{scores[1:]}; {sound}, so that no repaired model is written."
    state = "no error is left" if repair.healthy else "not all that is wrong could be mended"
    return (
        f"{scores[:1].upper()}{scores[1:]}, {score_text(repair.score)} with the changes; {state}."
    )


def score_text(score: float | None) -> str:
    """A score, or a dash for none."""
    return "–" if score is None or not math.isfinite(score) else f"{score:.3f}"


def what(change: Any) -> str:
    """What was changed, in a word or two."""
    return str(change.kind).replace("_", " ")


def why(change: Any) -> str:
    """Why, with its source."""
    return f"{change.reason.rstrip('.')}. ({change.source})"


def listed(layers: Sequence[str]) -> str:
    """The first four, and how many more."""
    shown = ", ".join(layers[:4])
    return shown if len(layers) <= 4 else f"{shown} and {len(layers) - 4} more"
