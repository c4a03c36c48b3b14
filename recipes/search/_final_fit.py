"""`FinalFit`: the last run, at the values that the stages chose."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ._replay import Walk, replay
from ._scores import best_accuracy, best_epoch, counted
from ._trials import Candidate, Decision, Trial, Values


@dataclass(frozen=True, kw_only=True)
class FinalFit:
    """Trains at the chosen values, with a rate that is halved where accuracy rests.

    A stage like the others, the last one of a search, so that it is resumed and handed out like
    them; it chooses nothing.

    Args:
        patience: Integer. Epochs without improvement that end it, unless `decide` is told other.
            Defaults to `30`.
        limit: Integer. Epochs at most. Defaults to `1000`.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Learning rate schedules".
    """

    patience: int = 30
    limit: int = 1000

    def decide(self, trials: Iterable[Trial], chosen: Values | None = None) -> Decision:
        """The one run, or that it is over.

        Args:
            trials: Iterable of `Trial`.
            chosen: Mapping of all values chosen; a `patience` among them replaces ours.
        """
        values = {"patience": self.patience, **(chosen or {})}
        values |= {"epochs": self.limit, "variable_rate": True}
        return replay(trials, lambda walk: _decision(walk, values))


def _decision(walk: Walk, values: Values) -> Decision:
    shown = ", ".join(f"{name} {_words(values[name])}" for name in values if _is_shown(name))
    trial = walk.trials(
        [Candidate(values=values)],
        f"The final fit{f' at {shown}' if shown else ''}: the rate is halved where accuracy rests, "
        f"until it has not improved for {values['patience']} epochs.",
    )[0]
    if trial.diverged:
        walk.failed("The final fit diverged, though the stages' runs at its rate did not.", [trial])
    best = best_accuracy(trial)
    if math.isinf(best):
        walk.failed("The final fit's objective was never finite.", [trial])
    walk.note(f"The final fit reaches {best:.4f} after {counted(best_epoch(trial))}.", [trial])
    return walk.done({})


def _is_shown(name: str) -> bool:
    return name not in ("patience", "epochs", "variable_rate")


def _words(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
