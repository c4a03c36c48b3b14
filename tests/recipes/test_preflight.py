"""`preflight`: what it finds before training, where it is silent, and that it leaves no trace."""

import random
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainwell.callbacks.diagnosis.diagnose import diagnose
from trainwell.recipes._preflight_record import STEPS, preflight_record
from trainwell.recipes.mlp import mlp
from trainwell.recipes.preflight import preflight

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 20)).astype(np.float32)
WAY = RNG.normal(size=(20, 4))
LABELS = (X @ WAY).argmax(axis=1)
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
BINARY = (X.sum(axis=1) > 0).astype(np.float32)
VALUES = (X @ WAY[:, :1] / np.linalg.norm(WAY[:, 0])).astype(np.float32)
IMAGES = RNG.normal(size=(200, 8, 8, 1)).astype(np.float32)
SEQUENCES = RNG.normal(size=(100, 12, 3)).astype(np.float32)


def network(*stack, loss="sparse_categorical_crossentropy", optimizer="sgd", shape=(20,)):
    model = keras.Sequential([keras.Input(shape), *stack])
    model.compile(optimizer, loss, metrics=["accuracy"] if "cross" in str(loss) else None)
    return model


def classifier(*hidden, **options):
    return network(*hidden, layers.Dense(4, "softmax"), **options)


def with_error(findings):
    return [one.symptom for one in findings if one.severity == "error"]


def loud(findings):
    return [str(one) for one in findings if one.severity != "info"]


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(1)


# ---------------------------------------------------------------------- what is found


def deep(activation, depth, initializer="glorot_uniform"):
    return [layers.Dense(32, activation, kernel_initializer=initializer) for _ in range(depth)]


