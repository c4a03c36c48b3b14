"""`ActivationStats`: the numbers by hand or by NumPy, where they come from, and what is left."""

import copy
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainwell.callbacks import ActivationStats, GradientNorms, plot_activation_stats

X = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
Y = np.random.default_rng(1).normal(size=(32, 1)).astype("float32")


def stack(*hidden, inputs=(6,), optimizer=None, **options):
    """Hidden layers and a linear output, by default with a learning rate of 0; twins are equal."""
    model = keras.Sequential(
        [keras.Input(inputs), *hidden, layers.Flatten(), layers.Dense(1, name="output")]
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:
        kind = getattr(layer, "kernel_initializer", None)
        if isinstance(layer, layers.Dense) and isinstance(kind, keras.initializers.GlorotUniform):
            layer.kernel.assign(rng.normal(0, 0.5, layer.kernel.shape))
    model.compile(optimizer or keras.optimizers.SGD(0.0), "mse", **options)
    return model


def watched(model, x=X, y=Y, monitor=None, **options):
    monitor = monitor or ActivationStats()
    options = {"batch_size": 8, "shuffle": False, "verbose": 0} | options
    model.fit(x, y[: len(x)], callbacks=[monitor], **options)
    return monitor.record


def outputs(model, name, x):
    """What a layer puts out, by a second model."""
    return keras.Model(model.inputs, model.get_layer(name).output).predict(x, verbose=0)


def identity_layer(kind, activation):
    """One unit that applies the activation to the input itself."""
    return kind(1, activation=activation, kernel_initializer="ones", name="hidden")


# ---------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("jit", [False, True])
def test_moments_and_shares_equal_numpy(jit):
    model = stack(
        layers.Dense(5, "relu", name="a"),
        layers.Dense(4, "tanh", kernel_initializer=keras.initializers.RandomNormal(0, 3), name="b"),
        layers.Dense(4, name="linear"),
        layers.Dense(3, "gelu", name="c"),
        jit_compile=jit,
    )
    record = watched(model)
    assert record.layers == ("a", "b", "c")
    for step, at in enumerate(range(0, 32, 8)):
        a, b, c = (outputs(model, name, X[at : at + 8]) for name in "abc")
        np.testing.assert_allclose(record["mean"][step], [v.mean() for v in (a, b, c)], rtol=1e-4)
        np.testing.assert_allclose(record["std"][step], [v.std() for v in (a, b, c)], rtol=1e-4)
        # tanh' = 1 - tanh² is below 0.01 where |tanh| > sqrt(0.99).
        shares = [(a <= 0).mean(), (np.abs(b) >= np.sqrt(0.99)).mean(), np.nan]
        np.testing.assert_allclose(record["saturated_fraction"][step], shares, rtol=1e-6)
        dead = (outputs(model, "a", X[: at + 8]) <= 0).all(axis=0).mean()
        np.testing.assert_allclose(record["dead_fraction"][step], [dead, np.nan, np.nan])
    losses = [np.mean((model.predict(X[i : i + 8], verbose=0) - Y[i : i + 8]) ** 2) for i in (0, 8)]
    np.testing.assert_allclose(record.loss[:2], losses, rtol=1e-5)
    assert record.learning_rate.tolist() == [0.0] * 4


def test_a_small_deviation_beside_a_large_mean():
    layer = layers.Dense(1, "relu", kernel_initializer="ones", bias_initializer="ones")
    x = 999.0 + np.array([[0.0], [0.5]] * 4, "float32")  # 1000 and 1000.5
    record = watched(stack(layer, inputs=(1,)), x)
    np.testing.assert_allclose(record["std"], [[0.25]], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_deviations_whose_squares_leave_float32(scale):
    layer = layers.Dense(1, "relu", kernel_initializer="ones")
    model = stack(layer, inputs=(1,))
    record = watched(model, np.array([[1.0], [3.0]] * 4) * scale)
    np.testing.assert_allclose(record["std"], [[scale]], rtol=1e-5)


def test_the_share_of_saturated_sigmoids():
    # sigmoid' = s (1 - s) is 1% of its largest, 1/4, at |z| = 5.98645.
    x = np.array([-100, -5.99, -5.98, 0, 1, 5.98, 5.99, 100], "float32")[:, None]
    record = watched(stack(identity_layer(layers.Dense, "sigmoid"), inputs=(1,)), x)
    assert record["saturated_fraction"].tolist() == [[0.5]]
    assert np.isnan(record["dead_fraction"]).all()


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "sigmoid", "elu"])
def test_an_activation_layer_is_judged_by_its_input(name):
    x = np.array([-100, -50, -7, -1, -0.75, 0, 1, 2], "float32")[:, None]
    record = watched(stack(layers.Activation(name, name="act"), inputs=(1,)), x)
    assert record.layers == ("act",)
    assert record["saturated_fraction"].tolist() == [[3 / 8]]


