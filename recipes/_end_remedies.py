"""Remedies of a network's two ends: scale of inputs and targets, output activation, loss."""

import math
from typing import Any

import keras
import numpy as np

from ..callbacks._best_constant import loss_name
from ..callbacks._layer_description import name_of
from ..callbacks.diagnosis._graph import kind
from ..callbacks.diagnosis.finding import Finding, Remedy
from ._changes import Change, NotChangedError
from ._channels import channel_standardization
from ._scaled_targets import ScaledLabels, ScaledLabelsAccuracy, loss_weight
from ._treatment import Treatment
from .mlp import standardization

_WITH_LOGITS = ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")


def input_scaling(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Standardizes the inputs inside the model.

    With the data, by each feature's mean and deviation (each channel's, of images and
    sequences); without, by a batch normalization, which learns them.
    """
    if remedy.value != "standardize":
        raise NotChangedError(
            "The inputs hold NaN or infinite values, which no layer can mend: drop those samples "
            "or fill the values in."
        )
    shapes = [tuple(one.shape[1:]) for one in treatment.model.inputs or []]
    if not shapes or any(size is None for shape in shapes for size in shape[-1:]):
        raise NotChangedError(
            "The model does not say the shape of its inputs: begin it with `keras.Input(shape)`, "
            "or standardize the inputs before."
        )
    fed = {kind(treatment.graph.layers[at]) for at in _takes_inputs(treatment)}
    if "Embedding" in fed:
        raise NotChangedError("Inputs of an embedding are numbers of words, which have no scale.")
    arrays = [None] * len(shapes) if treatment.x is None else keras.tree.flatten(treatment.x)
    if len(arrays) != len(shapes):
        raise NotChangedError("The data do not have as many inputs as the model: scale them before.")
    names = _names(len(shapes))
    treatment.surgery.at_inputs = [
        _standardizer(shape, array, name)
        for shape, array, name in zip(shapes, arrays, names, strict=True)
    ]
    treatment.disturbed.update(range(len(treatment.graph.layers)))
    after = "batch normalization first" if treatment.x is None else "mean 0 and deviation 1"
    return Change.of(finding, remedy, (), "as they come", f"{after}, inside the model")


def target_scaling(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Puts the targets' scale into the model: behind its output, or into its loss."""
    if "labels" in remedy.value:
        return _labels(treatment, finding, remedy)
    at, (mean, deviation) = treatment.output(), (remedy.value["mean"], remedy.value["std"])
    if at is None or not (math.isfinite(mean) and math.isfinite(deviation) and deviation > 0):
        raise NotChangedError(
            "Targets of several outputs, or that are all the same, are not scaled inside the "
            "model: subtract each one's mean and divide by its deviation before."
        )
    layer = treatment.layer(at)
    treatment.surgery.edit(layer).after.append(
        lambda: keras.layers.Rescaling(deviation, offset=mean, name="target_scale")
    )
    weight = loss_weight(name_of(treatment.compile["loss"]), deviation)
    treatment.compile["loss_weights"] = [weight]
    treatment.disturbed.add(at)
    after = f"outputs times {deviation:.4g} plus {mean:.4g}, loss times {weight:.3g}"
    return Change.of(finding, remedy, (treatment.name(at),), "as they come", after)


