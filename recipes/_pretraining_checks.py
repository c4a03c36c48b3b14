"""What `greedy_pretrain` asks of its arguments, checked before a weight changes."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ..callbacks.activation_facts import did_you_mean
from ._arguments import check_choice, positive_integer
from ._autoencoder import CORRUPTIONS, in_unit_interval
from ._restricted_boltzmann import root_mean_square

METHODS = ("autoencoder", "rbm")

# Of one method each: given with the other one they would do nothing.
OPTIONS: dict[str, dict[str, Any]] = {
    "autoencoder": {"noise": 0.25, "corruption": "masking", "tied_weights": True},
    "rbm": {"visible": None, "gibbs_steps": 1, "weight_decay": 2e-4},
}

# They act in training only, and rest in pretraining.
_RESTING = (
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)

# Deviations that a Gaussian visible unit, whose own is 1, can stand for.
_STANDARDIZED = (1 / 3, 3.0)


def options_of(method: str, received: dict[str, Any]) -> dict[str, Any]:
    """The options of a method, checked, from those of all methods."""
    check_choice("method", method, METHODS)
    for owner, defaults in OPTIONS.items():
        for name, default in defaults.items():
            if owner != method and received[name] != default:
                raise ValueError(
                    f"`{name}` is an option of method={owner!r}. Received: method={method!r}, "
                    f"{name}={received[name]!r}. Leave it out, or change the method."
                )
    check_choice("corruption", received["corruption"], CORRUPTIONS)
    check_choice("visible", received["visible"], (None, "bernoulli", "gaussian"))
    positive_integer("gibbs_steps", received["gibbs_steps"])
    if not isinstance(received["tied_weights"], bool):
        raise ValueError(
            "`tied_weights` must be a boolean. Received: "
            f"tied_weights={received['tied_weights']!r}."
        )
    check_number("noise", received["noise"])
    check_number("weight_decay", received["weight_decay"])
    if received["corruption"] != "gaussian" and received["noise"] >= 1:
        raise ValueError(
            f"`noise` is the share of the inputs that corruption={received['corruption']!r} takes "
            f"away, in [0, 1). Received: noise={received['noise']!r}. 0.1 to 0.5 are usual."
        )
    return {name: received[name] for name in OPTIONS[method]}


def check_number(argument: str, received: Any, positive: bool = False) -> None:
    """Refuses what is not a finite number of 0 or more, or of more than 0."""
    number = isinstance(received, Real) and not isinstance(received, bool)
    if not (number and 0 <= received < float("inf") and not (positive and received == 0)):
        rule = "above 0" if positive else "of 0 or more"
        raise ValueError(
            f"`{argument}` must be a finite number {rule}. Received: {argument}={received!r}."
        )


def names_to_pretrain(blocks: list[list[Any]], layers: Sequence[str] | None) -> list[str]:
    """Names of the dense layers that are asked for and not frozen."""
    known = [block[0].name for block in blocks]
    if layers is None and len(known) < 2:
        raise ValueError(
            "The model must have a hidden `Dense` layer, in front of that of the output. Received: "
            f"a model whose dense layers are {known}. Convolutions and recurrent layers cannot be "
            "pretrained so: train them on an auxiliary task, then `reuse_layers`. An output "
            "layer is pretrained where `layers` names it."
        )
    if isinstance(layers, str):
        layers = [layers]
    for name in layers or ():
        if name not in known:
            raise ValueError(
                f"`layers` must name dense layers of the model. Received: {name!r} in layers="
                f"{list(layers or ())!r}.{did_you_mean(name, known)} Dense are {known}."
            )
    wanted = known[:-1] if layers is None else list(layers)
    thawed = [b[0].name for b in blocks if b[0].name in wanted and not _frozen(b[0])]
    if not thawed:
        raise ValueError(
            f"Of the dense layers {wanted} none can learn. Received: a model in which they are "
            "frozen, or quantized. Set `trainable` of those to pretrain."
        )
    return thawed


def check_layers(front: list[Any], blocks: list[list[Any]], names: list[str], method: str) -> None:
    """Refuses layers that would undo the pretraining, and an RBM without a sigmoid."""
    for layer in [*front, *(layer for block in blocks for layer in block[1:])]:
        if any(len(weight.shape) > 1 for weight in layer.trainable_weights):
            raise ValueError(
                "Layers below a pretrained one must be dense, or have no kernel that trains. "
                f"Received: {type(layer).__name__} {layer.name!r}, which cannot be pretrained; "
                "the dense layers would learn what its untrained weights make of `x`. Train it on "
                "an auxiliary task first, then freeze it: `layer.trainable = False`."
            )
    for block in blocks if method == "rbm" else ():
        if block[0].name in names and _hidden_activation(block) != "sigmoid":
            raise ValueError(
                "The hidden units of an RBM are sigmoid. Received: layer "
                f"{block[0].name!r}, followed by {_hidden_activation(block)!r}. Use "
                "activation='sigmoid' without normalization in front of it, or "
                "method='autoencoder'."
            )


def check_shapes(
    front: list[Any], blocks: list[list[Any]], names: list[str], sample: Any, tied: bool
) -> None:
    """Sends one sample through, and refuses what a dense layer cannot be pretrained on."""
    for layer in front:
        sample = layer(sample, training=False)
    for block in blocks:
        if len(sample.shape) != 2 and block[0].name in names:
            raise ValueError(
                "A pretrained layer takes vectors. Received: "
                f"layer {block[0].name!r} with inputs of shape {tuple(sample.shape[1:])}. Put a "
                "`keras.layers.Flatten` in front of it."
            )
        for layer in block:
            sample = layer(sample, training=False)
        if tied and block[0].name in names and tuple(sample.shape[1:]) != (block[0].units,):
            raise ValueError(
                "Weights are tied where a layer's activation keeps its width. Received: "
                f"layer {block[0].name!r} of {block[0].units} units, whose block ends in shape "
                f"{tuple(sample.shape[1:])}. Use tied_weights=False."
            )


def check_visible(name: str, visible: str, inputs: npt.NDArray[Any]) -> None:
    """Refuses inputs that the visible units of an RBM cannot stand for."""
    if visible == "bernoulli" and not in_unit_interval(inputs):
        raise ValueError(
            "Bernoulli visible units take inputs in [0, 1]. Received: inputs of layer "
            f"{name!r} from {inputs.min():.3g} to {inputs.max():.3g}. Scale them (pixels by "
            "1/255), or standardize them and use visible='gaussian'."
        )
    scale = root_mean_square(inputs)
    if visible == "gaussian" and not _STANDARDIZED[0] <= scale <= _STANDARDIZED[1]:
        raise ValueError(
            "Gaussian visible units take standardized inputs, of mean 0 and deviation 1. Received: "
            f"inputs of layer {name!r} with a root mean square of {scale:.3g}. Standardize "
            "them, as with `adapt_to` of the builders."
        )


def samples_for(x: Any, model: Any) -> npt.NDArray[Any]:
    """`x` as an array of the model's input shape and dtype."""
    samples, shape = np.asarray(x), model.inputs[0].shape
    fits = samples.ndim == len(shape) and all(
        size in (None, received) for size, received in zip(shape, samples.shape, strict=True)
    )
    if not fits or len(samples) == 0:
        raise ValueError(
            f"`x` must be an array of inputs of shape {shape}, with at least one. Received: x of "
            f"shape {samples.shape} and type {type(x).__name__}. From a data set, pass its inputs "
            "as one array."
        )
    if samples.dtype.kind not in "biuf" or not np.isfinite(samples).all():
        raise ValueError(
            f"`x` must hold finite real numbers. Received: x of dtype {samples.dtype}, "
            f"{'with NaN or infinite values' if samples.dtype.kind == 'f' else 'no numbers'}. "
            "Encode categories, and replace missing values first."
        )
    return samples.astype(keras.backend.standardize_dtype(model.inputs[0].dtype))


def _frozen(dense: Any) -> bool:
    # A kernel that is quantized or has a low-rank update does not train itself.
    return not any(weight is dense.kernel for weight in dense.trainable_weights)


def _hidden_activation(block: list[Any]) -> str:
    """Name of what the pre-activation of a block's dense layer goes through."""
    for layer in block:
        function = getattr(layer, "activation", None)
        name = str(getattr(function, "__name__", function))
        if layer is block[0] and name == "linear":
            continue
        if not isinstance(layer, _RESTING):
            return name if function is not None else type(layer).__name__
    return "linear"
