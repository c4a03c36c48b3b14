"""`ACTIVATION_FACTS`: what each activation function does to the signal, as plain data.

The one place that knows it: monitors and rules read here where a unit is saturated, and the
recipes which initializer belongs to it.
"""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

InitializerFamily = Literal["glorot", "he", "lecun"]

SATURATION = 0.01
"""A function is saturated where its slope stays below this share of its largest slope."""


@dataclass(frozen=True, kw_only=True)
class ActivationFacts:
    """What one activation function `f` does, with the parameters that Keras gives it.

    Saturated is where `|f'(z)| < 0.01 max |f'|` from there on outwards; the same criterion for
    all. An isolated zero of the slope, such as GELU's at -0.75, is not saturation.

    Args:
        name: String. Name as in `keras.activations`, where Keras has the function.
        initializer: `"glorot"`, `"he"` or `"lecun"`: the family whose variance it needs.
        saturates_below: Float. Saturated where the pre-activation is at or below it. Defaults
            to `-inf`: never on that side.
        saturates_above: Float. Saturated where the pre-activation is at or above it. Defaults
            to `inf`: never on that side.
        flat_below: Float. The output's limit on the lower side, `None` where it never
            saturates there. Defaults to `None`.
        flat_above: Float. The same on the upper side. Defaults to `None`.
        output_below: Float. For where only the output is seen: saturated at or below it. `None`
            where it never saturates on that side, or where the function is not monotone, so that
            its output doesn't tell. Defaults to `None`.
        output_above: Float. The same on the upper side. Defaults to `None`.
        self_normalizing: Boolean. Whether layers of it pull their outputs' mean to 0 and
            variance to 1 (with standardized inputs, LeCun normal, dense and sequential).
            Defaults to `False`.
        units_can_die: Boolean. Whether output and slope are exactly 0 over the whole negative
            side, so that no gradient can bring a unit back. Defaults to `False`.

    Reference:
        Géron, *Hands-On Machine Learning*, chapter 11, table 11-1 and "Nonsaturating
        Activation Functions".
    """

    name: str
    initializer: InitializerFamily
    saturates_below: float = -math.inf
    saturates_above: float = math.inf
    flat_below: float | None = None
    flat_above: float | None = None
    output_below: float | None = None
    output_above: float | None = None
    self_normalizing: bool = False
    units_can_die: bool = False


# sigmoid' = (1 - tanh²(z/2)) / 4 and tanh' = 1 - tanh²(z) fall to a share s at tanh² = 1 - s.
_TANH_BOUND = math.atanh(math.sqrt(1 - SATURATION))
# softsign' = 1 / (1 + |z|)²
_SOFTSIGN_BOUND = 1 / math.sqrt(SATURATION) - 1
# softplus' = sigmoid
_SOFTPLUS_BOUND = math.log(SATURATION / (1 - SATURATION))
# On the negative side ELU' and SELU' fall from their largest value as exp(z).
_ELU_BOUND = math.log(SATURATION)
# Klambauer et al. 2017: scale times alpha, chosen for a fixed point at mean 0 and variance 1.
_SELU_FLAT = -1.0507009873554805 * 1.6732632423543772

_FACTS = (
    ActivationFacts(name="linear", initializer="glorot"),
    # Its units compete, so that no pre-activation saturates it by itself.
    ActivationFacts(name="softmax", initializer="glorot"),
    ActivationFacts(
        name="sigmoid",
        initializer="glorot",
        saturates_below=-2 * _TANH_BOUND,
        saturates_above=2 * _TANH_BOUND,
        flat_below=0.0,
        flat_above=1.0,
        output_below=(1 - math.sqrt(1 - SATURATION)) / 2,
        output_above=(1 + math.sqrt(1 - SATURATION)) / 2,
    ),
    ActivationFacts(
        name="tanh",
        initializer="glorot",
        saturates_below=-_TANH_BOUND,
        saturates_above=_TANH_BOUND,
        flat_below=-1.0,
        flat_above=1.0,
        output_below=-math.sqrt(1 - SATURATION),
        output_above=math.sqrt(1 - SATURATION),
    ),
    ActivationFacts(
        name="softsign",
        initializer="glorot",
        saturates_below=-_SOFTSIGN_BOUND,
        saturates_above=_SOFTSIGN_BOUND,
        flat_below=-1.0,
        flat_above=1.0,
        output_below=-(1 - math.sqrt(SATURATION)),
        output_above=1 - math.sqrt(SATURATION),
    ),
    ActivationFacts(
        name="softplus",
        initializer="he",
        saturates_below=_SOFTPLUS_BOUND,
        flat_below=0.0,
        output_below=-math.log(1 - SATURATION),
    ),
    ActivationFacts(
        name="relu",
        initializer="he",
        saturates_below=0.0,
        flat_below=0.0,
        output_below=0.0,
        units_can_die=True,
    ),
    # The leaky ones keep their slope for ever. PReLU learns it: at 0 it would be a ReLU, yet one
    # that the gradient of the slope itself still moves.
    ActivationFacts(name="leaky_relu", initializer="he"),
    ActivationFacts(name="prelu", initializer="he"),
    ActivationFacts(name="rrelu", initializer="he"),
    ActivationFacts(
        name="elu",
        initializer="he",
        saturates_below=_ELU_BOUND,
        flat_below=-1.0,
        output_below=SATURATION - 1,
    ),
    ActivationFacts(
        name="selu",
        initializer="lecun",
        saturates_below=_ELU_BOUND,
        flat_below=_SELU_FLAT,
        output_below=_SELU_FLAT * (1 - SATURATION),
        self_normalizing=True,
    ),
    # No closed form: bisected in float64 against the largest slopes 1.128904145 (GELU, the exact
    # one), 1.099839320 (Swish) and 1.088498161 (Mish). They dip below 0, hence no output bound.
    ActivationFacts(
        name="gelu", initializer="he", saturates_below=-3.0216626340984, flat_below=0.0
    ),
    ActivationFacts(
        name="swish", initializer="he", saturates_below=-6.1429157001956, flat_below=0.0
    ),
    ActivationFacts(
        name="mish", initializer="he", saturates_below=-6.1587413096322, flat_below=0.0
    ),
)

ACTIVATION_FACTS: dict[str, ActivationFacts] = {facts.name: facts for facts in _FACTS}

# Keras 3 calls Swish "silu" in the configuration of every saved model.
ALIASES = {"silu": "swish", "logistic": "sigmoid"}


def facts_of(activation: str | None) -> ActivationFacts:
    """The facts on an activation, by its name or by one of its other names.

    ```python
    facts_of("silu").saturates_below  # -6.1429157001956
    ```

    Args:
        activation: String, or `None` for no activation (`"linear"`).

    Returns:
        The entry of `ACTIVATION_FACTS`.

    Raises:
        ValueError: The name is not known.
    """
    name = "linear" if activation is None else activation
    if isinstance(name, str) and ALIASES.get(name, name) in ACTIVATION_FACTS:
        return ACTIVATION_FACTS[ALIASES.get(name, name)]
    known = [*ACTIVATION_FACTS, *ALIASES]
    raise ValueError(
        f"`activation` must be the name of a known activation function. "
        f"Received: activation={activation!r}.{did_you_mean(activation, known)} "
        f"Known are {', '.join(map(repr, known))}."
    )


def did_you_mean(received: object, known: Iterable[str]) -> str:
    """The sentence that offers the nearest known name, empty where none is near."""
    nearest = difflib.get_close_matches(str(received).lower(), known, n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
