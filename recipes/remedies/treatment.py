"""`Treatment`: a model under change, and what the remedies need to know of it."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from ...callbacks._connections import places_of
from ...callbacks._network import describe_network
from ...callbacks.diagnosis._graph import Graph, is_activation, is_kernel, is_shape, path
from .changes import NotChangedError, listed
from .compile_arguments import known_arguments
from .surgery import Surgery

DAMAGE = frozenset(
    {
        "dying_relu",
        "exploding_gradient",
        "learning_rate_too_high",
        "non_finite",
        "saturated_activation",
    }
)
"""Symptoms that leave weights from which training does not come back."""

_PUT_BEHIND = ("_activation", "_batch_normalization", "_dropout")


class Treatment:
    """What is going to be changed of a model.

    Attributes:
        model: The model as it is; it stays so.
        x: Training inputs, None where they were not given.
        y: Training targets likewise.
        batch_size: Examples of a batch.
        graph: Its layers' descriptions with their connections.
        surgery: The edits of its layers.
        compile: Arguments of the new model's `compile`, without the optimizer.
        left_out: Sentences on arguments of `compile` that can't be made again.
        optimizer: The new optimizer, to be changed.
        rate_is_asked: Whether a range test is to find the rate.
        disturbed: Indexes of the layers whose function is another than before.
        functions: New activations of hidden layers, by index.
    """

    def __init__(self, model: Any, x: Any = None, y: Any = None, batch_size: int = 32) -> None:
        self.model, self.x, self.y, self.batch_size = model, x, y, batch_size
        self.surgery = Surgery(model)
        self.graph = Graph(describe_network(model))
        self.compile, self.left_out = known_arguments(model)
        self.optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        self.rate_is_asked = False
        self.disturbed: set[int] = set()
        self.functions: dict[int, str] = {}
        self._layers = [place.layer for place in places_of(model)]
        self._names = {layer.name for layer in (*self._layers, *_nested(model))}
        self._given: dict[tuple[int, str], str] = {}

    def layer(self, at: int) -> Any:
        """The layer of an index."""
        return self._layers[at]

    def policy(self, at: int) -> str | None:
        """The name of its dtype policy: of an object Keras' plain activations write no config."""
        return getattr(getattr(self._layers[at], "dtype_policy", None), "name", None)

    def name(self, at: int) -> str:
        """Its path in the model."""
        return path(self.graph.layers[at])

    def names(self, chosen: list[int]) -> tuple[str, ...]:
        """Their paths."""
        return tuple(map(self.name, chosen))

    def name_behind(self, at: int, role: str) -> str:
        """A name for what is put behind a layer, that no layer has."""
        layer = self.layer(at)
        key = id(layer), role
        if key not in self._given:
            self._given[key] = self.free_name(f"{layer.name}_{role}")
        return self._given[key]

    def free_name(self, base: str) -> str:
        """The name, or with a number where a layer has it."""
        name, number = base, 0
        while name in self._names:
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return name

    def function(self, at: int) -> str | None:
        """The activation that a hidden layer is going to have."""
        return self.functions.get(at, self.graph.activation(at))

    def until_kernel(self, at: int) -> Iterator[int]:
        """The layers behind one, up to the next dense or convolutional layer."""
        for after in self.graph.after(at):
            if is_kernel(self.graph.layers[after]):
                return
            yield after

    # ------------------------------------------------------------------ which layers

    def hidden(self) -> list[int]:
        """Hidden layers with a kernel that may be changed."""
        end = self.output_kernel()
        return [at for at in self.graph.hidden() if at != end and self.is_free(at)]

    def is_free(self, at: int) -> bool:
        """Whether its configuration can be told anew: a Keras layer that learns, unwrapped."""
        layer = self.graph.layers[at]
        return layer.get("trainable") is not False and layer.get("wraps") is None

    def of(self, names: tuple[str, ...]) -> list[int]:
        """The hidden layers among those that a finding names; all where it names no hidden one.

        Raises:
            NotChangedError: Those that it names are not this model's, or may not be changed.
        """
        hidden = self.hidden()
        for is_named in (_is_path, _is_last_of_path):
            named = [at for at in hidden if any(is_named(n, names) for n in self._answers(at))]
            if named:
                return named
        known = [at for at in range(len(self._layers)) if _is_last_of_path(self.name(at), names)]
        stuck = self.names([at for at in known if is_kernel(self.graph.layers[at])])
        if names and not known:
            raise NotChangedError(
                f"The model has no layers {listed(names)}: diagnose it itself, with `preflight`."
            )
        if stuck and set(known) <= set(self.graph.hidden()):
            raise NotChangedError(
                f"{listed(stuck)} cannot be changed, frozen or within a wrapper as they are: "
                "unfreeze them, or change their code by hand."
            )
        return hidden

    def _answers(self, at: int) -> Iterator[str]:
        """The paths of a layer and of the activation or normalization behind it."""
        yield self.name(at)
        for role in _PUT_BEHIND:  # of a prescription before this one
            yield self.name(at) + role
        for after in self.graph.after(at):
            layer = self.graph.layers[after]
            if not (is_activation(layer) or layer.get("normalizes")) or is_kernel(layer):
                break
            yield self.name(after)

    def output(self) -> int | None:
        """The layer that makes the only output's values, None where there are several."""
        outputs = self.graph.outputs()
        if len(outputs) != 1 or len(getattr(self.model, "outputs", None) or [0]) != 1:
            return None
        return self.graph.made_by(outputs[0])

    def output_kernel(self) -> int | None:
        """The dense or convolutional layer behind the only output, None where there is none."""
        at = self.output()
        for one in () if at is None else (at, *self.graph.before(at)):
            layer = self.graph.layers[one]
            if is_kernel(layer):
                return one
            if not (is_shape(layer) or is_activation(layer) or layer["class"] == "Rescaling"):
                break
        return None

    # ------------------------------------------------------------------ which weights

    def lasting(self, symptoms: set[str]) -> list[Any]:
        """The layers whose weights still make sense: nothing before them was changed.

        Frozen and adapted ones keep what they have in any case: no training would bring it back.
        """
        fixed = [layer for layer in self._layers if _is_fixed(layer)]
        broken = not all(map(_is_finite, self._layers))
        if symptoms & DAMAGE or broken or (self.disturbed and not self.graph.known):
            return fixed
        stale = self._stale()
        return [*fixed, *(layer for at, layer in enumerate(self._layers) if at not in stale)]

    def _stale(self) -> set[int]:
        stale, reached = set(self.disturbed), list(self.disturbed)
        while reached:
            for child in self.graph.children[reached.pop()]:
                if child not in stale:
                    stale.add(child)
                    reached.append(child)
        return stale


