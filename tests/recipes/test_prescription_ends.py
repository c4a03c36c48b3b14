"""`prescribe`: inputs and targets scaled inside, output and loss, optimizer and rate, `compile`."""

import math

import keras
import numpy as np
import pytest

from trainwell.callbacks import Finding, Remedy
from trainwell.recipes.optimizers.adaptive_gradient_clipping import AdaptiveGradientClipping
from trainwell.recipes.prescription import apply_remedies
from trainwell.recipes.remedies.scaled_targets import ScaledLabels, ScaledLabelsAccuracy

layers = keras.layers
X = np.random.default_rng(0).normal(3, 2, (32, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(32, 1)).astype(np.float32)
CLASSES = np.arange(32) % 3


def changed(model, *kinds, x=None, y=None, symptom="slow_convergence"):
    """The prescription of remedies `(kind, value)`."""
    remedies = [Remedy(kind=k, value=v, reason="Because.", source="A book") for k, v in kinds]
    found = Finding(
        symptom=symptom, layers=(), severity="error", first_step=0, evidence="", remedies=()
    )
    return apply_remedies(model, [(found, remedy) for remedy in remedies], x, y)


def network(units=1, activation=None, loss="mse", optimizer="sgd", functional=False, **options):
    given = keras.initializers.GlorotUniform(seed=0)
    stack = [
        keras.Input((4,), name="in"),
        layers.Dense(3, "tanh", name="hidden", kernel_initializer=given),
        layers.Dense(units, activation, name="out", kernel_initializer=given),
    ]
    model = keras.Sequential(stack)
    if functional:
        hidden = stack[1](stack[0])
        model = keras.Model(stack[0], stack[2](hidden))
    model.compile(optimizer, loss, **options)
    return model


def names(model):
    return [layer.name for layer in model.layers]


STANDARDIZE = ("input_scaling", "standardize")
SCALE = ("target_scaling", {"mean": 5000.0, "std": 200.0})

# ---------------------------------------------------------------- inputs


@pytest.mark.parametrize("functional", [False, True])
def test_inputs_are_standardized_by_each_features_mean_and_deviation(functional):
    model = network(functional=functional)
    new = changed(model, STANDARDIZE, x=X).model
    assert names(new) == [*(["in"] if functional else []), "standardize", "hidden", "out"]
    hidden, out = new.get_layer("hidden").get_weights(), new.get_layer("out").get_weights()
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    expected = np.tanh(z @ hidden[0] + hidden[1]) @ out[0] + out[1]
    np.testing.assert_allclose(new.predict(X, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_without_data_a_batch_normalization_learns_them():
    new = changed(network(), STANDARDIZE).model
    assert type(new.get_layer("standardize")) is layers.BatchNormalization
    new.fit(X, Y, verbose=0)


@pytest.mark.parametrize("as_dict", [False, True])
def test_each_of_several_inputs_is_standardized_by_its_own(as_dict):
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    joined = layers.Concatenate(name="joined")([a, b])
    model = keras.Model([b, a], layers.Dense(1, name="out")(joined))
    model.compile("sgd", "mse")
    xb = np.random.default_rng(0).normal(-50, 9, (32, 2))
    x = {"a": X, "b": xb} if as_dict else [xb, X]
    new = changed(model, STANDARDIZE, x=x).model
    joined = keras.Model(new.input, new.get_layer("joined").output)
    z = joined.predict(x, verbose=0)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-4)


def test_inputs_of_a_model_that_takes_a_dict():
    a, b = keras.Input((4,), name="first"), keras.Input((2,), name="second")
    model = keras.Model({"b": b, "a": a}, layers.Dense(1)(layers.Concatenate(name="c")([a, b])))
    model.compile("sgd", "mse")
    x = {"a": X, "b": X[:, :2] * 100}
    new = changed(model, STANDARDIZE, x=x).model
    z = keras.Model(new.input, new.get_layer("c").output).predict(x, verbose=0)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-4)
    new.fit(x, Y, verbose=0)


def test_numbers_of_words_are_left_alone_beside_amounts():
    a, words = keras.Input((4,), name="a"), keras.Input((5,), name="w", dtype="int32")
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(9, 2)(words))
    model = keras.Model([a, words], layers.Dense(1)(layers.Concatenate()([a, pooled])))
    model.compile("sgd", "mse")
    new = changed(model, STANDARDIZE, x=[X, np.ones((32, 5), "int32")]).model
    assert [type(one) for one in new.layers].count(layers.Normalization) == 1
    np.testing.assert_allclose(
        new.get_layer("standardize")(X), (X - X.mean(0)) / X.std(0), atol=1e-5
    )


