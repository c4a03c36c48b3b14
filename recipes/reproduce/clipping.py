"""`clipping`: the cliff of a recurrent network's loss, and what clipped gradients do there.

Full size: 200 descents of one unit, and 36 trainings of a recurrent network on 2,000 images; some
eight minutes on two cores.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from matplotlib.colors import LogNorm

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import ALERT, INK, PAGE, RUN_COLOURS
from ...callbacks.gradient_norms import GradientNorms
from ..recurrent import recurrent
from ._nielsen import Images, images
from ._recurrent_unit import TARGET, Descent, descent, unit
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]

_RATE, _CLIPNORM, _SOLVED = 0.1, 1.0, 0.01
_WEIGHTS, _BIASES = (5.0, 7.0), (-3.5, -2.0)
_WAYS: Mapping[str, Mapping[str, float]] = {
    "no clipping": {},
    "clipvalue 0.1": {"clipvalue": 0.1},
    "clipnorm 1": {"clipnorm": 1.0},
    "global_clipnorm 1": {"global_clipnorm": 1.0},
}


class Training(NamedTuple):
    """A recurrent network's training.

    Attributes:
        norms: Raw norm of the whole gradient at each step.
        accuracy: Validation accuracy at the end, in percent.
    """

    norms: Doubles
    accuracy: float


def run(setting: Setting) -> Outcome:
    """Descends from many starts beside the cliff; trains a network that reads pixels in turn."""
    starts, steps = (60, 300) if setting.quick else (200, 500)
    rng = np.random.default_rng(0)
    at = rng.uniform(*_WEIGHTS, starts), rng.uniform(*_BIASES, starts)
    descents = {
        "no clipping": descent(*at, _RATE, steps),
        "global_clipnorm 1": descent(*at, _RATE, steps, _CLIPNORM),
    }
    surface = _surface()
    steep = [float(surface[-1].max() / np.median(surface[-1]))]

    data, seeds = pixels(images(setting), 400 if setting.quick else 2_000), setting.seeds_or(3, 1)
    rates, epochs = ((0.01,), 6) if setting.quick else ((0.003, 0.01, 0.03), 20)
    ways = [way for way in _WAYS if not setting.quick or way != "clipnorm 1"]
    runs = {
        (way, rate): [_trained(data, way, rate, seed, epochs) for seed in seeds]
        for rate in rates
        for way in ways
    }
    spikes = {key: [spike(one.norms) for one in found] for key, found in runs.items()}
    return Outcome(
        rows=[
            Row(what="one unit: gradient on the cliff over its median", ours=steep),
            *(Row(what=f"one unit, {way}: longest step of a descent, median of the starts",
                  ours=[float(np.median(one.lengths.max(axis=0)))])
              for way, one in descents.items()),
            *(Row(what=f"one unit, {way}: starts that end at a loss under {_SOLVED:g}",
                  ours=[solved(one)], unit="%") for way, one in descents.items()),
            *(Row(what=f"digits by pixel, rate {rate:g}, {way}: validation accuracy",
                  ours=[one.accuracy for one in found], unit="%")
              for (way, rate), found in runs.items()),
        ],
        told=_told(descents, runs, spikes, data),
        summary={
            "data": data.name,
            "time_steps": data.x.shape[1],
            "epochs": epochs,
            "starts": starts,
            "largest_over_median_gradient": {f"{w}, {r:g}": s for (w, r), s in spikes.items()},
        },
        figures={
            "cliff": _cliff_figure(surface, descents),
            "norms": _norms_figure({way: runs[way, rates[-1]][0] for way in ways}, rates[-1]),
        },
    )  # fmt: skip


def solved(found: Descent) -> float:
    """Percent of the starts that end near the target."""
    return float(100 * (found.loss < _SOLVED).mean())


def spike(norms: Doubles) -> float:
    """Largest over median norm; infinite where one is not finite."""
    return float(norms.max() / np.median(norms)) if np.isfinite(norms).all() else float("inf")


def pixels(data: Images, count: int) -> Images:
    """Images as sequences of single pixels, those of MNIST as means of 4 x 4 pixels."""

    def sequences(x: Any) -> Any:
        side = round(x.shape[1] ** 0.5)
        if side > 8 and side % 4 == 0:
            x = x.reshape(-1, side // 4, 4, side // 4, 4).mean(axis=(2, 4))
        return x.reshape(len(x), -1, 1)

    x, held = sequences(data.x[:count]), sequences(data.x_validation[:2_000])
    return Images(x, data.y[:count], held, data.y_validation[:2_000], data.name)


def _surface() -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Weights, biases, loss and norm of the gradient on a grid."""
    weights, biases = np.meshgrid(np.linspace(4, 7.2, 241), np.linspace(-4, -1.5, 241))
    found = unit(weights, biases)
    return weights, biases, found.loss, found.norm


