"""`OneCycle`, against NumPy's interpolation and a loop that sets rate and momentum by hand."""

import copy
import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.callbacks.gradient_norms import GradientNorms
from trainwell.callbacks.one_cycle import OneCycle

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
Y = RNG.normal(size=(40, 1)).astype(np.float32)


def cycle(steps, high=0.2, share=0.1, momentum=(0.95, 0.85), anneal="linear"):
    """Rate and momentum of each step."""
    at = np.linspace(0, 1, steps) if steps > 1 else np.zeros(1)
    ramp = (1 - share) / 2
    low = high / 10
    knots = [0, ramp, 2 * ramp, 1]
    rates, momenta = [low, high, low, low / 1000], [momentum[0], momentum[1], *[momentum[0]] * 2]
    if not share:
        knots, rates, momenta = knots[:3], rates[:3], momenta[:3]
    if anneal == "cosine":
        part = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
        start, end = np.take(knots, part), np.take(knots, part + 1)
        way = (1 - np.cos(np.pi * (at - start) / (end - start))) / 2
        blend = [
            np.take(v, part) + (np.take(v, part + 1) - np.take(v, part)) * way
            for v in (rates, momenta)
        ]
        return blend[0], blend[1]
    return np.interp(at, knots, rates), np.interp(at, knots, momenta)


def network(optimizer, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", **options)
    return model


def fit(model, callback, epochs=2, initial_epoch=0, **options):
    """Five batches an epoch."""
    callbacks = [callback, *options.pop("callbacks", [])]
    return model.fit(
        X, Y, 8, epochs, 0, callbacks, shuffle=False, initial_epoch=initial_epoch, **options
    )


def by_hand(optimizer, name, rates, momenta):
    """The steps one by one, eagerly, where Keras reads the Python number anew."""
    model = network("sgd")
    for step, (rate, momentum) in enumerate(zip(rates, momenta, strict=True)):
        at = slice(8 * (step % 5), 8 * (step % 5) + 8)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(X[at]) - Y[at]) ** 2)
        optimizer.learning_rate = float(rate)
        if name:
            setattr(optimizer, name, float(momentum))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
    return model.get_weights()


def close(one, other, rtol=2e-4):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


OPTIMIZERS = {
    "sgd": (lambda: keras.optimizers.SGD(0.01, momentum=0.9), "momentum", 0.05),
    "nesterov": (lambda: keras.optimizers.SGD(0.01, 0.9, nesterov=True), "momentum", 0.05),
    "rmsprop": (lambda: keras.optimizers.RMSprop(0.01, momentum=0.9), "momentum", 0.01),
    "adam": (lambda: keras.optimizers.Adam(0.01), "beta_1", 0.02),
    "adamw": (lambda: keras.optimizers.AdamW(0.01), "beta_1", 0.02),
    "nadam": (lambda: keras.optimizers.Nadam(0.01), "beta_1", 0.02),
    "adamax": (lambda: keras.optimizers.Adamax(0.01), "beta_1", 0.02),
    "lamb": (lambda: keras.optimizers.Lamb(0.01), "beta_1", 0.02),
    "lion": (lambda: keras.optimizers.Lion(0.01), "beta_1", 0.1),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_step_is_that_of_a_loop_by_hand(optimizer):
    make, name, high = OPTIMIZERS[optimizer]
    wide = (0.95, 0.2)
    rates, momenta = cycle(10, high, momentum=wide)
    model = network(make())
    fit(model, OneCycle(high, momentum=wide))
    close(model.get_weights(), by_hand(make(), name, rates, momenta))
    # A constant momentum gives something else: the comparison would see it.
    constant = by_hand(make(), None, rates, momenta)
    assert not np.allclose(model.get_weights()[0], constant[0], rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"steps_per_execution": 5}, {"steps_per_execution": 3}, {"jit_compile": True}],
    ids=str,
)
def test_exact_within_one_execution(options):
    make, name, high = OPTIMIZERS["sgd"]
    model = network(make(), **options)
    fit(model, OneCycle(high))
    close(model.get_weights(), by_hand(make(), name, *cycle(10, high)))


