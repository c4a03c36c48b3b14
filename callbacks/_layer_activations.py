"""Which layers of a model apply an activation, which one, and where its output is flat."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras

from .activation_facts import ACTIVATION_FACTS, SATURATION, ActivationFacts, facts_of

_BY_CLASS = {"LeakyReLU": "leaky_relu", "PReLU": "prelu", "RReLU": "rrelu", "Softmax": "softmax"}


@dataclasses.dataclass(frozen=True)
class Applied:
    """The activation that a layer applies.

    Attributes:
        name: Its name, `"linear"` where the layer has none.
        facts: What is known of it, None of an unknown one.
        alone: Whether the layer does nothing else, so that its input is the pre-activation.
        seen: Whether the layer's output is the activation's, which it isn't of LSTM and GRU.
    """

    name: str
    facts: ActivationFacts | None
    alone: bool = False
    seen: bool = True

    @property
    def units_can_die(self) -> bool:
        """Whether a unit whose output is 0 for all samples can't be brought back."""
        return self.seen and self.facts is not None and self.facts.units_can_die

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Saturated at or below the first, at or above the second; None: never on that side.

        They hold for the layer's input where it does nothing else, for its output otherwise.
        """
        if self.facts is None or not self.seen:
            return None, None
        if not self.alone:
            return self.facts.output_below, self.facts.output_above
        below, above = self.facts.saturates_below, self.facts.saturates_above
        return (below if math.isfinite(below) else None, above if math.isfinite(above) else None)


def applied_by(layer: Any) -> Applied:
    """The activation that a Keras layer applies to its output."""
    facts = _facts_of_layer(layer)
    if facts is not None:
        return Applied(facts.name, facts, alone=True)
    activation = getattr(layer, "activation", None)
    if isinstance(activation, keras.Layer):
        return dataclasses.replace(applied_by(activation), alone=False)
    name = str(getattr(activation, "__name__", None) or type(activation).__name__)
    name = "linear" if activation is None else name
    # Of the recurrent layers only the simple one returns what its activation returns.
    hides = isinstance(layer, keras.layers.RNN) and not isinstance(layer, keras.layers.SimpleRNN)
    alone = isinstance(layer, keras.layers.Activation)
    return Applied(name, _facts_of_name(name), alone, not hides)


def layers_within(layer: Any, opened: set[int] | None = None) -> Iterator[Any]:
    """The layers of a model or of a layer in its order, each once; composite ones are opened."""
    opened = set() if opened is None else opened
    activation = None if isinstance(layer, keras.Model) else getattr(layer, "activation", None)
    for inner in _children(layer):
        if id(inner) in opened or inner is activation:
            continue
        opened.add(id(inner))
        if not isinstance(inner, keras.Model):
            yield inner
        if not isinstance(inner, keras.layers.RNN):  # cells run in their layer's loop
            yield from layers_within(inner, opened)


def is_watched_unasked(layer: Any) -> bool:
    """Whether a hidden layer of this kind has something to tell: a known activation."""
    if isinstance(layer, keras.layers.Softmax):  # attention's weights
        return False
    applied = applied_by(layer)
    return applied.facts is not None and applied.name != "linear"


def path_of(layer: Any, model_name: str) -> str:
    """The layer's path within the model, as the paths of its variables begin."""
    return str(getattr(layer, "path", None) or layer.name).removeprefix(f"{model_name}/")


def _children(layer: Any) -> list[Any]:
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    within = keras.tree.flatten([v for v in vars(layer).values() if _may_hold_layers(v)])
    return [one for one in within if isinstance(one, keras.Layer)]


def _may_hold_layers(value: Any) -> bool:
    return isinstance(value, (keras.Layer, list, tuple, dict))


def _facts_of_name(name: str) -> ActivationFacts | None:
    if name == "relu6":
        return _capped_relu(6.0)
    try:
        return facts_of(name)
    except ValueError:
        return None


def _facts_of_layer(layer: Any) -> ActivationFacts | None:
    """The facts on an activation layer with its own parameters; None of any other layer."""
    if isinstance(layer, keras.layers.ReLU):
        if layer.negative_slope:
            return ACTIVATION_FACTS["leaky_relu"]
        return None if layer.threshold < 0 else _capped_relu(layer.max_value, layer.threshold)
    if isinstance(layer, keras.layers.ELU):
        return _elu(float(layer.alpha)) if layer.alpha > 0 else None
    names = (_BY_CLASS.get(kind.__name__) for kind in type(layer).__mro__)
    return next((ACTIVATION_FACTS[name] for name in names if name), None)


def _capped_relu(highest: float | None, threshold: float = 0.0) -> ActivationFacts:
    relu = dataclasses.replace(ACTIVATION_FACTS["relu"], saturates_below=float(threshold))
    if highest is None:
        return relu
    highest = float(highest)
    return dataclasses.replace(
        relu, saturates_above=highest, flat_above=highest, output_above=highest
    )


def _elu(alpha: float) -> ActivationFacts:
    # Its slope is alpha exp(z) below 0 and 1 above.
    bound = min(math.log(SATURATION * max(1.0, alpha) / alpha), 0.0)
    return dataclasses.replace(
        ACTIVATION_FACTS["elu"],
        saturates_below=bound,
        flat_below=-alpha,
        output_below=alpha * math.expm1(bound),
    )
