"""`GradientNorms` in `fit`: the numbers, and that nothing else changes."""

import copy
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.callbacks import GradientNorms, TrainingRecord

ALL = ("gradient_norm", "weight_norm", "update_norm", "mean_abs_gradient", "max_abs_gradient",
       "zero_fraction")  # fmt: skip


def data(rows=48, features=5, classes=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, features)).astype("float32"), rng.integers(0, classes, rows)


def network(optimizer="sgd", seed=1, **options):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(4, "relu", name="hidden_1"),
            keras.layers.Dense(4, "relu", name="hidden_2"),
            keras.layers.Dense(3, "softmax", name="output"),
        ],
        name="net",
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def fit(model, *callbacks, epochs=2, **options):
    x, y = data()
    options = {"batch_size": 8, "shuffle": False, "verbose": 0} | options
    return model.fit(x, y, epochs=epochs, callbacks=list(callbacks), **options)


def tape_reference(model, epochs=2, batch=8):
    """Each step's loss, gradients, weights before and after, by a plain tape; float64 arrays."""
    x, y = data()
    for _ in range(epochs):
        for start in range(0, len(x), batch):
            rows = slice(start, start + batch)
            with tf.GradientTape() as tape:
                loss = model.compute_loss(y=y[rows], y_pred=model(x[rows], training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            before = [v.numpy().astype(float) for v in model.trainable_variables]
            model.optimizer.apply(gradients, model.trainable_variables)
            after = [v.numpy().astype(float) for v in model.trainable_variables]
            yield float(loss), [g.numpy().astype(float) for g in gradients], before, after


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_all_statistics_equal_a_plain_tape(optimizer, jit):
    monitor = GradientNorms(statistics=ALL)
    fit(network(optimizer, jit_compile=jit), monitor)
    record = monitor.record
    for step, (loss, gradients, before, after) in enumerate(tape_reference(network(optimizer))):
        expected = {
            "gradient_norm": [np.linalg.norm(g) for g in gradients],
            "weight_norm": [np.linalg.norm(w) for w in before],
            "update_norm": [np.linalg.norm(b - a) for a, b in zip(before, after, strict=True)],
            "mean_abs_gradient": [np.abs(g).mean() for g in gradients],
            "max_abs_gradient": [np.abs(g).max() for g in gradients],
            "zero_fraction": [(g == 0).mean() for g in gradients],
        }
        np.testing.assert_allclose(record.loss[step], loss, rtol=1e-5)
        for name, values in expected.items():
            # An update is a difference of float32 weights: their rounding stays in it.
            slack = 1e-6 if name == "update_norm" else 1e-7
            np.testing.assert_allclose(
                record[name][step], values, rtol=1e-4, atol=slack, err_msg=name
            )
    assert len(record.steps) == step + 1 == 12


def test_first_steps_norms_equal_a_tape_to_float32_rounding():
    monitor = GradientNorms()
    fit(network(), monitor, epochs=1)
    _, gradients, _, _ = next(tape_reference(network()))
    norms = [np.linalg.norm(gradient) for gradient in gradients]
    np.testing.assert_allclose(monitor.record["gradient_norm"][0], norms, rtol=1e-6)


def test_a_network_small_enough_for_the_hand():
    # y = w2 (w1 x + b1) + b2 with w1=2, w2=3, b=0; x=1, target 0: y=6, loss y^2=36, dL/dy=12.
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.set_weights([np.array([[2.0]]), np.zeros(1), np.array([[3.0]]), np.zeros(1)])
    monitor = GradientNorms()
    model.fit(np.ones((1, 1)), np.zeros((1, 1)), verbose=0, callbacks=[monitor])
    # dL/dw1 = 12*3*1, dL/db1 = 12*3, dL/dw2 = 12*(2*1), dL/db2 = 12.
    assert monitor.record["gradient_norm"].tolist() == [[36.0, 36.0, 24.0, 12.0]]
    assert monitor.record.loss.tolist() == [36.0]
    np.testing.assert_allclose(monitor.record.by_layer("gradient_norm")[0, 1], np.hypot(24, 12))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("every", [1, 5])
def test_weights_and_optimizer_state_are_bit_identical(optimizer, jit, every):
    runs = []
    for callbacks in ([], [GradientNorms(every, statistics=ALL)]):
        model = network(optimizer, jit_compile=jit)
        fit(model, *callbacks, epochs=5, shuffle=True)
        runs.append([v.numpy().tobytes() for v in (*model.variables, *model.optimizer.variables)])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_norms_are_right_where_their_squares_leave_float32(scale):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.0), lambda y, p: p[:, 0])  # dL/dw = x
    monitor = GradientNorms()
    x = np.array([[3.0, 4.0]]) * scale
    model.fit(x, np.zeros(1), verbose=0, callbacks=[monitor])
    np.testing.assert_allclose(monitor.record["gradient_norm"], [[5 * scale]], rtol=1e-6)


