"""Which way up is the digit? A task with free labels, as a start for one with 40 labels."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from trainwell import recipes
from trainwell.recipes.transfer import reuse_layers, unfreeze

LABELS = 40
SEEDS = (0, 1)


def network(outputs, seed):
    layers = [keras.Input((8, 8)), keras.layers.Reshape((8, 8, 1))]
    for i, filters in enumerate((16, 32, 64), 1):
        # Another seed for each, and none shared with the weights of the output.
        he = recipes.initializer_for("relu", seed=10 * seed + i)
        conv = keras.layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer=he, name=f"conv_{i}"
        )
        layers += [conv] if i == 1 else [conv, keras.layers.MaxPooling2D(name=f"pool_{i}")]
    glorot = recipes.initializer_for("softmax", seed=10 * seed)
    output = keras.layers.Dense(
        outputs, activation="softmax", kernel_initializer=glorot, name="output"
    )
    return keras.Sequential([*layers, keras.layers.Flatten(name="flatten"), output])


def compiled(model, learning_rate):
    model.compile(
        keras.optimizers.Adam(learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def turned(images):
    """Each image turned by 0, 90, 180 and 270 degrees, and by how many quarters it was."""
    turns = np.concatenate([np.rot90(images, k, axes=(1, 2)) for k in range(4)])
    return turns, np.repeat(np.arange(4), len(images))


def accuracies(data, seed):
    """Of the auxiliary task, from scratch, and with the layers of the auxiliary task."""
    keras.utils.set_random_seed(seed)
    rows = np.random.default_rng(seed).permutation(len(data.x_train))[:LABELS]
    labelled = data.x_train[rows], data.y_train[rows]
    test = data.x_test, data.y_test

    scratch = compiled(network(10, seed), 1e-3)
    scratch.fit(*labelled, epochs=40, batch_size=10, verbose=0)

    auxiliary = compiled(network(4, seed), 1e-3)
    auxiliary.fit(*turned(data.x_train), epochs=5, verbose=0)

    model = compiled(reuse_layers(auxiliary, -1, 10, seed=seed), 1e-2)
    model.fit(*labelled, epochs=10, batch_size=10, verbose=0)
    unfreeze(model)  # at 1e-3
    model.fit(*labelled, epochs=30, batch_size=10, verbose=0)
    turns = auxiliary.evaluate(*turned(data.x_test), verbose=0)[1]
    return turns, scratch.evaluate(*test, verbose=0)[1], model.evaluate(*test, verbose=0)[1]


def main() -> None:
    data = recipes.datasets.load("digits")
    results = []
    for seed in SEEDS:
        results.append(accuracies(data, seed))
        turns, scratch, reused = results[-1]
        print(
            f"seed {seed}: which way up {turns:.3f}; digits with {LABELS} labels, from scratch "
            f"{scratch:.3f}, after the auxiliary task {reused:.3f}",
            flush=True,
        )
    _, scratch, reused = np.mean(results, axis=0)
    # Between two seeds results differ by several points.
    verdict = "helps" if reused > scratch + 0.02 else "does not help"
    print(
        f"Here the auxiliary task {verdict}: {scratch:.3f} without, {reused:.3f} with. The small "
        "network learns what it needs from the labels as fast; the way is worth a try where "
        "images are large and labels few."
    )


if __name__ == "__main__":
    main()
