"""`EpochsStage`: how long to train, by no improvement in ten epochs, then twenty, then thirty."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ._checks import values_of, whole
from ._replay import Walk, replay
from ._scores import best_accuracy, noise_is_unknown, score_of, spread_of
from ._trials import Candidate, Decision, Trial, Values


@dataclass(frozen=True, kw_only=True)
class EpochsStage:
    """Finds the number of epochs: training ends when accuracy has not improved for a while.

    Choose it after the other stages. A run with `patience` 10 comes first, then one with 20,
    since in a longer run accuracy may rest before it rises again. The more patient one counts
    where its best accuracy is higher beyond two standard errors; within noise the shorter wins.
    Where the objective's noise is unknown, the shorter is run twice, and their spread is it.
    The final fit gets the most patience, 30 (`Decision.final`), and the number of epochs is then
    what to expect. A run that reached `limit` before its patience ended lies on the boundary, and
    is run again with twice the limit.

    Args:
        patience: Tuple of integers. Epochs without improvement that end a trial, in ascending
            order. Defaults to `(10, 20)`.
        final_patience: Integer. The same for the final fit. Defaults to `30`.
        limit: Integer. Epochs of a trial at most. Defaults to `100`.
        extensions: Integer. How often the limit is doubled at most. Defaults to `2`.

    Raises:
        ValueError: An argument is out of its range.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Use early stopping to determine
        the number of training epochs".

    Example:
        ```python
        dict(EpochsStage().decide([]).candidates[0].values)  # {'epochs': 100, 'patience': 10}
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
        best = None
        for patience in self.patience:
            trial = self._run(walk, fixed, patience)
            if best is not None and not self._gains(walk, trial, best):
                walk.note("More patience gains no more than noise.", [best, trial])
                break
            best = trial
        assert best is not None
        if math.isinf(best_accuracy(best)):
            walk.failed("Training diverged; find a learning rate that trains first.", [best])
        epochs = best_epoch(best)
        walk.note(
            f"Accuracy is best ({best_accuracy(best):.4f}) after {epochs} epochs. The final fit "
            f"waits for {self.final_patience} without improvement.",
            [best],
        )
        return walk.done({"epochs": epochs}, final={"patience": self.final_patience})

    def _gains(self, walk: Walk, longer: Trial, shorter: Trial) -> bool:
        """Whether the longer run has a better best accuracy beyond noise."""
        if best_accuracy(longer) <= best_accuracy(shorter) or not noise_is_unknown(shorter):
            return score_of([longer]).exceeds(score_of([shorter]))
        runs = [shorter]
        if math.isfinite(best_accuracy(shorter)):
            runs += walk.trials(
                [Candidate(values=shorter.values, execution=1)],
                "Only repetitions tell the noise of this objective: run the shorter one again.",
            )
        spread = spread_of([runs])
        return score_of([longer], spread).exceeds(score_of(runs, spread))

    def _run(self, walk: Walk, fixed: Values, patience: int) -> Trial:
        """The run of this patience, with a limit that it doesn't reach, as far as allowed."""
        limit = self.limit
        for extension in range(self.extensions + 1):
            values = {**fixed, "epochs": limit, "patience": patience}
            why = f"Train until accuracy has not improved for {patience} epochs, at most {limit}."
            trial = walk.trials([Candidate(values=values)], why)[0]
            if trial.diverged or len(trial.accuracy) < limit:
                return trial
            waited = len(trial.accuracy) - best_epoch(trial)
            if waited >= patience:
                return trial
            more = extension < self.extensions
            walk.note(
                f"The limit of {limit} epochs came first, {waited} after the best: it lies on the "
                f"boundary, {'twice as many' if more else '`extensions` allows no more'}.",
                [trial],
            )
            limit *= 2
        return trial


def best_epoch(trial: Trial) -> int:
    """The first epoch, counted from 1, with the trial's best accuracy."""
    return trial.accuracy.index(best_accuracy(trial)) + 1
