"""What `recipes.replicate` costs: five seeds of Nielsen's networks at once, against one alone.

    python benchmarks/replicate.py [--rounds 5] [--epochs 2] [--seeds 5]

The networks of `trainwell reproduce depth-accuracy`: 784-30^k-10 sigmoid units, MNIST's size
(50,000 images of noise, as only the time counts), batch 10. In each round, in a new order, one
Keras `fit` of one seed (with `steps_per_execution=500`), `replicate` with one seed and with five.
The first epoch, in which the step is traced, is not counted. The medians of the ratios within
each round are printed, of wall and of processor time.
"""

import argparse
import os
import platform
import time
from datetime import date
from importlib.metadata import version

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from trainwell.recipes import replicate
from trainwell.recipes.reproduce._nielsen import BATCH, TRAINING, compiled, network

LAYERS, UNITS = (1, 4), 30


def data():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(TRAINING, 784)).astype("float32")
    return x, np.eye(10, dtype="float32")[rng.integers(10, size=TRAINING)]


class Clock(keras.callbacks.Callback):
    """Wall and processor time at each epoch's end."""

    def __init__(self):
        super().__init__()
        self.marks = []

    def on_epoch_end(self, epoch, logs=None):
        self.marks.append((time.perf_counter(), time.process_time()))

    @property
    def took(self):
        """Of all epochs but the first."""
        return np.subtract(self.marks[-1], self.marks[0])


def by_keras(layers, x, y, epochs):
    model = compiled(network(0, [UNITS] * layers, x.shape[1], len(x)), steps_per_execution=500)
    clock = Clock()
    model.fit(x, y, batch_size=BATCH, epochs=1 + epochs, verbose=0, callbacks=[clock])
    return clock.took


def replicated(layers, x, y, epochs, seeds):
    def build(seed):
        return compiled(network(seed, [UNITS] * layers, x.shape[1], len(x)))

    clock = Clock()
    replicate(build, range(seeds)).fit(
        x, y, batch_size=BATCH, epochs=1 + epochs, on_epoch_end=clock.on_epoch_end
    )
    return clock.took


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, TensorFlow {version('tensorflow')}, Keras {version('keras')}\n"
    )
    x, y = data()
    rng = np.random.default_rng(0)
    print(
        f"| hidden layers | one Keras `fit` | {given.seeds} seeds, over it (processor) "
        "| over one seed by `replicate` (processor) |\n| --- | --- | --- | --- |"
    )
    for layers in LAYERS:
        ways = {
            "keras": lambda layers=layers: by_keras(layers, x, y, given.epochs),
            "one": lambda layers=layers: replicated(layers, x, y, given.epochs, 1),
            "all": lambda layers=layers: replicated(layers, x, y, given.epochs, given.seeds),
        }
        took = {way: [] for way in ways}
        for _ in range(given.rounds):
            for way in rng.permutation(list(ways)):
                took[way].append(ways[way]())
        times = {way: np.array(rows) for way, rows in took.items()}
        over = {way: np.median(times["all"] / times[way], axis=0) for way in ("keras", "one")}
        alone = np.median(times["keras"][:, 0]) / given.epochs
        print(
            f"| {layers} | {alone:.1f} s an epoch | {over['keras'][0]:.2f} ({over['keras'][1]:.2f})"
            f" | {over['one'][0]:.2f} ({over['one'][1]:.2f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
