"""The rule on initializers: what they draw against the layer's fan and activation."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..activation_facts import ACTIVATION_FACTS, ActivationFacts, facts_of
from ..record import TrainingRecord
from ._first_weights import begin_with_measured
from ._gains import constant, gain
from ._graph import Graph, Layer, fans, is_activation, is_kernel, is_shape, kind, path
from ._guessing import is_crossentropy
from ._learning import learning_of
from ._rate import EPSILON, is_adaptive
from ._remedies import initializer
from .finding import Finding, Severity

_STALLED = -4.0
_NOTABLE = 2.0


def poor_initialization(record: TrainingRecord) -> Iterator[Finding]:
    """Kernels that start too small, too large, or all alike.

    Signal one: a hidden kernel with one value for all weights. Its units start alike, and stay so
    where the kernel behind is constant too (error); a zero kernel and bias under a ReLU has no
    gradient at all (error); else the kernel behind tells the units apart (warning). Not flagged:
    a zero output layer, one unit, and zeros at the end of a residual branch (Fixup, SkipInit).

    Signal two: the gain g = fan_in Var(w) of each hidden kernel against the gain that its
    activation needs (He 2, LeCun 1, Glorot 2 fan_in / (fan_in + fan_out)), from `ACTIVATION_FACTS`.
    Over a chain of layers the signal, and its gradient, change by the product of the
    sqrt(g / needed); a normalization or a merging layer starts anew. Bounded activations don't
    pass a surplus on, and an output layer counts for nothing.

    Where the first recorded weights are more than a factor of 2 off what the initializer draws,
    as those of a trained model, their mean square is judged in its place.

    Threshold, of log10 of that product D: warning from |D| > 2, a hundred times: deep networks
    below it converged later, and Keras' default of Glorot for a few ReLU layers stays above it.
    Error for SGD from D <= -4, between ReLU networks of 22 layers with Glorot (-3.3), which
    converged, and of 30 (-4.5), which did not (He et al. 2015, figures 2 and 3). Error for Adam
    and its like, which don't see the gradient's scale until it falls below their epsilon, from
    D <= -7. Upwards the same bounds for crossentropies, which rank outputs of any scale; other
    losses have outputs that are that much too large, whatever the optimizer makes of the gradient:
    error from D >= 4. A warning where half of the way is gone.

    Reference:
        Glorot and Bengio 2010; He et al. 2015, section 2.2; Goodfellow, Bengio and Courville
        2016, section 8.4 (symmetry); Zhang, Dauphin and Ma 2019 (zeros that are sound).
    """
    graph = Graph(record.network)
    if not graph.known:
        return
    begin_with_measured(graph, record)
    yield from _alike(graph)
    chains = _chains(graph)
    if not chains:
        return
    worst = max(chains, key=lambda chain: abs(chain.log_scale))
    if abs(worst.log_scale) <= _NOTABLE:
        return
    free = worst.log_scale < 0 or is_crossentropy(record)
    patient = is_adaptive(record.network) and free
    bound = -math.log10(EPSILON) if patient else -_STALLED
    learns = bool(record.groups) and learning_of(record).is_surely_halfway
    is_fatal = abs(worst.log_scale) >= bound and not learns
    off = [at for at in worst.layers if abs(_excess(graph, at) or 0.0) > 0.01]
    layer = graph.layers[off[0]]
    needed = _facts(graph, off[0])
    yield Finding(
        symptom="poor_initialization",
        layers=tuple(path(graph.layers[at]) for at in off),
        severity=Severity.ERROR if is_fatal else Severity.WARNING,
        first_step=0,
        evidence=f"Over {len(worst.layers)} layers the signal changes by a factor of "
        f"{10**worst.log_scale:.2g}: {path(layer)} has the variance {gain(layer):.3g} / fan_in "
        f"({_drawn_by(layer)}), {needed.name if needed else 'its activation'} needs "
        f"{_needed_gain(graph, off[0]):.3g} / fan_in.",
        remedies=(initializer(needed.name if needed else None),),
    )


# ---------------------------------------------------------------------- units that are alike


def _alike(graph: Graph) -> Iterator[Finding]:
    found = {at: reason for at in graph.hidden() if (reason := _why_alike(graph, at))}
    if not found:
        return
    worst = max(found, key=lambda at: found[at][0])
    yield Finding(
        symptom="poor_initialization",
        layers=tuple(path(graph.layers[at]) for at in found),
        severity=Severity.ERROR if found[worst][0] else Severity.WARNING,
        first_step=0,
        evidence=f"Layer {path(graph.layers[worst])} starts with the same value in all weights "
        f"({_drawn_by(graph.layers[worst])}): {found[worst][1]}.",
        remedies=(initializer(graph.activation(worst)),),
    )


def _why_alike(graph: Graph, at: int) -> tuple[bool, str] | None:
    """Whether it is for good, and why; None of a layer that is sound."""
    layer = graph.layers[at]
    value = constant(layer.get("initializer"))
    if value is None or layer.get("trainable") is False or _ends_branch(graph, at):
        return None
    facts, bias = _facts(graph, at), constant(layer.get("bias_initializer"))
    if value == 0 and facts is not None and facts.units_can_die and (bias or 0.0) <= 0:
        return True, f"all its outputs are 0, where {facts.name} has no gradient"
    if layer.get("units") == 1:
        return None
    behind = next((one for one in graph.after(at) if is_kernel(graph.layers[one])), None)
    alike = behind is not None and constant(graph.layers[behind].get("initializer")) is not None
    if alike and bias is not None:
        return True, "all its units get the same gradient for ever, and stay one unit"
    return False, "its units start alike and must be told apart by the layer behind"


def _ends_branch(graph: Graph, at: int) -> bool:
    for one in (at, *graph.after(at)):
        children = graph.children[one]
        if any(graph.layers[child].get("merges") for child in children):
            return True
        if any(is_kernel(graph.layers[child]) for child in children):
            return False
    return False


# ---------------------------------------------------------------------- the signal's scale


@dataclass(frozen=True)
class _Chain:
    layers: tuple[int, ...]
    log_scale: float


def _chains(graph: Graph) -> list[_Chain]:
    """The changes of scale summed up over layers in a row, for each hidden kernel."""
    chains: dict[int, _Chain] = {}
    for at in graph.hidden():
        excess = _excess(graph, at)
        if excess is None or kind(graph.layers[at]) == "Embedding":
            continue
        facts = _facts(graph, at)
        bounded = facts is None or facts.flat_above is not None
        # A bounded activation does not hand on what is too large.
        excess = min(excess, 0.0) if bounded else excess
        before = _kernel_before(graph, at)
        chain = chains.get(before) if before is not None else None
        if _is_normalized(graph, at):
            continue
        chains[at] = _Chain(
            (*(chain.layers if chain else ()), at),
            (chain.log_scale if chain else 0.0) + excess,
        )
    return list(chains.values())


def _excess(graph: Graph, at: int) -> float | None:
    """log10 of the signal's change over what the activation needs."""
    value, needed = gain(graph.layers[at]), _needed_gain(graph, at)
    if not value or not needed:
        return None
    return 0.5 * math.log10(value / needed)


