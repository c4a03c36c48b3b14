"""`diagnose`: all rules on one record, their findings ordered by cause."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from ..record import TrainingRecord
from ._causes import EDGES, SYMPTOM_ORDER, Edge
from .finding import Finding, Remedy, Severity
from .gradients import exploding_gradient, vanishing_gradient
from .initialization import poor_initialization
from .losses import improper_loss
from .non_finite import non_finite
from .outputs import improper_output_activation
from .progress import not_learning, slow_convergence
from .rates import learning_rate_too_high, learning_rate_too_low
from .scaling import unscaled_input, unscaled_target
from .structure import (
    disconnected_layer,
    excessive_dropout,
    missing_activation,
    self_normalization_broken,
)
from .swings import oscillating_loss, overfitting
from .units import dying_relu, saturated_activation

Rule = Callable[[TrainingRecord], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    disconnected_layer,
    unscaled_target,
    improper_loss,
    improper_output_activation,
    unscaled_input,
    poor_initialization,
    self_normalization_broken,
    missing_activation,
    excessive_dropout,
    exploding_gradient,
    learning_rate_too_high,
    dying_relu,
    saturated_activation,
    vanishing_gradient,
    learning_rate_too_low,
    non_finite,
    oscillating_loss,
    not_learning,
    slow_convergence,
    overfitting,
)
"""Every rule. A new one is a function in its family's module and an entry here."""

_BADNESS = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
# A rule sees a symptom only at the end of its window, about a tenth of the run.
_WINDOW = 0.1


def diagnose(record: TrainingRecord) -> list[Finding]:
    """What is wrong with a run, root causes first, then by severity, then by when it began.

    Findings of one symptom become one, with the layers of all. `cause` is the symptom that it
    follows from: one that is present, at least a warning, not later (by more than a tenth of the
    run, which is what the rules resolve) and in the right place. Of several, the root that is
    worst, then earliest, then furthest upstream is named. A finding keeps its severity whatever
    its cause is.

    | Root | brings about | because |
    | --- | --- | --- |
    | disconnected layer | no progress | its weights never change |
    | improper output, improper loss | no progress, non-finite, swings, gradients that vanish or
      explode, later dead or saturated units | the loss cannot reach its minimum, `log 0`, or no
      gradient passes the output |
    | unscaled target | the same without vanishing gradients, and a rate too high | errors, and
      with them gradients, have the targets' scale |
    | unscaled input | saturated and dead units, exploding gradients, a rate too high, lost
      self-normalization, no progress, non-finite, swings | pre-activations and curvature grow
      with the inputs' scale and its square (LeCun et al. 1998) |
    | poor initialization | saturated and dead units in the same or later layers, gradients that
      vanish or explode, lost self-normalization, no progress, non-finite, swings | each layer
      multiplies the signal's variance by fan-in times the weights' (Glorot & Bengio 2010) |
    | self-normalization broken | vanishing and exploding gradients, no progress | variance
      leaves its fixed point (Klambauer et al. 2017) |
    | missing activation | no progress | stacked linear layers are one |
    | excessive dropout | no progress, swings | most of the signal is noise |
    | exploding gradient | a rate too high, dead and saturated units, non-finite, swings, not
      learning | the step is the rate times the gradient |
    | learning rate too high | dead and saturated units, gradients that vanish or explode (all
      later than the first step), non-finite, swings, not learning | it overshoots; before the
      first step it cannot have done anything |
    | dead, saturated units | vanishing gradients in the same or earlier layers, a rate too low,
      no progress | their slope is 0, and gradients go from the output back |
    | vanishing gradient | a rate too low, no progress | the first layers' steps are tiny |
    | learning rate too low, non-finite, swings | no progress | no weight gets anywhere |

    "No progress" is `not_learning` and `slow_convergence`. What nothing explains is a root.

    ```python
    from trainwell.callbacks import TrainingRecord
    from trainwell.callbacks.diagnosis.diagnose import diagnose

    diagnose(TrainingRecord())  # []: nothing was recorded
    ```

    Args:
        record: `TrainingRecord`, live or loaded, of a whole run or of its first steps.

    Returns:
        List of `Finding`.
    """
    return arranged(record, (finding for rule in RULES for finding in rule(record)))


def arranged(record: TrainingRecord, findings: Iterable[Finding]) -> list[Finding]:
    """Findings merged by symptom, with their causes, in order."""
    places = _places(record)
    merged = _merged(findings, places)
    last = float(record.steps[-1]) if record.groups and len(record.steps) else 0.0
    caused = _with_causes(merged, places, _WINDOW * last)
    return sorted(caused, key=_rank)


def _rank(finding: Finding) -> tuple[bool, int, int, int]:
    return (
        finding.cause is not None,
        _BADNESS[finding.severity],
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
    """Each finding with the worst, earliest, most upstream of its roots; free of circles."""
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
            causes[effect.symptom] = min(roots, key=_rank).symptom
    return [
        replace(finding, cause=causes.get(finding.symptom, finding.cause)) for finding in findings
    ]


def _explains(
    edge: Edge, root: Finding, effect: Finding, places: dict[str, int], window: float
) -> bool:
    if root.severity is Severity.INFO or root.first_step > effect.first_step + window:
        return False
    if edge.time != "any" and (edge.time == "start") != (effect.first_step == 0):
        return False
    ours = [places[layer] for layer in root.layers if layer in places]
    theirs = [places[layer] for layer in effect.layers if layer in places]
    if edge.place == "any" or not ours or not theirs:
        return True
    return min(ours) <= max(theirs) if edge.place == "before" else max(ours) >= min(theirs)


def _leads_back(effect: str, root: str, causes: dict[str, str]) -> bool:
    """Whether the root itself follows from the effect."""
    at: str | None = root
    while at is not None and at != effect:
        at = causes.get(at)
    return at == effect
