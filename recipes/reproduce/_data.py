"""The data that an experiment is run on: which of them it can use, and which are the texts'."""

import math

from ..datasets import Dataset, DatasetError, load

CLASSES = 10
# A fifth is held out; the largest batch, of 1,000, has to fit into the rest.
_FEWEST = 1_250


def usable(name_or_path: str) -> Dataset:
    """The data set, if the texts' networks can be trained on it.

    Raises:
        DatasetError: It has more classes than their ten outputs, or too few examples to train on.
    """
    data = load(name_or_path)
    if data.classes > CLASSES:
        raise DatasetError(
            f"The experiments' networks have {CLASSES} outputs, one a class. Received: "
            f"'{data.name}' with {data.classes} classes. Keep {CLASSES} of them, numbered from 0, "
            "or use `--data digits`."
        )
    if len(data.x_train) < _FEWEST:
        raise DatasetError(
            f"An experiment needs {_FEWEST:,} training examples at least. Received: '{data.name}' "
            f"with {len(data.x_train):,}. Add some, or use `--data digits`."
        )
    return data


def is_mnist(name: str) -> bool:
    """Whether data of this name are MNIST: Keras' own, or a file called `mnist.npz`.

    The texts' numbers are of MNIST and belong beside it alone. Shapes can't tell: Fashion-MNIST has
    the same.
    """
    return name.lower() == "mnist"


def square_side(features: int, name: str) -> int:
    """The side of a square image of so many pixels.

    Raises:
        DatasetError: The examples are no square images of one channel.
    """
    side = math.isqrt(features)
    if side * side != features:
        raise DatasetError(
            "This experiment needs square images of one channel, such as 8 x 8 or 28 x 28. "
            f"Received: '{name}' with {features} features. Cut the images, take the mean of "
            "their channels, or use `--data digits`."
        )
    return side
