"""The learning rate of a run: planned, used, usual; and whether steps are clipped."""

from typing import Any

import numpy as np

from ..record import TrainingRecord

_USUAL = {
    "adadelta": 1.0,
    "adagrad": 0.01,
    "adam": 0.001,
    "adamax": 0.001,
    "adamw": 0.001,
    "lion": 1e-4,
    "nadam": 0.001,
    "rmsprop": 0.001,
    "sgd": 0.01,
}

_ADAPTIVE = frozenset(
    {
        *("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax"),
        *("Ftrl", "Lion", "Nadam", "RMSprop"),
    }
)
EPSILON = 1e-7
"""What Keras' optimizers add to the gradient's size that they divide by."""


def is_adaptive(network: dict[str, Any]) -> bool:
    """Whether the optimizer divides each gradient by its size, so that small ones step as far."""
    return (network.get("optimizer") or {}).get("name") in _ADAPTIVE


def usual_rate(network: dict[str, Any]) -> float | None:
    """What the optimizer's authors name, for SGD Bengio (2012); None of an unknown optimizer."""
    return _USUAL.get(str((network.get("optimizer") or {}).get("name")).lower())


def first_rate(network: dict[str, Any]) -> float | None:
    """The rate that training starts with, None where it isn't known."""
    optimizer = network.get("optimizer") or {}
    for name in ("learning_rate", "initial_learning_rate"):
        rate = optimizer.get(name)
        if isinstance(rate, (int, float)) and not isinstance(rate, bool):
            return float(rate)
    return None


def planned_rate(record: TrainingRecord) -> float | None:
    """The compiled rate, where it is a number that the recorded steps don't contradict."""
    rate = (record.network.get("optimizer") or {}).get("learning_rate")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)):
        rate = None
    if record.groups and len(record.steps):
        used = record.learning_rate.astype(float)
        used = used[np.isfinite(used)]
        if len(used) and (used > 0).any():
            return None
        if len(used) and (used < 0).all():
            return float(used.min())
    return None if rate is None else float(rate)


def used_rate(record: TrainingRecord) -> float | None:
    """The median of the steps' rates, else the compiled one; None where neither is known."""
    if not record.groups or not len(record.steps):
        return first_rate(record.network)
    used = record.learning_rate.astype(float)
    used = used[np.isfinite(used) & (used != 0)]
    return float(np.median(used)) if len(used) else first_rate(record.network)


def clips(optimizer: dict[str, Any]) -> bool:
    """Whether the optimizer clips gradients."""
    return any(optimizer.get(name) for name in ("clipnorm", "clipvalue", "global_clipnorm"))
