"""Findings as text for the terminal: roots first, what follows from them indented below."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from ._tables import number
from .diagnosis.finding import Finding, Severity
from .record import TrainingRecord

_WIDTH = 100
_STEP = "    "


def findings_text(record: TrainingRecord, findings: Sequence[Finding]) -> str:
    """The report of a run.

    Args:
        record: Of the run.
        findings: In the order of `diagnose`.
    """
    lines = [_headline(record, findings)]
    present = {finding.symptom for finding in findings}
    roots = [one for one in findings if one.cause not in present]
    for at, root in enumerate(roots, 1):
        lines += ["", *_tree(root, findings, f"{at}. ", 0)]
    return "\n".join(lines)


def _headline(record: TrainingRecord, findings: Sequence[Finding]) -> str:
    name = record.network.get("name") or "the network"
    steps = int(record.steps[-1]) + 1 if record.groups and len(record.steps) else 0
    if not steps:
        return f"{name}: no step has been seen."
    epochs = len(record.epochs)
    ran = f"{name}, {steps:,} steps, {_counted(epochs, 'epoch')}"
    counts = [
        _counted(count, severity.value)
        for severity in (Severity.ERROR, Severity.WARNING)
        if (count := sum(finding.severity is severity for finding in findings))
    ]
    notes = sum(finding.severity is Severity.INFO for finding in findings)
    counts += [_counted(notes, "note")] if notes else []
    return f"{ran}: {', '.join(counts) or 'nothing found'}."


def _tree(finding: Finding, findings: Sequence[Finding], mark: str, depth: int) -> Iterator[str]:
    indent = _STEP * depth
    yield from _finding(finding, indent, mark)
    effects = [one for one in findings if one.cause == finding.symptom]
    if effects:
        yield f"{indent}   It brings about:"
    for effect in effects:
        yield from _tree(effect, findings, "- ", depth + 1)


def _finding(finding: Finding, indent: str, mark: str) -> Iterator[str]:
    where = f" in {_listed(finding.layers)}" if finding.layers else ""
    since = f"since step {finding.first_step:,}" if finding.first_step else "from the start"
    yield from _wrapped(
        f"{finding.severity.value}: {finding.symptom}{where}, {since}", indent + mark, indent
    )
    yield from _wrapped(finding.evidence, indent + "   ", indent)
    # A consequence goes with its root: its own remedies would only hide that.
    for remedy in finding.remedies if finding.cause is None else ():
        text = f"Try {_change(remedy.kind, remedy.value)}: {remedy.reason} ({remedy.source})"
        yield from _wrapped(text, indent + "   * ", indent + "  ")


def _change(kind: str, value: Any) -> str:
    name = kind.replace("_", " ")
    if value is None:
        return name
    if isinstance(value, dict):
        return f"{name} {', '.join(f'{key} {number(one)}' for key, one in value.items())}"
    if isinstance(value, (list, tuple)):
        return f"{name} {', '.join(map(number, value))}"
    return f"{name} {number(value)}"


def _wrapped(text: str, first: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=indent + "   ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _listed(layers: Sequence[str]) -> str:
    shown = ", ".join(layers[:6])
    return shown if len(layers) <= 6 else f"{shown} and {len(layers) - 6} more"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