def test_non_finite_gradients_are_recorded_as_such():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.0), lambda y, p: p[:, 0] * y)
    monitor = GradientNorms()
    x, y = np.ones((3, 2)), np.array([np.inf, np.nan, 1.0])
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0, callbacks=[monitor])
    norms = monitor.record["gradient_norm"][:, 0]
    assert np.isinf(norms[0]) and np.isnan(norms[1]) and norms[2] == np.float32(np.sqrt(2))


def test_every_records_the_multiples_over_all_fits():
    monitor = GradientNorms(every=4)
    model = network()
    fit(model, monitor, epochs=1)  # steps 0 to 5
    fit(model, monitor, epochs=2)  # steps 6 to 17
    record = monitor.record
    assert record.steps.tolist() == [0, 4, 8, 12, 16]
    assert record.fit.tolist() == [0, 0, 1, 1, 1]
    assert record.epoch.tolist() == [0, 0, 0, 1, 1]
    assert [(logs["fit"], logs["epoch"]) for logs in record.epochs] == [(0, 0), (1, 0), (1, 1)]


def test_a_model_fitted_before_is_watched_all_the_same():
    model = network()
    fit(model, epochs=1)
    before = model.train_function
    monitor = GradientNorms()
    fit(model, monitor, epochs=1)
    assert monitor.record.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert model.train_function is before


def test_after_fit_nothing_is_left():
    model, plain = network(), network()
    fit(model, GradientNorms())
    fit(plain)
    pairs = zip(model.layers, plain.layers, strict=True)
    for watched, never in [(model, plain), (model.optimizer, plain.optimizer), *pairs]:
        assert set(vars(watched)) == set(vars(never))


def test_another_model_starts_another_record():
    monitor = GradientNorms()
    fit(network(seed=1), monitor)
    first = monitor.record
    fit(network(seed=2), monitor, epochs=1)
    assert len(first.steps) == 12 and len(monitor.record.steps) == 6
    assert monitor.records == [first, monitor.record]


def test_other_trainable_variables_start_another_record():
    model, monitor = network(), GradientNorms()
    fit(model, monitor, epochs=1)
    model.get_layer("hidden_1").trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    fit(model, monitor, epochs=1)
    assert [len(record.variables) for record in monitor.records] == [6, 4]
    assert monitor.record.fit.tolist() == [0] * 6


class Raises(keras.callbacks.Callback):
    def __init__(self, at, error=RuntimeError):
        super().__init__()
        self.at, self.error = at, error

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at:
            raise self.error("stop here")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("first", ["monitor", "raiser"])
def test_an_exception_in_fit_leaves_record_and_optimizer_usable(error, first):
    model, monitor = network(), GradientNorms()
    callbacks = [monitor, Raises(2, error)]
    with pytest.raises(error):
        fit(model, *(callbacks if first == "monitor" else callbacks[::-1]))
    assert monitor.record.steps.tolist() == [0, 1, 2]
    history = fit(model, epochs=1).history  # unwatched: what is left in the step is inert
    assert [len(monitor.record.steps) for _ in range(3)] == [3, 3, 3]
    assert "gradient_norm" not in history and "apply" not in vars(model.optimizer)
    fit(model, monitor, epochs=1)
    assert monitor.record.fit[-6:].tolist() == [1] * 6


def test_an_error_of_the_monitor_warns_once_and_training_goes_on(monkeypatch):
    monitor = GradientNorms()
    monkeypatch.setattr(monitor, "_row", lambda step: 1 / 0)
    model = network()
    with pytest.warns(UserWarning, match="stopped watching, training goes on .ZeroDivisionError"):
        history = fit(model, monitor)
    assert len(history.history["loss"]) == 2 and "apply" not in vars(model.optimizer)


