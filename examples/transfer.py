"""Géron's transfer experiment in small: eight classes known, two to be learned from few images."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from trainwell import recipes
from trainwell.recipes.transfer import reuse_layers, unfreeze

KNOWN, NEW = tuple(range(8)), (8, 9)
IMAGES = 10
DRAWS = (0, 1, 2)


def network(outputs, output_activation, seed):
    """Small and convolutional: dense networks learn features that carry over worse."""

    def conv(filters, name):
        return keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=recipes.initializer_for("relu", seed=seed),
            name=name,
        )

    layers = [
        keras.Input((8, 8)),
        keras.layers.Reshape((8, 8, 1)),
        conv(16, "conv_1"),
        conv(32, "conv_2"),
        keras.layers.MaxPooling2D(name="pool"),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(
            50,
            activation="relu",
            kernel_initializer=recipes.initializer_for("relu", seed=seed),
            name="hidden",
        ),
        keras.layers.Dense(outputs, activation=output_activation, name="output"),
    ]
    return keras.Sequential(layers)


def of_classes(x, y, classes):
    rows = np.isin(y, classes)
    return x[rows], y[rows] - classes[0]


def trained(model, x, y, epochs, optimizer=None):
    if optimizer is not None:
        loss = "binary_crossentropy" if model.output_shape[-1] == 1 else None
        loss = loss or "sparse_categorical_crossentropy"
        model.compile(optimizer, loss, metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=32 if len(x) > 100 else 5, verbose=0)
    return model


def main() -> None:
    data = recipes.datasets.load("digits")
    keras.utils.set_random_seed(0)
    known = trained(
        network(len(KNOWN), "softmax", seed=0),
        *of_classes(data.x_train, data.y_train, KNOWN),
        epochs=12,
        optimizer=keras.optimizers.Adam(1e-3),
    )
    x, y = of_classes(data.x_train, data.y_train, NEW)
    test = of_classes(data.x_test, data.y_test, NEW)
    results = []
    for draw in DRAWS:
        keras.utils.set_random_seed(draw)
        rows = np.random.default_rng(draw).permutation(len(x))[:IMAGES]
        few = x[rows], y[rows]
        scratch = trained(
            network(1, "sigmoid", seed=draw), *few, epochs=50, optimizer=keras.optimizers.Adam(1e-3)
        )
        reused = reuse_layers(known, -1, 1, output_activation="sigmoid", seed=draw)
        trained(reused, *few, epochs=20, optimizer=keras.optimizers.Adam(1e-2))
        frozen = reused.evaluate(*test, verbose=0)[1]
        unfreeze(reused)  # at 1e-3
        trained(reused, *few, epochs=30)
        results.append([scratch.evaluate(*test, verbose=0)[1], frozen])
        results[-1].append(reused.evaluate(*test, verbose=0)[1])
        print(
            f"{IMAGES} images, draw {draw}: from scratch {results[-1][0]:.3f}, "
            f"new output layer only {frozen:.3f}, then unfrozen {results[-1][2]:.3f}",
            flush=True,
        )
    scratch, frozen, tuned = np.mean(results, axis=0)
    # Between two draws results differ by several points.
    verdict = "helps" if tuned > scratch + 0.02 else "does not help"
    print(
        f"Here reuse {verdict}: {scratch:.3f} from scratch, {frozen:.3f} with frozen layers, "
        f"{tuned:.3f} unfrozen. A small network learns little from small images that {IMAGES} "
        "new ones don't teach it as fast; large networks on large images are where reuse pays."
    )


if __name__ == "__main__":
    main()
