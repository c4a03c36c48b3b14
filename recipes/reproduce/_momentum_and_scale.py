"""Initialization and momentum jointly (Sutskever et al. 2013): a deep tanh network."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, PAGE
from ..mlp import mlp
from ..replicate import replicate
from ._nielsen import Images

Doubles = npt.NDArray[np.float64]
Cells = Mapping[tuple[float, float], Doubles]

_HIDDEN = [30] * 8
_WORST = 1e3  # what a loss that is not finite counts as


def cells(
    data: Images,
    scales: Sequence[float],
    rates: Mapping[float, Sequence[float]],
    seeds: Sequence[int],
    epochs: int,
    batch_size: int,
) -> dict[tuple[float, float], Doubles]:
    """Training loss at the end of each seed, by scale and momentum, at the best of its rates.

    Args:
        data: Training images.
        scales: Of Glorot's deviation.
        rates: For each momentum those to try.
        seeds: Integers.
        epochs: Integer.
        batch_size: Integer.
    """
    found: dict[tuple[float, float], Doubles] = {}
    for momentum, some in rates.items():
        tried = np.stack(
            [_ends(data, scales, momentum, rate, seeds, epochs, batch_size) for rate in some]
        )
        best = tried[tried.mean(axis=2).argmin(axis=0), np.arange(len(scales))]
        found |= {(scale, momentum): one for scale, one in zip(scales, best, strict=True)}
    return found


def _ends(
    data: Images,
    scales: Sequence[float],
    momentum: float,
    rate: float,
    seeds: Sequence[int],
    epochs: int,
    batch_size: int,
) -> Doubles:
    """`[scales, seeds]`: networks of all scales and seeds trained as one."""

    def build(at: int) -> Any:
        scale, seed = scales[at // len(seeds)], seeds[at % len(seeds)]
        model = mlp(
            (data.x.shape[1],),
            _HIDDEN,
            10,
            activation="tanh",
            kernel_initializer=keras.initializers.VarianceScaling(scale**2, "fan_avg"),
            seed=seed,
        )
        nesterov = momentum > 0
        model.compile(
            keras.optimizers.SGD(rate, momentum=momentum, nesterov=nesterov),
            "categorical_crossentropy",
        )
        return model

    replicas = replicate(build, range(len(scales) * len(seeds)))
    replicas.fit(data.x, data.y, epochs=epochs, batch_size=batch_size)
    losses = replicas.evaluate(data.x, data.y)["loss"].astype("float64")
    finite = np.where(np.isfinite(losses), np.minimum(losses, _WORST), _WORST)
    return finite.reshape(len(scales), len(seeds))


def told(found: Cells) -> str:
    """Whether it takes both: the best cell against the best without one of the two."""
    means = {key: float(one.mean()) for key, one in found.items()}
    scale, momentum = min(means, key=lambda key: means[key])
    plain = min(value for (_, m), value in means.items() if m == 0)
    poor_at = max({s for s, _ in means}, key=lambda s: min(v for (a, _), v in means.items()
                                                          if a == s))  # fmt: skip
    poor = min(value for (s, _), value in means.items() if s == poor_at)
    best = means[scale, momentum]
    spread = max(float(one.std()) for one in found.values() if one.mean() < _WORST)
    both = momentum > 0 and plain - best > spread and poor - best > spread
    return (
        f"A tanh network of {len(_HIDDEN)} layers comes to a loss of {best:.2g} at {scale:g} times "
        f"Glorot's deviation and momentum {momentum:g}, to {plain:.2g} at best without momentum "
        f"and to no better than {poor:.2g} at {poor_at:g} times: that it takes both, a good "
        f"initialization and momentum, {'holds' if both else 'does not hold'} here."
    )


def figure(found: Cells) -> Any:
    """The losses as a table in colours."""
    scales, momenta = sorted({s for s, _ in found}), sorted({m for _, m in found})
    means = np.array([[found[s, m].mean() for s in scales] for m in momenta])
    drawn = new_figure(2.6)
    axes = drawn.subplots()
    style(axes, f"Training loss of {len(_HIDDEN)} tanh layers, best of the rates", "momentum")
    axes.grid(visible=False)
    logs = np.log10(np.maximum(means, 1e-6))
    axes.imshow(logs, cmap="cividis_r", aspect="auto", origin="lower")
    middle = (logs.min() + logs.max()) / 2
    for row, column in np.ndindex(*means.shape):
        axes.text(
            column, row, f"{means[row, column]:.2g}", ha="center", va="center", fontsize=10,
            color=PAGE if logs[row, column] > middle else INK,
        )  # fmt: skip
    axes.set_xticks(range(len(scales)), [f"{s:g}" for s in scales])
    axes.set_yticks(range(len(momenta)), [f"{m:g}" for m in momenta])
    axes.set_xlabel("deviation of the first weights, times Glorot's")
    axes.spines[:].set_visible(False)
    return drawn
