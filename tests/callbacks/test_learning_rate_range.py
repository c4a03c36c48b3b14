"""The range test, against eager loops and NumPy, and what it leaves behind: nothing."""

import contextlib
import copy
import io
import math
import random
import re
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.callbacks import learning_rate_range
from trainwell.callbacks.gradient_norms import GradientNorms
from trainwell.callbacks.learning_rate_range import LearningRateRange, find_learning_rate

SGD, ADAM = keras.optimizers.SGD, keras.optimizers.Adam
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
Y = RNG.normal(size=(40, 1)).astype(np.float32)
BATCHES = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)  # in their order, five
CALM = {"lowest": 1e-3, "highest": 0.5, "steps": 30, "stop_factor": math.inf}


def network(optimizer="sgd", **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
    )
    model.compile(optimizer, "mse", **options)
    return model


def by_hand(optimizer, rates):
    """The losses of a loop of one's own, each taken before its step."""
    model, losses = network(), []
    for step, rate in enumerate(rates):
        at = slice(8 * (step % 5), 8 * (step % 5) + 8)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(X[at]) - Y[at]) ** 2)
        optimizer.learning_rate = float(rate)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        losses.append(float(loss))
    return losses


OPTIMIZERS = {
    "sgd": lambda: SGD(0.01),
    "momentum": lambda: SGD(0.01, momentum=0.9),
    "adam": lambda: ADAM(0.01),
}


# ---------------------------------------------------------------------- rates and losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_losses_are_those_of_an_eager_loop_at_the_same_rates(name):
    curve = find_learning_rate(network(OPTIMIZERS[name](), run_eagerly=True), BATCHES, **CALM)
    np.testing.assert_allclose(curve.rates, np.geomspace(1e-3, 0.5, 30), rtol=1e-6)
    np.testing.assert_allclose(curve.losses, by_hand(OPTIMIZERS[name](), curve.rates), rtol=2e-6)
    # A rate that is one step late gives other losses: the comparison would see it.
    late = by_hand(OPTIMIZERS[name](), [curve.rates[0], *curve.rates[:-1]])
    assert not np.allclose(curve.losses, late, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [{}, {"steps_per_execution": 7}, {"jit_compile": True}],
    ids=str,
)
def test_exact_whatever_the_execution(options):
    curve = find_learning_rate(network(SGD(0.01, 0.9), **options), BATCHES, **CALM)
    assert len(curve.rates) == 30
    assert (curve.rates[0], curve.rates[-1]) == (np.float32(1e-3), np.float32(0.5))
    np.testing.assert_allclose(curve.losses, by_hand(SGD(0.01, 0.9), curve.rates), rtol=1e-5)


@pytest.mark.parametrize("executions", [1, 4])
def test_it_ends_at_the_same_step_whatever_the_execution(executions):
    model = network(SGD(0.01), steps_per_execution=executions)
    one, other = find_learning_rate(network(SGD(0.01)), X, Y), find_learning_rate(model, X, Y)
    assert one.ended in ("diverged", "non_finite")
    np.testing.assert_array_equal(one.rates, other.rates)
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-3)


def test_a_schedule_gives_way_and_comes_back():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    optimizer = SGD(schedule, momentum=0.9)
    curve = find_learning_rate(network(optimizer), BATCHES, **CALM)
    np.testing.assert_allclose(curve.rates, np.geomspace(1e-3, 0.5, 30), rtol=1e-6)
    np.testing.assert_allclose(curve.losses, by_hand(SGD(0.01, 0.9), curve.rates), rtol=1e-5)
    assert next(v for v in vars(optimizer).values() if v is schedule) is schedule
    np.testing.assert_allclose(float(optimizer.learning_rate), 0.1)  # its value at iteration 0


def test_accumulated_gradients_make_one_step_an_update():
    model = network(SGD(0.01, gradient_accumulation_steps=5))
    curve = find_learning_rate(model, BATCHES, **CALM)
    np.testing.assert_allclose(curve.rates, np.geomspace(1e-3, 0.5, 30), rtol=1e-6)
    # Five batches of eight are all forty: full-batch descent, by hand.
    plain, losses = network(), []
    for rate in curve.rates:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((plain(X) - Y) ** 2)
        for variable, gradient in zip(
            plain.trainable_variables,
            tape.gradient(loss, plain.trainable_variables),
            strict=True,
        ):
            variable.assign_sub(float(rate) * gradient)
        losses.append(float(loss))
    np.testing.assert_allclose(curve.losses, losses, rtol=1e-5)


