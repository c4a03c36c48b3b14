"""`prescribe`: a model changed as the findings' remedies say."""

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ..callbacks.diagnosis.finding import Finding, Remedy, Severity
from .remedies import ends, hidden_activations, layers, optimizers, scales
from .remedies.changes import Change as Change
from .remedies.changes import NotChangedError
from .remedies.treatment import Treatment, performed

Apply = Callable[[Treatment, Finding, Remedy], Change]
Choice = tuple[Finding, Remedy]

REMEDIES: dict[str, Apply] = {
    "output_activation": ends.output_activation,
    "loss": ends.loss,
    "target_scaling": scales.target_scaling,
    "input_scaling": scales.input_scaling,
    "activation": hidden_activations.activation,
    "initializer": layers.initializer,
    "normalization": layers.normalization,
    "dropout": layers.dropout,
    "regularization": layers.regularization,
    "optimizer": optimizers.optimizer,
    "clipping": optimizers.clipping,
    "learning_rate": optimizers.learning_rate,
    "connect": optimizers.not_the_models,
    "epochs": optimizers.not_the_models,
    "batch_size": optimizers.not_the_models,
}
"""What each kind of remedy does, in the order in which they are applied."""

_TOGETHER = ("improper_output_activation", "improper_loss")
"""Symptoms whose remedies are halves of one: output and loss have to suit each other."""


@dataclass(frozen=True, kw_only=True)
class Prescription:
    """A changed model, and what was changed.

    Attributes:
        model: The new model, compiled; the old one is as it was.
        changes: What was changed, and why.
        not_changed: What could not be, in sentences that say what to do by hand.
    """

    model: keras.Model
    changes: tuple[Change, ...]
    not_changed: tuple[str, ...]

    def __str__(self) -> str:
        """A line for each change."""
        return "\n".join([*map(str, self.changes), *(f"by hand: {s}" for s in self.not_changed)])


def prescribe(
    model: keras.Model, findings: Sequence[Finding], *, x: Any = None, y: Any = None
) -> keras.Model:
    """The model changed as the findings say, and compiled; the given one stays as it is.

    The first remedy of each root cause is applied, unless that is only worth knowing: activations
    and their initializers are swapped, normalization or dropout put in, output and loss mended,
    inputs and targets scaled inside the model, gradients clipped, the rate or the optimizer
    changed. What follows from a root is left to its root's remedy. Choose it where you want the
    changes and train yourself; `repair` tries, trains and compares.

    Weights are kept where nothing before them was changed, and all are drawn anew after symptoms
    that leave damage (dead or saturated units, explosions, NaN), but those of frozen and of
    adapted layers. The optimizer begins anew; its settings, the losses and the metrics stay.

    Args:
        model: Sequential or functional model, compiled.
        findings: Of `preflight`, `TrainingDoctor.findings` or `diagnose`.
        x: Training inputs, arrays as in `fit`. Inputs are then standardized by their means and
            deviations, instead of by a batch normalization in front, and rates that a remedy
            leaves open are found by a range test, instead of a factor of ten. Defaults to `None`.
        y: Training targets. Defaults to `None`.

    Returns:
        A compiled `keras.Model`. `prescription` also tells what was changed.

    Raises:
        ValueError: The model is not compiled, or neither Sequential nor functional, or has a layer
            that can't be made from its configuration.

    Warns:
        UserWarning: A remedy can't be applied; it says what to do by hand.

    Reference:
        Each finding's remedies name theirs. Zhang et al. 2021, *AutoTrainer*, repairs likewise.

    Example:
        ```python
        findings = preflight(model, x, y)
        mended = prescribe(model, findings, x=x, y=y)
        mended.fit(x, y, epochs=10)
        ```
    """
    made = prescription(model, findings, x=x, y=y)
    for sentence in made.not_changed:
        warnings.warn(sentence, stacklevel=2)
    return made.model


