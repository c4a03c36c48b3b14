"""The Keras network of an arm, from trainwell's builders."""

import math
from typing import Any

import keras
from arms import Arm

from trainwell import recipes
from trainwell.recipes.initializers import NaiveNormal, NielsenNormal


def network(arm: Arm, features: int, classes: int, seed: int) -> Any:
    """An uncompiled model, `[batch, features] -> [batch, classes]`."""
    initializer = {"naive": NaiveNormal(), "nielsen": NielsenNormal()}.get(
        str(arm.initializer), arm.initializer
    )
    common = {
        "activation": arm.activation,
        "kernel_initializer": initializer,
        "bias_initializer": NaiveNormal() if arm.naive_biases else "zeros",
        "output_activation": arm.outputs,
        "seed": seed,
    }
    if arm.network == "recurrent":
        return _recurrent(features, arm.units, classes, common)
    common |= {
        "normalization": arm.normalization,
        "activation_options": None if arm.slope is None else {"negative_slope": arm.slope},
        "dropout": arm.dropout,
    }
    if arm.network == "residual":
        return recipes.residual_mlp(features, [arm.units] * (arm.layers // 2), classes, **common)
    model = recipes.mlp(
        features, [arm.units] * arm.layers, classes,
        input_normalization=arm.input_normalization, **common,
    )  # fmt: skip
    return _with_ordinary_dropout(model) if arm.ordinary_dropout else model


def _recurrent(features: int, units: int, classes: int, common: dict[str, Any]) -> Any:
    side = math.isqrt(features)
    rows = recipes.recurrent((side, side), [units], classes, cell="simple", **common)
    reshape = keras.layers.Reshape((side, side))
    return keras.Sequential([keras.Input((features,)), reshape, rows])


def _with_ordinary_dropout(model: Any) -> Any:
    def replaced(layer: Any) -> Any:
        if isinstance(layer, keras.layers.AlphaDropout):
            return keras.layers.Dropout(layer.rate, seed=layer.seed, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    changed = keras.models.clone_model(model, clone_function=replaced)
    changed.set_weights(model.get_weights())
    return changed


def cost(arm: Arm, classes: int) -> Any:
    """The loss of class numbers and outputs; that of sigmoid outputs is summed over them."""
    if arm.outputs == "softmax":
        return "sparse_categorical_crossentropy"

    def summed(y: Any, outputs: Any) -> Any:
        targets = keras.ops.one_hot(y, classes)
        if arm.cost == "quadratic":
            return keras.ops.sum((outputs - targets) ** 2, axis=-1) / 2
        return classes * keras.losses.binary_crossentropy(targets, outputs)

    return summed
