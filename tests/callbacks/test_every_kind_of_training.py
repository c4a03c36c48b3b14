"""`GradientNorms` in every kind of Keras training, each against an independent reference.

The table in `docs/monitors.md` names these tests; each compares the record with a plain tape on
a twin of the model, or with numbers that follow by hand.
"""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainwell.callbacks import GradientNorms

X = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
Y = np.random.default_rng(1).normal(size=(32, 1)).astype("float32")


def dense_net(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, "tanh", name="a"), layers.Dense(1, name="b")]
    )


def compiled(build=dense_net, optimizer="sgd", **options):
    model = build()
    model.compile(optimizer, "mse", **options)
    return model


def watched(model, x=X, y=Y, callbacks=(), monitor=None, **options):
    monitor = monitor or GradientNorms()
    options = {"batch_size": 8, "shuffle": False, "verbose": 0} | options
    model.fit(x, y, callbacks=[monitor, *callbacks], **options)
    return monitor.record


def norm(gradient):
    if isinstance(gradient, tf.IndexedSlices):
        gradient = tf.convert_to_tensor(gradient)
    return np.linalg.norm(np.asarray(gradient, np.float64))


def gradients_of(model, x, y):
    with tf.GradientTape() as tape:
        predicted = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=predicted)
    return float(loss), tape.gradient(loss, model.trainable_variables)


def tape_norms(model, batches, apply=True):
    """Norms `[S, V]` and losses of a plain loop; NaN where there is no gradient."""
    norms, losses = [], []
    for x, y in batches:
        loss, gradients = gradients_of(model, x, y)
        norms.append([np.nan if g is None else norm(g) for g in gradients])
        losses.append(loss)
        if apply:
            pairs = zip(gradients, model.trainable_variables, strict=True)
            model.optimizer.apply_gradients([pair for pair in pairs if pair[0] is not None])
    return np.array(norms), np.array(losses)


def batches(x=X, y=Y, size=8):
    return [(x[at : at + size], y[at : at + size]) for at in range(0, len(y), size)]


def assert_same(record, reference, rtol=1e-4, **options):
    norms, losses = reference
    np.testing.assert_allclose(record["gradient_norm"], norms, rtol=rtol, atol=1e-7, **options)
    np.testing.assert_allclose(record.loss, losses, rtol=rtol)


# ---------------------------------------------------------------------- where the data come from


def test_tf_data():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    assert_same(
        watched(compiled(), dataset, None, batch_size=None), tape_norms(compiled(), batches())
    )


def test_a_generator():
    record = watched(
        compiled(), (pair for pair in batches()), None, batch_size=None, steps_per_epoch=4
    )
    assert_same(record, tape_norms(compiled(), batches()))


def test_train_on_batch():
    model, monitor = compiled(), GradientNorms()
    with monitor.watch(model.optimizer, model):
        for x, y in batches():
            model.train_on_batch(x, y)
    assert_same(monitor.record, tape_norms(compiled(), batches()))


# ---------------------------------------------------------------------- kinds of models


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(5, "tanh", name="a"), layers.Dense(1, name="b")

    def call(self, x):
        return self.second(self.first(x))


@pytest.mark.filterwarnings("ignore:.build.. was called on layer")
def test_a_subclassed_model_not_built_before_its_first_batch():
    model, twin = compiled(Subclassed), compiled(Subclassed)
    assert not model.trainable_variables
    twin(X[:1])

    class SameStart(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0 and self.model.trainable_variables:
                self.model.set_weights(twin.get_weights())

    model.optimizer.learning_rate = twin.optimizer.learning_rate = 0.0
    record = watched(model, callbacks=[SameStart()])
    twin.set_weights(model.get_weights())
    assert_same(record, tape_norms(twin, batches()))
    assert record.layers == ("a", "b")


def nested(frozen=False):
    inner = dense_net()
    inner.get_layer("a").trainable = not frozen
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(1, name="top")(inner(inputs)))


def test_a_nested_model_by_path():
    record = watched(compiled(nested))
    assert_same(record, tape_norms(compiled(nested), batches()))
    assert [layer.split("/")[-1] for layer in record.layers] == ["a", "b", "top"]


