"""Exploding gradients of a recurrent network: 25 times a step by hand, then digits; clipping."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from trainwell import callbacks, recipes
from trainwell.recipes.recurrent import recurrent

EPOCHS = 10


def norms_of(record: callbacks.TrainingRecord) -> np.ndarray:
    """The norm of all gradients together at each step."""
    return np.sqrt((record["gradient_norm"].astype(np.float64) ** 2).sum(axis=1))


def weights_of_100() -> None:
    """A sigmoid unit that feeds itself by a weight of 100, held where its slope is 1/4."""
    print("Time steps and gradient norm of a unit with weight 100: 100 sigmoid'(0) = 25 a step.")
    constant = keras.initializers.Constant
    previous = None
    for steps in (2, 4, 6, 8):
        model = recurrent(
            (steps, 1),
            [1],
            1,
            cell="simple",
            activation="sigmoid",
            kernel_initializer=constant(50.0),
            recurrent_initializer=constant(100.0),
            bias_initializer=constant(-50.0),
            output_activation="linear",
        )
        model.compile(keras.optimizers.SGD(1e-6), "mse")
        x = np.zeros((1, steps, 1))
        x[0, 0] = 1  # the first input lifts the unit to z = 0, where its own output keeps it
        monitor = callbacks.GradientNorms()
        model.fit(x, np.zeros((1, 1)), verbose=0, callbacks=[monitor])
        layer = list(monitor.record.layers).index("recurrent_1/simple_rnn_cell")
        norm = float(monitor.record.by_layer("gradient_norm")[0, layer])
        growth = "" if previous is None else f", {(norm / previous) ** 0.5:.1f} times a step"
        print(f"  {steps}: {norm:.3g}{growth}")
        previous = norm


def digits_pixel_by_pixel() -> None:
    """A ReLU network whose recurrent kernel is the identity reads 64 pixels, one a step."""
    data = recipes.datasets.load("digits")
    x, x_test = (images.reshape(-1, 64, 1) for images in (data.x_train, data.x_test))
    print("Digits as 64 time steps, ReLU and identity (Le et al. 2015), by clipping:")
    for clipping in ({}, {"clipvalue": 0.1}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        keras.utils.set_random_seed(0)
        model = recurrent(
            (64, 1),
            [32],
            10,
            cell="simple",
            activation="relu",
            recurrent_initializer="identity",
            adapt_to=x,
            seed=0,
        )
        optimizer = keras.optimizers.SGD(0.005, momentum=0.9, **clipping)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        monitor = callbacks.GradientNorms()
        history = model.fit(x, data.y_train, epochs=EPOCHS, verbose=0, callbacks=[monitor]).history
        norms = norms_of(monitor.record)
        name = ", ".join(f"{key}={value}" for key, value in clipping.items()) or "none"
        print(
            f"  {name}: gradient norm at most {norms.max():.2g}, median {np.median(norms):.2g}; "
            f"final loss {history['loss'][-1]:.2g}, "
            f"test accuracy {model.evaluate(x_test, data.y_test, verbose=0)[1]:.3f}"
        )
    print(
        "One step off the cliff throws the weights where gradients are larger still; clipped, the "
        "same gradients still spike, but each step stays short."
    )


def main() -> None:
    weights_of_100()
    digits_pixel_by_pixel()


if __name__ == "__main__":
    main()
