"""`activations`: the gallery, and the ranking SELU > ELU > leaky > ReLU > tanh > logistic tested.

Eleven activations at four learning rates, each judged at the rate that is best for it on one half
of the validation data, by its accuracy on the other half. Full size: ten hidden layers of 100,
10,000 images, five seeds.
"""

import itertools
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, MUTED, RULE, RUN_COLOURS
from ..mlp import mlp
from ._activation_gallery import gallery, gallery_figure, gallery_rows
from ._clear import clearly_not_zero
from ._examples import Examples, examples
from ._many_networks import Kind, ManyNetworks
from ._signs_and_saturation import SignsAndSaturation
from .outcome import Outcome, Row, Setting

Floats = npt.NDArray[np.float32]

RANKING = ("SELU", "ELU", "leaky ReLU 0.01", "ReLU", "tanh", "logistic")
LEAKS = (0.01, 0.02, 0.2, 0.3)
KINDS = (
    Kind("SELU", "selu"),
    Kind("ELU", "elu"),
    *(Kind(f"leaky ReLU {leak}", "leaky_relu", {"negative_slope": leak}) for leak in LEAKS),
    Kind("RReLU", "rrelu", {"seed": 0}),
    Kind("PReLU", "prelu"),
    Kind("ReLU", "relu"),
    Kind("tanh", "tanh"),
    Kind("logistic", "sigmoid"),
)
# Points of accuracy below the best, from where on the figure only tells the number.
_FAR = 25
_TIMED = ("relu", "leaky_relu", "elu", "selu")


def run(setting: Setting) -> Outcome:
    """Gallery, signs and saturation, the ranking and the leaks, latency."""
    quick = setting.quick
    data = examples(setting, most=1_000 if quick else 10_000)
    seeds = setting.seeds_or(5, quick=2)
    rates = (0.03, 0.1) if quick else (0.01, 0.03, 0.1, 0.3)
    layers, units, epochs = (6, 50, 6) if quick else (10, 100, 10)
    shown, found = gallery(), SignsAndSaturation(data, seeds)
    networks = ManyNetworks(KINDS, rates, seeds, [data.x.shape[1], *[units] * layers, 10])
    networks.fit(data.x, data.y, epochs)
    accuracy, chosen = judged(networks, data)
    by_label = {kind.label: one for kind, one in zip(KINDS, accuracy, strict=True)}
    latency = {size: _latency(size, layers, units) for size in (1, 1_000)}
    return Outcome(
        rows=[
            *gallery_rows(shown), *found.rows(), *_rank_rows(by_label), *_latency_rows(latency)
        ],
        told=" ".join([_told(by_label, data, layers), _told_latency(latency), found.told()]),
        summary={
            "data": data.name,
            "hidden_layers": [units] * layers,
            "epochs": epochs,
            "rates": list(rates),
            "chosen_rates": {
                kind.label: float(rates[at]) for kind, at in zip(KINDS, chosen, strict=True)
            },
            "pairs": pairs(by_label),
            "seconds_of_a_forward_pass": latency,
        },
        figures={"gallery": gallery_figure(shown), "ranking": _ranking_figure(by_label)},
    )  # fmt: skip


def judged(networks: ManyNetworks, data: Examples) -> tuple[Floats, Any]:
    """Accuracy on one half, `[kinds, seeds]`, at the rates that are best on the other half."""
    half = len(data.x_validation) // 2
    choose = networks.accuracy(data.x_validation[:half], data.y_validation[:half])
    judge = networks.accuracy(data.x_validation[half:], data.y_validation[half:])
    chosen = choose.mean(axis=2).argmax(axis=1)
    return judge[np.arange(len(chosen)), chosen], chosen


def pairs(accuracy: dict[str, Floats]) -> dict[str, int]:
    """How many of the ranking's pairs hold, do the reverse, and are undecided.

    A pair is undecided where the mean difference of the seeds is not clearly other than 0.
    """
    found = {"hold": 0, "reverse": 0, "undecided": 0}
    for better, worse in itertools.combinations(RANKING, 2):
        difference = accuracy[better] - accuracy[worse]
        clear, mean = clearly_not_zero(difference), difference.mean()
        found["undecided" if not clear else "hold" if mean > 0 else "reverse"] += 1
    return found


