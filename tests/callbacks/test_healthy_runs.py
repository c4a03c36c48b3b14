"""Runs that reach what a sound network reaches: neither `preflight` nor `TrainingDoctor` errs.

Each case is measured: it must reach its score, or it proves nothing. An error counts wherever it
was told, in the middle of the run too.
"""

import warnings
from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import layers

from trainwell.callbacks.diagnosis.finding import Severity
from trainwell.callbacks.one_cycle import OneCycle
from trainwell.callbacks.training_doctor import TrainingDoctor
from trainwell.recipes import datasets
from trainwell.recipes.preflight import preflight
from trainwell.recipes.transfer import reuse_layers

DIGITS = datasets.load("digits")
IMAGES, LABELS = DIGITS.x_train[..., None], DIGITS.y_train
PIXELS = IMAGES.reshape(len(IMAGES), 64)
ONE_HOT = np.eye(10, dtype="float32")[LABELS]


@dataclass
class Run:
    """A compiled model, its data, and what its last epoch must reach."""

    model: keras.Model
    x: object
    y: object
    reaches: tuple[str, float]
    """A name of the epoch logs; the least that an accuracy, the most that a loss may be."""
    epochs: int = 8
    batch_size: int | None = None
    callbacks: tuple[keras.callbacks.Callback, ...] = ()


def watched(run, doctor=None):
    """The doctor, what `preflight` found before, and the texts of the errors in the run."""
    size = {} if run.batch_size is None else {"batch_size": run.batch_size}
    before = preflight(run.model, run.x, run.y, epochs=run.epochs, **size)
    doctor = doctor or TrainingDoctor()
    callbacks = [*run.callbacks, doctor]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = run.model.fit(
            run.x, run.y, epochs=run.epochs, verbose=0, callbacks=callbacks, **size
        )
    told = [str(one.message) for one in caught if "TrainingDoctor" in str(one.message)]
    name, bound = run.reaches
    reached = history.history[name][-1]
    assert reached >= bound if "accuracy" in name else reached <= bound, (name, reached)
    return doctor, before, [text for text in told if "error:" in text or "stopped" in text]


def check(run, doctor=None):
    """No error before, in and after the run, and the run is sound."""
    doctor, before, told = watched(run, doctor)
    for findings in (before, doctor.findings):
        assert not [str(one) for one in findings if one.severity is Severity.ERROR]
    assert not told
    return doctor


def dense(hidden=(32,), activation="relu", outputs=10, inputs=64, output="softmax", **options):
    initializer = {"relu": "he_normal"}.get(activation, "glorot_uniform")
    options = {"kernel_initializer": initializer} | options
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            *[
                layers.Dense(units, activation, name=f"hidden_{at}", **options)
                for at, units in enumerate(hidden)
            ],
            layers.Dense(outputs, output, name="output"),
        ]
    )


def classifier(model, optimizer=None, loss="sparse_categorical_crossentropy", **options):
    optimizer = optimizer or keras.optimizers.Adam(0.01)
    model.compile(optimizer, loss, metrics=["accuracy"], **options)
    return model


def digits_run(model, accuracy=0.95, x=PIXELS, y=LABELS, **options):
    return Run(model, x, y, ("accuracy", accuracy), **options)


# ------------------------------------------------------------- trained, frozen, reused, scaled


def trained_to_the_end(seed):
    """Loss and gradients near 0, most units silent for most of the samples."""
    model = classifier(dense((64, 64)))
    model.fit(PIXELS, LABELS, epochs=25, batch_size=128, verbose=0)
    model.optimizer.learning_rate = 1e-3
    return digits_run(model, 0.995, epochs=4)


def saturated_to_the_end(seed):
    model = classifier(dense((64,), "tanh"), keras.optimizers.Adam(0.03))
    model.fit(PIXELS, LABELS, epochs=30, batch_size=128, verbose=0)
    return digits_run(model, 0.999, epochs=4)


def regression_to_the_end(seed):
    """A loss of a millionth of the targets' variance before the doctor comes."""
    x, y = linear_data(seed, noise=0.0)
    model = dense((), outputs=1, inputs=8, output=None)
    model.compile(keras.optimizers.Adam(0.03), "mse")
    model.fit(x, y, epochs=60, verbose=0)
    return Run(model, x, y, ("loss", 1e-3), epochs=5)


def frozen(*layers_at):
    """Some hidden layers keep their random weights."""

    def build(seed):
        model = dense((64, 64))
        for at in layers_at:
            model.get_layer(f"hidden_{at}").trainable = False
        return digits_run(classifier(model), 0.85)

    return build


