"""What a trace is made of, and what its table and its picture read of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ._checks import values_of
from ._trials import Decision, Trial, Values


@dataclass(frozen=True, kw_only=True)
class StageTrace:
    """One stage of a search, on its way or at its end.

    Args:
        name: String. The stage's, such as `"LearningRateStage"` or `"final fit"`.
        decision: `Decision`. Its latest one, with all reasons up to here.
        chosen_before: Mapping. What was chosen when the stage began. Defaults to none.
        settings: Mapping. Those of the stage's own arguments that a picture needs: `samples` of
            an `L2Stage` (its axis is then lambda), `step_cost` and `example_cost` of a
            `BatchSizeStage` (its axis is then the cost). Others are kept. Defaults to none.
    """

    name: str
    decision: Decision
    chosen_before: Values = field(default_factory=dict)
    settings: Values = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that strict JSON can hold."""
        return {
            "name": self.name,
            "decision": self.decision.to_json(),
            "chosen_before": values_of("chosen_before", self.chosen_before),
            "settings": values_of("settings", self.settings),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "StageTrace":
        """The stage that `to_json` described."""
        return cls(**{**state, "decision": Decision.from_json(state["decision"])})


@dataclass(frozen=True, kw_only=True)
class TraceRow:
    """One decision of a search.

    Args:
        stage: String. Name of the stage that it was made in, `"Note"` where in none.
        sentence: String. What was decided and why.
        trials: Tuple of the ids of the trials behind it.
    """

    stage: str
    sentence: str
    trials: tuple[str, ...] = ()


class Traced(Protocol):
    """A `SearchTrace`, to its table and its picture."""

    objective: str
    maximize: bool
    stages: tuple[StageTrace, ...]

    @property
    def trials(self) -> Mapping[str, Trial]:
        """All trials by id."""

    @property
    def rows(self) -> Sequence[TraceRow]:
        """Every decision."""

    @property
    def chosen(self) -> Mapping[str, Any]:
        """What the stages have decided."""

    def trials_of(self, stage: StageTrace) -> list[Trial]:
        """A stage's trials."""
