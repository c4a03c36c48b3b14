"""`SearchTrace`: the way of a search, each decision with its reason and the trials behind it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._trace_rows import StageTrace as StageTrace
from ._trace_rows import TraceRow as TraceRow
from ._trace_table import ended, text_of
from ._trials import Trial

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NOTE = "Note"


class SearchTrace:
    """The way of a search: every decision, the reason for it and the trials behind it.

    Printed, it is a table of the decisions and one of the trials; `plot` draws it. It is plain
    data and knows no model, so that a search can be read while it runs or long after.

    Args:
        stages: Sequence of `StageTrace`, in the order in which they ran.
        trials: Sequence of `Trial`, in any order, finished or running.
        objective: String. What the trials' `accuracy` holds. Defaults to `"val_accuracy"`.
        maximize: Boolean. Whether more of the objective is better. With `False` the trials hold
            its negative; tables and pictures show its true sign. Defaults to `True`.
        notes: Sequence of strings. What is to be told before the first stage, such as which stage
            was skipped and why. Defaults to none.

    Attributes:
        rows: Tuple of `TraceRow`: the notes, then each stage's reasons, in order.
        stages: Tuple of `StageTrace`.
        trials: `dict` from id to `Trial`, sorted by id.
        chosen: `dict` of the values that the stages which are done have chosen. What was fixed
            from the beginning is in each stage's `chosen_before`.

    Raises:
        ValueError: Two trials have the same id.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "How to choose a neural network's
        hyper-parameters?".

    Example:
        ```python
        stage = LearningRateStage()
        trace = SearchTrace([StageTrace(name="LearningRateStage", decision=stage.decide([]))], [])
        print(trace)
        for row in trace:
            print(row.stage, row.sentence, row.trials)
        ```
    """

    def __init__(
        self,
        stages: Sequence[StageTrace],
        trials: Sequence[Trial],
        *,
        objective: str = "val_accuracy",
        maximize: bool = True,
        notes: Sequence[str] = (),
    ) -> None:
        self.stages = tuple(stages)
        self.trials = {trial.trial_id: trial for trial in sorted(trials, key=_by_id)}
        self.objective, self.maximize, self.notes = objective, bool(maximize), tuple(notes)
        if len(self.trials) < len(trials):
            ids = [trial.trial_id for trial in trials]
            twice = sorted({trial_id for trial_id in ids if ids.count(trial_id) > 1})
            raise ValueError(
                f"Each trial must have an id of its own. Received: trials with the ids {twice!r} "
                "more than once. Keep the latest state of each trial alone."
            )

    @property
    def rows(self) -> tuple[TraceRow, ...]:
        """The notes, then each stage's reasons, in order."""
        notes = [TraceRow(stage=NOTE, sentence=note) for note in self.notes]
        return (
            *notes,
            *(
                TraceRow(stage=stage.name, sentence=reason.sentence, trials=reason.trials)
                for stage in self.stages
                for reason in stage.decision.reasons
            ),
        )

    @property
    def chosen(self) -> dict[str, Any]:
        """The values that the stages which are done have chosen, the latest of each name."""
        done = [stage.decision for stage in self.stages if stage.decision.action == "done"]
        return {name: value for decision in done for name, value in decision.chosen.items()}

    def trials_of(self, stage: StageTrace) -> list[Trial]:
        """A stage's trials: those behind its decisions and those that run for it, sorted by id.

        Args:
            stage: `StageTrace`. One of `stages`.

        Returns:
            List of `Trial`.
        """
        named = _named(stage)
        others = {name for other in self.stages if other is not stage for name in _named(other)}
        wanted = [dict(candidate.values) for candidate in stage.decision.candidates]
        return [
            trial
            for trial in self.trials.values()
            if trial.trial_id in named
            or (trial.trial_id not in others and dict(trial.values) in wanted)
        ]

    def to_text(self, width: int | None = None) -> str:
        """The table of the decisions and below it that of the trials.

        Args:
            width: Integer. Columns to wrap to, at least 80. Defaults to the terminal's.

        Returns:
            String of several lines.
        """
        return text_of(self, width)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return (
            f"SearchTrace({len(self.stages)} stages, {len(self)} decisions, "
            f"{len(self.trials)} trials, chosen={self.chosen!r})"
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[TraceRow]:
        return iter(self.rows)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that strict JSON can hold; NaN and infinity become `None`."""
        return {
            "objective": self.objective,
            "maximize": self.maximize,
            "notes": list(self.notes),
            "stages": [stage.to_json() for stage in self.stages],
            "trials": [trial.to_json() for trial in self.trials.values()],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "SearchTrace":
        """The trace that `to_json` described; what was not finite comes back as NaN."""
        stages = [StageTrace.from_json(row) for row in state["stages"]]
        trials = [Trial.from_json(row) for row in state["trials"]]
        return cls(**{**state, "stages": stages, "trials": trials})

    def to_frame(self, table: str = "decisions") -> "pd.DataFrame":
        """One of the two tables as a pandas data frame.

        Args:
            table: String. `"decisions"` (a line for each, with `stage`, `sentence` and `trials`)
                or `"trials"` (a line for each, indexed by id, with its values and how it went).
                Defaults to `"decisions"`.

        Returns:
            The data frame.

        Raises:
            ValueError: There is no such table.
        """
        import pandas as pd

        if table == "decisions":
            rows = [(row.stage, row.sentence, row.trials) for row in self]
            return pd.DataFrame(rows, columns=["stage", "sentence", "trials"])
        if table != "trials":
            raise ValueError(f"`table` must be 'decisions' or 'trials'. Received: table={table!r}")
        facts = [self._facts_of(trial) for trial in self.trials.values()]
        return pd.DataFrame(facts, index=pd.Index(list(self.trials), name="trial"))

    def plot(self) -> "Figure":
        """Draws the search, a row for each stage that has trials.

        The cost over the epochs for the learning rates, accuracy over the strengths of the
        penalty, over the cost of training for the batch sizes, and over the epochs for the length
        of training, each with what was chosen.

        Returns:
            The figure.
        """
        from ._trace_plot import plot_trace

        return plot_trace(self)

    def _facts_of(self, trial: Trial) -> dict[str, Any]:
        sign = 1 if self.maximize else -1
        reached = [accuracy for accuracy in trial.accuracy if math.isfinite(accuracy)]
        return {
            **trial.values,
            "execution": trial.execution,
            "epochs_run": max(len(trial.losses), len(trial.accuracy)),
            "first_cost": trial.losses[0].mean if trial.losses else None,
            "last_cost": trial.losses[-1].mean if trial.losses else None,
            f"best_{self.objective}": sign * max(reached) if reached else None,
            "steps": trial.steps,
            "examples": trial.examples,
            "seconds": trial.seconds,
            "ended": ended(trial),
        }


def _named(stage: StageTrace) -> set[str]:
    return {name for reason in stage.decision.reasons for name in reason.trials}


def _by_id(trial: Trial) -> tuple[int, str]:
    """Numbers by size, also beyond 9,999, where KerasTuner's grow a digit."""
    return len(trial.trial_id), trial.trial_id
