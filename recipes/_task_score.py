"""`TaskScore`: how well a model does its task, whatever loss it was trained with."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from ..callbacks._best_constant import loss_name
from ..callbacks._layer_description import name_of

Doubles = npt.NDArray[np.float64]
Kind = Literal["classes", "one_hot", "binary", "signs", "multi_hot", "numbers"]

STANDARD_ERRORS = 2.0

_SPARSE = "sparse_categorical_crossentropy"
_HINGES = ("hinge", "squared_hinge")
_CLASSIFIES = (_SPARSE, "categorical_crossentropy", "binary_crossentropy", *_HINGES)


@dataclass(frozen=True)
class TaskScore:
    """Accuracy of a classification, R² of a regression, on held-out data; higher is better.

    ```
    accuracy    share of the samples (with several labels each: of the labels) answered right
    R²          1 - sum (y - output)² / sum (y - mean y)²      over all columns together
    ```

    The task is read off the targets, and off the given model's loss where class numbers could be
    amounts. Of several outputs it is the mean.

    Args:
        x: Held-out inputs.
        y: Held-out targets.
        loss: Of the model as it was given.
        factor: Float. What class numbers were divided by. Defaults to `1`.
        units: Integer. Units of the given model's only output: as many as there are whole numbers
            from 0 on make these classes, whatever the loss. Defaults to `None`.
    """

    x: Any
    y: Any
    loss: Any = None
    factor: float = 1.0
    units: int | None = None

    @cached_property
    def targets(self) -> list[Doubles]:
        """The targets, an array for each output; those of a dict by the names' order."""
        return [np.asarray(one, "float64") * self.factor for one in keras.tree.flatten(self.y)]

    @cached_property
    def kinds(self) -> list[Kind]:
        """What each output's targets are."""
        losses = map(_name, _each(self.loss, self.y, len(self.targets)))
        return [_kind(y, loss, self.units) for y, loss in zip(self.targets, losses, strict=True)]

    @property
    def metric(self) -> str:
        """`"accuracy"` or `"R²"`."""
        return "R²" if set(self.kinds) == {"numbers"} else "accuracy"

    @property
    def chance(self) -> float:
        """What the best constant answer reaches."""
        return float(
            np.mean([_chance(y, kind) for y, kind in zip(self.targets, self.kinds, strict=True)])
        )

    def of(self, model: Any, batch_size: int = 512) -> float:
        """The score of a model, `-inf` where an output is not finite."""
        outputs = model.predict(self.x, batch_size=batch_size, verbose=0)
        if isinstance(self.y, Mapping) and isinstance(outputs, (list, tuple)):
            named = dict(zip(model.output_names, outputs, strict=True))
            outputs = named if named.keys() == self.y.keys() else outputs
        outputs = [np.asarray(one, "float64") for one in keras.tree.flatten(outputs)]
        if len(outputs) != len(self.targets):
            return -math.inf
        losses = _each(model.loss, self.y, len(outputs))
        scores = [
            _score(y, output, kind, _threshold(loss))
            for y, output, kind, loss in zip(self.targets, outputs, self.kinds, losses, strict=True)
        ]
        return float(np.mean(scores))

    def skill(self, score: float) -> float:
        """The way from chance to perfect, 0 to 1."""
        return (score - self.chance) / max(1 - self.chance, 1e-12)

    def noise(self, score: float) -> float:
        """Differences up to this are noise of the held-out samples."""
        samples = len(self.targets[0])
        share = min(max(score, 0.0), 1.0)
        # Of R² the spread depends on the errors; that of a proportion is of the same order.
        return STANDARD_ERRORS * math.sqrt(2 * max(share * (1 - share), 1e-4) / samples)