def _trained(data: Images, way: str, rate: float, seed: int, epochs: int) -> Training:
    """ReLU units that start with the identity: what they read stays, or grows (Le et al. 2015)."""
    keras.utils.set_random_seed(seed)
    model = recurrent(
        data.x.shape[1:],
        [32],
        10,
        cell="simple",
        activation="relu",
        recurrent_initializer="identity",
        adapt_to=data.x,
        seed=seed,
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, **_WAYS[way])
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    batches = tf.data.Dataset.from_tensor_slices((data.x, data.y)).shuffle(len(data.x), seed)
    monitor = GradientNorms()
    model.fit(batches.batch(40), epochs=epochs, shuffle=False, verbose=0, callbacks=[monitor])
    norms = np.sqrt((monitor.record["gradient_norm"].astype("float64") ** 2).sum(axis=1))
    held = data.x_validation, data.y_validation
    return Training(norms, 100 * model.evaluate(*held, batch_size=500, verbose=0)[1])


def _told(
    descents: Mapping[str, Descent],
    runs: Mapping[tuple[str, float], list[Training]],
    spikes: Mapping[tuple[str, float], list[float]],
    data: Images,
) -> str:
    free, clipped = descents["no clipping"], descents["global_clipnorm 1"]
    helps = solved(clipped) > solved(free)
    thrown = 100 * float((free.lengths.max(axis=0) > 1).mean())
    ways = list(dict.fromkeys(way for way, _ in runs))
    means = {
        way: np.mean([one.accuracy for (w, _), found in runs.items() if w == way for one in found])
        for way in ways
    }
    best = max(means, key=lambda way: means[way])
    worst = np.median([one for (way, _), found in spikes.items() if way == ways[0]
                       for one in found])  # fmt: skip
    course = (
        f"the largest gradient is {worst:.0f} times the median one"
        if np.isfinite(worst)
        else "its gradients grow beyond all numbers"
    )
    told = ", ".join(f"{mean:.0f}% ({way})" for way, mean in means.items())
    return (
        f"Beside the cliff of one recurrent unit, {thrown:.0f}% of the descents are thrown more "
        f"than 1 away in one step; {solved(free):.0f}% end near the target, clipped "
        f"{solved(clipped):.0f}%: that clipping keeps explosions from throwing a network off "
        f"{'holds' if helps else 'does not hold'} there. A network that reads {data.name} in "
        f"{data.x.shape[1]} steps, without clipping: {course}. Mean accuracy over rates and seeds: "
        f"{told}. " + ("Clipping helps it." if best != ways[0] else "Clipping does not help it.")
    )


def _cliff_figure(surface: tuple[Doubles, ...], descents: Mapping[str, Descent]) -> Any:
    weights, biases, loss, _ = surface
    figure = new_figure(3.9)
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    start = _telling(descents["no clipping"], descents["global_clipnorm 1"])
    for axes, (way, found) in zip(both, descents.items(), strict=True):
        style(axes, f"{way}: loss {found.loss[start]:.1g}", "bias" if axes is both[0] else "")
        axes.grid(visible=False)
        levels = np.geomspace(1e-4, 0.6, 24)
        drawn = axes.contourf(
            weights, biases, np.maximum(loss, 1e-4), levels, cmap="cividis", norm=LogNorm()
        )
        way_taken = found.weight[:, start], found.bias[:, start]
        axes.plot(*way_taken, color=INK, lw=2.6)
        axes.plot(*way_taken, color=PAGE, lw=1.0)
        thrown = np.flatnonzero(found.lengths[:, start] > 1)
        axes.plot(
            found.weight[thrown, start], found.bias[thrown, start], "X", color=ALERT, ms=11,
            mec=PAGE, zorder=5,
        )  # fmt: skip
        axes.plot(*(one[0] for one in way_taken), "o", color=RUN_COLOURS[1], ms=8, mec=PAGE)
        axes.set(xlim=(4, 7.2), ylim=(-4, -1.5), xlabel="weight")
    bar = figure.colorbar(drawn, ax=list(both), aspect=30, pad=0.01)
    bar.set_ticks([1e-4, 1e-3, 1e-2, 1e-1], labels=["≤0.0001", "0.001", "0.01", "0.1"])
    bar.set_label(f"loss, target {TARGET:g}; X: thrown more than 1 away", fontsize=9)
    bar.outline.set_visible(False)
    return figure


def _telling(free: Descent, clipped: Descent) -> int:
    """Of the starts that are thrown away, the one that clipped comes nearest to the target."""
    thrown = free.lengths.max(axis=0) > 1
    return int(np.argmin(clipped.loss - thrown))


def _norms_figure(runs: Mapping[str, Training], rate: float) -> Any:
    figure = new_figure(3.2)
    axes = figure.subplots()
    title = f"Gradient before clipping, rate {rate:g} (a line that ends: no longer finite)"
    style(axes, title, "norm of the whole gradient")
    for (way, found), colour in zip(runs.items(), RUN_COLOURS, strict=False):
        norms = np.where(np.isfinite(found.norms) & (found.norms > 0), found.norms, np.nan)
        axes.plot(norms, color=colour, lw=1.0, label=f"{way}: {found.accuracy:.0f}%")
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.legend(title="validation accuracy", frameon=False, fontsize=9, loc="upper left",
                bbox_to_anchor=(1.0, 1.0))  # fmt: skip
    return figure
