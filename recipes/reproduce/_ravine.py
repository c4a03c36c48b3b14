"""A ravine, 100 times steeper across than along: momentum, Nesterov and Newton in it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import MUTED, RUN_COLOURS

Doubles = npt.NDArray[np.float64]

CURVATURE = np.array([1.0, 100.0])
_RATE, _MOMENTUM, _GOAL, _MOST = 0.01, 0.9, 1e-3, 1_000


def paths() -> dict[str, Doubles]:
    """The places `[steps + 1, 2]` from (1, 1) until the loss is under 0.001, by method."""
    return {
        "gradient descent": path(0.0, nesterov=False),
        "momentum 0.9": path(_MOMENTUM, nesterov=False),
        "Nesterov 0.9": path(_MOMENTUM, nesterov=True),
        "Newton": np.stack([np.ones(2), newton(np.ones(2))]),
    }


def path(momentum: float, *, nesterov: bool) -> Doubles:
    """Descent with `keras.optimizers.SGD(0.01, momentum, nesterov)`.

    ```
    v <- m v - rate * gradient,  w <- w + v;  Nesterov: w <- w + m v - rate * gradient
    ```
    """
    places, velocity = [np.ones(2)], np.zeros(2)
    while loss(places[-1]) >= _GOAL and len(places) <= _MOST:
        push = _RATE * CURVATURE * places[-1]
        velocity = momentum * velocity - push
        places.append(places[-1] + (momentum * velocity - push if nesterov else velocity))
    return np.stack(places)


def newton(place: Doubles) -> Doubles:
    """One step by `-H^-1 gradient`: a quadratic's lowest point."""
    return np.asarray(place - np.linalg.solve(np.diag(CURVATURE), CURVATURE * place))


def loss(place: Doubles) -> float:
    """Half the sum of curvature times place squared."""
    return float((CURVATURE * place**2).sum() / 2)


def figure(found: Mapping[str, Doubles]) -> Any:
    """The loss against the steps, and the ways through the ravine."""
    drawn = new_figure(3.3)
    ways, falls = drawn.subplots(1, 2)
    style(ways, "Ways through a ravine", "across, 100 times as steep")
    style(falls, "How the loss falls", "loss")
    ways.grid(visible=False)
    along, across = np.meshgrid(np.linspace(-0.7, 1.1, 100), np.linspace(-1.1, 1.1, 100))
    height = (CURVATURE[0] * along**2 + CURVATURE[1] * across**2) / 2
    ways.contour(along, across, height, np.geomspace(0.01, 50, 9), colors=MUTED, linewidths=0.4)
    for (name, one), colour in zip(found.items(), RUN_COLOURS, strict=False):
        steps = len(one) - 1
        ways.plot(one[:, 0], one[:, 1], "o-", color=colour, ms=2, lw=1.0)
        label = f"{name}: {steps} step{'s' * (steps > 1)}"
        losses = [max(loss(place), _GOAL / 30) for place in one]
        falls.plot(np.arange(1, steps + 2), losses, "o-", color=colour, ms=2, lw=1.2, label=label)
    ways.set_xlabel("along")
    falls.set(xscale="log", yscale="log", xlabel="place on the way, the start is 1")
    falls.axhline(_GOAL, color=MUTED, lw=0.6, ls=":")
    drawn.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return drawn
