"""Loading the model that `trainwell check` was given, and whether the data go with it."""

import importlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from .._command_line import CommandError
from .data import Samples
from .file import FROM_PYTHON, own_modules

_UNKNOWN = re.compile(r"Could not locate (class|function) '([^']*)'")
_LONGEST = 300
# Colors, TensorFlow's names of functions, Keras' opening.
_DECORATION = re.compile(
    r"\x1b\[[\d;]*m|\{\{.*?\}\}|Exception encountered when calling [\w.<>']+\(\)\.?"
)


def load(path: Path) -> Any:
    """The model, in safe mode: a new one each time.

    Raises:
        CommandError: It holds classes or functions of somebody's own, or what is not safe.
    """
    for module in own_modules(path):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise CommandError(
                f"'{path}' was saved with another version of trainwell: there is no {module}. "
                "Build the model anew with this one, and save it."
            ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an optimizer that never ran
            model = keras.models.load_model(path, safe_mode=True)
    except Exception as error:
        raise _unloadable(path, error) from error
    if not isinstance(model, keras.Model):
        raise CommandError(
            f"'{path}' holds a {type(model).__name__}, not a model. Save a `keras.Model`."
        )
    if not model.compiled or model.optimizer is None:
        raise CommandError(f"'{path}' holds a model that Keras can't compile again. {FROM_PYTHON}.")
    return model


def _unloadable(path: Path, error: Exception) -> CommandError:
    unknown = _UNKNOWN.search(str(error))
    if unknown:
        return CommandError(
            f"'{path}' holds the {unknown[1]} '{unknown[2]}', which is not Keras' or trainwell's "
            f"own. {FROM_PYTHON}."
        )
    return CommandError(
        f"Keras can't load '{path}': {one_line(error)} If it loads elsewhere, save it anew with "
        f"Keras {keras.__version__}."
    )


def check_fit(model: Any, samples: Samples, path: Path) -> None:
    """Refuses data that the model can't take in.

    Targets of another shape than the outputs are not refused: the rules say what that means.

    Raises:
        CommandError: There are several inputs or outputs, or the samples have another shape.
    """
    inputs, outputs = (getattr(model, name, None) or [] for name in ("inputs", "outputs"))
    if len(inputs) > 1 or len(outputs) > 1:
        raise CommandError(
            f"`trainwell check` takes models of one input and one output. Received: '{path}' with "
            f"{len(inputs)} and {len(outputs)}. {FROM_PYTHON}."
        )
    if inputs and not _matches(inputs[0].shape[1:], samples.x.shape[1:]):
        raise CommandError(
            f"'{path}' takes samples of shape {tuple(inputs[0].shape[1:])}. Received: '"
            f"{samples.name}' with samples of shape {samples.x.shape[1:]}. Reshape them as `fit` "
            "gets them, and save them so."
        )


def _matches(takes: Sequence[int | None], given: tuple[int, ...]) -> bool:
    """Whether Keras lets samples of a shape in: it adds and drops a last axis of length 1."""
    shapes = [given, (*given, 1), *([given[:-1]] if given[-1:] == (1,) else [])]
    return any(
        len(shape) == len(takes)
        and all(size in (None, one) for size, one in zip(takes, shape, strict=True))
        for shape in shapes
    )


def fixed_batch_size(model: Any) -> int | None:
    """What a model with a stateful layer was built for; None for any."""
    inputs = getattr(model, "inputs", None) or []
    return next((int(one.shape[0]) for one in inputs if one.shape[0]), None)


def refused_by_keras(model: Any, samples: Samples, path: Path, error: Exception) -> CommandError:
    """What to say where Keras stops at the first step, and no rule knows why."""
    outputs = getattr(model, "outputs", None) or []
    gives = f" and puts out {tuple(outputs[0].shape)}" if outputs else ""
    takes = tuple(model.inputs[0].shape) if getattr(model, "inputs", None) else "any"
    return CommandError(
        f"Keras can't train '{path}' on '{samples.name}': {one_line(error)} The model takes {takes}"
        f"{gives}; the inputs have the shape {samples.x.shape}, the targets {samples.y.shape}. "
        "Save both as `fit` gets them."
    )


def one_line(error: BaseException) -> str:
    """An exception in a line that ends with a full stop."""
    plain = _DECORATION.sub("", str(error)).split("Arguments received by")[0]
    text = " ".join(plain.split()) or type(error).__name__
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST].rsplit(' ', 1)[0]} ..."
    return f"{short.rstrip('.')}."
