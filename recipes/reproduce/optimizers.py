"""`optimizers`: momentum, Nesterov, the Hessian technique, first weights, start points.

Full size: 1,000 images of MNIST, 500 gradients a method, three seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import RUN_COLOURS
from ..optimizers.hessian_free import HessianFree
from ..replicate import replicate
from . import _momentum_and_scale, _ravine, _start_points
from ._nielsen import Images, images, network
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]

_LOSS = "binary_crossentropy"
# Momentum and Nesterov, the rate that is used if quick, and those of which the best counts.
_FIRST_ORDER: Mapping[str, tuple[float, bool, float, Sequence[float]]] = {
    "gradient descent": (0.0, False, 20.0, (10.0, 20.0, 40.0)),
    "momentum 0.9": (0.9, False, 5.0, (2.0, 5.0, 10.0)),
    "Nesterov 0.9": (0.9, True, 5.0, (2.0, 5.0, 10.0)),
}
_HESSIAN = "HessianFree"
_MOMENTA, _DEEP_RATES = (0.0, 0.9, 0.98), (0.01, 0.03, 0.1, 0.3)
_FEW = 10


class Course(NamedTuple):
    """Training losses `[steps, seeds]`, and the gradients computed until each of them."""

    loss: Doubles
    gradients: Doubles


def run(setting: Setting) -> Outcome:
    """A ravine, Nielsen's network by four methods, a deep one, and exclusive or."""
    quick = setting.quick
    data, seeds = images(setting), setting.seeds_or(3, quick=2)
    data = data._replace(x=data.x[: 400 if quick else 1_000], y=data.y[: 400 if quick else 1_000])
    budget = 60 if quick else 500
    shape = f"{data.x.shape[1]}-30-10"
    ways = _ravine.paths()
    courses = {name: _first_order(name, data, seeds, budget, quick) for name in _FIRST_ORDER}
    courses[_HESSIAN] = _newton(data, seeds[:1] if quick else seeds, budget)
    ends = {name: at_budget(one, budget) for name, one in courses.items()}
    cells = _momentum_and_scale.cells(
        data,
        (0.25, 1.0, 4.0) if quick else (0.25, 0.5, 1.0, 2.0, 4.0),
        {0.0: (0.1,), 0.9: (0.03,)} if quick else dict.fromkeys(_MOMENTA, _DEEP_RATES),
        seeds,
        epochs=6 if quick else 30,
        batch_size=20 if quick else 50,
    )  # fmt: skip
    starts = _start_points.ends(*((40, 400) if quick else (300, 2_000)))
    return Outcome(
        rows=[
            *(Row(what=f"ravine, {name}: steps to a loss of 0.001", ours=[len(one) - 1.0])
              for name, one in ways.items()),
            *(Row(what=f"{shape}, {name}: loss after {_FEW} steps", ours=one.loss[_FEW].tolist())
              for name, one in courses.items()),
            *(Row(what=f"{shape}, {name}: loss after {budget} gradients", ours=one.tolist())
              for name, one in ends.items()),
            *(Row(what=f"deep tanh, {scale:g} times Glorot, momentum {momentum:g}: loss",
                  ours=one.tolist()) for (scale, momentum), one in cells.items()),
            *(Row(what=f"exclusive or, start {name}: solved", ours=[_start_points.solved(one)],
                  unit="%") for name, one in starts.items()),
        ],
        told=_told(ways, courses, ends, budget, data)
        + " " + _momentum_and_scale.told(cells) + " " + _starts_told(starts),
        summary={
            "data": data.name,
            "images": len(data.x),
            "gradients": budget,
            "entries_of_the_hessian": _weights(data) ** 2,
            "courses": {name: {"loss": one.loss.mean(axis=1).tolist(),
                               "gradients": one.gradients.mean(axis=1).tolist()}
                        for name, one in courses.items()},
        },
        figures={
            "ravine": _ravine.figure(ways),
            "losses": _figure(courses, budget),
            "momentum_and_scale": _momentum_and_scale.figure(cells),
            "start_points": _start_points.figure(starts),
        },
    )  # fmt: skip


def at_budget(course: Course, budget: float) -> Doubles:
    """Each seed's loss after the last step that the budget pays for."""
    last = (course.gradients <= budget).sum(axis=0) - 1
    return np.asarray(course.loss[last, np.arange(course.loss.shape[1])])


def _weights(data: Images) -> int:
    return int((data.x.shape[1] + 1) * 30 + 31 * 10)


def _built(seed: int, data: Images) -> Any:
    return network(seed, [30], data.x.shape[1], len(data.x), lam=0.0)


