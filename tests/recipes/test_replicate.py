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


CROSS_ENTROPY = "sparse_categorical_crossentropy"


def build(
    seed, optimizer="sgd", extra=None, l2=0.01, loss=CROSS_ENTROPY, last=None, **compiled_with
):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(l2))]
    layers += [extra()] if extra else []
    last = last() if last else keras.layers.Dense(2, "softmax")
    model = keras.Sequential([keras.Input((4,)), *layers, last])
    optimizer = optimizer() if callable(optimizer) else optimizer
    model.compile(optimizer, loss, **{"metrics": ["accuracy"], **compiled_with})
    return model


class OwnSGD(keras.optimizers.SGD):
    """May do anything."""


class OwnStep(keras.Model):
    def train_step(self, data):
        return {}


ONE = build(0)


def without_decay():
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def masked():
    embedding = keras.layers.Embedding(9, 3, mask_zero=True)
    model = keras.Sequential([keras.Input((4,)), embedding, keras.layers.Dense(2, "softmax")])
    model.compile("sgd", CROSS_ENTROPY)
    return model


def with_own_step():
    inputs = keras.Input((4,))
    model = OwnStep(inputs, keras.layers.Dense(2)(inputs))
    model.compile("sgd", "mse")
    return model


def recurrent(seed, **options):
    keras.utils.set_random_seed(seed)
    cells = keras.layers.LSTM(3, **options)
    model = keras.Sequential([keras.Input((2, 2)), cells, keras.layers.Dense(2, "softmax")])
    model.compile(keras.optimizers.SGD(0.5), CROSS_ENTROPY)
    return model


def same_weights(ours, theirs, rtol=2e-5, atol=2e-6):
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


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
        same_weights(model, alone(build(seed, optimizer), x, y, seed, 3, 8))


def constrained(constraint):
    layer = lambda: keras.layers.Dense(5, kernel_constraint=constraint)  # noqa: E731
    return lambda seed: build(seed, lambda: keras.optimizers.SGD(0.5), extra=layer)


@pytest.mark.parametrize("make", [
    constrained(keras.constraints.MaxNorm(0.3)),
    constrained("non_neg"),
    lambda seed: build(seed, last=lambda: keras.layers.Dense(1), loss="hinge", metrics=[]),
    lambda seed: build(seed, last=lambda: keras.layers.Dense(1, "sigmoid"),
                       loss="binary_crossentropy"),
    lambda seed: build(seed, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                       last=lambda: keras.layers.Dense(2), loss_weights=[0.5]),
    lambda seed: build(seed, lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1)),
], ids=["max-norm", "non-negative", "hinge", "binary", "logits", "decay"])  # fmt: skip
def test_what_a_network_is_compiled_with_counts(make):
    x, y = data()
    replicas = replicate(make, [3, 7])
    held = data(40, 1)
    history = replicas.fit(x, y, epochs=2, batch_size=8, validation_data=held)
    for at, (seed, model) in enumerate(zip([3, 7], replicas.models, strict=True)):
        same_weights(model, alone(make(seed), x, y, seed, 2, 8))
        logs = model.evaluate(*held, verbose=0, return_dict=True)
        names = {"loss"} | ({"accuracy"} & set(logs))
        assert {name.removeprefix("val_") for name in history} == names
        if "accuracy" in names:
            assert history["val_accuracy"][-1, at] == pytest.approx(logs["accuracy"])


