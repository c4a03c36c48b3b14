"""One compiled model for many runs: the same numbers as a model of one's own, and no new trace."""

import gc
import json
import weakref

import keras
import keras_tuner
import numpy as np
import pytest

from trainwell.recipes import mlp
from trainwell.recipes.search._feeding import Feed
from trainwell.recipes.search._run_callbacks import may_run_at_once
from trainwell.recipes.search._shared_model import structure_of
from trainwell.recipes.search._workshop import Workshop

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(64, 6)).astype("float32")
Y = GENERATOR.integers(0, 3, 64)


def build(hp):
    model = mlp(
        (6,),
        hidden_units=[5],
        outputs=3,
        dropout=0.2,
        kernel_regularizer=keras.regularizers.L2(hp["l2"]),
    )
    rate = hp["learning_rate"]
    optimizer = {
        "adam": keras.optimizers.Adam,
        "sgd": lambda r: keras.optimizers.SGD(r, momentum=0.5),
    }[hp["optimizer"]](rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def values(rate, l2, optimizer="adam"):
    return {"learning_rate": rate, "l2": l2, "optimizer": optimizer}


def fitted(workshop, of_run, seed):
    """The losses of a run and its last weights."""
    made = workshop.model_for(of_run, of_run, seed, at_once=True)
    history = made.model.fit(
        X, Y, epochs=2, batch_size=16, verbose=0, callbacks=[made.watch], shuffle=False
    )
    numbers = [history.history["loss"], [epoch.mean for epoch in made.watch.losses]]
    return made, json.dumps(numbers), [w.copy() for w in made.model.get_weights()]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_run_in_a_used_model_is_that_in_a_new_one_bit_for_bit(optimizer):
    used = Workshop(build)
    first, losses, _ = fitted(used, values(0.1, 0.01, optimizer), seed=1)
    second, own, weights = fitted(used, values(0.003, 0.0, optimizer), seed=2)
    assert second is first
    _, expected, expected_weights = fitted(Workshop(build), values(0.003, 0.0, optimizer), seed=2)
    assert own == expected != losses
    for weight, wanted in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(weight, wanted)


def test_the_penalty_that_is_moved_in_is_the_one_that_counts():
    workshop = Workshop(build)
    fitted(workshop, values(0.1, 0.0), seed=1)
    made, _, weights = fitted(workshop, values(1e-9, 0.25), seed=1)
    # At a rate of nearly 0 the weights stay, and the loss beyond the cross-entropy is the penalty.
    with_penalty = made.model.evaluate(X, Y, verbose=0)[0]
    bare = keras.losses.SparseCategoricalCrossentropy()(Y, made.model.predict(X, verbose=0))
    kernels = [w for w in weights if w.ndim == 2]
    penalty = 0.25 * sum(float((k.astype("float64") ** 2).sum()) for k in kernels)
    assert with_penalty - float(bare) == pytest.approx(penalty, rel=1e-4)


def test_the_step_is_traced_once_for_all_numbers_and_batch_sizes():
    workshop = Workshop(build)
    made, _, _ = fitted(workshop, values(0.1, 0.01), seed=1)
    traced, step = [], made.model.train_step
    made.model.train_step = lambda data: traced.append(1) or step(data)
    made.model.make_train_function(force=True)
    for size, rate in ((16, 0.1), (8, 0.2), (32, 0.3)):
        made = workshop.model_for(values(rate, rate), {}, 1, at_once=True)
        data = Feed({"x": X, "y": Y}, as_it_is=False).arguments(size, 0)
        made.model.fit(**data, epochs=1, verbose=0)
        traces = len(traced)
        if size == 16:
            first = traces
    assert traces == first > 0


def test_what_differs_in_more_than_numbers_is_compiled_anew():
    workshop = Workshop(build)
    first, _, _ = fitted(workshop, values(0.1, 0.01), seed=1)
    second, _, _ = fitted(workshop, values(0.1, 0.01, "sgd"), seed=1)
    assert second is not first


def compiled(model, **options):
    options = {"optimizer": keras.optimizers.SGD(0.1), "loss": "mse"} | options
    model.compile(**options)
    return model


def simple(activation="relu"):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation=activation)])