def test_trainable_switched_without_compiling_is_not_watched_but_trained():
    model = network()
    fit(model, epochs=1)
    model.get_layer("hidden_1").trainable = False
    plain = network()
    fit(plain, epochs=1)
    plain.get_layer("hidden_1").trainable = False
    fit(plain, epochs=1)
    with pytest.warns(UserWarning, match="`trainable` was switched"):
        fit(model, GradientNorms(), epochs=1)
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("steps_per_execution", [1, 4, 100])
def test_steps_per_execution_loses_no_step(steps_per_execution):
    monitor, expected = GradientNorms(), GradientNorms()
    fit(network(steps_per_execution=steps_per_execution), monitor)
    fit(network(), expected)
    assert monitor.record.steps.tolist() == list(range(12))
    np.testing.assert_array_equal(monitor.record["gradient_norm"], expected.record["gradient_norm"])


def test_a_ring_that_fills_within_an_epoch_loses_nothing(monkeypatch):
    monkeypatch.setattr("trainwell.callbacks._monitor._RING_BYTES", 1)  # 64 rows, the least
    small = GradientNorms()
    x, y = data(rows=300)
    network().fit(x, y, batch_size=1, verbose=0, callbacks=[small])
    monkeypatch.undo()
    large = GradientNorms()
    network().fit(x, y, batch_size=1, verbose=0, callbacks=[large])
    assert small.record.steps.tolist() == list(range(300))
    np.testing.assert_array_equal(small.record["gradient_norm"], large.record["gradient_norm"])


def test_epoch_logs_hold_the_means_and_only_numbers():
    monitor = GradientNorms(log_layers=True)
    history = fit(network(), monitor, epochs=1).history
    record = monitor.record
    total = np.sqrt((record["gradient_norm"].astype(float) ** 2).sum(axis=1))
    np.testing.assert_allclose(history["gradient_norm"], [total.mean()], rtol=1e-6)
    ratio = np.exp(np.log(record.gradient_ratio().astype(float)).mean())
    np.testing.assert_allclose(history["gradient_ratio"], [ratio], rtol=1e-6)
    layer = record.by_layer("gradient_norm")[:, 1].mean()
    np.testing.assert_allclose(history["gradient_norm/hidden_2"], [layer], rtol=1e-6)
    assert record.epochs[0]["accuracy"] == pytest.approx(history["accuracy"][0])


def test_the_record_may_be_read_during_fit():
    seen = []
    monitor = GradientNorms()
    peek = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(len(monitor.record.steps))
    )
    fit(network(), monitor, peek, epochs=1)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_learning_rate_schedules_are_recorded_step_by_step():
    schedule = keras.optimizers.schedules.InverseTimeDecay(0.5, 1, 1.0)  # 0.5 / (1 + step)
    monitor = GradientNorms()
    fit(network(keras.optimizers.SGD(schedule)), monitor, epochs=1)
    np.testing.assert_allclose(monitor.record.learning_rate, 0.5 / np.arange(1, 7), rtol=1e-6)


def test_a_directory_gets_the_record_while_it_grows(tmp_path):
    for _ in range(2):
        fit(network(), GradientNorms(directory=tmp_path / "logs"))
    files = sorted(path.name for path in (tmp_path / "logs").glob("*.record"))
    assert files == ["gradients-2.record", "gradients.record"]
    read = TrainingRecord.load(tmp_path / "logs" / "gradients.record")
    assert len(read.steps) == 12 and len(read.epochs) == 2 and read.network["name"] == "net"


def test_the_network_is_described():
    monitor = GradientNorms()
    fit(network(), monitor, epochs=3)
    network_facts = monitor.record.network
    assert network_facts["parameters"] == 5 * 4 + 4 + 4 * 4 + 4 + 4 * 3 + 3
    assert [layer["activation"] for layer in network_facts["layers"]] == ["relu", "relu", "softmax"]
    assert network_facts["loss"] == "sparse_categorical_crossentropy"
    assert network_facts["optimizer"]["name"] == "SGD"
    assert network_facts["optimizer"]["learning_rate"] == pytest.approx(0.01)
    assert (network_facts["planned_epochs"], network_facts["steps_per_epoch"]) == (3, 6)


def test_watch_records_a_loop_of_ones_own():
    model, monitor = network(), GradientNorms()
    with monitor.watch(model.optimizer, model):
        losses = [loss for loss, *_ in tape_reference(model, epochs=1)]
    assert monitor.record.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert (monitor.record.epoch == -1).all() and len(losses) == 6
    assert "apply" not in vars(model.optimizer)


