"""Pretrains the 784-500-500-2000-10 network of Hinton et al. 2006 on MNIST, and tunes it.

python benchmarks/deep_belief.py --data mnist [--images 60000] [--epochs 1] [--labels 60000]
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from trainwell import recipes
from trainwell.recipes.pretraining import greedy_pretrain

UNITS = [500, 500, 2000]


def tuned(model, data, labels, epochs):
    """Test accuracy after fine-tuning, and the seconds an epoch of it took."""
    model.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    start = time.perf_counter()
    model.fit(
        data.x_train[:labels], data.y_train[:labels], epochs=epochs, batch_size=100, verbose=0
    )
    seconds = (time.perf_counter() - start) / epochs
    return model.evaluate(data.x_test, data.y_test, batch_size=1000, verbose=0)[1], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist", help="name or .npz file")
    parser.add_argument("--method", default="rbm", choices=["rbm", "autoencoder"])
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--labels", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=1, help="of each layer")
    parser.add_argument("--tuning-epochs", type=int, default=5)
    arguments = parser.parse_args()

    data = recipes.datasets.load(arguments.data)
    x = data.x_train[: arguments.images]
    for pretrained in (False, True):
        keras.utils.set_random_seed(0)
        model = recipes.mlp(data.x_train.shape[1:], UNITS, 10, activation="sigmoid", seed=0)
        if pretrained:
            start = time.perf_counter()
            history = greedy_pretrain(
                model, x, method=arguments.method, epochs=arguments.epochs, batch_size=100, seed=0
            )
            minutes = (time.perf_counter() - start) / 60 / arguments.epochs
            print(f"pretraining on {len(x)} images: {minutes:.2f} minutes an epoch of all layers")
            for name, values in history.items():
                first, last = (values["reconstruction_error"][i] for i in (0, -1))
                print(f"  {name}: reconstruction error {first:.4f} -> {last:.4f}")
        accuracy, seconds = tuned(model, data, arguments.labels, arguments.tuning_epochs)
        how = arguments.method if pretrained else "none"
        print(
            f"pretraining: {how}; {arguments.tuning_epochs} epochs on "
            f"{min(arguments.labels, len(data.x_train))} labels ({seconds:.1f} s each): "
            f"test accuracy {accuracy:.4f}"
        )


if __name__ == "__main__":
    main()
