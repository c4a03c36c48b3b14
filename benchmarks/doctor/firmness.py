"""When `TrainingDoctor` warns of what shows from the start, as a share of the planned steps.

    python benchmarks/doctor/firmness.py [--seeds 3] [--epochs 20] [--only NAME ...]

One fault is planted in a sound network on the digits (or on a line with noise). The run is planned
for so many epochs and ended after 30% of them. "First" is the first warning, "named" the first one
that names a symptom of the fault; `preflight` is asked before. Lines go into
`results/firmness.jsonl`.
"""

import argparse
import json
import os
import re
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rows import about

from trainwell.callbacks import TrainingDoctor
from trainwell.recipes import datasets, preflight

RESULTS = Path(__file__).parent / "results" / "firmness.jsonl"
WATCHED = 0.3
layers, initializers, optimizers = keras.layers, keras.initializers, keras.optimizers

DIGITS = datasets.load("digits")
X, Y = DIGITS.x_train.reshape(-1, 64), DIGITS.y_train
SPARSE = "sparse_categorical_crossentropy"


@keras.saving.register_keras_serializable(package="benchmarks")
class Rounded(layers.Layer):
    """Rounds: an operation whose derivative is 0 everywhere."""

    def call(self, inputs):
        return keras.ops.round(inputs)


def network(depth=2, activation="relu", output=(10, "softmax"), between=(), inputs=64, **dense):
    dense = {
        "kernel_initializer": "he_normal" if activation == "relu" else "glorot_uniform"
    } | dense
    model = keras.Sequential([keras.Input((inputs,))])
    for _ in range(depth):
        model.add(layers.Dense(32, activation, **dense))
        for layer in between:
            model.add(layer())
    model.add(layers.Dense(*output))
    return model


def compiled(model, optimizer=None, loss=SPARSE, metrics=("accuracy",)):
    model.compile(optimizer or optimizers.SGD(0.05), loss, metrics=list(metrics))
    return model


def binary(model):
    return compiled(model, loss="binary_crossentropy"), X, (Y % 2).astype("float32")


def regression(scale, optimizer):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1440, 8)).astype("float32")
    y = x @ rng.normal(size=(8, 1)) + 0.1 * rng.normal(size=(1440, 1))
    model = network(output=(1, None), inputs=8)
    return compiled(model, optimizer, "mse", ()), x, (scale * (y + 3)).astype("float32")


def broken_inputs():
    x = X.copy()
    x[::50, 3] = np.nan
    return compiled(network()), x, Y


