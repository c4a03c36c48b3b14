"""The four data sets: for each seed its own split, and inputs scaled by its own training part."""

import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainwell.recipes import datasets

_MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist.npz"


class Plan(NamedTuple):
    """How a data set is cut up and trained on.

    Attributes:
        train: Examples to train on.
        validation: Examples to choose the learning rate by.
        test: Examples to judge by.
        batch: Examples of a step.
        epochs: Of a training of ordinary length.
        images: Whether all features have one unit and form a square.
    """

    train: int
    validation: int
    test: int
    batch: int
    epochs: int
    images: bool


PLANS = {
    "digits": Plan(1000, 300, 497, 32, 40, True),
    "MNIST": Plan(4000, 2000, 4000, 32, 10, True),
    "breast cancer": Plan(320, 100, 149, 16, 40, False),
    "wine": Plan(96, 32, 50, 16, 100, False),
}
NAMES = tuple(PLANS)


class Part(NamedTuple):
    """Examples of all seeds.

    Attributes:
        x: Inputs, float32 `[seeds, n, features]`.
        y: Class numbers, int32 `[seeds, n]`.
    """

    x: Any
    y: Any


class Splits(NamedTuple):
    """What the networks of all seeds learn from and are judged by."""

    train: Part
    validation: Part
    test: Part
    classes: int


def splits(name: str, inputs: str, seeds: list[int]) -> Splits:
    """A split for each seed, the examples of the three parts all different.

    Args:
        name: One of `NAMES`.
        inputs: `"standardized"` (each feature to mean 0 and deviation 1), `"unit"` (its least and
            largest value to 0 and 1), by the training part; or `"raw"`.
        seeds: One split each.
    """
    x, y = _pool(name)
    plan = PLANS[name]
    ends = np.cumsum([plan.train, plan.validation, plan.test])
    parts: list[list[tuple[Any, Any]]] = [[], [], []]
    for seed in seeds:
        order = np.random.default_rng([seed, 7]).permutation(len(x))
        shift, scale = _scaling(x[order[: plan.train]], inputs, plan.images)
        for part, rows in zip(parts, np.split(order, ends)[:3], strict=True):
            part.append((((x[rows] - shift) / scale).astype("float32"), y[rows]))
    stacked = [Part(*map(np.stack, zip(*one, strict=True))) for one in parts]
    return Splits(*stacked, int(y.max()) + 1)


def _scaling(x: Any, inputs: str, images: bool) -> tuple[Any, Any]:
    """What is taken off the features, and what they are divided by."""
    if inputs == "raw":
        return 0.0, 1.0
    if inputs == "unit":
        low, high = x.min(axis=0), x.max(axis=0)
        return low, np.where(high > low, high - low, 1.0)
    deviation = x.std(axis=0)
    if images:  # a pixel that is ink in one image of a thousand would come out at 30
        deviation = np.maximum(deviation, 0.1 * np.sqrt(np.mean(deviation**2)))
    return x.mean(axis=0), np.where(deviation > 0, deviation, 1.0)


@cache
def _pool(name: str) -> tuple[Any, Any]:
    """All examples, float64 `[n, features]` in the units in which they come, and their classes."""
    if name == "digits":
        data = datasets.load("digits")
        x = 16 * np.concatenate([data.x_train, data.x_test]).reshape(-1, 64)
        y = np.concatenate([data.y_train, data.y_test])
    elif name == "MNIST":
        x, y = _mnist()
    else:
        from sklearn import datasets as bundled

        load = {"breast cancer": bundled.load_breast_cancer, "wine": bundled.load_wine}[name]
        x, y = load(return_X_y=True)
    return x.astype("float64"), y.astype("int32")


def _mnist() -> tuple[Any, Any]:
    """The first 10,000 training images, each 2 x 2 pixels averaged: 14 x 14, of 0..255."""
    with np.load(os.environ.get("TRAINWELL_MNIST") or _MNIST) as file:
        images, y = file["x_train"][:10_000], file["y_train"][:10_000]
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196), y