def test_the_loss_is_the_true_one_with_its_regularization():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.1))]
    )
    model.compile(SGD(0.01), "mse")
    kernel = model.layers[0].kernel.numpy()
    curve = find_learning_rate(model, X, Y, batch_size=40)
    expected = np.mean((X @ kernel - Y) ** 2) + 0.1 * np.sum(kernel**2)
    assert curve.losses[0] == pytest.approx(expected, rel=1e-5)


# ---------------------------------------------------------------------- thresholds by hand


def test_the_threshold_of_a_parabola_is_two_over_its_curvature():
    """Loss w^2 has the second derivative 2; a step multiplies w by 1 - 2 rate: falls below 1."""
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
    )
    model.compile(SGD(0.01), "mse")
    curve = find_learning_rate(
        model, np.ones((4, 1)), np.zeros((4, 1)), lowest=0.1, highest=10, steps=40, smoothing=0
    )
    w = np.concatenate([[1.0], np.cumprod(1 - 2 * curve.rates)[:-1]])
    np.testing.assert_allclose(curve.losses, w**2, rtol=1e-3)
    assert curve.ended == "diverged"
    largest_below_1 = np.geomspace(0.1, 10, 40)[19]
    assert largest_below_1 < 1 < np.geomspace(0.1, 10, 40)[20]
    assert curve.suggestions["half_threshold"] == pytest.approx(largest_below_1 / 2, rel=1e-5)


def test_linear_regression_is_that_of_numpy():
    x = np.array([[1, 0], [0, 3], [1, 0]], np.float32)  # curvatures 2/3 (1 + 1) and 2/3 (9)
    y = np.array([[2], [3], [0]], np.float32)  # no weights fit all three
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
    )
    model.compile(SGD(0.01), "mse")
    options = {"lowest": 0.05, "highest": 50, "steps": 20, "smoothing": 0}
    curve = find_learning_rate(model, x, y, **options)
    w, losses = np.zeros((2, 1)), []
    for rate in curve.rates:
        losses.append(np.mean((x @ w - y) ** 2))
        w -= rate * 2 / 3 * x.T @ (x @ w - y)
    np.testing.assert_allclose(curve.losses, losses, rtol=1e-3)
    # The steep direction diverges above 2 / 6; it is seen once it has grown over what is left.
    threshold = 2 * curve.suggestions["half_threshold"]
    assert 2 / 6 <= threshold < 2 / (4 / 3)
    assert threshold == pytest.approx(curve.rates[np.argmin(losses) - 1])


def test_it_ends_at_once_where_the_loss_is_nan():
    targets = np.where(np.arange(40) == 39, np.nan, Y[:, 0])[:, None]
    curve = find_learning_rate(network(), X, targets, batch_size=40)
    assert (curve.ended, len(curve.losses)) == ("non_finite", 1)
    assert set(curve.suggestions.values()) == {None}
    assert "stayed finite for 0 of 100 steps" in curve.reasons["valley"]
    assert "nan" not in str(curve)
    assert len(curve.plot().axes) == 1


# ---------------------------------------------------------------------- nothing left behind