def test_frozen_layers_are_absent():
    record = watched(compiled(lambda: nested(frozen=True)))
    assert [layer.split("/")[-1] for layer in record.layers] == ["b", "top"]
    assert_same(record, tape_norms(compiled(lambda: nested(frozen=True)), batches()))


def shared():
    keras.utils.set_random_seed(0)
    layer = layers.Dense(6, "tanh", name="shared")
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(1, name="top")(layer(layer(inputs))))


def test_a_shared_layer_has_one_row_with_the_sum_over_its_uses():
    record = watched(compiled(shared))
    assert record.layers == ("shared", "top")
    assert_same(record, tape_norms(compiled(shared), batches()))


def two_in_two_out():
    keras.utils.set_random_seed(0)
    first, second = keras.Input((6,), name="first"), keras.Input((2,), name="second")
    hidden = layers.Dense(4, "tanh", name="h")(layers.Concatenate()([first, second]))
    outputs = [layers.Dense(1, name="p")(hidden), layers.Dense(2, name="q")(hidden)]
    model = keras.Model([first, second], outputs)
    model.compile("sgd", ["mse", "mae"], loss_weights=[1.0, 0.5])
    return model


def test_several_inputs_and_outputs():
    x, y = [X, X[:, :2]], [Y, X[:, 2:4]]
    record = watched(two_in_two_out(), x, y)
    pairs = [([a[i : i + 8] for a in x], [b[i : i + 8] for b in y]) for i in range(0, 32, 8)]
    assert_same(record, tape_norms(two_in_two_out(), pairs))


def embedding():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(9, 3),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


@pytest.mark.parametrize("jit", [False, True])
def test_duplicate_indices_of_an_embedding_are_summed(jit):
    tokens = np.random.default_rng(0).integers(0, 4, (32, 6))  # 48 look-ups of 4 rows
    record = watched(compiled(embedding, jit_compile=jit), tokens)
    assert_same(record, tape_norms(compiled(embedding), batches(tokens)))
    statistics = GradientNorms(
        statistics=("zero_fraction", "max_abs_gradient", "mean_abs_gradient")
    )
    record = watched(compiled(embedding, jit_compile=jit), tokens, monitor=statistics)
    gradient = tf.convert_to_tensor(
        gradients_of(compiled(embedding), tokens[:8], Y[:8])[1][0]
    ).numpy()
    assert record["zero_fraction"][0, 0] == pytest.approx((gradient == 0).mean())
    assert record["max_abs_gradient"][0, 0] == pytest.approx(np.abs(gradient).max(), rel=1e-5)
    assert record["mean_abs_gradient"][0, 0] == pytest.approx(np.abs(gradient).mean(), rel=1e-5)


class Disconnected(Subclassed):
    def build(self, shape):
        self.first.build(shape)
        self.second.build((None, 5))
        self.unused = self.add_weight(name="unused_kernel", shape=(2, 2))


def disconnected():
    keras.utils.set_random_seed(0)
    model = Disconnected()
    model.build((None, 6))
    return model


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_missing_gradient_is_disconnected_and_never_zero():
    record = watched(compiled(disconnected), monitor=GradientNorms(statistics=("weight_norm",)))
    assert_same(record, tape_norms(compiled(disconnected), batches()))
    columns = record.groups["gradients"].columns
    unused = [column["path"] for column in columns if not column["connected"]]
    assert len(unused) == 1 and unused[0].endswith("unused_kernel")
    at = record.variables.index(unused[0])
    assert np.isnan(record["gradient_norm"][:, at]).all()
    assert np.isnan(record["weight_norm"][:, at]).all()


# ---------------------------------------------------------------------- kinds of optimizers


