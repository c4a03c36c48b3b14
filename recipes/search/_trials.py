"""What goes into a stage and what comes out of it, as plain data that JSON can hold.

The seam between the stages and what trains. A stage reads finished trials and answers with a
`Decision`; it never sees a model. Whoever trains (the oracle, a test) keeps both as JSON.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Values = Mapping[str, Any]
"""Names and what they are set to: numbers, strings or booleans, as KerasTuner keeps them."""


@dataclass(frozen=True, kw_only=True)
class EpochLosses:
    """What is kept of one epoch's per-step losses: four numbers in place of thousands.

    Args:
        steps: Integer. How many steps the epoch had.
        mean: Float. Mean of the true per-step losses, which is the epoch's cost.
        variance: Float. Their variance (`n - 1`), 0 for a single step.
        roughness: Float. Half of the mean squared difference of successive losses. White noise
            has roughness equal to its variance, a trend less, a loss that jumps up and down at
            each step up to twice as much.
    """

    steps: int
    mean: float
    variance: float
    roughness: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training run, finished or still running.

    Args:
        trial_id: String. Its name in the trace; unique.
        values: Mapping. What was set, exactly the candidate's: `learning_rate`, `l2`, `epochs`,
            ... By them a stage finds the trial again.
        execution: Integer. Which repetition with another seed this is, counted from 0.
        finished: Boolean. `False` while it runs; a stage then waits for it. Defaults to `True`.
        diverged: Boolean. Whether a loss was NaN or infinite, or the run was cut off as hopeless.
            Defaults to `False`.
        losses: Tuple of `EpochLosses`, one for each epoch that was completed.
        accuracy: Tuple of floats. Validation accuracy after each epoch, or any other objective
            of which more is better.
        validation_samples: Integer. How many samples the accuracy was measured on; 0 where that
            is unknown, and then only repetitions tell its noise. Defaults to `0`.
        steps: Integer. Training steps that were run. Defaults to `0`.
        examples: Integer. Training examples that were seen. Defaults to `0`.
        seconds: Float. Wall time; reported, never decided on. Defaults to `0`.
    """

    trial_id: str
    values: Values
    execution: int = 0
    finished: bool = True
    diverged: bool = False
    losses: tuple[EpochLosses, ...] = ()
    accuracy: tuple[float, ...] = ()
    validation_samples: int = 0
    steps: int = 0
    examples: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """A dictionary that strict JSON can hold; NaN and infinity become `None`."""
        return {**_strict(asdict(self)), "values": dict(self.values)}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Trial":
        """The trial that `to_json` described; what was not finite comes back as NaN."""
        losses = tuple(EpochLosses(**_floats(row)) for row in state["losses"])
        accuracy = tuple(math.nan if a is None else a for a in state["accuracy"])
        return cls(**{**state, "losses": losses, "accuracy": accuracy})


@dataclass(frozen=True, kw_only=True)
class Rival:
    """What a run is held against while it trains, so that a lost one may end early.

    It is the best trial that the asking decision rested on, never one that merely happens to be
    finished: whoever trains, and in whatever order, ends a run after the same epoch.

    Args:
        measure: `"cost"` or `"accuracy"`.
        curve: Tuple of floats. The rival's cost after each epoch, or the best accuracy until
            then. Empty where there is no rival yet. Defaults to none.
    """

    measure: Literal["cost", "accuracy"]
    curve: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One run that a stage asks for.

    Args:
        values: Mapping. What to set.
        execution: Integer. Which repetition; another one means another seed. Defaults to `0`.
        rival: `Rival` to hold the run against (`is_lost`), or `None` where it must run to its
            end. Defaults to `None`.
    """

    values: Values
    execution: int = 0
    rival: Rival | None = None

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Candidate":
        """The candidate of a decision's `to_json`."""
        rival = state.get("rival")
        if rival is not None:
            rival = Rival(measure=rival["measure"], curve=tuple(rival["curve"]))
        return cls(values=state["values"], execution=state["execution"], rival=rival)


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One step on a stage's way: a sentence, and the trials that it rests on.

    Args:
        sentence: String. What was concluded, for a person to read.
        trials: Tuple of trial ids. Defaults to none.
    """

    sentence: str
    trials: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a stage answers.

    Args:
        action: `"try"`: run the candidates, side by side if you like, and ask again.
            `"wait"`: all that is needed is running. `"done"`: `chosen` holds the stage's values.
            `"failed"`: no value works; the last reason says why and what to do.
        candidates: Tuple of `Candidate`, the most needed first. Empty unless `"try"`.
        chosen: Mapping of the values chosen. Empty unless `"done"`.
        reasons: Tuple of `Reason`, the whole way up to here; the last one is this decision's.
        final: Mapping of settings for the final fit that are no value of a trial, such as
            `patience`. Defaults to none.
    """

    action: Literal["try", "wait", "done", "failed"]
    candidates: tuple[Candidate, ...] = ()
    chosen: Values = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    final: Values = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """The sentence of this decision."""
        return self.reasons[-1].sentence if self.reasons else ""

    def to_json(self) -> dict[str, Any]:
        """A dictionary that strict JSON can hold."""
        return dict(_strict(asdict(self)))

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Decision":
        """The decision that `to_json` described."""
        candidates = tuple(Candidate.from_json(row) for row in state["candidates"])
        reasons = tuple(
            Reason(sentence=row["sentence"], trials=tuple(row["trials"]))
            for row in state["reasons"]
        )
        return cls(**{**state, "candidates": candidates, "reasons": reasons})


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _floats(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: math.nan if value is None else value for key, value in row.items()}
