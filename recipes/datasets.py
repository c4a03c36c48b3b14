"""`load`: small image sets and your own arrays, checked and scaled, in one shape."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..callbacks.activation_facts import did_you_mean

KEYS = ("x_train", "y_train", "x_test", "y_test")
DOWNLOADED = ("mnist", "fashion_mnist")
NAMES = ("digits", *DOWNLOADED)

# The digits count dark pixels of 4 x 4 blocks, so that 16 is the largest value.
_DIGITS_LARGEST = 16
# Far beyond any network here: such labels are numbers to predict, not classes.
_MOST_CLASSES = 10_000


class DatasetError(ValueError):
    """A data set that cannot be used; the message says why and what to do."""


class Dataset(NamedTuple):
    """Training and test data of a classification task.

    Attributes:
        x_train: Inputs, float32 `[n, *shape]`.
        y_train: Classes, int64 `[n]`, in `0..classes-1`.
        x_test: Inputs, float32 `[m, *shape]`.
        y_test: Classes, int64 `[m]`.
        name: Name of the set; of a file, its name without the suffix.
        classes: Number of classes.
    """

    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]
    name: str
    classes: int


def load(name_or_path: str | PathLike[str]) -> Dataset:
    """A data set by its name, or from a file of arrays.

    ```
    "digits"          1,437 + 360 handwritten digits, 8 x 8, of 0..16, divided by 16; bundled
    "mnist"           60,000 + 10,000 digits, 28 x 28, of 0..255, divided by 255; downloaded
    "fashion_mnist"   the same with ten kinds of clothes
    "FILE.npz"        uint8 inputs divided by 255, all others as they are
    ```

    The bundled digits are shuffled once and for all before they are split: the same thirteen people
    wrote both parts. On the digits of people it has not seen, the same network does worse.

    Args:
        name_or_path: String or path. `"digits"`, `"mnist"`, `"fashion_mnist"`, or an `.npz` file
            with `x_train`, `y_train`, `x_test` and `y_test`: inputs `[n, *shape]` and classes
            `[n]` or `[n, 1]`, whole numbers from 0 on. Nothing pickled in it is read.

    Returns:
        A `Dataset`; its inputs are float32, its classes int64.

    Raises:
        DatasetError: The name is not known, the download failed, or the file does not hold such
            arrays.

    Reference:
        E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
        Repository, 1998.

    Example:
        ```python
        data = load("digits")
        data.x_train.shape, data.classes  # ((1437, 8, 8), 10)
        ```
    """
    name = os.fspath(name_or_path)
    if name == "digits":
        with resources.files(f"{__package__}.data").joinpath("digits.npz").open("rb") as file:
            return _dataset(_read(file, name), name, _DIGITS_LARGEST)
    if name in DOWNLOADED:
        return _dataset(_download(name), name)
    path = Path(name)
    if path.suffix.lower() != ".npz":
        raise DatasetError(
            f"A data set is one of {', '.join(map(repr, NAMES))} or the path of an .npz file. "
            f"Received: {name!r}.{did_you_mean(name, NAMES)}"
        )
    try:
        with path.open("rb") as file:
            return _dataset(_read(file, name), path.stem)
    except OSError as error:
        raise DatasetError(
            f"The data set '{name}' cannot be opened: {error.strerror or error}. Check the path, "
            f"or name one of {', '.join(map(repr, NAMES))}."
        ) from error


def _read(file: IO[bytes], name: str) -> dict[str, npt.NDArray[Any]]:
    """The four arrays of an npz file."""
    try:
        archive = np.load(file, allow_pickle=False)
    # `np.load` takes a file of neither kind for a pickle, which it refuses.
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _not_an_archive(name, "it is damaged or of another kind") from error
    if not isinstance(archive, Mapping):
        raise _not_an_archive(name, "it is a single array")
    missing = [key for key in KEYS if key not in archive]
    if missing:
        raise DatasetError(
            f"A data set needs the arrays {', '.join(KEYS)}. Received: '{name}' with "
            f"{', '.join(archive) or 'none'}, without {', '.join(missing)}. Save them by these "
            "names with `np.savez_compressed`."
        )
    return {key: _member(archive, key, name) for key in KEYS}


def _member(archive: Mapping[str, Any], key: str, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(archive[key])
    except ValueError as error:
        raise DatasetError(
            f"`{key}` of '{name}' must be an array of numbers. Received: Python objects, which "
            "only pickle can read, and pickle runs code. Save `np.stack(...)` of them."
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise _not_an_archive(name, f"`{key}` is damaged ({error})") from error


def _not_an_archive(name: str, why: str) -> DatasetError:
    return DatasetError(
        f"A data set is an .npz archive. Received: '{name}', but {why}. Write it with "
        "`np.savez_compressed(path, x_train=..., y_train=..., x_test=..., y_test=...)`."
    )


def _download(name: str) -> dict[str, npt.NDArray[Any]]:
    """The four arrays from Keras' loader, which keeps them in `~/.keras/datasets`."""
    import keras

    try:
        arrays = getattr(keras.datasets, name).load_data()
    # Keras turns network errors into a bare `Exception`.
    except Exception as error:
        raise DatasetError(
            f"{name!r} could not be downloaded: {' '.join(str(error).split())}. Try again with a "
            f"connection, or get an .npz file with {', '.join(KEYS)} yourself and pass its path."
        ) from error
    return dict(zip(KEYS, (array for part in arrays for array in part), strict=True))