def performed(treatment: Treatment, symptoms: set[str]) -> Any:
    """The new model, compiled, with the weights that last after these symptoms."""
    model = treatment.model
    new = treatment.surgery.perform()
    shape = getattr(model, "input_shape", None)
    if shape is None and (treatment.rate_is_asked or treatment.surgery.at_inputs):
        # Keras' normalization can't be built within `fit`, nor can a range test build.
        shape = (None, *np.shape(treatment.x)[1:])
    if shape is not None and not new.built:
        new.build(shape)
    treatment.surgery.carry_over(treatment.lasting(symptoms))
    new.compile(optimizer=treatment.optimizer, **treatment.compile)
    return new


def _is_path(name: str, names: tuple[str, ...]) -> bool:
    return name in names


def _is_last_of_path(name: str, names: tuple[str, ...]) -> bool:
    """Whether one is named so within another model, or is part of what is named so."""
    last = name.rpartition("/")[2]
    return any(last in one.split("/") for one in names)


def _nested(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield layer
            yield from _nested(layer)


def _is_fixed(layer: Any) -> bool:
    frozen = getattr(layer, "trainable", True) is False
    return (frozen or hasattr(layer, "adapt")) and _is_finite(layer)


def _is_finite(layer: Any) -> bool:
    values = [np.asarray(one) for one in getattr(layer, "weights", None) or []]
    return all(np.isfinite(one).all() for one in values if one.dtype.kind not in "biuSUO")
