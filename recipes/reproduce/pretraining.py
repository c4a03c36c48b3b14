"""`pretraining`: a deep sigmoid network with few labels, pretrained layer by layer or not.

Full size: 5,000 images of MNIST without labels, of them 50 to 1,000 with, four ways, three seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, RUN_COLOURS
from ..datasets import Dataset
from ..mlp import mlp
from ..pretraining import greedy_pretrain
from ._data import square_side, usable
from ._noise import noise
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]

# Activation of the hidden layers and method of pretraining.
_WAYS: Mapping[str, tuple[str, str | None]] = {
    "sigmoid, from scratch": ("sigmoid", None),
    "sigmoid, autoencoders": ("sigmoid", "autoencoder"),
    "sigmoid, RBMs": ("sigmoid", "rbm"),
    "ReLU and He, from scratch": ("relu", None),
}
_SCRATCH, _MODERN = "sigmoid, from scratch", "ReLU and He, from scratch"
_HIDDEN, _BATCH = [100] * 4, 20


class Size(NamedTuple):
    """How much is trained."""

    images: int
    labels: tuple[int, ...]
    epochs: int
    tuning_steps: int


_FULL, _QUICK = Size(5_000, (50, 200, 1_000), 5, 600), Size(400, (100,), 4, 120)


def run(setting: Setting) -> Outcome:
    """Fine-tunes on a few labels: from scratch, after autoencoders, after RBMs; and ReLU."""
    size, seeds = _QUICK if setting.quick else _FULL, setting.seeds_or(3, quick=1)
    data = _flat(usable(setting.data))
    square_side(data.x_train.shape[1], data.name)  # each first weight is drawn as an image
    ways = [way for way in _WAYS if not setting.quick or way != "sigmoid, autoencoders"]
    accuracy: dict[str, Doubles] = {}
    filters: dict[str, Any] = {}
    for way in ways:
        found = [_of_seed(way, seed, size, data) for seed in seeds]
        accuracy[way] = np.stack([one for one, _ in found])  # [seeds, labels]
        filters[way] = found[0][1]
    return Outcome(
        rows=[
            Row(what=f"{labels:,} labels, {way}: test accuracy", ours=one[:, at].tolist(), unit="%")
            for at, labels in enumerate(size.labels)
            for way, one in accuracy.items()
        ],
        told=_told(accuracy, size.labels, data.name, len(data.x_test)),
        summary={
            "data": data.name,
            "images_without_labels": min(size.images, len(data.x_train)),
            "epochs_a_layer": size.epochs,
            "steps_of_tuning": size.tuning_steps,
            "hidden_units": _HIDDEN,
        },
        figures={
            "accuracy": _figure(accuracy, size.labels),
            "first_layer": _filters_figure(filters),
        },
    )


def _flat(data: Dataset) -> Dataset:
    scale = max(1.0, float(data.x_train.max()))  # RBMs take inputs for probabilities
    return data._replace(
        x_train=data.x_train.reshape(len(data.x_train), -1) / scale,
        x_test=data.x_test.reshape(len(data.x_test), -1)[:5_000] / scale,
        y_test=data.y_test[:5_000],
    )


def labelled(labels: int, seed: int, y: Any) -> npt.NDArray[np.int64]:
    """Which examples have a label, equally many of each class; fewer labels are among the more."""
    order = np.random.default_rng(seed).permutation(len(y))
    places = [order[y[order] == kind] for kind in np.unique(y)]
    each = labels // len(places)
    return np.concatenate([one[:each] for one in places])


def _of_seed(way: str, seed: int, size: Size, data: Dataset) -> tuple[Doubles, Any]:
    """Test accuracy in percent for each number of labels, and the first layer before tuning."""
    activation, method = _WAYS[way]
    keras.utils.set_random_seed(seed)
    model = mlp(data.x_train.shape[1], _HIDDEN, 10, activation=activation, seed=seed)
    if method is not None:
        x = data.x_train[: size.images]
        greedy_pretrain(model, x, method=method, epochs=size.epochs, batch_size=_BATCH, seed=seed)
    first = np.asarray(model.get_layer("hidden_1").kernel)
    start = model.get_weights()
    found = []
    for labels in size.labels:
        model.set_weights(start)
        found.append(_tuned(model, labels, seed, size, data))
    return np.array(found), first


def _tuned(model: Any, labels: int, seed: int, size: Size, data: Dataset) -> float:
    """As many steps for few labels as for many."""
    at = labelled(labels, seed, data.y_train[: size.images])
    batches = tf.data.Dataset.from_tensor_slices((data.x_train[at], data.y_train[at]))
    batches = batches.shuffle(len(at), seed).repeat().batch(_BATCH).take(size.tuning_steps)
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"],
        steps_per_execution=20,
    )  # fmt: skip
    model.fit(batches, shuffle=False, verbose=0)
    return float(100 * model.evaluate(data.x_test, data.y_test, batch_size=1_000, verbose=0)[1])


def _told(accuracy: Mapping[str, Doubles], labels: Sequence[int], name: str, judged: int) -> str:
    few = {way: float(one[:, 0].mean()) for way, one in accuracy.items()}
    many = {way: float(one[:, -1].mean()) for way, one in accuracy.items()}
    ways = [way for way in few if way not in (_SCRATCH, _MODERN)]
    best = max(ways, key=lambda way: few[way])
    gain = few[best] - few[_SCRATCH]
    seeds = {way: one[:, 0].tolist() for way, one in accuracy.items()}
    holds = gain > noise(seeds[best], seeds[_SCRATCH], judged)
    verdict = "holds" if holds else "does not hold"
    ahead, apart = few[_MODERN] - few[best], noise(seeds[_MODERN], seeds[best], judged)
    modern = (
        "does as well, within two standard errors, and needs no pretraining for it"
        if abs(ahead) <= apart
        else "does better and needs no pretraining"
        if ahead > 0
        else "does worse"
    )
    text = (
        f"With {labels[0]:,} labels of {name}, pretraining without labels takes the sigmoid "
        f"network of {len(_HIDDEN)} hidden layers from {few[_SCRATCH]:.1f}% to {few[best]:.1f}% "
        f"({best}): that it makes such a network trainable {verdict} here. ReLU units with the "
        f"initializer that fits them come to {few[_MODERN]:.1f}% from scratch: today's network "
        f"{modern}."
    )
    if len(labels) > 1:
        text += (
            f" With {labels[-1]:,} labels the gain is {many[best] - many[_SCRATCH]:.1f} points "
            f"instead of {gain:.1f}."
        )
    return text


def _figure(accuracy: Mapping[str, Doubles], labels: Sequence[int]) -> Any:
    figure = new_figure(3.6)
    axes = figure.subplots()
    style(axes, f"{len(_HIDDEN)} hidden layers of {_HIDDEN[0]}, few labels", "test accuracy, %")
    places = np.arange(len(labels), dtype="float64")
    width = 0.8 / len(accuracy)
    for at, ((way, one), colour) in enumerate(zip(accuracy.items(), RUN_COLOURS, strict=False)):
        middle = places + (at - (len(accuracy) - 1) / 2) * width
        axes.bar(middle, one.mean(axis=0), 0.92 * width, color=colour, label=way)
        for place, seeds in zip(middle, one.T, strict=True):
            axes.plot(np.full(len(seeds), place), seeds, "_", color="#222222", ms=7)
            mean = f"{seeds.mean():.0f}"
            axes.text(place, seeds.max() + 2, mean, fontsize=8, ha="center")
    axes.set_xticks(places, [f"{one:,}" for one in labels])
    axes.set_xlabel("labels; marks: the seeds")
    axes.set_ylim(0, 132)
    axes.set_yticks(range(0, 101, 20))
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="upper left")
    return figure


def _filters_figure(filters: Mapping[str, Any]) -> Any:
    """What ten units of the first layer look for, before any label is seen."""
    count = 10
    figure = new_figure(0.95 * len(filters) + 0.4)
    title = "Weights of ten first-layer units before tuning"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    parts = figure.subfigures(len(filters), 1, squeeze=False)[:, 0]
    for part, (way, kernel) in zip(parts, filters.items(), strict=True):
        part.suptitle(way, x=0.01, ha="left", fontsize=9, color=INK)
        side = round(kernel.shape[0] ** 0.5)
        largest = float(np.abs(kernel[:, :count]).max())
        for at, axes in enumerate(part.subplots(1, count)):
            image = kernel[:, at].reshape(side, side)
            axes.imshow(image, cmap="PuOr", vmin=-largest, vmax=largest)
            axes.set_axis_off()
    return figure
