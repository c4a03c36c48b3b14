"""Rules on the layers and how they are connected, read from `record.network`."""

import math
from collections import Counter
from collections.abc import Iterator

from ..record import TrainingRecord
from ._graph import Graph, channels_in, is_kernel, is_maximum, is_shape, kind, path
from ._learning import learning_of
from .finding import Finding, Remedy, Severity

_MOST_DROPPED = 0.5
_DROWNED = 100.0
_ALL_DROPPED = 0.1


def missing_activation(record: TrainingRecord) -> Iterator[Finding]:
    """Two dense or convolutional layers with nothing nonlinear between them.

    Signal: a hidden kernel without activation whose output reaches another kernel, and nothing
    else, through layers that only reshape, average, drop or batch-normalize. Two such layers are
    one. A max pooling between them is nonlinear but counts as missing too: a maximum over
    neighbors is all that is left. Not flagged are a linear bottleneck, narrower than both what it
    takes and what follows (a code, a factorized kernel, MobileNetV2's blocks), depthwise kernels,
    frozen projections, and what feeds several layers or a merging one (ends of residual branches,
    attention's projections).

    Threshold: warning; error where no layer of the whole network is nonlinear, for then it is a
    linear model of the same inputs, until half of the way is gone: some tasks are linear.

    Reference:
        Goodfellow, Bengio and Courville 2016, section 6.1; UMLAUT (Schoop et al. 2021), its
        check of linear hidden layers; Sandler et al. 2018 (linear bottlenecks).
    """
    graph = Graph(record.network)
    if not graph.known:
        return
    found = [at for at in graph.hidden() if _joins_the_next(graph, at)]
    if not found:
        return
    linear = not any(_is_nonlinear(graph, at) for at in range(len(graph.layers)))
    learns = bool(record.groups) and learning_of(record).is_surely_halfway
    names = tuple(path(graph.layers[at]) for at in found)
    yield Finding(
        symptom="missing_activation",
        layers=names,
        severity=Severity.ERROR if linear and not learns else Severity.WARNING,
        first_step=0,
        evidence="The network is a linear function of its inputs: no layer has an activation."
        if linear
        else f"Of {len(graph.hidden())} hidden layers {len(found)} have no activation before the "
        "next dense or convolutional layer, so that the two are one linear layer.",
        remedies=(
            Remedy(
                kind="activation",
                value=_usual(graph),
                reason="Two linear layers in a row compute nothing that one can't.",
                source="Goodfellow, Bengio and Courville 2016, section 6.1",
            ),
        ),
    )


def _usual(graph: Graph) -> str:
    """The activation that most hidden layers have, ReLU where none has one."""
    names = Counter(graph.activation(at) for at in graph.hidden())
    return next((name for name, _ in names.most_common() if name not in (None, "linear")), "relu")


def _joins_the_next(graph: Graph, at: int) -> bool:
    layer = graph.layers[at]
    if layer.get("activation") not in (None, "linear") or layer.get("trainable") is False:
        return False
    for after in graph.after(at):
        other = graph.layers[after]
        if is_kernel(other):
            return not _is_bottleneck(graph, at, after)
        passes = is_shape(other) or is_maximum(other) or kind(other) == "BatchNormalization"
        linear = kind(other) == "Activation" and other.get("activation") == "linear"
        if other.get("merges") or not (passes or linear):
            return False
    return False


def _is_bottleneck(graph: Graph, at: int, after: int) -> bool:
    units, before = graph.layers[at].get("units"), channels_in(graph.layers[at])
    wider = graph.layers[after].get("units")
    return bool(units and before and wider and units < min(before, wider))


def _is_nonlinear(graph: Graph, at: int) -> bool:
    """Whether a layer is nonlinear, or may be; an output's activation doesn't count."""
    layer = graph.layers[at]
    if layer.get("merges"):
        return kind(layer) not in ("Add", "Subtract", "Average", "Concatenate")
    if layer.get("activation") not in (None, "linear"):
        return not any(graph.made_by(out) == at for out in graph.outputs())
    known = (
        is_kernel(layer)
        or is_shape(layer)
        or kind(layer)
        in ("Activation", "BatchNormalization", "Normalization", "Rescaling", "Embedding")
    )
    return not known


