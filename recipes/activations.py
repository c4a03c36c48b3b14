"""`ACTIVATIONS`: the Keras layer and the initializer of each activation function."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from ..callbacks.activation_facts import ActivationFacts, did_you_mean, facts_of
from ._arguments import check_choice
from .layers.rrelu import RReLU

# Family -> scale and mode of the variance, `scale / mode` (Géron, table 11-1).
_FAMILIES = {"glorot": (1.0, "fan_avg"), "he": (2.0, "fan_in"), "lecun": (1.0, "fan_in")}

_MODES = ("fan_in", "fan_out", "fan_avg")

# Keras calls its normal distribution, cut at two standard deviations and rescaled, "truncated".
_DISTRIBUTIONS = {"normal": "truncated_normal", "uniform": "uniform"}

_NAMED_INITIALIZERS = {
    (1.0, "fan_avg", "normal"): keras.initializers.GlorotNormal,
    (1.0, "fan_avg", "uniform"): keras.initializers.GlorotUniform,
    (2.0, "fan_in", "normal"): keras.initializers.HeNormal,
    (2.0, "fan_in", "uniform"): keras.initializers.HeUniform,
    (1.0, "fan_in", "normal"): keras.initializers.LecunNormal,
    (1.0, "fan_in", "uniform"): keras.initializers.LecunUniform,
}


@dataclass(frozen=True)
class ActivationRecipe:
    """How an activation function is built in Keras.

    Args:
        facts: What the function does to the signal, its initializer family among it.
        layer: What makes the layer; its keyword arguments are the options of
            `activation_layer`.
    """

    facts: ActivationFacts
    layer: Callable[..., Any]

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that the layer takes."""
        parameters = inspect.signature(self.layer).parameters.values()
        return tuple(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)


def _function(name: str) -> Callable[..., Any]:
    return partial(keras.layers.Activation, name)


_LAYERS: dict[str, Callable[..., Any]] = {
    "linear": _function("linear"),
    "softmax": _function("softmax"),
    "sigmoid": _function("sigmoid"),
    "tanh": _function("tanh"),
    "softsign": _function("softsign"),
    "softplus": _function("softplus"),
    "relu": keras.layers.ReLU,
    # The textbook's leak; Keras' own default is 0.3.
    "leaky_relu": partial(keras.layers.LeakyReLU, negative_slope=0.01),
    # He et al. 2015 start at 0.25; Keras' zeros would start as a ReLU, with its dead units.
    "prelu": partial(keras.layers.PReLU, alpha_initializer=keras.initializers.Constant(0.25)),
    "rrelu": RReLU,
    "elu": keras.layers.ELU,
    "selu": _function("selu"),
    "gelu": _function("gelu"),
    "swish": _function("swish"),
    "mish": _function("mish"),
}

ACTIVATIONS: dict[str, ActivationRecipe] = {
    name: ActivationRecipe(facts_of(name), layer) for name, layer in _LAYERS.items()
}


def activation_layer(
    activation: str | None, name: str | None = None, **options: Any
) -> keras.layers.Layer:
    """A Keras layer that applies an activation function.

    Args:
        activation: String. A name in `ACTIVATIONS`, `"silu"` (Swish) or `"logistic"` (sigmoid);
            `None` is linear.
        name: String. Name of the layer. Defaults to `None`: Keras makes one.
        **options: What the layer takes: `negative_slope` of `"leaky_relu"` (`0.01`; `0.2` is
            often better), `alpha` of `"elu"` (`1`), `lower`, `upper` and `seed` of `"rrelu"`,
            `shared_axes` and `alpha_initializer` (`0.25`) of `"prelu"`; `max_value`,
            `negative_slope` and `threshold` of `"relu"`.

    Returns:
        A new `keras.layers.Layer`.

    Raises:
        ValueError: The activation or an option is not known.

    Reference:
        Géron, chapter 11, "Nonsaturating Activation Functions"; He et al. 2015 (PReLU).

    Example:
        ```python
        activation_layer("leaky_relu", negative_slope=0.2)(np.array([-1.0, 1.0]))  # [-0.2, 1.0]
        ```
    """
    recipe = ACTIVATIONS[facts_of(activation).name]
    for option in options:
        if option not in recipe.options:
            raise ValueError(
                f"{recipe.facts.name!r} takes "
                f"{', '.join(map(repr, recipe.options)) or 'no options'}. "
                f"Received: {option}={options[option]!r}.{did_you_mean(option, recipe.options)}"
            )
    return recipe.layer(name=name, **options)


def initializer_for(
    activation: str | None,
    distribution: str = "normal",
    seed: int | None = None,
    *,
    mode: str | None = None,
) -> keras.initializers.Initializer:
    """The kernel initializer that keeps the signal's variance through an activation.

    ```
    Glorot   variance = 1 / fan_avg   linear, softmax, sigmoid, tanh, softsign
    He       variance = 2 / fan_in    ReLU and its variants, ELU, GELU, Swish, Mish, softplus
    LeCun    variance = 1 / fan_in    SELU
    uniform: limits +-sqrt(3 variance)
    ```

    One instance gives equal kernels to layers of one shape: ask for one per layer, with a seed
    each.

    Args:
        activation: String. A name in `ACTIVATIONS`; `None` is linear.
        distribution: `"normal"` (cut at two standard deviations and rescaled, so that the
            variance holds) or `"uniform"`. Defaults to `"normal"`.
        seed: Integer. Defaults to `None`.
        mode: `"fan_in"`, `"fan_out"` or `"fan_avg"`, to put in place of the table's. Defaults
            to `None`: the table's.

    Returns:
        A `keras.initializers.Initializer`: Keras' class of that name where there is one.

    Raises:
        ValueError: The activation, the distribution or the mode is not known.

    Reference:
        Glorot & Bengio 2010; He et al. 2015; Klambauer et al. 2017; Géron, table 11-1.

    Example:
        ```python
        initializer_for("relu", "uniform", mode="fan_avg")  # VarianceScaling(2, "fan_avg", ...)
        ```
    """
    scale, table_mode = _FAMILIES[facts_of(activation).initializer]
    mode = table_mode if mode is None else mode
    check_choice("distribution", distribution, tuple(_DISTRIBUTIONS))
    check_choice("mode", mode, _MODES)
    named = _NAMED_INITIALIZERS.get((scale, mode, distribution))
    if named is not None:
        return named(seed=seed)
    return keras.initializers.VarianceScaling(scale, mode, _DISTRIBUTIONS[distribution], seed=seed)
