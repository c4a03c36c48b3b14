"""Remedies of the optimizer: clipping, learning rate, another one; what no model holds."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from ...callbacks.diagnosis.finding import Finding, Remedy
from ...callbacks.learning_rate_range import find_learning_rate
from .._recompiling import optimizer_like
from .changes import Change, NotChangedError
from .treatment import Treatment

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_LASTING = (
    *_CLIPS,
    *("use_ema", "ema_momentum", "ema_overwrite_frequency"),
    *("gradient_accumulation_steps", "loss_scale_factor", "weight_decay"),
)
_FASTER = ("slow_convergence", "learning_rate_too_low")
RANGE_TEST = "by a range test"


def clipping(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Clips gradients, unless they are."""
    inner = innermost(treatment.optimizer)
    ((how, limit),) = remedy.value.items()
    config = inner.get_config()
    set_already = [name for name in _CLIPS if config.get(name)]
    if set_already or how not in config:
        raise NotChangedError(
            f"The optimizer clips already ({', '.join(set_already)}): lower its limit by hand."
            if set_already
            else f"The optimizer {type(inner).__name__} has no `{how}`: clip in its code by hand."
        )
    treatment.optimizer = _with_inner(treatment.optimizer, rebuilt(inner, **{how: limit}))
    return Change.of(finding, remedy, (), "none", f"{how} {limit:g}")


def learning_rate(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Sets the rate; where the remedy leaves it open, by a range test, or ten times lower."""
    inner = innermost(treatment.optimizer)
    if "learning_rate" not in inner.get_config():
        raise NotChangedError(
            f"The optimizer {type(inner).__name__} has no learning rate that could be set: "
            'choose another, such as "adam".'
        )
    before = _rate(inner)
    if remedy.value is None and treatment.x is not None and treatment.y is not None:
        treatment.rate_is_asked = True
        return Change.of(finding, remedy, (), before, RANGE_TEST)
    rate = remedy.value
    if rate is None:
        factor = 10.0 if finding.symptom in _FASTER else 0.1
        rate = factor * abs(float(treatment.optimizer.learning_rate))
    treatment.optimizer = optimizer_like(treatment.optimizer, float(rate))
    return Change.of(finding, remedy, (), before, f"{rate:.3g}")


def optimizer(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Another optimizer, at its default rate; clipping, decay and averages stay as they were."""
    old = innermost(treatment.optimizer)
    new = keras.optimizers.get(remedy.value)
    if type(new) is type(old):
        raise NotChangedError(
            f"The optimizer is {remedy.value} already: change its learning rate instead."
        )
    before, known = old.get_config(), new.get_config()
    kept = {
        name: before[name] for name in _LASTING if before.get(name) is not None and name in known
    }
    treatment.optimizer = _with_inner(treatment.optimizer, rebuilt(new, **kept))
    return Change.of(finding, remedy, (), type(old).__name__, type(new).__name__)


def with_found_rate(
    treatment: Treatment, new: Any, changes: list[Change]
) -> tuple[list[Change], list[str]]:
    """Compiles the new model with the rate that a range test finds; the changes with that rate.

    Returns:
        The changes, and a sentence where the test finds none.
    """
    rate, why = None, "the loss falls at none"
    try:
        curve = find_learning_rate(new, treatment.x, treatment.y, batch_size=treatment.batch_size)
        rate = _middle(curve.suggestions.values())
    except (ValueError, tf.errors.OpError) as error:
        why = str(error).partition("\n")[0]
    if not rate:
        rest = [change for change in changes if change.after != RANGE_TEST]
        return rest, [f"A range test finds no learning rate ({why}): choose it by hand."]
    new.compile(optimizer=optimizer_like(treatment.optimizer, float(rate)), **treatment.compile)
    found = f"{float(rate):.3g}, {RANGE_TEST}"
    return [
        replace(change, after=found) if change.after == RANGE_TEST else change for change in changes
    ], []


def _middle(suggestions: Iterable[float | None]) -> float | None:
    """The median of the suggestions that there are: each of the five has cases where it is off."""
    found = [math.log(one) for one in suggestions if one]
    return math.exp(statistics.median(found)) if found else None


def not_the_models(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """What is no model's: says what to do."""
    raise NotChangedError(_BY_HAND[remedy.kind])


_BY_HAND = {
    "connect": "Layers that do not lead to the loss, or only through a function without "
    "derivative, are connected in the model's code; `recipes.residual_mlp` has shortcuts.",
    "epochs": "The number of epochs is an argument of `fit`: train longer where the loss still "
    "falls, and with `callbacks.NoImprovement` where it overfits.",
    "batch_size": "The batch size is an argument of `fit`: a larger one has less noise.",
}


def innermost(optimizer: Any) -> Any:
    """The optimizer that updates the weights, within those that wrap it."""
    inner = getattr(optimizer, "inner_optimizer", None)
    return innermost(inner) if isinstance(inner, keras.optimizers.Optimizer) else optimizer


def rebuilt(optimizer: Any, **changed: Any) -> Any:
    """An optimizer of the same class, with some of its configuration changed."""
    return type(optimizer).from_config({**optimizer.get_config(), **changed})


def _with_inner(optimizer: Any, inner: Any) -> Any:
    """The optimizer that wraps others as before, around another innermost one."""
    if innermost(optimizer) is optimizer:
        return inner
    within = _with_inner(optimizer.inner_optimizer, inner)
    return rebuilt(optimizer, inner_optimizer=keras.optimizers.serialize(within))


def _rate(optimizer: Any) -> str:
    rate = optimizer.get_config()["learning_rate"]
    return f"{rate:.3g}" if isinstance(rate, (int, float)) else "a schedule"
