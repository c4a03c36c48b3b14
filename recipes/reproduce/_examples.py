"""The images as rows of standardized features with whole-number classes."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..mlp import standardization
from ._nielsen import images
from .outcome import Setting


class Examples(NamedTuple):
    """Features `[n, features]`, standardized by the training part, and classes `[n]`."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    x_validation: npt.NDArray[np.float32]
    y_validation: npt.NDArray[np.int64]
    name: str


def examples(setting: Setting, most: int | None = None, standardize: bool = True) -> Examples:
    """The setting's data, split as `images` splits them.

    Args:
        setting: Names the data.
        most: Training examples to keep. Defaults to all.
        standardize: Whether each feature gets mean 0 and deviation 1; else all stay in 0 to 1.
            Defaults to `True`.
    """
    data = images(setting)
    x, y = data.x[:most], data.y[:most].argmax(axis=1)
    held, classes = data.x_validation, data.y_validation.argmax(axis=1)
    if not standardize:
        return Examples(x, y, held, classes, data.name)
    layer: Any = standardization(x, (x.shape[1],))
    return Examples(np.asarray(layer(x)), y, np.asarray(layer(held)), classes, data.name)