def _first_order(name: str, data: Images, seeds: list[int], budget: int, quick: bool) -> Course:
    """Full-batch descent, one gradient a step, at the best of its rates."""
    momentum, nesterov, only, rates = _FIRST_ORDER[name]

    def course(rate: float) -> Doubles:
        def build(seed: int) -> Any:
            model = _built(seed, data)
            optimizer = keras.optimizers.SGD(rate, momentum=momentum, nesterov=nesterov)
            model.compile(optimizer, _LOSS)
            return model

        # The loss of an epoch of one step is that before the step.
        history = replicate(build, seeds).fit(
            data.x, data.y, epochs=budget + 1, batch_size=len(data.x)
        )
        return history["loss"].astype("float64")

    losses = min((course(rate) for rate in ([only] if quick else rates)), key=_end)
    return Course(losses, np.broadcast_to(np.arange(len(losses))[:, None], losses.shape))


def _end(losses: Doubles) -> float:
    mean = float(losses[-1].mean())
    return mean if np.isfinite(mean) else float("inf")


class _WithinBudget(keras.callbacks.Callback):
    """Keeps the loss before each step and the gradients until then; stops beyond the budget."""

    def __init__(self, budget: int) -> None:
        super().__init__()
        self.budget = budget
        self.losses: list[float] = []
        self.gradients = [0.0]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.losses.append(logs["loss"])
        self.gradients.append(float(logs["gradient_evaluations"]))
        spent = self.gradients[-2] > self.budget and len(self.losses) > _FEW
        self.model.stop_training = spent


def _newton(data: Images, seeds: list[int], budget: int) -> Course:
    """Newton steps, in which a product with the curvature counts as two gradients."""
    found = []
    for seed in seeds:
        trainer = HessianFree(_built(seed, data))
        trainer.compile(loss=_LOSS)
        kept = _WithinBudget(budget)
        trainer.fit(
            data.x, data.y, batch_size=len(data.x), epochs=budget, verbose=0, callbacks=[kept]
        )
        found.append(kept)
    # The seeds' last steps are filled up: nothing is read beyond the budget.
    steps = max(len(one.losses) for one in found)
    losses = [one.losses + [one.losses[-1]] * (steps - len(one.losses)) for one in found]
    gradients = [
        one.gradients[: len(one.losses)] + [np.inf] * (steps - len(one.losses)) for one in found
    ]
    return Course(np.array(losses).T, np.array(gradients).T)


def _told(
    ways: Mapping[str, Doubles],
    courses: Mapping[str, Course],
    ends: Mapping[str, Doubles],
    budget: int,
    data: Images,
) -> str:
    steps = ", ".join(f"{name} {len(one) - 1}" for name, one in ways.items())
    after = {name: float(one.loss[_FEW].mean()) for name, one in courses.items()}
    paid = {name: float(one.mean()) for name, one in ends.items()}
    faster = "holds" if after[_HESSIAN] == min(after.values()) else "does not hold"
    best = min(paid, key=lambda name: paid[name])
    falls = ", ".join(f"{name} {value:.2g}" for name, value in paid.items())
    ahead = [name for name in ("momentum 0.9", "Nesterov 0.9")
             if paid[name] < paid["gradient descent"]]  # fmt: skip
    return (
        f"Steps through the ravine: {steps}. On {len(data.x):,} images of {data.name} the Hessian "
        f"technique is at a loss of {after[_HESSIAN]:.2g} after {_FEW} steps, gradient descent at "
        f"{after['gradient descent']:.2g}: that it takes fewer steps {faster}. For the price of "
        f"{budget} gradients: {falls}. {best} comes furthest; of both kinds of momentum "
        f"{' and '.join(ahead) or 'none'} beat{'s' * (len(ahead) < 2)} gradient descent. The "
        f"Hessian itself would have {_weights(data) ** 2 / 1e6:,.0f} million entries, and is never "
        "formed."
    )


def _starts_told(starts: Mapping[str, Doubles]) -> str:
    shares = {name: _start_points.solved(one) for name, one in starts.items()}
    told = ", ".join(f"{share:.0f}% from {name}" for name, share in shares.items())
    # Two standard errors of the difference of two shares.
    noise = 200 * (0.5 / min(len(one) for one in starts.values())) ** 0.5
    differ = "holds" if max(shares.values()) - min(shares.values()) > noise else "does not hold"
    return (
        f"Two hidden units learn exclusive or from some start points only, {told}: that the "
        f"initialization decides which optimum is found {differ} here."
    )


def _figure(courses: Mapping[str, Course], budget: int) -> Any:
    figure = new_figure(3.2)
    by_step, by_price = figure.subplots(1, 2, sharey=True)
    style(by_step, "By steps", "training loss")
    style(by_price, "By gradients computed")
    for (name, one), colour in zip(courses.items(), RUN_COLOURS, strict=False):
        mean = one.loss.mean(axis=1)
        price = one.gradients.mean(axis=1)
        taken, within = np.isfinite(price), price <= budget
        by_step.plot(np.arange(len(mean))[taken], mean[taken], color=colour, lw=1.6)
        by_price.plot(price[within], mean[within], color=colour, lw=1.6, label=name)
    by_step.set(yscale="log", xlabel="steps")
    by_price.set_xlabel("gradients computed")
    by_price.legend(frameon=False, fontsize=9)
    return figure