def test_activation_layers_with_parameters():
    x = np.array([-9, -1, -0.5, 0, 1, 5, 7, 8], "float32")[:, None]
    inputs = keras.Input((1,))
    kinds = [
        layers.ReLU(name="relu"),
        layers.ReLU(max_value=6, name="capped"),
        layers.ReLU(negative_slope=0.1, name="leaky"),
        layers.ELU(alpha=2.0, name="elu"),  # flat where 2 exp(z) <= 0.02
        layers.PReLU(name="prelu"),
        layers.Activation("relu6", name="relu6"),
    ]
    joined = layers.Concatenate()([kind(inputs) for kind in kinds])
    model = keras.Model(inputs, layers.Dense(1)(joined))
    model.compile("sgd", "mse")
    record = watched(model, x)
    shares = dict(zip(record.layers, record["saturated_fraction"][0].tolist(), strict=True))
    assert shares["relu"] == 4 / 8 and shares["elu"] == 1 / 8
    assert shares["capped"] == shares["relu6"] == 6 / 8
    assert np.isnan([shares["leaky"], shares["prelu"]]).all()
    dead = dict(zip(record.layers, record["dead_fraction"][0].tolist(), strict=True))
    assert dead["relu"] == dead["capped"] == dead["relu6"] == 0.0
    assert np.isnan([dead["leaky"], dead["elu"], dead["prelu"]]).all()


def test_the_record_reads_by_layer_and_as_a_table(tmp_path):
    record = watched(stack(layers.Dense(3, "relu", name="a"), layers.Dense(3, "tanh", name="b")))
    np.testing.assert_array_equal(record.by_layer("std"), record["std"])
    record.to_csv(tmp_path / "activations.csv")
    header, *rows = (tmp_path / "activations.csv").read_text().splitlines()
    assert {"std:a", "dead_fraction:b"} <= set(header.split(",")) and len(rows) == 4


# ---------------------------------------------------------------------- dead units


def sleepers():
    """Unit 0 is asleep for good, 1 always awake, 2 awake where the first input is positive."""
    layer = layers.Dense(4, "relu", name="hidden")
    model = stack(layer, inputs=(2,))
    kernel = np.array([[0, 0, 1, 0], [0, 0, 0, 0]], "float32")
    layer.set_weights([kernel, np.array([-1e3, 1, 0, -1e3], "float32")])
    return model


def one_wakes(at, rows=16):
    x = -np.ones((rows, 2), "float32")
    x[at, 0] = 1.0
    return x


@pytest.mark.parametrize("jit", [False, True])
def test_a_unit_that_one_sample_of_the_epoch_wakes_is_not_dead(jit):
    model = sleepers()
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=jit)
    record = watched(model, one_wakes(5), batch_size=2, epochs=3)  # wakes at steps 2, 10, 18
    assert record["dead_fraction"][:, 0].tolist() == [0.75] * 2 + [0.5] * 22


def test_with_a_window_shorter_than_the_epoch_it_is_dead_in_between():
    monitor = ActivationStats(window=3)
    record = watched(sleepers(), one_wakes(5), batch_size=2, epochs=2, monitor=monitor)
    dead = record["dead_fraction"][:, 0]
    awake = [2, 3, 4, 10, 11, 12]  # the step that it wakes at and two more
    assert dead.tolist() == [0.5 if step in awake else 0.75 for step in range(16)]


