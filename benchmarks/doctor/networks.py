"""`healthy`: draws a program that ought to train, from a seed.

What a depth needs is given to it: normalization, shortcuts, SELU or orthogonal tanh. Whether it in
fact trains is for the bed to measure; those that don't are not called healthy.
"""

import numpy as np
from data_sets import data_set
from program import Hidden, Program

from trainwell.callbacks.activation_facts import ACTIVATION_FACTS

ACTIVATIONS = tuple(name for name in ACTIVATION_FACTS if name not in ("linear", "softmax"))
"""All, but for the two that no hidden layer of a sound network has."""

FAMILIES = {"dense": 0.45, "residual": 0.2, "convolutional": 0.2, "recurrent": 0.15}
DATA = {
    "dense": ("digits", "spirals", "blobs", "friedman", "motif"),
    "residual": ("digits", "spirals", "blobs", "friedman", "motif"),
    "convolutional": ("digits", "motif"),
    "recurrent": ("digits", "motif"),
}
SHALLOWEST, DEEPEST = 2, 60

# So many layers train as they are, with the initializer that fits; measured before, not tuned on.
_PLAIN = {"sigmoid": 2, "softplus": 3, "softsign": 6, "rrelu": 6, "gelu": 6, "swish": 6, "mish": 6}
_PLAIN_ELSE = 10
_NORMALIZED = {"sigmoid": 5, "softplus": 10}
_NORMALIZED_ELSE = 20
_CONVOLUTIONS, _SHORTCUT_CONVOLUTIONS = 12, 24
_RATES = {"Adam": 2e-3, "AdamW": 2e-3, "Nadam": 1.5e-3, "RMSprop": 1e-3, "SGD": 0.1}
_MOMENTUM = 0.9


def healthy(seed: int) -> Program:
    """The program of a seed."""
    rng = np.random.default_rng([seed, 0])
    family = str(rng.choice(list(FAMILIES), p=list(FAMILIES.values())))
    data = str(rng.choice(DATA[family]))
    hidden, cell = _layers(rng, family, data)
    program = Program(
        seed=seed,
        family=family,
        data=data,
        hidden=hidden,
        cell=cell,
        inline=bool(rng.random() < 0.5),
        flat=family == "dense" or (family == "residual" and bool(rng.random() < 0.5)),
        batch=int(rng.choice([16, 32, 64])),
        steps=round(_log_uniform(rng, 250, 700)),
        metrics=bool(rng.random() < 0.8),
        l2=float(rng.choice([0.0, 0.0, 0.0, 1e-4])),
        input_scale=float(rng.choice([1.0, 1.0, 1.0, 2.0, 0.5])),
    )
    if data == "motif" and family == "residual":
        program = _with(program, flat=True)
    return _trained_by(rng, _ended(rng, program))


def _layers(rng, family, data):
    """Depth, activation, and what makes that depth trainable."""
    activation = str(rng.choice(ACTIVATIONS))
    depth = round(_log_uniform(rng, SHALLOWEST, DEEPEST))
    width = int(rng.choice([32, 48, 64, 100]))
    dropout = float(rng.choice([0.0, 0.0, 0.0, 0.1, 0.2]))
    if family == "recurrent":
        cell = str(rng.choice(["LSTM", "GRU", "SimpleRNN"]))
        layer = Hidden(units=width, activation="tanh", initializer="glorot", distribution="uniform")
        return (layer,) * min(depth, 2), cell
    if family == "convolutional":
        depth, width = min(depth, _CONVOLUTIONS), int(rng.choice([8, 16, 24]))
    elif family == "residual" and data == "digits":
        depth, width = min(depth, _SHORTCUT_CONVOLUTIONS), int(rng.choice([16, 24]))
    initializer = ACTIVATION_FACTS[activation].initializer
    layer = Hidden(
        units=width,
        activation=activation,
        initializer=initializer,
        distribution=str(rng.choice(["truncated_normal", "uniform"])),
        dropout=dropout if depth <= 6 else 0.0,
    )
    if family == "residual":
        layer = _with(layer, normalization=str(rng.choice(["batch", "layer"])))
        return (layer,) * (depth + 1 - depth % 2), None  # blocks of two behind the first layer
    layer, depth = _made_trainable(rng, layer, depth)
    layers = (layer,) * depth
    if family == "convolutional":
        layers = _pooled(layers)
    return layers, None


def _made_trainable(rng, layer, depth):
    """The layer with what the depth needs, and the depth that can be had."""
    plain = _PLAIN.get(layer.activation, _PLAIN_ELSE)
    normalized = _NORMALIZED.get(layer.activation, _NORMALIZED_ELSE)
    if layer.activation == "selu":
        return _with(layer, distribution="truncated_normal"), depth
    if layer.activation == "tanh" and depth > plain:
        return _with(layer, initializer="orthogonal"), depth
    if depth > plain or rng.random() < 0.25:
        kinds = ["batch", "layer"] if depth <= normalized else ["batch"]
        layer = _with(layer, normalization=str(rng.choice(kinds)))
        return layer, min(depth, normalized)
    return layer, depth


def _pooled(layers):
    """A pooling in the middle."""
    at = len(layers) // 2
    return (*layers[:at], _with(layers[at], pooled=True), *layers[at + 1 :])


def _ended(rng, program):
    """An output and a loss that suit the task, in one of the usual ways."""
    classes = data_set(program.data).classes
    if not classes:
        loss = str(rng.choice(["mean_squared_error", "mean_squared_error", "huber"]))
        return _with(program, outputs=1, loss=loss, targets="column", metrics=False)
    logits = bool(rng.random() < 0.2)
    if classes == 2 and rng.random() < 0.6:
        output, loss, targets, units = "sigmoid", "binary_crossentropy", "column", 1
    elif rng.random() < 0.5:
        output, loss, targets, units = "softmax", "categorical_crossentropy", "one_hot", classes
    else:
        units = classes
        output, loss, targets = "softmax", "sparse_categorical_crossentropy", "classes"
    return _with(
        program,
        outputs=units,
        output_activation=None if logits else output,
        loss=loss,
        targets=targets,
        from_logits=logits,
    )


def _trained_by(rng, program):
    """An optimizer, and a rate that is usual for it at that depth."""
    adaptive = [name for name in _RATES if name != "SGD"]
    plain_steps = _bears_sgd(program, program.hidden[0]) and rng.random() < 0.5
    name = "SGD" if plain_steps else str(rng.choice(adaptive))
    rate, momentum = _RATES[name], 0.0
    if name == "SGD" and rng.random() < 0.6:
        rate, momentum = rate / 5, _MOMENTUM
    if program.family in ("dense", "residual") or program.depth > 6:
        rate /= np.sqrt(max(1.0, program.depth / 6))
    if program.data in ("spirals", "motif") and name != "SGD":
        rate *= 2
    rate *= _log_uniform(rng, 0.6, 1.7)
    return _with(
        program,
        optimizer=name,
        rate=float(f"{rate:.2g}"),
        momentum=momentum,
        clipnorm=1.0 if program.family == "recurrent" and rng.random() < 0.5 else None,
    )


def _bears_sgd(program, layer):
    """Where a few hundred steps of one rate for all weights are enough."""
    if program.family == "recurrent" or program.data in ("spirals", "motif"):
        return False
    return layer.normalization is not None or (program.depth <= 4 and layer.activation != "sigmoid")


def _log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _with(one, **changes):
    from dataclasses import replace

    return replace(one, **changes)
