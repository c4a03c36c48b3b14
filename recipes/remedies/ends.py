"""Remedies of a network's end: output activation, loss, and the units between them."""

import keras
import numpy as np

from ...callbacks._best_constant import loss_name
from ...callbacks._layer_description import name_of
from ...callbacks.diagnosis._graph import is_activation
from ...callbacks.diagnosis.finding import Finding, Remedy
from .changes import Change, NotChangedError
from .compile_arguments import the_loss, with_accuracies_of, with_loss
from .hidden_activations import function_layer
from .scaled_targets import ScaledLabels
from .treatment import Treatment

_WITH_LOGITS = {
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
}
_BY_COLUMN = ("binary_crossentropy", "categorical_crossentropy", "mean_squared_error")


def output_activation(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Swaps the activation of the output."""
    at = _output(treatment)
    before = treatment.graph.layers[at].get("activation") or "none"
    set_function(treatment, at, remedy.value)
    loss = the_loss(treatment.compile)
    if remedy.value in ("softmax", "sigmoid") and getattr(loss, "from_logits", False):
        changed = loss.from_config({**loss.get_config(), "from_logits": False})
        treatment.compile = with_loss(treatment.compile, changed)
    return Change.of(finding, remedy, (treatment.name(at),), str(before), str(remedy.value))


def loss(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Swaps the loss, and with it the accuracies that Keras counts in another way for each."""
    at = treatment.output()
    if at is None:
        raise NotChangedError(
            "Of a model with several outputs the loss of each is chosen by hand: pass `compile` "
            "a list of losses, one for each output."
        )
    before = str(name_of(the_loss(treatment.compile)))
    function = treatment.functions.get(at, treatment.graph.activation(at))
    makes = _WITH_LOGITS.get(remedy.value)
    new = makes(from_logits=True) if makes and function == "linear" else remedy.value
    treatment.compile = with_loss(with_accuracies_of(new, treatment.compile), new)
    return Change.of(finding, remedy, (), before, str(remedy.value))


def output_units(treatment: Treatment) -> Change | None:
    """As many output units as the targets need, where they have another number; None if not."""
    at = treatment.output_kernel()
    units = None if at is None else getattr(treatment.layer(at), "units", None)
    if at is None or units is None or not treatment.is_free(at):
        return None
    needed = _units_needed(treatment, units)
    if needed in (None, units):
        return None
    treatment.surgery.edit(treatment.layer(at)).config["units"] = needed
    treatment.disturbed.add(at)
    return Change(
        kind="output_units",
        layers=(treatment.name(at),),
        before=str(units),
        after=str(needed),
        symptom="improper_loss",
        reason="The loss compares one unit with each column of the targets, or with each class.",
        source="Goodfellow, Bengio and Courville 2016, section 6.2.2",
    )


def set_function(treatment: Treatment, at: int, function: str) -> None:
    """Gives an output layer, or the layer that applies its activation, another function.

    Raises:
        NotChangedError: The layer can't be told.
    """
    layer, edit = treatment.layer(at), treatment.surgery.edit(treatment.layer(at))
    if not treatment.is_free(at) or len(treatment.graph.children[at]) > 1:
        raise NotChangedError(
            f"{treatment.name(at)} is frozen, within a wrapper or used elsewhere too, so that its "
            f"activation stays: end the model with {function!r} by hand."
        )
    if isinstance(layer, keras.Layer) and hasattr(layer, "activation"):
        edit.config["activation"] = function
    elif is_activation(treatment.graph.layers[at]):
        policy = treatment.policy(at)
        edit.instead = function_layer(function, layer.name, policy)
    else:
        raise NotChangedError(
            f"{treatment.name(at)} has no activation of its own: end the model with {function!r}."
        )
    treatment.functions[at] = function


# ---------------------------------------------------------------- how


def _output(treatment: Treatment) -> int:
    at = treatment.output()
    if at is None:
        raise NotChangedError(
            "The model has several outputs: change the activation of each in its code, to what "
            "its loss expects."
        )
    return at


def _units_needed(treatment: Treatment, units: int) -> int | None:
    function = the_loss(treatment.compile)
    name, factor = loss_name(name_of(function)), 1.0
    if isinstance(function, ScaledLabels):
        name, factor = "sparse_categorical_crossentropy", function.factor
    targets = None if treatment.y is None else keras.tree.flatten(treatment.y)
    if targets is None or len(targets) != 1:
        return None
    values, shape = np.asarray(targets[0]), getattr(treatment.model, "output_shape", None)
    if values.dtype.kind not in "biuf" or not values.size or not np.isfinite(values).all():
        return None
    if name == "sparse_categorical_crossentropy":
        return max(round(float(values.max()) * factor) + 1, units)
    rank = len(shape) if isinstance(shape, tuple) else max(values.ndim, 2)
    if name not in _BY_COLUMN or values.ndim not in (rank, rank - 1):
        return None
    if values.ndim == rank:
        return int(values.shape[-1])
    return None if name == "categorical_crossentropy" else 1