def _needed_gain(graph: Graph, at: int) -> float | None:
    facts, sizes = _facts(graph, at), fans(graph.layers[at])
    if facts is None or sizes is None:
        return None
    if facts.initializer == "glorot":
        # Between what the signal needs, 1, and what the gradient needs: either is sound.
        least, most = sorted((1.0, 2 * sizes[0] / sum(sizes)))
        value = gain(graph.layers[at]) or least
        return min(max(value, least), most)
    return 2.0 if facts.initializer == "he" else 1.0


def _facts(graph: Graph, at: int) -> ActivationFacts | None:
    name = graph.activation(at)
    if name is None or name == "linear":
        return ACTIVATION_FACTS["linear"] if name else None
    try:
        return facts_of(name)
    except ValueError:
        return None


def _kernel_before(graph: Graph, at: int) -> int | None:
    for one in graph.before(at):
        layer = graph.layers[one]
        if is_kernel(layer):
            return one
        if layer.get("normalizes") or layer.get("merges"):
            return None
        if not (is_shape(layer) or is_activation(layer) or "Pooling" in kind(layer)):
            return None
    return None


def _is_normalized(graph: Graph, at: int) -> bool:
    """Whether what a kernel puts out is normalized before the next one."""
    for one in graph.after(at):
        if graph.layers[one].get("normalizes"):
            return True
        if is_kernel(graph.layers[one]):
            return False
    return False


def _drawn_by(layer: Layer) -> str:
    drawn = dict(layer.get("initializer") or {})
    name = drawn.pop("class", None)
    numbers = ", ".join(f"{k}={v}" for k, v in drawn.items() if isinstance(v, (int, float)))
    return f"{name}({numbers})"
