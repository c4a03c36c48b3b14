"""`TaskScore`: how well a model does its task, whatever loss it was trained with."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from ..callbacks._best_constant import loss_name
from ..callbacks._layer_description import name_of

Doubles = npt.NDArray[np.float64]
Kind = Literal["classes", "one_hot", "binary", "signs", "multi_hot", "numbers"]

STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class TaskScore:
    """Accuracy of a classification, R² of a regression, on held-out data; higher is better.

    ```
    accuracy    share of the samples (with several labels each: of the labels) answered right
    R²          1 - sum (y - output)² / sum (y - mean y)²
    ```

    The task is read off the targets, and off the given model's loss where class numbers could be
    amounts. Of several outputs it is the mean.

    Args:
        x: Held-out inputs.
        y: Held-out targets.
        loss: Of the model as it was given.
        factor: Float. What class numbers were divided by. Defaults to `1`.
    """

    x: Any
    y: Any
    loss: Any = None
    factor: float = 1.0

    @property
    def targets(self) -> list[Doubles]:
        """The targets, an array for each output."""
        return [np.asarray(one, "float64") * self.factor for one in keras.tree.flatten(self.y)]

    @property
    def kinds(self) -> list[Kind]:
        """What each output's targets are."""
        loss = loss_name(name_of(self.loss))
        return [_kind(one, loss) for one in self.targets]

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
        outputs = keras.tree.flatten(model.predict(self.x, batch_size=batch_size, verbose=0))
        logits = bool(getattr(model.loss, "from_logits", False))
        if len(outputs) != len(self.targets):
            return -math.inf
        scores = [
            _score(y, np.asarray(output, "float64"), kind, 0.0 if logits else 0.5)
            for y, output, kind in zip(self.targets, outputs, self.kinds, strict=True)
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


def _kind(y: Doubles, loss: str | None) -> Kind:
    width = y.shape[-1] if y.ndim > 1 else 1
    values = np.unique(y)
    whole = bool((np.abs(values - np.round(values)) < 1e-4).all())
    if width > 1 and set(np.round(values)) <= {0.0, 1.0} and whole:
        return "one_hot" if (y.sum(axis=-1) == 1).all() else "multi_hot"
    if whole and loss == "sparse_categorical_crossentropy" and values.min() >= -1e-4:
        return "classes"
    if width == 1 and whole and set(np.round(values)) == {0.0, 1.0}:
        return "binary"
    return "signs" if width == 1 and set(values) == {-1.0, 1.0} else "numbers"


def _chance(y: Doubles, kind: Kind) -> float:
    if kind == "numbers":
        return 0.0
    if kind == "one_hot":
        return float(y.reshape(-1, y.shape[-1]).mean(axis=0).max())
    if kind == "multi_hot":
        return float(np.maximum(y.mean(axis=0), 1 - y.mean(axis=0)).mean())
    return float(np.unique(np.round(y), return_counts=True)[1].max() / y.size)


def _score(y: Doubles, output: Doubles, kind: Kind, threshold: float) -> float:
    if not np.isfinite(output).all():
        return -math.inf
    if kind == "numbers":
        return _r_squared(y, output)
    if kind == "multi_hot":
        return float(((output > threshold) == (y > 0.5)).mean()) if output.shape == y.shape else 0.0
    if kind == "one_hot":
        return _share(output.argmax(axis=-1), y.argmax(axis=-1))
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
