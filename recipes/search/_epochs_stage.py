"""`EpochsStage`: how long to train, by no improvement in ten epochs, then twenty, then thirty."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ._checks import values_of, whole
from ._replay import Walk, replay
from ._scores import (
    best_accuracy,
    best_epoch,
    counted,
    measure_of,
    noise_is_unknown,
    score_of,
    spread_of,
)
from ._trials import Candidate, Decision, Trial, Values


@dataclass(frozen=True, kw_only=True)
class EpochsStage:
    """Finds the number of epochs: training ends when accuracy has not improved for a while.

    Choose it after the other stages. First patience is 10, then 20, since in a longer run
    accuracy may rest before it rises again. Both are read from one run with the larger, whose
    beginning is the run that the smaller would have ended. More patience counts where it reaches
    a higher accuracy beyond two standard errors; within noise the shorter wins. Where the
    objective's noise is unknown, the run is repeated once, and the spread of the two is it.
    The final fit gets the most patience, 30 (`Decision.final`), and the number of epochs is then
    what to expect. A run that reached `limit` before its patience ended lies on the boundary, and
    is run again, longer, with twice the limit.

    Args:
        patience: Tuple of integers. Epochs without improvement that end a trial, in ascending
            order. Defaults to `(10, 20)`.
        final_patience: Integer. The same for the final fit. Defaults to `30`.
        limit: Integer. Epochs of a trial at most, before it is extended; at least twice the
            largest of `patience`. Defaults to `100`.
        extensions: Integer. How often the limit is doubled at most. Defaults to `2`.

    Raises:
        ValueError: An argument is out of its range.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Use early stopping to determine
        the number of training epochs".

    Example:
        ```python
        dict(EpochsStage().decide([]).candidates[0].values)  # {'epochs': 100, 'patience': 20}
        ```
    """

    patience: tuple[int, ...] = (10, 20)
    final_patience: int = 30
    limit: int = 100
    extensions: int = 2

    def __post_init__(self) -> None:
        for name in ("final_patience", "limit"):
            whole(name, getattr(self, name))
        whole("extensions", self.extensions, at_least=0)
        self._check_patience()
        if self.limit < 2 * self.patience[-1]:
            raise ValueError(
                "`limit` must be at least twice the largest of `patience`, or no run could show "
                f"that waiting pays. Received: limit={self.limit!r}, patience={self.patience!r}. "
                "Raise `limit`, or give a smaller `patience`, such as (2, 5)."
            )

    def _check_patience(self) -> None:
        if not isinstance(self.patience, (tuple, list)):
            raise ValueError(
                "`patience` must be a tuple of whole numbers, such as (10,) or (10, 20). "
                f"Received: patience={self.patience!r}."
            )
        steps = [*self.patience, self.final_patience]
        for patience in self.patience:
            whole("patience", patience)
        if not self.patience or steps != sorted(set(steps)):
            raise ValueError(
                "`patience` must hold at least one number and grow, with `final_patience` the "
                f"largest. Received: patience={self.patience!r}, "
                f"final_patience={self.final_patience!r}."
            )

    def decide(self, trials: Iterable[Trial], chosen: Values | None = None) -> Decision:
        """What to try next, or the number of epochs and why.

        Args:
            trials: Iterable of `Trial`, finished and running, in any order; others are ignored.
            chosen: Mapping of values that stay as they are. Defaults to none.

        Returns:
            A `Decision`; done, it has chosen `epochs`, and `final` has the `patience`.
        """
        fixed = values_of("chosen", chosen)
        return replay(trials, lambda walk: self._decision(walk, fixed))

    def _decision(self, walk: Walk, fixed: Values) -> Decision:
        run = self._run(walk, fixed)
        readings = [_ended_by(run, patience) for patience in self.patience]
        best = readings[0]
        self._tell(walk, run, best, 0)
        for at, longer in enumerate(readings[1:], start=1):
            self._tell(walk, run, longer, at)
            if not self._gains(walk, run, at):
                walk.note("More patience gains no more than noise.", [run])
                break
            best = longer
        if math.isinf(best_accuracy(best)):
            walk.failed("Training diverged; find a learning rate that trains first.", [run])
        epochs = best_epoch(best)
        walk.note(
            f"The {measure_of([best])} is best ({best_accuracy(best):.4f}) after "
            f"{counted(epochs)}. The final fit waits for {self.final_patience} without "
            "improvement.",
            [run],
        )
        return walk.done({"epochs": epochs}, final={"patience": self.final_patience})

    def _tell(self, walk: Walk, run: Trial, reading: Trial, at: int) -> None:
        """What the run shows of one patience."""
        if reading.diverged:
            shown = "training diverges before that ends it"
        elif math.isinf(best_accuracy(reading)):
            shown = "no epoch has a finite score"
        else:
            shown = (
                f"it ends after {counted(len(reading.accuracy))}, with a best "
                f"{measure_of([reading])} of {best_accuracy(reading):.4f} after "
                f"{counted(best_epoch(reading))}"
            )
        walk.note(f"With no improvement in {self.patience[at]}: {shown}.", [run])

    def _gains(self, walk: Walk, run: Trial, at: int) -> bool:
        """Whether this patience reaches a better accuracy than the one before, beyond noise."""
        runs = [run]
        longer, shorter = self._read(runs, at), self._read(runs, at - 1)
        if best_accuracy(longer[0]) <= best_accuracy(shorter[0]):
            return False
        if noise_is_unknown(shorter[0]) and math.isfinite(best_accuracy(shorter[0])):
            runs += walk.trials(
                [Candidate(values=run.values, execution=1)],
                "Only repetitions tell the noise of this objective: run it again.",
            )
            longer, shorter = self._read(runs, at), self._read(runs, at - 1)
        spread = spread_of([shorter])
        return score_of(longer, spread).exceeds(score_of(shorter, spread))

    def _read(self, runs: Iterable[Trial], at: int) -> list[Trial]:
        return [_ended_by(run, self.patience[at]) for run in runs]

    def _run(self, walk: Walk, fixed: Values) -> Trial:
        """The run of the largest patience, with a limit that it doesn't reach, where allowed."""
        limit, patience = self.limit, self.patience[-1]
        why = f"Train until accuracy has not improved for {patience} epochs, at most {limit}."
        for extension in range(self.extensions + 1):
            values = {**fixed, "epochs": limit, "patience": patience}
            trial = walk.trials([Candidate(values=values)], why)[0]
            if trial.diverged or len(trial.accuracy) < limit:
                return trial
            waited = len(trial.accuracy) - best_epoch(trial)
            if waited >= patience:
                return trial
            more = extension < self.extensions
            walk.note(
                f"The limit of {limit} epochs came first, {waited} after the best: it lies on the "
                f"boundary{'.' if more else ', and `extensions` allows no more.'}",
                [trial],
            )
            limit *= 2
            why = f"Run again, longer: at most {limit} epochs."
        return trial


def _ended_by(run: Trial, patience: int) -> Trial:
    """The run as this patience would have ended it: its beginning, or all of it."""
    best, best_at = -math.inf, 0
    for epoch, accuracy in enumerate(run.accuracy, start=1):
        if accuracy > best:
            best, best_at = accuracy, epoch
        if epoch - best_at >= patience:
            is_whole = epoch == len(run.accuracy)
            return replace(run, accuracy=run.accuracy[:epoch], diverged=run.diverged and is_whole)
    return run
