"""`L2Stage`: the strength of the L2 penalty by validation accuracy, then the rate once more."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ._checks import above_zero, values_of, whole
from ._replay import Walk, replay, rounded
from ._scores import Contest
from ._trials import Decision, Trial, Values

_ROOT = 10**0.5


@dataclass(frozen=True, kw_only=True)
class L2Stage:
    """Finds the penalty's strength: 0, a first one, times and divided by ten, then fine.

    ```
    penalty = l2 * sum(w^2),    l2 = lambda / (2 samples) in the texts' units
    ```

    Choose it after the learning rate. Validation accuracy decides. Where another setting is
    within two standard errors of the best, these two are run again with other seeds; where that
    settles nothing the cheaper one is taken, at equal cost the one with the higher mean. Where
    the objective's noise is unknown (no share of a known number of samples), the two best are run
    again first, and their spread is the noise.

    The best of the decades is refined by halves on the log scale (times and divided by the root
    of ten, then its root), as long as its neighbors are worse by more than noise. The decades are
    extended upwards until a strength hurts by more than noise, since before that the end of the
    range has not been seen, and downwards while less is better. 0 is chosen only where it is
    better by more than noise: overfitting shows in longer runs than these.

    With the strength found, half and twice the learning rate are tried, since a penalty changes
    what the rate should be; a level result keeps the rate, and so does a penalty that gains no
    more than noise.

    Args:
        samples: Integer. Number of training samples, to state `start` in the texts' units, where
            the penalty is lambda / (2 samples). With `None`, `start` is Keras' `L2`. The chosen
            `l2` is always Keras'. Defaults to `None`.
        start: Float. The first strength above 0. Defaults to `1` in the texts' units and to
            `1e-4` in Keras'.
        epochs: Integer. Epochs of each trial. Defaults to `10`.
        executions: Integer. How often a setting is run at most. Defaults to `2`.
        decades: Integer. How far from `start` the range may be extended. Defaults to `4`.
        halvings: Integer. Rounds of refinement. Defaults to `2`.
        revisit_learning_rate: Boolean. Whether the rate is looked at once more. Defaults to
            `True`.

    Raises:
        ValueError: An argument is out of its range.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "The regularization parameter".

    Example:
        ```python
        stage = L2Stage(samples=50_000)
        chosen = {"learning_rate": 0.25}
        [c.values["l2"] for c in stage.decide([], chosen).candidates]  # [0.0, 1e-05]
        ```
    """

    samples: int | None = None
    start: float | None = None
    epochs: int = 10
    executions: int = 2
    decades: int = 4
    halvings: int = 2
    revisit_learning_rate: bool = True

    def __post_init__(self) -> None:
        if self.samples is not None:
            whole("samples", self.samples)
        if self.start is not None:
            above_zero("start", self.start)
        for name in ("epochs", "executions", "decades"):
            whole(name, getattr(self, name))
        whole("halvings", self.halvings, at_least=0)

    def decide(self, trials: Iterable[Trial], chosen: Values | None = None) -> Decision:
        """What to try next, or the strength and why.

        Args:
            trials: Iterable of `Trial`, finished and running, in any order; others are ignored.
            chosen: Mapping of values that stay as they are, with the `learning_rate` found.
                Defaults to none.

        Returns:
            A `Decision`; done, it has chosen `l2`, and `learning_rate` where it was given.
        """
        fixed = {**values_of("chosen", chosen), "epochs": self.epochs}
        return replay(trials, lambda walk: _Search(self, walk, fixed).decision())


class _Search:
    """One walk of the stage; strengths are in the units of `start`."""

    def __init__(self, stage: L2Stage, walk: Walk, fixed: Values) -> None:
        self.stage, self.walk, self.fixed = stage, walk, fixed
        self.unit = 1.0 if stage.samples is None else 1 / (2 * stage.samples)
        self.start = stage.start or (1e-4 if stage.samples is None else 1.0)
        self.name = "l2" if stage.samples is None else "lambda"
        self.contest = Contest(walk, stage.executions)

    def decision(self) -> Decision:
        self.enter([0.0, self.start], "without a penalty and with a first one")
        self.enter([10 * self.start, self.start / 10], "times and divided by ten")
        self.contest.measure_noise()
        self.extend()
        best = self.contest.winner()
        if self.contest.scores[best].mean == -float("inf"):
            self.walk.failed(
                "Every strength diverged, 0 among them. Find a learning rate that trains first.",
                self.contest.trials(sorted(self.contest.scores)),
            )
        best = self.refine(best) if best > 0 else self.not_without()
        names = sorted(self.contest.scores)
        self.walk.note(
            f"By {self.contest.measure()} ({self.contest.describe(names)}) {self.name} is {best:g}"
            f"{'' if self.stage.samples is None else f', L2({self.l2(best):g}) in Keras'}.",
            self.contest.trials(names),
        )
        found: dict[str, Any] = {"l2": self.l2(best)}
        if "learning_rate" in self.fixed:
            found["learning_rate"] = self.learning_rate(best)
        return self.walk.done(found)

    def not_without(self) -> float:
        """A penalty, where none at all is only level with it."""
        level = [name for name in self.contest.level() if name > 0]
        if not level:
            return 0.0
        taken = min(level, key=lambda name: (-self.contest.scores[name].mean, name))
        self.walk.note(
            f"Without a penalty it is no better than with {taken:g} beyond noise. A penalty is "
            "taken: longer runs than these overfit more.",
            self.contest.trials([0.0, taken]),
        )
        return taken

    def extend(self) -> None:
        """Goes on by decades: up until a penalty hurts, down while less is better."""
        low, high = self.start / 10**self.stage.decades, self.start * 10**self.stage.decades
        while (edge := self.boundary()) is not None:
            is_lowest = edge == self.strengths()[0]
            beyond = rounded(edge / 10 if is_lowest else edge * 10)
            if not low / 2 < beyond < high * 2:
                seen = "Less may be better than" if is_lowest else "None that hurts was seen up to"
                self.walk.note(
                    f"{seen} {edge:g}, the boundary of the range, and "
                    f"`decades={self.stage.decades}` allows no more: consider a wider one.",
                    self.contest.trials([edge]),
                )
                return
            why = "less may be better" if is_lowest else "none that hurts has been seen yet"
            self.enter([beyond], why)

    def boundary(self) -> float | None:
        """The strength on the boundary beyond which a better one may lie."""
        tried, scores = self.strengths(), self.contest.scores
        best = min(tried, key=lambda name: (-scores[name].mean, name))
        if not any(score.exceeds(scores[tried[-1]]) for score in scores.values()):
            return tried[-1]
        # Towards 0 there is an end: what 0 itself reaches.
        return best if best == tried[0] and scores[best].exceeds(scores[0.0]) else None

    def strengths(self) -> list[float]:
        return sorted(name for name in self.contest.scores if name > 0)

    def refine(self, best: float) -> float:
        """By halves on the log scale, as long as the differences are more than noise."""
        factor = _ROOT
        for _ in range(self.stage.halvings):
            tried = self.strengths()
            at = tried.index(best)
            around = [*tried[max(at - 1, 0) : at], *tried[at + 1 : at + 2]]
            if not any(self.differ(best, name) for name in around):
                self.walk.note(
                    "The neighbors differ by no more than noise: finer steps would tell nothing.",
                    self.contest.trials(around),
                )
                break
            self.enter([best / factor, best * factor], f"within the decade of {best:g}")
            best = self.contest.winner()
            if best == 0:
                return self.not_without()
            factor **= 0.5
        return best

    def differ(self, one: float, other: float) -> bool:
        """Whether two strengths differ by more than noise."""
        first, second = self.contest.scores[one], self.contest.scores[other]
        return first.exceeds(second) or second.exceeds(first)

    def learning_rate(self, best: float) -> Any:
        """The rate for this strength."""
        rate = self.fixed["learning_rate"]
        if best == 0 or not self.stage.revisit_learning_rate:
            return rate
        if not self.contest.scores[best].exceeds(self.contest.scores[0.0]):
            self.walk.note(
                "The penalty gains no more than noise, so the learning rate stays.",
                self.contest.trials([0.0, best]),
            )
            return rate
        contest = Contest(self.walk, self.stage.executions)
        contest.enter({rate: self.values(best)}, "The rate once more at this strength.")
        names = [rounded(rate / 2), rounded(rate * 2)]
        for _ in range(self.stage.decades):
            settings = {r: {**self.values(best), "learning_rate": r} for r in names}
            contest.enter(settings, f"Try rates of {_listed(names)} at this strength.")
            winner, tried = contest.winner(favorite=rate), sorted(contest.scores)
            if winner not in (tried[0], tried[-1]):
                break
            names = [rounded(winner / 2 if winner == tried[0] else winner * 2)]
        self.walk.note(
            f"With the penalty ({contest.describe(tried)}) the rate is {winner:g}.",
            contest.trials(tried),
        )
        return winner

    def enter(self, names: Iterable[float], why: str) -> None:
        names = [rounded(name) for name in names]
        self.contest.enter(
            {name: self.values(name) for name in names},
            f"Try {self.name} {_listed(names)}, {why}.",
        )

    def values(self, name: float) -> dict[str, Any]:
        return {**self.fixed, "l2": self.l2(name)}

    def l2(self, name: float) -> float:
        return rounded(name * self.unit)


def _listed(names: Iterable[float]) -> str:
    return ", ".join(f"{name:g}" for name in names)
