"""Watched and unwatched runs end in the same bits, whatever the network and the compiler.

XLA is the hard case: any reader of what a step computes can change how it fuses, and so rounds.
"""

from itertools import chain

import keras
import numpy as np
import pytest

from trainwell.callbacks import ActivationStats, GradientNorms

layers = keras.layers
X = np.random.default_rng(0).normal(size=(128, 8, 8, 1)).astype("float32")
Y = np.random.default_rng(1).integers(0, 5, 128)


def dense():
    blocks = [[layers.Dense(30), layers.BatchNormalization(), layers.ReLU()] for _ in range(3)]
    return [layers.Flatten(), *chain(*blocks)]


def convolutional():
    blocks = [[layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU()] for _ in range(2)]
    return [*chain(*blocks), layers.GlobalAveragePooling2D()]


def normalized():
    # A dropout after the gelu: see "What is not seen" in docs/monitors.md.
    first = [layers.Dense(30), layers.LayerNormalization(), layers.Dropout(0.2)]
    return [layers.Flatten(), *first, layers.Activation("gelu"), layers.Dense(30, "tanh")]


def recurrent():
    return [layers.Reshape((8, 8)), layers.LSTM(16)]


def trained(network, optimizer, jit, *callbacks):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), *network(), layers.Dense(5, "softmax")], name="net"
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=jit)
    model.fit(X, Y, epochs=3, batch_size=32, verbose=0, callbacks=list(callbacks))
    for callback in callbacks:
        assert len(callback.record.steps) == -(-12 // callback.every)
    return [v.numpy().tobytes() for v in (*model.variables, *model.optimizer.variables)]


@pytest.mark.parametrize(
    ("network", "jit", "every"),
    [
        *((dense, True, every) for every in (1, 3)),
        *((network, True, 3) for network in (convolutional, normalized, recurrent)),
        *((network, False, 1) for network in (dense, convolutional, normalized, recurrent)),
    ],
)
def test_both_monitors_change_no_bit(network, jit, every):
    optimizer = "adamw" if network is convolutional else "adam"
    monitors = GradientNorms(every), ActivationStats(every)
    assert trained(network, optimizer, jit, *monitors) == trained(network, optimizer, jit)