def rich_network(optimizer, **options):
    """With dropout, batch normalization, metrics, and a fit in its past."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.Dropout(0.3, seed=1),
            layers.Dense(1, dtype="float32"),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"], **options)
    model.fit(BATCHES, epochs=2, verbose=0)
    return model


def everything(model):
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [(v.path, v.numpy().tobytes()) for v in variables]


RESTORED = {
    "momentum": lambda: SGD(0.01, momentum=0.9),
    "adam with averages": lambda: ADAM(0.01, use_ema=True, ema_overwrite_frequency=2),
    "schedule": lambda: ADAM(keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.5)),
    "accumulated": lambda: SGD(0.01, gradient_accumulation_steps=3),
    "loss scaling": lambda: keras.optimizers.LossScaleOptimizer(ADAM(0.01)),
    "clipped": lambda: keras.optimizers.RMSprop(0.01, global_clipnorm=1.0),
}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        *((name, None) for name in RESTORED),
        ("schedule", ValueError),
        ("momentum", KeyboardInterrupt),
    ],
)
def test_the_model_comes_back_bit_for_bit(name, error, monkeypatch):
    model = rich_network(RESTORED[name]())
    optimizer, history, function = model.optimizer, model.history, model.train_function
    before, rate = everything(model), float(optimizer.learning_rate)
    keys, of_optimizer = set(vars(model)), set(vars(optimizer))
    if error is not None:
        add = learning_rate_range.Course.add

        def failing(self, rate, loss):
            add(self, rate, loss)
            if len(self.losses) == 7:
                raise error("in the seventh step")

        monkeypatch.setattr(learning_rate_range.Course, "add", failing)
        with pytest.raises(error, match="seventh"):
            find_learning_rate(model, X, Y, steps=30)
    else:
        curve = find_learning_rate(model, X, Y, steps=30)
        assert len(curve.losses) > 15
    assert everything(model) == before
    assert (model.optimizer, model.history, model.train_function) == (optimizer, history, function)
    assert float(optimizer.learning_rate) == rate
    assert (set(vars(model)), set(vars(optimizer))) == (keys, of_optimizer)
    if name not in ("momentum", "schedule") or error is not None:
        return
    # Nothing that isn't a variable either: training goes on as if there had been no test.
    twin = rich_network(RESTORED[name]())
    for one in (model, twin):
        one.fit(BATCHES, epochs=1, verbose=0)
    assert [v for _, v in everything(model)] == [v for _, v in everything(twin)]


def test_a_model_that_never_ran_trains_as_without_the_test():
    with_test, without = (network(ADAM(0.01), metrics=["mae"]) for _ in range(2))
    for model in (without, with_test):
        keras.utils.set_random_seed(1)
        if model is with_test:
            find_learning_rate(model, X, Y, steps=20)
            assert not hasattr(model, "history") or model.history is None
            assert model.train_function is None
        model.fit(X, Y, epochs=2, verbose=0)  # shuffled by TensorFlow's random state
    for one, other in zip(with_test.get_weights(), without.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert with_test.history.history == without.history.history


def test_the_random_states_of_python_and_numpy_stay():
    class Shuffled(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, at):
            rows = np.random.permutation(40)[:8]
            return X[rows], Y[rows + int(random.random() * 0)]

    model, data = network(), Shuffled()
    of_python, of_numpy = random.getstate(), np.random.get_state()
    find_learning_rate(model, data, steps=20)
    assert random.getstate() == of_python
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), of_numpy, strict=True))


def test_two_calls_give_the_same_curve():
    model = rich_network(SGD(0.01, momentum=0.9))
    one, two, other = (find_learning_rate(model, X, Y, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.losses, two.losses)
    assert one.suggestions == two.suggestions
    assert one.losses[0] != other.losses[0]


def test_a_monitor_may_watch_it_too():
    monitor, test = GradientNorms(), LearningRateRange(steps=20)
    network().fit(BATCHES, epochs=20, verbose=0, callbacks=[monitor, test])
    count = len(test.curve.rates)
    np.testing.assert_array_equal(monitor.record.learning_rate[:count], test.curve.rates)
    np.testing.assert_array_equal(monitor.record.loss[:count], test.curve.losses)


# ---------------------------------------------------------------------- kinds of data and models


def test_mixed_precision_unscales_the_loss():
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network(SGD(0.01, momentum=0.9))
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    curve = find_learning_rate(model, BATCHES, **CALM)
    np.testing.assert_allclose(curve.rates, np.geomspace(1e-3, 0.5, 30), rtol=1e-6)
    assert curve.losses[0] == pytest.approx(np.mean((model(X[:8]) - Y[:8]) ** 2), rel=1e-3)


def test_several_inputs_and_outputs():
    one, two = keras.Input((3,), name="one"), keras.Input((1,), name="two")
    joined = keras.layers.Concatenate()([one, two])
    outputs = {name: keras.layers.Dense(1, name=name)(joined) for name in ("left", "right")}
    by_name = keras.Model({"one": one, "two": two}, outputs)
    in_order = keras.Model([one, two], list(outputs.values()))
    for model in (by_name, in_order):
        model.compile("sgd", loss={"left": "mse", "right": "mae"} if model is by_name else "mse")
    curve = find_learning_rate(by_name, {"one": X, "two": Y}, {"left": Y, "right": Y}, steps=20)
    assert curve.losses[0] > 0
    assert find_learning_rate(in_order, [X, Y], [Y, Y], steps=20).losses[0] > 0


def test_a_batch_of_all_is_full_batch_descent():
    model = network()
    loss = np.mean((model.predict(X, verbose=0) - Y) ** 2)
    curve = find_learning_rate(model, X.astype(np.float64), tf.constant(Y), batch_size=1000)
    assert curve.losses[0] == pytest.approx(loss, rel=1e-5)


def endless():
    while True:
        yield from BATCHES.as_numpy_iterator()


class InOrder(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, at):
        return X[8 * at : 8 * at + 8], Y[8 * at : 8 * at + 8]


@pytest.mark.parametrize(
    "make",
    [lambda: BATCHES.repeat(), endless, InOrder, lambda: (X[:, :], Y)],
    ids=["endless tf.data", "generator", "PyDataset", "arrays"],
)
def test_kinds_of_data(make):
    data = make()
    arguments = data if isinstance(data, tuple) else (data,)
    curve = find_learning_rate(network(), *arguments, **CALM, batch_size=8)
    assert (len(curve.losses), curve.ended) == (30, "highest")


def test_data_that_end_early_are_told():
    with pytest.warns(UserWarning, match="tried 5 of 30 rates"):
        curve = find_learning_rate(network(), (batch for batch in BATCHES), **CALM)
    assert (len(curve.rates), curve.ended) == (5, "early")
    assert "only 5 of 30" in curve.reasons["valley"]


def test_a_custom_train_step():
    class Custom(keras.Model):
        def __init__(self, shows_loss):
            super().__init__()
            self.dense, self.shows_loss = keras.layers.Dense(1), shows_loss

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
                scaled = self.optimizer.scale_loss(loss) if self.shows_loss else loss
            self.optimizer.apply(tape.gradient(scaled, self.trainable_variables))
            return {"loss": loss}

    for shows_loss in (True, False):
        model = Custom(shows_loss)
        model.compile("sgd")
        with pytest.raises(ValueError, match="must have weights"):
            find_learning_rate(model, X, Y)
        model(X[:1])
        model.optimizer.build(model.trainable_variables)
        before = everything(model)
        if shows_loss:
            assert find_learning_rate(model, X, Y).suggestions["valley"]
        else:
            with pytest.raises(ValueError, match="was not shown"):
                find_learning_rate(model, X, Y)
        assert everything(model) == before


def test_updates_that_pass_elsewhere_are_told():
    class Elsewhere(keras.Sequential):
        def train_step(self, data):
            return {"loss": tf.constant(1.0)}

    model = Elsewhere([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd")
    with pytest.raises(ValueError, match="no update passed through"):
        find_learning_rate(model, BATCHES)


def test_replicas(mirrored_strategy):
    with mirrored_strategy.scope():
        model = network(SGD(0.01, momentum=0.9))
    curve = find_learning_rate(model, BATCHES, **CALM)
    assert model.optimizer.learning_rate.numpy() == pytest.approx(0.01)
    np.testing.assert_allclose(curve.losses, by_hand(SGD(0.01, 0.9), curve.rates), rtol=1e-4)


# ---------------------------------------------------------------------- the callback


def test_the_callback_ends_fit_and_restores():
    model, test = rich_network(SGD(0.01, momentum=0.9)), LearningRateRange(**CALM)
    before = everything(model)
    history = model.fit(
        X, Y, 8, epochs=50, verbose=0, callbacks=[test], sample_weight=np.full(40, 2.0)
    )
    assert len(history.epoch) == 6  # 30 steps of 5 an epoch
    assert len(test.curve.rates) == 30
    weights = [v for path, v in everything(model) if "metric" not in path]
    assert weights == [v for path, v in before if "metric" not in path]


def test_the_callback_may_leave_the_weights():
    model, test = network(), LearningRateRange(**CALM, restore=False)
    before = model.get_weights()
    model.fit(BATCHES, epochs=6, verbose=0, callbacks=[test])
    assert not np.array_equal(model.get_weights()[0], before[0])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_the_callback_serves_many_fits_and_models():
    test = copy.deepcopy(LearningRateRange(**CALM))
    losses = []
    for optimizer in (SGD(0.01), SGD(0.01), ADAM(0.01)):
        network(optimizer).fit(BATCHES, epochs=6, verbose=0, callbacks=[test])
        losses.append(test.curve.losses)
    np.testing.assert_array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


def test_the_callback_after_an_exception():
    class Failing(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise RuntimeError("full disk")

    model, test = rich_network(ADAM(0.01)), LearningRateRange(**CALM)
    before, function = everything(model), model.train_function
    for _ in range(2):
        with pytest.raises(RuntimeError, match="full disk"):
            model.fit(BATCHES, epochs=6, verbose=0, callbacks=[test, Failing()])
        with pytest.raises(ValueError, match="no curve yet"):
            _ = test.curve
    test.restore()
    test.restore()
    weights = [v for path, v in everything(model) if "metric" not in path]
    assert weights == [v for path, v in before if "metric" not in path]
    assert model.train_function is function
    assert "apply" not in vars(model.optimizer)


class Interrupt(keras.callbacks.Callback):
    """Ends a `fit` as Ctrl-C does."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 3:
            raise KeyboardInterrupt


