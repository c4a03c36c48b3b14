"""`initialization`: weights N(0, 1) saturate sigmoid units before training begins (chapter 3).

The distribution of z at 1,000 inputs, half of them on, and Nielsen's learning curves for 30 and 100
hidden units. The full run trains 784-30-10 and 784-100-10 for 30 epochs, three seeds of both
initializers as one network.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import MUTED, RUN_COLOURS
from ...callbacks.activation_facts import ACTIVATION_FACTS
from ..initializers import NaiveNormal, NielsenNormal
from ..replicate import replicate
from ._bands import band, epochs_below
from ._chain import SLOPES
from ._nielsen import BATCH, EPOCHS, LAMBDA, TRAINING, Images, compiled, images, network
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]

_INPUTS, _NEURONS, _WIDEST = 1_000, 4_000, 60
_INITIALIZERS: dict[str, Any] = {"1 / sqrt(n)": NielsenNormal, "N(0, 1)": NaiveNormal}
_SAID = {"1 / sqrt(n)": math.sqrt(1.5), "N(0, 1)": math.sqrt(501)}
_TEXT = {  # after epoch 1, after epoch 30
    (30, "1 / sqrt(n)"): (92.70, 96.50),
    (30, "N(0, 1)"): (86.43, 96.37),
    (100, "1 / sqrt(n)"): (92.95, 97.81),
    (100, "N(0, 1)"): (89.94, 97.42),
}
_UNITS = (30, 100)


def run(setting: Setting) -> Outcome:
    """What z is at the start, and how both starts learn."""
    data, seeds = images(setting), setting.seeds_or(3, quick=2)
    # Few images make short epochs.
    epochs = (3 if len(data.x) >= 5_000 else 10) if setting.quick else EPOCHS
    z = {name: np.stack([pre_activations(name, s) for s in seeds]) for name in _INITIALIZERS}
    curves: dict[tuple[int, str], Any] = {}
    for units in _UNITS:
        curves |= _trained(units, seeds, data, epochs)
    published = data.of_the_text and not setting.quick
    return Outcome(
        rows=[*_start_rows(z), *_curve_rows(curves, published)],
        told=_told(z, curves, data),
        summary={
            "data": data.name,
            "epochs": epochs,
            "curves": {f"{units}, {name}": one.tolist() for (units, name), one in curves.items()},
        },
        figures={"z": _z_figure(z), "accuracy": _curves_figure(curves)},
    )


def pre_activations(name: str, seed: int) -> Doubles:
    """The z of neurons that see 1,000 inputs, half of them 1 and half 0."""
    make = _INITIALIZERS[name]
    # Two seeds: one alone would give the biases the numbers of the first weights.
    kernel = np.asarray(make(seed=2 * seed)((_INPUTS, _NEURONS)), "float64")
    bias = np.asarray(make(seed=2 * seed + 1)((_NEURONS,)), "float64")
    z: Doubles = kernel[: _INPUTS // 2].sum(axis=0) + bias
    return z


def saturated(z: Doubles) -> npt.NDArray[np.bool_]:
    """Where the sigmoid's slope is under 1% of its largest."""
    beyond: npt.NDArray[np.bool_] = np.abs(z) >= ACTIVATION_FACTS["sigmoid"].saturates_above
    return beyond


def _trained(units: int, seeds: list[int], data: Images, epochs: int) -> dict[tuple[int, str], Any]:
    """Validation accuracy in percent, `[epochs, seeds]`: both initializers as one network."""
    pixels, samples = data.x.shape[1], len(data.x)
    lam = LAMBDA * samples / TRAINING
    made = list(_INITIALIZERS.values())

    def build(number: int) -> Any:
        seed, kind = divmod(number, len(made))
        return compiled(network(seed, [units], pixels, samples, lam, made[kind]()))

    # The seeds of one, then of the other.
    numbers = [len(made) * seed + kind for kind in range(len(made)) for seed in seeds]
    history = replicate(build, numbers).fit(
        data.x, data.y, epochs=epochs, batch_size=BATCH,
        validation_data=(data.x_validation, data.y_validation),
    )  # fmt: skip
    split = np.split(100 * history["val_accuracy"], len(made), axis=1)
    return {(units, name): one for name, one in zip(_INITIALIZERS, split, strict=True)}


# ------------------------------------------------------------------ what comes out