def cut():
    inputs = keras.Input((20,))
    x = layers.Dense(16, "relu", name="first")(inputs)
    x = layers.Lambda(tf.stop_gradient)(x)
    model = keras.Model(inputs, layers.Dense(4, "softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def relu():
    return layers.Dense(32, "relu", kernel_initializer="he_normal")


SGD = keras.optimizers.SGD
FAULTY = {
    "softmax over one unit": (
        "improper_output_activation",
        lambda: network(relu(), layers.Dense(1, "softmax"), loss="binary_crossentropy"),
        X,
        BINARY,
    ),
    "linear output of a classifier": (
        "improper_output_activation",
        lambda: network(relu(), layers.Dense(4)),
        X,
        LABELS,
    ),
    "labels that no unit stands for": ("improper_loss", lambda: classifier(relu()), X, LABELS + 1),
    "one-hot targets where Keras refuses them": (
        "improper_loss",
        lambda: classifier(relu()),
        X,
        ONE_HOT,
    ),
    "labels that were divided": ("unscaled_target", lambda: classifier(relu()), X, LABELS / 255),
    "targets in the thousands": (
        "unscaled_target",
        lambda: network(relu(), layers.Dense(1), loss="mse"),
        X,
        VALUES * 3000,
    ),
    "inputs in the hundreds": (
        "unscaled_input",
        lambda: classifier(relu(), optimizer=SGD(0.1)),
        X + 500,
        LABELS,
    ),
    "inputs with NaN": (
        "non_finite",
        lambda: classifier(relu()),
        np.where(X > 2, np.nan, X),
        LABELS,
    ),
    "no activation": ("missing_activation", lambda: classifier(*deep(None, 3)), X, LABELS),
    "nine in ten dropped, twice": (
        "excessive_dropout",
        lambda: classifier(relu(), layers.Dropout(0.9), relu(), layers.Dropout(0.9)),
        X,
        LABELS,
    ),
    "kernels of zeros": (
        "poor_initialization",
        lambda: classifier(*deep("relu", 2, "zeros")),
        X,
        LABELS,
    ),
    "twelve sigmoid layers": (
        "vanishing_gradient",
        lambda: classifier(*deep("sigmoid", 12), optimizer=SGD(0.01)),
        X,
        LABELS,
    ),
    "weights of deviation 1": (
        "poor_initialization",
        lambda: classifier(
            *deep("relu", 8, keras.initializers.RandomNormal(stddev=1.0)), optimizer=SGD(0.01)
        ),
        X,
        LABELS,
    ),
    "a rate of 100": (
        "learning_rate_too_high",
        lambda: network(relu(), layers.Dense(1), loss="mse", optimizer=SGD(100.0)),
        X,
        VALUES,
    ),
    "a rate of 1 with Adam": (
        "learning_rate_too_high",
        lambda: classifier(relu(), relu(), optimizer=keras.optimizers.Adam(1.0)),
        X,
        LABELS,
    ),
    "a rate of 0": (
        "learning_rate_too_low",
        lambda: classifier(relu(), optimizer=SGD(0.0)),
        X,
        LABELS,
    ),
    "a layer that no sample wakes": (
        "dying_relu",
        lambda: classifier(
            relu(), layers.Dense(32, "relu", bias_initializer=keras.initializers.Constant(-100))
        ),
        X,
        LABELS,
    ),
    "a layer that no gradient reaches": ("disconnected_layer", cut, X, LABELS),
    "saturated units": (
        "saturated_activation",
        lambda: classifier(
            layers.Dense(32, "tanh", kernel_initializer=keras.initializers.RandomNormal(stddev=99))
        ),
        X,
        LABELS,
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_found(name):
    symptom, build, x, y = FAULTY[name]
    findings = preflight(build(), x, y)
    severities = {one.symptom: one.severity for one in findings}
    assert symptom in severities, loud(findings)
    # Halves of networks and single saturated layers may yet train.
    assert severities[symptom] == (
        "warning" if name == "a layer that no gradient reaches" else "error"
    ), loud(findings)


def test_a_broken_self_normalization_is_a_warning():
    [found] = preflight(classifier(*deep("selu", 4, "he_normal")), X, LABELS)
    assert (found.symptom, found.severity) == ("self_normalization_broken", "warning")


# ---------------------------------------------------------------------- where it is silent


def convnet():
    return network(
        layers.Conv2D(8, 3, activation="relu", kernel_initializer="he_normal"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        relu(),
        layers.Dense(3, "softmax"),
        shape=(8, 8, 1),
    )


def residual():
    inputs = keras.Input((20,))
    x = layers.Dense(32)(inputs)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        y = layers.Dense(32)(relu()(y))
        x = layers.Add()([x, y])
    model = keras.Model(inputs, layers.Dense(4, "softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def normalized(depth=2):
    hidden = [
        one
        for _ in range(depth)
        for one in (layers.Dense(32, use_bias=False), layers.BatchNormalization(), layers.ReLU())
    ]
    return classifier(*hidden, optimizer=SGD(0.1, momentum=0.9))


def frozen():
    model = classifier(relu(), relu())
    model.layers[0].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def built(depth, activation, **options):
    model = mlp((20,), [64] * depth, 4, activation=activation, seed=0, **options)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


SOUND = {
    "relu": (lambda: built(2, "relu"), X, LABELS),
    "selu": (lambda: built(4, "selu"), X, LABELS),
    "tanh": (lambda: built(3, "tanh"), X, LABELS),
    "sigmoid, one layer": (lambda: classifier(layers.Dense(30, "sigmoid")), X, LABELS),
    "relu with dropout": (lambda: built(2, "relu", dropout=0.3), X, LABELS),
    "convolutional": (convnet, IMAGES, RNG.integers(0, 3, 200)),
    "residual": (residual, X, LABELS),
    "batch normalization": (normalized, X, LABELS),
    "one layer frozen": (frozen, X, LABELS),
    "regression": (
        lambda: network(relu(), relu(), layers.Dense(1), loss="mse"),
        X,
        VALUES,
    ),
    "autoencoder": (
        lambda: network(relu(), layers.Dense(5), relu(), layers.Dense(20), loss="mse"),
        X,
        X,
    ),
    "recurrent": (
        lambda: network(layers.LSTM(16), layers.Dense(1), loss="mse", shape=(12, 3)),
        SEQUENCES,
        SEQUENCES.mean(axis=(1, 2)) * 6,
    ),
    "logits": (
        lambda: network(
            relu(),
            layers.Dense(4),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ),
        X,
        LABELS,
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_network_is_silent(name):
    build, x, y = SOUND[name]
    assert loud(preflight(build(), x, y)) == []


def test_targets_in_the_thousands_are_no_error_with_adam():
    model = network(relu(), layers.Dense(1), loss="mse", optimizer="adam")
    found = preflight(model, X, VALUES * 3000)
    assert with_error(found) == []
    assert [one.symptom for one in found] == ["unscaled_target"]


def test_a_trained_model_is_silent():
    model = classifier(relu(), optimizer="adam")
    model.fit(X, LABELS, epochs=10, verbose=0)
    assert loud(preflight(model, X, LABELS)) == []


@pytest.mark.parametrize("epochs", [None, 1, 1000])
def test_rules_on_the_course_are_silent(epochs):
    # Labels that say nothing, at a rate that gets nowhere, on a set of two batches an epoch.
    y = RNG.integers(0, 4, 60)
    found = preflight(classifier(relu(), optimizer=SGD(1e-9)), X[:60], y, epochs=epochs)
    assert [str(one) for one in found] == []


# ---------------------------------------------------------------------- it leaves no trace


def of_all_kinds():
    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(16, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.5, seed=3),
            layers.GaussianNoise(0.1),
            layers.Dense(4, "softmax"),
        ]
    )
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9)
    optimizer = keras.optimizers.Adam(rate, use_ema=True, ema_overwrite_frequency=3, clipnorm=1.0)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def state_of(model):
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return {variable.path + str(at): variable.numpy() for at, variable in enumerate(variables)}


def assert_same(before, model):
    after = state_of(model)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)


def test_everything_comes_back_bit_for_bit():
    model = of_all_kinds()
    model.fit(X, LABELS, epochs=1, verbose=0)
    before, kept = state_of(model), dict(vars(model))
    of_python, of_numpy = random.getstate(), np.random.get_state()
    preflight(model, X, LABELS)
    assert_same(before, model)
    assert random.getstate() == of_python
    for one, other in zip(of_numpy, np.random.get_state(), strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("history", "train_function", "stop_training"):
        assert vars(model)[name] is kept[name]
    assert not {"apply", "scale_loss"} & set(vars(model.optimizer))
    assert not any("call" in vars(layer) for layer in (model, *model.layers))


def test_training_goes_on_as_if_nothing_had_happened():
    ends = []
    for checks in (False, True):
        keras.utils.set_random_seed(5)
        model = of_all_kinds()
        if checks:
            preflight(model, X, LABELS)
        model.fit(X, LABELS, epochs=1, verbose=0)
        if checks:
            preflight(model, X, LABELS)
        model.fit(X, LABELS, epochs=1, verbose=0)
        drawn = (random.random(), np.random.rand(), float(tf.random.uniform([])))
        ends.append(([v.numpy() for v in model.variables], model.history.history, drawn))
    for one, other in zip(ends[0][0], ends[1][0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert ends[0][1:] == ends[1][1:]


class Interrupting(layers.Layer):
    left = 100

    def call(self, inputs):
        type(self).left -= 1
        if not type(self).left:
            raise KeyboardInterrupt
        return inputs


def test_an_interrupted_check_leaves_no_trace():
    model = classifier(layers.Dropout(0.1), relu(), Interrupting())
    model.optimizer.build(model.trainable_variables)
    before, Interrupting.left = state_of(model), 3
    with pytest.raises(KeyboardInterrupt):
        preflight(model, X, LABELS)
    assert_same(before, model)
    assert not any("call" in vars(layer) for layer in (model, *model.layers))
    assert "apply" not in vars(model.optimizer)


def test_saving_and_cloning_after_it(tmp_path):
    model = of_all_kinds()
    preflight(model, X, LABELS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X[:5]), model(X[:5]))
    assert keras.models.clone_model(model).count_params() == model.count_params()


# ---------------------------------------------------------------------- what it takes


class Pairs(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, at):
        return X[at * 20 : at * 20 + 20], LABELS[at * 20 : at * 20 + 20]


def generator():
    while True:
        yield X[:16], LABELS[:16]


@pytest.mark.parametrize(
    ("data", "samples"),
    [
        (lambda: tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(25), 25 * STEPS),
        (lambda: tf.data.Dataset.from_tensor_slices((X[:40], LABELS[:40])).batch(25), 40),
        (lambda: tf.data.Dataset.from_tensors((X, LABELS, np.ones(300, "float32"))), 300),
        (Pairs, 80),
        (generator, 16 * STEPS),
    ],
)
def test_data_in_batches(data, samples):
    record, error = preflight_record(classifier(relu()), data(), None, 32, 3, 0)
    assert error is None
    assert loud(diagnose(record)) == []
    assert len(record.steps) == STEPS
    assert record.data["samples"] == samples


def test_several_inputs_and_outputs():
    one, other = keras.Input((20,), name="one"), keras.Input((20,), name="other")
    joined = relu()(layers.Concatenate()([one, other]))
    outputs = {
        "kind": layers.Dense(4, "softmax", name="kind")(joined),
        "value": layers.Dense(1, name="value")(joined),
    }
    model = keras.Model({"one": one, "other": other}, outputs)
    losses = {"kind": "sparse_categorical_crossentropy", "value": "mse"}
    model.compile("adam", losses)
    x, y = {"one": X, "other": X[::-1]}, {"kind": LABELS, "value": VALUES}
    assert loud(preflight(model, x, y)) == []
    model.fit(x, y, verbose=0)  # which makes the metrics of each output's loss
    before = state_of(model)
    preflight(model, x, y)
    assert_same(before, model)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(32, "relu", kernel_initializer="he_normal")
        self.dropout = layers.Dropout(0.2)
        self.top = layers.Dense(4, "softmax")

    def call(self, inputs, training=False):
        return self.top(self.dropout(self.hidden(inputs), training=training))


def test_a_model_without_weights_is_built():
    model = Subclassed()
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert loud(preflight(model, X, LABELS)) == []
    assert model.built
    [found] = preflight(model, np.where(X > 2, np.inf, X), LABELS)
    assert found.symptom == "non_finite"


@pytest.mark.parametrize(
    "options",
    [
        {"jit_compile": True},
        {"run_eagerly": True},
        {"steps_per_execution": 4},
        {"optimizer": keras.optimizers.SGD(0.01, gradient_accumulation_steps=3)},
    ],
)
def test_ways_to_compile(options):
    model = classifier(relu())
    model.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"} | options)
    model.optimizer.build(model.trainable_variables)
    before = state_of(model)
    record, error = preflight_record(model, X, LABELS, 32, None, 0)
    assert_same(before, model)
    assert error is None
    assert len(record.steps) == STEPS
    assert np.isfinite(record.loss).all()
    assert loud(diagnose(record)) == []


def test_half_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = classifier(relu(), relu())
        model.optimizer.build(model.trainable_variables)
        before = state_of(model)
        assert loud(preflight(model, X, LABELS)) == []
        assert_same(before, model)
    finally:
        keras.mixed_precision.set_global_policy("float32")


class Adversarial(keras.Model):
    """Two networks and two optimizers, and no `call`."""

    def __init__(self):
        super().__init__()
        self.maker = keras.Sequential([keras.Input((5,)), relu(), layers.Dense(20)])
        self.judge = keras.Sequential([keras.Input((20,)), relu(), layers.Dense(1)])
        self.judges_optimizer = keras.optimizers.Adam()

    def train_step(self, data):
        raise AssertionError("a training step of one's own is not run")


def test_a_train_step_of_ones_own_is_not_run():
    model = Adversarial()
    model.compile()
    record, error = preflight_record(model, X, None, 32, None, 0)
    assert (record.groups, error) == ({}, None)
    assert preflight(model, X) == []
    assert [one.symptom for one in preflight(model, np.where(X > 2, np.nan, X))] == ["non_finite"]
    assert not model.judges_optimizer.built


def test_a_stateful_network_has_its_batch_size():
    inputs = keras.Input(batch_shape=(10, 12, 3))
    model = keras.Model(inputs, layers.Dense(1)(layers.GRU(8, stateful=True)(inputs)))
    model.compile("adam", "mse")
    y = SEQUENCES[:, 0, :1]
    record, error = preflight_record(model, SEQUENCES, y, 32, 2, 0)
    assert error is None
    assert record.network["steps_per_epoch"] == 10
    model.fit(SEQUENCES, y, batch_size=10, verbose=0)
    before = state_of(model)
    assert any(value.any() for name, value in before.items() if "state" in name)
    preflight(model, SEQUENCES, y)
    assert_same(before, model)


def test_the_steps_are_those_that_training_takes():
    """Losses of plain SGD, against a loop by hand on the same batches."""
    from trainwell.recipes._preflight_batches import batches_of

    model = network(layers.Dense(1), loss="mse", optimizer=SGD(0.1))
    kernel = model.layers[0].kernel.numpy().astype(np.float64)
    record, _ = preflight_record(model, X, VALUES, 32, None, 0)
    losses, bias = [], 0.0
    for x, y, _ in batches_of(model, X, VALUES, STEPS, 32, 0):
        error = x @ kernel + bias - y
        losses.append((error**2).mean())
        kernel = kernel - 0.1 * 2 * x.T @ error / 32
        bias -= 0.1 * 2 * error.mean()
    np.testing.assert_allclose(record.loss, losses, rtol=1e-5)


# ---------------------------------------------------------------------- what it refuses


def test_what_keras_refuses_is_raised_where_no_finding_explains_it():
    with pytest.raises(ValueError, match="incompatible with the layer"):
        preflight(classifier(relu()), X[:, :7], LABELS)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (X, LABELS[:10], {}, "same number of examples"),
        (X[:0], LABELS[:0], {}, "same number of examples"),
        ([[1.0, 2.0]], [1], {}, "must be arrays"),
        (iter(()), None, {}, "a batch at least"),
        (X, LABELS, {"batch_size": 0}, "batch_size=0"),
        (X, LABELS, {"epochs": 1.5}, "epochs=1.5"),
        (X, LABELS, {"seed": -1}, "seed=-1"),
    ],
)
def test_bad_arguments(x, y, options, message):
    with pytest.raises(ValueError, match=message):
        preflight(classifier(relu()), x, y, **options)


def test_models_that_cannot_be_trained():
    plain = keras.Sequential([keras.Input((20,)), layers.Dense(4)])
    with pytest.raises(ValueError, match="must be compiled"):
        preflight(plain, X, LABELS)
    with pytest.raises(ValueError, match=r"must be a keras\.Model"):
        preflight("model", X, LABELS)
    plain.trainable = False
    plain.compile("adam", "mse")
    with pytest.raises(ValueError, match="weights to train"):
        preflight(plain, X, LABELS)


def test_its_time_is_shown():
    model = built(3, "relu")
    preflight(model, X, LABELS)
    begun = time.perf_counter()
    preflight(model, X, LABELS)
    print(f"preflight of 3 hidden layers: {time.perf_counter() - begun:.2f} s")
