"""Remedies of the optimizer: clipping, learning rate, another one; what no model holds."""

from typing import Any

import keras

from ..callbacks.diagnosis.finding import Finding, Remedy
from ._changes import Change, NotChangedError
from ._recompiling import optimizer_like
from ._treatment import Treatment, innermost, rebuilt

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_FASTER = ("slow_convergence", "learning_rate_too_low")
RANGE_TEST = "by a range test"


def clipping(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Clips gradients, unless they are."""
    optimizer = treatment.optimizer
    ((how, limit),) = remedy.value.items()
    set_already = [name for name in _CLIPS if getattr(innermost(optimizer), name, None)]
    if set_already:
        raise NotChangedError(f"The optimizer clips already ({', '.join(set_already)}).")
    if innermost(optimizer) is optimizer:
        treatment.optimizer = rebuilt(optimizer, **{how: limit})
    else:
        inner = rebuilt(innermost(optimizer), **{how: limit})
        treatment.optimizer = keras.optimizers.LossScaleOptimizer(inner)
    return Change.of(finding, remedy, (), "none", f"{how} {limit:g}")


def learning_rate(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Sets the rate; where the remedy leaves it open, by a range test, or ten times lower."""
    before = _rate(treatment.optimizer)
    if remedy.value is None and treatment.x is not None:
        treatment.rate_is_asked = True
        return Change.of(finding, remedy, (), before, RANGE_TEST)
    rate = remedy.value
    if rate is None:
        factor = 10.0 if finding.symptom in _FASTER else 0.1
        rate = factor * abs(float(treatment.optimizer.learning_rate))
    treatment.optimizer = optimizer_like(treatment.optimizer, float(rate))
    return Change.of(finding, remedy, (), before, f"{rate:.3g}")


def optimizer(treatment: Treatment, finding: Finding, remedy: Remedy) -> Change:
    """Another optimizer, at its default rate; clipping stays as it was."""
    old = innermost(treatment.optimizer)
    new = keras.optimizers.get(remedy.value)
    if type(new) is type(old):
        raise NotChangedError(f"The optimizer is {remedy.value} already.")
    clips = {name: getattr(old, name, None) for name in _CLIPS}
    new = rebuilt(new, **clips)
    is_scaled = isinstance(treatment.optimizer, keras.optimizers.LossScaleOptimizer)
    treatment.optimizer = keras.optimizers.LossScaleOptimizer(new) if is_scaled else new
    return Change.of(finding, remedy, (), type(old).__name__, type(new).__name__)


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


def _rate(optimizer: Any) -> str:
    rate = optimizer.get_config().get("learning_rate", getattr(optimizer, "learning_rate", None))
    return f"{rate:.3g}" if isinstance(rate, (int, float)) else f"{float(optimizer.learning_rate):.3g}"