FAULTS = {
    "sigmoid, 20 layers": (
        ("vanishing_gradient",),
        lambda: (compiled(network(20, "sigmoid")), X, Y),
    ),
    "ReLU, weights of deviation 1, 10 layers": (
        ("poor_initialization", "exploding_gradient"),
        lambda: (
            compiled(network(10, kernel_initializer=initializers.RandomNormal(stddev=1.0))), X, Y,
        ),
    ),
    "tanh, weights of deviation 0.01, 8 layers": (
        ("poor_initialization", "vanishing_gradient"),
        lambda: (
            compiled(
                network(8, "tanh", kernel_initializer=initializers.RandomNormal(stddev=0.01))
            ), X, Y,
        ),
    ),
    "sigmoid, weights of deviation 5": (
        ("saturated_activation", "poor_initialization"),
        lambda: (
            compiled(
                network(3, "sigmoid", kernel_initializer=initializers.RandomNormal(stddev=5.0))
            ), X, Y,
        ),
    ),
    "ReLU, biases of -10": (
        ("dying_relu",),
        lambda: (
            compiled(network(bias_initializer=initializers.Constant(-10.0))), X, Y,
        ),
    ),
    "inputs times 255": (("unscaled_input",), lambda: (compiled(network()), 255 * X, Y)),
    "inputs with NaN": (("non_finite",), broken_inputs),
    "targets in the thousands, SGD": (
        ("unscaled_target",),
        lambda: regression(2000, optimizers.SGD(0.01)),
    ),
    "targets in the thousands, Adam 1e-3": (
        ("unscaled_target",),
        lambda: regression(2000, optimizers.Adam(1e-3)),
    ),
    "rate 1000": (
        ("learning_rate_too_high",),
        lambda: (compiled(network(), optimizers.SGD(1000.0)), X, Y),
    ),
    "Adam, rate 10": (
        ("learning_rate_too_high",),
        lambda: (compiled(network(), optimizers.Adam(10.0)), X, Y),
    ),
    "rate 1e-8": (
        ("learning_rate_too_low",),
        lambda: (compiled(network(), optimizers.SGD(1e-8)), X, Y),
    ),
    "softmax on one unit": (
        ("improper_output_activation",),
        lambda: binary(network(output=(1, "softmax"))),
    ),
    "ReLU as the output of a classifier": (
        ("improper_output_activation",),
        lambda: (compiled(network(output=(10, "relu"))), X, Y),
    ),
    "ten classes and binary crossentropy": (
        ("improper_loss", "improper_output_activation"),
        lambda: (
            compiled(network(output=(1, "sigmoid")), loss="binary_crossentropy"),
            X, Y.astype("float32"),
        ),
    ),
    "no activations": (("missing_activation",), lambda: (compiled(network(3, None)), X, Y)),
    "dropout 0.9": (
        ("excessive_dropout",),
        lambda: (compiled(network(between=(lambda: layers.Dropout(0.9),))), X, Y),
    ),
    "a layer that rounds": (
        ("disconnected_layer",),
        lambda: (compiled(network(between=(Rounded,))), X, Y),
    ),
}  # fmt: skip


class End(keras.callbacks.Callback):
    """Ends a run after a share of its plan."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 >= WATCHED * self.params["epochs"]:
            self.model.stop_training = True


def watched(name, seed, epochs):
    """What was told of one run, at which share of the plan."""
    symptoms, build = FAULTS[name]
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model, x, y = build()
    planned = epochs * -(-len(x) // 32)
    before = [(one.symptom, str(one.severity)) for one in preflight(model, x, y, epochs=epochs)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, y, epochs=epochs, verbose=0, callbacks=[TrainingDoctor(), End()])
    told = [
        (int(step.replace(",", "")) / planned, re.findall(r"^  (\w+): (\w+)", text, re.MULTILINE))
        for text in (str(one.message) for one in caught)
        for step in re.findall(r"TrainingDoctor, after ([\d,]+) steps", text)
    ]
    named = [share for share, found in told if any(one in symptoms for _, one in found)]
    return {
        "fault": name,
        "seed": seed,
        "planned": planned,
        "symptoms": symptoms,
        "preflight": before,
        "told": told,
        "first": told[0][0] if told else None,
        "named": named[0] if named else None,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=list(FAULTS))
    arguments = parser.parse_args()
    made = about("benchmarks/doctor/firmness.py", *sys.argv[1:])
    print(", ".join(made.values()) + "\n")
    print("| fault | first warning | names it | by `preflight` | the first warning says |")
    print("| --- | --- | --- | --- | --- |")
    RESULTS.parent.mkdir(exist_ok=True)
    for name in arguments.only:
        runs = [watched(name, seed, arguments.epochs) for seed in range(arguments.seeds)]
        with RESULTS.open("a") as file:
            file.writelines(json.dumps(made | run) + "\n" for run in runs)
        before = sum(any(one in run["symptoms"] for one, _ in run["preflight"]) for run in runs)
        says = [f"{symptom} ({grade})" for grade, symptom in (runs[0]["told"] or [(0, [])])[0][1]]
        print(
            f"| {name} | {_shares(runs, 'first')} | {_shares(runs, 'named')} "
            f"| {before} of {len(runs)} | {', '.join(says)} |",
            flush=True,
        )


def _shares(runs, key):
    """The latest of the runs' shares, or how many had none."""
    shares = [run[key] for run in runs if run[key] is not None]
    if len(shares) < len(runs):
        return f"{len(runs) - len(shares)} of {len(runs)} never"
    return f"{max(shares):.1%}"


if __name__ == "__main__":
    main()
