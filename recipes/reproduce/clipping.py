"""`clipping`: the cliff of a recurrent network's loss, and what clipped gradients do there.

Full size: 200 descents of one unit, and 36 trainings of a recurrent network on 2,000 images.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import RUN_COLOURS
from ...callbacks.gradient_norms import GradientNorms
from ..recurrent import recurrent
from ._cliff import SOLVED, THROWN, cliff_figure, solved, surface, thrown
from ._data import square_side
from ._nielsen import Images, images
from ._noise import noise
from ._recurrent_unit import Descent, descent
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]

_RATE, _CLIPNORM = 0.1, 1.0
_SMALL, _BLOCK = 8, 4  # sides: of images that are read as they are; of squares of pixels averaged
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
    whole, seeds = images(setting), setting.seeds_or(3, quick=1)
    data = pixels(whole, 400 if setting.quick else 2_000)
    starts, steps = (60, 300) if setting.quick else (200, 500)
    rng = np.random.default_rng(0)
    at = rng.uniform(*_WEIGHTS, starts), rng.uniform(*_BIASES, starts)
    descents = {
        "no clipping": descent(*at, _RATE, steps),
        "global_clipnorm 1": descent(*at, _RATE, steps, _CLIPNORM),
    }
    ground = surface()
    steep = [float(ground[-1].max() / np.median(ground[-1]))]

    rates, epochs = ((0.01,), 6) if setting.quick else ((0.003, 0.01, 0.03), 20)
    ways = [way for way in _WAYS if not setting.quick or way != "clipnorm 1"]
    runs = {
        (way, rate): [_trained(data, way, rate, seed, epochs) for seed in seeds]
        for rate in rates
        for way in ways
    }
    spikes = {key: [spike(one.norms) for one in found] for key, found in runs.items()}
    return Outcome(
        rows=_rows(steep, descents, runs, data),
        told=_told(descents, runs, spikes, data),
        summary={
            "data": whole.name,
            "read_as": data.name,
            "time_steps": data.x.shape[1],
            "epochs": epochs,
            "starts": starts,
            "largest_over_median_gradient": {f"{w}, {r:g}": s for (w, r), s in spikes.items()},
        },
        figures={
            "cliff": cliff_figure(ground, descents),
            "norms": _norms_figure({way: runs[way, rates[-1]][0] for way in ways}, rates[-1]),
        },
    )


def spike(norms: Doubles) -> float:
    """Largest over median norm; infinite where one is not finite."""
    return float(norms.max() / np.median(norms)) if np.isfinite(norms).all() else float("inf")


def pixels(data: Images, count: int) -> Images:
    """Images as sequences of single pixels, those of MNIST as means of 4 x 4 pixels.

    The name says how they are read.
    """
    side = square_side(data.x.shape[1], data.name)
    averaged = side > _SMALL and side % _BLOCK == 0
    steps = side // _BLOCK if averaged else side

    def sequences(x: Any) -> Any:
        if averaged:
            x = x.reshape(-1, steps, _BLOCK, steps, _BLOCK).mean(axis=(2, 4))
        return x.reshape(len(x), -1, 1)

    x, held = sequences(data.x[:count]), sequences(data.x_validation[:2_000])
    name = f"{data.name} {'averaged to' if averaged else 'in'} {steps} x {steps} pixels"
    return Images(x, data.y[:count], held, data.y_validation[:2_000], name)


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


def _rows(
    steep: list[float],
    descents: Mapping[str, Descent],
    runs: Mapping[tuple[str, float], list[Training]],
    data: Images,
) -> list[Row]:
    starts = len(next(iter(descents.values())).loss)
    rows = [Row(what="one unit: largest gradient of the surface over its median", ours=steep)]
    for way, one in descents.items():
        who = f"one unit, {way}, {starts} starts"
        rows += [
            Row(what=f"{who}: median of the longest steps",
                ours=[float(np.median(one.lengths.max(axis=0)))]),
            Row(what=f"{who}: thrown more than {THROWN:g} away in one step",
                ours=[thrown(one)], unit="%"),
            Row(what=f"{who}: end at a loss under {SOLVED:g}", ours=[solved(one)], unit="%"),
        ]  # fmt: skip
    return rows + [
        Row(what=f"{data.name}, rate {rate:g}, {way}: validation accuracy",
            ours=[one.accuracy for one in found], unit="%")
        for (way, rate), found in runs.items()
    ]  # fmt: skip


def _told(
    descents: Mapping[str, Descent],
    runs: Mapping[tuple[str, float], list[Training]],
    spikes: Mapping[tuple[str, float], list[float]],
    data: Images,
) -> str:
    free, clipped = descents["no clipping"], descents["global_clipnorm 1"]
    starts, gain = len(free.loss), solved(clipped) - solved(free)
    helps = gain > noise([solved(clipped)], [solved(free)], starts)
    ways = list(dict.fromkeys(way for way, _ in runs))
    worst = np.median([one for (way, _), found in spikes.items() if way == ways[0]
                       for one in found])  # fmt: skip
    course = (
        f"the largest gradient is {worst:.0f} times the median one (median of the runs)"
        if np.isfinite(worst)
        else "its gradients grow beyond all numbers"
    )
    return (
        f"Beside the cliff of one recurrent unit, {thrown(free):.0f}% of {starts} descents are "
        f"thrown more than {THROWN:g} away in one step, clipped {thrown(clipped):.0f}%; "
        f"{solved(free):.0f}% end near the target, clipped {solved(clipped):.0f}%: that clipping "
        f"keeps explosions from throwing a network off {'holds' if helps else 'does not hold'} "
        f"there. A network that reads {data.name} in {data.x.shape[1]} steps, without clipping: "
        f"{course}. {_compared(runs, ways, len(data.x_validation))}"
    )


def _compared(
    runs: Mapping[tuple[str, float], list[Training]], ways: list[str], judged: int
) -> str:
    """The accuracies of all ways, and whether the best clipped one is ahead by more than noise."""
    ends = {
        way: [one.accuracy for (w, _), found in runs.items() if w == way for one in found]
        for way in ways
    }
    free, *clipped = ways
    best = max(clipped, key=lambda way: np.mean(ends[way]))
    ahead = float(np.mean(ends[best]) - np.mean(ends[free]))
    within = noise(ends[best], ends[free], judged)
    told = ", ".join(f"{np.mean(one):.0f}% ({way})" for way, one in ends.items())
    verdict = "Clipping helps it" if ahead > within else "Clipping does not clearly help it"
    return (
        f"Mean accuracy over rates and seeds: {told}. {verdict}: {best} is {ahead:+.0f} points "
        f"from no clipping, {'more' if ahead > within else 'no more'} than the {within:.0f} of "
        "noise (two standard errors over these runs)."
    )


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