@pytest.mark.parametrize("option", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_clipping_the_norm_is_raw_and_the_step_marked(option):
    def build():
        return compiled(optimizer=keras.optimizers.SGD(0.05, **{option: 0.4}))

    record = watched(build())
    assert_same(record, tape_norms(build(), batches()))
    model, marks = build(), []
    for x, y in batches():
        gradients = [g.numpy() for g in gradients_of(model, x, y)[1]]
        sizes = {
            "clipnorm": max(np.linalg.norm(g) for g in gradients),
            "clipvalue": max(np.abs(g).max() for g in gradients),
            "global_clipnorm": np.sqrt(sum((g**2).sum() for g in gradients)),
        }
        marks.append(sizes[option] > 0.4)
        model.optimizer.apply([tf.constant(g) for g in gradients], model.trainable_variables)
    assert record.clipped.tolist() == marks and sum(marks) > 0


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("clipping", [{}, {"clipnorm": 0.3}])
def test_accumulated_gradients_make_one_row_an_update(jit, clipping):
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=4, **clipping)
    statistics = GradientNorms(statistics=("update_norm", "weight_norm"))
    model = compiled(optimizer=optimizer, jit_compile=jit)
    record = watched(model, batch_size=2, epochs=2, monitor=statistics)
    assert record.steps.tolist() == list(range(8))  # 32 micro-batches
    twin = compiled(optimizer=keras.optimizers.SGD(0.1, **clipping))
    weights = twin.get_weights()
    assert_same(record, tape_norms(twin, batches() * 2))  # the mean over 4 x 2 rows is that over 8
    first = compiled(optimizer=keras.optimizers.SGD(0.1, **clipping))
    tape_norms(first, batches()[:1])
    steps = [np.linalg.norm(a - b) for a, b in zip(first.get_weights(), weights, strict=True)]
    np.testing.assert_allclose(record["update_norm"][0], steps, rtol=1e-4)
    np.testing.assert_allclose(
        record["weight_norm"][0], [np.linalg.norm(w) for w in weights], rtol=1e-6
    )


def test_accumulated_gradients_by_micro_batch():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)
    monitor = GradientNorms(micro_batches=True)
    record = watched(compiled(optimizer=optimizer), batch_size=2, monitor=monitor)
    assert len(record.steps) == 16
    reference = tape_norms(compiled(), batches(size=2)[:4], apply=False)  # before the first update
    np.testing.assert_allclose(record["gradient_norm"][:4], reference[0], rtol=1e-4)
    np.testing.assert_allclose(record.loss[:4], reference[1], rtol=1e-5)


def test_a_static_loss_scale_is_divided_out():
    scaled = compiled(optimizer=keras.optimizers.SGD(0.05, loss_scale_factor=1024.0))
    twin = compiled(optimizer=keras.optimizers.SGD(0.05))
    assert_same(watched(scaled), tape_norms(twin, batches()))


def float16_net():
    keras.utils.set_random_seed(0)
    policy = keras.DTypePolicy("mixed_float16")
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, "tanh", dtype=policy), layers.Dense(1, dtype=policy)]
    )


def test_mixed_float16_is_unscaled_and_skipped_steps_are_marked():
    def optimizer():
        return keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.05), initial_scale=2.0**24, dynamic_growth_steps=3
        )

    record = watched(compiled(float16_net, optimizer()), epochs=6)
    skipped = record.skipped
    assert skipped[0] and 0 < skipped.sum() < 24  # 2^24 overflows float16
    finite = np.isfinite(record["gradient_norm"]).all(axis=1)
    np.testing.assert_array_equal(skipped, ~finite)
    twin = compiled(float16_net, keras.optimizers.SGD(0.05))
    for step, (x, y) in enumerate(batches() * 6):
        loss, gradients = gradients_of(twin, x, y)
        assert record.loss[step] == pytest.approx(loss, rel=1e-2)
        if not skipped[step]:
            norms = [norm(g) for g in gradients]
            np.testing.assert_allclose(record["gradient_norm"][step], norms, rtol=0.02, atol=1e-3)
            twin.optimizer.apply(gradients, twin.trainable_variables)


def test_mixed_bfloat16():
    def build():
        keras.utils.set_random_seed(0)
        policy = keras.DTypePolicy("mixed_bfloat16")
        return keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(5, "tanh", dtype=policy),
                layers.Dense(1, dtype=policy),
            ]
        )

    # Eagerly, as the tape runs: a compiled graph rounds its 8 bits in other places.
    record = watched(compiled(build, run_eagerly=True))
    assert_same(record, tape_norms(compiled(build), batches()), rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{"use_ema": True, "ema_overwrite_frequency": 2}, {"weight_decay": 0.1}]
)
def test_ema_and_weight_decay(options):
    def build():
        return compiled(optimizer=keras.optimizers.SGD(0.05, **options))

    assert_same(watched(build()), tape_norms(build(), batches()))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("steps_per_execution", [1, 7, 100])
