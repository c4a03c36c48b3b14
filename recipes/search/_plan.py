"""The stages one after another: each gets what those before it chose."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import Any

from ._batch_size_stage import BatchSizeStage
from ._final_fit import FinalFit
from ._l2_stage import L2Stage
from ._learning_rate_stage import LearningRateStage
from ._trials import Decision, Trial, Values

_NEEDS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (LearningRateStage, ("learning_rate",)),
    (L2Stage, ("l2",)),
    (BatchSizeStage, ("batch_size", "learning_rate")),
)
"""What a model must read for a stage to mean anything."""

SEARCHED = ("learning_rate", "l2", "batch_size")


@dataclass(frozen=True, kw_only=True)
class Station:
    """A stage on its way, or at its end.

    Args:
        name: String. The stage's name, unique in its search.
        decision: `Decision`. Its latest.
        before: Mapping. What was chosen when it began.
        settings: Mapping. The stage's arguments.
    """

    name: str
    decision: Decision
    before: Values
    settings: Values = field(default_factory=dict)


@dataclass(kw_only=True)
class Way:
    """How far a search has come.

    Args:
        stations: List of `Station`, of which only the last one may not be done.
        notes: List of sentences on what was left out.
        chosen: Dictionary of the values chosen so far.
    """

    stations: list[Station] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    chosen: dict[str, Any] = field(default_factory=dict)

    @property
    def last(self) -> Station:
        """The station where it stands."""
        return self.stations[-1]


class Plan:
    """Stages, with a name each, and the final fit.

    Args:
        stages: Sequence of stages, in the order to run them.

    Attributes:
        stages: Dictionary of the stages by name.
        costs: What a step and an example cost on this machine, `None` where not measured.
    """

    def __init__(self, stages: Sequence[Any]) -> None:
        self.stages: dict[str, Any] = {}
        self.costs: tuple[float, float] | None = None
        for stage in [*stages, FinalFit()]:
            name = type(stage).__name__
            repeats = sum(key.split(" ")[0] == name for key in self.stages)
            self.stages[f"{name} {repeats + 1}" if repeats else name] = stage

    def wants_costs(self, known: Iterable[str]) -> bool:
        """Whether a stage is going to ask what a step costs, which is not known yet."""
        needs = set(_needs(BatchSizeStage()))
        unknown = any(_is_without_costs(stage) for stage in self.stages.values())
        return self.costs is None and unknown and needs <= set(known)

    def way(self, trials: Mapping[str, Iterable[Trial]], known: Values) -> Way:
        """Where the search stands.

        Args:
            trials: Mapping from each stage's name to its trials.
            known: Mapping of the values that the model reads, as they are before the search.
        """
        way = Way(chosen=self._fixed(known))
        settings: dict[str, Any] = {}
        for name, given in self.stages.items():
            stage = given
            missing = [need for need in _needs(stage) if need not in known]
            if missing:
                way.notes.append(
                    f"The model reads no {' and no '.join(f'`{one}`' for one in missing)}: "
                    f"{name} is left out."
                )
                continue
            before = dict(way.chosen) | (settings if isinstance(stage, FinalFit) else {})
            if _is_without_costs(stage) and self.costs is not None:
                step_cost, example_cost = self.costs
                stage = replace(stage, step_cost=step_cost, example_cost=example_cost)
            decision = stage.decide(trials.get(name, ()), before)
            settings_of = (
                asdict(stage) if is_dataclass(stage) and not isinstance(stage, type) else {}
            )
            way.stations.append(
                Station(name=name, decision=decision, before=before, settings=settings_of)
            )
            if decision.action != "done":
                break
            way.chosen |= decision.chosen
            settings |= decision.final
        return way

    def _fixed(self, known: Values) -> dict[str, Any]:
        """What the first stage is told: the values that no stage is going to find."""
        found = {_needs(stage)[0] for stage in self.stages.values() if _needs(stage)}
        # A batch size is needed from the beginning on, and improved later.
        keep = (set(SEARCHED) - found) | {"batch_size"}
        return {name: known[name] for name in SEARCHED if name in keep and name in known}


def seed_of(search_seed: int, stage: str, values: Values, execution: int) -> int:
    """The seed of a run, the same whenever and wherever it is run."""
    text = json.dumps([search_seed, stage, sorted(values.items()), execution])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 2**31


def _is_without_costs(stage: Any) -> bool:
    return isinstance(stage, BatchSizeStage) and stage.step_cost is None


def _needs(stage: Any) -> tuple[str, ...]:
    return next((needs for kind, needs in _NEEDS if isinstance(stage, kind)), ())
