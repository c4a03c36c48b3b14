"""The arrays that `trainwell check` looks at: as they are, since their scale is part of it."""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._command_line import CommandError
from ..datasets import NAMES, DatasetError, _member, _not_an_archive, load

Array = npt.NDArray[Any]

_TRAINING = (("x_train", "y_train"), ("x", "y"))
_VALIDATION = (("x_test", "y_test"), ("x_val", "y_val"))
_HELD_OUT = 5
_WRITE = "`np.savez_compressed(path, x_train=..., y_train=..., x_test=..., y_test=...)`"


class Samples(NamedTuple):
    """What a model is trained on and what it is judged on.

    Attributes:
        name: What the data are called.
        x: Inputs `[n, *shape]`, of any type that `fit` takes.
        y: Targets `[n, ...]`.
        x_validation: Inputs `[m, *shape]`.
        y_validation: Targets `[m, ...]`.
        held_out: Whether the validation data were taken out of the others.
    """

    name: str
    x: Array
    y: Array
    x_validation: Array
    y_validation: Array
    held_out: bool


def data_of(name: str, seed: int) -> Samples:
    """The data of a file or a name.

    Unlike `datasets.load`, it scales nothing, and takes targets of any kind: classes, one-hot
    rows, numbers to predict.

    Args:
        name: String. An `.npz` file, or `"digits"`, `"mnist"`, `"fashion_mnist"` as
            `datasets.load` gives them.
        seed: Integer. Of what is held out where the file has no validation data.

    Raises:
        CommandError: There are no such data, or they are not two arrays of samples.
    """
    try:
        if name in NAMES:
            known = load(name)
            return Samples(name, known.x_train, known.y_train, known.x_test, known.y_test, False)
        if Path(name).suffix.lower() != ".npz":
            load(name)  # says which names there are
        arrays = _read(name)
    except DatasetError as error:
        raise CommandError(str(error)) from error
    train = next(pair for pair in _TRAINING if pair[0] in arrays)
    x, y = _checked(arrays, train)
    pair = next((pair for pair in _VALIDATION if pair[0] in arrays), None)
    if pair is None:
        return _with_held_out(name, x, y, seed)
    x_validation, y_validation = _checked(arrays, pair)
    for ours, theirs, ending in ((x, x_validation, "x"), (y, y_validation, "y")):
        if ours.shape[1:] != theirs.shape[1:]:
            raise CommandError(
                f"The samples of `{train[ending == 'y']}` and `{pair[ending == 'y']}` must have "
                f"one shape. Received: {ours.shape[1:]} and {theirs.shape[1:]}. Reshape one of "
                "them."
            )
    return Samples(name, x, y, x_validation, y_validation, False)


def _read(name: str) -> dict[str, Array]:
    """The arrays of the file, both of a pair or neither."""
    try:
        archive = np.load(name, allow_pickle=False)
    except OSError as error:
        raise CommandError(
            f"The data '{name}' cannot be opened: {error.strerror or error}. Check the path."
        ) from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _not_an_archive(name, "it is damaged or of another kind") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise _not_an_archive(name, "it is a single array")
    with archive:
        present = [pair for pairs in (_TRAINING, _VALIDATION) if (pair := _pair_in(archive, pairs))]
        if not present or present[0] not in _TRAINING:
            raise CommandError(
                "The data need the arrays x_train and y_train (and x_test, y_test), or x and y "
                f"(and x_val, y_val). Received: '{name}' with {', '.join(archive) or 'none'}. Save "
                f"them by these names with {_WRITE}. A model of several inputs or outputs is "
                "checked from Python, with `trainwell.recipes.preflight(model, x, y)`."
            )
        return {key: _member(archive, key, name) for pair in present for key in pair}


def _pair_in(archive: Any, pairs: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    for pair in pairs:
        there = [key for key in pair if key in archive]
        if len(there) == 1:
            missing = next(key for key in pair if key not in archive)
            raise CommandError(
                f"`{there[0]}` needs `{missing}` beside it. Received: a file with "
                f"{', '.join(archive)}. Save both with {_WRITE}."
            )
        if there:
            return pair
    return None


def _checked(arrays: dict[str, Array], pair: tuple[str, str]) -> tuple[Array, Array]:
    x, y = (_numbers(arrays[key], key) for key in pair)
    if len(x) != len(y):
        raise CommandError(
            f"`{pair[0]}` and `{pair[1]}` need one row per sample. Received: {len(x)} and "
            f"{len(y)} rows. Cut or reload the longer one."
        )
    return x, y


def _numbers(values: Array, key: str) -> Array:
    if values.dtype.kind not in "biuf":
        number_them = (
            "Number classes with `np.unique(y, return_inverse=True)[1]`."
            if key.startswith("y")
            else "Encode categories and text as numbers first."
        )
        raise CommandError(
            f"`{key}` must hold real numbers. Received: dtype {values.dtype}. {number_them}"
        )
    if values.ndim == 0 or values.size == 0:
        raise CommandError(
            f"`{key}` must have the shape [samples, ...], with one sample at least. Received: "
            f"shape {values.shape}."
        )
    return values


def _with_held_out(name: str, x: Array, y: Array, seed: int) -> Samples:
    count = len(x) // _HELD_OUT
    if not count:
        raise CommandError(
            f"Without test data, every {_HELD_OUT}th sample is held out. Received: '{name}' with "
            f"{len(x)} of them. Gather more, or add x_test and y_test."
        )
    order = np.random.default_rng(seed).permutation(len(x))
    there, here = np.sort(order[:count]), np.sort(order[count:])
    return Samples(name, x[here], y[here], x[there], y[there], True)
