"""Values compared by validation accuracy, with repeated seeds where the gap is within noise."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ._oscillation import STANDARD_ERRORS, is_more, is_stalled
from ._replay import Walk
from ._trials import Candidate, Rival, Trial, Values

# A run is given up only where its best rivals are this many epochs old.
_FEWEST_EPOCHS = 4


@dataclass(frozen=True, kw_only=True)
class Score:
    """Validation accuracy of one setting over its executions.

    Args:
        mean: Float. Mean of the executions' best accuracies, `-inf` where one diverged.
        standard_error: Float. Its standard error: binomial in the validation samples, or from the
            spread of executions where that is larger; 0 where both are unknown.
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


def score_of(trials: Sequence[Trial], spread: float | None = None) -> Score:
    """The score of one setting's executions.

    Args:
        trials: Sequence of `Trial`, the executions.
        spread: Float. Variance from seed to seed, of more settings than this one. Defaults to
            that of these executions.
    """
    best = [best_accuracy(trial) for trial in trials]
    mean = sum(best) / len(best)
    variance = 0.0
    if math.isfinite(mean):
        seeds = spread_of([trials]) if spread is None else spread
        binomial = (_binomial(p, trial) for p, trial in zip(best, trials, strict=True))
        variance = max(seeds or 0.0, *binomial)
    return Score(
        mean=mean,
        standard_error=math.sqrt(variance / len(best)),
        cost=sum(trial.examples for trial in trials) / len(trials),
        trials=tuple(trials),
    )


def spread_of(settings: Iterable[Sequence[Trial]]) -> float | None:
    """Variance of accuracy from seed to seed, over the settings that were run repeatedly."""
    squares, freedom = 0.0, 0
    for trials in settings:
        best = [best_accuracy(trial) for trial in trials]
        mean = sum(best) / len(best)
        if math.isfinite(mean):
            # A power would raise where this overflows to infinity, and all is noise.
            squares += sum((p - mean) * (p - mean) for p in best)
            freedom += len(best) - 1
    return squares / freedom if freedom else None


def noise_is_unknown(trial: Trial) -> bool:
    """Whether only repetitions tell the noise of what the trial reports."""
    return not (trial.validation_samples and 0 <= best_accuracy(trial) <= 1)


def measure_of(trials: Iterable[Trial]) -> str:
    """What the trials report, in words: of a loss they hold the negative, which is a score."""
    known = [trial for trial in trials if math.isfinite(best_accuracy(trial))]
    return "score" if any(map(noise_is_unknown, known)) else "validation accuracy"


def best_accuracy(trial: Trial) -> float:
    """The trial's best accuracy, `-inf` where it diverged or was never finite."""
    if trial.diverged:
        return -math.inf
    if not trial.accuracy:
        raise ValueError(
            f"Trial {trial.trial_id!r} is finished, yet reports no accuracy to choose by. "
            f"Received: accuracy={trial.accuracy!r}. Fit with validation data, and compile with "
            "the metric that the objective names."
        )
    return max((a for a in trial.accuracy if math.isfinite(a)), default=-math.inf)


def best_epoch(trial: Trial) -> int:
    """The first epoch, counted from 1, with the trial's best accuracy."""
    return trial.accuracy.index(best_accuracy(trial)) + 1


def counted(epochs: int) -> str:
    """A number of epochs in words."""
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def best_so_far(trial: Trial) -> tuple[float, ...]:
    """The best accuracy until each epoch; empty where one of them is not finite."""
    is_finite = not trial.diverged and all(map(math.isfinite, trial.accuracy))
    return tuple(accumulate(trial.accuracy, max)) if is_finite else ()


