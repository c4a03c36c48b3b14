"""One worker of `trainwell search`: trains what a chief hands out, and nothing else."""

import contextlib
import io
import json
import os
import sys
import threading
from pathlib import Path

from .._command_line import make_deterministic, native_log_hidden
from .._search_folder import Parts, Settings, data_for
from ..datasets import load


def work(settings: Settings, out: Path, parts: Parts) -> None:
    """Runs trials until the chief has no more.

    Args:
        settings: `Settings`.
        out: Path of the search's folder, shared with the chief.
        parts: `Parts`, the data.
    """
    with native_log_hidden():
        from ._command_recipes import tuner_for

        make_deterministic()
    with contextlib.redirect_stdout(io.StringIO()):
        tuner = tuner_for(settings, out, parts)
    validation = (parts.x_validation, parts.y_validation)
    tuner.search(
        parts.x,
        parts.y,
        validation_data=validation,
        batch_size=settings.batch_size,
        verbose=0,
    )


def _main(arguments: str) -> None:
    """The process that `Workers` starts; it ends when its input does."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    given = json.loads(arguments)
    settings = Settings(**given["settings"])
    parts = data_for(settings.recipe, load(settings.data), settings.seed)
    work(settings, Path(given["out"]), parts)


def _end_with_input() -> None:
    """Waits for the chief's end of the pipe to close, as it does however the chief ends."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    _main(sys.argv[1])
