"""`Wiring`: the choices that run through a whole network, and the layers that follow from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from ..callbacks.activation_facts import ACTIVATION_FACTS, ALIASES, ActivationFacts, facts_of
from ._arguments import (
    check_choice,
    check_initializer,
    check_seed,
    constraint_of,
    fresh_initializer,
    layer_seed,
    regularizer_of,
)
from .activations import ACTIVATIONS, activation_layer, initializer_for

NORMALIZATIONS = (None, "batch", "batch_after", "layer")


@dataclass
class Wiring:
    """Makes the layers of a builder: each with the initializer that fits, and seeds of its own.

    Args:
        activation: String or None. Of the hidden layers.
        kernel_initializer: Keras initializer, its name, or None for what the activation needs.
        bias_initializer: Keras initializer or its name.
        kernel_regularizer: Keras regularizer, its name, or None.
        kernel_constraint: Float, Keras constraint, its name, or None; a number is the largest
            norm of each unit's incoming weights.
        normalization: One of `NORMALIZATIONS`.
        activation_options: Passed to `activation_layer`.
        seed: Integer or None. Of all weights, masks and random slopes, one derived for each name.

    Raises:
        ValueError: An argument is not as described.
    """

    activation: str | None = "relu"
    kernel_initializer: Any = None
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    kernel_constraint: Any = None
    normalization: str | None = None
    activation_options: Mapping[str, Any] | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        self.facts: ActivationFacts = facts_of(self.activation)
        check_choice("normalization", self.normalization, NORMALIZATIONS)
        check_initializer("kernel_initializer", self.kernel_initializer)
        check_initializer("bias_initializer", self.bias_initializer)
        if not isinstance(self.activation_options, Mapping | None):
            raise ValueError(
                "`activation_options` must map names to values, such as {'negative_slope': 0.2}. "
                f"Received: activation_options={self.activation_options!r}."
            )
        check_seed(self.seed)
        constraint_of(self.kernel_constraint)
        self.kernel_regularizer = regularizer_of(self.kernel_regularizer)

    @property
    def use_bias(self) -> bool:
        """Whether a layer in front of an activation has a bias: normalization's replaces it."""
        return self.normalization not in ("batch", "layer")

    def weights(self, name: str, feeds: Any = "activation", kernel_rank: int = 2) -> dict[str, Any]:
        """Keyword arguments of a Keras layer with a kernel and a bias.

        Args:
            name: Of the layer; seeds are derived from it.
            feeds: Keras activation, or its name, that the layer's output goes through. Defaults
                to that of the hidden layers.
            kernel_rank: Axes of the kernel, the units' last: 2 of a dense layer, 4 of a
                convolution over images.
        """
        kernel = self.kernel_initializer
        if kernel is None:
            kernel = initializer_for(self.facts.name if feeds == "activation" else _known(feeds))
        return {
            "name": name,
            "kernel_initializer": fresh_initializer(kernel, self.seed, f"{name}/kernel"),
            "bias_initializer": fresh_initializer(self.bias_initializer, self.seed, f"{name}/bias"),
            "kernel_regularizer": self.kernel_regularizer,
            "kernel_constraint": constraint_of(self.kernel_constraint, kernel_rank),
        }

    def normalize(self, name: str) -> keras.layers.Layer:
        """The normalization of the layer called `name`."""
        if self.normalization == "layer":
            return keras.layers.LayerNormalization(name=f"{name}_layer_normalization")
        return keras.layers.BatchNormalization(name=f"{name}_batch_normalization")

    def activate(self, name: str) -> keras.layers.Layer:
        """The activation of the layer called `name`."""
        options = dict(self.activation_options or {})
        if "seed" in ACTIVATIONS[self.facts.name].options:
            own = options.get("seed")
            seed = self.seed if own is None else own
            options["seed"] = layer_seed(seed, f"{name}/activation")
        return activation_layer(self.facts.name, name=f"{name}_activation", **options)

    def drop(self, name: str, rate: float) -> keras.layers.Layer:
        """The dropout of the layer called `name`; alpha dropout where activations need it."""
        alpha = self.facts.self_normalizing
        kind = keras.layers.AlphaDropout if alpha else keras.layers.Dropout
        return kind(rate, seed=layer_seed(self.seed, f"{name}/dropout"), name=f"{name}_dropout")

    def finish(self, name: str, rate: float = 0.0) -> list[keras.layers.Layer]:
        """What follows the kernel of the hidden layer called `name`, in order."""
        layers = [self.activate(name)]
        if self.normalization is not None:
            layers.insert(self.normalization == "batch_after", self.normalize(name))
        return [*layers, self.drop(name, rate)] if rate else layers


def _known(function: Any) -> str:
    """The name by which the initializer table knows a function; linear where it doesn't."""
    name = getattr(function, "__name__", function if isinstance(function, str) else "linear")
    name = ALIASES.get(name, name)
    return name if name in ACTIVATION_FACTS else "linear"
