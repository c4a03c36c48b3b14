"""Findings in order: merged by symptom, each with its cause, a root before what it brings about."""

from collections.abc import Iterable
from dataclasses import replace

from ..record import TrainingRecord
from ._causes import EDGES, GENERAL, SYMPTOM_ORDER, Edge
from .finding import Finding, Remedy, Severity

_BADNESS = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
# A rule sees a symptom only at the end of its window, about a tenth of the run.
_WINDOW = 0.1


def arranged(record: TrainingRecord, findings: Iterable[Finding]) -> list[Finding]:
    """Findings merged by symptom, with their causes, in the order of `diagnose`."""
    places = _places(record)
    merged = _merged(findings, places)
    last = float(record.steps[-1]) if record.groups and len(record.steps) else 0.0
    caused = _with_causes(merged, places, _WINDOW * last)
    worst = {one.symptom: _worst_of(one, caused) for one in caused}

    def place(one: Finding) -> tuple[int, bool, tuple[int, ...]]:
        is_effect = one.cause is not None
        severity, *rest = _rank(one)
        # An effect that is a warning stands before the errors that it brings about itself.
        return worst[one.symptom], is_effect, (0 if is_effect else severity, *rest)

    return sorted(caused, key=place)


def _worst_of(finding: Finding, findings: list[Finding]) -> int:
    """The badness of a finding, or of the worst that it brings about."""
    effects = (_worst_of(one, findings) for one in findings if one.cause == finding.symptom)
    return min([_BADNESS[finding.severity], *effects])


def _rank(finding: Finding) -> tuple[int, bool, int, int]:
    return (
        _BADNESS[finding.severity],
        finding.symptom in GENERAL,
        finding.first_step,
        SYMPTOM_ORDER.index(finding.symptom),
    )


def _merged(findings: Iterable[Finding], places: dict[str, int]) -> list[Finding]:
    by_symptom: dict[str, list[Finding]] = {}
    for finding in findings:
        by_symptom.setdefault(finding.symptom, []).append(finding)
    return [_one(same, places) for same in by_symptom.values()]


def _one(same: list[Finding], places: dict[str, int]) -> Finding:
    same = sorted(same, key=lambda finding: (_BADNESS[finding.severity], finding.first_step))
    layers = dict.fromkeys(layer for finding in same for layer in finding.layers)
    remedies: dict[str, Remedy] = {}
    for remedy in (remedy for finding in same for remedy in finding.remedies):
        remedies.setdefault(f"{remedy.kind} {remedy.value!r}", remedy)
    return replace(
        same[0],
        layers=tuple(sorted(layers, key=lambda layer: places.get(layer, len(places)))),
        first_step=min(finding.first_step for finding in same),
        evidence=" ".join(dict.fromkeys(finding.evidence for finding in same)),
        remedies=tuple(remedies.values()),
    )


def _places(record: TrainingRecord) -> dict[str, int]:
    """Where each layer comes in the network."""
    paths = [layer["path"] for layer in record.network.get("layers") or [] if layer.get("path")]
    names = dict.fromkeys([*paths, *(record.layers if record.groups else ())])
    return {name: at for at, name in enumerate(names)}


def _with_causes(findings: list[Finding], places: dict[str, int], window: float) -> list[Finding]:
    """Each finding with the nearest and worst of its roots; free of circles."""
    present = {finding.symptom: finding for finding in findings}
    causes: dict[str, str] = {}
    for effect in sorted(findings, key=lambda one: SYMPTOM_ORDER.index(one.symptom)):
        roots = [
            present[edge.root]
            for edge in EDGES
            if edge.effect == effect.symptom
            and edge.root in present
            and _explains(edge, present[edge.root], effect, places, window)
            and not _leads_back(effect.symptom, edge.root, causes)
        ]
        if roots:
            causes[effect.symptom] = min(
                roots, key=lambda root: (not _is_in(root, effect), *_rank(root))
            ).symptom
    return [
        replace(finding, cause=causes.get(finding.symptom, finding.cause)) for finding in findings
    ]


def _explains(
    edge: Edge, root: Finding, effect: Finding, places: dict[str, int], window: float
) -> bool:
    if root.severity is Severity.INFO or root.first_step > effect.first_step + window:
        return False
    if root.severity is not effect.severity is Severity.ERROR and not edge.even_mild:
        return False
    if edge.time != "any" and (edge.time == "start") != (effect.first_step == 0):
        return False
    ours = [places[layer] for layer in root.layers if layer in places]
    theirs = [places[layer] for layer in effect.layers if layer in places]
    if edge.place == "any" or not ours or not theirs:
        return True
    return min(ours) <= max(theirs) if edge.place == "before" else max(ours) >= min(theirs)


def _is_in(root: Finding, effect: Finding) -> bool:
    """Whether a root is seen in one of the effect's own layers."""
    return not set(root.layers).isdisjoint(effect.layers)


def _leads_back(effect: str, root: str, causes: dict[str, str]) -> bool:
    """Whether the root itself follows from the effect."""
    at: str | None = root
    while at is not None and at != effect:
        at = causes.get(at)
    return at == effect
