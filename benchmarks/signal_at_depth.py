"""What each recipe makes of the signal at depth 50: forward deviations and backward ratios.

    python benchmarks/signal_at_depth.py [--seeds 5]

In the first step, batch normalization in training mode: the deviation of the last hidden layer's
output over that of the first, and the ratio of the kernel-gradient norms of the first over the
last hidden layer; the latter in the second step too, since a branch that starts at zero passes no
gradient to its inner kernels in the first. Each is the median over the seeds with its range.
Inputs are 256 of the digits, standardized; the loss is the cross-entropy.
"""

import argparse
import os
import platform
from datetime import date

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from trainwell import recipes
from trainwell.callbacks import ActivationStats, GradientNorms

DATA = recipes.datasets.load("digits")
X, Y = DATA.x_train[:256], DATA.y_train[:256]
X = np.asarray((X - X.mean()) / X.std(), "float32")
HIDDEN, OUTPUTS = [100] * 50, 10


def dense(activation, **options):
    return lambda seed: recipes.mlp(
        (8, 8), HIDDEN, OUTPUTS, activation=activation, seed=seed, **options
    )


def naive(width):
    options = {
        "kernel_initializer": recipes.NaiveNormal(),
        "bias_initializer": recipes.NaiveNormal(),
    }
    return lambda seed: recipes.mlp(
        (8, 8), [width] * 50, OUTPUTS, activation="sigmoid", seed=seed, **options
    )


def residual(**options):
    return lambda seed: recipes.residual_mlp((8, 8), [100] * 25, OUTPUTS, seed=seed, **options)


def recurrent(cell):
    return lambda seed: recipes.recurrent((8, 8), [32] * 4, OUTPUTS, cell=cell, seed=seed)


def convolutional(**options):
    return lambda seed: recipes.convnet(
        (8, 8), [16], OUTPUTS, convolutions_per_block=50, seed=seed, **options
    )


# Name -> how to build it.
CASES = {
    "naive N(0, 1), sigmoid, width 30": naive(30),
    "naive N(0, 1), sigmoid, width 100": naive(100),
    "naive N(0, 1), sigmoid, width 300": naive(300),
    "Glorot, sigmoid": dense("sigmoid"),
    "Glorot, tanh": dense("tanh"),
    "He, ReLU": dense("relu"),
    "He, leaky ReLU": dense("leaky_relu"),
    "He, PReLU": dense("prelu"),
    "He, ELU": dense("elu"),
    "LeCun, SELU": lambda seed: recipes.self_normalizing_mlp((8, 8), HIDDEN, OUTPUTS, seed=seed),
    "He, ReLU, batch normalization before": dense("relu", normalization="batch"),
    "He, ReLU, batch normalization after": dense("relu", normalization="batch_after"),
    "He, ReLU, layer normalization": dense("relu", normalization="layer"),
    "residual, batch normalization": residual(),
    "residual, pre-activation": residual(pre_activation=True),
    "residual, SkipInit": residual(normalization=None, skip_init=True),
    "50 convolutions, He, ReLU": convolutional(),
    "50 convolutions, batch normalization": convolutional(normalization="batch"),
    "50 convolutions, delta-orthogonal, tanh": convolutional(
        activation="tanh", kernel_initializer=recipes.DeltaOrthogonal()
    ),
    "ResNet-50": lambda seed: recipes.resnet((8, 8), OUTPUTS, depth=50, seed=seed),
    "ResNet-50, zero branches": lambda seed: recipes.resnet(
        (8, 8), OUTPUTS, depth=50, zero_branches=True, seed=seed
    ),
    "ResNet-56, version 2": lambda seed: recipes.resnet(
        (8, 8), OUTPUTS, depth=56, version=2, seed=seed
    ),
    "4 LSTM layers": recurrent("lstm"),
    "4 GRU layers": recurrent("gru"),
}


def measured(build, seed):
    """Last over first deviation; the gradient ratio in the first and in the second step."""
    model = build(seed)
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    gradients, activations = GradientNorms(), ActivationStats()
    options = {"batch_size": len(X), "epochs": 2, "verbose": 0, "shuffle": False}
    model.fit(X, Y, callbacks=[gradients, activations], **options)
    deviations = activations.record["std"][0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return [deviations[-1] / deviations[0], *gradients.record.gradient_ratio()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores; {arguments.seeds} seeds\n"
    )
    print("| recipe, depth 50 | deviation, last / first | gradient, first / last | step 2 |")
    print("| --- | --- | --- | --- |")
    for name in arguments.only:
        values = np.array([measured(CASES[name], seed) for seed in range(arguments.seeds)])
        cells = [
            f"{np.median(column):.2g} [{column.min():.2g}, {column.max():.2g}]"
            for column in values.T
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
