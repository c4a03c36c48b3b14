"""The last hidden layer's outputs collapsing to 0 while a deep sigmoid network begins to train.

Glorot and Bengio 2010, figure 2: four hidden layers of sigmoids, weights uniform within
+-1 / sqrt(n), biases 0, a softmax. Before the lower layers say anything of use, the softmax learns
its biases, and what the last hidden layer sends it is best turned off: its outputs go to 0, where a
sigmoid is saturated.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import RUN_COLOURS
from ..mlp import mlp
from ..signal import signal_per_layer
from ._examples import Examples
from .outcome import Row, Setting

Doubles = npt.NDArray[np.float64]

_LAYERS, _PROBED = 4, 300
_KINDS: dict[str, dict[str, Any]] = {
    "sigmoid": {"activation": "sigmoid"},
    "sigmoid, batch normalization": {"activation": "sigmoid", "normalization": "batch"},
}


class Collapse:
    """Mean and deviation of each hidden layer's outputs, epoch by epoch, of one seed."""

    def __init__(self, data: Examples, setting: Setting, epochs: int | None = None) -> None:
        self._units, usual = (100, 12) if setting.quick else (300, 60)
        self._epochs = usual if epochs is None else epochs
        self._rate = 0.3 if setting.quick else 0.1
        self.means: dict[str, Doubles] = {}
        self.deviations: dict[str, Doubles] = {}
        self.accuracy: dict[str, float] = {}
        for name, options in _KINDS.items():
            self._watch(name, options, data)

    def _watch(self, name: str, options: dict[str, Any], data: Examples) -> None:
        model: Any = mlp(
            (data.x.shape[1],),
            [self._units] * _LAYERS,
            10,
            kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
            seed=0,
            **options,
        )
        model.compile(
            keras.optimizers.SGD(self._rate),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        probe = data.x_validation[:_PROBED]
        seen = [signal_per_layer(model, probe)]
        watch = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append(signal_per_layer(model, probe))
        )
        model.fit(_shuffled(data), epochs=self._epochs, verbose=0, shuffle=False, callbacks=[watch])
        self.means[name] = np.array([[layer.mean for layer in one] for one in seen])
        self.deviations[name] = np.array([[layer.deviation for layer in one] for one in seen])
        _, accuracy = model.evaluate(data.x_validation, data.y_validation, verbose=0)
        self.accuracy[name] = 100 * accuracy

    def rows(self) -> list[Row]:
        """The lowest mean of the last hidden layer, and what the networks reach."""
        rows = [
            Row(
                what=f"lowest mean output of hidden layer {_LAYERS}, {name}",
                ours=[float(one[:, -1].min())],
                text=0.0 if name == "sigmoid" else None,
            )
            for name, one in self.means.items()
        ]
        rows += [
            Row(what=f"validation accuracy of {_LAYERS} hidden layers, {name}", ours=[one],
                unit="%")
            for name, one in self.accuracy.items()
        ]  # fmt: skip
        return rows

    def told(self) -> str:
        """Whether it collapses, and whether batch normalization prevents it."""
        plain, normalized = (float(self.means[name][:, -1].min()) for name in _KINDS)
        first = float(self.means["sigmoid"][:, 0].min())
        collapses = plain < 0.1
        return (
            f"That the last of {_LAYERS} sigmoid layers collapses to 0 as training begins "
            f"{'holds' if collapses else 'does not hold here'}: its mean output falls from "
            f"{self.means['sigmoid'][0, -1]:.2f} to {plain:.3f} at the lowest, the first layer's "
            f"to {first:.2f}; with batch normalization to {normalized:.2f}. After {self._epochs} "
            f"epochs {self.accuracy['sigmoid']:.1f} against "
            f"{self.accuracy['sigmoid, batch normalization']:.1f}%."
        )

    def summary(self) -> dict[str, Any]:
        """Numbers for the file."""
        return {name: one.tolist() for name, one in self.means.items()}

    def figure(self) -> Any:
        """Mean outputs by epoch, a line a layer, their deviation as a band."""
        figure = new_figure(3.2)
        panels = figure.subplots(1, len(_KINDS), sharey=True)
        for axes, (name, means) in zip(panels, self.means.items(), strict=True):
            style(axes, f"Mean output, {name}")
            axes.title.set_fontsize(10)
            for at in range(_LAYERS):
                spread, colour = self.deviations[name][:, at], RUN_COLOURS[at]
                epochs = np.arange(len(means))
                low, high = means[:, at] - spread, means[:, at] + spread
                axes.fill_between(epochs, low, high, color=colour, alpha=0.08, lw=0)
                axes.plot(epochs, means[:, at], color=colour, lw=1.6, label=f"hidden_{at + 1}")
            axes.set_ylim(0, 1)
            axes.set_xlabel("epoch")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=_LAYERS,
                      frameon=False, fontsize=8.5)  # fmt: skip
        return figure


def _shuffled(data: Examples) -> Any:
    """Batches of ten, in a new order each epoch."""
    both = tf.data.Dataset.from_tensor_slices((data.x, data.y))
    return both.shuffle(len(data.x), seed=0).batch(10)