def images(*between):
    model = keras.Sequential([keras.Input((6, 6)), *between, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_images_that_still_have_no_channels_have_one_scale():
    x = np.random.default_rng(0).uniform(0, 255, (20, 6, 6)) * np.arange(6)
    model = images(layers.Reshape((6, 6, 1)), layers.Conv2D(2, 3, activation="relu"))
    scale = changed(model, STANDARDIZE, x=x).model.get_layer("standardize")
    np.testing.assert_allclose(scale(x), (x - x.mean()) / x.std(), rtol=1e-4, atol=1e-4)


def test_sequences_are_standardized_by_channel():
    x = np.random.default_rng(0).normal([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], (20, 6, 6))
    new = changed(images(layers.LSTM(3)), STANDARDIZE, x=x).model
    z = np.asarray(new.get_layer("standardize")(x))
    np.testing.assert_allclose(z.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(axis=(0, 1)), 1, rtol=1e-4)


def test_a_rescaling_gives_way():
    x = np.random.default_rng(0).uniform(0, 25500, (20, 6, 6))
    model = images(layers.Rescaling(1 / 255, name="r"), layers.Reshape((6, 6, 1)))
    new = changed(model, STANDARDIZE, x=x).model
    assert names(new)[0] == "standardize"
    assert "r" not in names(new)
    z = np.asarray(new.get_layer("standardize")(x))
    assert (z.mean(), z.std()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, rel=1e-4))


def test_whole_numbers_as_inputs():
    model = keras.Sequential([keras.Input((4,), dtype="uint8"), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).integers(0, 255, (32, 4)).astype("uint8")
    for given in (x, None):
        new = changed(model, STANDARDIZE, x=given).model
        new.fit(x, Y, verbose=0)
        assert np.isfinite(new.predict(x, verbose=0)).all()


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize("functional", [False, True])
def test_outputs_are_scaled_and_the_loss_is_that_of_standardized_targets(functional):
    model = network(functional=functional)
    # The initializers' seeds draw the same weights again.
    new = changed(model, SCALE).model
    expected = model.predict(X, verbose=0) * 200 + 5000
    np.testing.assert_allclose(new.predict(X, verbose=0), expected, rtol=1e-6)
    targets = 200 * Y + 5000
    standardized = np.mean((Y - model.predict(X, verbose=0)) ** 2)
    assert new.evaluate(X, targets, verbose=0) == pytest.approx(standardized, rel=1e-4)


def test_a_step_moves_the_weights_as_on_standardized_targets():
    model = network()
    new = changed(model, SCALE).model
    model.fit(X, Y, shuffle=False, verbose=0)
    new.fit(X, 200 * Y + 5000, shuffle=False, verbose=0)
    for old, again in zip(model.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_allclose(again, old, rtol=1e-3, atol=1e-4)


def test_given_weights_of_the_loss_are_multiplied():
    for given in ([3.0], {"out": 3.0}):
        model = network(functional=True, loss_weights=given)
        new = changed(model, SCALE).model
        loss = new.evaluate(X, 200 * Y + 5000, verbose=0)
        expected = 3 * np.mean((Y - model.predict(X, verbose=0)) ** 2)
        assert loss == pytest.approx(expected, rel=1e-4)


def test_an_output_that_only_rises_becomes_linear():
    made = changed(network(activation="relu"), SCALE)
    assert made.model.get_layer("out").activation is keras.activations.linear
    made = changed(network(activation="sigmoid"), ("output_activation", "linear"), SCALE)
    assert names(made.model) == ["hidden", "out", "target_scale"]


def test_the_output_is_scaled_only_where_it_is_the_output():
    inputs, tied = keras.Input((4,)), layers.Dense(4, name="tied")
    model = keras.Model(inputs, tied(layers.Dense(4, "tanh", name="h")(tied(inputs))))
    model.compile("sgd", "mse")
    new = changed(model, SCALE).model
    t, h = new.get_layer("tied").get_weights(), new.get_layer("h").get_weights()
    expected = (np.tanh((X @ t[0] + t[1]) @ h[0] + h[1]) @ t[0] + t[1]) * 200 + 5000
    np.testing.assert_allclose(new.predict(X, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("structured", [False, True])
def test_targets_and_losses_by_the_outputs_name(structured):
    inputs = keras.Input((4,))
    out = layers.Dense(1, name="price")(inputs)
    model = keras.Model(inputs, {"price": out} if structured else out)
    model.compile("sgd", {"price": "mse"}, metrics={"price": ["mae"]}, loss_weights={"price": 1.0})
    y = 200 * Y + 5000
    new = changed(model, SCALE).model
    logs = new.fit(X, {"price": y} if structured else y, verbose=0).history
    assert 3 * logs["loss"][0] < next(logs[name][0] for name in logs if "mae" in name)
    swapped = changed(model, ("loss", "mean_absolute_error")).model
    assert swapped.loss == {"price": "mean_absolute_error"}
    assert type(new.predict(X, verbose=0)) is type(model.predict(X, verbose=0))


def test_sample_weights_and_metrics_in_the_targets_units():
    model = network(weighted_metrics=["mae"])
    new = changed(model, SCALE).model
    weights = np.zeros(32)
    weights[0] = 1
    targets = new.predict(X, verbose=0) + 100
    loss, error = new.evaluate(X, targets, sample_weight=weights, verbose=0)
    assert error == pytest.approx(100, rel=1e-3)
    assert loss == pytest.approx(100**2 / 200**2 / 32, rel=1e-3)


def test_scaled_labels_are_multiplied_inside_the_loss():
    model = network(3, "softmax", "sparse_categorical_crossentropy", metrics=["accuracy"])
    new = changed(model, ("target_scaling", {"labels": 255.0}), y=CLASSES / 255).model
    assert type(new.loss) is ScaledLabels
    expected = model.evaluate(X, CLASSES, verbose=0)
    assert new.evaluate(X, CLASSES / 255, verbose=0) == pytest.approx(expected)
    assert names(new) == names(model)
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    new = changed(model, ("target_scaling", {"labels": 255.0})).model
    assert new.evaluate(X, CLASSES / 255, verbose=0)[1] == pytest.approx(expected[1])
    assert type(new.get_compile_config()["weighted_metrics"]) is list
    assert ScaledLabelsAccuracy.__name__ in str(new.get_compile_config()["weighted_metrics"])


# ---------------------------------------------------------------- output and loss


def test_output_activation_and_loss_are_swapped():
    model = network(3, "relu", "mse", metrics=["accuracy"])
    made = changed(
        model, ("output_activation", "softmax"), ("loss", "sparse_categorical_crossentropy"),
        y=CLASSES,
    )  # fmt: skip
    assert made.model.get_layer("out").activation is keras.activations.softmax
    assert made.model.loss == "sparse_categorical_crossentropy"
    np.testing.assert_allclose(made.model.predict(X, verbose=0).sum(axis=1), 1, rtol=1e-5)
    assert [str(one.after) for one in made.changes] == [
        "softmax", "sparse_categorical_crossentropy"
    ]  # fmt: skip
    made.model.fit(X, CLASSES, verbose=0)


def test_a_linear_output_gets_a_loss_of_logits():
    new = changed(network(3), ("loss", "sparse_categorical_crossentropy")).model
    assert new.loss.from_logits
    new = changed(network(3, "softmax"), ("loss", "sparse_categorical_crossentropy")).model
    assert new.loss == "sparse_categorical_crossentropy"


def test_a_softmax_takes_the_logits_out_of_the_loss():
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    new = changed(network(3, None, loss), ("output_activation", "softmax")).model
    config = new.loss.get_config()
    assert (config["from_logits"], config["label_smoothing"]) == (False, 0.1)


@pytest.mark.parametrize(
    "last", [layers.Activation("relu", name="f"), layers.ReLU(name="f"), layers.Softmax(name="f")]
)
def test_a_separate_output_activation_is_swapped(last):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(2), last])
    model.compile("sgd", "mse")
    kinds = ("output_activation", "sigmoid"), ("loss", "binary_crossentropy")
    made = changed(model, *kinds, y=CLASSES % 2)
    assert made.model.layers[-1].name == "f"
    x = made.model.layers[-2].output
    logits = keras.Model(made.model.inputs, x).predict(X, verbose=0)
    np.testing.assert_allclose(
        made.model.predict(X, verbose=0), 1 / (1 + np.exp(-logits)), rtol=1e-5
    )
    assert made.model.output_shape == (None, 1)  # one unit for targets of one column
    assert made.changes[-1].kind == "output_units"


def test_units_that_the_targets_need():
    sparse = ("loss", "sparse_categorical_crossentropy")
    assert changed(network(2), sparse, y=CLASSES).model.output_shape == (None, 3)
    assert changed(network(9), sparse, y=CLASSES).model.output_shape == (None, 9)
    one_hot = np.eye(3)[CLASSES]
    softmax = ("output_activation", "softmax"), ("loss", "categorical_crossentropy")
    assert changed(network(1), *softmax, y=one_hot).model.output_shape == (None, 3)
    assert changed(network(4), ("loss", "mean_squared_error"), y=Y).model.output_shape[-1] == 1
    assert changed(network(4), ("loss", "mean_squared_error")).model.output_shape[-1] == 4


def test_units_of_sequences():
    model = keras.Sequential(
        [keras.Input((5, 2)), layers.LSTM(3, return_sequences=True), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    y = np.arange(10).reshape(2, 5) % 4
    assert changed(model, ("loss", "mean_squared_error"), y=y).model.output_shape[-1] == 1
    sparse = ("loss", "sparse_categorical_crossentropy")
    assert changed(model, sparse, y=y).model.output_shape[-1] == 4
    classes = network(2), ("loss", "sparse_categorical_crossentropy")
    assert changed(*classes, y=np.array([0.0, 2.0])).model.output_shape[-1] == 3
    changed(*classes, y=np.array([np.nan, 1]))


@pytest.mark.parametrize("metric", ["binary_accuracy", keras.metrics.BinaryAccuracy(name="right")])
def test_accuracies_follow_the_loss(metric):
    model = network(3, "softmax", "binary_crossentropy", metrics=[metric])
    new = changed(model, ("loss", "sparse_categorical_crossentropy"), y=CLASSES).model
    logs = new.fit(X, CLASSES, verbose=0).history
    name = metric if isinstance(metric, str) else metric.name
    answers = new.predict(X, verbose=0).argmax(axis=1)
    found = new.evaluate(X, CLASSES, verbose=0, return_dict=True)[name]
    assert name in logs
    assert found == pytest.approx((answers == CLASSES).mean())


# ---------------------------------------------------------------- optimizer


def test_clipping_keeps_the_optimizer():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.7, nesterov=True)
    new = changed(network(optimizer=optimizer), ("clipping", {"clipnorm": 0.5})).model.optimizer
    config = new.get_config()
    assert (config["clipnorm"], config["momentum"], config["nesterov"]) == (0.5, 0.7, True)
    assert config["learning_rate"]["class_name"] == "ExponentialDecay"
    assert optimizer.clipnorm is None


def test_a_clipped_step_is_as_long_as_the_limit():
    new = changed(network(), ("clipping", {"clipnorm": 0.01})).model
    before = new.get_weights()
    new.fit(X, 1000 + Y, batch_size=32, verbose=0)
    steps = [np.linalg.norm(a - b) for a, b in zip(new.get_weights(), before, strict=True)]
    assert max(steps) == pytest.approx(0.01 * 0.01, rel=1e-2)


def test_the_rate_is_set_or_divided_by_ten():
    momentum = keras.optimizers.SGD(0.3, momentum=0.9)
    new = changed(network(optimizer=momentum), ("learning_rate", 0.02)).model.optimizer
    assert (float(new.learning_rate), new.momentum) == (pytest.approx(0.02), 0.9)
    for symptom, rate in (("learning_rate_too_high", 0.03), ("learning_rate_too_low", 3.0)):
        made = changed(network(optimizer=momentum), ("learning_rate", None), symptom=symptom)
        assert float(made.model.optimizer.learning_rate) == pytest.approx(rate)


def test_a_range_test_finds_the_rate_and_leaves_the_weights():
    model = network(optimizer=keras.optimizers.SGD(1e-9))
    y = X @ np.ones((4, 1)) / 4
    made = changed(model, ("learning_rate", None), x=X, y=y)
    rate = float(made.model.optimizer.learning_rate)
    assert 1e-4 < rate < 10
    assert made.changes[0].after == f"{rate:.3g}, by a range test"
    assert all(map(np.array_equal, made.model.get_weights(), model.get_weights()))
    assert made.model.optimizer.iterations == 0


def test_a_range_test_that_finds_nothing_is_told():
    x = np.full_like(X, np.nan)
    made = changed(network(), ("learning_rate", None), x=x, y=Y)
    assert made.changes == ()
    assert "A range test finds no learning rate" in made.not_changed[0]
    assert float(made.model.optimizer.learning_rate) == pytest.approx(0.01)


def test_another_optimizer_keeps_clipping_decay_and_averages():
    old = keras.optimizers.SGD(0.3, global_clipnorm=2.0, use_ema=True, weight_decay=0.004)
    new = changed(network(optimizer=old), ("optimizer", "adam")).model.optimizer
    assert type(new) is keras.optimizers.Adam
    config = new.get_config()
    kept = [config[name] for name in ("global_clipnorm", "use_ema", "weight_decay")]
    assert (kept, config["learning_rate"]) == ([2.0, True, 0.004], pytest.approx(0.001))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0),
        lambda inner: AdaptiveGradientClipping(inner, 0.05),
    ],
)
def test_what_wraps_an_optimizer_stays_around_it(wrap):
    wrapped = wrap(keras.optimizers.SGD(0.3, momentum=0.9))
    clip, rate = ("clipping", {"clipnorm": 0.5}), ("learning_rate", 0.01)
    new = changed(network(optimizer=wrapped), clip, rate).model.optimizer
    assert type(new) is type(wrapped)
    inner = new.inner_optimizer
    assert (inner.clipnorm, inner.momentum) == (0.5, 0.9)
    assert float(inner.learning_rate) == pytest.approx(0.01)
    adam = changed(network(optimizer=wrapped), ("optimizer", "adam")).model
    assert type(adam.optimizer.inner_optimizer) is keras.optimizers.Adam
    config, old = adam.optimizer.get_config(), wrapped.get_config()
    assert {k: v for k, v in config.items() if k != "inner_optimizer"} == {
        k: v for k, v in old.items() if k != "inner_optimizer"
    }
    adam.fit(X, Y, verbose=0)


@keras.saving.register_keras_serializable(package="tests")
class Halved(keras.optimizers.SGD):
    def __init__(self, by=2.0, **options):
        super().__init__(**options)
        self.by = by

    def get_config(self):
        return {**super().get_config(), "by": self.by}


def test_an_optimizer_of_ones_own():
    kinds = ("clipping", {"clipnorm": 0.5}), ("learning_rate", 0.01)
    new = changed(network(optimizer=Halved(by=4.0)), *kinds).model.optimizer
    assert (type(new), new.by, new.clipnorm) == (Halved, 4.0, 0.5)


# ---------------------------------------------------------------- `compile`


def test_arguments_of_compile_survive():
    model = network(
        loss=keras.losses.Huber(delta=0.3),
        metrics=["mae", keras.metrics.RootMeanSquaredError(name="deviation")],
        weighted_metrics=["mse"], loss_weights=[0.5], jit_compile=True, steps_per_execution=4,
    )  # fmt: skip
    new = changed(model, ("activation", "elu")).model
    old, again = model.get_compile_config(), new.get_compile_config()
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics", "steps_per_execution"):
        assert again[name] == old[name]
    assert (new.jit_compile, new.steps_per_execution) == (True, 4)
    assert new.loss is model.loss
    logs = new.fit(X, Y, verbose=0).history
    assert sorted(logs) == ["deviation", "loss", "mae", "mse"]


def half_squares(y, outputs):
    return keras.ops.mean(keras.ops.square(y - outputs) / 2, axis=-1)


def error_of(y, outputs):
    return keras.ops.mean(y - outputs)


def test_functions_of_ones_own_as_loss_and_metric():
    model = network(loss=half_squares, metrics=["mae", error_of])
    made = changed(model, ("clipping", {"clipnorm": 1.0}))
    assert made.model.loss is half_squares
    assert "The metrics error_of are not known to Keras" in made.not_changed[0]
    assert sorted(made.model.fit(X, Y, verbose=0).history) == ["loss", "mae"]
    scaled = changed(network(loss=half_squares), SCALE).model
    expected = np.mean((scaled.predict(X, verbose=0) - 4000) ** 2) / 2 / 200
    assert scaled.evaluate(X, Y * 0 + 4000, verbose=0) == pytest.approx(expected, rel=1e-4)


def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(3, "tanh", name="h"), layers.Dense(1, dtype="float32")]
        )
        model.compile("sgd", "mse")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    kinds = [("activation", "elu"), ("normalization", "batch"), ("dropout", 0.2), STANDARDIZE]
    kinds += [("target_scaling", {"mean": 5e5, "std": 2e4}), ("clipping", {"clipnorm": 1.0})]
    new = changed(model, *kinds, x=1e6 * X).model
    policies = {layer.name: layer.dtype_policy.name for layer in new.layers}
    assert policies.pop("standardize") == policies.pop("target_scale") == "float32"
    assert [name for name in policies if policies[name] == "mixed_float16"] == [
        "h", "h_batch_normalization", "h_activation", "h_dropout"
    ]  # fmt: skip
    assert type(new.optimizer) is keras.optimizers.LossScaleOptimizer
    assert new.optimizer.inner_optimizer.clipnorm == 1
    outputs = new.predict(1e6 * X, verbose=0)  # far outside of float16
    assert np.isfinite(outputs).all()
    assert 3e5 < outputs.mean() < 7e5
    assert math.isfinite(new.fit(1e6 * X, 2e4 * Y + 5e5, verbose=0).history["loss"][0])
