"""What HessianFree reaches for 500 gradients over the data, against first-order methods.

python benchmarks/hessian_free.py [--evaluations 500] [--seeds 3] [--images 1000] [--lam 0]
    [--batch 100] [--cg-iterations 10]

Nielsen's network [784, 30, 10], sigmoids throughout, full batch. A product with the curvature
counts as two gradients, each loss that the line search looks at as one. The first-order methods
take one gradient per step, each at the best of five rates. With `--batch` all of them train on
batches, whose gradients count by their share of the images. MNIST is read from the file
TRAINWELL_MNIST or ../shared/data/mnist.npz; without it the bundled digits stand in.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from trainwell.recipes import datasets
from trainwell.recipes.optimizers.hessian_free import HessianFree

LOSS = "binary_crossentropy"
FIRST_ORDER = {
    "SGD": (lambda rate: keras.optimizers.SGD(rate), (5.0, 10.0, 20.0, 40.0, 80.0)),
    "SGD, Nesterov 0.9": (
        lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        (1.0, 2.0, 5.0, 10.0, 20.0),
    ),
    "Adam": (lambda rate: keras.optimizers.Adam(rate), (0.001, 0.003, 0.01, 0.03, 0.1)),
}


def data(images):
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist.npz"
    path = Path(os.environ.get("TRAINWELL_MNIST", default))
    found = datasets.load(path if path.exists() else "digits")
    x = found.x_train[:images].reshape(-1, found.x_train[0].size)
    return found.name, x, np.eye(10, dtype="float32")[found.y_train[: len(x)]]


def network(inputs, lam, samples, seed):
    def layer(name, fan_in, units, offset):
        return keras.layers.Dense(
            units,
            "sigmoid",
            kernel_initializer=keras.initializers.RandomNormal(0, fan_in**-0.5, seed + offset),
            bias_initializer=keras.initializers.RandomNormal(0, 1, seed + offset + 1),
            # The loss is a mean over the ten outputs, where Nielsen sums: a tenth of his.
            kernel_regularizer=keras.regularizers.L2(lam / (20 * samples)) if lam else None,
            name=name,
        )

    hidden, output = layer("hidden", inputs, 30, 0), layer("output", 30, 10, 2)
    return keras.Sequential([keras.Input((inputs,)), hidden, output])


class Stop(keras.callbacks.Callback):
    """Keeps the loss after the last step within the budget, which the next step tells."""

    def __init__(self, evaluations):
        super().__init__()
        self.evaluations, self.steps, self.loss = evaluations, 0, None

    def on_epoch_end(self, epoch, logs=None):
        self.loss = logs["loss"]
        self.steps = epoch
        self.model.stop_training = logs["gradient_evaluations"] > self.evaluations


def newton(x, y, evaluations, lam, seed, batch, cg_iterations):
    model = network(x.shape[1], lam, len(x), seed)
    trainer = HessianFree(model, cg_iterations=cg_iterations)
    trainer.compile(loss=LOSS)
    stop, started = Stop(evaluations * len(x) / batch), time.perf_counter()
    trainer.fit(x, y, batch_size=batch, epochs=evaluations, verbose=0, callbacks=[stop])
    seconds = time.perf_counter() - started
    if batch < len(x):  # the loss of an epoch is a mean over weights that change
        stop.loss = trainer.evaluate(x, y, batch_size=len(x), verbose=0)
    return stop.loss, seconds


def first_order(optimizer, x, y, evaluations, lam, seed, batch):
    model = network(x.shape[1], lam, len(x), seed)
    model.compile(optimizer, LOSS, steps_per_execution=evaluations)
    batches = tf.data.Dataset.from_tensors((x, y))
    if batch < len(x):
        batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed).batch(batch)
    started = time.perf_counter()
    model.fit(batches.repeat(evaluations), verbose=0)
    seconds = time.perf_counter() - started
    return model.evaluate(x, y, batch_size=len(x), verbose=0), seconds


def row(name, results):
    losses, seconds = zip(*results, strict=True)
    shown = ", ".join(f"{loss:.2g}" for loss in losses)
    print(f"| {name} | {shown} | {statistics.mean(seconds):.1f} |", flush=True)
    return list(losses)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--evaluations", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--lam", type=float, default=0.0)
    parser.add_argument("--cg-iterations", type=int, default=10)
    parser.add_argument("--batch", type=int, default=None)
    arguments = parser.parse_args()
    name, x, y = data(arguments.images)
    budget, lam, seeds = (
        arguments.evaluations,
        arguments.lam,
        [10 * s for s in range(arguments.seeds)],
    )
    batch = arguments.batch or len(x)
    print(
        f"{len(x)} images of {name}, {budget} gradient evaluations, lambda {lam:g}, batch {batch}\n"
    )
    print("| method | training loss by seed | seconds |\n| --- | --- | --- |")
    ours = row(
        "HessianFree",
        [newton(x, y, budget, lam, seed, batch, arguments.cg_iterations) for seed in seeds],
    )
    for method, (make, rates) in FIRST_ORDER.items():
        at = {
            rate: row(
                f"{method}, rate {rate:g}",
                [first_order(make(rate), x, y, budget, lam, seed, batch) for seed in seeds],
            )
            for rate in rates
        }
        best = min(rates, key=lambda rate: statistics.mean(at[rate]))
        ratios = [a / b for a, b in zip(ours, at[best], strict=True)]
        edge = " (at the edge of its rates)" if best in (rates[0], rates[-1]) else ""
        shown = ", ".join(f"{ratio:.2g}" for ratio in ratios)
        print(f"| HessianFree over {method} at {best:g}{edge} | {shown} | |", flush=True)


if __name__ == "__main__":
    main()
