"""The five data sets of the test bed: one bundled, four made by NumPy, whose ceilings are known."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

TRAIN, TEST = 1000, 500
LENGTH, SYMBOLS = 10, 4
_TURN, _SPIRAL_NOISE = 1.5 * np.pi, 0.08
_SPREAD = 0.55
_CENTERS = np.random.default_rng(7).normal(0, _SPREAD, (5, 20))


class DataSet(NamedTuple):
    """Arrays, and what guessing and a perfect network reach on them.

    Attributes:
        x: Inputs to train on, standardized, the digits excepted (0 to 1).
        y: Class numbers, or standardized numbers `[n]`.
        x_test: Inputs to judge by.
        y_test: Their targets.
        classes: Number of classes, `0` of a regression.
        chance: Accuracy or R² of the best constant answer.
        ceiling: What a perfect network reaches (the digits: what a sound one does).
    """

    x: Any
    y: Any
    x_test: Any
    y_test: Any
    classes: int
    chance: float
    ceiling: float

    @property
    def trained_from(self):
        """The score from which on a run counts as trained."""
        return self.chance + 0.6 * (self.ceiling - self.chance)


def digits():
    """1,797 real images of 8 x 8; a dense network of 100 units reaches 0.97."""
    from trainwell.recipes import datasets

    data = datasets.load("digits")
    return _classes(data.x_train, data.y_train, data.x_test, data.y_test, 10, 0.97)


def spirals():
    """Two spirals of three quarters of a turn with noise; lines tell 0.65 of it."""
    x, y = _spirals(TRAIN + TEST, np.random.default_rng(1))
    many, classes = _spirals(20_000, np.random.default_rng(2))
    return _split(x / x.std(axis=0), y, 2, float((_nearer_spiral(many) == classes).mean()))


def blobs():
    """Five normal clouds in 20 dimensions; the nearest center is the best answer there is."""
    x, y = _blobs(TRAIN + TEST, np.random.default_rng(1))
    many, classes = _blobs(20_000, np.random.default_rng(2))
    distances = np.square(many[:, None] - _CENTERS).sum(axis=2)
    bayes = float((distances.argmin(axis=1) == classes).mean())
    return _split((x - x.mean(axis=0)) / x.std(axis=0), y, 5, bayes)


def friedman():
    """Friedman's first function: five of ten features count, noise of deviation 1."""
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(TRAIN + TEST, 10))
    signal = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y = signal + 10 * x[:, 3] + 5 * x[:, 4] + rng.normal(size=len(x))
    ceiling = 1 - 1 / y.var()
    return _split((x - 0.5) * np.sqrt(12), (y - y.mean()) / y.std(), 0, float(ceiling))


def motif():
    """Ten letters of four: does an A with a B right behind it occur? Half of them have it."""
    rng = np.random.default_rng(1)
    letters = rng.integers(0, SYMBOLS, (20 * TRAIN, LENGTH))
    has = ((letters[:, :-1] == 0) & (letters[:, 1:] == 1)).any(axis=1)
    half = (TRAIN + TEST) // 2
    chosen = rng.permutation(
        np.concatenate([np.flatnonzero(has)[:half], np.flatnonzero(~has)[:half]])
    )
    x = np.eye(SYMBOLS)[letters[chosen]]
    return _split((x - x.mean()) / x.std(), has[chosen].astype("int64"), 2, 1.0)


_MAKERS = {
    "digits": digits,
    "spirals": spirals,
    "blobs": blobs,
    "friedman": friedman,
    "motif": motif,
}
NAMES = tuple(_MAKERS)


@cache
def data_set(name):
    """One of `NAMES`."""
    return _MAKERS[name]()


def _spirals(count, rng):
    classes = rng.integers(0, 2, count)
    along = np.sqrt(rng.uniform(0.04, 1, count))
    return _on_spiral(along, classes) + rng.normal(0, _SPIRAL_NOISE, (count, 2)), classes


def _on_spiral(along, classes):
    angle = _TURN * along + np.pi * classes
    return np.stack([along * np.cos(angle), along * np.sin(angle)], axis=-1)


def _nearer_spiral(points):
    """Bayes' answer: the class whose density, summed along its spiral, is larger."""
    along = np.sqrt(np.linspace(0.04, 1, 200))
    densities = []
    for one in (0, 1):
        distances = np.square(points[:, None] - _on_spiral(along, one)).sum(axis=2)
        densities.append(np.exp(-distances / (2 * _SPIRAL_NOISE**2)).sum(axis=1))
    return np.argmax(densities, axis=0)


def _blobs(count, rng):
    classes = rng.integers(0, 5, count)
    return _CENTERS[classes] + rng.normal(size=(count, 20)), classes


def _split(x, y, classes, ceiling):
    x = x.astype("float32")
    if not classes:
        y = y.astype("float32")
        return DataSet(x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:], 0, 0.0, ceiling)
    return _classes(x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:], classes, ceiling)


def _classes(x, y, x_test, y_test, classes, ceiling):
    chance = float(np.bincount(y_test).max() / len(y_test))
    return DataSet(x, y, x_test, y_test, classes, chance, ceiling)
