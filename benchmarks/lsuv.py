"""What `lsuv` costs on 50 layers, and what it does to them.

    python benchmarks/lsuv.py [--rounds 5]

The first time includes what TensorFlow does once for each operation. "predict" is one forward
pass over the same batch.
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
from trainwell.recipes.lsuv import lsuv


def convolutions(depth):
    x = inputs = keras.Input((16, 16, 3))
    for _ in range(depth):
        x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(x)))


CASES = {
    "50 dense layers of 100, tanh": (lambda: mlp(784, [100] * 49, 10, activation="tanh"), (784,)),
    "50 dense layers of 1000, relu": (lambda: mlp(784, [1000] * 49, 10), (784,)),
    "49 convolutions of 32 filters, 1 dense": (lambda: convolutions(49), (16, 16, 3)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    print(f"{date.today()}, {machine}, {versions}; {rounds} rounds, a batch of 256\n")
    print("| network | first, s | fastest, s | predict, s | variances before | after |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (build, shape) in CASES.items():
        x = np.random.default_rng(0).normal(3, 5, (256, *shape)).astype(np.float32)
        times, forward = [], []
        for _ in range(rounds):
            model = build()
            start = time.perf_counter()
            report = lsuv(model, x, orthonormal=len(times) > 0)
            times.append(time.perf_counter() - start)
            start = time.perf_counter()
            model(x)
            forward.append(time.perf_counter() - start)
            if len(times) == 1:
                before = [row.variance_before for row in report]
        after = [row.variance_after for row in report]
        print(
            f"| {name} | {times[0]:.2f} | {min(times):.2f} | {min(forward):.2f} "
            f"| {min(before):.2g} to {max(before):.2g} | {min(after):.3f} to {max(after):.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