def test_every_third_step_looks_at_every_third_batch():
    x = one_wakes(9)  # steps 4, which is not looked at, and 12
    record = watched(sleepers(), x, batch_size=2, epochs=2, monitor=ActivationStats(every=3))
    assert record.steps.tolist() == [0, 3, 6, 9, 12, 15]
    assert record["dead_fraction"][:, 0].tolist() == [0.75] * 4 + [0.5] * 2
    every = watched(sleepers(), x, batch_size=2, epochs=2)
    np.testing.assert_array_equal(record["mean"], every["mean"][::3])


def test_the_window_goes_on_over_fits():
    model, monitor = sleepers(), ActivationStats()
    watched(model, one_wakes(14), batch_size=2, monitor=monitor)  # wakes at the last step
    record = watched(model, one_wakes(14), batch_size=2, monitor=monitor)
    assert record["dead_fraction"][7:, 0].tolist() == [0.5] * 9
    assert record.fit.tolist() == [0] * 8 + [1] * 8


def test_channels_of_a_convolution():
    layer = layers.Conv2D(3, 2, activation="relu", name="conv")
    model = stack(layer, inputs=(4, 4, 1))
    # Channel 0: dead; 1: the mean of a patch; 2: wakes on bright patches alone.
    kernel = np.stack([np.zeros((2, 2)), np.full((2, 2), 0.25), np.full((2, 2), 0.25)], -1)[
        :, :, None
    ]
    layer.set_weights([kernel, np.array([-1.0, 0.0, -0.9])])
    x = np.full((8, 4, 4, 1), 0.5, "float32")
    x[3, :2, :2] = 1.0  # one patch of one image
    record = watched(model, x)
    assert record.groups["activations"].columns[0]["units"] == 3
    assert record["dead_fraction"][0, 0] == pytest.approx(1 / 3)
    awake = (72 + 1) / (3 * 72)  # 9 patches of 8 images
    assert record["saturated_fraction"][0, 0] == pytest.approx(1 - awake)


def test_channels_first():
    layer = ChannelsFirst(name="first")
    x = np.zeros((8, 2, 3), "float32")
    x[0, 1, 2] = 1.0  # channel 1 wakes
    record = watched(stack(layer, inputs=(2, 3)), x)
    assert record.groups["activations"].columns[0]["units"] == 2
    assert record["dead_fraction"].tolist() == [[0.5]]


class ChannelsFirst(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.data_format, self.activation = "channels_first", keras.activations.relu

    def call(self, x):
        return self.activation(x)


# ---------------------------------------------------------------------- kinds of layers


def test_recurrent_layers():
    model = stack(
        layers.SimpleRNN(3, activation="relu", return_sequences=True, name="rnn"),
        layers.LSTM(3, return_sequences=True, name="lstm"),
        layers.GRU(3, name="gru"),
        inputs=(4, 2),
    )
    x = np.random.default_rng(0).normal(size=(8, 4, 2)).astype("float32")
    record = watched(model, x)
    assert record.layers == ("rnn", "lstm", "gru")
    values = [outputs(model, name, x) for name in record.layers]
    np.testing.assert_allclose(record["mean"][0], [v.mean() for v in values], rtol=1e-4)
    np.testing.assert_allclose(record["std"][0], [v.std() for v in values], rtol=1e-4)
    share = (values[0] <= 0).mean()
    np.testing.assert_allclose(record["saturated_fraction"][0], [share, np.nan, np.nan], rtol=1e-6)
    dead = (values[0] <= 0).all(axis=(0, 1)).mean()
    np.testing.assert_allclose(record["dead_fraction"][0], [dead, np.nan, np.nan])


def test_a_shared_layer_counts_all_its_uses():
    keras.utils.set_random_seed(0)
    first, second = keras.Input((2,)), keras.Input((2,))
    shared = layers.Dense(2, "relu", kernel_initializer="identity", name="shared")
    model = keras.Model([first, second], layers.Dense(1)(shared(first) + shared(second)))
    model.compile("sgd", "mse")
    x = [np.array([[-1.0, -2.0]] * 8), np.array([[3.0, -4.0]] * 8)]
    record = ActivationStats()
    model.fit(x, Y[:8], verbose=0, callbacks=[record])
    record = record.record
    assert record["mean"].tolist() == [[0.75]]  # of 0, 0, 3, 0
    np.testing.assert_allclose(record["std"], [[np.std([0, 0, 3, 0])]], rtol=1e-6)
    assert record["dead_fraction"].tolist() == [[0.5]]
    assert record["saturated_fraction"].tolist() == [[0.75]]


def test_nested_models_by_path_and_the_output_left_out():
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(3, "relu", name="a")], name="inner")
    inputs = keras.Input((6,))
    hidden = layers.Dense(3, "elu", name="b")(inner(inputs))
    model = keras.Model(inputs, layers.Dense(1, "sigmoid", name="c")(hidden))
    model.compile("sgd", "mse")
    record = watched(model)
    assert [path.split("/")[-1] for path in record.layers] == ["a", "b"]