def test_a_deep_copy_is_a_fresh_monitor_with_the_same_settings():
    monitor = GradientNorms(3, ("weight_norm",), True, "somewhere", 1, memory_limit=5)
    copied = copy.deepcopy(monitor)
    settings = ("every", "statistics", "log_layers", "directory", "verbose", "memory_limit")
    assert all(getattr(copied, name) == getattr(monitor, name) for name in settings)
    assert copied.records == []


def test_verbose_prints_a_line_an_epoch_and_zero_none(capsys):
    fit(network(), GradientNorms())
    assert capsys.readouterr().out == ""
    fit(network(), GradientNorms(verbose=1))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Epoch 1 gradients", "Epoch 2 gradients"]
    assert "gradient_norm" in lines[0] and "gradient_ratio" in lines[0]
    assert "worst layer: hidden_" in lines[0] and "of hidden_2's" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, "Received: every=0"),
        ({"every": 1.5}, "Received: every=1.5"),
        ({"every": True}, "Received: every=True"),
        ({"statistics": ("gradient_nrom",)}, "Received: 'gradient_nrom'"),
        ({"every": 10**30}, "below 2.*Received: every=1000"),
        ({"statistics": None}, "Received: statistics=None"),
        ({"memory_limit": 0}, "Received: memory_limit=0"),
        ({"memory_limit": "1GB"}, "Received: memory_limit='1GB'"),
    ],
)
def test_bad_arguments_raise_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradientNorms(**arguments)


def test_watch_refuses_what_is_no_optimizer():
    with pytest.raises(ValueError, match="must be a Keras optimizer"), GradientNorms().watch(3, 4):
        pass


def test_an_optimizer_that_never_runs_is_told():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.mine = keras.layers.Dense(1), keras.optimizers.SGD()

        def call(self, x):
            return self.dense(x)

        def train_step(self, pair):
            x, y = pair
            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x))
            variables = self.trainable_variables
            self.mine.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    model = Own()
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=r"saw no step.*watch\(optimizer, model\)"):
        model.fit(*data(classes=2), verbose=0, callbacks=[GradientNorms()])


def test_an_exception_whose_record_is_read_only_after_another_fit():
    model, monitor = network(), GradientNorms()
    with pytest.raises(RuntimeError):
        fit(model, monitor, Raises(2))
    fit(model, epochs=2)
    assert monitor.record.steps.tolist() == [0, 1, 2]
    assert "apply" not in vars(model.optimizer)


def test_an_unusable_directory_costs_one_warning_and_no_row(tmp_path):
    (tmp_path / "file").write_text("")
    monitor = GradientNorms(directory=tmp_path / "file")
    with pytest.warns(UserWarning, match=r"can't write to `directory`"):
        fit(network(), monitor)
    assert len(monitor.record.steps) == 12


def test_a_function_traced_before_watch_is_told():
    model = network()
    step = tf.function(
        lambda: model.optimizer.apply(
            [tf.zeros_like(v) for v in model.trainable_variables], model.trainable_variables
        )
    )
    step()
    told = pytest.warns(UserWarning, match="called before `watch` can't be seen")
    with told, GradientNorms().watch(model.optimizer, model):
        step()


def test_no_epochs_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(network(), GradientNorms(), epochs=0)


def test_training_watched_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(network(), GradientNorms())


def test_epoch_logs_do_not_hide_nan_behind_a_number():
    model = network("sgd")
    x, y = data()
    monitor = GradientNorms(log_layers=True)
    history = model.fit(x * np.nan, y, batch_size=8, verbose=0, callbacks=[monitor]).history
    assert np.isnan(history["gradient_norm"]).all() and np.isnan(history["gradient_ratio"]).all()
    assert np.isnan(monitor.record["gradient_norm"][:, 0]).all()


def test_an_epoch_without_a_recorded_step_logs_nan():
    monitor = GradientNorms(every=5)  # of steps 0-2, 3-5 and 6-8
    model = network("sgd")
    x, y = (part[:24] for part in data())
    history = model.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[monitor]).history
    assert monitor.record.steps.tolist() == [0, 5]
    assert np.isnan(history["gradient_norm"]).tolist() == [False, False, True]


def test_another_optimizer_begins_another_record():
    model, monitor = network("sgd"), GradientNorms()
    fit(model, monitor)
    model.optimizer.learning_rate = 0.5  # a number may change on the way
    fit(model, monitor)
    assert len(monitor.records) == 1
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(model, monitor)
    names = [record.network["optimizer"]["name"] for record in monitor.records]
    assert names == ["SGD", "Adam"]