def _rank_rows(accuracy: dict[str, Floats]) -> list[Row]:
    rows = [
        Row(what=f"accuracy at its best rate, {label}", ours=one.tolist(), unit="%")
        for label, one in accuracy.items()
    ]
    count = float(len(RANKING) * (len(RANKING) - 1) // 2)
    found = pairs(accuracy)
    rows.append(Row(what="pairs of the ranking that hold clearly", ours=[float(found["hold"])],
                    text=count))  # fmt: skip
    rows.append(Row(what="pairs that are clearly the reverse", ours=[float(found["reverse"])],
                    text=0.0))  # fmt: skip
    return rows


def _latency(batch: int, layers: int, units: int) -> dict[str, list[float]]:
    """Seconds of a forward pass by activation, in changing turns; six times the least of ten."""
    x = tf.random.stateless_normal((batch, units), (0, 0))
    calls: dict[str, Any] = {}
    for name in _TIMED:
        model = mlp((units,), [units] * layers, 10, activation=name, seed=0)
        call = tf.function(lambda x, model=model: model(x, training=False))
        calls[name] = call.get_concrete_function(x)
    seconds = np.empty((6, 10, len(_TIMED)))
    order = np.random.default_rng(0)
    for turn in np.ndindex(seconds.shape[:2]):
        for at in order.permutation(len(_TIMED)):
            started = time.perf_counter()
            calls[_TIMED[at]](x).numpy()
            seconds[*turn, at] = time.perf_counter() - started
    return dict(zip(_TIMED, seconds.min(axis=1).T.tolist(), strict=True))


def _over_relu(seconds: dict[str, list[float]], name: str) -> list[float]:
    return [own / relu for own, relu in zip(seconds[name], seconds["relu"], strict=True)]


def _latency_rows(latency: dict[int, dict[str, list[float]]]) -> list[Row]:
    return [
        Row(what=f"time of a forward pass of {batch:,}, {name} over relu",
            ours=_over_relu(seconds, name))
        for batch, seconds in latency.items()
        for name in _TIMED[1:]
    ]  # fmt: skip


def _told(accuracy: dict[str, Floats], data: Examples, layers: int) -> str:
    found = pairs(accuracy)
    ours = sorted(RANKING, key=lambda label: -accuracy[label].mean())
    small, large = accuracy[f"leaky ReLU {LEAKS[0]}"], accuracy["leaky ReLU 0.2"]
    better = "holds" if large.mean() > small.mean() else "does not hold"
    return (
        f"{layers} hidden layers, {len(data.x):,} images of {data.name}: "
        f"{' > '.join(ours)}. Of the 15 pairs of the text's ranking {found['hold']} hold clearly, "
        f"{found['reverse']} are the reverse, {found['undecided']} are undecided over the seeds. "
        f"That a leak of 0.2 is better than 0.01 {better} in the mean here: {large.mean():.1f} "
        f"against {small.mean():.1f}%."
    )


def _told_latency(latency: dict[int, dict[str, list[float]]]) -> str:
    parts = []
    for batch, seconds in latency.items():
        ratios = _over_relu(seconds, "elu")
        if clearly_not_zero(np.log(ratios)):
            found = "holds" if np.mean(np.log(ratios)) > 0 else "does not hold"
        else:
            found = "is undecided"
        parts.append(f"{found} for {batch:,} at once ({np.mean(ratios):.2f} times ReLU's time)")
    return f"That an ELU network is slower to run {' and '.join(parts)}."


def _ranking_figure(accuracy: dict[str, Floats]) -> Any:
    """A dot a seed, a bar for the mean, in the text's order; the variants of ReLU in grey names."""
    figure = new_figure(4.2)
    axes = figure.subplots()
    style(axes, "Accuracy at the best rate of each; first to last as the text ranks them")
    axes.grid(False, axis="y")
    axes.grid(True, axis="x", color=RULE, linewidth=0.5)
    best = max(one.mean() for one in accuracy.values())
    near = [one for one in accuracy.values() if one.mean() > best - _FAR]
    axes.set_xlim(min(one.min() for one in near) - 2, max(one.max() for one in near) + 1)
    for at, (label, one) in enumerate(accuracy.items()):
        colour = RUN_COLOURS[0] if label in RANKING else RUN_COLOURS[4]
        axes.plot(one, np.full(len(one), at), "o", color=colour, ms=5, alpha=0.5, mew=0)
        axes.plot([one.mean()] * 2, [at - 0.3, at + 0.3], color=INK, lw=2)
        if one.mean() <= best - _FAR:
            axes.annotate(f"← {one.mean():.1f}%", (0.01, at), xycoords=("axes fraction", "data"),
                          va="center", fontsize=9, color=INK)  # fmt: skip
    axes.set_yticks(range(len(accuracy)), list(accuracy))
    for text, label in zip(axes.get_yticklabels(), accuracy, strict=True):
        text.set_color(INK if label in RANKING else MUTED)
    axes.invert_yaxis()
    axes.set_xlabel("%")
    return figure