def with_a_step_of_its_own():
    model = compiled(simple())
    model.train_step = lambda data: {}
    return model


class OwnModel(keras.Sequential):
    pass


class Own(keras.layers.Layer):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    "make",
    [
        lambda: compiled(simple(), loss=lambda y, p: p),
        lambda: compiled(simple(activation=lambda x: 2 * x)),
        lambda: compiled(keras.Sequential([keras.Input((3,)), Own()])),
        lambda: compiled(
            simple(),
            optimizer=keras.optimizers.SGD(
                keras.optimizers.schedules.ExponentialDecay(0.1, 9, 0.5)
            ),
        ),
        lambda: compiled(keras.Sequential([keras.layers.Dense(2)])),
        with_a_step_of_its_own,
        lambda: compiled(OwnModel([keras.Input((3,)), keras.layers.Dense(2)])),
    ],
    ids=[
        *("loss function", "activation function", "own layer", "schedule", "not built"),
        *("own step", "own model"),
    ],
)
def test_what_no_configuration_tells_is_not_shared(make):
    assert structure_of(make()) is None


def test_keras_own_parts_are_shared_whatever_the_numbers():
    keras.utils.clear_session()
    one = compiled(simple(), optimizer=keras.optimizers.SGD(0.1))
    keras.utils.clear_session()
    two = compiled(simple(), optimizer=keras.optimizers.SGD(0.7))
    assert structure_of(one) is not None
    assert structure_of(one) == structure_of(two)
    keras.utils.clear_session()
    momentum = compiled(simple(), optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    assert structure_of(momentum) != structure_of(two)


def normalized(data):
    keras.utils.clear_session()
    layer = keras.layers.Normalization()
    layer.adapt(data)
    return compiled(keras.Sequential([keras.Input((6,)), layer, keras.layers.Dense(2)]))


def test_what_was_adapted_to_other_data_is_not_shared():
    assert structure_of(normalized(X)) == structure_of(normalized(X))
    assert structure_of(normalized(X)) != structure_of(normalized(X + 1))


@pytest.mark.parametrize(
    ("name", "way_out"), [("learning_rate", "optimizer"), ("l2", "regularizer")]
)
def test_a_model_that_ignores_what_it_reads_is_refused(name, way_out):
    def ignoring(hp):
        return build({**hp, name: 0.01})

    workshop = Workshop(ignoring)
    workshop.model_for(values(0.1, 0.2), {name: 0.1}, 0, at_once=True)
    with pytest.raises(keras_tuner.errors.FatalValueError, match=f"`{name}`.*{way_out}"):
        workshop.model_for(values(0.1, 0.2), {name: 0.2}, 1, at_once=True)


def test_the_global_precision_stays():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        Workshop(build).model_for(values(0.1, 0.1), {}, 0, at_once=True)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_model_that_is_not_shared_does_not_stay_in_memory():
    def build_own(hp):
        return compiled(
            simple(), optimizer=keras.optimizers.SGD(hp), loss=lambda y, p: (y - p) ** 2
        )

    workshop, made = Workshop(build_own), []
    for rate in (0.1, 0.2, 0.3):
        shared = workshop.model_for(rate, {}, 0, at_once=True)
        shared.model.fit(X[:, :3], X[:, :2], verbose=0, callbacks=[shared.watch])
        made.append(weakref.ref(shared.model))
        del shared
    gc.collect()
    assert [model() is not None for model in made] == [False, False, True]


class SeesValidation(keras.callbacks.Callback):
    def on_test_batch_end(self, batch, logs=None):
        pass


def test_a_callback_that_looks_at_batches_sees_each():
    assert may_run_at_once([keras.callbacks.EarlyStopping()])
    assert not may_run_at_once([keras.callbacks.EarlyStopping(), SeesValidation()])
