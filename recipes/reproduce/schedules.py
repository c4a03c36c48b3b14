"""`schedules`: power, exponential, piecewise, plateau and 1cycle against a constant rate.

Full size: 10,000 images of MNIST, 25 epochs, six schedules at three rates, three seeds. With
`--data fashion_mnist` Géron's numbers stand beside ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, RUN_COLOURS
from ...callbacks.halve_on_plateau import HalveOnPlateau
from ...callbacks.one_cycle import OneCycle
from ..mlp import mlp
from ..schedules import PowerDecay
from ._data import usable
from ._noise import noise
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]

_TEXT = {"power": 89.2, "exponential": 89.3, "piecewise": 88.7, "plateau": 89.4, "1cycle": 89.3}
_NAMES = ("constant", *_TEXT)
_BATCH = 32


class Data(NamedTuple):
    """Flat images in 0 to 1: to train, to choose the rate and the plateaus by, to judge."""

    x: Any
    y: Any
    x_validation: Any
    y_validation: Any
    x_test: Any
    y_test: Any
    name: str


class Training(NamedTuple):
    """One training.

    Attributes:
        rates: Learning rate after each epoch.
        validation: Accuracy after each epoch, in percent.
        test: Accuracy at the end, in percent.
    """

    rates: Doubles
    validation: Doubles
    test: float


def run(setting: Setting) -> Outcome:
    """Trains with each schedule; each at the one of its rates that does best on validation."""
    quick = setting.quick
    sizes = (480, 1_000) if quick else (10_000, 10_000)
    data, seeds = _data(setting.data, *sizes), setting.seeds_or(3, quick=1)
    epochs, rates = (8, (0.02,)) if quick else (25, (0.005, 0.02, 0.05))
    runs = {
        (name, rate): [_trained(name, rate, seed, data, epochs) for seed in seeds]
        for name in _NAMES
        for rate in rates
    }
    best = {name: max(rates, key=lambda rate: _validation(runs[name, rate])) for name in _NAMES}
    chosen = {name: runs[name, rate] for name, rate in best.items()}
    goal = min(_validation(found) for found in chosen.values())
    soon = {name: first_epoch(found, goal) for name, found in chosen.items()}
    full = data.name == "fashion_mnist" and not quick
    return Outcome(
        rows=[
            Row(what=f"{name}, first or highest rate {best[name]:g}: test accuracy",
                ours=[one.test for one in found],
                text=_TEXT.get(name) if full else None, unit="%")
            for name, found in chosen.items()
        ] + [
            Row(what=f"{name}: epochs until validation accuracy {goal:.1f}%", ours=soon[name])
            for name in chosen
        ],
        told=_told(chosen, soon, goal, epochs, data),
        summary={
            "data": data.name,
            "images": len(data.x),
            "epochs": epochs,
            "text_on_fashion_mnist": _TEXT,
            "validation_by_rate": {f"{name}, {rate:g}": _validation(found)
                                   for (name, rate), found in runs.items()},
        },
        figures={"schedules": _figure(chosen, best)},
    )  # fmt: skip


def schedule(name: str, rate: float, epochs: int, steps: int) -> tuple[Any, list[Any]]:
    """A learning rate for Keras' optimizers, and the callbacks that move it.

    Args:
        name: One of those compared.
        rate: Float. The first rate; 1cycle's highest.
        epochs: Integer. Of the training; the schedules span it as Géron's span 25.
        steps: Integer. Of an epoch.
    """
    rates = keras.optimizers.schedules
    whole = epochs * steps
    if name == "power":  # his 1e-4 a step: down to about a fifth in 25 epochs of 1,719
        return PowerDecay(rate, decay_steps=whole / 4.3), []
    if name == "exponential":  # a tenth after 20 of 25 epochs
        return rates.ExponentialDecay(rate, 0.8 * whole, 0.1), []
    if name == "piecewise":  # after 5 epochs a half, after 15 a tenth
        return rates.PiecewiseConstantDecay(
            [round(0.2 * whole), round(0.6 * whole)], [rate, rate / 2, rate / 10]
        ), []
    if name == "plateau":
        return rate, [HalveOnPlateau(max(1, epochs // 5))]
    return rate, [OneCycle(rate)] if name == "1cycle" else []


def first_epoch(found: Sequence[Training], goal: float) -> list[float]:
    """The epoch after which each training first is at the goal; the last if it never is."""
    at = [np.flatnonzero(one.validation >= goal) for one in found]
    return [
        float(reached[0] + 1 if reached.size else len(one.validation))
        for reached, one in zip(at, found, strict=True)
    ]


def _data(name: str, count: int, judged: int) -> Data:
    dataset = usable(name)
    x, x_test = (one.reshape(len(one), -1) for one in (dataset.x_train, dataset.x_test[:judged]))
    held = min(judged // 2, len(x) // 5)
    x_held, y_held = x[-held:], dataset.y_train[-held:]
    count = min(count, len(x) - held)
    y, y_test = dataset.y_train[:count], dataset.y_test[:judged]
    return Data(x[:count], y, x_held, y_held, x_test, y_test, dataset.name)


def _trained(name: str, rate: float, seed: int, data: Data, epochs: int) -> Training:
    """SELU layers of 300 and 100 units on standardized inputs, as his; SGD with momentum 0.9."""
    keras.utils.set_random_seed(seed)
    steps = len(data.x) // _BATCH
    given, callbacks = schedule(name, rate, epochs, steps)
    model = mlp(data.x.shape[1], [300, 100], 10, activation="selu", adapt_to=data.x, seed=seed)
    optimizer = keras.optimizers.SGD(given, momentum=0.9)
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"],
        steps_per_execution=min(steps, 100),
    )  # fmt: skip
    batches = tf.data.Dataset.from_tensor_slices((data.x, data.y)).shuffle(len(data.x), seed)
    found: list[float] = []
    kept = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: found.append(float(optimizer.learning_rate))
    )
    history = model.fit(
        batches.batch(_BATCH, drop_remainder=True), epochs=epochs, shuffle=False, verbose=0,
        validation_data=(data.x_validation, data.y_validation), validation_batch_size=1_000,
        callbacks=[*callbacks, kept],
    )  # fmt: skip
    test = 100 * model.evaluate(data.x_test, data.y_test, batch_size=1_000, verbose=0)[1]
    return Training(np.array(found), 100 * np.array(history.history["val_accuracy"]), test)


def _validation(found: Sequence[Training]) -> float:
    """Mean accuracy at the end."""
    return float(np.mean([one.validation[-1] for one in found]))


def _told(
    chosen: Mapping[str, list[Training]],
    soon: Mapping[str, list[float]],
    goal: float,
    epochs: int,
    data: Data,
) -> str:
    tests = {name: [one.test for one in found] for name, found in chosen.items()}
    means = {name: float(np.mean(one)) for name, one in tests.items()}
    epochs_to = {name: float(np.mean(one)) for name, one in soon.items()}
    listed = ", ".join(f"{name} {mean:.1f}%" for name, mean in means.items())
    constant = means.pop("constant")
    judged = len(data.x_test)
    better = [
        name
        for name, mean in means.items()
        if mean - constant > noise(tests[name], tests["constant"], judged)
    ]
    apart = max(means.values()) - min(means.values())
    verdict = (
        "holds here for all of them"
        if len(better) == len(means)
        else f"holds here only for {', '.join(better)}"
        if better
        else "does not hold here"
    )
    first, slow = min(epochs_to, key=lambda name: epochs_to[name]), epochs_to["constant"]
    soonest = (
        f"{first} is the first at {goal:.1f}% on validation, in {epochs_to[first]:.0f} epochs; the "
        f"constant rate takes {slow:.0f}."
        if epochs_to[first] < slow
        else f"None is sooner at {goal:.1f}% on validation than the constant rate, in {slow:.0f} "
        "epochs."
    )
    return (
        f"Test accuracy after {epochs} epochs on {len(data.x):,} images of {data.name}, "
        f"each at the best of its rates: {listed}. That a schedule does better than a constant "
        f"rate, by two standard errors, {verdict}; from schedule to schedule it is {apart:.1f} "
        f"points, in the text 0.7. {soonest}"
    )


def _figure(chosen: Mapping[str, list[Training]], best: Mapping[str, float]) -> Any:
    figure = new_figure(5.4)
    rates, curves = figure.subplots(2, sharex=True)
    style(rates, "Learning rate after each epoch", "share of the rate named below")
    style(curves, "Validation accuracy, mean of the seeds", "%")
    lowest = 100.0
    for (name, found), colour in zip(chosen.items(), RUN_COLOURS, strict=False):
        # A plateau may end a training.
        length = min(len(one.validation) for one in found)
        mean = np.mean([one.validation[:length] for one in found], axis=0)
        at = np.arange(1, length + 1)
        look = {"color": INK, "ls": "--"} if name == "constant" else {"color": colour}
        rates.plot(at, found[0].rates[:length] / best[name], lw=1.6, **look)
        curves.plot(at, mean, lw=1.6, label=f"{name}, {best[name]:g}", **look)
        lowest = min(lowest, float(mean[len(mean) // 4 :].min()))
    rates.set_ylim(bottom=0)
    curves.set_ylim(bottom=lowest - 1)
    curves.set_xlabel("epoch")
    curves.legend(frameon=False, fontsize=9, ncols=2, loc="lower right")
    return figure
