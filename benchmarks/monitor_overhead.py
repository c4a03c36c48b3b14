"""What watching costs: steady epochs of `fit`, as ratios to the same `fit` without a monitor.

    python benchmarks/monitor_overhead.py [--rounds 15] [--only NAME ...]

Each way to watch trains a model of its own; the ways take turns within a round, in a new order each
round, and each is compared with the plain `fit` of the same round, so that a machine whose speed
drifts does not decide. Printed is the median over the rounds, and the middle half behind it.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from threading import Semaphore, Thread

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from trainwell.callbacks import GradientNorms


class SecondTape(keras.callbacks.Callback):
    """The usual way: a second forward and backward pass over each batch."""

    def __init__(self, x, y, batch):
        super().__init__()
        self.x, self.y, self.batch, self.norms = tf.constant(x), tf.constant(y), batch, []

    def on_train_begin(self, logs=None):
        model = self.model

        @tf.function
        def norms(x, y):
            with tf.GradientTape() as tape:
                loss = model.compute_loss(y=y, y_pred=model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            return tf.stack([tf.norm(gradient) for gradient in gradients])

        self.function = getattr(self, "function", norms)

    def on_train_batch_end(self, batch, logs=None):
        rows = slice(batch * self.batch, (batch + 1) * self.batch)
        self.norms.append(self.function(self.x[rows], self.y[rows]).numpy())


def dense(layers, width):
    hidden = [keras.layers.Dense(width, activation="relu") for _ in range(layers)]
    return keras.Sequential([keras.Input((784,)), *hidden, keras.layers.Dense(10, "softmax")])


def small_cnn():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, "softmax"),
        ]
    )


CASES: dict[str, tuple[Callable[[], keras.Model], int, int]] = {  # builder, batch size, steps
    "4 x 100": (lambda: dense(4, 100), 32, 400),
    "20 x 100": (lambda: dense(20, 100), 128, 150),
    "4 x 1000": (lambda: dense(4, 1000), 128, 40),
    "small CNN": (small_cnn, 32, 100),
}


def ways(x, y, batch):
    return {
        "plain": [],
        "GradientNorms()": [GradientNorms()],
        "GradientNorms(every=10)": [GradientNorms(every=10)],
        "second tape": [SecondTape(x, y, batch)],
    }


def seconds_per_epoch(build, batch, steps, rounds):
    """Seconds `[rounds]` of a steady epoch, for each way to watch."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch * steps, *build().input_shape[1:])).astype("float32")
    y = rng.integers(0, 10, batch * steps)
    timed: dict[str, list[float]] = {}

    runs = {}
    for name, callbacks in ways(x, y, batch).items():
        keras.utils.set_random_seed(0)
        model = build()
        model.compile("sgd", "sparse_categorical_crossentropy")
        runs[name] = steady(model, x, y, batch, callbacks)
        next(runs[name])
        timed[name] = []
    for _ in range(rounds):
        for name in rng.permutation(list(runs)):
            timed[name].append(next(runs[name]))
    return {name: np.array(times) for name, times in timed.items()}


def steady(model, x, y, batch, callbacks):
    """Runs one `fit` in a thread, an epoch at a time; yields each epoch's seconds."""
    go, done, times = Semaphore(0), Semaphore(0), []

    class Gate(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            go.acquire()
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            times.append(time.perf_counter() - self.start)
            done.release()

    options = {"batch_size": batch, "shuffle": False, "verbose": 0, "epochs": 10**6}
    Thread(
        target=lambda: model.fit(x, y, callbacks=[*callbacks, Gate()], **options), daemon=True
    ).start()
    while True:
        go.release()
        done.acquire()
        yield times[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    print(f"{date.today()}, {machine}, {versions}; {arguments.rounds} rounds\n")
    print("| network | way to watch | ms a step | ratio to plain | middle half |")
    print("| --- | --- | --- | --- | --- |")
    for case in arguments.only:
        build, batch, steps = CASES[case]
        timed = seconds_per_epoch(build, batch, steps, arguments.rounds)
        for name, times in timed.items():
            low, middle, high = np.percentile(times / timed["plain"], [25, 50, 75])
            print(
                f"| {case}, batch {batch} | {name} | {np.median(times) / steps * 1e3:.2f} "
                f"| {middle:.3f} | {low:.3f} to {high:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