def prescription(
    model: keras.Model, findings: Sequence[Finding], *, x: Any = None, y: Any = None
) -> Prescription:
    """As `prescribe`, with a list of the changes and of what could not be changed.

    Args:
        model: As in `prescribe`.
        findings: As in `prescribe`.
        x: As in `prescribe`.
        y: As in `prescribe`.

    Returns:
        The `Prescription`.

    Raises:
        ValueError: As in `prescribe`.

    Example:
        ```python
        for change in prescription(model, findings).changes:
            print(change)
        ```
    """
    if isinstance(findings, Finding) or not all(isinstance(one, Finding) for one in findings or ()):
        raise ValueError(
            "`findings` must be a list of `Finding`, as `preflight`, `diagnose` and "
            f"`TrainingDoctor.findings` give it. Received: findings={findings!r}."
        )
    return apply_remedies(model, first_remedies(findings or []), x, y)


def first_remedies(
    findings: Sequence[Finding], tried: Collection[tuple[str, str]] = ()
) -> list[Choice]:
    """The first remedy of each root that is at least a warning, and was not tried.

    Of two that would change the same the more important finding's is taken: one rate, one
    activation where one is present; and no rate beside another optimizer, since it is the old
    one's.

    Args:
        findings: In the order of `diagnose`.
        tried: `(symptom, key_of(remedy))` of those that did not help.
    """
    serious = [one for one in findings if one.severity is not Severity.INFO]
    present = {finding.symptom for finding in serious}
    chosen: list[Choice] = []
    for finding in serious:
        if finding.cause in present:
            continue
        left = [one for one in finding.remedies if (finding.symptom, key_of(one)) not in tried]
        chosen += [(finding, one) for one in (left if finding.symptom in _TOGETHER else left[:1])]
    kinds = [remedy.kind for _, remedy in chosen]
    return [
        choice
        for at, choice in enumerate(chosen)
        if not (choice[1].kind == "learning_rate" and "optimizer" in kinds)
        and not any(_same(choice, earlier) for earlier in chosen[:at])
    ]


def _same(choice: Choice, earlier: Choice) -> bool:
    """Whether both would change the same."""
    kind = choice[1].kind
    if kind != earlier[1].kind or kind == "initializer":
        return False
    missing = [finding.symptom == "missing_activation" for finding, _ in (choice, earlier)]
    return kind != "activation" or missing[0] == missing[1]


def key_of(remedy: Remedy) -> str:
    """What tells a remedy from another."""
    return f"{remedy.kind} {remedy.value!r}"


def apply_remedies(
    model: Any, chosen: Sequence[Choice], x: Any = None, y: Any = None, batch_size: int = 32
) -> Prescription:
    """The model with these remedies; a range test takes batches of this size.

    Of two of one kind the first is taken; of two for the same hidden layer the last.
    """
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ValueError(
            "`model` must be a compiled Keras model, as its optimizer and loss are part of what "
            f"is changed. Received: model={model!r}. Call `model.compile` first."
        )
    treatment = Treatment(model, x, y, batch_size)
    changes: list[Change] = []
    refused = list(treatment.left_out)
    for finding, remedy in _in_order(chosen):
        try:
            changes.append(REMEDIES[remedy.kind](treatment, finding, remedy))
        except NotChangedError as reason:
            refused.append(str(reason))
    if {"loss", "output_activation"} & {change.kind for change in changes}:
        units = ends.output_units(treatment)
        changes += [units] if units else []
    new = performed(treatment, {finding.symptom for finding, _ in chosen})
    if treatment.rate_is_asked:
        changes, sentences = optimizers.with_found_rate(treatment, new, changes)
        refused += sentences
    return Prescription(
        model=new, changes=tuple(changes), not_changed=tuple(dict.fromkeys(refused))
    )


def _in_order(chosen: Sequence[Choice]) -> list[Choice]:
    """By kind; one of each, but for those of layers, where another finding has other layers."""
    by_kind: dict[str, list[Choice]] = {kind: [] for kind in REMEDIES}
    for choice in chosen:
        same = by_kind[choice[1].kind]
        if not same or choice[1].kind in ("activation", "initializer"):
            same.append(choice)
    return [choice for same in by_kind.values() for choice in same]
