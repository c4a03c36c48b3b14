"""`simplify`: a small problem first."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt


def simplify(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    classes: Sequence[Any],
    samples: int,
    *,
    seed: int = 0,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """A small problem made of a large one: some of its classes, few of its samples.

    Choose it before anything is known about a network: to tell two classes apart with a few
    hundred samples takes seconds, so that many settings can be tried, and a network that does
    not learn this will not learn the whole. Rates found so are a start; check them on the whole
    problem (`LearningRateStage(start=...)`), and state lambda in the texts' units or per sample,
    since the same penalty weighs more where there are fewer samples.

    The classes are balanced: each gets `samples // len(classes)` samples, the first ones one more
    where that leaves a rest. Labels become 0, 1, ... in the order of `classes`, so that a network
    with `len(classes)` outputs fits. Which samples are taken, and their order, hang on `seed`.

    Args:
        x: Array of inputs, one sample a row.
        y: Array of labels `[n]` or `[n, 1]`, of integers or strings.
        classes: Sequence of the labels to keep, at least two.
        samples: Integer. How many samples to keep in all.
        seed: Integer. Defaults to `0`.

    Returns:
        `(x, y)`: arrays of `samples` rows; `y` is `[samples]`, int64.

    Raises:
        ValueError: A label is not in `y` or is named twice, a class has too few samples, or the
            arrays don't fit each other.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Broad strategy".

    Example:
        ```python
        x, y = simplify(x_train, y_train, classes=[0, 1], samples=200)
        ```
    """
    inputs, labels = np.asarray(x), _labels(y)
    if inputs.ndim == 0 or len(inputs) != len(labels):
        raise ValueError(
            "`x` and `y` must have a row for each sample. Received: "
            f"x of shape {inputs.shape}, y of shape {labels.shape}."
        )
    wanted = _checked_classes(classes, labels)
    share = _shares(samples, len(wanted))
    _check_seed(seed)
    generator = np.random.default_rng(seed)
    rows, targets = [], []
    for index, (label, count) in enumerate(zip(wanted, share, strict=True)):
        members = np.flatnonzero(labels == label)
        if len(members) < count:
            raise ValueError(
                f"Class {label!r} has {len(members)} samples, fewer than the {count} that it must "
                f"give. Received: samples={samples!r}. Ask for at most "
                f"{min(np.count_nonzero(labels == one) for one in wanted) * len(wanted)}."
            )
        rows.append(generator.choice(members, count, replace=False))
        targets.append(np.full(count, index, np.int64))
    order = generator.permutation(int(samples))
    return inputs[np.concatenate(rows)[order]], np.concatenate(targets)[order]


def _labels(y: npt.ArrayLike) -> npt.NDArray[Any]:
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            "`y` must hold one label for each sample, of shape [n] or [n, 1]. Received: y of shape "
            f"{labels.shape}. From one-hot rows pass y.argmax(axis=1)."
        )
    return labels


def _checked_classes(classes: Any, labels: npt.NDArray[Any]) -> list[Any]:
    if isinstance(classes, (str, bytes)) or not hasattr(classes, "__iter__"):
        raise ValueError(
            "`classes` must be a sequence of labels, such as [0, 1]. "
            f"Received: classes={classes!r}."
        )
    wanted = list(classes)
    known = np.unique(labels).tolist()
    unknown = [label for label in wanted if label not in known]
    if unknown or len(wanted) < 2 or len(set(wanted)) < len(wanted):
        some = ", ".join(map(repr, known[:20]))
        raise ValueError(
            "`classes` must name at least two labels of `y`, each once. Received: "
            f"classes={classes!r}. `y` holds {some}{', ...' if len(known) > 20 else ''}."
        )
    return wanted


def _shares(samples: Any, classes: int) -> list[int]:
    if not isinstance(samples, Integral) or isinstance(samples, bool) or samples < classes:
        raise ValueError(
            f"`samples` must be a whole number, at least one for each of the {classes} classes. "
            f"Received: samples={samples!r}."
        )
    each, rest = divmod(int(samples), classes)
    return [each + (index < rest) for index in range(classes)]


def _check_seed(seed: Any) -> None:
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"`seed` must be a whole number from 0 on. Received: seed={seed!r}.")
