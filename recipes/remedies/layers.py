"""Remedies of hidden layers: initializer, normalization, dropout, L2."""

from typing import Any

import keras

from ...callbacks.activation_facts import ACTIVATION_FACTS
from ...callbacks.diagnosis._graph import is_activation, kind
from ...callbacks.diagnosis.finding import Finding, Remedy
from .changes import Change, NotChangedError
from .hidden_activations import function_layer, initialize, name_of_function
from .treatment import Treatment

_REGULARIZERS = ("kernel_regularizer", "pointwise_regularizer")


def initializer(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Gives hidden layers the initializer of their own activation, and biases of 0."""
    output = treatment.output_kernel()
    if output is not None and treatment.name(output) in finding.layers:
        others = tuple(name for name in finding.layers if name != treatment.name(output))
        chosen = treatment.of(others) if others else []
        chosen += [output] if treatment.is_free(output) else []
    else:
        chosen = treatment.of(finding.layers)
    if not chosen:
        raise NotChangedError(
            "No dense or convolutional layer has an initializer that may be changed: those of "
            "recurrent layers, of frozen and of wrapped ones are set in the model's code."
        )
    before = sorted({_initializer_of(treatment.layer(at)) for at in chosen})
    after = sorted({initialize(treatment, at, remedy.value) for at in chosen})
    return Change.of(finding, remedy, treatment.names(chosen), ", ".join(before), ", ".join(after))


def normalization(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Puts a batch normalization between the kernel of each hidden layer and its activation."""
    chosen = [at for at in treatment.hidden() if not _is_normalized(treatment, at)]
    if not chosen:
        raise NotChangedError(
            "There is no hidden dense or convolutional layer that could be normalized and is not: "
            "put `keras.layers.LayerNormalization` between recurrent layers by hand."
        )
    for at in chosen:
        layer, edit = treatment.layer(at), treatment.surgery.edit(treatment.layer(at))
        function = edit.config.get("activation", layer.activation)
        edit.config |= {"activation": None, "use_bias": False}
        edit.normalization = _batch_normalization(treatment, at)
        if keras.activations.get(function) is not keras.activations.linear:
            name = treatment.name_behind(at, "activation")
            edit.activation = function_layer(function, name, treatment.policy(at))
        treatment.disturbed.add(at)
    names = treatment.names(chosen)
    return Change.of(finding, remedy, names, "none", "batch normalization before the activation")


def dropout(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Sets the rate of the dropout layers; without any, puts one behind each hidden layer."""
    graph, rate = treatment.graph, float(remedy.value)
    lowers = finding.symptom == "excessive_dropout"
    present = [at for at, layer in enumerate(graph.layers) if kind(layer).endswith("Dropout")]
    named = [at for at in present if treatment.name(at) in finding.layers] or present
    chosen = [at for at in named if _would_mend(graph.layers[at], rate, lowers)]
    if chosen:
        before = sorted({f"{graph.layers[at]['rate'] or 0:g}" for at in chosen})
        for at in chosen:
            treatment.surgery.edit(treatment.layer(at)).config["rate"] = rate
        return Change.of(finding, remedy, treatment.names(chosen), ", ".join(before), f"{rate:g}")
    hidden = [at for at in treatment.hidden() if kind(graph.layers[at]) == "Dense"]
    if present or lowers or not hidden or not rate:
        raise NotChangedError(
            f"No dropout layer has a rate that {rate:g} would mend, and no hidden dense layer is "
            "without one: dropout inside recurrent and wrapped layers is theirs to set."
        )
    for at in hidden:
        last, function = _last_of(treatment, at), treatment.function(at)
        facts = ACTIVATION_FACTS.get(name_of_function(function) or "")
        alpha = facts is not None and facts.self_normalizing
        name = treatment.name_behind(last, "dropout")
        kinds = keras.layers.AlphaDropout if alpha else keras.layers.Dropout
        make = _dropout(kinds, rate, name, treatment.policy(at))
        treatment.surgery.edit(treatment.layer(last)).dropout = make
    return Change.of(finding, remedy, treatment.names(hidden), "none", f"{rate:g}")


def regularization(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Gives each hidden kernel without a regularizer an L2 penalty."""
    strength = float(remedy.value["l2"])
    bare = {at: _bare_kernel(treatment.layer(at)) for at in treatment.hidden()}
    chosen = [at for at, argument in bare.items() if argument is not None]
    if not chosen:
        raise NotChangedError(
            "There is no hidden dense or convolutional kernel without a regularizer: "
            "`recipes.search.L2Stage` finds its strength."
        )
    for at in chosen:
        edit = treatment.surgery.edit(treatment.layer(at))
        edit.config[str(bare[at])] = keras.regularizers.L2(strength)
    return Change.of(finding, remedy, treatment.names(chosen), "none", f"L2 of {strength:g}")


# ---------------------------------------------------------------- how


def _initializer_of(layer: Any) -> str:
    for argument in ("kernel_initializer", "pointwise_initializer"):
        if getattr(layer, argument, None) is not None:
            return type(getattr(layer, argument)).__name__
    return "none"


def _batch_normalization(treatment: Treatment, at: int) -> Any:
    layer, name = treatment.layer(at), treatment.name_behind(at, "batch_normalization")
    axis = 1 if getattr(layer, "data_format", None) == "channels_first" else -1
    policy = treatment.policy(at)
    return lambda: keras.layers.BatchNormalization(axis=axis, name=name, dtype=policy)


def _dropout(kinds: Any, rate: float, name: str, policy: Any) -> Any:
    return lambda: kinds(rate, name=name, dtype=policy)


def _is_normalized(treatment: Treatment, at: int) -> bool:
    """Whether its outputs are, or its inputs where it is added to what goes past it."""
    graph, end = treatment.graph, at
    if not hasattr(treatment.layer(at), "use_bias"):
        return True
    for after in treatment.until_kernel(at):
        if graph.layers[after].get("normalizes"):
            return True
        end = after
    if not any(graph.layers[one].get("merges") for one in (end, *graph.children[end])):
        return False
    for before in graph.before(at):
        if graph.layers[before].get("normalizes"):
            return kind(graph.layers[before]) != "Normalization"
        if not is_activation(graph.layers[before]):
            break
    return False


def _last_of(treatment: Treatment, at: int) -> int:
    """The layer that ends a hidden one: its activation, where that is apart."""
    last = at
    for after in treatment.until_kernel(at):
        layer = treatment.graph.layers[after]
        if not (is_activation(layer) or layer.get("normalizes")):
            break
        last = after
    return last


def _would_mend(layer: dict[str, Any], rate: float, lowers: bool) -> bool:
    present = layer["rate"] or 0.0
    return layer.get("wraps") is None and (present > rate if lowers else present < rate)


def _bare_kernel(layer: Any) -> str | None:
    """The argument for a regularizer of a kernel that has none."""
    config = layer.get_config()
    argument = next((one for one in _REGULARIZERS if one in config), None)
    return argument if argument and config[argument] is None else None
