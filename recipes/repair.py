"""`repair`: diagnoses, prescribes, trains and compares, until a model trains."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..callbacks.diagnosis.diagnose import diagnose
from ..callbacks.diagnosis.finding import Finding
from ._arguments import positive_integer
from ._preflight_record import preflight_record
from ._repair_choices import Choices, added, of_the_ends
from ._repair_result import Attempt, Repair
from ._repair_runs import GOOD, Run, Training, errors_of
from ._task_score import TaskScore
from .prescription import Choice, apply_remedies
from .remedies.changes import Change


def repair(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    validation_data: tuple[Any, Any],
    epochs: int,
    batch_size: int = 32,
    attempts: int = 5,
    verbose: int = 1,
) -> Repair:
    """Finds out why a model does not train, changes that, and trains it.

    The model is trained as it is under a `TrainingDoctor`; the remedies of the root causes that
    it finds are applied together, the new model is trained, and so on: where an attempt helped,
    on top of it, where it did not, with the next remedies instead. Where the evidence is used up,
    or two attempts are left and nothing came 0.6 of the way from chance to perfect, it tries what
    the textbook recommends for any deep network, then that at a rate found by a range test.

    An attempt starts with the given weights where they still make sense, is trained for `epochs`
    at most, and ends where it is decided: hopeless, nothing left to gain, or behind the best one
    and not catching up. Of each the best weights count, by accuracy or R² on the validation data.
    The first attempt without errors that comes so far ends the repair.

    The given model stays as it is. The mended one takes the same `x` and `y`: what has to be
    scaled is scaled inside. Choose it when you would try the usual remedies by hand;
    `prescribe` makes one change without training.

    Args:
        model: Sequential or functional model, compiled.
        x: Training inputs: an array, or a list or dict of arrays.
        y: Training targets likewise.
        validation_data: Inputs and targets to judge by, not among the training data.
        epochs: Integer. Most epochs of an attempt.
        batch_size: Integer. Defaults to `32`.
        attempts: Integer. Most prescriptions; the training of the given model comes on top.
            Defaults to `5`.
        verbose: Integer. `1` prints a line for each attempt, `0` none. Defaults to `1`.

    Returns:
        The `Repair`. Its model is never worse than the given one, by the score.

    Raises:
        ValueError: An argument is not as described; the model or the data can't be trained on,
            and no finding says why.

    Reference:
        Zhang et al. 2021, *AutoTrainer*; Géron, chapter 11.

    Example:
        ```python
        mended = repair(model, x, y, validation_data=(x_val, y_val), epochs=20)
        print(mended)
        mended.model.save("mended.keras")
        ```
    """
    epochs, attempts = positive_integer("epochs", epochs), positive_integer("attempts", attempts)
    batch_size = positive_integer("batch_size", batch_size)
    _check_data(x, y, validation_data)
    record, error = preflight_record(model, x, y, batch_size, epochs, 0)
    before = diagnose(record)
    if error is not None and not errors_of(before):
        raise error
    score = TaskScore(
        *validation_data, loss=model.loss, factor=_factor(before), units=_units(model)
    )
    training = Training(x, y, validation_data, score, epochs, batch_size)
    return _Repairing(model, training, attempts, print if verbose else _silent).run(before)


class _Repairing:
    """A repair under way."""

    def __init__(
        self, model: Any, training: Training, attempts: int, tell: Callable[[str], None]
    ) -> None:
        self._model, self._training, self._most, self._tell = model, training, attempts, tell
        self._choices = Choices()
        self._attempts: list[Attempt] = []
        self._by_hand: dict[str, None] = {}
        # What to go on from: its run, and what it was made with. It may score less than the best.
        self._leader: tuple[Run, list[Choice]] | None = None
        # What to give back: its run, and its place among the attempts.
        self._best: tuple[Run, int] | None = None

    def run(self, before: list[Finding]) -> Repair:
        score, given = self._training.score, self._score_as_given()
        self._try([], before)
        while len(self._attempts) <= self._most and not self._is_done():
            chosen = self._next()
            if not chosen:
                break
            self._try(chosen, [])
        assert self._best is not None
        run, at = self._best
        best, worse = self._attempts[at], not run.score >= given or not math.isfinite(run.score)
        healthy = not worse and not run.errors
        return Repair(
            model=self._model if worse else run.model,
            attempts=self._attempts,
            healthy=healthy,
            metric=score.metric,
            score_before=given,
            score=given if worse else run.score,
            changes=() if worse else best.changes,
            not_changed=best.not_changed if healthy else tuple(self._by_hand),
        )

    def _score_as_given(self) -> float:
        try:
            return self._training.score.of(self._model)
        except ValueError:  # a model that never was built
            return -math.inf

    def _next(self) -> list[Choice]:
        assert self._leader is not None
        run, choices = self._leader
        left = self._most - len(self._attempts) + 1
        new = self._choices.of_findings(run.findings)
        is_good = self._training.score.skill(run.score) >= GOOD
        if new and (left > 2 or is_good or len(self._attempts) == 1):
            return added(choices, new)
        textbook = self._choices.of_textbook()
        ends = added(of_the_ends(choices), of_the_ends(new))
        return added(ends, textbook) if textbook else []

    def _try(self, choices: list[Choice], known: list[Finding]) -> None:
        """Makes an attempt, unless it would be one that was made."""
        number = len(self._attempts)
        training = self._training
        made = apply_remedies(self._model, choices, training.x, training.y, training.batch_size)
        self._by_hand |= dict.fromkeys(made.not_changed)
        if made.changes in [attempt.changes for attempt in self._attempts]:
            return  # what is new in it could not be applied
        run = training.run(made.model, self._best[0] if self._best else None)
        run.findings = run.findings or known
        outcome = _told(run, made.changes, training.score.metric)
        self._attempts.append(
            Attempt(
                number=number,
                changes=made.changes,
                not_changed=made.not_changed,
                findings=run.findings,
                score=run.score,
                epochs=run.epochs,
                seconds=run.seconds,
                outcome=outcome,
            )
        )
        self._tell(f"attempt {number} of {self._most}: {outcome}")
        if self._leads(run, choices):
            self._leader = run, choices
        if self._is_best(run):
            self._best = run, number

    def _is_best(self, run: Run) -> bool:
        """Whether it scores higher than all before, or as high with fewer errors."""
        if self._best is None:
            return True
        best = self._best[0]
        fewer = len(run.errors) < len(best.errors)
        return run.score > best.score or (run.score == best.score and fewer)

    def _leads(self, run: Run, choices: list[Choice]) -> bool:
        """Whether to go on from this attempt: it is better, or as good with less wrong."""
        if self._leader is None:
            return True
        leader, before = self._leader
        score = self._training.score
        if not math.isfinite(run.score) or not math.isfinite(leader.score):
            return run.score > leader.score or not math.isfinite(leader.score)
        noise = score.noise(max(run.score, leader.score))
        if abs(run.score - leader.score) > noise:
            return run.score > leader.score
        mended = {choice[0].symptom for choice in choices if choice not in before}
        errors, earlier = {one.symptom for one in run.errors}, {x.symptom for x in leader.errors}
        # A fault that is gone stays gone, whatever else shows now that it no longer hides it.
        is_mended = bool((earlier & mended) - errors)
        is_better = not (errors & mended) and run.score > leader.score
        fewer = len(errors) - len(earlier)
        return fewer < 0 or (fewer == 0 and (is_mended or is_better))

    def _is_done(self) -> bool:
        assert self._leader is not None
        run = self._leader[0]
        return not run.errors and self._training.score.skill(run.score) >= GOOD


def _told(run: Run, changes: tuple[Change, ...], metric: str) -> str:
    kinds = {change.kind: f"{change.kind.replace('_', ' ')} {change.after}" for change in changes}
    what = "; ".join(kinds.values()) or "as given"
    errors = ", ".join(one.symptom for one in run.errors)
    found = f"errors found: {errors}" if errors else "no error found"
    epochs = f"{run.epochs} epoch{'s' * (run.epochs != 1)}"
    ended = f", ended early ({run.ended})" if run.ended else ""
    return f"{what}: {metric} {run.score:.3f} after {epochs}{ended}; {found}"


def _units(model: Any) -> int | None:
    """Units of the only output, None where there are several or it isn't known."""
    outputs = getattr(model, "outputs", None) or []
    return outputs[0].shape[-1] if len(outputs) == 1 and len(outputs[0].shape) == 2 else None


def _factor(findings: list[Finding]) -> float:
    """What class numbers were divided by, where a finding says so."""
    values = [remedy.value for one in findings for remedy in one.remedies
              if remedy.kind == "target_scaling"]  # fmt: skip
    factors = [value.get("labels") for value in values if isinstance(value, dict)]
    return float(next((factor for factor in factors if factor), 1.0))


def _check_data(x: Any, y: Any, validation_data: Any) -> None:
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise ValueError(
            "`validation_data` must be a pair of held-out inputs and targets; sample weights are "
            f"not used here. Received: {_shown(validation_data)}."
        )
    for name, inputs, targets in (("x, y", x, y), ("validation_data", *validation_data)):
        lengths = {len(one) if np.ndim(one) else 0 for one in keras.tree.flatten((inputs, targets))}
        if targets is None or len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                f"`{name}` must be arrays of equally many samples, at least one. Received: "
                f"lengths {sorted(lengths)}. Of `tf.data`, take as many batches as fit in memory."
            )


def _shown(validation_data: Any) -> str:
    if isinstance(validation_data, (tuple, list)):
        return f"a {type(validation_data).__name__} of {len(validation_data)}"
    return f"validation_data of type {type(validation_data).__name__}"


def _silent(line: str) -> None:
    pass
