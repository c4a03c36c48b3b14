"""What watching costs: steady epochs of `fit`, as ratios to the same `fit` without a monitor.

    python benchmarks/monitor_overhead.py [--rounds 25] [--only NAME ...] [--ways NAME ...]

Each way to watch trains a model of its own; the ways take turns within a round, in a new order
each round. What else a machine does only ever adds time, so the first ratio is that of the
fastest epochs; behind it the median of the ratios within each round, which drift leaves alone, and
that of processor time over all threads, which other programs hardly change.
"""

import argparse
import os
import platform
import time
from datetime import date
from threading import Semaphore, Thread

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from networks import CASES, compiled, data

from trainwell.callbacks import ActivationStats, GradientNorms


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
            dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
            return tf.stack([tf.norm(gradient) for gradient in dense])

        self.function = norms

    def on_train_batch_end(self, batch, logs=None):
        rows = slice(batch * self.batch, (batch + 1) * self.batch)
        self.norms.append(self.function(self.x[rows], self.y[rows]).numpy())


def ways(x, y, batch):
    return {
        "plain": [],
        "GradientNorms()": [GradientNorms()],
        "GradientNorms(every=10)": [GradientNorms(every=10)],
        "ActivationStats()": [ActivationStats()],
        "both": [GradientNorms(), ActivationStats()],
        "both, every=10": [GradientNorms(every=10), ActivationStats(every=10)],
        "second tape": [SecondTape(x, y, batch)],
    }


def steady_epochs(model, x, y, batch, callbacks):
    """Runs one `fit` in a thread, an epoch at a time; yields its seconds, and the processors'."""
    go, done, seconds = Semaphore(0), Semaphore(0), []

    class Gate(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            go.acquire()
            self.start = np.array([time.perf_counter(), time.process_time()])

        def on_epoch_end(self, epoch, logs=None):
            now = np.array([time.perf_counter(), time.process_time()])
            seconds.append(now - self.start)
            done.release()

    options = {"batch_size": batch, "shuffle": False, "verbose": 0, "epochs": 10**6}
    callbacks = [*callbacks, Gate()]
    Thread(target=lambda: model.fit(x, y, callbacks=callbacks, **options), daemon=True).start()
    while True:
        go.release()
        done.acquire()
        yield seconds[-1]


def measure(case, rounds, chosen=None):
    """Seconds of the first epoch, and of `rounds` steady ones, for each way to watch."""
    x, y = data(case)
    first, steady, runs = {}, {}, {}
    for name, callbacks in ways(x, y, case.batch).items():
        if chosen is not None and name not in ("plain", *chosen):
            continue
        runs[name] = steady_epochs(compiled(case), x, y, case.batch, callbacks)
        first[name], steady[name] = next(runs[name]), []
        next(runs[name])
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for name in rng.permutation(list(runs)):
            steady[name].append(next(runs[name]))
    return first, {name: np.array(seconds) for name, seconds in steady.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--ways", nargs="*", help="besides plain; all by default")
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    print(f"{date.today()}, {machine}, {versions}; {arguments.rounds} rounds\n")
    print(
        "| network | way to watch | ms a step | ratio to plain | median of ratios "
        "| processor time | first epoch |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.only:
        case = CASES[name]
        first, steady = measure(case, arguments.rounds, arguments.ways)
        for way, seconds in steady.items():
            least = seconds.min(axis=0)
            medians = np.median(seconds / steady["plain"], axis=0)
            print(
                f"| {name}, batch {case.batch} | {way} | {least[0] / case.steps * 1e3:.2f} "
                f"| {least[0] / steady['plain'].min(axis=0)[0]:.3f} | {medians[0]:.3f} "
                f"| {medians[1]:.3f} | {first[way][0] / first['plain'][0]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
