"""Greedy pretraining with 200 labels: deep sigmoid networks, and the ReLU network of today."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from trainwell import recipes
from trainwell.recipes.pretraining import greedy_pretrain

LABELS = 200
SEEDS = (0, 1)

# Activation and method of pretraining.
WAYS = {
    "sigmoid, from scratch": ("sigmoid", None),
    "sigmoid, autoencoders": ("sigmoid", "autoencoder"),
    "sigmoid, RBMs": ("sigmoid", "rbm"),
    "ReLU with He, from scratch": ("relu", None),
}


def accuracy(data, activation, method, seed):
    keras.utils.set_random_seed(seed)
    labelled = np.random.default_rng(seed).permutation(len(data.x_train))[:LABELS]
    model = recipes.mlp((8, 8), [100] * 4, 10, activation=activation, seed=seed)
    if method is not None:
        # All 1,437 training images, without their labels.
        greedy_pretrain(model, data.x_train, method=method, epochs=5, batch_size=10, seed=seed)
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(data.x_train[labelled], data.y_train[labelled], epochs=30, batch_size=20, verbose=0)
    return model.evaluate(data.x_test, data.y_test, verbose=0)[1]


def main() -> None:
    data = recipes.datasets.load("digits")
    means = {}
    for name, (activation, method) in WAYS.items():
        results = [accuracy(data, activation, method, seed) for seed in SEEDS]
        means[name] = np.mean(results)
        print(f"{name:28} test accuracy {' '.join(f'{r:.3f}' for r in results)}", flush=True)
    scratch, _, machines, modern = means.values()
    print(
        f"With {LABELS} labels, pretraining without labels takes the deep sigmoid network from "
        f"{scratch:.3f} to {machines:.3f} (RBMs). A ReLU network with the initializer that fits it "
        f"reaches {modern:.3f} without."
    )


if __name__ == "__main__":
    main()
