"""What guessing costs: the loss of the best constant prediction, as far as a record tells it."""

import math

from .._best_constant import loss_name
from ..record import TrainingRecord
from ._task import CROSSENTROPIES, HINGES, RANGES, task_of


def guessed_loss(record: TrainingRecord) -> tuple[float, bool]:
    """The loss of the best constant prediction, and whether it was measured on the data.

    For crossentropies it is otherwise `ln(classes)`, which is only right for balanced classes; NaN
    where neither is known, where targets are all the same, as guessing costs nothing then, where
    samples or classes have weights, which the loss has a share of, and where the output can't make
    the best constant: hinges of outputs that are never below 0.
    """
    if has_one_target(record) or record.data.get("weighted"):
        return math.nan, False
    known = (record.data.get("baseline") or {}).get("loss")
    if _is_out_of_reach(record):
        return math.nan, False
    if known is not None and math.isfinite(known) and known > 0:
        return float(known), True
    if not is_crossentropy(record):
        return math.nan, False
    if loss_name(record.network.get("loss")) == "binary_crossentropy":
        return math.log(2), False
    layers = [one for one in record.network.get("layers") or [] if one.get("units")]
    outputs = [one for one in layers if one.get("output")] or layers[-1:]
    classes = outputs[0]["units"] if len(outputs) == 1 else 0
    return (math.log(classes) if classes > 1 else math.nan), False


def _is_out_of_reach(record: TrainingRecord) -> bool:
    task = task_of(record)
    return bool(task and task.loss in HINGES and RANGES.get(task.activation, (-1.0, 1.0))[0] > -1.0)


def has_one_target(record: TrainingRecord) -> bool:
    """Whether all targets are known to be the same number."""
    targets = record.data.get("targets") or []
    return bool(targets) and all(
        one.get("min") is not None and one.get("min") == one.get("max") for one in targets
    )


def is_crossentropy(record: TrainingRecord) -> bool:
    """Whether the loss is a plain crossentropy in nats; a focal one is another scale."""
    return loss_name(record.network.get("loss")) in CROSSENTROPIES


def has_soft_targets(record: TrainingRecord) -> bool:
    """Whether a crossentropy has targets between 0 and 1, so that 0 is out of its reach."""
    targets = record.data.get("targets") or []
    hard = all(one.get("integer") or one.get("one_hot") for one in targets)
    return bool(targets) and not hard and is_crossentropy(record)
