"""Self-normalization against batch normalization and neither, 50 layers deep, on digits."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time

import keras

from trainwell import callbacks, recipes
from trainwell.recipes.self_normalizing import check_self_normalizing, self_normalizing_mlp

DEPTH, WIDTH, EPOCHS = 50, 64, 5


def main() -> None:
    data = recipes.datasets.load("digits")
    hidden, wiring = [WIDTH] * DEPTH, {"adapt_to": data.x_train, "seed": 0}
    networks = {
        "SELU, LeCun": self_normalizing_mlp((8, 8), hidden, 10, **wiring),
        "ReLU, He, batch norm": recipes.mlp((8, 8), hidden, 10, normalization="batch", **wiring),
        "ReLU, He": recipes.mlp((8, 8), hidden, 10, **wiring),
    }
    print(
        f"{DEPTH} layers of {WIDTH}, SGD 0.01, {EPOCHS} epochs. Gradients: first over last layer."
    )
    for name, model in networks.items():
        keras.utils.set_random_seed(0)
        model.compile(
            keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        monitor, start = callbacks.GradientNorms(), time.perf_counter()
        model.fit(data.x_train, data.y_train, epochs=EPOCHS, verbose=0, callbacks=[monitor])
        seconds = time.perf_counter() - start
        accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)[1]
        ratio = monitor.record.gradient_ratio()[0]
        print(f"  {name:20}  ratio {ratio:7.2g}, test accuracy {accuracy:.3f}, {seconds:.0f} s")
    print(
        "SELU needs no normalization to train at this depth; batch normalization keeps the signal\n"
        "but multiplies the gradient from layer to layer, and has twice the layers to compute."
    )

    print("A network in which someone changed two layers, as check_self_normalizing sees it:")
    inputs, layers = keras.Input((8, 8)), keras.layers
    x = layers.Flatten()(inputs)
    for i, activation in enumerate(["selu", "relu", "selu"], 1):
        dense = layers.Dense(
            100, activation=activation, kernel_initializer="lecun_normal", name=f"hidden_{i}"
        )
        x = layers.Dropout(0.1, name=f"dropout_{i}")(dense(x)) if i == 3 else dense(x)
    faulty = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    for sentence in check_self_normalizing(faulty, data.x_train):
        print(f"  - {sentence}")


if __name__ == "__main__":
    main()
