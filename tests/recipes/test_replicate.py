"""`replicate`: several seeds as one, each as it would be alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.replicate import _orders, replicate


def data(samples=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 4)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32")


def build(seed, optimizer="sgd", extra=None, l2=0.01, loss="sparse_categorical_crossentropy"):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(l2))]
    layers += [extra()] if extra else []
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2, "softmax")])
    model.compile(optimizer() if callable(optimizer) else optimizer, loss, metrics=["accuracy"])
    return model


def alone(model, x, y, seed, epochs, batch_size):
    """The same training by `train_on_batch`, in the order that the replica has."""
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        for order in _orders([generator], len(x), batch_size).numpy()[:, 0]:
            model.train_on_batch(x[order], y[order])
    return model


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: keras.optimizers.Adam(0.01),
        lambda: keras.optimizers.RMSprop(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)),
    ],
)
def test_each_seed_is_trained_as_it_would_be_alone(optimizer):
    x, y = data()
    replicas = replicate(lambda seed: build(seed, optimizer), [3, 7])
    replicas.fit(x, y, epochs=3, batch_size=8)
    for seed, model in zip([3, 7], replicas.models, strict=True):
        expected = alone(build(seed, optimizer), x, y, seed, 3, 8)
        for ours, theirs in zip(model.weights, expected.weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_batch_normalization_keeps_its_own_statistics():
    x, y = data()
    extra = keras.layers.BatchNormalization
    replicas = replicate(lambda seed: build(seed, extra=extra), [0, 1])
    replicas.fit(x, y, epochs=2, batch_size=20)
    for seed, model in zip([0, 1], replicas.models, strict=True):
        expected = alone(build(seed, extra=extra), x, y, seed, 2, 20)
        moving = zip(model.non_trainable_variables, expected.non_trainable_variables, strict=True)
        for ours, theirs in moving:
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_losses_and_metrics_are_those_of_keras():
    x, y = data()
    held = data(40, 1)
    replicas = replicate(build, [0, 1, 2])
    history = replicas.fit(x, y, epochs=2, batch_size=10, validation_data=held)
    assert {name: values.shape for name, values in history.items()} == {
        "loss": (2, 3), "val_loss": (2, 3), "val_accuracy": (2, 3)
    }  # fmt: skip
    for at, model in enumerate(replicas.models):
        logs = model.evaluate(*held, verbose=0, return_dict=True)
        penalty = 0.01 * float(tf.reduce_sum(model.layers[0].kernel ** 2))
        assert history["val_accuracy"][-1, at] == pytest.approx(logs["accuracy"])
        assert history["val_loss"][-1, at] == pytest.approx(logs["loss"] - penalty, rel=1e-5)


def test_the_first_loss_has_the_penalty_in_it():
    """One step of all examples: the loss of the fresh model, as Keras gives it."""
    x, y = data()
    history = replicate(build, [5]).fit(x, y, epochs=1, batch_size=60)
    assert history["loss"][0, 0] == pytest.approx(build(5).evaluate(x, y, verbose=0)[0], rel=1e-5)


def test_each_order_is_a_permutation_of_its_own():
    orders = _orders([np.random.default_rng(0), np.random.default_rng(1)], 10, 3).numpy()
    assert orders.shape == (3, 2, 3)
    assert [len(set(orders[:, at].ravel())) for at in (0, 1)] == [9, 9]
    assert (orders[:, 0] != orders[:, 1]).any()


def test_training_ends_where_it_is_told_to():
    x, y = data()
    seen = []
    history = replicate(build, [0]).fit(
        x, y, epochs=9, on_epoch_end=lambda epoch, logs: seen.append(epoch) or epoch == 1
    )
    assert seen == [0, 1]
    assert len(history["loss"]) == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda seed: build(seed, extra=lambda: keras.layers.Dropout(0.5)), "no random layers"),
        (lambda seed: build(seed, lambda: keras.optimizers.SGD(clipnorm=1.0)), "SGD, clipnorm"),
        (lambda seed: build(seed, lambda: keras.optimizers.Adafactor()), "Adafactor"),
        (lambda seed: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]), "compiled"),
        (lambda seed: build(seed, extra=lambda: keras.layers.Dense(3 + seed)), "same network"),
    ],
)
def test_what_cannot_be_trained_as_one_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        replicate(make, [0, 1])


def test_bad_arguments_are_refused():
    x, y = data()
    with pytest.raises(ValueError, match="seeds"):
        replicate(build, [])
    replicas = replicate(build, [0])
    for options in ({"batch_size": 61}, {"batch_size": 0}, {"epochs": 0}):
        with pytest.raises(ValueError, match="Received"):
            replicas.fit(x, y, **{"epochs": 1, **options})
    with pytest.raises(ValueError, match="equally many"):
        replicas.fit(x, y[:-1], epochs=1)