# ------------------------------------------------------------------ checks


def _dataset(arrays: dict[str, npt.NDArray[Any]], name: str, largest: int = 255) -> Dataset:
    """The data set of four arrays, or the rule that they break."""
    x_train, x_test = (_inputs(arrays[f"x_{part}"], f"x_{part}", largest) for part in _PARTS)
    y_train, y_test = (_classes(arrays[f"y_{part}"], f"y_{part}") for part in _PARTS)
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if len(x) != len(y):
            raise DatasetError(
                f"`x_{part}` and `y_{part}` need one row per sample. Received: {len(x)} inputs "
                f"and {len(y)} classes. Cut or reload the longer one."
            )
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DatasetError(
            "The samples of `x_train` and `x_test` must have one shape. Received: "
            f"{x_train.shape[1:]} and {x_test.shape[1:]}. Reshape one of them."
        )
    classes = int(max(y_train.max(), y_test.max())) + 1
    if classes < 2:
        raise DatasetError(
            "A classification task needs two classes at least. Received: only class 0 in `y_train` "
            "and `y_test`. Add samples of another class."
        )
    return Dataset(x_train, y_train, x_test, y_test, name, classes)


_PARTS = ("train", "test")


def _inputs(values: npt.NDArray[Any], key: str, largest: int) -> npt.NDArray[np.float32]:
    if values.dtype.kind not in "biuf":
        raise DatasetError(
            f"`{key}` must hold real numbers. Received: dtype {values.dtype}. Encode categories "
            "and text as numbers first."
        )
    if values.ndim < 2 or values.size == 0:
        raise DatasetError(
            f"`{key}` must have the shape [samples, ...] with one sample and one feature at least. "
            f"Received: shape {values.shape}. A single feature is a column: `x.reshape(-1, 1)`."
        )
    with np.errstate(over="ignore"):
        inputs = values.astype(np.float32)
    if not np.isfinite(inputs).all():
        raise DatasetError(
            f"`{key}` must be finite in float32. Received: {int((~np.isfinite(inputs)).sum())} "
            "values that are NaN, infinite or too large. Drop or fill those samples."
        )
    if values.dtype == np.uint8:
        inputs /= largest
    return inputs


def _classes(values: npt.NDArray[Any], key: str) -> npt.NDArray[np.int64]:
    rule = f"`{key}` must hold classes, whole numbers 0, 1, ..., one per sample. Received: "
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.size == 0:
        raise DatasetError(
            f"{rule}shape {values.shape}. One-hot rows become classes with `y.argmax(axis=1)`."
        )
    if values.dtype.kind not in "biuf":
        raise DatasetError(f"{rule}dtype {values.dtype}. {_NUMBER_THEM}")
    wrong = values[~((values >= 0) & (values < _MOST_CLASSES) & (values == np.floor(values)))]
    if len(wrong):
        raise DatasetError(
            f"{rule}{', '.join(str(value) for value in wrong[:3].tolist())}"
            f"{', ...' if len(wrong) > 3 else ''}. {_NUMBER_THEM}"
        )
    return values.astype(np.int64)


_NUMBER_THEM = "Number them with `np.unique(y, return_inverse=True)[1]`."