def output_activation(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Swaps the activation of the output, and gives it as many units as the targets need."""
    at = _output(treatment)
    layer = treatment.layer(at)
    if not hasattr(layer, "activation"):
        raise NotChangedError(
            f"{treatment.name(at)} has no activation of its own: end the model with "
            f"{remedy.value!r}."
        )
    before = keras.activations.serialize(layer.activation)
    treatment.surgery.edit(layer).config["activation"] = remedy.value
    if remedy.value in ("softmax", "sigmoid") and _takes_logits(treatment.compile["loss"]):
        treatment.compile["loss"] = _loss(name_of(treatment.compile["loss"]), logits=False)
    return Change.of(finding, remedy, (treatment.name(at),), str(before), str(remedy.value))


def loss(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Swaps the loss."""
    at, before = treatment.output(), str(name_of(treatment.compile["loss"]))
    function = None
    if at is not None:
        config = treatment.surgery.edit(treatment.layer(at)).config
        function = config.get("activation", treatment.graph.activation(at))
    logits = function == "linear" and remedy.value in _WITH_LOGITS
    treatment.compile["loss"] = _loss(remedy.value, logits=logits)
    return Change.of(finding, remedy, (), before, remedy.value)


def output_units(treatment: Treatment) -> Change | None:
    """As many output units as the targets need, where they have another number; None if not."""
    at, needed = treatment.output(), _units_needed(treatment)
    units = getattr(treatment.layer(at), "units", None) if at is not None else None
    if at is None or needed is None or units is None or units == needed:
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


# ---------------------------------------------------------------- how


def _labels(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    factor = remedy.value["labels"]
    old = treatment.compile["loss"]
    if not factor or loss_name(name_of(old)) != "sparse_categorical_crossentropy":
        raise NotChangedError(
            "The targets are class numbers that were scaled: use the numbers as they were, with "
            "sparse_categorical_crossentropy and a softmax output."
        )
    treatment.compile["loss"] = ScaledLabels(factor, old)
    if treatment.compile.get("metrics"):
        treatment.compile["metrics"] = [ScaledLabelsAccuracy(factor)]
    return Change.of(finding, remedy, (), "scaled labels", f"times {factor:g} inside the loss")


def _output(treatment: Treatment) -> int:
    at = treatment.output()
    if at is None or not treatment.is_free(at):
        raise NotChangedError(
            "The output layer is not one dense or convolutional layer that may learn: change it "
            "by hand."
        )
    return at


def _units_needed(treatment: Treatment) -> int | None:
    name = loss_name(name_of(treatment.compile["loss"]))
    if treatment.y is None or name is None:
        return None
    targets = np.asarray(treatment.y)
    if name == "sparse_categorical_crossentropy":
        at = treatment.output()
        classes = int(targets.max()) + 1
        units = getattr(treatment.layer(at), "units", 0) if at is not None else 0
        return max(classes, units or 0)
    if name in ("categorical_crossentropy", "binary_crossentropy", "mean_squared_error"):
        return 1 if targets.ndim < 2 else int(targets.shape[-1])
    return None


def _takes_inputs(treatment: Treatment) -> list[int]:
    """The layers that the inputs go to first."""
    layers = treatment.graph.layers
    first = [at for at, layer in enumerate(layers) if kind(layer) == "InputLayer"]
    starts = [at for at in range(len(layers)) if not treatment.graph.parents(at)]
    return [child for at in first for child in treatment.graph.children[at]] + starts


def _standardizer(shape: tuple[Any, ...], array: Any, name: str) -> Any:
    if array is None:
        return lambda: keras.layers.BatchNormalization(name=name)
    samples = np.asarray(array, "float64").reshape(-1, *np.shape(array)[1:])
    if len(shape) > 1:
        samples = samples.reshape(-1, shape[-1])
        layer = channel_standardization(samples, shape[-1])
    else:
        layer = standardization(samples, shape)
    config = {**layer.get_config(), "name": name}
    return lambda: keras.layers.Normalization.from_config(config)


def _names(count: int) -> list[str]:
    return ["standardize"] if count == 1 else [f"standardize_{i}" for i in range(1, count + 1)]


def _takes_logits(function: Any) -> bool:
    return bool(getattr(function, "from_logits", False))


def _loss(name: str | None, *, logits: bool) -> Any:
    function = keras.losses.get(loss_name(name))
    if not logits:
        return loss_name(name)
    kinds = {"".join(part.title() for part in one.split("_")): one for one in _WITH_LOGITS}
    return next(
        getattr(keras.losses, kind)(from_logits=True)
        for kind, one in kinds.items()
        if one == function.__name__
    )
