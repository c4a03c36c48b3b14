"""Whether a run's cost falls, judged on its true per-step losses.

Batches are noisy: from step to step the loss always goes up and down. What counts is the cost of
whole epochs `m_1 ... m_E` (means of the per-step losses), each with its standard error

    se_e = s_e / sqrt(steps),    s_e² = min(variance, roughness) of the epoch's losses

A rise `m_(e+1) - m_e` counts where it exceeds `2 sqrt(se_e² + se_(e+1)²)`. One such rise in the
first epochs is chance; two are oscillation. A loss that alternates from step to step leaves the
means alone: it is told by roughness / variance, which is 1 for noise and 2 for pure alternation.

How often that is wrong, with losses whose noise is as large as their cost (batches of ten on
MNIST), in 500 simulated runs each: a falling cost is called oscillating in 0 to 2% of the runs,
one at rest in 2 to 4%. A swing by 60% of the cost is missed in none of the runs at 500 steps an
epoch, in 9% at 45 and in 84% at 10: few noisy steps tell little, and then the comparison with
smaller rates is what is left. `benchmarks/search/oscillation.py` prints the whole table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ._trials import EpochLosses, Trial

STANDARD_ERRORS = 2.0
"""A difference of two means is more than noise above this many of its standard errors."""

_RISES = 2
_ALTERNATES = 1.5
# A rise below this share of the whole range is rounding or rest, where there is no noise at all.
_MATERIAL = 0.01
# A fall below this share of the rival's is none.
_HARDLY = 0.05
# With fewer steps an epoch's own variance is too rough an estimate.
_ENOUGH_STEPS = 10

Word = Literal["falls", "flat", "rises", "oscillates", "diverged"]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How the cost went in a run's first epochs.

    Args:
        word: `"falls"`, `"flat"` (neither falls nor rises beyond noise), `"rises"`,
            `"oscillates"` or `"diverged"`.
        rises: Integer. Rises from epoch to epoch beyond noise.
        cost: Float. Cost of the last epoch.
        standard_error: Float. The cost's standard error.
    """

    word: Word
    rises: int
    cost: float
    standard_error: float