def test_jit_and_steps_per_execution(jit, steps_per_execution):
    model = compiled(jit_compile=jit, steps_per_execution=steps_per_execution)
    record = watched(model, batch_size=2)
    assert_same(record, tape_norms(compiled(), batches(size=2)))


def test_run_eagerly():
    model = compiled(run_eagerly=True)
    assert_same(watched(model, validation_data=(X, Y)), tape_norms(compiled(), batches()))


# ---------------------------------------------------------------------- kinds of loops


class OwnStep(Subclassed):
    def train_step(self, pair):
        x, y = pair
        with tf.GradientTape() as tape:
            loss = 3.0 * self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


def test_a_custom_train_step():
    def build(kind=OwnStep):
        keras.utils.set_random_seed(0)
        model = kind()
        model(X[:1])
        model.compile(keras.optimizers.SGD(0.0), "mse")
        return model

    record = watched(build())
    norms, _ = tape_norms(build(Subclassed), batches())
    np.testing.assert_allclose(record["gradient_norm"], 3 * norms, rtol=1e-4)
    assert np.isnan(record.loss).all()  # nobody showed it


def test_two_optimizers_of_a_gan():
    def build():
        keras.utils.set_random_seed(0)
        generator = keras.Sequential([keras.Input((3,)), layers.Dense(6, name="g")])
        return generator, dense_net(1), keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)

    def losses(generator, judge, noise, real):
        fake = judge(generator(noise))
        return tf.reduce_mean(-fake), tf.reduce_mean(fake) - tf.reduce_mean(judge(real))

    def step(generator, judge, g, d, noise, real):
        with tf.GradientTape(persistent=True) as tape:
            g_loss, d_loss = losses(generator, judge, noise, real)
        g_gradients = tape.gradient(g_loss, generator.trainable_variables)
        d_gradients = tape.gradient(d_loss, judge.trainable_variables)
        g.apply(g_gradients, generator.trainable_variables)
        d.apply(d_gradients, judge.trainable_variables)
        return g_gradients, d_gradients

    noise = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    gan, of_generator, of_judge = build(), GradientNorms(), GradientNorms()
    compiled_step = tf.function(lambda n, r: step(*gan, n, r))
    with of_generator.watch(gan[2], gan[0]), of_judge.watch(gan[3], gan[1]):
        for at in range(0, 32, 8):
            compiled_step(noise[at : at + 8], X[at : at + 8])
    twin = build()
    expected = [step(*twin, noise[at : at + 8], X[at : at + 8]) for at in range(0, 32, 8)]
    for which, monitor in enumerate((of_generator, of_judge)):
        norms = [[norm(g) for g in pair[which]] for pair in expected]
        np.testing.assert_allclose(monitor.record["gradient_norm"], norms, rtol=1e-4, atol=1e-7)


def test_a_bare_loop_with_and_without_tf_function():
    for wrap in (tf.function, lambda f: f):
        model, monitor = compiled(), GradientNorms()

        def step(x, y, model=model):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(x) - y) ** 2)
            variables = model.trainable_variables
            model.optimizer.apply(tape.gradient(loss, variables), variables)

        function = wrap(step)
        with monitor.watch(model.optimizer, model):
            for x, y in batches():
                function(x, y)
        norms, _ = tape_norms(compiled(), batches())
        np.testing.assert_allclose(monitor.record["gradient_norm"], norms, rtol=1e-4)


def test_several_fits_in_a_row():
    model, monitor = compiled(), GradientNorms()
    for _ in range(3):
        record = watched(model, monitor=monitor)
    assert_same(record, tape_norms(compiled(), batches() * 3))
    assert record.fit.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_two_monitors_at_once():
    model, second = compiled(), GradientNorms(every=2, statistics=("weight_norm",))
    before = model.make_train_function() or model.train_function
    first = watched(model, callbacks=[second])
    assert model.train_function is before
    assert_same(first, tape_norms(compiled(), batches()))
    np.testing.assert_array_equal(second.record["gradient_norm"], first["gradient_norm"][::2])
    assert not {"apply", "scale_loss"} & set(vars(model.optimizer))


# ---------------------------------------------------------------------- replicas