def trained_on(optimizer, rate=None, test=None, others=()):
    """The weights after a `fit` of two epochs, before it one with a test that was interrupted."""
    model = network(optimizer)
    model.optimizer.build(model.trainable_variables)
    before = [variable.numpy() for variable in [*model.variables, *optimizer.variables]]
    if test is not None:
        with pytest.raises(KeyboardInterrupt):
            model.fit(BATCHES, epochs=6, verbose=0, callbacks=[test, *others, Interrupt()])
        for variable, value in zip([*model.variables, *optimizer.variables], before, strict=True):
            variable.assign(variable.numpy() if variable.path.endswith("learning_rate") else value)
    if rate is not None:
        optimizer.learning_rate = rate
    model.fit(BATCHES, epochs=2, verbose=0)
    assert {"apply", "scale_loss"}.isdisjoint(vars(optimizer))
    assert "make_train_function" not in vars(model)
    return model.get_weights(), float(optimizer.learning_rate)


@pytest.mark.parametrize("rate", [None, 0.003], ids=["the rate that was", "a new rate"])
@pytest.mark.parametrize("watched", [False, True], ids=["alone", "beside a monitor"])
@pytest.mark.parametrize("restore", [False, True])
def test_an_interrupted_test_leaves_later_training_alone(restore, watched, rate):
    test = LearningRateRange(**CALM, restore=restore)
    others = [GradientNorms()] if watched else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        weights, after = trained_on(SGD(0.01, momentum=0.9), rate, test, others)
    expected, untouched = trained_on(SGD(0.01, momentum=0.9), rate)
    assert after == untouched
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_interrupted_test_gives_later_training_its_schedule():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    weights, after = trained_on(SGD(schedule), test=LearningRateRange(**CALM, restore=False))
    expected, untouched = trained_on(SGD(schedule))
    assert after == untouched == pytest.approx(0.1 * 0.5**2)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_later_training_keeps_a_new_schedule():
    first, second = (keras.optimizers.schedules.ExponentialDecay(r, 5, 0.5) for r in (0.1, 0.2))
    weights, after = trained_on(SGD(first), second, LearningRateRange(**CALM, restore=False))
    expected, untouched = trained_on(SGD(first), second)
    assert after == untouched == pytest.approx(0.2 * 0.5**2)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_later_training_says_that_the_weights_are_those_of_the_test():
    for restore, message in ((True, r"Call `restore\(\)` before"), (False, None)):
        model, test = network(), LearningRateRange(**CALM, restore=restore)
        with pytest.raises(KeyboardInterrupt):
            model.fit(BATCHES, epochs=6, verbose=0, callbacks=[test, Interrupt()])
        left = model.get_weights()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            model.train_on_batch(X[:8], Y[:8])
        messages = [str(w.message) for w in caught if "range test" in str(w.message)]
        assert len(messages) == (message is not None)
        assert all(re.search(message, one) for one in messages)
        trained = model.get_weights()
        assert not np.array_equal(trained[0], left[0])
        # It has lost its claim on the weights: they are another training's by now.
        test.restore()
        model.fit(BATCHES, epochs=6, verbose=0, callbacks=[test])
        assert len(test.curve.rates) == 30
        assert np.array_equal(model.get_weights()[0], trained[0]) == restore


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"lowest": 0}, "lowest=0"),
        ({"lowest": -1.0}, "lowest=-1.0"),
        ({"lowest": "small"}, "lowest='small'"),
        ({"lowest": math.nan}, "lowest=nan"),
        ({"highest": 1.5e-6}, "highest=1.5e-06"),
        ({"highest": math.inf}, "highest=inf"),
        ({"highest": True}, "highest=True"),
        ({"steps": 19}, "steps=19"),
        ({"steps": 20.5}, "steps=20.5"),
        ({"smoothing": 1}, "smoothing=1"),
        ({"smoothing": -0.1}, "smoothing=-0.1"),
        ({"stop_factor": 1}, "stop_factor=1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": -1}, "seed=-1"),
    ],
    ids=str,
)
def test_bad_arguments(options, named):
    with pytest.raises(ValueError, match=re.escape(f"Received: {named}")):
        find_learning_rate(network(), X, Y, **options)
    if not options.keys() & {"batch_size", "seed"}:
        with pytest.raises(ValueError, match=re.escape(f"Received: {named}")):
            LearningRateRange(**options)


