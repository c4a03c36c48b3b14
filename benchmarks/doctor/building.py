"""`build`: the Keras model of a program."""

from functools import cache

import keras
from data_sets import data_set
from program import Program

from trainwell.recipes.activations import activation_layer

_SCALES = {"glorot": (1.0, "fan_avg"), "he": (2.0, "fan_in"), "lecun": (1.0, "fan_in")}
_LAYERS_ONLY = ("leaky_relu", "prelu", "rrelu")


def build(program: Program):
    """The compiled Keras model."""
    keras.utils.set_random_seed(program.seed)
    x = inputs = keras.Input(data_set(program.data).x.shape[1:])
    if program.flat and len(inputs.shape) > 2:
        x = keras.layers.Flatten()(x)
    elif program.family in ("convolutional", "residual") and program.data == "digits":
        x = keras.layers.Reshape((8, 8, 1))(x)
    x = _residual(program, x) if program.family == "residual" else _chain(program, x)
    if len(x.shape) > 2:
        x = _flattening(program)(x)
    x = keras.layers.Dense(program.outputs, activation=program.output_activation, name="output")(x)
    model = keras.Model(inputs, x)
    model.compile(
        _optimizer(program),
        _loss(program),
        metrics=["accuracy"] if program.metrics and data_set(program.data).classes else None,
    )
    return model


# ------------------------------------------------------------------ layers


def _chain(program, x):
    """Kernel, normalization, activation, dropout, pooling; of each layer in turn."""
    for at, layer in enumerate(program.hidden, 1):
        recurrent = program.family == "recurrent"
        inline = recurrent or (
            program.inline and layer.normalization is None and layer.activation not in _LAYERS_ONLY
        )
        x = _kernel(program, layer, at, len(x.shape), inline)(x)
        x = _normalized(layer, x)
        x = x if inline else _activated(layer, x)
        x = _rest(program, layer, x)
    return x


def _residual(program, x):
    """A first layer, then blocks of two with a shortcut, normalized and activated before each."""
    first, *others = program.hidden
    x = _detached(first, _kernel(program, first, 1, len(x.shape), inline=False)(x))
    shortcut = x
    for at, layer in enumerate(others, 2):
        x = _activated(layer, _normalized(layer, x))
        x = _kernel(program, layer, at, len(x.shape), inline=False)(x)
        x = _rest(program, layer, x)
        if at % 2 or at == program.depth:
            x = shortcut = keras.layers.Add()([shortcut, x])
            x = shortcut = _detached(layer, x)
    return _activated(first, _normalized(first, x))


def _kernel(program, layer, at, rank, inline):
    options = {
        "name": f"hidden_{at}",
        "activation": layer.activation if inline else None,
        "kernel_initializer": _initializer(program, layer, at),
        "kernel_regularizer": keras.regularizers.L2(program.l2) if program.l2 else None,
        "bias_initializer": _bias(program, layer, at),
    }
    if program.family == "recurrent":
        more = {"activation": layer.activation, "return_sequences": at < program.depth}
        return getattr(keras.layers, program.cell)(layer.units, **options | more)
    if rank == 2:
        return keras.layers.Dense(layer.units, **options)
    kind = keras.layers.Conv2D if rank == 4 else keras.layers.Conv1D
    return kind(layer.units, 3, padding="same", **options)


def _initializer(program, layer, at):
    seed = 1000 * program.seed + at
    if layer.initializer == "orthogonal":
        return keras.initializers.Orthogonal(gain=layer.gain, seed=seed)
    scale, mode = _SCALES[layer.initializer]
    return keras.initializers.VarianceScaling(
        scale * layer.gain**2, mode, layer.distribution, seed=seed
    )


def _bias(program, layer, at):
    if layer.bias_deviation:
        seed = 1000 * program.seed + 500 + at
        return keras.initializers.RandomNormal(0.0, layer.bias_deviation, seed=seed)
    if layer.bias:
        return keras.initializers.Constant(layer.bias)
    return "zeros"


def _normalized(layer, x):
    if layer.normalization == "batch":
        return keras.layers.BatchNormalization(momentum=0.9)(x)
    return keras.layers.LayerNormalization()(x) if layer.normalization else x


def _activated(layer, x):
    if layer.activation == "linear":
        return x
    return activation_layer(layer.activation)(x)


def _rest(program, layer, x):
    if layer.dropout:
        alpha = layer.activation == "selu" and layer.normalization is None
        kind = keras.layers.AlphaDropout if alpha else keras.layers.Dropout
        x = kind(layer.dropout)(x)
    if layer.pooled:
        x = (keras.layers.MaxPooling2D if len(x.shape) == 4 else keras.layers.MaxPooling1D)()(x)
    return x if program.family == "residual" else _detached(layer, x)


def _detached(layer, x):
    return _detaching()()(x) if layer.detached else x


@cache
def _detaching():
    """A layer without a derivative."""

    @keras.saving.register_keras_serializable(package="trainwell_benchmarks")
    class Detached(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.stop_gradient(inputs)

    return Detached


def _flattening(program):
    return (
        keras.layers.Flatten()
        if program.seed % 2
        else (
            keras.layers.GlobalAveragePooling2D()
            if program.data == "digits"
            else keras.layers.GlobalMaxPooling1D()
        )
    )


# ------------------------------------------------------------------ training


def _optimizer(program):
    options = {"clipnorm": program.clipnorm}
    if program.optimizer == "SGD":
        options["momentum"] = program.momentum
    return getattr(keras.optimizers, program.optimizer)(program.rate, **options)


def _loss(program):
    if not program.from_logits:
        return program.loss
    name = "".join(part.title() for part in program.loss.split("_"))
    return getattr(keras.losses, name)(from_logits=True)
