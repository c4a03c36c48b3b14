"""The remedy "activation": other functions in hidden layers, with initializer and dropout."""

from collections.abc import Callable
from typing import Any

import keras

from ...callbacks.activation_facts import ACTIVATION_FACTS, facts_of
from ...callbacks.diagnosis._graph import is_activation, is_shape, kind
from ...callbacks.diagnosis.finding import Finding, Remedy
from ..activations import ACTIVATIONS, activation_layer, initializer_for
from .changes import Change, NotChangedError
from .treatment import Treatment

_KERNELS = ("kernel_initializer", "pointwise_initializer")


def activation(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Swaps the activation of hidden layers, and with it their initializer.

    Of a missing activation the layers that are named; of other symptoms all hidden layers that
    have the same as one of those, for gradients and signals come through all of them. Dropout
    follows: self-normalizing layers need alpha dropout, and only they (Klambauer et al. 2017).
    """
    new = _known(remedy.value)
    named = treatment.of(finding.layers)
    if finding.symptom == "missing_activation":
        chosen = [at for at in named if treatment.graph.layers[at]["activation"] in _NONE]
    else:
        ill = {treatment.graph.activation(at) for at in named} - {*_NONE, new}
        chosen = [at for at in treatment.hidden() if treatment.graph.activation(at) in ill]
    if not chosen:
        raise NotChangedError(
            f"No hidden layer has an activation that could be swapped for {new}: those of "
            "recurrent layers, of frozen ones and of unknown functions stay. Swap them in the "
            "model's code."
        )
    before = sorted({str(treatment.graph.activation(at) or "linear") for at in chosen})
    for at in chosen:
        _activate(treatment, at, new)
        initialize(treatment, at)
        _suit_dropout(treatment, at, new)
    return Change.of(finding, remedy, treatment.names(chosen), ", ".join(before), new)


def initialize(treatment: Treatment, at: int, otherwise: str = "") -> str:
    """Sets a layer's initializers anew, as its activation needs; the kernel's name.

    Args:
        treatment: Of the model.
        at: Index of a layer with a kernel.
        otherwise: Initializer for activations that the table does not know.
    """
    function = name_of_function(treatment.function(at))
    layer, edit = treatment.layer(at), treatment.surgery.edit(treatment.layer(at))
    unknown = otherwise if function is None and otherwise else None
    new = keras.initializers.get(unknown) if unknown else initializer_for(function)
    config = layer.get_config()
    # Of a separable convolution the depthwise part has no activation, and stays.
    edit.config |= {name: new for name in _KERNELS if name in config}
    if "bias_initializer" in config:
        edit.config["bias_initializer"] = "zeros"
    treatment.disturbed.add(at)
    return type(new).__name__


def function_layer(function: Any, name: str, policy: Any, **options: Any) -> Callable[[], Any]:
    """Makes a layer that applies a function, a name of one, or a layer given as activation."""
    if isinstance(function, keras.Layer):
        return lambda: type(function).from_config({**function.get_config(), "name": name})
    if isinstance(function, str) and name_of_function(function) is not None:
        return lambda: _with_policy(activation_layer(function, name=name, **options), policy)
    return lambda: keras.layers.Activation(function, name=name, dtype=policy)


def name_of_function(function: str | None) -> str | None:
    """The name under which the table of activations has a function, None where it hasn't."""
    try:
        return facts_of(function).name
    except ValueError:
        return None


# ---------------------------------------------------------------- how

_NONE = (None, "linear")


def _known(name: str) -> str:
    known = name_of_function(name)
    if known is None:
        try:
            keras.activations.get(name)
        except (TypeError, ValueError):
            raise NotChangedError(
                f"Keras has no activation {name!r}: put in its function by hand."
            ) from None
    return known or name


def _activate(treatment: Treatment, at: int, new: str) -> None:
    """Puts an activation behind a kernel, where it had one or none."""
    policy = treatment.policy(at)
    treatment.functions[at] = new
    treatment.disturbed.add(at)
    inside = treatment.graph.layers[at]["activation"] not in _NONE
    place = None if inside else _place(treatment, at)
    if place is not None:
        old = treatment.layer(place)
        make = function_layer(new, old.name, policy, **_options(treatment, at, new))
        treatment.surgery.edit(old).instead = make
        return
    holder = at if inside else _last_normalization(treatment, at)
    edit = treatment.surgery.edit(treatment.layer(holder))
    edit.activation = None
    if holder == at and (new == "relu" or _is_function(new)):
        edit.config["activation"] = new
        return
    if holder == at:
        edit.config["activation"] = None
    name, options = treatment.name_behind(holder, "activation"), _options(treatment, at, new)
    edit.activation = function_layer(new, name, policy, **options)


def _options(treatment: Treatment, at: int, new: str) -> dict[str, Any]:
    """Of PReLU over maps or sequences one slope a channel (He et al. 2015)."""
    rank = len(treatment.graph.layers[at].get("output_shape") or [])
    if new != "prelu" or rank < 3:
        return {}
    first = getattr(treatment.layer(at), "data_format", None) == "channels_first"
    return {"shared_axes": list(range(2, rank) if first else range(1, rank - 1))}


def _place(treatment: Treatment, at: int) -> int | None:
    """The layer that applies the activation of a kernel, None where there is none of its own."""
    for after in treatment.until_kernel(at):
        layer = treatment.graph.layers[after]
        if is_activation(layer):
            return after
        if not (is_shape(layer) or layer.get("normalizes")):
            break
    return None


def _last_normalization(treatment: Treatment, at: int) -> int:
    last = at
    for after in treatment.until_kernel(at):
        if not treatment.graph.layers[after].get("normalizes"):
            break
        last = after
    return last


def _suit_dropout(treatment: Treatment, at: int, new: str) -> None:
    normalizes_itself = new in ACTIVATION_FACTS and ACTIVATION_FACTS[new].self_normalizing
    wrong, right = "AlphaDropout", keras.layers.Dropout
    if normalizes_itself:
        wrong, right = "Dropout", keras.layers.AlphaDropout
    for after in treatment.until_kernel(at):
        if kind(treatment.graph.layers[after]) == wrong and treatment.is_free(after):
            treatment.surgery.edit(treatment.layer(after)).kind = right


def _is_function(name: str) -> bool:
    """Whether a kernel's layer can have it as its argument, without options of its own."""
    recipe = ACTIVATIONS.get(name)
    return recipe is None or isinstance(recipe.layer(), keras.layers.Activation)


def _with_policy(layer: Any, policy: Any) -> Any:
    return type(layer).from_config({**layer.get_config(), "dtype": policy})
