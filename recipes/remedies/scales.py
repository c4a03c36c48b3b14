"""Remedies of scale: inputs standardized, and targets, inside the model."""

import math

import keras

from ...callbacks._best_constant import loss_name
from ...callbacks._layer_description import name_of
from ...callbacks.diagnosis.finding import Finding, Remedy
from .changes import Change, NotChangedError
from .compile_arguments import the_loss, unnamed, with_loss
from .ends import set_function
from .input_scale import ModelInput, inputs_of, standardizer
from .scaled_targets import ScaledLabels, ScaledLabelsAccuracy, in_units_of_targets
from .treatment import Treatment

_ONLY_POSITIVE = ("mean_squared_logarithmic_error", "poisson")


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
    inputs = inputs_of(treatment)
    reasons = [_why_not(treatment, one) for one in inputs]
    if not inputs or all(reasons):
        raise NotChangedError(reasons[0] or "" if reasons else _NO_SHAPE)
    chosen = [one for one, reason in zip(inputs, reasons, strict=True) if not reason]
    several, makes = len(chosen) > 1, {}
    for number, one in enumerate(chosen, 1):
        base = f"standardize_{number}" if several else "standardize"
        makes[id(one)] = standardizer(one, treatment.free_name(base))
    for one in chosen:
        treatment.disturbed.update(one.takers or range(len(treatment.graph.layers)))
    replaced = {id(one): one.rescaling for one in chosen if one.rescaling is not None}
    for key, at in replaced.items():
        treatment.surgery.edit(treatment.layer(at)).instead = makes[key]
    treatment.surgery.at_inputs = [
        None if id(one) in replaced else makes.get(id(one)) for one in inputs
    ]
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
    given = the_loss(treatment.compile)
    if (
        type(treatment.layer(at)) is keras.layers.Rescaling
        or loss_name(name_of(given)) in _ONLY_POSITIVE
    ):
        raise NotChangedError(
            "The outputs are not scaled by mean and deviation: the model ends with a Rescaling "
            "layer, or its loss takes positive outputs alone. Divide the targets by their mean "
            "before, or change the layer's scale and offset."
        )
    if treatment.graph.layers[at].get("activation") not in (None, "linear"):
        set_function(treatment, at, "linear")  # standardized targets are on both sides of 0
    loss, weight = in_units_of_targets(given, deviation)
    precision = getattr(treatment.layer(at), "variable_dtype", "float32")
    name = treatment.free_name("target_scale")
    treatment.compile = with_loss(unnamed(treatment.compile), loss, weight)
    treatment.surgery.at_output = lambda: keras.layers.Rescaling(
        deviation, offset=mean, name=name, dtype=precision
    )
    kernel = treatment.output_kernel()
    treatment.disturbed.add(at if kernel is None else kernel)
    after = f"outputs times {deviation:.4g} plus {mean:.4g}, loss times {weight:.3g}"
    return Change.of(finding, remedy, (treatment.name(at),), "as they come", after)


# ---------------------------------------------------------------- how

_NO_SHAPE = (
    "The model does not say the shape of its inputs: begin it with `keras.Input(shape)`, or "
    "standardize the inputs before."
)


def _why_not(treatment: Treatment, one: ModelInput) -> str | None:
    """Why an input is not standardized, None where it can be."""
    takers = [treatment.layer(at) for at in one.takers]
    if one.takes_names or any(isinstance(layer, keras.layers.Embedding) for layer in takers):
        return "Inputs that are numbers of words, or words, have no scale: leave them as they are."
    if any(treatment.graph.layers[at].get("normalizes") for at in one.takers):
        return (
            "The model normalizes its inputs already: adapt that layer to the training inputs, "
            "or give it more steps."
        )
    if any(getattr(layer, "trainable", True) is False and layer.weights for layer in takers):
        return (
            "The first layers are frozen and expect inputs as they were trained with: prepare "
            "them as the pretrained network asks, such as by its `preprocess_input`."
        )
    if one.shape is None or (one.array is None and treatment.x is not None):
        return (
            _NO_SHAPE
            if one.shape is None
            else (
                "The data do not have the inputs of the model, as numbers: standardize them before."
            )
        )
    return None


def _labels(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    factor, old = remedy.value["labels"], the_loss(treatment.compile)
    if not factor or loss_name(name_of(old)) != "sparse_categorical_crossentropy":
        raise NotChangedError(
            "The targets are class numbers that were scaled: use the numbers as they were, with "
            "sparse_categorical_crossentropy and a softmax output."
        )
    arguments = with_loss(treatment.compile, ScaledLabels(factor, old))
    for kind, name in (("metrics", "accuracy"), ("weighted_metrics", "weighted_accuracy")):
        if arguments.get(kind):
            arguments[kind] = [ScaledLabelsAccuracy(factor, name=name)]
    treatment.compile = arguments
    return Change.of(finding, remedy, (), "scaled labels", f"times {factor:g} inside the loss")