def _each(loss: Any, y: Any, count: int) -> list[Any]:
    """The loss of each output, in the order of the targets; None where it can't be told."""
    if isinstance(loss, Mapping):
        known = isinstance(y, Mapping) and loss.keys() == y.keys()
        losses = [loss[name] for name in sorted(loss)] if known or count == 1 else []
    else:
        losses = list(loss) if isinstance(loss, (list, tuple)) else [loss] * count
    return losses if len(losses) == count else [None] * count


def _name(loss: Any) -> str | None:
    return loss_name(name_of(loss))


def _threshold(loss: Any) -> float:
    """Above it a single output says yes."""
    return 0.0 if getattr(loss, "from_logits", False) or _name(loss) in _HINGES else 0.5


# ---------------------------------------------------------------- targets


def _kind(y: Doubles, loss: str | None, units: int | None = None) -> Kind:
    width = y.shape[-1] if y.ndim > 1 else 1
    values = np.unique(y)
    whole = bool((np.abs(values - np.round(values)) < 1e-4).all())
    levels = set(np.round(values)) if whole and len(values) < 1000 else set()
    yes_or_no = bool(levels) and levels <= {0.0, 1.0}
    if width > 1 and _is_one_of_each_row(y, soft=loss == "categorical_crossentropy"):
        return "one_hot"
    one_each = width == 1 and units is not None and units > 2 and units == values.max() + 1
    if (loss == _SPARSE or one_each) and whole and values.min() >= 0:
        return "classes"
    if width > 1:
        return "multi_hot" if yes_or_no else "numbers"
    if yes_or_no and (len(levels) == 2 or loss in _CLASSIFIES):
        return "binary"
    if levels == {-1.0, 1.0} or (levels <= {-1.0, 1.0} and levels and loss in _HINGES):
        return "signs"
    return "classes" if whole and values.min() >= 0 and loss in _CLASSIFIES else "numbers"


def _is_one_of_each_row(y: Doubles, *, soft: bool) -> bool:
    """Whether each row has one 1 and else 0; of soft ones, whether it sums to 1."""
    hard = bool(((np.abs(y) < 1e-4) | (np.abs(y - 1) < 1e-4)).all())
    shares = soft and bool((y >= 0).all())
    return (hard or shares) and bool((np.abs(y.sum(axis=-1) - 1) < 1e-3).all())


def _chance(y: Doubles, kind: Kind) -> float:
    if kind == "numbers":
        return 0.0
    if kind == "multi_hot":
        return float(np.maximum(y.mean(axis=0), 1 - y.mean(axis=0)).mean())
    answers = y.argmax(axis=-1) if kind == "one_hot" else np.round(y)
    return float(np.unique(answers, return_counts=True)[1].max() / answers.size)


# ---------------------------------------------------------------- answers


def _score(y: Doubles, output: Doubles, kind: Kind, threshold: float) -> float:
    if not np.isfinite(output).all():
        return -math.inf
    if kind == "numbers":
        return _r_squared(y, output)
    if kind == "multi_hot":
        return _share(output.ravel() > threshold, y.ravel() > 0.5)
    if kind == "one_hot":
        return _share(output.argmax(axis=-1).ravel(), y.argmax(axis=-1).ravel())
    flat = np.round(y).ravel()
    if output.ndim > 1 and output.shape[-1] > 1 and output.size > flat.size:
        return _share(output.argmax(axis=-1).ravel(), flat)
    if kind == "signs":
        return _share(np.where(output.ravel() > 0, 1, -1), flat)
    if kind == "binary":
        return _share(output.ravel() > threshold, flat)
    return _share(np.round(output.ravel()), flat)


def _share(answers: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    return float((answers == truth).mean()) if answers.shape == truth.shape else 0.0


def _r_squared(y: Doubles, output: Doubles) -> float:
    if y.size != output.size:
        return -math.inf
    y, output = y.reshape(len(y), -1), output.reshape(len(y), -1)
    total = float(((y - y.mean(axis=0)) ** 2).sum())
    return 1 - float(((y - output) ** 2).sum()) / total if total > 0 else -math.inf