def test_bad_models():
    with pytest.raises(ValueError, match=r"must be a keras\.Model"):
        find_learning_rate("model", X, Y)
    plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="must be compiled"):
        find_learning_rate(plain, X, Y)
    unbuilt = keras.Sequential([keras.layers.Dense(1)])
    unbuilt.compile("sgd", "mse")
    with pytest.raises(ValueError, match="must have weights to train"):
        find_learning_rate(unbuilt, X, Y)
    with pytest.raises(ValueError, match="a function for a rate"):
        find_learning_rate(network(SGD(lambda: 0.1)), X, Y)


def test_bad_data():
    with pytest.raises(ValueError, match="same number of examples"):
        find_learning_rate(network(), X, Y[:3])
    with pytest.raises(ValueError, match="same number of examples"):
        find_learning_rate(network(), X[:0], Y[:0])
    model = network(ADAM(0.01))
    model.optimizer.build(model.trainable_variables)
    before = everything(model)
    with pytest.raises(ValueError):
        find_learning_rate(model, BATCHES, Y)  # Keras' own error
    assert everything(model) == before


def test_trainable_switched_without_compiling():
    model = rich_network(SGD(0.01))
    model.layers[0].trainable = False
    with pytest.raises(ValueError, match="after switching `trainable`"):
        find_learning_rate(model, X, Y)


# ---------------------------------------------------------------------- shown


def test_the_figure_and_the_table():
    curve = find_learning_rate(network(SGD(0.01)), X, Y)
    axes = curve.plot().axes[0]
    lines = {line.get_gid(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["smoothed"].get_ydata(), curve.smoothed)
    np.testing.assert_array_equal(lines["losses"].get_xdata(), curve.rates)
    for name, rate in curve.suggestions.items():
        assert name in str(curve)
        assert (name in lines) == (rate is not None)
        if rate is not None:
            assert lines[name].get_xdata()[0] == rate
    assert axes.get_xscale() == "log"


DOCUMENT = Path(__file__).parents[2] / "docs" / "learning_rate.md"
BLOCKS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.mark.parametrize(("code", "printed"), BLOCKS, ids=lambda text: text[:20])
def test_the_document_prints_what_stands_below_it(code, printed):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, str(DOCUMENT), "exec"), {})
    assert out.getvalue() == printed
