"""The README's example: one deep network, wired well and wired badly, and what is recorded."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from trainwell import callbacks, recipes


def main() -> None:
    data = recipes.datasets.load("digits")
    for activation in ("selu", "sigmoid"):
        keras.utils.set_random_seed(0)
        model = recipes.mlp(
            (8, 8), [100] * 20, 10, activation=activation, adapt_to=data.x_train, seed=0
        )
        model.compile(
            keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        monitor = callbacks.GradientNorms()
        model.fit(data.x_train, data.y_train, epochs=10, verbose=0, callbacks=[monitor])
        record = monitor.record
        print(
            f"{activation}: {record['gradient_norm'].shape} norms of variables, "
            f"{record.by_layer('gradient_norm', 'kernel').shape} of layers, "
            f"ratio {record.gradient_ratio()[0]:.2g}, "
            f"accuracy {model.evaluate(data.x_test, data.y_test, verbose=0)[1]:.3f}"
        )


if __name__ == "__main__":
    main()