def transferred(seed):
    base = classifier(dense((64, 64), outputs=5))
    low = LABELS < 5
    base.fit(PIXELS[low], LABELS[low], epochs=6, verbose=0)
    model = reuse_layers(base, -1, 5, seed=seed)
    return Run(classifier(model), PIXELS[~low], LABELS[~low] - 5, ("accuracy", 0.85), epochs=15)


def dense_autoencoder(loss, output):
    def build(seed):
        model = dense((32, 8, 32), outputs=64, output=output)
        model.compile(keras.optimizers.Adam(0.003), loss, metrics=["mse"])
        return Run(model, PIXELS, PIXELS, ("mse", 0.06), epochs=10)

    return build


def convolutional_autoencoder(seed):
    relu = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"}
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, **relu),
            layers.MaxPooling2D(),
            layers.Conv2D(4, 3, **relu),
            layers.Conv2DTranspose(8, 3, strides=2, **relu),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["mse"])
    return Run(model, IMAGES, IMAGES, ("mse", 0.04), epochs=6)


def linear_data(seed, noise=0.1, samples=600, scale=1.0, offset=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 8)).astype("float32")
    y = x @ rng.normal(size=(8, 1)) + noise * rng.normal(size=(samples, 1))
    return x, (offset + scale * y / y.std()).astype("float32")


def thousands_scaled_inside(seed):
    """Prices: the last layer gives them their scale, the loss is in squared thousands."""
    x, y = linear_data(seed, scale=2000, offset=5000)
    inner = dense((32,), outputs=1, inputs=8, output=None)
    model = keras.Sequential([inner, layers.Rescaling(float(y.std()), float(y.mean()))])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return Run(model, x, y, ("mae", 600.0), epochs=12)


def thousands_standardized(seed):
    x, y = linear_data(seed, scale=2000, offset=5000)
    model = dense((32,), outputs=1, inputs=8, output=None)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Run(model, x, (y - y.mean()) / y.std(), ("loss", 0.1), epochs=12)


def thousands_by_a_large_rate(seed):
    """Nothing is scaled; Adam's rate of 0.5 brings the outputs there all the same."""
    x, y = linear_data(seed, scale=2000, offset=5000)
    model = dense((64,), outputs=1, inputs=8, output=None)
    model.compile(keras.optimizers.Adam(0.5), "mse", metrics=["mae"])
    return Run(model, x, y, ("mae", 700.0), epochs=30)


# ---------------------------------------------------------------------- tasks of other kinds


def imbalanced(seed):
    """95 to 5, told apart by two features."""
    rng = np.random.default_rng(seed)
    y = (rng.random(1200) < 0.05).astype("float32")
    x = rng.normal(size=(1200, 8)).astype("float32")
    x[:, :2] += 2.5 * y[:, None]
    model = dense((16,), outputs=1, inputs=8, output="sigmoid")
    classifier(model, loss="binary_crossentropy")
    return Run(model, x, y, ("accuracy", 0.97), epochs=10)


def embedded_sequences(seed):
    """Whether a token of the first half of the words comes more often than the others."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 20, size=(800, 9))
    y = ((x < 10).sum(axis=1) > 4).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((9,), dtype="int32"),
            layers.Embedding(20, 8),
            layers.LSTM(16),
            layers.Dense(1, "sigmoid"),
        ]
    )
    classifier(model, loss="binary_crossentropy")
    return Run(model, x, y, ("accuracy", 0.9), epochs=10)


def two_outputs(seed):
    inputs = keras.Input((64,))
    hidden = layers.Dense(32, "relu", kernel_initializer="he_normal")(inputs)
    outputs = {
        "digit": layers.Dense(10, "softmax", name="digit")(hidden),
        "ink": layers.Dense(1, name="ink")(hidden),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01),
        {"digit": "sparse_categorical_crossentropy", "ink": "mse"},
        metrics={"digit": "accuracy"},
    )
    ink = PIXELS.mean(axis=1, keepdims=True)
    targets = {"digit": LABELS, "ink": (ink - ink.mean()) / ink.std()}
    return Run(model, PIXELS, targets, ("digit_accuracy", 0.95))


def contrastive(y_true, y_pred):
    """Samples of one digit close together, others at a distance of 1 and more."""
    y_true = keras.ops.reshape(y_true, (-1, 1))
    alike = keras.ops.cast(y_true == keras.ops.transpose(y_true), y_pred.dtype)
    difference = y_pred[:, None] - y_pred[None]
    distance = keras.ops.sqrt(keras.ops.sum(difference**2, axis=-1) + 1e-6)
    apart = keras.ops.maximum(1 - distance, 0.0)
    return keras.ops.mean(alike * distance**2 + (1 - alike) * apart**2, axis=-1)


def by_a_loss_of_its_own(seed):
    model = dense((32,), outputs=4, output=None)
    model.compile(keras.optimizers.Adam(0.01), contrastive)
    return Run(model, PIXELS, LABELS, ("loss", 0.06), epochs=10)


def linear_on_purpose(seed):
    x, y = linear_data(seed)
    model = dense((), outputs=1, inputs=8, output=None)
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return Run(model, x, y, ("loss", 0.1), epochs=10)


def noisy_labels(seed):
    """Two in five labels are wrong: the loss rests far above 0, and no network does better."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(LABELS)) < 0.4
    y = np.where(wrong, rng.integers(0, 10, len(LABELS)), LABELS)
    model = classifier(dense((24,)), keras.optimizers.Adam(0.003))
    return digits_run(model, 0.55, y=y, epochs=10)