def summarize(losses: npt.ArrayLike, steps_per_epoch: int) -> tuple[EpochLosses, ...]:
    """Each completed epoch's summary, from a run's true per-step losses in order."""
    steps = np.asarray(losses, np.float64)
    if steps.ndim != 1 or not steps_per_epoch > 0:
        raise ValueError(
            "`losses` must be one loss for each step, and `steps_per_epoch` positive. Received: "
            f"losses of shape {steps.shape}, steps_per_epoch={steps_per_epoch!r}."
        )
    epochs = steps[: len(steps) // steps_per_epoch * steps_per_epoch].reshape(-1, steps_per_epoch)
    return tuple(_summary(epoch) for epoch in epochs)


def course_of(trial: Trial, epochs: int) -> Course:
    """How the cost went in the trial's first `epochs` epochs."""
    losses = trial.losses[:epochs]
    means = [epoch.mean for epoch in losses]
    spread = [epoch.variance for epoch in losses]
    if trial.diverged or not np.isfinite(means + spread).all():
        return Course(word="diverged", rises=0, cost=math.inf, standard_error=0.0)
    if not losses:
        raise ValueError(
            f"Trial {trial.trial_id!r} is finished, yet has no losses. Received: losses=(). "
            "Record at least one epoch's per-step losses, or mark the trial as diverged."
        )
    errors = _standard_errors(losses)
    rises = _count_rises(means, errors)
    word: Word = "flat"
    if is_more(means[-1], means[0], errors[-1], errors[0]):
        word = "rises"
    elif rises >= _RISES or _alternates(losses):
        word = "oscillates"
    elif is_more(means[0], means[-1], errors[0], errors[-1]):
        word = "falls"
    return Course(word=word, rises=rises, cost=means[-1], standard_error=errors[-1])


def pooled(runs: Sequence[Sequence[EpochLosses]]) -> tuple[EpochLosses, ...]:
    """Several runs' epochs as those of one with as many more steps, until the shortest ends."""
    return tuple(_pooled(epochs) for epochs in zip(*runs, strict=False))


def is_more(larger: float, smaller: float, *standard_errors: float) -> bool:
    """Whether the first exceeds the second by more than two standard errors of their gap."""
    return larger - smaller > STANDARD_ERRORS * math.hypot(*standard_errors)


def is_stalled(losses: Sequence[EpochLosses], rival: Sequence[float] = ()) -> bool:
    """Whether a run that tries a learning rate may be cut off between two epochs.

    Two rises beyond noise end a run, since its word can't become "falls" any more. So does, after
    half of the rival's epochs, a cost that has hardly fallen: by less than a twentieth of what the
    rival's has, or from a peak, so that it is still above where the rival was after one epoch; and
    that is above the rival's by more than four standard errors. Without a rival a run that rests
    goes on: it may be on a plateau, and nothing else learns yet.

    ```python
    flat, rival = summarize([2.3] * 30, 10), (2.0, 1.0, 0.5, 0.4)
    is_stalled(flat), is_stalled(flat, rival)  # (False, True)
    ```

    Args:
        losses: Sequence of `EpochLosses`, one for each epoch that was completed.
        rival: Sequence of floats. Each epoch's cost in the best run at a smaller rate. Defaults
            to none.

    Returns:
        Boolean.
    """
    if not losses:
        return False
    course = course_of(Trial(trial_id="", values={}, losses=tuple(losses)), len(losses))
    if course.word == "diverged" or course.rises >= _RISES:
        return True
    epoch = len(losses)
    if epoch < 3 or not len(rival) / 2 <= epoch <= len(rival):
        return False
    # The rival's noise is taken to be this run's.
    noise = 2 * STANDARD_ERRORS * math.hypot(course.standard_error, course.standard_error)
    fallen = losses[0].mean - course.cost >= _HARDLY * abs(rival[0] - rival[epoch - 1])
    if fallen and course.cost - rival[0] <= noise:
        return False
    return course.cost - rival[epoch - 1] > noise


def is_hopeless(losses: Sequence[float], *, window: int = 10, factor: float = 4.0) -> bool:
    """Whether a run may be cut off in the middle of an epoch.

    A loss that is not finite ends a run at once. Otherwise the last `window` losses are compared
    with the very first one, the only one that no update has touched, on the log scale:

    ```
    mean(log recent) - log first > max(log factor, 4 s sqrt(1 + 1 / window))
    ```

    `s` is the noise of one log loss, from the spread of its differences over five windows: a
    growth by the same factor at each step is no noise.

    ```python
    is_hopeless([2.3, float("nan")])  # True
    is_hopeless([2.3] + [9.5] * 10)  # True
    is_hopeless([2.3, 30.0, 2.5, 2.2])  # False: a peak passes
    ```

    Args:
        losses: Sequence of floats. The run's true per-step losses so far.
        window: Integer. How many of the last losses are judged together. In epochs under 20
            steps take half an epoch. Defaults to `10`.
        factor: Float. How many times the first loss is hopeless. Defaults to `4`.

    Returns:
        Boolean.

    Raises:
        ValueError: `window` is below 3 or `factor` is not above 1.
    """
    if window < 3 or not factor > 1:
        raise ValueError(
            "`window` must be at least 3 and `factor` above 1. Received: "
            f"window={window!r}, factor={factor!r}."
        )
    recent = np.asarray(losses[-window:], np.float64)
    if not np.isfinite(recent).all():
        return True
    # No ratio is defined where a loss may be 0 or negative.
    if len(losses) <= window or not (0 < losses[0] < math.inf and recent.min() > 0):
        return False
    # Ten losses alone would often show less noise than there is.
    before = np.asarray(losses[-5 * window :], np.float64)
    noise = float(np.diff(np.log(before[before > 0])).std(ddof=1)) / math.sqrt(2)
    needed = max(math.log(factor), 4 * noise * math.sqrt(1 + 1 / window))
    return bool(np.log(recent).mean() - math.log(losses[0]) > needed)


def _summary(epoch: npt.NDArray[np.float64]) -> EpochLosses:
    single = len(epoch) == 1
    with np.errstate(all="ignore"):
        return EpochLosses(
            steps=len(epoch),
            mean=float(epoch.mean()),
            variance=0.0 if single else float(epoch.var(ddof=1)),
            roughness=0.0 if single else float((np.diff(epoch) ** 2).mean() / 2),
        )


def _pooled(epochs: Sequence[EpochLosses]) -> EpochLosses:
    steps = sum(epoch.steps for epoch in epochs)

    def mean(name: str) -> float:
        return sum(epoch.steps * float(getattr(epoch, name)) for epoch in epochs) / steps

    return EpochLosses(
        steps=steps,
        mean=mean("mean"),
        variance=mean("variance"),
        roughness=mean("roughness"),
    )


def _standard_errors(losses: Sequence[EpochLosses]) -> list[float]:
    noise = [min(epoch.variance, epoch.roughness) for epoch in losses]
    # The first epoch's losses spread because they fall.
    pooled = float(np.mean(noise[1:] or noise))
    return [
        math.sqrt((own if epoch.steps >= _ENOUGH_STEPS else pooled) / epoch.steps)
        for own, epoch in zip(noise, losses, strict=True)
    ]


def _count_rises(means: Sequence[float], errors: Sequence[float]) -> int:
    material = _MATERIAL * (max(means) - min(means))
    pairs = zip(means[1:], means, errors[1:], errors, strict=False)
    return sum(is_more(b, a, eb, ea) and b - a > material for b, a, eb, ea in pairs)


def _alternates(losses: Sequence[EpochLosses]) -> bool:
    steps = sum(epoch.steps for epoch in losses)
    variance = sum(epoch.steps * epoch.variance for epoch in losses)
    roughness = sum(epoch.steps * epoch.roughness for epoch in losses)
    # White noise has a ratio of 1 with standard deviation 1 / sqrt(steps).
    beyond_noise = 1 + 2 * STANDARD_ERRORS / math.sqrt(steps)
    return roughness > max(_ALTERNATES, beyond_noise) * variance > 0
