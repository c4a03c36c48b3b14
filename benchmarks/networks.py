"""The networks that the benchmarks of this folder train, and data for them."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

layers = keras.layers


class Case(NamedTuple):
    """A network, its batch size, the steps of an epoch, and how to make its inputs."""

    build: Callable[[], keras.Model]
    batch: int
    steps: int
    vocabulary: int = 0


def dense(depth: int, width: int) -> keras.Model:
    hidden = [layers.Dense(width, "relu", kernel_initializer="he_normal") for _ in range(depth)]
    return keras.Sequential([keras.Input((784,)), *hidden, layers.Dense(10, "softmax")])


def small_cnn() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, "softmax"),
        ]
    )


def resnet_20() -> keras.Model:
    """He et al. 2016, for images of 32 x 32: 6n + 2 layers with n = 3."""

    def convolution(x, filters, stride=1):
        x = layers.Conv2D(filters, 3, stride, "same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolution(inputs, 16))
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            y = layers.ReLU()(convolution(x, filters, stride))
            y = convolution(y, filters)
            if stride == 2:
                x = layers.Conv2D(filters, 1, 2, use_bias=False)(x)
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, "softmax")(x))


def lstm() -> keras.Model:
    return keras.Sequential([keras.Input((28, 28)), layers.LSTM(64), layers.Dense(10, "softmax")])


def embedding() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((50,), dtype="int32"),
            layers.Embedding(50_000, 64),
            layers.GlobalAveragePooling1D(),
            layers.Dense(64, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )


CASES = {
    "4 x 100": Case(lambda: dense(4, 100), 32, 400),
    "20 x 100": Case(lambda: dense(20, 100), 128, 150),
    "4 x 1000": Case(lambda: dense(4, 1000), 128, 40),
    "small CNN": Case(small_cnn, 32, 100),
    "ResNet-20": Case(resnet_20, 32, 10),
    "200 x 100": Case(lambda: dense(200, 100), 128, 40),
    "LSTM": Case(lstm, 32, 60),
    "embedding 50,000": Case(embedding, 32, 100, vocabulary=50_000),
}


def data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """An epoch of random inputs and classes."""
    rng = np.random.default_rng(0)
    shape = (case.batch * case.steps, *case.build().input_shape[1:])
    if case.vocabulary:
        x = rng.integers(0, case.vocabulary, shape).astype("int32")
    else:
        x = rng.normal(size=shape).astype("float32")
    return x, rng.integers(0, 10, len(x))


def compiled(case: Case) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = case.build()
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model
