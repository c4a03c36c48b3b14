"""Start points and the optima they lead to: exclusive or by two hidden sigmoid units."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import RUN_COLOURS
from ..mlp import mlp
from ..replicate import replicate

Doubles = npt.NDArray[np.float64]

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
TARGETS = np.array([[0], [1], [1], [0]], "float32")
_RATE, _MOMENTUM = 1.0, 0.9

DEVIATIONS: Mapping[str, float] = {
    "N(0, 0.1²)": 0.1,
    "N(0, 1)": 1.0,
    "N(0, 4²)": 4.0,
}


def ends(starts: int, epochs: int) -> dict[str, Doubles]:
    """Cross-entropy at the end of descents from many start points, by their spread."""
    names = list(DEVIATIONS)
    replicas = replicate(
        lambda at: _network(at % starts, DEVIATIONS[names[at // starts]]),
        range(len(names) * starts),
    )
    replicas.fit(INPUTS, TARGETS, epochs=epochs, batch_size=len(INPUTS))
    found = losses(replicas.predict(INPUTS)[..., 0].astype("float64"))
    return dict(zip(names, found.reshape(len(names), starts), strict=True))


def losses(outputs: Doubles) -> Doubles:
    """Mean cross-entropy over the four examples, `[starts, 4] -> [starts]`."""
    right = np.where(TARGETS[:, 0] > 0, outputs, 1 - outputs)
    return np.asarray(-np.log(np.maximum(right, 1e-12)).mean(axis=-1))


def solved(found: Doubles) -> float:
    """Percent of the starts that get all four examples right for certain.

    At one wrong or undecided example the mean of four is log(2) / 4 = 0.17 at least.
    """
    return float(100 * (found < np.log(2) / 4).mean())


def _network(seed: int, deviation: float) -> Any:
    drawn = keras.initializers.RandomNormal(0.0, deviation)
    model = mlp(
        (2,), [2], 1, activation="sigmoid", output_activation="sigmoid",
        kernel_initializer=drawn, bias_initializer=drawn, seed=seed,
    )  # fmt: skip
    model.compile(keras.optimizers.SGD(_RATE, momentum=_MOMENTUM), "binary_crossentropy")
    return model


def figure(found: Mapping[str, Doubles]) -> Any:
    """Every start's loss at the end, sorted: the steps are the optima."""
    drawn = new_figure(3.2)
    axes = drawn.subplots()
    style(axes, "Exclusive or: where descents from many start points end", "cross-entropy")
    for (name, one), colour in zip(found.items(), RUN_COLOURS, strict=False):
        share = np.linspace(0, 100, len(one))
        label = f"{name}: {solved(one):.0f}%"
        axes.plot(share, np.sort(one), color=colour, lw=1.8, drawstyle="steps", label=label)
    axes.set_xlabel("share of the starts, %")
    axes.legend(
        title="start, and share solved", frameon=False, fontsize=9, loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )  # fmt: skip
    return drawn