def cannot_win(trial: Trial, rival: Sequence[float]) -> bool:
    """Whether a run that is judged by its accuracy may be cut off between two epochs.

    ```
    best accuracy until epoch e  <  the rival's until epoch e / 2  -  4 standard errors
    ```

    A run that learns half as fast as the rival loses nothing by that, and one that is further
    behind after four epochs ends too low. Where the noise is unknown, no run is cut off.

    Args:
        trial: `Trial`. The run so far.
        rival: Sequence of floats. The best accuracy until each epoch in the best run so far.

    Returns:
        Boolean.
    """
    epoch = len(trial.accuracy)
    if epoch < _FEWEST_EPOCHS or not rival or trial.diverged or noise_is_unknown(trial):
        return False
    own, reached = best_accuracy(trial), rival[min(epoch // 2, len(rival)) - 1]
    noise = math.sqrt(_binomial(own, trial) + _binomial(reached, trial))
    return reached - own > 2 * STANDARD_ERRORS * noise


def is_lost(trial: Trial, rival: Rival | None) -> bool:
    """Whether a candidate's run may be cut off between two epochs, held against its rival.

    Whoever trains asks it after each epoch and, where it is so, hands in the trial as it is:
    finished, not diverged, with fewer epochs than were asked for.

    Args:
        trial: `Trial`. The run so far.
        rival: `Rival` or `None`. The candidate's `rival`.

    Returns:
        Boolean; `False` without a rival.
    """
    if rival is None:
        return False
    if rival.measure == "cost":
        return is_stalled(trial.losses, rival.curve)
    return cannot_win(trial, rival.curve)


class Contest:
    """Settings by name, each run once, the undecided ones again with other seeds.

    Args:
        walk: The walk that looks trials up.
        executions: Integer. How often a setting is run at most.
    """

    def __init__(self, walk: Walk, executions: int) -> None:
        self._walk, self._executions = walk, executions
        self._settings: dict[float, Values] = {}
        self._trials: dict[float, list[Trial]] = {}
        self._lost: set[float] = set()
        self.scores: dict[float, Score] = {}

    def enter(self, settings: Mapping[float, Values], sentence: str) -> None:
        """Looks up the first execution of each new setting."""
        new = {name: values for name, values in settings.items() if name not in self.scores}
        self._settings.update(new)
        self._look_up(list(new), sentence)

    def winner(self, favorite: float | None = None) -> float:
        """The best one; where another is within noise of it, these two are run again.

        Of two that are still level the cheaper wins.

        Args:
            favorite: Float. The one that wins if it is level with the best. Defaults to none.
        """
        self.measure_noise()
        while True:
            finalists = self._finalists(favorite)
            if not self._repeat(finalists, "Within two standard errors of each other"):
                return finalists[0]

    def measure_noise(self) -> None:
        """Where only repetitions tell the noise, runs the two best again."""
        best = sorted(self.scores, key=self._by_mean)[:2]
        unknown = any(noise_is_unknown(t) for n in best for t in self._trials[n])
        finite = all(math.isfinite(self.scores[n].mean) for n in best)
        if unknown and finite and spread_of(self._trials.values()) is None:
            self._repeat(best, "Only repetitions tell the noise of this objective")

    def level(self) -> list[float]:
        """The leader, and all that it doesn't exceed beyond noise."""
        leader = self.leader()
        best = self.scores[leader]
        return [
            name
            for name in sorted(self._alive())
            if name == leader or not (math.isinf(best.mean) or best.exceeds(self.scores[name]))
        ]

    def leader(self) -> float:
        """The highest mean; of equal ones the smallest name."""
        return min(self._alive(), key=self._by_mean)

    def describe(self, names: Sequence[float]) -> str:
        """The settings' scores in words."""
        return ", ".join(f"{name:g}: {self._words(name)}" for name in names)

    def measure(self) -> str:
        """What the settings are compared by, in words."""
        return measure_of(self.trials(sorted(self._alive())))

    def trials(self, names: Sequence[float]) -> list[Trial]:
        """The trials of the settings."""
        return [trial for name in names for trial in self._trials[name]]

    def _finalists(self, favorite: float | None) -> list[float]:
        """At most two, the winner first: the leader, and of those level with it one.

        That is the favorite, or the one that was run most often, of equal ones the cheapest.
        """
        leader = self.leader()
        level = [name for name in self.level() if name != leader]

        def by_cost(name: float) -> tuple[float, ...]:
            return (name != favorite, self.scores[name].cost, *self._by_mean(name))

        def by_runs(name: float) -> tuple[float, ...]:
            return (name != favorite, -len(self._trials[name]), *by_cost(name))

        return sorted([leader, *sorted(level, key=by_runs)[:1]], key=by_cost)

    def _repeat(self, names: Sequence[float], why: str) -> bool:
        """Looks up another execution of each; whether any is left."""
        again = [name for name in names if len(self._trials[name]) < self._executions]
        if len(names) < 2 or not again:
            return False
        listed = ", ".join(f"{name:g}" for name in names)
        self._look_up(again, f"{why}: {listed}. Run again with another seed.")
        return True

    def _look_up(self, names: Sequence[float], sentence: str) -> None:
        """Looks up the next execution of each, and scores all anew."""
        if not names:
            return
        curve = best_so_far(self._trials[self.leader()][0]) if self.scores else ()
        rival = Rival(measure="accuracy", curve=curve)
        candidates = [
            Candidate(
                values=self._settings[name],
                execution=len(self._trials.get(name, ())),
                rival=rival,
            )
            for name in names
        ]
        for name, trial in zip(names, self._walk.trials(candidates, sentence), strict=True):
            self._trials.setdefault(name, []).append(trial)
            if cannot_win(trial, curve):
                self._lost.add(name)
        spread = spread_of(self._trials.values())
        self.scores = {name: score_of(t, spread) for name, t in self._trials.items()}

    def _alive(self) -> set[float]:
        """All settings of which no run was cut off, as its accuracy is not the whole run's."""
        return set(self.scores) - self._lost or set(self.scores)

    def _by_mean(self, name: float) -> tuple[float, float]:
        return -self.scores[name].mean, name

    def _words(self, name: float) -> str:
        score = self.scores[name]
        if math.isinf(score.mean):
            return "diverged"
        return f"{score.mean:.4f} ± {score.standard_error:.4f}"


def _binomial(accuracy: float, trial: Trial) -> float:
    """Variance of a share of the validation samples; 0 where it is none, or unknown of how many.

    At 0 and at 1 it is that of one sample in them and two more: no share of a few is exact.
    """
    samples = trial.validation_samples
    if not samples or not 0 <= accuracy <= 1:
        return 0.0
    share = min(max(accuracy, 1 / (samples + 2)), 1 - 1 / (samples + 2))
    return share * (1 - share) / samples