def _start_rows(z: dict[str, Doubles]) -> list[Row]:
    rows = [
        Row(what=f"deviation of z, {name}", ours=one.std(axis=1).tolist(),
            text=_SAID[name])
        for name, one in z.items()
    ]  # fmt: skip
    rows += [
        Row(what=f"saturated units, {name}", unit="%",
            ours=(100 * saturated(one).mean(axis=1)).tolist())
        for name, one in z.items()
    ]  # fmt: skip
    return rows + [
        Row(what=f"mean slope, {name}",
            ours=SLOPES["sigmoid"](one).mean(axis=1).tolist())
        for name, one in z.items()
    ]  # fmt: skip


def _curve_rows(curves: dict[tuple[int, str], Any], published: bool) -> list[Row]:
    return [
        Row(what=f"{units} units, {name}, epoch {epoch}", unit="%",
            ours=[float(one) for one in curve[epoch - 1]],
            text=_TEXT[units, name][epoch > 1] if published else None)
        for (units, name), curve in curves.items()
        for epoch in (1, len(curve))
    ]  # fmt: skip


def _told(z: dict[str, Doubles], curves: dict[tuple[int, str], Any], data: Images) -> str:
    cured, naive = _INITIALIZERS
    shares = {name: float(saturated(one).mean()) for name, one in z.items()}
    slopes = {name: float(SLOPES["sigmoid"](one).mean()) for name, one in z.items()}
    told = [
        f"At {_INPUTS:,} inputs, half of them on, weights N(0, 1) give z a deviation of "
        f"{z[naive].std():.1f} and saturate {shares[naive]:.0%} of the units; weights 1 / sqrt(n) "
        f"give {z[cured].std():.2f} and saturate {100 * shares[cured]:.2g}%. The units' mean slope "
        f"is {slopes[cured] / slopes[naive]:.3g} times as large; the gradient of every loss "
        "carries that factor on its way to the weights."
    ]
    for units in _UNITS:
        first, last = (curves[units, cured] - curves[units, naive])[[0, -1]]
        told.append(
            f"On {data.name} with {units} units 1 / sqrt(n) is {_ahead(first)} after one epoch and "
            f"{_ahead(last)} after {len(curves[units, cured])}."
        )
    return " ".join(told)


def _ahead(points: Any) -> str:
    mean = float(np.mean(points))
    everywhere = bool((np.sign(points) == np.sign(mean)).all())
    return f"{abs(mean):.1f} points {'ahead' if mean >= 0 else 'behind'}" + (
        "" if everywhere else " (not with every seed)"
    )


# ------------------------------------------------------------------ figures


def _z_figure(z: dict[str, Doubles]) -> Any:
    figure = new_figure(4.2)
    bound = ACTIVATION_FACTS["sigmoid"].saturates_above
    panels = figure.subplots(2, sharex=True)
    for at, (axes, (name, values)) in enumerate(zip(panels, z.items(), strict=True)):
        style(axes, f"weights {name}: deviation {values.std():.3g}", "density")
        bars = np.linspace(-_WIDEST, _WIDEST, int(16 * _WIDEST / max(1.0, values.std())) + 1)
        axes.hist(values.ravel(), bars, density=True, color=RUN_COLOURS[at])
        for low, high in ((-_WIDEST, -bound), (bound, _WIDEST)):
            axes.axvspan(low, high, color=MUTED, alpha=0.12, lw=0, zorder=0)
        share = f"{saturated(values).mean():.0%} saturated"
        axes.annotate(f"grey: {share}", (0.99, 0.88), xycoords="axes fraction", ha="right",
                      fontsize=9, color=MUTED)  # fmt: skip
    panels[-1].set_xlim(-_WIDEST, _WIDEST)
    panels[-1].set_xlabel("z, of 1,000 inputs, half of them on")
    return figure


def _curves_figure(curves: dict[tuple[int, str], Any]) -> Any:
    figure = new_figure(3.4)
    panels = figure.subplots(1, len(_UNITS), sharey=True)
    for axes, units in zip(panels, _UNITS, strict=True):
        style(axes, f"{units} hidden units", "validation accuracy, %" if axes is panels[0] else "")
        for at, name in enumerate(_INITIALIZERS):
            band(axes, curves[units, name], f"weights {name}", at)
        epochs_below(axes)
    panels[-1].legend(frameon=False, fontsize=9, loc="lower right")
    return figure