# ---------------------------------------------------------------------- ways to train


def smoothed_labels(seed):
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    return digits_run(classifier(dense(), loss=loss), y=ONE_HOT)


def weighted_samples(seed):
    """The rare half of the digits counts ten times."""
    import tensorflow as tf

    weights = np.where(LABELS < 5, 10.0, 1.0).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((PIXELS, LABELS, weights))
    return digits_run(classifier(dense()), 0.93, x=data.shuffle(1437, seed=seed).batch(32), y=None)


def one_cycle(seed):
    model = classifier(dense((48,)), keras.optimizers.SGD(0.01, momentum=0.9))
    return digits_run(model, callbacks=(OneCycle(0.2),))


def warmed_up(seed):
    """From a rate of 1e-7 to 0.01 in three epochs, and down to 0 along a cosine."""
    rate = keras.optimizers.schedules.CosineDecay(
        1e-7, decay_steps=270, warmup_target=0.01, warmup_steps=135
    )
    return digits_run(classifier(dense((48,)), keras.optimizers.Adam(rate)), 0.94, epochs=9)


def mixed_precision(seed):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        hidden = [layers.Dense(32, "relu", kernel_initializer="he_normal") for _ in range(2)]
        output = layers.Dense(10, "softmax", dtype="float32")
        model = keras.Sequential([keras.Input((64,)), *hidden, output])
    finally:
        keras.config.set_dtype_policy("float32")
    return digits_run(classifier(model))


def clipped_throughout(seed):
    """Every step is cut to a hundredth of its norm."""
    model = classifier(dense(), keras.optimizers.Adam(0.01, clipnorm=0.01))
    return digits_run(model)


def follows_the_leader(seed):
    """FTRL computes the weights anew at each step, the first ones' replacement included."""
    return digits_run(classifier(dense((48,)), keras.optimizers.Ftrl(0.1)), 0.85)


def tiny_batch(size):
    def build(seed):
        model = classifier(dense(), keras.optimizers.SGD(0.02 * size**0.5))
        some = slice(0, 400 * size)
        return digits_run(model, 0.8, x=PIXELS[some], y=LABELS[some], epochs=3, batch_size=size)

    return build


def dropped_out(seed):
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(2):
        model.add(layers.Dense(96, "relu", kernel_initializer="he_normal"))
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10, "softmax"))
    return digits_run(classifier(model, keras.optimizers.Adam(0.003)), 0.85)


def regularized(seed):
    """The penalty is most of the loss."""
    penalty = keras.regularizers.L2(0.01)
    return digits_run(classifier(dense((64,), kernel_regularizer=penalty)), 0.93)


# ---------------------------------------------------------------------- adversaries


class Adversaries(keras.Model):
    """Two networks against each other, an optimizer each, in a `train_step` of their own."""

    def __init__(self):
        super().__init__()
        self.maker = dense((16,), outputs=2, inputs=2, output=None)
        self.judge = dense((16,), outputs=1, inputs=2, output=None)
        self.judge_optimizer = keras.optimizers.Adam(0.01, beta_1=0.5)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, inputs):
        return self.judge(inputs)

    def train_step(self, data):
        import tensorflow as tf

        noise = keras.random.normal((32, 2), seed=self.seeds)
        with tf.GradientTape(persistent=True) as tape:
            made = self.maker(noise)
            real, false = self.judge(data), self.judge(made)
            judged = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(false))
            fooled = tf.reduce_mean(tf.nn.softplus(-false))
        for loss, network, optimizer in (
            (judged, self.judge, self.judge_optimizer),
            (fooled, self.maker, self.optimizer),
        ):
            variables = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        away = tf.reduce_mean(made, axis=0) - tf.reduce_mean(data, axis=0)
        return {"judged": judged, "fooled": fooled, "away": tf.norm(away)}


