"""Rules on the output: its activation and its loss against the targets.

Judged by what Keras 3 does with a pair, not by what textbooks pair. It takes the logits behind a
final sigmoid or softmax for whichever crossentropy, clips all other values to [1e-7, 1 - 1e-7],
and divides by their sum in categorical_crossentropy. "Seen": accuracy and last loss of 400
samples, 8 features, 16 ReLU units, Adam 0.01, 25 epochs, each of two seeds; the sound pair has
0.98 and 0.11 on two classes, 0.96 and 0.23 on three.

| output | loss | verdict | why |
| --- | --- | --- | --- |
| sigmoid, 1 unit | binary | fine | |
| softmax, 1 unit | any | error | 1 always: loss 0.11, accuracy 0.5 |
| linear, relu, tanh | binary | error | no gradient where clipped: 0.91, loss 0.31 |
| softplus, exponential | binary | warning | clipped above 1: 0.96, loss 0.14 |
| softmax, units > 1 | binary | warning | trains as sigmoids: 0.97 |
| linear | any, from logits | fine | |
| relu, tanh, softplus ... | binary, from logits | warning | logits missing: 0.97, loss 0.38 |
| sigmoid, softmax | any, from logits | info | Keras takes the logits behind it |
| softmax, units > 1 | categorical | fine | |
| sigmoid, units > 1 | categorical | warning | trains as softmax, 0.96; doesn't sum to 1 |
| linear, relu, tanh ... | categorical | error | sum near or below 0: 0.10 to 0.64, relu NaN |
| linear, relu, tanh ... | sparse categorical | error | 0.31 to 0.55 |
| softplus, exponential | categorical | fine | dividing makes them probabilities: 0.96 |
| relu, tanh ... | categorical, from logits | warning | logits missing: relu 0.62 and 0.96 |
| any | regression | error, warning | by the share of variance out of reach |

Of targets that are nearly normal with mean m and deviation s, an output with the range [a, b]
leaves `E[(a - y)+² + (y - b)+²] / s²` of the variance. From a quarter on (a rest of half a
deviation) this is an error, from a hundredth on a warning.

Reference:
    Goodfellow, Bengio and Courville 2016, section 6.2.2; Nielsen, chapter 3 (quadratic cost with
    sigmoid or softmax learns slowly); Ghosh, Kumar and Sastry 2017 (mean absolute error of
    classifiers).
"""

import math
from collections.abc import Iterator

from ..record import TrainingRecord
from ._task import CATEGORICAL, CROSSENTROPIES, HINGES, RANGES, REGRESSIONS, Task, task_of
from .finding import Finding, Remedy, Severity

_FAR, _SOME = 0.25, 0.01
_POSITIVE = ("softplus", "exponential")
_PROBABILITIES = ("sigmoid", "softmax")

Verdict = tuple[Severity, str] | None


def improper_output_activation(record: TrainingRecord) -> Iterator[Finding]:
    """The output can't make the values that loss and targets ask for; the module's table."""
    task = task_of(record)
    verdict = task and (
        _constant(task) or _for_crossentropy(task) or _for_positive(task) or _out_of_range(task)
    )
    if task and verdict:
        yield Finding(
            symptom="improper_output_activation",
            layers=(task.layer,),
            severity=verdict[0],
            first_step=0,
            evidence=verdict[1],
            remedies=_remedies(task),
        )


def _remedies(task: Task) -> tuple[Remedy, ...]:
    # A regression's loss is not the output's to change.
    return tuple(one for one in task.remedies if one.kind != "loss" or task.loss not in REGRESSIONS)


def _constant(task: Task) -> Verdict:
    if task.activation == "softmax" and task.units == 1:
        return Severity.ERROR, (
            "Softmax over one unit is 1 whatever the input; Keras trains the logit behind it, so "
            "that the loss may fall while every answer stays the same."
        )
    return None