class Unbuilt(keras.Model):
    """Makes its layers only when it is built."""

    def build(self, shape):
        self.blocks = [Block(name="first"), Block(name="second")]
        self.top = layers.Dense(1, "sigmoid")

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.top(x)


class Block(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = layers.Dense(4, "relu", name="dense")

    def call(self, x):
        return self.dense(x)


@pytest.mark.filterwarnings("ignore:.build.. was called on layer")
def test_a_subclassed_model_not_built_before_its_first_batch():
    keras.utils.set_random_seed(0)
    model = Unbuilt()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    record = watched(model)
    assert len(record.layers) == 2 and all("dense" in path for path in record.layers)
    first = np.maximum(X[:8] @ model.blocks[0].dense.kernel.numpy(), 0)
    np.testing.assert_allclose(record["mean"][0, 0], first.mean(), rtol=1e-5)


class Looping(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = layers.Dense(6, "relu", name="inside")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return tf.while_loop(lambda i, _: i < 2, lambda i, v: (i + 1, self.dense(v)), (0, x))[1]


def test_a_layer_within_a_loop_is_nan_and_said_once():
    model, monitor = stack(Looping(), layers.Dense(3, "relu", name="seen")), ActivationStats()
    with pytest.warns(UserWarning, match=r"can't see what .*inside put out") as warned:
        record = watched(model, monitor=monitor, epochs=2)
    assert len([w for w in warned if "can't see" in str(w.message)]) == 1
    assert np.isnan(record["mean"][:, 0]).all() and np.isfinite(record["mean"][:, 1]).all()


# ---------------------------------------------------------------------- kinds of training


@pytest.mark.parametrize("eagerly", [False, True])
def test_validation_leaves_no_trace(eagerly):
    def record(**options):
        model = stack(layers.Dense(3, "relu", name="a"), run_eagerly=eagerly)
        return watched(model, epochs=2, **options)

    plain, validated = record(), record(validation_data=(1e6 * X, Y))
    assert validated["mean"].max() < 100
    for name in plain.statistics:
        np.testing.assert_array_equal(plain[name], validated[name])


def test_predictions_between_the_steps_leave_no_trace():
    model = stack(layers.Dense(3, "relu", name="a"), run_eagerly=True)
    predicts = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: model(1e6 * X))
    monitor = ActivationStats()
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[monitor, predicts])
    expected = watched(stack(layers.Dense(3, "relu", name="a")))
    np.testing.assert_allclose(monitor.record["mean"], expected["mean"], rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("steps_per_execution", [3, 100])
def test_steps_per_execution_loses_no_step(jit, steps_per_execution):
    options = {"steps_per_execution": steps_per_execution, "jit_compile": jit}
    record = watched(stack(layers.Dense(3, "relu"), **options))
    expected = watched(stack(layers.Dense(3, "relu")))
    assert record.steps.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(record["mean"], expected["mean"], rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_computed_in_float32(policy):
    x = np.full((1024, 1), 1.0, "float32")
    x[::2] = 3.0  # the sum, 2048 x 1, is beyond what bfloat16 counts
    layer = layers.Dense(1, "relu", kernel_initializer="ones", dtype=keras.DTypePolicy(policy))
    record = watched(stack(layer, inputs=(1,)), x, np.zeros((1024, 1)), batch_size=1024)
    np.testing.assert_allclose(record["mean"], [[2.0]])
    np.testing.assert_allclose(record["std"], [[1.0]])


def test_accumulated_gradients_show_the_updates_last_micro_batch():
    optimizer = keras.optimizers.SGD(0.0, gradient_accumulation_steps=2)
    record = watched(stack(layers.Dense(3, "relu"), optimizer=optimizer))
    expected = watched(stack(layers.Dense(3, "relu")))
    np.testing.assert_allclose(record["mean"], expected["mean"][1::2], rtol=1e-5)


def test_mirrored_replicas_show_the_first(mirrored_strategy):
    with mirrored_strategy.scope():
        model = stack(layers.Dense(3, "relu", name="a"))
    record = watched(model)
    assert len(record.steps) == 4
    plain = stack(layers.Dense(3, "relu", name="a"))
    firsts = [outputs(plain, "a", X[at : at + 4]).mean() for at in range(0, 32, 8)]
    np.testing.assert_allclose(record["mean"][:, 0], firsts, rtol=1e-5)


@pytest.mark.parametrize("wrap", [tf.function, lambda f: f])
def test_a_loop_of_ones_own(wrap):
    model, monitor = stack(layers.Dense(3, "relu", name="a")), ActivationStats()

    @wrap
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, variables), variables)

    with monitor.watch(model.optimizer, model):
        for at in range(0, 32, 8):
            step(X[at : at + 8], Y[at : at + 8])
            model(1e6 * X, training=False)
    expected = watched(stack(layers.Dense(3, "relu", name="a")))
    np.testing.assert_allclose(monitor.record["mean"], expected["mean"], rtol=1e-5)


