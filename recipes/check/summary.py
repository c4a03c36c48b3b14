"""`summary.json` of `trainwell check`."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...callbacks.diagnosis.finding import Finding, Severity
from ...callbacks.record import TrainingRecord
from .data import Samples
from .words import score_text


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The watched training.

    Args:
        epochs: Integer.
        seconds: Float.
        metric: String. `"accuracy"` or `"R²"`.
        score: Float. That of the trained copy on the validation data.
        chance: Float. What the best constant answer has there.
        logs: The last epoch's loss and metrics, those on the validation data as `"val_..."`.
    """

    epochs: int
    seconds: float
    metric: str
    score: float
    chance: float
    logs: dict[str, float]

    def __str__(self) -> str:
        """Two sentences."""
        logs = ", ".join(f"{name} {value:.4g}" for name, value in self.logs.items())
        return (
            f"A copy was trained for {self.epochs} epochs, {self.seconds:.0f} s. On the validation "
            f"data its {self.metric} is {score_text(self.score)}, where the best fixed answer has "
            f"{self.chance:.3f} ({logs})."
        )


def summary_of(
    path: Path,
    record: TrainingRecord,
    samples: Samples,
    *,
    before: Sequence[Finding],
    findings: Sequence[Finding],
    fit: Fit | None,
    repair: Any,
    repaired: Path,
) -> str:
    """The summary as JSON; the schema is in docs/doctor.md.

    Args:
        path: Path of the model.
        record: `TrainingRecord` that was judged.
        samples: `Samples`.
        before: What was found before training.
        findings: What holds in the end.
        fit: The watched training, None where there was none.
        repair: A `Repair`, None where there was none.
        repaired: Path of the mended model.
    """
    network = record.network
    summary = {
        "model": {
            "file": str(path),
            "name": network.get("name"),
            "parameters": network.get("parameters"),
            "loss": network.get("loss"),
            "optimizer": network.get("optimizer"),
        },
        "data": {
            "file": samples.name,
            "samples": len(samples.x),
            "validation_samples": len(samples.x_validation),
            "held_out": samples.held_out,
            "input_shape": samples.x.shape[1:],
            "target_shape": samples.y.shape[1:],
        },
        "errors": _count(findings, Severity.ERROR),
        "warnings": _count(findings, Severity.WARNING),
        "findings": findings,
        "preflight": before,
        "fit": fit,
        "repair": repair and _repair(repair, repaired),
    }
    return json.dumps(_plain(summary), indent=2, allow_nan=False) + "\n"


def _repair(repair: Any, repaired: Path) -> dict[str, Any]:
    names = ("healthy", "metric", "score_before", "score", "changes", "not_changed")
    told = ("number", "outcome", "score", "epochs", "seconds", "changes", "not_changed", "findings")
    return {
        "model": str(repaired) if repair.changes else None,
        **{name: getattr(repair, name) for name in names},
        "attempts": [{name: getattr(one, name) for name in told} for one in repair.attempts],
    }


def _count(findings: Sequence[Finding], severity: Severity) -> int:
    return sum(one.severity is severity for one in findings)


def _plain(value: Any) -> Any:
    """What JSON can hold; it has no NaN and no infinity."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
