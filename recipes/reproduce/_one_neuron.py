"""Sigmoid networks of one neuron a layer: bias gradients by formula, by Keras, by moving a bias."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ..mlp import mlp
from ._chain import FUNCTIONS, SLOPES, Doubles, forward, products

LAYERS = 4
CASES = ("N(0, 1)", "weights of 100, z = 0", "weights of 100, biases N(0, 1)")
_INPUT, _TARGET = np.array([[1.0]]), 0.0


class Neurons(NamedTuple):
    """Networks of one neuron a layer, `[networks, layers]` each."""

    factors: Doubles  # |sigma'(z) w|, without the last layer's slope: one fewer
    predicted: Doubles
    measured: Doubles
    moved: Doubles  # first layer only, `[networks]`: by moving its bias a little


def neurons(case: str, seeds: list[int]) -> Neurons:
    """Networks 1-1-1-1-1 of sigmoids, cost (a - y)² / 2, by formula, by Keras, by moving b."""
    model = mlp((1,), [1] * (LAYERS - 1), 1, activation="sigmoid", output_activation="sigmoid")
    found = []
    for seed in seeds:
        kernels, biases = _weights(case, seed)
        zs = forward(kernels, biases, _INPUT, "sigmoid")
        ends = FUNCTIONS["sigmoid"](zs[-1]) - _TARGET
        predicted = [float(one[0, 0, 0] * ends[0, 0]) for one in products(kernels, zs, "sigmoid")]
        slopes = [float(SLOPES["sigmoid"](z)[0, 0]) for z in zs]
        factors = [s * abs(float(w[0, 0])) for s, w in zip(slopes, kernels[1:], strict=False)]
        measured = _measured(model, kernels, biases)
        found.append(Neurons(*map(np.array, (factors, predicted, measured,
                                             _moved(kernels, biases)))))  # fmt: skip
    return Neurons(*(np.stack(same) for same in zip(*found, strict=True)))


def _weights(case: str, seed: int) -> tuple[list[Doubles], list[Doubles]]:
    """Rounded to float32, so that Keras has the same."""
    drawn = np.random.default_rng(seed).normal(size=(2, LAYERS)).astype("float32").astype(float)
    kernels = drawn[0] if case == CASES[0] else np.full(LAYERS, 100.0)
    biases = drawn[1]
    if case == CASES[1]:
        inputs = [float(_INPUT[0, 0]), *[0.5] * (LAYERS - 1)]
        biases = np.array([-100.0 * one for one in inputs])
    return [one.reshape(1, 1) for one in kernels], [one.reshape(1) for one in biases]


def _measured(model: Any, kernels: list[Doubles], biases: list[Doubles]) -> list[float]:
    model.set_weights([one for pair in zip(kernels, biases, strict=True) for one in pair])
    watched = [one.value for one in model.trainable_variables[1::2]]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        cost = tf.reduce_sum((model(_INPUT) - _TARGET) ** 2) / 2
    return [float(one[0]) for one in tape.gradient(cost, watched)]


def _moved(kernels: list[Doubles], biases: list[Doubles], step: float = 1e-6) -> float:
    """The text's own way: by how much the cost changes with the first bias."""
    costs = []
    for move in (step, -step):
        zs = forward(kernels, [biases[0] + move, *biases[1:]], _INPUT, "sigmoid")
        costs.append(0.5 * float(FUNCTIONS["sigmoid"](zs[-1])[0, 0] - _TARGET) ** 2)
    return (costs[0] - costs[1]) / (2 * step)


def geometric(factors: Doubles) -> list[float]:
    means: list[float] = np.exp(np.log(factors).mean(axis=1)).tolist()
    return means


def decades(chain: Neurons) -> Doubles:
    """Powers of ten that the gradient gains on its way from the last layer to the first."""
    predicted = np.maximum(np.abs(chain.predicted), 1e-300)
    return np.log10(predicted[:, 0] / predicted[:, -1])