# ---------------------------------------------------------------------- the probe


def test_a_probe_is_passed_after_every_second_epoch():
    model = stack(layers.Dense(4, "relu", name="a"), optimizer=keras.optimizers.SGD(0.1))
    seen = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(outputs(model, "a", X[:5]))
    )
    monitor = ActivationStats(probe=X[:5], probe_every=2)
    options = {"batch_size": 8, "epochs": 4, "verbose": 0}
    history = model.fit(X, Y, callbacks=[monitor, keep], **options).history
    record = monitor.record
    assert record.steps.tolist() == [7, 15] and record.epoch.tolist() == [1, 3]
    np.testing.assert_allclose(record["mean"][:, 0], [seen[1].mean(), seen[3].mean()], rtol=1e-5)
    dead = [(one <= 0).all(axis=0).mean() for one in (seen[1], seen[3])]
    np.testing.assert_allclose(record["dead_fraction"][:, 0], dead)
    assert len(history["dead_fraction"]) == 2 and len(record.epochs) == 4


@pytest.mark.parametrize("probe", [None, X])
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_is_bit_identical(optimizer, jit, probe):
    class AlwaysDrops(layers.Layer):  # in inference too, as MC dropout does
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(3)

        def call(self, x):
            return keras.random.dropout(x, 0.5, seed=self.seeds)

    runs = []
    for callbacks in ([], [ActivationStats(probe=probe)]):
        keras.utils.set_random_seed(0)
        hidden = [layers.Dense(8, "relu"), layers.Dropout(0.5), AlwaysDrops(), layers.ReLU()]
        model = stack(*hidden, layers.BatchNormalization(), optimizer=optimizer, jit_compile=jit)
        model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=callbacks)
        runs.append([v.numpy().tobytes() for v in (*model.variables, *model.optimizer.variables)])
    assert runs[0] == runs[1]


# ---------------------------------------------------------------------- what is left


def left_on(model):
    parts = [model, *model.layers]
    return [(part.name, name) for part in parts for name in vars(part) if name == "call"]


def test_after_fit_nothing_is_left_whoever_goes_first():
    model, plain = stack(layers.Dense(3, "relu")), stack(layers.Dense(3, "relu"))
    plain.fit(X, Y, verbose=0)
    monitors = [ActivationStats(), GradientNorms(), ActivationStats(every=2)]
    model.fit(X, Y, verbose=0, callbacks=monitors)
    assert not left_on(model) and set(vars(model)) == set(vars(plain))
    assert monitors[2].record.steps.tolist() == [0]


