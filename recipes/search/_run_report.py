"""What a run reports to the oracle, as KerasTuner's metrics, and a stage's `Trial` read back.

KerasTuner's metrics are all that comes from a worker: numbers by name and epoch, in float32. So
all of a run's outcome is put into such numbers, rounded so in one process too, and a search comes
to the same with or without workers.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras_tuner
import numpy as np

from ._trials import EpochLosses, Rival, Trial, Values

ASKED = "tuner/asked"
"""Name of the value that lists which values a stage asked for."""

_OF_THE_RUN = ("epochs", "patience", "variable_rate")
_LOSSES = ("steps", "mean", "variance", "roughness")
_RUN = ("steps", "examples", "seconds", "validation_samples", "diverged")
_FINISHED = ("COMPLETED", "FAILED")


@dataclass(kw_only=True)
class Run:
    """The outcome of one execution.

    Args:
        logs: List of each epoch's logs, as `fit` gives them.
        losses: List of each completed epoch's `EpochLosses`.
        steps: Integer. Training steps.
        examples: Integer. Training examples.
        seconds: Float. Wall time.
        validation_samples: Integer. Examples the objective was measured on, 0 if unknown.
        diverged: Boolean. Whether it was cut off as hopeless.
    """

    logs: list[dict[str, float]] = field(default_factory=list)
    losses: list[EpochLosses] = field(default_factory=list)
    steps: int = 0
    examples: int = 0
    seconds: float = 0.0
    validation_samples: int = 0
    diverged: bool = False

    def metrics(self, objective: Any) -> Iterator[tuple[int, dict[str, float]]]:
        """Each epoch's number, and its metrics; those of the whole run come with the first."""
        for epoch in range(max(1, len(self.logs), len(self.losses))):
            metrics = dict(self.logs[epoch]) if epoch < len(self.logs) else {}
            metrics[objective.name] = self._value(metrics, objective)
            if epoch < len(self.losses):
                metrics |= {f"loss/{n}": getattr(self.losses[epoch], n) for n in _LOSSES}
            if epoch == 0:
                metrics |= {f"run/{name}": getattr(self, name) for name in _RUN}
            yield epoch, {name: _float32(value) for name, value in metrics.items()}

    def _value(self, logs: Mapping[str, float], objective: Any) -> float:
        if logs and objective.has_value(logs):
            return float(objective.get_value(logs))
        if not self.diverged:
            return math.nan
        return -math.inf if objective.direction == "max" else math.inf

    def so_far(self, objective: Any) -> Trial:
        """What a stage would read if the run ended here."""
        sign = 1.0 if objective.direction == "max" else -1.0
        accuracy = [sign * _float32(self._value(logs, objective)) for logs in self.logs]
        return Trial(
            trial_id="",
            values={},
            losses=tuple(
                EpochLosses(
                    steps=epoch.steps,
                    mean=_float32(epoch.mean),
                    variance=_float32(epoch.variance),
                    roughness=_float32(epoch.roughness),
                )
                for epoch in self.losses
            ),
            accuracy=tuple(accuracy),
            validation_samples=self.validation_samples,
        )


def record(runs: Iterable[Run], objective: Any, found: Any) -> None:
    """Puts the runs of a trial into its KerasTuner metrics."""
    for run in runs:
        for epoch, metrics in run.metrics(objective):
            for name, value in metrics.items():
                if not found.exists(name):
                    own = name == objective.name or "/" in name
                    found.register(name, objective.direction if own else None)
                found.metrics[name].update(value, step=epoch)


def stored(values: Values) -> dict[str, Any]:
    """A candidate's values as those of a KerasTuner trial."""
    names = {_stored_name(name): value for name, value in values.items()}
    return {**names, ASKED: ",".join(sorted(values))}


def asked_values(hp_values: Mapping[str, Any]) -> dict[str, Any]:
    """The candidate's values of a KerasTuner trial."""
    names = [name for name in hp_values.get(ASKED, "").split(",") if name]
    return {name: hp_values[_stored_name(name)] for name in names}


def rival_of(hp_values: Mapping[str, Any]) -> Rival | None:
    """The rival of a KerasTuner trial's candidate."""
    state = json.loads(hp_values.get("tuner/rival", "null"))
    return Rival(measure=state["measure"], curve=tuple(state["curve"])) if state else None


def as_sent(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they are after a worker got them: floats with the digits that float32 has."""
    return {
        name: float(str(np.float32(value))) if isinstance(value, float) else value
        for name, value in values.items()
    }


def trial_of(kept: Any, objective: Any) -> Trial:
    """The `Trial` that a stage reads.

    Args:
        kept: A `keras_tuner` trial, finished or not.
        objective: The `keras_tuner.Objective`.
    """
    values = kept.hyperparameters.values
    trial = {
        "trial_id": kept.trial_id,
        "values": asked_values(values),
        "execution": int(values.get("tuner/execution", 0)),
    }
    if kept.status not in _FINISHED:
        return Trial(**trial, finished=False)
    if kept.status == "FAILED" or not kept.metrics.exists("run/steps"):
        return Trial(**trial, diverged=True)
    run = {name: _history(kept, f"run/{name}")[0] for name in _RUN}
    sign = 1.0 if objective.direction == "max" else -1.0
    accuracy = [sign * value for value in _history(kept, objective.name)]
    return Trial(
        **trial,
        diverged=run["diverged"] > 0,
        losses=_losses(kept),
        accuracy=tuple(a for a in accuracy if not run["diverged"] or math.isfinite(a)),
        validation_samples=round(run["validation_samples"]),
        steps=round(run["steps"]),
        examples=round(run["examples"]),
        seconds=run["seconds"],
    )


def is_finished(kept: Any) -> bool:
    """Whether a KerasTuner trial will not be run again."""
    return kept.status in _FINISHED


def _float32(value: float) -> float:
    return float(np.float32(value))


def _losses(kept: Any) -> tuple[EpochLosses, ...]:
    if not kept.metrics.exists("loss/mean"):
        return ()
    columns = {name: _history(kept, f"loss/{name}") for name in _LOSSES}
    rows = zip(*columns.values(), strict=True)
    return tuple(
        EpochLosses(**{**dict(zip(columns, r, strict=True)), "steps": round(r[0])}) for r in rows
    )


def _history(kept: keras_tuner.engine.trial.Trial, name: str) -> list[float]:
    """A metric's values by epoch, averaged over the executions."""
    observations = sorted(kept.metrics.get_history(name), key=lambda one: one.step)
    return [float(np.mean(one.value)) for one in observations]


def _stored_name(name: str) -> str:
    return f"tuner/{name}" if name in _OF_THE_RUN else name
