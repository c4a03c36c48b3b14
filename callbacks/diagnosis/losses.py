"""Rules on the loss against the targets.

| loss | targets | verdict | why |
| --- | --- | --- | --- |
| any | another width than the output's | error | Keras refuses, or broadcasts |
| sparse categorical | below 0, or from the number of units on | error | no unit stands for them |
| sparse categorical | one-hot | error | Keras refuses the shape |
| categorical, sparse | any, with one unit | error | one class: the loss is 0 |
| crossentropies | outside 0 to 1 | error | the loss has no lowest value |
| categorical | several 1 a row | warning | classes compete for one probability |
| squared error | classes, behind sigmoid or softmax | warning | slow where most wrong |
| absolute error | the same | warning | slow, and drawn to the majority |
| hinge, squared hinge | the same | warning | as absolute and squared errors, never near 0 |

A binary crossentropy of -1 and 1 fell to -57 in 25 epochs at an accuracy of 0.67, where 0 and 1
gave 0.98. Squared errors of a softmax trained as well as crossentropy there (0.96).

Reference:
    Nielsen, chapter 3, "The cross-entropy cost function"; Ghosh, Kumar and Sastry 2017; Zhang and
    Sabuncu 2018 (mean absolute error of classifiers).
"""

from collections.abc import Iterator

from ..record import TrainingRecord
from ._task import CATEGORICAL, CROSSENTROPIES, HINGES, REGRESSIONS, Task, task_of
from .finding import Finding, Severity

Verdict = tuple[Severity, str] | None

_CLASSES = ("one_hot", "multi_hot", "binary")


def improper_loss(record: TrainingRecord) -> Iterator[Finding]:
    """The loss isn't one for these targets or for this number of units; the module's table."""
    task = task_of(record)
    verdict = task and (_one_unit(task) or _shapes(task) or _values(task) or _slow(task))
    if task and verdict:
        yield Finding(
            symptom="improper_loss",
            layers=(task.layer,),
            severity=verdict[0],
            first_step=0,
            evidence=verdict[1],
            remedies=task.remedies[::-1],
        )


def _one_unit(task: Task) -> Verdict:
    if task.loss in CATEGORICAL and task.units == 1:
        return Severity.ERROR, (
            f"The loss {task.loss} over one unit compares one class with itself: it is constant."
        )
    return None


def _shapes(task: Task) -> Verdict:
    width, units = task.width, task.units
    if width is None or units is None:
        return None
    if task.loss == "sparse_categorical_crossentropy":
        if task.kind in ("one_hot", "multi_hot"):
            return Severity.ERROR, (
                f"The loss {task.loss} takes the class's number, the targets have {width} columns."
            )
        return None
    if width == units or task.loss not in (*CROSSENTROPIES, *REGRESSIONS, "kl_divergence"):
        return None
    return Severity.ERROR, (
        f"The targets have {width} {'column' if width == 1 else 'columns'}, the output has "
        f"{units} {'unit' if units == 1 else 'units'}: {task.loss} takes as many of the one as "
        "of the other."
    )


def _values(task: Task) -> Verdict:
    low, high = task.targets.get("min"), task.targets.get("max")
    if low is None or high is None:
        return None
    if task.loss == "sparse_categorical_crossentropy":
        if task.units is not None and (low < 0 or high >= task.units):
            return Severity.ERROR, (
                f"Labels reach from {low:g} to {high:g}; the output's {task.units} units stand "
                f"for 0 to {task.units - 1}."
            )
        return None
    if task.loss in (*CROSSENTROPIES, "kl_divergence") and (low < 0 or high > 1):
        return Severity.ERROR, (
            f"The loss {task.loss} takes probabilities, the targets reach from {low:.4g} to "
            f"{high:.4g}."
        )
    if task.loss == "categorical_crossentropy" and task.kind == "multi_hot":
        return Severity.WARNING, (
            "The targets have not one 1 in each row, so that their classes compete for one "
            "probability."
        )
    return None


def _slow(task: Task) -> Verdict:
    if task.kind not in _CLASSES or task.activation not in ("sigmoid", "softmax"):
        return None
    if task.loss == "mean_squared_error":
        return Severity.WARNING, (
            f"The mean squared error of {task.activation} outputs has its smallest gradient where "
            "an answer is surely wrong."
        )
    if task.loss == "mean_absolute_error":
        return Severity.WARNING, (
            f"The mean absolute error of {task.activation} outputs pulls all to the more frequent "
            "class, and its gradient is smallest where an answer is surely wrong."
        )
    if task.loss in HINGES:
        return Severity.WARNING, (
            f"The loss {task.loss} takes outputs from -1 to 1; those of {task.activation} are "
            "never below 0: each wrong class costs 1 or more, and the rest learns slowly."
        )
    return None