def test_an_exception_in_fit_leaves_the_layers_usable():
    model, monitor = stack(layers.Dense(3, "relu")), ActivationStats()

    class Raises(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        model.fit(X, Y, batch_size=8, verbose=0, callbacks=[monitor, Raises()])
    assert len(monitor.record.steps) == 1
    monitor.detach()
    assert not left_on(model)
    assert len(watched(model, monitor=monitor).steps) == 5


def test_saving_and_copying_while_watched(tmp_path):
    class Saves(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(tmp_path / "while.keras")
            self.model.export(tmp_path / "export", verbose=False)
            self.copied = copy.deepcopy(self.model)
            self.cloned = keras.models.clone_model(self.model)

    model, saves = stack(layers.Dense(3, "relu", name="a"), layers.ReLU()), Saves()
    model.fit(X, Y, verbose=0, callbacks=[ActivationStats(), saves])
    loaded = keras.models.load_model(tmp_path / "while.keras")
    for other in (loaded, saves.copied, saves.cloned):
        assert not left_on(other) and len(other.variables) == len(model.variables)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    exported = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_allclose(exported.serve(X), model.predict(X, verbose=0), rtol=1e-5)


def test_epoch_logs_and_the_line_name_the_worst_layer(capsys):
    hidden = layers.Dense(2, "relu", name="fine"), layers.Dense(2, "relu", name="worst")
    model = stack(*hidden)
    hidden[1].set_weights([np.zeros((2, 2)), np.array([-1.0, 1.0])])
    hidden[0].set_weights([np.zeros((6, 2)), np.array([1.0, 1.0])])
    history = model.fit(X, Y, verbose=0, callbacks=[ActivationStats(verbose=1)]).history
    assert history["dead_fraction"] == [0.5] and history["saturated_fraction"] == [0.5]
    expected = "Epoch 1 activations: dead_fraction: 0.5 (worst) - saturated_fraction: 0.5 (worst)\n"
    assert capsys.readouterr().out == expected


def test_the_figure_has_a_line_a_layer():
    model = stack(layers.Dense(3, "relu", name="a"), layers.Dense(3, "tanh", name="b"))
    figure = plot_activation_stats(watched(model))
    gids = [[line.get_gid() for line in axes.lines if line.get_gid()] for axes in figure.axes]
    assert gids == [["first", "last"], ["a", "b"], ["a"]]
    with pytest.raises(ValueError, match="holds no activations"):
        plot_activation_stats(GradientNorms().record)


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, "Received: every=0"),
        ({"window": 0}, "Received: window=0"),
        ({"window": 2.5}, "Received: window=2.5"),
        ({"probe_every": True}, "Received: probe_every=True"),
        ({"probe": "x_train"}, "`probe` must be a batch"),
        ({"probe": X[:0]}, "at least one sample"),
        ({"probe": [X, X[:3]]}, "of the same length"),
        ({"layers": "hidden_1"}, "Received: layers='hidden_1'"),
        ({"layers": []}, "must be a list of layers"),
    ],
)
def test_bad_arguments_raise_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        ActivationStats(**arguments)


def test_layers_picks_by_name_path_or_object():
    model = stack(layers.Dense(3, "relu", name="a"), layers.Dense(3, name="b"))
    monitor = ActivationStats(layers=["b", model.get_layer("output")])
    record = watched(model, monitor=monitor)
    assert record.layers == ("b", "output")
    assert np.isnan(record["saturated_fraction"]).all() and np.isfinite(record["std"]).all()


def test_a_name_that_the_model_does_not_have_stops_the_watching_not_the_training():
    model = stack(layers.Dense(3, "relu", name="hidden"))
    with pytest.warns(UserWarning, match=r"'hiden'. Did you mean 'hidden'"):
        model.fit(X, Y, verbose=0, callbacks=[ActivationStats(layers=["hiden"])])
    assert not left_on(model) and model.history.history["loss"]


def test_a_probe_needs_epochs():
    model, monitor = stack(layers.Dense(3, "relu")), ActivationStats(probe=X)
    with pytest.raises(ValueError, match="no epochs"), monitor.watch(model.optimizer, model):
        pass


def test_a_deep_copy_is_a_fresh_monitor_with_the_same_settings():
    monitor = ActivationStats(3, ["a"], X, 2, 7, "somewhere", 1, memory_limit=5)
    copied = copy.deepcopy(monitor)
    for name in ("every", "layers", "probe", "probe_every", "window", "directory", "verbose"):
        assert getattr(copied, name) is getattr(monitor, name) or name in ("layers", "directory")
    assert copied.layers == ["a"] and copied.memory_limit == 5 and copied.records == []


def test_training_watched_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        watched(stack(layers.Dense(3, "relu"), layers.ReLU()))
