"""What a `.keras` file says of itself before Keras is loaded, and what is refused for it."""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._command_line import CommandError

REPAIRED = "repaired.keras"
"""The mended model, in the folder of what the command writes."""

_CONFIG = "config.json"
_OWN = re.compile(r"trainwell\.(recipes|callbacks)(\.\w+)+")
_SAVE = "Save it anew with `model.save('model.keras')`."
FROM_PYTHON = (
    "Check it from Python, where they are defined, with `trainwell.recipes.preflight(model, x, y)` "
    "and `trainwell.callbacks.TrainingDoctor`"
)


def check_file(path: Path) -> None:
    """Refuses what `fit` can't train or what would run code on loading.

    Raises:
        CommandError: It is no `.keras` file, it is damaged, its model is not compiled, or holds a
            lambda.
    """
    config = _config(path)
    if any(one.get("class_name") == "__lambda__" for one in _dicts(config)):
        raise CommandError(
            f"'{path}' holds a Lambda layer with Python code in it, which is not run. Replace it "
            "by a Keras layer (such as Rescaling) or `keras.ops`, and save the model again; or, if "
            "you trust it, load it yourself. " + FROM_PYTHON + "."
        )
    compiled = config.get("compile_config") or {}
    if not compiled.get("optimizer") or not compiled.get("loss"):
        raise CommandError(
            f"'{path}' holds a model without {'a loss' if compiled else 'optimizer and loss'}, "
            "which are part of what is checked. Call `model.compile(optimizer, loss, "
            "metrics=...)` as you train it, and save it again."
        )


def check_kept(path: Path, repaired: Path) -> None:
    """Refuses to write the mended model over the given one."""
    if repaired.exists() and repaired.samefile(path):
        raise CommandError(
            f"The mended model would replace '{path}', and the file is never changed. Name another "
            "--out."
        )


def own_modules(path: Path) -> list[str]:
    """The modules of trainwell whose classes are in the file: Keras wants them imported."""
    named = {str(one.get("module")) for one in _dicts(_config(path))}
    return sorted(name for name in named if _OWN.fullmatch(name))


def _config(path: Path) -> dict[str, Any]:
    if path.suffix in (".h5", ".hdf5"):
        raise CommandError(
            f"MODEL must be a .keras file. Received: '{path}', of the older kind, which can't be "
            "loaded without running what is in it. Convert one that you trust with "
            "`keras.models.load_model(path).save('model.keras')`."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(_CONFIG))
    except OSError as error:
        raise CommandError(
            f"The model '{path}' cannot be opened: {error.strerror or error}. Check the path."
        ) from error
    # An `Error` of zlib's, a member that is missing, a checksum that is wrong, text that is cut.
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError) as error:
        raise CommandError(
            f"MODEL must be a .keras file. Received: '{path}', which is of another kind, damaged "
            f"or cut off. {_SAVE}"
        ) from error
    if path.suffix != ".keras":
        raise CommandError(
            f"MODEL must be a file whose name ends in .keras, or Keras does not load it. Received: "
            f"'{path}'. Rename it."
        )
    if not isinstance(config, dict):
        raise CommandError(f"'{path}' describes no model. {_SAVE}")
    return config


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    """All dictionaries within JSON."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