def test_keras_momentum_is_compiled_in():
    """Why all this: what a callback sets on an optimizer after the first step does nothing."""

    class Set(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.momentum = 0.0 if epoch else 0.9

    changed, constant = (network(keras.optimizers.SGD(0.01, momentum=0.9)) for _ in range(2))
    fit(changed, Set())
    fit(constant, keras.callbacks.Callback())
    close(changed.get_weights(), constant.get_weights(), rtol=0)


@pytest.mark.parametrize("anneal", ["linear", "cosine"])
@pytest.mark.parametrize(("steps", "share"), [(100, 0.1), (7, 0.3), (40, 0.0), (1, 0.1)])
def test_the_curve(steps, share, anneal):
    callback = OneCycle(0.2, final_share=share, anneal=anneal)
    callback._steps = steps
    values = np.array([[float(v) for v in callback._values(step)] for step in range(steps)])
    rates, momenta = cycle(steps, share=share, anneal=anneal)
    np.testing.assert_allclose(values[:, 0], rates, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(values[:, 1], momenta, rtol=1e-5)
    # Constant after the end.
    after = float(callback._values(10 * steps)[0])
    np.testing.assert_allclose(after, rates[-1] if steps > 1 else 2e-5, rtol=1e-4)


def test_the_logs_and_what_is_left():
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model = network(optimizer)
    history = fit(model, OneCycle(0.2, final_share=0.2), epochs=5).history
    # Each epoch's last of the steps 0 to 24; the peak is at 9.6.
    rates, momenta = cycle(25, share=0.2)
    np.testing.assert_allclose(history["learning_rate"], rates[[4, 9, 14, 19, 24]], rtol=1e-4)
    np.testing.assert_allclose(history["momentum"], momenta[[4, 9, 14, 19, 24]], rtol=1e-5)
    assert float(optimizer.learning_rate) == pytest.approx(2e-5, rel=1e-3)
    assert type(optimizer.momentum) is float
    assert optimizer.momentum == 0.9
    assert "apply" not in vars(optimizer)
    # Its old train function, with the old momentum compiled in.
    again, other = model.get_weights(), network(keras.optimizers.SGD(0.01, momentum=0.9))
    other.set_weights(again)
    other.optimizer.build(other.trainable_variables)
    other.optimizer.set_weights([v.numpy() for v in optimizer.variables])
    for one in (model, other):
        one.fit(X, Y, 8, shuffle=False, verbose=0)
    close(model.get_weights(), other.get_weights(), rtol=1e-6)


@pytest.mark.parametrize("saved", [False, True])
def test_resumed_at_initial_epoch(saved, tmp_path):
    make = OPTIMIZERS["sgd"][0]
    straight = network(make())
    fit(straight, OneCycle(0.05), epochs=4)
    model, callback = network(make()), OneCycle(0.05, epochs=4)
    fit(model, callback, epochs=1)
    if saved:
        model.save(tmp_path / "model.keras")
        model, callback = keras.models.load_model(tmp_path / "model.keras"), OneCycle(0.05)
    fit(model, callback, epochs=4, initial_epoch=1)
    close(model.get_weights(), straight.get_weights(), rtol=0)


def test_one_instance_serves_many_fits():
    make = OPTIMIZERS["adam"][0]
    callback, weights = OneCycle(0.02), []
    for _ in range(2):
        model = network(make())
        fit(model, callback)
        weights.append(model.get_weights())
    close(*weights, rtol=0)


def test_accumulated_gradients_count_batches():
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, gradient_accumulation_steps=2)
    fit(network(optimizer), OneCycle(0.05))
    assert float(optimizer.learning_rate) == pytest.approx(5e-6, rel=1e-2)


def test_below_a_loss_scale_and_without_momentum():
    make = OPTIMIZERS["sgd"][0]
    model = network(keras.optimizers.LossScaleOptimizer(make()))
    fit(model, OneCycle(0.05))
    close(model.get_weights(), by_hand(make(), "momentum", *cycle(10, 0.05)))
    plain = network(keras.optimizers.SGD(0.01))
    history = fit(plain, OneCycle(0.05, momentum=None)).history
    assert "momentum" not in history
    close(plain.get_weights(), by_hand(keras.optimizers.SGD(0.01), None, *cycle(10, 0.05)))


def test_replicas(mirrored_strategy):
    make = OPTIMIZERS["sgd"][0]
    with mirrored_strategy.scope():
        model = network(make())
    fit(model, OneCycle(0.05))
    close(model.get_weights(), by_hand(make(), "momentum", *cycle(10, 0.05)), rtol=1e-3)


def test_a_checkpoint_saved_meanwhile_is_a_plain_one(tmp_path):
    path = tmp_path / "model.keras"
    checkpoint = keras.callbacks.ModelCheckpoint(path)
    model = network(OPTIMIZERS["sgd"][0]())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(model, OneCycle(0.05), callbacks=[checkpoint])
        loaded = keras.models.load_model(path)
    assert loaded.optimizer.momentum == 0.9
    assert int(loaded.optimizer.iterations) == 10
    close(loaded.get_weights(), model.get_weights(), rtol=0)


def test_a_monitor_sees_the_rate_of_each_step():
    rates = cycle(10, 0.05)[0]
    for monitor_first in (True, False):
        monitor, callback = GradientNorms(), OneCycle(0.05)
        model = network(OPTIMIZERS["sgd"][0]())
        callbacks = [monitor, callback] if monitor_first else [callback, monitor]
        model.fit(X, Y, 8, 2, 0, callbacks, shuffle=False)
        np.testing.assert_allclose(monitor.record.learning_rate, rates, rtol=1e-4)


def test_an_exception_in_fit_and_detach():
    class Fail(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    model, callback = network(OPTIMIZERS["sgd"][0]()), OneCycle(0.05)
    with pytest.raises(KeyboardInterrupt):
        fit(model, callback, callbacks=[Fail()])
    callback.detach()
    assert type(model.optimizer.momentum) is float
    assert "apply" not in vars(model.optimizer)
    fit(model, callback)


def test_copies_and_momentum_read_by_python():
    class Curious(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            momentum = self.model.optimizer.momentum
            seen.append((momentum == 0.9, type(copy.deepcopy(momentum)), f"{momentum}"))

    seen = []
    fit(network(OPTIMIZERS["sgd"][0]()), OneCycle(0.05), callbacks=[Curious()])
    assert seen == [(True, float, "0.9")] * 2


class Deaf(keras.optimizers.SGD):
    """An optimizer that has copied its momentum at the start."""

    def __init__(self, **options):
        super().__init__(momentum=0.9, **options)
        self.copied = 0.9

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, self.copied * gradient * learning_rate)


def test_a_momentum_that_is_not_read_is_told():
    with pytest.warns(UserWarning, match="Deaf did not read its momentum.*`momentum=None`"):
        fit(network(Deaf()), OneCycle(0.05))


def test_what_the_optimizer_must_have():
    with pytest.raises(ValueError, match=r"optimizer=SGD.*momentum=0\.95\), or pass `momentum=N"):
        fit(network("sgd"), OneCycle(0.05))
    with pytest.raises(ValueError, match=r"optimizer=Adagrad"):
        fit(network("adagrad"), OneCycle(0.05))
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    with pytest.raises(ValueError, match=r"computes its own.*Compile with a number"):
        fit(network(keras.optimizers.Adam(schedule)), OneCycle(0.05))
    data = tf.data.Dataset.from_generator(
        lambda: ((X[:8], Y[:8]) for _ in range(5)),
        output_signature=(tf.TensorSpec((8, 3)), tf.TensorSpec((8, 1))),
    )
    model = network("adam")
    with pytest.raises(ValueError, match=r"length of an epoch.*Pass `steps_per_epoch` here"):
        model.fit(data, verbose=0, callbacks=[OneCycle(0.05)])
    model.fit(data, verbose=0, callbacks=[OneCycle(0.05, steps_per_epoch=5)])
    assert float(model.optimizer.learning_rate) == pytest.approx(5e-6, rel=1e-2)


def test_trainable_switched_without_compiling():
    model = network("adam")
    fit(model, OneCycle(0.05))
    model.layers[0].trainable = False
    with pytest.raises(ValueError, match=r"Call `model\.compile\(\.\.\.\)` after"):
        fit(model, OneCycle(0.05))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_learning_rate": 0}, r"must be above 0\. Received: max_learning_rate=0"),
        ({"max_learning_rate": math.inf}, r"max_learning_rate=inf"),
        ({"max_learning_rate": "0.1"}, r"max_learning_rate='0\.1'"),
        ({"epochs": 0}, r"epochs=0"),
        ({"steps_per_epoch": 1.5}, r"steps_per_epoch=1\.5"),
        ({"momentum": 0.9}, r"two numbers in \[0, 1\).*momentum=0\.9"),
        ({"momentum": (0.85, 0.95)}, r"highest and the lowest.*momentum=\(0\.85, 0\.95\)"),
        ({"momentum": (1.0, 0.9)}, r"momentum=\(1\.0, 0\.9\)"),
        ({"momentum": (0.9, "0.8")}, r"momentum=\(0\.9, '0\.8'\)"),
        ({"start_factor": 0}, r"in \(0, 1\]\. Received: start_factor=0"),
        ({"final_factor": 1.5}, r"final_factor=1\.5"),
        ({"final_share": 1}, r"in \[0, 1\)\. Received: final_share=1"),
        ({"anneal": "exp"}, r"`anneal` must be 'linear' or 'cosine'\. Received: anneal='exp'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        OneCycle(**{"max_learning_rate": 0.1, **arguments})


def test_an_interrupted_cycle_leaves_later_training_alone():
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 5)), rng.normal(size=(32, 1))
    runs = []
    for interrupted in (True, False):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
        if interrupted:
            before = model.get_weights()
            with pytest.raises(KeyboardInterrupt):
                model.fit(x, y, batch_size=8, verbose=0, callbacks=[OneCycle(0.05), Interrupt()])
            model.set_weights(before)
            for variable in model.optimizer.variables:
                variable.assign(np.zeros(variable.shape))
        model.optimizer.learning_rate = 0.001
        model.fit(x, y, batch_size=8, epochs=2, verbose=0, shuffle=False)
        assert float(model.optimizer.learning_rate.numpy()) == np.float32(0.001)
        assert type(model.optimizer.momentum) is float
        runs.append(model.get_weights())
    np.testing.assert_array_equal(runs[0][0], runs[1][0])


def test_the_logs_hold_the_rate_and_momentum_of_the_epochs_last_step():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mse")
    monitor = GradientNorms()
    cycle = OneCycle(0.05, final_share=0.0, momentum=(0.95, 0.85))
    x = np.ones((8, 5))
    history = model.fit(x, x[:, :1], batch_size=8, epochs=5, verbose=0, callbacks=[cycle, monitor])
    np.testing.assert_allclose(
        history.history["learning_rate"], [0.005, 0.0275, 0.05, 0.0275, 0.005], rtol=1e-6
    )
    np.testing.assert_allclose(history.history["momentum"], [0.95, 0.9, 0.85, 0.9, 0.95], rtol=1e-6)
    np.testing.assert_allclose(monitor.record.learning_rate, history.history["learning_rate"])


@pytest.mark.parametrize("monitor_first", [False, True])
def test_an_interrupted_cycle_beside_a_monitor_leaves_later_training_alone(monitor_first):
    """The monitor, which goes later, holds a train function with the cycle traced into it."""

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = network(OPTIMIZERS["sgd"][0]())
    callbacks = [OneCycle(0.05), GradientNorms()]
    with pytest.raises(KeyboardInterrupt):
        fit(model, Interrupt(), callbacks=callbacks[:: -1 if monitor_first else 1])
    model.optimizer.learning_rate = 0.001
    model.fit(X, Y, 8, 2, verbose=0)
    assert float(model.optimizer.learning_rate.numpy()) == np.float32(0.001)
    assert model.optimizer.momentum == 0.9
