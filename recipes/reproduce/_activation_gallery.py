"""Twelve activation functions with their derivatives, and what they do to N(0, 1)."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, RUN_COLOURS
from ..activations import activation_layer
from .outcome import Row

Doubles = npt.NDArray[np.float64]

_SHOWN: tuple[tuple[str, dict[str, float]], ...] = (
    ("sigmoid", {}), ("tanh", {}), ("softsign", {}), ("softplus", {}),
    ("relu", {}), ("leaky_relu", {"negative_slope": 0.2}), ("elu", {}), ("selu", {}),
    ("gelu", {}), ("swish", {}), ("mish", {}), ("linear", {}),
)  # fmt: skip
_Z = np.linspace(-8, 8, 4_001)
_TEXT_MEANS = {"sigmoid": 0.5, "tanh": 0.0, "selu": 0.0}
_TEXT_SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}


class Drawn(NamedTuple):
    """A function over `_Z`, its derivative, and its mean where z is N(0, 1)."""

    values: Doubles
    slopes: Doubles
    mean: float


def drawn(name: str, **options: Any) -> Drawn:
    """One activation, as its Keras layer computes it."""
    z, layer = tf.constant(_Z, "float32"), activation_layer(name, **options)
    with tf.GradientTape() as tape:
        tape.watch(z)
        values = layer(z)
    slopes = tape.gradient(values, z)
    density = np.exp(-(_Z**2) / 2) / np.sqrt(2 * np.pi)
    out = np.asarray(values, "float64")
    mean = round(float(np.trapezoid(out * density, _Z)), 12)
    return Drawn(out, np.asarray(slopes, "float64"), mean)


def gallery() -> dict[str, Drawn]:
    """All that are shown."""
    return {name: drawn(name, **options) for name, options in _SHOWN}


def sigmoid_by_tanh() -> float:
    """The largest difference between sigma(z) and (1 + tanh(z / 2)) / 2, in float64."""
    z = tf.constant(_Z, "float64")
    return float(tf.reduce_max(tf.abs(tf.sigmoid(z) - (1 + tf.tanh(z / 2)) / 2)))


def gallery_rows(shown: dict[str, Drawn]) -> list[Row]:
    """Means, largest slopes, and sigma as a tanh."""
    rows = [Row(what="sigma(z) less (1 + tanh(z/2))/2, at most", ours=[sigmoid_by_tanh()],
                text=0.0)]  # fmt: skip
    rows += [
        Row(what=f"largest slope, {name}", ours=[float(shown[name].slopes.max())], text=text)
        for name, text in _TEXT_SLOPES.items()
    ]
    rows += [
        Row(what=f"mean output at N(0, 1), {name}", ours=[one.mean], text=_TEXT_MEANS.get(name))
        for name, one in shown.items()
    ]
    return rows


def gallery_figure(shown: dict[str, Drawn]) -> Any:
    """A panel for each: the function, its derivative dashed, its mean in the title."""
    figure = new_figure(6.4)
    near = np.abs(_Z) <= 4
    for axes, (name, one) in zip(
        figure.subplots(3, 4, sharex=True).flat, shown.items(), strict=True
    ):
        style(axes)
        leak = " 0.2" if name == "leaky_relu" else ""
        axes.set_title(f"{name}{leak}\nmean {one.mean:z.2f}", loc="left", fontsize=9.5, color=INK)
        axes.plot(_Z[near], one.values[near], color=RUN_COLOURS[0], lw=1.6, label="f(z)")
        axes.plot(_Z[near], one.slopes[near], color=RUN_COLOURS[1], lw=1.4, ls="--", label="f'(z)")
        axes.set_ylim(-2, 3)
        axes.set_xticks([-4, 0, 4])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False, fontsize=9)  # fmt: skip
    return figure
