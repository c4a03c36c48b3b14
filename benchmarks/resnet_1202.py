"""What a residual network of 1202 layers costs to build, to trace, to train, to save and to load.

    python benchmarks/resnet_1202.py [--depth 1202] [--batch 8] [--steps 4] [--unbuilt-optimizer]

"Processor" is the time of all threads, which a busy machine changes less than the time that
passes. "Peak memory" is the most that the process has held so far; "before" is what it holds with
everything imported. `--unbuilt-optimizer` leaves out `model.optimizer.build(...)`.
"""

import argparse
import os
import platform
import resource
import tempfile
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from trainwell.recipes.resnet import resnet


class Clock:
    """Prints a row for each thing that has been done since the last one."""

    def __init__(self):
        print("| | s | processor, s | peak memory, GB |")
        print("| --- | --- | --- | --- |")
        self._row("before", 0.0, 0.0)
        self.start()

    def start(self):
        self._began = time.perf_counter(), time.process_time()

    def stop(self, name, times=1):
        passed, worked = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        self._row(name, passed / times, worked / times)
        self.start()

    def _row(self, name, passed, worked):
        # KiB on Linux.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        print(f"| {name} | {passed:.1f} | {worked:.1f} | {peak:.1f} |", flush=True)


class Steps(keras.callbacks.Callback):
    """Reads the clock after the first step and after the last."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self._clock.stop("first step, traced")

    def on_train_end(self, logs=None):
        self._clock.stop("a later step", self.params["steps"] - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=1202)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--unbuilt-optimizer", action="store_true")
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    print(f"{date.today()}, {machine}, {versions}; depth {arguments.depth}\n")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(arguments.batch * arguments.steps, 32, 32, 3)).astype(np.float32)
    y = rng.integers(0, 10, len(x))

    clock = Clock()
    model = resnet((32, 32, 3), 10, depth=arguments.depth, zero_branches=True, seed=0)
    clock.stop("build")
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    if not arguments.unbuilt_optimizer:
        model.optimizer.build(model.trainable_variables)
        clock.stop("build the optimizer")
    model.fit(x, y, arguments.batch, verbose=0, callbacks=[Steps(clock)])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        clock.start()
        model.save(path)
        clock.stop("save")
        loaded = keras.models.load_model(path)
        clock.stop("load")
    one, other = (m(x[: arguments.batch], training=False).numpy() for m in (model, loaded))
    pairs = zip(model.get_weights(), loaded.get_weights(), strict=True)
    same = all(np.array_equal(a, b) for a, b in pairs)
    print(
        f"\n{model.count_params():,} parameters; after loading "
        f"{'the same' if same else 'NOT THE SAME'} weights, and predictions that differ by "
        f"{np.abs(one - other).max():.2g} at most."
    )


if __name__ == "__main__":
    main()