def excessive_dropout(record: TrainingRecord) -> Iterator[Finding]:
    """Dropout that leaves too little of the signal.

    Signal: with a share p kept, each dropout multiplies the mean square of the pre-activations
    behind it by 1 / p; in a chain the noise outweighs the signal by the product less 1. In a
    narrow layer of n units, (1 - p)^n of all samples lose every unit.

    Threshold: warning where a rate is above 0.5, the variance's largest and the optimum for
    hidden layers, or where a tenth of the samples lose all units of a layer. Error where one is
    above 0.5 and the product reaches 100: ReLU nets on 8x8 digits (Adam 0.001, 40 epochs, width
    32 / 128) fell from 0.92 / 0.97 at 2 layers of 0.5 to 0.71 / 0.93 at 0.8 (product 25), 0.24 /
    0.82 at 0.9 (100), and at 4 layers of 0.7 (123) to 0.23 / 0.60.

    Reference:
        Srivastava et al. 2014, section 7.3 and appendix A.4; UMLAUT (Schoop et al. 2021).
    """
    graph = Graph(record.network)
    rates = {
        at: float(layer["rate"])
        for at, layer in enumerate(graph.layers)
        if layer.get("rate") and 0 < float(layer["rate"]) < 1
    }
    high = [at for at, rate in rates.items() if rate > _MOST_DROPPED]
    empty = {at: share for at in rates if (share := _emptied(graph, at)) >= _ALL_DROPPED}
    if not (high or empty):
        return
    noise = _noise(graph, rates)
    found = sorted({*high, *empty})
    evidence = [
        f"A share of {rates[at]:g} of {path(graph.layers[at])}'s inputs is dropped."
        for at in high[:3]
    ]
    evidence += [
        f"In {path(graph.layers[at])} {share:.0%} of the samples lose all units."
        for at, share in list(empty.items())[:3]
    ]
    if noise >= _DROWNED:
        evidence.append(f"In a row they make {noise:.3g} times the signal's mean square.")
    yield Finding(
        symptom="excessive_dropout",
        layers=tuple(path(graph.layers[at]) for at in found),
        severity=Severity.ERROR if high and noise >= _DROWNED else Severity.WARNING,
        first_step=0,
        evidence=" ".join(evidence),
        remedies=(
            Remedy(
                kind="dropout",
                value=0.2,
                reason="In hidden layers 0.5 is the most that helps, and narrow ones bear less.",
                source="Srivastava et al. 2014, section 7.3",
            ),
        ),
    )


def _noise(graph: Graph, rates: dict[int, float]) -> float:
    """The largest product of 1 / kept along a chain of layers."""
    if not graph.known:
        return max((1 / (1 - rate) for rate in rates.values()), default=1.0)
    largest = 1.0
    for at in rates:
        chain = [at, *graph.before(at)]
        largest = max(largest, math.prod(1 / (1 - rates[i]) for i in chain if i in rates))
    return largest


def _emptied(graph: Graph, at: int) -> float:
    """The share of samples of which a dropout layer leaves nothing."""
    layer = graph.layers[at]
    shape = layer.get("output_shape")
    if kind(layer) != "Dropout" or not shape or len(shape) != 2 or not shape[1]:
        return 0.0
    return float(layer["rate"]) ** int(shape[1])


def disconnected_layer(record: TrainingRecord) -> Iterator[Finding]:
    """Trainable variables that no gradient reaches.

    Signal: the step gave None, not 0, for all variables of a layer: nothing differentiable leads
    from them to the loss (an argmax, a rounding, a stopped gradient, an output without a loss).

    Threshold: error where this holds for more than half of the kernels, for then little is left
    to learn with; otherwise warning, as of a branch that this fit does not use.

    Reference:
        TensorFlow's guide to automatic differentiation, "Getting a gradient of None".
    """
    group = record.groups.get("gradients")
    columns = group.columns if group is not None else []
    connected = {column["layer"] for column in columns if column.get("connected", True)}
    layers = dict.fromkeys(column["layer"] for column in columns)
    found = tuple(layer for layer in layers if layer not in connected)
    if not found:
        return
    kernels = {column["layer"] for column in columns if column.get("part") == "kernel"}
    cut = [layer for layer in kernels if layer in found]
    yield Finding(
        symptom="disconnected_layer",
        layers=found,
        severity=Severity.ERROR if 2 * len(cut) > len(kernels) else Severity.WARNING,
        first_step=0,
        evidence=f"No gradient reaches {len(found)} of {len(layers)} trainable layers: they stay "
        "as they were initialized.",
        remedies=(
            Remedy(
                kind="connect",
                value=None,
                reason="Something between these layers and the loss has no derivative, or they "
                "do not lead to it.",
                source="TensorFlow, Introduction to gradients and automatic differentiation",
            ),
        ),
    )
