"""What may help gradients and units, the most promising first."""

from .finding import Remedy

VANISHING = (
    Remedy(
        kind="activation",
        value="relu",
        reason="Its slope is 1 where a unit is active, so that depth does not shrink the gradient.",
        source="Glorot, Bordes and Bengio 2011; Géron, chapter 11",
    ),
    Remedy(
        kind="initializer",
        value="he_normal",
        reason="Keeps the variance of signal and gradient from layer to layer.",
        source="He et al. 2015; Géron, table 11-1",
    ),
    Remedy(
        kind="normalization",
        value="batch",
        reason="Brings every layer's inputs back to mean 0 and variance 1.",
        source="Ioffe and Szegedy 2015",
    ),
    Remedy(
        kind="connect",
        value="residual",
        reason="A shortcut carries the gradient past the layers that shrink it.",
        source="He et al. 2016",
    ),
)

EXPLODING = (
    Remedy(
        kind="clipping",
        value={"clipnorm": 1.0},
        reason="Bounds each step, whatever the gradient's size.",
        source="Pascanu et al. 2013; Géron, chapter 11",
    ),
    Remedy(
        kind="initializer",
        value="he_normal",
        reason="Keeps the variance of signal and gradient from layer to layer.",
        source="He et al. 2015; Géron, table 11-1",
    ),
    Remedy(
        kind="normalization",
        value="batch",
        reason="Brings every layer's inputs back to mean 0 and variance 1.",
        source="Ioffe and Szegedy 2015",
    ),
    Remedy(
        kind="learning_rate",
        value=0.1,
        reason="A tenth of the rate keeps the steps within where the gradient holds.",
        source="Bengio 2012, Practical recommendations",
    ),
)

SATURATED_UNITS = (
    Remedy(
        kind="initializer",
        value="glorot_normal",
        reason="Smaller weights keep the pre-activations where the slope is.",
        source="Glorot and Bengio 2010",
    ),
    Remedy(
        kind="input_scaling",
        value="standardize",
        reason="Inputs of mean 0 and variance 1 do not drive the first layer into the flat parts.",
        source="LeCun et al. 1998, Efficient BackProp",
    ),
    Remedy(
        kind="normalization",
        value="batch",
        reason="Brings the pre-activations back to mean 0 and variance 1.",
        source="Ioffe and Szegedy 2015",
    ),
    Remedy(
        kind="activation",
        value="relu",
        reason="It is not flat on its positive side.",
        source="Glorot, Bordes and Bengio 2011",
    ),
)


def against_dying(from_start: bool, rate: float | None) -> tuple[Remedy, ...]:
    """Of ReLUs: the start's remedies first where they never lived, the rate's otherwise."""
    leaky = Remedy(
        kind="activation",
        value="leaky_relu",
        reason="Its slope is never 0, so that a unit can always come back.",
        source="Maas et al. 2013; Géron, chapter 11",
    )
    initializer = Remedy(
        kind="initializer",
        value="he_normal",
        reason="Weights drawn around 0 at ReLU's variance, and biases of 0, leave half awake.",
        source="He et al. 2015",
    )
    normalization = Remedy(
        kind="normalization",
        value="batch",
        reason="Centers the pre-activations, so that each unit is awake for some samples.",
        source="Ioffe and Szegedy 2015",
    )
    slower = Remedy(
        kind="learning_rate",
        value=None if rate is None else rate / 10,
        reason="The units died in training: a step too large pushed their biases under 0.",
        source="Géron, chapter 11; Lu et al. 2020",
    )
    if from_start:
        return (initializer, leaky, normalization)
    return (slower, leaky, normalization) if rate else (leaky, normalization)
