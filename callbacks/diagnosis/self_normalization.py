"""The rule on SELU networks: `self_normalization_broken`."""

from collections.abc import Iterator

from ..record import TrainingRecord
from ._gains import gain
from ._graph import Graph, is_activation, is_kernel, is_shape, kind, path
from ._remedies import STANDARDIZED_INPUT, activation, initializer
from .finding import Finding, Remedy, Severity


def self_normalization_broken(record: TrainingRecord) -> Iterator[Finding]:
    """SELU without the conditions under which it normalizes itself.

    Signal: hidden layers with SELU and, among them, kernels whose variance is not 1 / fan_in
    (outside 0.95 to 1.1 of it, the theorem's domain), plain dropout, or another normalization;
    layers that are not dense and inputs without mean 0 and deviation 1 where they are known.

    Threshold: warning; info where only the layers' kind or the inputs are outside the theorem:
    such networks train, the property just isn't proved for them.

    Remedy: LeCun kernels and standardized inputs; where another layer is in the way, ELU, which
    Géron prefers where the network can't normalize itself.

    Reference:
        Klambauer et al. 2017, theorem 1; Géron, chapter 11, "SELU".
    """
    graph = Graph(record.network)
    if not graph.known:
        return
    selu = [at for at in graph.hidden() if graph.activation(at) == "selu"]
    if not selu or 2 * len(selu) < len(graph.hidden()):
        return
    broken = [one for at in selu for one in _broken_at(graph, at)]
    outside = [*_other_kinds(graph, selu), *_unscaled(graph, selu, record)]
    if not (broken or outside):
        return
    reasons = list(dict.fromkeys([*(why for _, why in broken), *outside]))
    yield Finding(
        symptom="self_normalization_broken",
        layers=tuple(dict.fromkeys(path(graph.layers[at]) for at, _ in broken)),
        severity=Severity.WARNING if broken else Severity.INFO,
        first_step=0,
        evidence=f"There are {len(selu)} hidden layers with SELU, but {'; '.join(reasons[:4])}.",
        remedies=tuple(_remedies(graph, selu, record)),
    )


def _remedies(graph: Graph, selu: list[int], record: TrainingRecord) -> Iterator[Remedy]:
    """Mended kernels and inputs; another activation where another layer is in the way."""
    if any(not _is_lecun(graph, at) for at in selu):
        yield initializer("selu")
    if _unscaled(graph, selu, record):
        yield STANDARDIZED_INPUT
    if _other_kinds(graph, selu) or any(at not in selu for one in selu
                                        for at, _ in _broken_at(graph, one)):  # fmt: skip
        yield from (activation("elu"), initializer("elu"))


def _broken_at(graph: Graph, at: int) -> Iterator[tuple[int, str]]:
    if not _is_lecun(graph, at):
        yield at, f"kernels with variance {gain(graph.layers[at]):.3g} / fan_in, not 1 / fan_in"
    for after in graph.after(at):
        layer = graph.layers[after]
        if is_kernel(layer):
            break
        if layer.get("normalizes"):
            yield after, f"a {kind(layer)} between them"
        if kind(layer) in ("Dropout", "GaussianDropout", "SpatialDropout2D") and layer.get("rate"):
            yield after, f"a {kind(layer)}, where AlphaDropout would keep the mean"
        if layer.get("merges") or not (is_shape(layer) or is_activation(layer)):
            break


def _is_lecun(graph: Graph, at: int) -> bool:
    value = gain(graph.layers[at])
    return value is None or 0.95 <= value <= 1.1


def _other_kinds(graph: Graph, selu: list[int]) -> list[str]:
    others = any(kind(graph.layers[at]) != "Dense" for at in selu)
    return ["not all of them are dense"] if others else []


def _unscaled(graph: Graph, selu: list[int], record: TrainingRecord) -> list[str]:
    if any(layer.get("normalizes") for layer in graph.layers[: min(selu)]):
        return []
    known = [
        (one["mean"], one["std"])
        for one in record.data.get("inputs") or []
        if one.get("mean") is not None and one.get("std") is not None
    ]
    return [
        f"inputs with mean {mean:.3g} and deviation {std:.3g}"
        for mean, std in known
        if not (abs(mean) < 0.5 and 0.5 < std < 2)
    ]
