"""What Glorot and Bengio found in 2010: variance that grows to saturation, and both directions."""

import itertools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import RUN_COLOURS
from ...callbacks.activation_facts import facts_of
from ._examples import Examples
from ._plain_loop import Flow, dense, flow, stack
from .outcome import Row

_DEPTH, _UNITS = 10, 100
_PYRAMID = (512, 256, 128, 64, 32)
_MODES = ("fan_in", "fan_avg", "fan_out")


class SignalHistory:
    """The two findings, measured on the first of the examples."""

    def __init__(self, data: Examples, seeds: list[int], samples: int) -> None:
        x, y = data.x[:samples].astype("float64"), data.y[:samples]
        self.growing = {
            (name, scale): [_naive(x, y, name, scale, seed) for seed in seeds]
            for name in ("sigmoid", "tanh")
            for scale in ("one", "fan_avg")
        }
        narrow = np.random.default_rng(0).normal(size=(samples, _PYRAMID[0]))
        self.pyramid = {
            mode: [
                flow(narrow, y, stack(_PYRAMID, 1.0, seed, mode), dense(keras.activations.linear))
                for seed in seeds
            ]
            for mode in _MODES
        }

    def rows(self) -> list[Row]:
        """Saturation at the top, and how both variances change over a narrowing network."""
        rows = [
            Row(
                what=f"saturated in layer {at + 1} of {_DEPTH}, {name}, weights N(0, 1)",
                ours=[100 * float(one.measured[at]) for one in self.growing[name, "one"]],
                unit="%",
            )
            for name in ("sigmoid", "tanh")
            for at in (0, _DEPTH - 1)
        ]
        for mode in _MODES:
            expected = pyramid_formula(mode)
            for way, text in zip(("forward", "backward"), expected, strict=True):
                rows.append(
                    Row(
                        what=f"variance {way} through {'-'.join(map(str, _PYRAMID))}, 1 / {mode}",
                        ours=[changes(one)[way] for one in self.pyramid[mode]],
                        text=text,
                    )
                )
        return rows

    def told(self) -> str:
        """Whether the variance grows from layer to layer, and whether Glorot's is between."""
        parts = []
        for name in ("sigmoid", "tanh"):
            runs = self.growing[name, "one"]
            deviation = np.mean([one.deviation for one in runs], axis=0)
            share = 100 * np.mean([one.measured for one in runs], axis=0)
            grows = int((np.diff(deviation) > 0).sum())
            parts.append(
                f"{name} at {grows} of {_DEPTH - 1} steps, {share[0]:.0f}% saturated in the first "
                f"layer and {share[-1]:.0f}% in the last"
            )
        grown = f"With weights N(0, 1) the variance grows from layer to layer: {'; '.join(parts)}."
        means = {
            mode: {
                way: np.mean([changes(one)[way] for one in self.pyramid[mode]])
                for way in ("forward", "backward")
            }
            for mode in _MODES
        }
        worst = {mode: max(abs(np.log(list(ways.values())))) for mode, ways in means.items()}
        best = min(worst, key=lambda mode: worst[mode])
        return (
            f"{grown} Through a narrowing network the variance with 1 / fan_avg changes by "
            f"{means['fan_avg']['forward']:.2g} forward and {means['fan_avg']['backward']:.2g} "
            f"backward; of the three, 1 / {best} changes least in its worse direction."
        )

    def summary(self) -> dict[str, Any]:
        """Numbers for the file."""
        return {
            f"{name}_{scale}": {
                "deviation": np.mean([one.deviation for one in runs], axis=0).tolist(),
                "saturated": np.mean([one.measured for one in runs], axis=0).tolist(),
            }
            for (name, scale), runs in self.growing.items()
        }

    def figure(self) -> Any:
        """Share of saturated outputs and their deviation, by layer."""
        figure = new_figure(3.4)
        left, right = figure.subplots(1, 2)
        style(left, "Saturated outputs", "%")
        style(right, "Deviation of the outputs")
        labels = {"one": "N(0, 1)", "fan_avg": "Glorot"}
        at = np.arange(1, _DEPTH + 1)
        for (name, scale), runs in self.growing.items():
            look = {
                "color": RUN_COLOURS[("sigmoid", "tanh").index(name)],
                "ls": "-" if scale == "one" else "--",
                "marker": "o" if scale == "one" else "s",
                "ms": 3.5,
                "lw": 1.4,
                "label": f"{name}, {labels[scale]}",
            }
            left.plot(at, 100 * np.mean([one.measured for one in runs], axis=0), **look)
            right.plot(at, np.mean([one.deviation for one in runs], axis=0), **look)
        for axes in (left, right):
            axes.set_xlabel("layer")
            axes.set_ylim(bottom=0)
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False,
            fontsize=8,
        )  # fmt: skip
        return figure


def changes(one: Flow) -> dict[str, float]:
    """Variance of the last output over the first's; backward, of the first over the last."""
    return {
        "forward": float((one.deviation[-1] / one.deviation[0]) ** 2),
        "backward": float((one.backward[0] / one.backward[-1]) ** 2),
    }


def pyramid_formula(mode: str) -> tuple[float, float]:
    """What the linear theory gives, forward and backward, between the first and last output.

    ```
    forward    product of fan_in / fan      backward   product of fan_out / fan
    ```
    """
    forward = backward = 1.0
    for fan_in, fan_out in itertools.pairwise(_PYRAMID[1:]):
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        forward, backward = forward * fan_in / fan, backward * fan_out / fan
    return forward, backward


def _naive(x: Any, y: Any, name: str, scale: str, seed: int) -> Flow:
    facts = facts_of(name)
    low, high = facts.output_below or 0.0, facts.output_above or 0.0
    kernels = stack([x.shape[1], *[_UNITS] * _DEPTH], 1.0, seed, scale)

    def saturated(h: Any) -> float:
        outputs = np.asarray(h)
        return float(((outputs <= low) | (outputs >= high)).mean())

    return flow(x, y, kernels, dense(getattr(tf.nn, name)), saturated)