@pytest.mark.parametrize("clipping", [{}, {"global_clipnorm": 0.5}])
def test_mirrored_replicas_give_the_true_global_norm(mirrored_strategy, clipping):
    # With steps_per_execution above 1, Keras 3.15 fails under this strategy, watched or not.
    strategy = mirrored_strategy
    with strategy.scope():
        model = compiled(optimizer=keras.optimizers.SGD(0.05, **clipping))
    monitor = GradientNorms(statistics=("weight_norm", "update_norm"))
    record = watched(model, monitor=monitor)
    assert len(record.steps) == 4
    model = compiled(optimizer=keras.optimizers.SGD(0.05))
    # The gradient of the whole batch of 8: the replicas' sum, since each divides by 8.
    norms, losses = tape_norms(model, batches()[:1])
    np.testing.assert_allclose(record["gradient_norm"][0], norms[0], rtol=1e-5)
    np.testing.assert_allclose(record.loss[0], losses[0], rtol=1e-5)
    if not clipping:
        norms, losses = tape_norms(compiled(optimizer=keras.optimizers.SGD(0.05)), batches())
        assert_same(record, (norms, losses))


def test_a_strategy_run_loop_of_ones_own(mirrored_strategy):
    strategy = mirrored_strategy
    with strategy.scope():
        model = compiled(optimizer=keras.optimizers.SGD(0.05))
    dataset = strategy.experimental_distribute_dataset(
        tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    )

    def replica_step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((model(x) - y) ** 2) / 8
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, variables), variables)

    run = tf.function(lambda x, y: strategy.run(replica_step, (x, y)))
    with GradientNorms().watch(model.optimizer, model) as monitor:
        for x, y in dataset:
            run(x, y)
    norms, _ = tape_norms(compiled(optimizer=keras.optimizers.SGD(0.05)), batches())
    np.testing.assert_allclose(monitor.record["gradient_norm"], norms, rtol=1e-4)


# ---------------------------------------------------------------------- files and copies


@pytest.mark.parametrize("every", [1, 3])
def test_saving_loading_exporting_and_copying_while_watched(tmp_path, every):
    class Saves(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(tmp_path / "while.keras")
            self.model.save_weights(tmp_path / "while.weights.h5")
            self.model.export(tmp_path / "export", verbose=False)
            self.copied = copy.deepcopy(self.model)

    def build():
        return compiled(optimizer=keras.optimizers.Adam(0.01))

    model, saves = build(), Saves()
    watched(model, callbacks=[saves], monitor=GradientNorms(every))
    model.save(tmp_path / "after.keras")
    plain = build()
    plain.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    for name in ("while", "after"):
        loaded = keras.models.load_model(tmp_path / f"{name}.keras")
        both = zip(loaded.optimizer.variables, plain.optimizer.variables, strict=True)
        assert all((ours.numpy() == theirs.numpy()).all() for ours, theirs in both)
        assert len(loaded.variables) == len(plain.variables)
    exported = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_allclose(exported.serve(X), plain.predict(X, verbose=0), rtol=1e-5)
    assert "apply" not in vars(saves.copied.optimizer)


def test_keras_tuner_copies_it_for_each_execution(tmp_path):
    keras_tuner = pytest.importorskip("keras_tuner")
    steps = []

    class Reports(GradientNorms):
        def on_train_end(self, logs=None):
            super().on_train_end(logs)
            steps.append(len(self.record.steps))

    def build(hp):
        return compiled(optimizer=keras.optimizers.SGD(hp.Float("rate", 0.01, 0.1)))

    tuner = keras_tuner.RandomSearch(
        build, "loss", max_trials=2, directory=tmp_path, overwrite=True
    )
    own = Reports()
    tuner.search(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[own])
    assert steps == [8, 8] and own.records == []


def test_callbacks_listed_before_us_see_our_logs(tmp_path):
    logger = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    monitor, model = GradientNorms(log_layers=True), compiled()
    options = {"validation_data": (X, Y), "epochs": 2, "verbose": 0}
    model.fit(X, Y, callbacks=[logger, monitor], **options)
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    assert {"gradient_norm", "gradient_norm/a", "gradient_norm/b"} <= set(header.split(","))
    assert "val_gradient_norm" not in header and len(rows) == 2
    assert float(
        dict(zip(header.split(","), rows[0].split(","), strict=True))["gradient_norm"]
    ) == (pytest.approx(monitor.record.epochs[0]["gradient_norm"]))
