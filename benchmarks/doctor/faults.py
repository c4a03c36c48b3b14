"""Plants each of the twenty symptoms in a healthy program, at a strength from 0 to 1.

Strength 0 changes nothing; 1 is gross. What is planted is a cause, on a physical scale that each
fault names; whether the run fails from it is for the bed to measure. Where a cause has several
right names, as a rate that makes the loss swing, all of them count as naming it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from data_sets import data_set
from program import Hidden, Program

from trainwell.callbacks.activation_facts import ACTIVATION_FACTS

_BOUNDED = ("sigmoid", "tanh", "softsign")


@dataclass(frozen=True)
class Fault:
    """One planter.

    Args:
        plant: `(program, strength, rng) -> program`.
        scale: String. What the strength `s` means.
        needs: Whether it can be planted in a program. Defaults to any.
        also: Other symptoms that name the same cause or its direct effect.
    """

    plant: Callable[[Program, float, np.random.Generator], Program]
    scale: str
    needs: Callable[[Program], bool] = lambda program: True
    also: frozenset[str] = field(default_factory=frozenset)


def planted(program: Program, symptom: str, strength: float) -> Program:
    """The program with a fault in it.

    Args:
        program: A healthy `Program` in which the fault can be planted.
        symptom: String. A key of `FAULTS`.
        strength: Float from 0 to 1; 0 gives the program itself.
    """
    rng = np.random.default_rng([program.seed, 2, list(FAULTS).index(symptom)])
    return FAULTS[symptom].plant(program, strength, rng) if strength else program


def _is_plain(program):
    """Whether nothing between the layers mends the signal."""
    return program.family in ("dense", "convolutional") and program.hidden[0].normalization is None


def _hidden(program, **changes):
    return replace(program, hidden=tuple(replace(one, **changes) for one in program.hidden))


def _power(low_exponent: float, decades: float, s: float) -> float:
    return float(10 ** (low_exponent + decades * s))


# ------------------------------------------------------------------ signal and units


def _vanishing(program, s, rng):
    width = program.hidden[-1].units
    sigmoid = Hidden(units=width, activation="sigmoid", initializer="glorot")
    return replace(program, hidden=program.hidden + (sigmoid,) * round(12 * s), inline=True)


def _exploding(program, s, rng):
    return _gains(program, _power(0, 6 * s / program.depth, 1))


def _dying(program, s, rng):
    return _hidden(program, bias=-10 * s)


def _saturated(program, s, rng):
    return _hidden(program, bias_deviation=20 * s)


def _initialization(program, s, rng):
    return _gains(program, _power(0, 1.5 * s * rng.choice([-1, 1]), 1))


def _gains(program, factor):
    layers = (replace(one, gain=factor * one.gain) for one in program.hidden)
    return replace(program, hidden=tuple(layers))


def _linear(program, s, rng):
    many = max(1, round(s * program.depth))
    chosen = set(rng.permutation(program.depth)[:many].tolist())
    layers = (
        replace(one, activation="linear") if at in chosen else one
        for at, one in enumerate(program.hidden)
    )
    return replace(program, hidden=tuple(layers))


def _selu(program, s, rng):
    return _gains(program, float(2 ** (2 * s * rng.choice([-1, 1]))))


def _detached(program, s, rng):
    at = max(1, round(s * program.depth)) - 1
    if program.family == "residual":
        at -= at % 2  # where a block ends, so that no shortcut leads around it
    layers = list(program.hidden)
    layers[at] = replace(layers[at], detached=True)
    return replace(program, hidden=tuple(layers))


def _dropout(program, s, rng):
    return _hidden(program, dropout=round(0.2 + 0.75 * s, 3))


# ------------------------------------------------------------------ rate and course


def _rate(exponent):
    def plant(program, s, rng):
        return replace(program, rate=program.rate * _power(0, exponent, s))

    return plant


def _misaligned(program, s, rng):
    return replace(program, misaligned=s)


def _poisoned(program, s, rng):
    return replace(program, poisoned=0.1 * s**3)


def _overfitting(program, s, rng):
    fewer = replace(program, share=_power(0, -1.3, s), l2=0.0)
    per_epoch = fewer.steps / fewer.epochs
    return _hidden(replace(fewer, steps=int(min(fewer.steps, 60 * per_epoch))), dropout=0.0)


# ------------------------------------------------------------------ data, output, loss


def _unscaled_input(program, s, rng):
    factor = _power(0, 3, s)
    if rng.random() < 0.5:
        return replace(program, input_scale=factor * program.input_scale)
    return replace(program, input_offset=program.input_scale * (factor - 1))


def _unscaled_target(program, s, rng):
    return replace(program, target_scale=_power(0, 4, s))


def _graded(options, s):
    return options[min(len(options) - 1, int(np.ceil(s * len(options))) - 1)]


def _output(program, s, rng):
    if not data_set(program.data).classes:
        output = _graded(["softplus", "relu", "sigmoid", "softmax"], s)
    elif program.outputs == 1:
        output = _graded(["softplus", "tanh", "relu", "softmax"], s)
    else:
        output = _graded(["sigmoid", "tanh", "relu", None], s)
    return replace(program, output_activation=output, from_logits=False)


def _loss(program, s, rng):
    if not data_set(program.data).classes:
        losses = ["mean_squared_logarithmic_error", "mean_absolute_percentage_error"]
        return replace(program, loss=_graded([*losses, "poisson", "binary_crossentropy"], s))
    program = replace(program, from_logits=False)
    if program.outputs == 1:
        losses = ["mean_squared_error", "mean_absolute_error", "hinge", "categorical_crossentropy"]
        return replace(program, loss=_graded(losses, s), output_activation="sigmoid")
    losses = ["mean_squared_error", "mean_absolute_error", "hinge"]
    softmax = replace(program, output_activation="softmax", targets="one_hot")
    loss = _graded([*losses, "numbers"], s)
    if loss == "numbers":  # class numbers against probabilities
        return replace(softmax, loss="mean_squared_error", targets="column")
    return replace(softmax, loss=loss)


# ------------------------------------------------------------------ the table


def _activated_by(*names):
    return lambda program: program.hidden[0].activation in names


def _is_shallow_and_plain(program):
    return _is_plain(program) and program.family == "dense" and program.depth <= 6


def _lets_signals_grow(program):
    unbounded = program.hidden[0].activation not in _BOUNDED
    return _is_plain(program) and unbounded and program.depth >= 3


def _is_plain_relu(program):
    return _is_plain(program) and program.hidden[0].activation == "relu"


def _is_bounded(program):
    return _is_plain(program) and program.hidden[0].activation in _BOUNDED


def _bears_activations(program):
    return program.family != "recurrent" and program.hidden[0].activation in ACTIVATION_FACTS


def _is_self_normalizing(program):
    first = program.hidden[0]
    return program.family == "dense" and first.activation == "selu" and not first.normalization


def _is_sgd(program):
    return program.optimizer == "SGD"


def _is_regression(program):
    return not data_set(program.data).classes


_TOO_LARGE = frozenset({"exploding_gradient", "non_finite", "oscillating_loss"})
_TOO_SMALL = frozenset({"slow_convergence", "learning_rate_too_low", "not_learning"})

FAULTS: dict[str, Fault] = {
    "vanishing_gradient": Fault(
        _vanishing, "12s sigmoid layers before the output", _is_shallow_and_plain
    ),
    "exploding_gradient": Fault(
        _exploding,
        "kernels so large that the signal grows by 10^(6s) over depth",
        _lets_signals_grow,
        frozenset({"poor_initialization", "non_finite", "learning_rate_too_high"}),
    ),
    "dying_relu": Fault(_dying, "biases start at -10s", _is_plain_relu),
    "saturated_activation": Fault(
        _saturated,
        "biases drawn with the deviation 20s",
        _is_bounded,
        frozenset({"poor_initialization"}),
    ),
    "poor_initialization": Fault(
        _initialization,
        "kernels times 10^(±1.5s)",
        _is_plain,
        frozenset({"vanishing_gradient", "exploding_gradient", "saturated_activation"}),
    ),
    "oscillating_loss": Fault(
        _rate(1.5),
        "rate of SGD times 10^(1.5s)",
        _is_sgd,
        frozenset({"learning_rate_too_high"}),
    ),
    "slow_convergence": Fault(_rate(-2), "rate of SGD times 10^(-2s)", _is_sgd, _TOO_SMALL),
    "not_learning": Fault(
        _misaligned,
        "share s of the inputs belong to other targets",
        also=frozenset({"slow_convergence", "overfitting"}),
    ),
    "non_finite": Fault(_poisoned, "a NaN in a share 0.1s³ of the samples"),
    "learning_rate_too_high": Fault(
        _rate(4), "rate times 10^(4s)", also=_TOO_LARGE | {"dying_relu", "saturated_activation"}
    ),
    "learning_rate_too_low": Fault(_rate(-4), "rate times 10^(-4s)", also=_TOO_SMALL),
    "unscaled_input": Fault(_unscaled_input, "inputs times 10^(3s), or that far off 0"),
    "unscaled_target": Fault(_unscaled_target, "targets times 10^(4s)", _is_regression),
    "improper_output_activation": Fault(_output, "four outputs, from a mild to a gross one"),
    "improper_loss": Fault(
        _loss,
        "four losses, from a mild to a gross one",
        also=frozenset({"improper_output_activation"}),
    ),
    "missing_activation": Fault(
        _linear, "a share s of the hidden layers is linear", _bears_activations
    ),
    "self_normalization_broken": Fault(
        _selu,
        "SELU's kernels times 4^(±s)",
        _is_self_normalizing,
        frozenset({"poor_initialization"}),
    ),
    "disconnected_layer": Fault(_detached, "no gradient to the first s of the layers"),
    "excessive_dropout": Fault(_dropout, "dropout of 0.2 + 0.75s behind each hidden layer"),
    "overfitting": Fault(_overfitting, "examples times 10^(-1.3s), more epochs"),
}
