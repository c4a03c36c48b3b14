"""What may help: every remedy that more than one family of rules names, defined once."""

from ..activation_facts import ACTIVATION_FACTS, ActivationFacts, facts_of
from ..record import TrainingRecord
from ._rate import used_rate, usual_rate
from .finding import Remedy

CLIPPING = Remedy(
    kind="clipping",
    value={"clipnorm": 1.0},
    reason="It bounds each step, whatever the size of a single batch's gradient.",
    source="Pascanu et al. 2013, On the difficulty of training recurrent neural networks; Géron, "
    "chapter 11",
)
NORMALIZATION = Remedy(
    kind="normalization",
    value="batch",
    reason="It brings every layer's pre-activations back to mean 0 and variance 1.",
    source="Ioffe and Szegedy 2015, Batch Normalization; Géron, chapter 11",
)
SHORTCUTS = Remedy(
    kind="connect",
    value="residual",
    reason="A shortcut carries the gradient past the layers that shrink it.",
    source="He et al. 2016, Deep Residual Learning",
)
STANDARDIZED_INPUT = Remedy(
    kind="input_scaling",
    value="standardize",
    reason="With mean 0 and deviation 1 of each feature the curvature is alike in all directions, "
    "one learning rate suits all weights, and no unit starts in the flat part of its activation.",
    source="LeCun, Bottou, Orr and Müller 1998, Efficient BackProp, section 4.3",
)
ADAM = Remedy(
    kind="optimizer",
    value="adam",
    reason="It has a step size for each weight, which does not shrink with the gradient.",
    source="Kingma and Ba 2015, Adam",
)

_RANGE_TEST = Remedy(
    kind="learning_rate",
    value=None,
    reason="Most runs that stand still or creep have a rate of the wrong order; a range test "
    "tells the right one.",
    source="Smith 2017, Cyclical Learning Rates; Géron, chapter 11",
)
_RATE_SOURCE = "Bengio 2012, Practical recommendations, section 3.1.1; Géron, chapter 11"
# The slope of the exponential function is its value.
_STEEP = ("exponential",)
_FAMILIES = {"glorot": "glorot_uniform", "he": "he_normal", "lecun": "lecun_normal"}
_FAMILY_SOURCES = {
    "glorot": "Glorot and Bengio 2010; Géron, table 11-1",
    "he": "He et al. 2015; Géron, table 11-1",
    "lecun": "LeCun et al. 1998; Klambauer et al. 2017; Géron, table 11-1",
}
_SLOPES = {
    "relu": (
        "Its slope is 1 where a unit is active, so that depth does not shrink the gradient.",
        "Glorot, Bordes and Bengio 2011, Deep Sparse Rectifier Neural Networks",
    ),
    "leaky_relu": (
        "Its slope is never 0, so that a unit can always come back.",
        "Maas et al. 2013, Rectifier Nonlinearities; Géron, chapter 11",
    ),
    "elu": (
        "Its slope never exceeds 1, it keeps the mean of the outputs near 0, and it asks nothing "
        "of the other layers.",
        "Clevert et al. 2016, Exponential Linear Units; Géron, chapter 11",
    ),
}

# ---------------------------------------------------------------------- layers


def activation(name: str) -> Remedy:
    """Another activation: `"relu"`, `"leaky_relu"` or `"elu"`."""
    reason, source = _SLOPES[name]
    return Remedy(kind="activation", value=name, reason=reason, source=source)


def initializer(behind: str | None) -> Remedy:
    """The initializer that belongs to an activation; of an unknown one Keras' default, Glorot's."""
    facts = _facts(behind) or ACTIVATION_FACTS["linear"]
    return Remedy(
        kind="initializer",
        value=_FAMILIES[facts.initializer],
        reason=f"With {facts.name} units it keeps the variance of the signal, and of the gradient, "
        "from layer to layer.",
        source=_FAMILY_SOURCES[facts.initializer],
    )


def against_vanishing(behind: str | None, *, by_weights: bool = False) -> tuple[Remedy, ...]:
    """Of a gradient that vanishes.

    Args:
        behind: The activation of the layers, None where it isn't known.
        by_weights: Whether the weights are to blame, not the activation's slope.
    """
    facts = _facts(behind)
    swapped = (activation("relu"), initializer("relu"))
    if by_weights or (facts is not None and facts.initializer in ("he", "lecun")):
        return (initializer(behind), NORMALIZATION, SHORTCUTS)
    return (*swapped, NORMALIZATION, SHORTCUTS)


def against_exploding(behind: str | None, record: TrainingRecord) -> tuple[Remedy, ...]:
    """Of a gradient that explodes."""
    if steep := against_steep_slopes(record):
        return (*steep, CLIPPING, NORMALIZATION, slower(record))
    return (CLIPPING, initializer(behind), NORMALIZATION, slower(record))


def against_steep_slopes(record: TrainingRecord) -> tuple[Remedy, ...]:
    """Of hidden layers whose activation has an unbounded slope, `()` where there are none."""
    hidden = (one for one in record.network.get("layers") or [] if not one.get("output"))
    steep = any(layer.get("activation") in _STEEP for layer in hidden)
    return (activation("elu"), initializer("elu")) if steep else ()


def against_saturation(behind: str | None) -> tuple[Remedy, ...]:
    """Of units in the flat parts: weights and inputs first, another activation last."""
    return (
        initializer(behind),
        STANDARDIZED_INPUT,
        NORMALIZATION,
        activation("relu"),
        initializer("relu"),
    )


def against_dying(
    behind: str | None, record: TrainingRecord, rate: float | None, from_start: bool
) -> tuple[Remedy, ...]:
    """Of ReLUs: the start's remedies first where they never lived, the rate's otherwise."""
    after = (activation("leaky_relu"), NORMALIZATION)
    return (initializer(behind) if from_start else slower(record, rate), *after)


def _facts(name: str | None) -> ActivationFacts | None:
    try:
        return None if name is None else facts_of(name)
    except ValueError:
        return None


# ---------------------------------------------------------------------- the rate


def slower(record: TrainingRecord, rate: float | None = None) -> Remedy:
    """A tenth of the rate, and no more than the optimizer's usual one.

    Args:
        record: Of the run.
        rate: The rate that did it. Defaults to `None`: the run's.
    """
    rates = _rates(record, rate, 0.1)
    if not rates:
        return range_test("The steps are too large; a range test tells the largest that are not.")
    return Remedy(
        kind="learning_rate",
        value=min(rates),
        reason="Steps that are too large overshoot; the best rate is about half of the largest "
        "that does not diverge.",
        source=_RATE_SOURCE,
    )


def faster(record: TrainingRecord) -> Remedy:
    """Ten times the rate, and no less than the optimizer's usual one."""
    rates = _rates(record, None, 10.0)
    if not rates:
        return range_test("The steps are too small; a range test tells the largest that are not.")
    return Remedy(
        kind="learning_rate",
        value=max(rates),
        reason="The steps are far smaller than the weights bear.",
        source=_RATE_SOURCE,
    )


def _rates(record: TrainingRecord, rate: float | None, factor: float) -> list[float]:
    used, usual = rate or used_rate(record), usual_rate(record.network)
    scaled = float(f"{factor * used:.3g}") if used is not None and used > 0 else None
    return [one for one in (scaled, usual) if one is not None]


def range_test(reason: str = _RANGE_TEST.reason) -> Remedy:
    """A rate that only a range test tells."""
    return Remedy(kind="learning_rate", value=None, reason=reason, source=_RANGE_TEST.source)
