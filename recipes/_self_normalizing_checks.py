"""The conditions of self-normalization, one check each, and the sentences on broken ones."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

from ._hidden_layers import NORMALIZATIONS, HiddenLayers, activation_name
from ._kernel_scale import constraint_fault, draws, initializer_fault, name_of, without_seed
from ._standardized import leaves_the_domain, unstandardized
from .signal import features_of, hidden_outputs

_DROPOUTS = (keras.layers.Dropout, keras.layers.GaussianDropout)
_HARMLESS = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Flatten,
    keras.layers.Identity,
    keras.layers.InputLayer,
    keras.layers.Permute,
    keras.layers.RepeatVector,
    keras.layers.Reshape,
)
_HARMLESS_OPERATIONS = ("Cast", "Identity", "Reshape", "Transpose")

Found = Iterator[tuple[str, str]]


def broken_by_construction(hidden: HiddenLayers) -> list[str]:
    """A sentence for each condition that does not hold, whatever the inputs are."""
    return [
        f"{condition}: {_listed(found)}; {cure}."
        for condition, find, cure in _CONDITIONS
        if (found := list(find(hidden)))
    ]


def broken_by_inputs(hidden: HiddenLayers, seen: Any) -> list[str]:
    """A sentence for each first layer whose inputs are not standardized."""
    sentences = []
    for node in hidden.first:
        given = next((given for given, _ in seen.calls.get(id(node.layer), ())), None)
        # An embedding's whole numbers are not floating, and none of the tensors that were seen.
        fault = None if given is None else unstandardized(features_of(given))
        if fault:
            sentences.append(
                f"Inputs that are not standardized: before `{node.path}` {fault}; bring each "
                "feature to mean 0 and deviation 1, inside the model with adapt_to=x_train."
            )
    return sentences


def broken_by_signal(hidden: HiddenLayers, seen: Any) -> list[str]:
    """A sentence on the hidden layers whose outputs leave the theorem's domain."""
    outputs = hidden_outputs(hidden, seen)
    left = [
        f"`{path}` (mean {values.mean():.3g}, deviation {values.std():.3g})"
        for path, values in outputs
        if leaves_the_domain(values)
    ]
    if not left:
        return []
    return [
        f"The signal leaves mean 0 and deviation 1 in {len(left)} of {len(outputs)} hidden layers: "
        + " to ".join(dict.fromkeys((left[0], left[-1])))
        + "; mend what is named before this, or else look at the values of the weights."
    ]


def _other_layers(hidden: HiddenLayers) -> Found:
    for node in hidden.nodes:
        if not isinstance(node.layer, keras.layers.Dense):
            yield node.path, type(node.layer).__name__
    expected = {hidden.activation(i)[1] for i in hidden.places}
    for i, node in hidden.between:
        judged_elsewhere = isinstance(node.layer, (*_DROPOUTS, *NORMALIZATIONS))
        if len(node.parents) < 2 and not (
            i in expected or judged_elsewhere or _is_harmless(node.layer)
        ):
            yield node.path, type(node.layer).__name__


def _joins(hidden: HiddenLayers) -> Found:
    for _, node in hidden.between:
        if len(node.parents) > 1:
            names = " and ".join(f"`{hidden.graph.nodes[p].path}`" for p in node.parents)
            yield node.path, f"takes {names}"


def _activations(hidden: HiddenLayers) -> Found:
    for i, node in zip(hidden.places, hidden.nodes, strict=True):
        name = hidden.activation(i)[0]
        if name != "selu" and isinstance(node.layer, keras.layers.Dense):
            yield node.path, name


def _initializers(hidden: HiddenLayers) -> Found:
    known: dict[Any, str | None] = {}
    for node in hidden.dense:
        initializer, shape = node.layer.kernel_initializer, tuple(node.layer.kernel.shape)
        key = type(initializer), repr(without_seed(initializer)), shape
        if key not in known:
            known[key] = initializer_fault(initializer, shape)
        if fault := known[key]:
            yield node.path, fault


def _biases(hidden: HiddenLayers) -> Found:
    for node in hidden.dense:
        if node.layer.use_bias:
            values = draws(node.layer.bias_initializer, tuple(node.layer.bias.shape))
            if values.any():
                name = name_of(node.layer.bias_initializer)
                yield node.path, f"{name}, mean {values.mean():.3g}, deviation {values.std():.3g}"


def _constraints(hidden: HiddenLayers) -> Found:
    for node in hidden.dense:
        fault = constraint_fault(node.layer.kernel_constraint, tuple(node.layer.kernel.shape))
        if fault:
            yield node.path, fault


def _dropouts(hidden: HiddenLayers) -> Found:
    for node, before in zip(hidden.graph.nodes, hidden.before_weights, strict=True):
        if before and isinstance(node.layer, _DROPOUTS) and node.layer.rate:
            yield node.path, f"{type(node.layer).__name__} of {node.layer.rate:g}"


def _normalizations(hidden: HiddenLayers) -> Found:
    for _, node in hidden.between:
        if isinstance(node.layer, NORMALIZATIONS):
            yield node.path, type(node.layer).__name__


def _unseen(hidden: HiddenLayers) -> Found:
    yield from hidden.graph.unseen


_CONDITIONS: tuple[tuple[str, Callable[[HiddenLayers], Iterable[tuple[str, str]]], str], ...] = (
    (
        "Connections that can't be seen, so that skip connections go unnoticed and the layers "
        "are taken in the order in which the model has them",
        _unseen,
        "build the model with keras.Sequential, or from its inputs and outputs",
    ),
    (
        "Layers that are not dense",
        _other_layers,
        "self-normalization is proved for dense layers with SELU alone: elsewhere take another "
        "activation with its own initializer, such as ELU with He",
    ),
    (
        "Connections that are not sequential",
        _joins,
        "remove the skip connection, or take another activation, such as ELU with He",
    ),
    ("Another activation than SELU", _activations, "use activation='selu'"),
    (
        "Kernels that don't start with mean 0 and variance 1 / fan_in",
        _initializers,
        "use kernel_initializer='lecun_normal'",
    ),
    ("Biases that don't start at 0", _biases, "use bias_initializer='zeros'"),
    (
        "Constraints that change LeCun normal kernels at the first step",
        _constraints,
        "allow norms well above 1, such as 2, or drop the constraint",
    ),
    (
        "Dropout that doesn't keep mean and variance",
        _dropouts,
        "use keras.layers.AlphaDropout of the same rate",
    ),
    (
        "Normalization between the layers, which replaces the fixed point of SELU by its own",
        _normalizations,
        "remove it, or take another activation with it, such as ReLU with He",
    ),
)


def _listed(found: list[tuple[str, str]], most: int = 4) -> str:
    parts = ", ".join(f"`{path}` ({value})" for path, value in found[:most])
    return parts + (f" and {len(found) - most} more" if len(found) > most else "")


def _is_harmless(layer: Any) -> bool:
    if not isinstance(layer, keras.Layer):
        return type(layer).__name__ in _HARMLESS_OPERATIONS
    return isinstance(layer, _HARMLESS) or activation_name(layer) == "linear"
