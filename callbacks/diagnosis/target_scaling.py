"""The rule on the scale of targets: `unscaled_target`."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..record import TrainingRecord
from ._graph import Graph, fans, path
from ._learning import learning_of
from ._rate import clips, first_rate
from ._task import CATEGORICAL, REGRESSIONS, task_of
from .finding import Finding, Remedy, Severity

_LARGE, _SMALL, _SHOCK = 10.0, 1e-3, 6.0
_WHOLE = 0.01


def unscaled_target(record: TrainingRecord) -> Iterator[Finding]:
    """Targets of another scale than a fresh network's outputs, or labels that were divided.

    Signals:

    - a loss for class numbers, and targets that are not whole: Keras cuts them off, so that most
      become class 0. The loss falls to 0 while the answers stay wrong: error.
    - a regression loss, a linear or unbounded output, and targets whose root mean square is above
      10 or whose deviation is below 0.001, where a fresh network puts out values near 1: warning.
      Outputs and gradients grow with the targets, so that the rate fits the first steps or the
      last, not both.
    - the same with the squared error and SGD without clipping: the first step shifts the
      pre-activations below the output by 2 rate rms sqrt(fan_in), in units of their deviation.
      Error from 6 on. On 500 samples of 16 features, SGD 0.01 and 0.001, width 16 and 64: runs
      with 8 or more gave NaN in each of the ten, those at 2.4 to 4.8 trained or died. A warning
      where half of the way is gone: it went well.

    Losses on the logarithm, and outputs behind a `Rescaling` layer, are silent.

    Reference:
        Géron, chapter 10 (regression networks); LeCun, Bottou, Orr and Müller 1998, section 4.5.
    """
    task = task_of(record)
    if task is None or task.targets.get("mean") is None or task.targets.get("std") is None:
        return
    if task.loss in CATEGORICAL:
        found = _divided(task.loss, task.units, task.targets)
    elif task.loss in REGRESSIONS and task.loss != "mean_squared_logarithmic_error":
        found = _regression(record, task.loss, task.layer, task.activation, task.targets)
    else:
        found = None
    if found is None:
        return
    severity, evidence, remedy = found
    if task.loss in REGRESSIONS and record.groups and learning_of(record).is_surely_halfway:
        severity = Severity.WARNING
    yield Finding(
        symptom="unscaled_target",
        layers=(task.layer,),
        severity=severity,
        first_step=0,
        evidence=evidence,
        remedies=(remedy,),
    )


_Found = tuple[Severity, str, Remedy] | None


def _divided(loss: str, units: int | None, targets: dict[str, Any]) -> _Found:
    low, high, distinct = targets["min"], targets["max"], targets.get("distinct")
    restore = Remedy(
        kind="target_scaling",
        value={"labels": _label_factor(targets, units)},
        reason="Labels are names of classes: scaled ones stand for other classes, or for none.",
        source="Keras, SparseCategoricalCrossentropy",
    )
    if loss == "sparse_categorical_crossentropy" and not targets.get("integer"):
        return (
            Severity.ERROR,
            (
                f"The loss {loss} takes whole numbers; the targets reach from {low:.4g} to "
                f"{high:.4g} and are cut off to whole ones."
            ),
            restore,
        )
    if (
        loss == "categorical_crossentropy"
        and distinct == 2
        and low == 0
        and not (targets.get("one_hot") or 0.5 <= high <= 2)
    ):
        restore = replace(restore, value={"labels": _rounded(1 / high) if high > 0 else None})
        return Severity.WARNING, f"Rows of 0 and {high:.4g} where 0 and 1 are meant.", restore
    return None


def _label_factor(targets: dict[str, Any], units: int | None) -> float | None:
    """By what divided labels become whole numbers, if they are those of classes in a row."""
    low, high, distinct = targets["min"], targets["max"], targets.get("distinct")
    if not distinct or distinct < 2 or high <= low or low < 0:
        return None
    factor = _rounded((distinct - 1) / (high - low))
    first = low * factor
    whole = abs(first - round(first)) < _WHOLE
    fits = units is None or high * factor < units - 1 + _WHOLE
    # Where some class has no sample, only a factor that looks like one is believed.
    sure = distinct == units or factor == round(factor) > 1
    return factor if whole and fits and sure else None


def _rounded(factor: float) -> float:
    """The whole number that it is up to float32's rounding, itself where it is none."""
    return float(round(factor)) if abs(factor - round(factor)) < 1e-4 * factor else factor


def _regression(
    record: TrainingRecord, loss: str, layer: str, activation: str, targets: dict[str, Any]
) -> _Found:
    mean, std = float(targets["mean"]), float(targets["std"])
    rms = math.hypot(mean, std)
    if not (rms > _LARGE or 0 < std < _SMALL) or activation in ("sigmoid", "tanh"):
        return None
    shock = _shock(record, rms, layer) if loss == "mean_squared_error" else 0.0
    reason = (
        f"Targets have the mean {mean:.4g} and the deviation {std:.4g}, a fresh network's outputs "
        "are about 1."
    )
    if shock >= _SHOCK:
        reason += f" The first step shifts what is below by {shock:.2g} times its deviation."
    return (
        Severity.ERROR if shock >= _SHOCK else Severity.WARNING,
        reason,
        Remedy(
            kind="target_scaling",
            value={"mean": mean, "std": std or 1.0},
            reason="A network that starts with outputs near 0 and of deviation 1 is there at once.",
            source="Géron, chapter 10; LeCun, Bottou, Orr and Müller 1998, section 4.5",
        ),
    )


def _shock(record: TrainingRecord, rms: float, layer: str) -> float:
    optimizer = record.network.get("optimizer") or {}
    rate = first_rate(record.network)
    graph = Graph(record.network)
    if optimizer.get("name") != "SGD" or clips(optimizer) or rate is None:
        return 0.0
    sizes = next((fans(one) for one in graph.layers if path(one) == layer), None)
    if sizes is None or not graph.hidden():
        return 0.0
    rate /= max(1e-3, 1 - float(optimizer.get("momentum") or 0.0))
    return 2 * rate * rms * math.sqrt(sizes[0])
