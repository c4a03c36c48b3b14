"""What `predict_mc` costs: 100 samples, against one `predict` over 100 copies of the data.

    python benchmarks/predict_mc.py [--rounds 7] [--samples 100]

Both do as many passes of as many rows. The ways take turns within a round; the first ratio is
that of the fastest rounds, behind it the median of the ratios within each round. "ordinary" is a
model with `keras.layers.Dropout`, which `predict` leaves out and `predict_mc` turns on; "MC" has
`MCDropout`, so that both draw masks. The copies are made beforehand.
"""

import argparse
import os
import platform
import time
from datetime import date

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from trainwell.recipes import mlp
from trainwell.recipes.layers.monte_carlo_dropout import MCDropout
from trainwell.recipes.monte_carlo import predict_mc


def with_mc_layers(model):
    """The same model with `MCDropout` in the place of each dropout layer."""

    def clone(layer):
        config = layer.get_config()
        kind = MCDropout if type(layer) is keras.layers.Dropout else type(layer)
        return kind.from_config(config)

    return keras.models.clone_model(model, clone_function=clone)


def convnet():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.25),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


CASES = {
    "mlp 784-300-100-10": (lambda: mlp(784, [300, 100], 10, dropout=0.2), (784,), 100),
    "mlp 784-5x100-10": (lambda: mlp(784, [100] * 5, 10, dropout=0.2), (784,), 100),
    "convnet 28x28": (convnet, (28, 28, 1), 30),
}


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(model, x, samples, batch_size, rounds):
    copies = np.repeat(x, samples, axis=0)
    ways = {
        "predict": lambda: model.predict(copies, batch_size=batch_size, verbose=0),
        "predict_mc": lambda: predict_mc(model, x, samples, batch_size),
    }
    first = {name: seconds(way) for name, way in ways.items()}
    rng, steady = np.random.default_rng(0), {name: [] for name in ways}
    for _ in range(rounds):
        for name in rng.permutation(list(ways)):
            steady[name].append(seconds(ways[name]))
    return first, {name: np.array(times) for name, times in steady.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=100)
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    print(f"{date.today()}, {machine}, {versions}; {arguments.rounds} rounds\n")
    print(
        "| network, inputs | dropout | rows a pass | predict, s | predict_mc, s | ratio | median |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (build, shape, inputs) in CASES.items():
        x = np.random.default_rng(0).normal(size=(inputs, *shape)).astype(np.float32)
        model = build()
        for dropout, one in (("ordinary", model), ("MC", with_mc_layers(model))):
            for batch_size in (32, 1000):
                _, times = measure(one, x, arguments.samples, batch_size, arguments.rounds)
                plain, ours = times["predict"], times["predict_mc"]
                print(
                    f"| {name}, {inputs} | {dropout} | {batch_size} | {plain.min():.3f} "
                    f"| {ours.min():.3f} | {ours.min() / plain.min():.2f} "
                    f"| {np.median(ours / plain):.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
