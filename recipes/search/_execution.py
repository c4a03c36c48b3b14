"""One training run of a search: `fit`, and what came out."""

import time
from collections.abc import Callable
from typing import Any

from ._run_callbacks import GivesUp, RunLog, is_number
from ._run_report import Run
from ._shared_model import SharedModel
from ._trials import Rival


def train(
    fit: Callable[[list[Any]], Any],
    made: SharedModel,
    log: RunLog,
    callbacks: list[Any],
    rival: Rival | None = None,
    validation_samples: int = 0,
) -> Run:
    """Runs `fit`, and sums up.

    Args:
        fit: Function that trains with the callbacks it is given, and returns what `fit` does.
        made: The model.
        log: Keeps the epochs.
        callbacks: List of callbacks.
        rival: `Rival` that the run is held against. Defaults to `None`.
        validation_samples: Integer. Examples that the objective is measured on. Defaults to `0`.
    """
    watch = made.watch
    begin = time.perf_counter()
    history = fit([*callbacks, watch, log, GivesUp(watch, log, rival, validation_samples)])
    return Run(
        logs=_logs(history, log),
        losses=list(watch.losses),
        steps=watch.steps,
        seconds=time.perf_counter() - begin,
        validation_samples=validation_samples,
        diverged=watch.diverged,
    )


def _logs(history: Any, log: RunLog) -> list[dict[str, float]]:
    """The epochs' logs; what `HyperModel.fit` returns in place of a History comes with the last."""
    if isinstance(history, dict):
        extra = {name: float(value) for name, value in history.items() if is_number(value)}
    elif is_number(history):
        extra = {log.objective.name: float(history)}
    else:
        return log.logs
    return [*log.logs[:-1], {**(log.logs[-1] if log.logs else {}), **extra}]
