"""Monte Carlo dropout on digits: how sure the network is, where it is wrong and where it guesses.

One network with ordinary dropout, trained as usual. `predict_mc` draws 100 networks out of it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from trainwell import recipes
from trainwell.recipes.monte_carlo import MonteCarloPrediction, predict_mc


def main() -> None:
    keras.utils.set_random_seed(0)
    data = recipes.datasets.load("digits")
    model = recipes.mlp((8, 8), [200, 200], 10, dropout=0.2, adapt_to=data.x_train)
    model.compile("nadam", "sparse_categorical_crossentropy")
    # Few images, so that there are mistakes to look at.
    model.fit(data.x_train[:300], data.y_train[:300], epochs=60, verbose=0)

    x, y = data.x_test.astype("float32"), data.y_test
    plain, drawn = model.predict(x, verbose=0), draw(model, x)
    print(f"{len(y)} test images, 300 training images, 100 draws of the network for each image\n")
    print(f"{'':<22} accuracy   log loss   calibration error")
    for name, probabilities in (("predict", plain), ("mean of predict_mc", drawn.mean)):
        print(
            f"{name:<22} {accuracy(probabilities, y):8.3f} {log_loss(probabilities, y):10.3f} "
            f"{calibration_error(probabilities, y):12.3f}"
        )
    print("The means are about as good as plain predictions; the deviations are what is new.\n")

    right = drawn.mean.argmax(axis=1) == y
    sure = of_chosen(drawn)[right]
    print(f"{'':<22}   images   deviation of the chosen   less sure than a right one, share")
    print_row("right predictions", sure, sure)
    print_row("wrong predictions", of_chosen(drawn)[~right], sure)
    for name, strange in unlike_digits(x).items():
        print_row(name, of_chosen(draw(model, strange)), sure)
    print("The network was never told what is no digit: its draws disagree on them.\n")

    print("Accuracy of what is left when the images with the largest deviations go to a person:")
    order = np.argsort(of_chosen(drawn))
    for share in (1.0, 0.9, 0.8, 0.7):
        print(f"  {share:4.0%} left: {right[order[: round(share * len(order))]].mean():.3f}")


def draw(model: keras.Model, x: np.ndarray) -> MonteCarloPrediction:
    return predict_mc(model, x, samples=100, batch_size=1000, seed=0)


def of_chosen(drawn: MonteCarloPrediction) -> np.ndarray:
    """The deviation of the probability of the digit that is chosen."""
    return drawn.deviation[np.arange(len(drawn.mean)), drawn.mean.argmax(axis=1)]


def unlike_digits(x: np.ndarray) -> dict[str, np.ndarray]:
    """Images that are none of the ten classes, or hardly."""
    rng = np.random.default_rng(0)
    pixels = x.reshape(len(x), -1)
    return {
        "rotated by 90 degrees": np.rot90(x, axes=(1, 2)).copy(),
        "upside down": x[:, ::-1].copy(),
        "pixels shuffled": rng.permuted(pixels, axis=1).reshape(x.shape),
        "two digits overlaid": (x + x[rng.permutation(len(x))]) / 2,
    }


def accuracy(probabilities: np.ndarray, y: np.ndarray) -> float:
    return float((probabilities.argmax(axis=1) == y).mean())


def log_loss(probabilities: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(y)), y] + 1e-7).mean())


def calibration_error(probabilities: np.ndarray, y: np.ndarray, bins: int = 10) -> float:
    """Mean distance of confidence from accuracy, over bins of confidence."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (bin_of == b).mean() * abs(confidence[bin_of == b].mean() - right[bin_of == b].mean())
        for b in np.unique(bin_of)
    ]
    return float(sum(gaps))


def print_row(name: str, deviations: np.ndarray, sure: np.ndarray) -> None:
    share = (deviations[:, None] > sure).mean() + (deviations[:, None] == sure).mean() / 2
    print(f"{name:<22} {len(deviations):8} {deviations.mean():14.3f} {share:28.2f}")


if __name__ == "__main__":
    main()