def _for_crossentropy(task: Task) -> Verdict:
    if task.loss not in (*CROSSENTROPIES, "kl_divergence") or task.activation not in RANGES:
        return None
    if task.from_logits:
        return _for_logits(task)
    name, loss = task.activation, task.loss
    right = "sigmoid" if loss == "binary_crossentropy" else "softmax"
    if name == right or (name in _POSITIVE and loss in CATEGORICAL):
        return None
    if loss == "kl_divergence" and (name == "sigmoid" or name in _POSITIVE):
        return Severity.WARNING, f"Outputs of {name} do not sum to 1, as {loss} presumes."
    if name in _PROBABILITIES and loss != "kl_divergence":
        return Severity.WARNING, (
            f"Keras trains the logits behind {name} as if they were behind {right}, for {loss}: "
            "the classes come out right, their probabilities do not."
        )
    if name in _POSITIVE:
        return (
            Severity.WARNING,
            f"Values of {name} exceed 1, where {loss} clips them and has no gradient.",
        )
    low, high = RANGES[name]
    return Severity.ERROR, (
        f"The output, {name}, gives {_interval(low, high)}; {loss} takes it for probabilities: "
        "outside of 0 to 1 it is clipped and has no gradient."
    )


def _interval(low: float, high: float) -> str:
    ends = [f"from {low:.3g}"] * math.isfinite(low) + [f"up to {high:.3g}"] * math.isfinite(high)
    return " ".join(["values", *ends]) if ends else "any value"


def _for_logits(task: Task) -> Verdict:
    if task.activation in _PROBABILITIES:
        return Severity.INFO, (
            f"The loss has from_logits=True behind {task.activation}: Keras takes the logits all "
            "the same, and warns."
        )
    low, high = RANGES[task.activation]
    if math.isfinite(low) or math.isfinite(high):
        return Severity.WARNING, (
            f"The loss takes logits, any number; {task.activation} gives {_interval(low, high)}."
        )
    return None


def _for_positive(task: Task) -> Verdict:
    """Poisson's loss takes the logarithm of the output."""
    low = RANGES.get(task.activation, (0.0, 0.0))[0]
    if task.loss == "poisson" and low < 0:
        return Severity.ERROR, (
            f"The output, {task.activation}, may be negative, and poisson takes its logarithm: NaN."
        )
    return None


def _out_of_range(task: Task) -> Verdict:
    values = [task.targets.get(name) for name in ("min", "max", "mean", "std")]
    if task.loss not in (*REGRESSIONS, *HINGES) or task.activation not in RANGES or None in values:
        return None
    least, most, mean, std = (float(value) for value in values if value is not None)
    if task.loss in HINGES:
        if task.activation in _PROBABILITIES:
            return None  # the loss is the wrong one, and `improper_loss` says so
        least, most = -1.0, 1.0  # what Keras makes of 0 and 1
    low, high = RANGES[task.activation]
    margin = 1e-6 * max(1.0, abs(least), abs(most))
    if low <= least + margin and most <= high + margin:
        return None
    lost = _unreachable(low, high, mean, std) if task.loss in REGRESSIONS else _SOME
    # A few values far out weigh little for a normal distribution, and are seen in the range.
    severity = Severity.ERROR if lost >= _FAR else Severity.WARNING
    if lost < _SOME and not _far_out(low, high, least, most, std):
        return None
    return severity, (
        f"The output, {task.activation}, gives {_interval(low, high)}; the targets reach from "
        f"{least:.4g} to {most:.4g} (mean {mean:.4g}, deviation {std:.4g}): about "
        f"{min(lost, 1):.0%} of their variance or more is out of reach."
    )


def _far_out(low: float, high: float, least: float, most: float, std: float) -> bool:
    return low - least > 3 * std or most - high > 3 * std


def _unreachable(low: float, high: float, mean: float, std: float) -> float:
    """Mean squared distance of normal values from a range, as a share of their variance."""
    if std == 0:
        return 1.0 if mean < low or mean > high else 0.0
    return _beyond((mean - high) / std) + _beyond((low - mean) / std)


def _beyond(t: float) -> float:
    """`E[(t + z)+²]` of a standard normal z."""
    if math.isinf(t):
        return 0.0
    density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    return (1 + t * t) * 0.5 * math.erfc(-t / math.sqrt(2)) + t * density