def around_3(seed):
    """Samples that a maker has to learn to draw: around (3, 3)."""
    return (3 + 0.5 * np.random.default_rng(seed).normal(size=(640, 2))).astype("float32")


def adversaries(seed):
    model = Adversaries()
    model.compile(keras.optimizers.Adam(0.01, beta_1=0.5))
    return Run(model, around_3(seed), None, ("away", 1.0), epochs=15)


class JudgeFirst(keras.callbacks.Callback):
    """Before each epoch the judge learns to tell what is made from what is real."""

    def __init__(self, maker, judge, real, noise):
        super().__init__()
        self.maker, self.judge, self.real, self.noise = maker, judge, real, noise

    def on_epoch_begin(self, epoch, logs=None):
        made = keras.ops.convert_to_numpy(self.maker(self.noise))
        x = np.concatenate([self.real, made])
        y = np.repeat([1.0, 0.0], [len(self.real), len(made)])[:, None]
        for _ in range(20):
            self.judge.train_on_batch(x, y)


def combined_adversaries(seed):
    """The doctor sees maker and frozen judge as one model, whose targets are all 1."""
    real = around_3(seed)
    noise = np.random.default_rng(seed + 1).normal(size=real.shape).astype("float32")
    maker = dense((16,), outputs=2, inputs=2, output=None)
    judge = dense((16,), outputs=1, inputs=2, output="sigmoid")
    judge.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    judge.make_train_function()  # before it is frozen in the other model
    whole = keras.Sequential([maker, judge])
    judge.trainable = False
    whole.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    judge.trainable = True
    turns = JudgeFirst(maker, judge, real, noise)
    return Run(whole, noise, np.ones((len(noise), 1)), ("loss", 1.0), 10, callbacks=(turns,))


HEALTHY = {
    "trained_to_the_end": trained_to_the_end,
    "saturated_to_the_end": saturated_to_the_end,
    "regression_to_the_end": regression_to_the_end,
    "frozen_first": frozen(0),
    "frozen_middle": frozen(1),
    "frozen_all_but_output": frozen(0, 1),
    "transferred": transferred,
    "autoencoder_mse": dense_autoencoder("mse", "sigmoid"),
    "autoencoder_crossentropy": dense_autoencoder("binary_crossentropy", "sigmoid"),
    "convolutional_autoencoder": convolutional_autoencoder,
    "thousands_scaled_inside": thousands_scaled_inside,
    "thousands_standardized": thousands_standardized,
    "thousands_by_a_large_rate": thousands_by_a_large_rate,
    "imbalanced": imbalanced,
    "embedded_sequences": embedded_sequences,
    "two_outputs": two_outputs,
    "by_a_loss_of_its_own": by_a_loss_of_its_own,
    "linear_on_purpose": linear_on_purpose,
    "noisy_labels": noisy_labels,
    "smoothed_labels": smoothed_labels,
    "weighted_samples": weighted_samples,
    "one_cycle": one_cycle,
    "warmed_up": warmed_up,
    "mixed_precision": mixed_precision,
    "clipped_throughout": clipped_throughout,
    "follows_the_leader": follows_the_leader,
    "batch_of_1": tiny_batch(1),
    "batch_of_4": tiny_batch(4),
    "dropped_out": dropped_out,
    "regularized": regularized,
    "adversaries": adversaries,
    "combined_adversaries": combined_adversaries,
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_sound_run_has_no_error(name):
    keras.utils.set_random_seed(0)
    check(HEALTHY[name](0))


def test_a_resumed_run_has_no_error_with_the_same_doctor_or_a_new_one():
    """From the start to the end, on from there with what is left of the rate, and once more."""
    keras.utils.set_random_seed(0)
    run = digits_run(classifier(dense((48,))), 0.95, epochs=8)
    doctor = check(run)
    run.model.optimizer.learning_rate = 1e-4
    run.epochs = 4
    assert check(run, doctor) is doctor
    assert len(doctor.record.epochs) == 12
    check(run)
