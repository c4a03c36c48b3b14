"""Values compared by validation accuracy, with repeated seeds where the gap is within noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._oscillation import is_more
from ._replay import Walk
from ._trials import Candidate, Trial, Values


@dataclass(frozen=True, kw_only=True)
class Score:
    """Validation accuracy of one setting over its executions.

    Args:
        mean: Float. Mean of the executions' best accuracies, `-inf` where one diverged.
        standard_error: Float. Its standard error: binomial in the validation samples, or from the
            spread of the executions where that is larger.
        cost: Float. Training examples an execution took.
        trials: Tuple of the trials.
    """

    mean: float
    standard_error: float
    cost: float
    trials: tuple[Trial, ...]

    def exceeds(self, other: "Score") -> bool:
        """Whether it is the better one beyond noise."""
        if math.isinf(self.mean) or math.isinf(other.mean):
            return self.mean > other.mean
        return is_more(self.mean, other.mean, self.standard_error, other.standard_error)


def score_of(trials: Sequence[Trial]) -> Score:
    """The score of one setting's executions."""
    best = [best_accuracy(trial) for trial in trials]
    mean = sum(best) / len(best)
    variance = 0.0
    if math.isfinite(mean):
        variance = max(_binomial(p, trial) for p, trial in zip(best, trials, strict=True))
        if len(best) > 1:
            spread = sum((p - mean) ** 2 for p in best) / (len(best) - 1)
            variance = max(variance, spread)
    return Score(
        mean=mean,
        standard_error=math.sqrt(variance / len(best)),
        cost=sum(trial.examples for trial in trials) / len(trials),
        trials=tuple(trials),
    )


def best_accuracy(trial: Trial) -> float:
    """The trial's best accuracy, `-inf` where it diverged."""
    reported = [accuracy for accuracy in trial.accuracy if math.isfinite(accuracy)]
    if trial.diverged:
        return -math.inf
    if not reported:
        raise ValueError(
            f"Trial {trial.trial_id!r} is finished, yet reports no accuracy to choose by. "
            f"Received: accuracy={trial.accuracy!r}. Fit with validation data, and compile with "
            "the metric that the objective names."
        )
    return max(reported)


class Contest:
    """Settings by name, each run once, the undecided ones again with other seeds.

    Args:
        walk: The walk that looks trials up.
        executions: Integer. How often a setting is run at most.
    """

    def __init__(self, walk: Walk, executions: int) -> None:
        self._walk, self._executions = walk, executions
        self._settings: dict[float, Values] = {}
        self.scores: dict[float, Score] = {}

    def enter(self, settings: Mapping[float, Values], sentence: str) -> None:
        """Looks up the first execution of each new setting."""
        new = {name: values for name, values in settings.items() if name not in self.scores}
        if not new:
            return
        self._settings.update(new)
        found = self._walk.trials([Candidate(values=v) for v in new.values()], sentence)
        for name, trial in zip(new, found, strict=True):
            self.scores[name] = score_of([trial])

    def winner(self, favorite: float | None = None) -> float:
        """The best one; those within noise run again, and of those still level the cheapest wins.

        Args:
            favorite: Float. The one that wins if it is level with the best. Defaults to none.
        """
        for execution in range(1, self._executions):
            level = self.level()
            again = [name for name in level if len(self.scores[name].trials) <= execution]
            if len(level) < 2 or not again:
                break
            self._repeat(again, execution)
        level = self.level()
        if favorite in level:
            assert favorite is not None
            return favorite
        return min(level, key=lambda n: (self.scores[n].cost, -self.scores[n].mean, n))

    def level(self) -> list[float]:
        """The leader, and all that it doesn't exceed beyond noise."""
        leader = self.leader()
        best = self.scores[leader]
        return [
            name
            for name in sorted(self.scores)
            if name == leader or not (math.isinf(best.mean) or best.exceeds(self.scores[name]))
        ]

    def leader(self) -> float:
        """The highest mean; of equal ones the smallest name."""
        return min(self.scores, key=lambda name: (-self.scores[name].mean, name))

    def describe(self, names: Sequence[float]) -> str:
        """The settings' accuracies in words."""
        return ", ".join(f"{name:g}: {_words(self.scores[name])}" for name in names)

    def trials(self, names: Sequence[float]) -> list[Trial]:
        """The trials of the settings."""
        return [trial for name in names for trial in self.scores[name].trials]

    def _repeat(self, names: Sequence[float], execution: int) -> None:
        listed = ", ".join(f"{name:g}" for name in names)
        found = self._walk.trials(
            [Candidate(values=self._settings[name], execution=execution) for name in names],
            f"Within two standard errors of the best: {listed}. Run again with another seed "
            f"(execution {execution}).",
        )
        for name, trial in zip(names, found, strict=True):
            self.scores[name] = score_of([*self.scores[name].trials, trial])


def _binomial(accuracy: float, trial: Trial) -> float:
    share = min(max(accuracy, 0.0), 1.0)
    return share * (1 - share) / trial.validation_samples if trial.validation_samples else 0.0


def _words(score: Score) -> str:
    if math.isinf(score.mean):
        return "diverged"
    return f"{score.mean:.4f} ± {score.standard_error:.4f}"
