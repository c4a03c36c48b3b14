"""Nothing keeps a model alive after `fit`: who trains many would run out of memory."""

import gc
import weakref

import keras
import numpy as np
import pytest

from trainwell.callbacks import (
    ActivationStats,
    GradientNorms,
    LearningRateRange,
    OneCycle,
    TrainingDoctor,
    find_learning_rate,
)


def network():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


DATA = np.ones((64, 4), "float32"), np.zeros(64, "int32")


@pytest.mark.parametrize(
    "callback",
    [
        lambda: None,
        GradientNorms,
        lambda: ActivationStats(every=1),
        lambda: TrainingDoctor(verbose=0),
        lambda: OneCycle(0.1, momentum=None),
        lambda: LearningRateRange(steps=20),
    ],
    ids=["none", "GradientNorms", "ActivationStats", "TrainingDoctor", "OneCycle", "range"],
)
def test_a_model_goes_when_its_training_is_over(callback):
    model, made = network(), callback()
    model.fit(*DATA, epochs=10, verbose=0, callbacks=[made] if made else [])
    alive = weakref.ref(model)
    del model, made
    gc.collect()
    assert alive() is None


def test_a_model_goes_after_a_range_test():
    model = network()
    find_learning_rate(model, *DATA, steps=20)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
