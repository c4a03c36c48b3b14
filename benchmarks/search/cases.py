"""The searches that the benchmarks of this folder compare: two data sets, three builders."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from trainwell import recipes

MNIST = os.environ.get("TRAINWELL_MNIST", "../shared/data/mnist.npz")
RATES, STRENGTHS = (1e-4, 10.0), (1e-6, 1e-2)
"""The space. The heuristics may leave it; 0 is below the smallest strength."""


class Case(NamedTuple):
    """A search: its data, its batch size, and how a model is built."""

    name: str
    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    batch: int
    build_model: Callable[[Any], keras.Model]

    @property
    def steps_per_epoch(self):
        return -(-len(self.train[0]) // self.batch)


NAMES = [f"{data}/{net}" for data in ("digits", "mnist") for net in ("mlp", "snn", "convnet")]


def case(name):
    data, net = name.split("/")
    x, y, x_validation, y_validation = _DATA[data]()
    network = _NETWORKS[net]

    def build_model(hp):
        rate = hp.Float("learning_rate", *RATES, sampling="log")
        penalty = keras.regularizers.L2(hp.Float("l2", *STRENGTHS, sampling="log"))
        model = network(x, penalty)
        sgd = keras.optimizers.SGD(rate)
        model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    batch = {"digits": 32, "mnist": 100}[data]
    return Case(name, (x, y), (x_validation, y_validation), batch, build_model)


def _digits():
    """All 1,437 training images; the 360 test images are what the searches choose by."""
    data = recipes.datasets.load("digits")
    return data.x_train[..., None], data.y_train, data.x_test[..., None], data.y_test


def _mnist():
    """5,000 training images of the 60,000, and 2,000 others to choose by."""
    with np.load(MNIST) as data:
        x = data["x_train"][:7000, ..., None].astype("float32") / 255
        y = data["y_train"][:7000].astype("int64")
    return x[:5000], y[:5000], x[5000:], y[5000:]


_DATA = {"digits": _digits, "mnist": _mnist}


def _mlp(x, penalty):
    return recipes.mlp(x.shape[1:], [100], 10, kernel_regularizer=penalty)


def _snn(x, penalty):
    """Eight hidden layers: how large a rate may be is less plain than with one."""
    return recipes.self_normalizing_mlp(
        x.shape[1:], [50] * 8, 10, adapt_to=x, kernel_regularizer=penalty
    )


def _convnet(x, penalty):
    return recipes.convnet(
        x.shape[1:],
        [8, 16],
        10,
        convolutions_per_block=1,
        global_pooling=False,
        kernel_regularizer=penalty,
    )


_NETWORKS = {"mlp": _mlp, "snn": _snn, "convnet": _convnet}
