"""What watching takes of the host's memory, each run in a process of its own.

    python benchmarks/monitor_memory.py

1. A 200-layer network, 6,000 steps: what Python and NumPy hold more at the end than after the
   first epoch, beside the bytes of the rows recorded meanwhile.
2. An embedding of 200,000 words in 128 dimensions, whose gradient would take 102 MB if it were
   written out: the highest memory of the process with and without monitors.
"""

import os
import platform
import resource
import subprocess
import sys
import tracemalloc
from datetime import date

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

MB = 1e6


def growth(watched: bool) -> None:
    import keras

    from trainwell.callbacks import ActivationStats, GradientNorms

    class Growth(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                tracemalloc.start()
                rows.append(sum(held(monitor) for monitor in monitors))

        def on_train_end(self, logs=None):
            rows.append(sum(held(monitor) for monitor in monitors))
            print(tracemalloc.get_traced_memory()[0], rows[1] - rows[0])

    def held(monitor):
        return sum(group.nbytes for group in monitor.record.groups.values())

    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(4, "tanh") for _ in range(200)]
    model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=100)
    monitors = [GradientNorms(), ActivationStats()] if watched else []
    rows: list[float] = []
    x = np.zeros((1000, 4), "float32")
    fit = {"batch_size": 1, "epochs": 7, "verbose": 0}
    model.fit(x, x[:, :1], callbacks=[*monitors, Growth()], **fit)


def embedding(watched: bool) -> None:
    import keras

    from trainwell.callbacks import ActivationStats, GradientNorms

    keras.utils.set_random_seed(0)
    layers = keras.layers
    words = [keras.Input((20,), dtype="int32"), layers.Embedding(200_000, 128)]
    rest = [layers.GlobalAveragePooling1D(), layers.Dense(64, "relu"), layers.Dense(1)]
    model = keras.Sequential([*words, *rest])
    model.compile("sgd", "mse")
    monitors = [GradientNorms(), ActivationStats()] if watched else []
    x = np.random.default_rng(0).integers(0, 200_000, (640, 20))
    model.fit(x, np.zeros(640), batch_size=32, epochs=3, verbose=0, callbacks=monitors)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, 0)


def run(what: str, watched: bool) -> tuple[float, float]:
    command = [sys.executable, __file__, what, str(int(watched))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    first, second = map(float, done.stdout.split()[-2:])
    return first, second


def main() -> None:
    print(f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores\n")
    plain, _ = run("growth", watched=False)
    grown, rows = run("growth", watched=True)
    print(f"200 layers, 6,000 steps: rows of {rows / MB:.1f} MB; more is held by")
    print(f"{grown / MB:.1f} MB, {plain / MB:.1f} MB without monitors: ", end="")
    print(f"{(grown - plain) / rows:.3f} times the rows")
    plain, watched = (run("embedding", watched=w)[0] for w in (False, True))
    print(f"embedding: highest memory {plain / MB:.0f} MB plain, {watched / MB:.0f} MB watched")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        {"growth": growth, "embedding": embedding}[sys.argv[1]](sys.argv[2] == "1")
    else:
        main()