def test_recurrent_networks_are_trained_as_alone():
    x, y = data()
    x = x.reshape(-1, 2, 2)
    replicas = replicate(recurrent, [3, 7])
    replicas.fit(x, y, epochs=2, batch_size=20)
    for seed, model in zip([3, 7], replicas.models, strict=True):
        expected = alone(recurrent(seed), x, y, seed, 2, 20)
        for one, other in zip(model.trainable_weights, expected.trainable_weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def test_float64_stays_float64():
    x, y = data()

    def make(seed):
        keras.config.set_dtype_policy("float64")
        try:
            return build(seed)
        finally:
            keras.config.set_dtype_policy("float32")

    replicas = replicate(make, [0])
    replicas.fit(x.astype("float64"), y, epochs=1, batch_size=20)
    model, expected = replicas.models[0], build(0)
    assert {str(one.dtype) for one in model.trainable_weights} == {"float64"}
    expected.set_weights(make(0).get_weights())
    same_weights(model, alone(expected, x, y, 0, 1, 20))


def test_metrics_go_by_their_names_and_start_anew_for_each_seed():
    x, y = data()

    def make(seed):
        metrics = ["mae", keras.metrics.AUC(name="area"), "accuracy"]
        last = lambda: keras.layers.Dense(1, "sigmoid")  # noqa: E731
        return build(seed, last=last, loss="mse", metrics=metrics)

    replicas = replicate(make, [0, 1])
    found = replicas.evaluate(x, y[:, None].astype("float32"))
    for at, model in enumerate(replicas.models):
        logs = model.evaluate(x, y[:, None], verbose=0, return_dict=True)
        for name in ("mae", "area", "accuracy"):
            assert found[name][at] == pytest.approx(logs[name], rel=1e-5)


def test_a_second_fit_goes_on():
    x, y = data()
    twice, once = replicate(build, [4]), replicate(build, [4])
    for _ in range(2):
        twice.fit(x, y, epochs=1, batch_size=7)
    once.fit(x, y, epochs=2, batch_size=7)
    same_weights(twice.models[0], once.models[0], rtol=0, atol=0)


def test_a_model_goes_on_alone_with_its_optimizers_state():
    x, y = data()
    adam = lambda: keras.optimizers.Adam(0.05)  # noqa: E731
    replicas = replicate(lambda seed: build(seed, adam), [2, 4])
    replicas.fit(x, y, epochs=1, batch_size=20)
    for seed, model in zip([2, 4], replicas.models, strict=True):
        expected = alone(build(seed, adam), x, y, seed, 1, 20)
        assert int(model.optimizer.iterations) == 3
        for one in (model, expected):
            one.train_on_batch(x, y)
        same_weights(model, expected)


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
        x, y, epochs=9, on_epoch_end=lambda epoch, logs: seen.append(epoch) or np.int64(epoch) == 1
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
        (lambda seed: build(seed, lambda: keras.optimizers.SGD([0.1, 1.0][seed])), "the optimizer"),
        (lambda seed: build(seed, loss=["mse", "mae"][seed]), "the loss"),
        (lambda seed: build(seed, metrics=[["mae"], ["mse"]][seed]), "the metrics"),
        (lambda seed: build(seed, loss_weights=[1.0 + seed]), "the loss_weights"),
        (lambda seed: build(seed, extra=lambda: keras.layers.ELU(1.0 + seed)), "layer 1"),
        (lambda seed: ONE, "a new model"),
        (lambda seed: build(seed, lambda: OwnSGD(0.1)), "OwnSGD"),
        (lambda seed: build(seed, lambda: keras.optimizers.SGD(use_ema=True)), "use_ema"),
        (
            lambda seed: build(seed, lambda: keras.optimizers.SGD(loss_scale_factor=64.0)),
            "64|scale",
        ),
        (lambda seed: build(seed, without_decay), "exclude_from_weight_decay"),
        (lambda seed: masked(), "no masks"),
        (lambda seed: with_own_step(), "`train_step` of OwnStep"),
        (lambda seed: recurrent(seed, dropout=0.2), "no random layers"),
        (lambda seed: build(seed, loss=["mse"]), "one loss"),
        (lambda seed: build(seed, metrics=[["accuracy"]]), "`metrics` must be names"),
        (lambda seed: build(seed, weighted_metrics=["accuracy"]), "weighted_metrics"),
    ],
)
def test_what_cannot_be_trained_as_one_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        replicate(make, [0, 1])


def test_bad_arguments_are_refused():
    x, y = data()
    for seeds in ([], 5, "12", [1.2, 1.7], [-1], [1, 1]):
        with pytest.raises(ValueError, match="`seeds` must be a sequence of different whole"):
            replicate(build, seeds)
    replicas = replicate(build, [0])
    for options in (
        {"batch_size": 0}, {"epochs": 0}, {"validation_data": (x, y, y)},
        {"validation_data": (x, y[:-1])}, {"validation_data": (x[:0], y[:0])},
        {"validation_data": (x[:, :2], y)},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="Received"):
            replicas.fit(x, y, **{"epochs": 1, **options})
    with pytest.raises(ValueError, match="equally many"):
        replicas.fit(x, y[:-1], epochs=1)
    with pytest.raises(ValueError, match=r"shape \(None, 4\)\. Received: \(60, 2\)"):
        replicas.fit(x[:, :2], y, epochs=1)
    with pytest.raises(ValueError, match="must be arrays"):
        replicas.fit(tf.data.Dataset.from_tensor_slices((x, y)), y, epochs=1)


def test_fewer_examples_than_a_batch_are_one_batch():
    x, y = data(20)
    replicas = replicate(build, [0])
    replicas.fit(x, y, epochs=2)
    same_weights(replicas.models[0], alone(build(0), x, y, 0, 2, 20))
