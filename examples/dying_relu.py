"""Dying ReLUs: what kills them, how many die, and which cures help."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from trainwell import callbacks, recipes

EPOCHS = 6
TOO_HIGH, USUAL = 0.03, 0.001
NEGATIVE = keras.initializers.Constant(-3.0)
LEAKY = {"activation": "leaky_relu", "activation_options": {"negative_slope": 0.2}}


def train(rate: float, **options: object) -> str:
    """Trains three hidden layers of 100 on the digits; their dead share and the test accuracy."""
    keras.utils.set_random_seed(0)
    data = recipes.datasets.load("digits")
    model = recipes.mlp((8, 8), [100] * 3, 10, adapt_to=data.x_train, seed=0, **options)
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    monitor = callbacks.ActivationStats()
    model.fit(data.x_train, data.y_train, epochs=EPOCHS, verbose=0, callbacks=[monitor])
    # Of each layer, who slept through the whole last epoch; NaN where no unit can die.
    dead = monitor.record["dead_fraction"][-1]
    shown = "none can die" if dead[0] != dead[0] else " ".join(f"{share:12.0%}" for share in dead)
    accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)[1]
    return f"{shown:>38}  {accuracy:17.3f}"


def show(title: str, rows: dict[str, str]) -> None:
    print(f"{title}")
    for name, row in rows.items():
        print(f"  {name:32}{row}")


def main() -> None:
    healthy = train(USUAL)
    print(f"{'':34}{'dead units of hidden layer 1, 2, 3':>38}  {'test accuracy':>17}")
    show(
        f"Killed by the rate, Adam at {TOO_HIGH} where {USUAL} is usual:",
        {
            "ReLU": train(TOO_HIGH),
            "cure: the usual rate": healthy,
            "cure: batch normalization": train(TOO_HIGH, normalization="batch"),
            "leaky ReLU, slope 0.2": train(TOO_HIGH, **LEAKY),
            "ELU": train(TOO_HIGH, activation="elu"),
        },
    )
    print("A leak keeps the units alive, but the rate stays too high for them.")
    show(
        f"Dead from the start, biases of -3, Adam at {USUAL}:",
        {
            "ReLU": train(USUAL, bias_initializer=NEGATIVE),
            "cure: He normal, biases of 0": healthy,
            "cure: leaky ReLU, slope 0.2": train(USUAL, bias_initializer=NEGATIVE, **LEAKY),
            "cure: ELU": train(USUAL, bias_initializer=NEGATIVE, activation="elu"),
        },
    )
    print("No gradient of its own revives a dead ReLU; where the slope is not 0, units recover.")


if __name__ == "__main__":
    main()
