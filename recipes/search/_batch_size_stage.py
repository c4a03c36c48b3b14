"""`BatchSizeStage`: the batch size that reaches an accuracy at the least cost."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ._checks import from_zero, value_in, values_of, whole
from ._oscillation import STANDARD_ERRORS
from ._replay import Walk, replay, rounded
from ._scores import Score, measure_of, noise_is_unknown, score_of
from ._trials import Candidate, Decision, Trial, Values


@dataclass(frozen=True, kw_only=True)
class BatchSizeStage:
    """Finds the batch size that reaches the accuracy at the least cost.

    ```
    cost = epochs to the target * (steps * step_cost + examples * example_cost) of an epoch
    target = best accuracy of all sizes - 2 standard errors
    ```

    The text draws validation accuracy against time and takes the size whose curve rises fastest.
    Seconds differ from run to run, and the choice with them; so a step and an example have a cost
    each, measured once for a machine and then kept. What a run really took is told beside it.
    Where the objective's noise is unknown, the best size is run twice, and the spread is it.

    Choose it last, if at all. The modern objection: batch size is set by the hardware, not by
    validation accuracy, which it hardly changes where the other values are tuned for it (Google's
    *Deep Learning Tuning Playbook*). To follow that, leave this stage out and give the largest
    batch that the machine runs without slowing down.

    Args:
        step_cost: Float. What a step costs whatever its size, in any unit, such as seconds. With
            `None`, whoever trains measures both once and sets them (`dataclasses.replace`).
            Defaults to `None`.
        example_cost: Float. What each example of a step adds, in the same unit. One of the two
            may be 0. Defaults to `None`.
        start: Integer. First size where none is chosen yet. Defaults to `32`.
        largest: Integer. No larger size is tried. Defaults to `1024`.
        epochs: Integer. Epochs of each trial. Defaults to `10`.
        rate_scaling: Float. The learning rate goes with the size to this power: `1`, linearly, as
            the text and SGD have it, `0.5` for Adam, `0` not at all. Defaults to `1`.

    Raises:
        ValueError: An argument is out of its range.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Mini-batch size"; Goyal et al.
        2017, "Accurate, Large Minibatch SGD" (linear scaling).

    Example:
        ```python
        stage = BatchSizeStage(step_cost=1e-3, example_cost=1e-5)
        chosen = {"learning_rate": 0.2}
        [c.values["batch_size"] for c in stage.decide([], chosen).candidates]  # [32, 16, 64]
        ```
    """

    step_cost: float | None = None
    example_cost: float | None = None
    start: int = 32
    largest: int = 1024
    epochs: int = 10
    rate_scaling: float = 1.0

    def __post_init__(self) -> None:
        self._check_costs()
        for name in ("start", "largest", "epochs"):
            whole(name, getattr(self, name))
        if self.start > self.largest:
            raise ValueError(
                "`start` must not be above `largest`. "
                f"Received: start={self.start!r}, largest={self.largest!r}."
            )
        from_zero("rate_scaling", self.rate_scaling)
        if self.rate_scaling > 1:
            raise ValueError(
                "`rate_scaling` must be a power from 0 to 1. "
                f"Received: rate_scaling={self.rate_scaling!r}."
            )

    def decide(self, trials: Iterable[Trial], chosen: Values | None = None) -> Decision:
        """What to try next, or the size and why.

        Args:
            trials: Iterable of `Trial`, finished and running, in any order; others are ignored.
            chosen: Mapping of values that stay as they are; with `learning_rate`, and the
                `batch_size` that it was found at. Defaults to none.

        Returns:
            A `Decision`; done, it has chosen `batch_size` and the `learning_rate` for it.
        """
        if self.step_cost is None:
            raise ValueError(
                "`BatchSizeStage` decides by what a step and an example cost on this machine. "
                "Received: step_cost=None, example_cost=None. Measure both once, keep them, and "
                "use `dataclasses.replace(stage, step_cost=..., example_cost=...)`."
            )
        fixed = {"batch_size": self.start, **values_of("chosen", chosen), "epochs": self.epochs}
        return replay(trials, lambda walk: _Search(self, walk, fixed).decision())

    def cost(self, steps: int, examples: int) -> float:
        """What this many steps and examples cost, the same on every run."""
        return steps * (self.step_cost or 0.0) + examples * (self.example_cost or 0.0)

    def _check_costs(self) -> None:
        costs = {"step_cost": self.step_cost, "example_cost": self.example_cost}
        for name, cost in costs.items():
            if cost is not None:
                from_zero(name, cost)
        if (self.step_cost is None) != (self.example_cost is None) or not any(
            cost is None or cost > 0 for cost in costs.values()
        ):
            raise ValueError(
                "`step_cost` and `example_cost` must be given both, one of them above 0, or not "
                f"at all. Received: step_cost={self.step_cost!r}, "
                f"example_cost={self.example_cost!r}."
            )


class _Search:
    """One walk of the stage."""

    def __init__(self, stage: BatchSizeStage, walk: Walk, fixed: Values) -> None:
        self.stage, self.walk, self.fixed = stage, walk, fixed
        self.rate = value_in(
            fixed, "learning_rate", "BatchSizeStage", "Run a LearningRateStage first."
        )
        whole("batch_size", fixed["batch_size"])
        self.first = int(fixed["batch_size"])
        self.tried: dict[int, Trial] = {}

    def decision(self) -> Decision:
        self.run([self.first, self.first // 2, self.first * 2], "around the first size")
        while True:
            costs, target = self.costs()
            best = min(costs, key=lambda size: (costs[size], size))
            tried = sorted(self.tried)
            beyond = best // 2 if best == tried[0] else best * 2
            if best not in (tried[0], tried[-1]) or not self.allowed(beyond):
                break
            self.run([beyond], "the cheapest lies on the boundary of what was tried")
        self.report(costs, target, best)
        return self.walk.done({"batch_size": best, "learning_rate": self.rate_for(best)})

    def run(self, sizes: Iterable[int], why: str) -> None:
        sizes = [size for size in sizes if size == self.first or self.allowed(size)]
        candidates = [Candidate(values=self.values(size)) for size in sizes]
        listed = ", ".join(map(str, sizes))
        found = self.walk.trials(candidates, f"Try batches of {listed}, {why}.")
        self.tried.update(zip(sizes, found, strict=True))

    def costs(self) -> tuple[dict[int, float], float]:
        """The cost at which each size reaches the target, infinite where it never does."""
        scores = {size: score_of([trial]) for size, trial in self.tried.items()}
        highest = max(scores, key=lambda size: (scores[size].mean, -size))
        best = self.with_noise(highest, scores[highest])
        if math.isinf(best.mean):
            self.walk.failed(
                "Training diverged at every batch size. Find a learning rate that trains first, "
                "or set `rate_scaling=0`.",
                self.tried.values(),
            )
        target = best.mean - STANDARD_ERRORS * best.standard_error
        return {size: self.cost_to(target, scores[size]) for size in scores}, target

    def with_noise(self, size: int, score: Score) -> Score:
        """The score, with what a repetition tells where its noise is unknown."""
        trial = self.tried[size]
        if math.isinf(score.mean) or not noise_is_unknown(trial):
            return score
        again = self.walk.trials(
            [Candidate(values=self.values(size), execution=1)],
            f"Only repetitions tell the noise of this objective: run a batch of {size} again.",
        )
        return score_of([trial, *again])

    def cost_to(self, target: float, score: Score) -> float:
        trial = score.trials[0]
        epochs = [i for i, reached in enumerate(trial.accuracy, start=1) if reached >= target]
        if trial.diverged or not epochs:
            return math.inf
        return self.stage.cost(trial.steps, trial.examples) * epochs[0] / len(trial.accuracy)

    def report(self, costs: dict[int, float], target: float, best: int) -> None:
        rows = "; ".join(
            f"{size}: {_words(costs[size])} ({self.tried[size].seconds:.3g} s in all)"
            for size in sorted(self.tried)
        )
        edge = "" if min(self.tried) < best < max(self.tried) else ", on the boundary of the range"
        self.walk.note(
            f"Cost until a {measure_of(self.tried.values())} of {target:.4f}: {rows}. The batch "
            f"size is {best}{edge}, with a rate of {self.rate_for(best):g}.",
            [self.tried[size] for size in sorted(self.tried)],
        )

    def allowed(self, size: int) -> bool:
        return 1 <= size <= self.stage.largest

    def values(self, size: int) -> dict[str, Any]:
        return {**self.fixed, "batch_size": size, "learning_rate": self.rate_for(size)}

    def rate_for(self, size: int) -> float:
        if size == self.first:
            return float(self.rate)
        return rounded(self.rate * (size / self.first) ** self.stage.rate_scaling)


def _words(cost: float) -> str:
    return "never" if math.isinf(cost) else f"{cost:.4g}"
