"""What `TrainingDoctor` costs: whole `fit`s with it, as ratios to the same `fit` without.

    python benchmarks/doctor/cost.py [--rounds 9] [--steps 2400] [--only NAME ...]

The networks are of MNIST's size, the labels those of a teacher, so that the runs are healthy. Of
each round's `fit`s, in a new order each time, the first epoch, in which Keras traces the step, is
counted apart. Beside the median of the ratios within each round stands that of processor time over
all threads, which other programs hardly change. Lines go into `results/cost.jsonl`.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rows import about

from trainwell.callbacks import TrainingDoctor

RESULTS = Path(__file__).parent / "results" / "cost.jsonl"
EPOCHS, BATCH = 12, 32
layers = keras.layers


def mlp():
    hidden = [layers.Dense(100, "relu", kernel_initializer="he_normal") for _ in range(4)]
    return keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10, "softmax")]
    )


def convnet():
    parts = []
    for filters in (16, 32):
        parts.append(layers.Conv2D(filters, 3, activation="relu", kernel_initializer="he_normal"))
        parts.append(layers.MaxPooling2D())
    return keras.Sequential(
        [keras.Input((28, 28, 1)), *parts, layers.Flatten(), layers.Dense(10, "softmax")]
    )


NETWORKS = {"MLP, 4 x 100": mlp, "convnet, 16 and 32 filters": convnet}
WAYS = {
    "plain": lambda: [],
    "TrainingDoctor()": lambda: [TrainingDoctor(verbose=0)],
    "TrainingDoctor(every=1)": lambda: [TrainingDoctor(every=1, verbose=0)],
}


def teachers_data(samples):
    """Images of noise, and the classes that a fixed linear teacher gives them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, 28, 28, 1)).astype("float32")
    teacher = rng.normal(size=(14 * 14, 10))
    blurred = x.reshape(samples, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(samples, -1)
    return x, (blurred @ teacher).argmax(axis=1)


class Clock(keras.callbacks.Callback):
    """Seconds and processor seconds at the ends of the epochs."""

    def on_train_begin(self, logs=None):
        self.marks = [np.array([time.perf_counter(), time.process_time()])]

    def on_epoch_end(self, epoch, logs=None):
        self.marks.append(np.array([time.perf_counter(), time.process_time()]))


def fitted(build, way, x, y):
    """Of one `fit`: seconds and processor seconds of the first epoch and of the others; errors."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    watching, clock = WAYS[way](), Clock()
    # Last: an epoch ends when the doctor has looked.
    callbacks = [*watching, clock]
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=callbacks)
    errors = [str(one) for doctor in watching for one in doctor.findings if "error" in one.severity]
    first, last = clock.marks[1] - clock.marks[0], clock.marks[-1] - clock.marks[1]
    return {"first": first.tolist(), "steady": last.tolist(), "errors": errors}


def measure(build, rounds, steps):
    """The `fit`s of all rounds, by the way to watch."""
    x, y = teachers_data(BATCH * (steps // EPOCHS))
    rng, runs = np.random.default_rng(0), {way: [] for way in WAYS}
    fitted(build, "plain", x, y)  # what TensorFlow does once in a process
    for _ in range(rounds):
        for way in rng.permutation(list(WAYS)):
            runs[way].append(fitted(build, way, x, y))
    return runs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--only", nargs="*", default=list(NETWORKS))
    arguments = parser.parse_args()
    made = about("benchmarks/doctor/cost.py", *sys.argv[1:])
    print(", ".join(made.values()) + "\n")
    print("| network | way to watch | ms a step | ratio to plain | processor time | first epoch |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in arguments.only:
        runs = measure(NETWORKS[name], arguments.rounds, arguments.steps)
        plain = {part: np.array([run[part] for run in runs["plain"]]) for part in runs["plain"][0]
                 if part != "errors"}  # fmt: skip
        for way, fits in runs.items():
            steady = np.array([run["steady"] for run in fits])
            ratio, processor = np.median(steady / plain["steady"], axis=0)
            first = np.median(np.array([run["first"] for run in fits]) / plain["first"], axis=0)[0]
            step = np.median(steady[:, 0]) / (arguments.steps // EPOCHS * (EPOCHS - 1)) * 1e3
            print(
                f"| {name} | {way} | {step:.2f} | {ratio:.3f} | {processor:.3f} | {first:.2f} |",
                flush=True,
            )
            line = made | {"load": os.getloadavg()[0], "network": name, "way": way, "fits": fits}
            line |= {"ratio": ratio, "processor": processor, "first": first, "step_ms": step}
            RESULTS.parent.mkdir(exist_ok=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
