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

    def way(
        self,
        trials: Mapping[str, Iterable[Trial]],
        known: Values,
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ) -> Way:
        """Where the search stands.

        Args:
            trials: Mapping from each stage's name to its trials.
            known: Mapping of the values that the model reads, as they are before the search.
            bounds: Mapping from names to the smallest and the largest value that the model
                declares. Defaults to none.
        """
        way = Way()
        settings: dict[str, Any] = {}
        for name, given in self.stages.items():
            if reason := _why_not(given, known, bounds or {}):
                way.notes.append(f"{reason}: {name} is left out.")
                continue
            before = self._standing(given, known, way.chosen)
            stage, narrowed = _within(given, bounds or {})
            way.notes += [f"{name} {note}" for note in narrowed]
            if isinstance(stage, FinalFit):
                before |= settings
            elif "learning_rate" in before.keys() - way.chosen.keys():
                way.notes.append(
                    f"The learning rate is not searched before {name}: it stands at "
                    f"{before['learning_rate']:g}."
                )
            if _is_without_costs(stage) and self.costs is not None:
                step_cost, example_cost = self.costs
                stage = replace(stage, step_cost=step_cost, example_cost=example_cost)
            decision = _decided(name, stage, trials.get(name, ()), before)
            way.stations.append(
                Station(name=name, decision=decision, before=before, settings=_arguments(stage))
            )
            if decision.action != "done":
                break
            way.chosen |= decision.chosen
            settings |= decision.final
        return way

    def _standing(self, stage: Any, known: Values, chosen: Values) -> dict[str, Any]:
        """What a stage is told: the values chosen, and those that stand as the model reads them.

        Not what it is to find itself, but for a batch size, which is improved; and not the
        penalty where one is searched, since before that it is 0.
        """
        found = {name for one in self.stages.values() for name in _needs(one)[:1]}
        left_out = {*_needs(stage)[:1], *(found & {"l2"})} - {"batch_size"}
        stand = {n: known[n] for n in SEARCHED if n in known and n not in left_out}
        return {**stand, **chosen}


def _why_not(stage: Any, known: Values, bounds: Mapping[str, tuple[float, float]]) -> str:
    """Why a stage can't be run with this model, or empty."""
    missing = [f"`{need}`" for need in _needs(stage) if need not in known]
    if missing:
        return f"The model reads no {' and no '.join(missing)}"
    for need in _needs(stage)[:1]:
        low, high = bounds.get(need, (0.0, 1.0))
        if low == high:
            return f"The model has `{need}` fixed at {low:g}"
    return ""


def _within(stage: Any, bounds: Mapping[str, tuple[float, float]]) -> tuple[Any, list[str]]:
    """The stage within what the model declares, and what is to be said of that."""
    if isinstance(stage, LearningRateStage) and "learning_rate" in bounds:
        low, high = bounds["learning_rate"]
        lowest, highest = max(stage.lowest, low), min(stage.highest, high)
        if (lowest, highest) == (stage.lowest, stage.highest):
            return stage, []
        start = None if stage.start is None else min(max(stage.start, lowest), highest)
        note = f"stays within {lowest:g} to {highest:g}, which the model declares."
        return replace(stage, lowest=lowest, highest=highest, start=start), [note]
    if isinstance(stage, BatchSizeStage) and bounds.get("batch_size", (0, 1e9))[1] < stage.largest:
        largest = int(bounds["batch_size"][1])
        return replace(stage, largest=largest, start=min(stage.start, largest)), []
    return stage, []


def _decided(name: str, stage: Any, trials: Iterable[Trial], before: Values) -> Decision:
    """The stage's decision; one of the user's own is checked."""
    decision = stage.decide(trials, before)
    if not isinstance(decision, Decision):
        raise ValueError(
            "A stage's `decide(trials, chosen)` must return a `search.Decision`. "
            f"Received: {decision!r} from {name}."
        )
    return decision


def _arguments(stage: Any) -> dict[str, Any]:
    return asdict(stage) if is_dataclass(stage) and not isinstance(stage, type) else {}


def seed_of(search_seed: int, stage: str, values: Values, execution: int) -> int:
    """The seed of a run, the same whenever and wherever it is run."""
    text = json.dumps([search_seed, stage, sorted(values.items()), execution])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 2**31


def _is_without_costs(stage: Any) -> bool:
    return isinstance(stage, BatchSizeStage) and stage.step_cost is None


def _needs(stage: Any) -> tuple[str, ...]:
    return next((needs for kind, needs in _NEEDS if isinstance(stage, kind)), ())
