"""Remedies of hidden layers: activation, initializer, normalization, dropout, L2."""

from collections.abc import Callable
from typing import Any

import keras

from ..callbacks.activation_facts import ACTIVATION_FACTS, facts_of
from ..callbacks.diagnosis._graph import is_activation, is_kernel, kind
from ..callbacks.diagnosis.finding import Finding, Remedy
from ._changes import Change, NotChangedError
from ._treatment import Treatment
from .activations import ACTIVATIONS, activation_layer, initializer_for


def activation(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Swaps the activation of hidden layers, and with it their initializer.

    Of a missing activation the layers that are named; of other symptoms all hidden layers that
    have the same as one of those, for gradients and signals come through all of them.
    """
    graph, new = treatment.graph, facts_of(remedy.value).name
    named = treatment.of(finding.layers)
    if finding.symptom == "missing_activation":
        chosen = [at for at in named if graph.layers[at].get("activation") in (None, "linear")]
    else:
        ill = {graph.activation(at) for at in named} - {None, "linear", new}
        chosen = [at for at in treatment.hidden() if graph.activation(at) in ill]
    if not chosen:
        raise NotChangedError(
            f"No hidden layer has an activation that could be swapped for {new}: those of "
            "recurrent layers, of frozen ones and of unknown functions stay."
        )
    before = sorted({str(graph.activation(at) or "linear") for at in chosen})
    for at in chosen:
        _activate(treatment, at, new)
        _initialize(treatment, at, new)
    names = tuple(map(treatment.name, chosen))
    return Change.of(finding, remedy, names, ", ".join(before), new)


def initializer(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Gives hidden layers the initializer of their own activation, and biases of 0."""
    chosen = treatment.of(finding.layers)
    output = treatment.output()
    if output is not None and treatment.name(output) in finding.layers:
        named = [at for at in chosen if treatment.name(at) in finding.layers]
        chosen = [*named, output] if treatment.is_free(output) else named
    chosen = [at for at in chosen if "initializer" in treatment.graph.layers[at]]
    if not chosen:
        raise NotChangedError("No dense or convolutional layer has an initializer to change.")
    before = sorted({str(treatment.graph.layers[at].get("kernel_initializer")) for at in chosen})
    after = set()
    for at in chosen:
        function = treatment.graph.activation(at)
        known = function if function in ACTIVATION_FACTS else None
        after.add(_initialize(treatment, at, known, remedy.value))
    names = tuple(map(treatment.name, chosen))
    return Change.of(finding, remedy, names, ", ".join(before), ", ".join(sorted(after)))


def normalization(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Puts a normalization between the kernel of each hidden layer and its activation."""
    chosen = [at for at in treatment.hidden() if not _is_normalized(treatment, at)]
    if not chosen:
        raise NotChangedError("Every hidden dense or convolutional layer is normalized already.")
    for at in chosen:
        layer, edit = treatment.layer(at), treatment.surgery.edit(treatment.layer(at))
        function = edit.config.get("activation", layer.activation)
        edit.config |= {"activation": None, "use_bias": False}
        name = layer.name
        edit.after.insert(0, _make(keras.layers.BatchNormalization, f"{name}_batch_normalization"))
        if keras.activations.serialize(keras.activations.get(function)) != "linear":
            edit.after.insert(1, _function_layer(function, f"{name}_activation"))
        treatment.disturbed.add(at)
    names = tuple(map(treatment.name, chosen))
    return Change.of(finding, remedy, names, "none", "batch normalization before the activation")


def dropout(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Sets the rate of the dropout layers; without any, puts one behind each hidden layer."""
    graph, rate = treatment.graph, float(remedy.value)
    present = [at for at, layer in enumerate(graph.layers) if kind(layer).endswith("Dropout")]
    named = [at for at in present if treatment.name(at) in finding.layers] or present
    lowers = finding.symptom == "excessive_dropout"
    chosen = [at for at in named if ((graph.layers[at]["rate"] or 0) > rate) == lowers]
    if chosen:
        before = sorted({f"{graph.layers[at]['rate']:g}" for at in chosen})
        for at in chosen:
            treatment.surgery.edit(treatment.layer(at)).config["rate"] = rate
        names = tuple(map(treatment.name, chosen))
        return Change.of(finding, remedy, names, ", ".join(before), f"{rate:g}")
    hidden = [at for at in treatment.hidden() if kind(graph.layers[at]) == "Dense"]
    if present or lowers or not hidden:
        raise NotChangedError(
            f"No dropout layer has a rate that {rate:g} would mend, and no hidden dense layer is "
            "without one: dropout inside recurrent layers is theirs to set."
        )
    for at in hidden:
        layer = treatment.layer(_last_of(treatment, at))
        edit = treatment.surgery.edit(layer)
        alpha = facts_of_name(graph.activation(at)) == "selu"
        kinds = keras.layers.AlphaDropout if alpha else keras.layers.Dropout
        edit.after.append(_make(kinds, f"{layer.name}_dropout", rate=rate))
    return Change.of(finding, remedy, tuple(map(treatment.name, hidden)), "none", f"{rate:g}")


def regularization(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Gives each hidden kernel without a regularizer an L2 penalty."""
    strength = float(remedy.value["l2"])
    chosen = [
        at
        for at in treatment.hidden()
        if getattr(treatment.layer(at), "kernel_regularizer", None) is None
    ]
    if not chosen:
        raise NotChangedError(
            "Every hidden kernel has a regularizer: `recipes.search.L2Stage` finds its strength."
        )
    for at in chosen:
        edit = treatment.surgery.edit(treatment.layer(at))
        edit.config["kernel_regularizer"] = keras.regularizers.L2(strength)
    names = tuple(map(treatment.name, chosen))
    return Change.of(finding, remedy, names, "none", f"L2 of {strength:g}")


def facts_of_name(function: str | None) -> str | None:
    """The name under which the table of activations has a function, None where it hasn't."""
    try:
        return facts_of(function).name
    except ValueError:
        return None


# ---------------------------------------------------------------- how


def _activate(treatment: Treatment, at: int, new: str) -> None:
    """Puts an activation behind a kernel, where it had one or none."""
    layer = treatment.layer(at)
    place = next(
        (after for after in treatment.graph.after(at) if _applies(treatment, after)), None
    )
    inside = treatment.graph.layers[at].get("activation") not in (None, "linear")
    treatment.disturbed.add(at)
    if place is not None and not inside:
        old = treatment.layer(place)
        treatment.surgery.edit(old).instead = _function_layer(new, old.name)
        return
    edit = treatment.surgery.edit(layer)
    if isinstance(ACTIVATIONS[new].layer(), keras.layers.Activation) or new == "relu":
        edit.config["activation"] = new
    else:
        edit.config["activation"] = None
        edit.after.insert(0, _function_layer(new, f"{layer.name}_activation"))


def _applies(treatment: Treatment, at: int) -> bool:
    return is_activation(treatment.graph.layers[at])


def _initialize(treatment: Treatment, at: int, function: str | None, name: str = "") -> str:
    """Sets a layer's initializers anew; the kernel's name."""
    new = (
        keras.initializers.get(name) if function is None and name else initializer_for(function)
    )
    edit = treatment.surgery.edit(treatment.layer(at))
    edit.config |= {"kernel_initializer": new, "bias_initializer": "zeros"}
    treatment.disturbed.add(at)
    return type(new).__name__


def _is_normalized(treatment: Treatment, at: int) -> bool:
    layers = treatment.graph.layers
    if not hasattr(treatment.layer(at), "use_bias"):
        return True
    for after in treatment.graph.after(at):
        if layers[after].get("normalizes"):
            return True
        if is_kernel(layers[after]):
            return False
    return False


def _last_of(treatment: Treatment, at: int) -> int:
    """The layer that ends a hidden one: its activation, where that is apart."""
    last = at
    for after in treatment.graph.after(at):
        if not (_applies(treatment, after) or treatment.graph.layers[after].get("normalizes")):
            break
        last = after
    return last


def _function_layer(function: Any, name: str) -> Callable[[], Any]:
    if isinstance(function, str) and facts_of_name(function) is not None:
        return lambda: activation_layer(function, name=name)
    if isinstance(function, keras.Layer):
        return lambda: type(function).from_config({**function.get_config(), "name": name})
    return _make(keras.layers.Activation, name, activation=function)


def _make(layer: Any, name: str, **options: Any) -> Callable[[], Any]:
    return lambda: layer(name=name, **options)
