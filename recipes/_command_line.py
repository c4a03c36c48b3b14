"""What several commands of `trainwell` need; light to import."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CommandError(Exception):
    """What the user asked for cannot be done; the message is one line."""


def check_writable(out: Path) -> None:
    """Makes the folder, and tries it now rather than after minutes of training."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise CommandError(
            f"--out must be a folder that can be written to. Received: '{out}' "
            f"({error.strerror or error}). Name another one."
        ) from error


def make_deterministic() -> None:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


@contextmanager
def native_log_hidden() -> Iterator[None]:
    """Keeps what TensorFlow's C++ writes at import off the terminal.

    `TF_CPP_MIN_LOG_LEVEL` silences the rest; the lines at import come before absl's log is set
    up, and go to stderr whatever the level. Where the user has set a level, all is shown; where
    the import fails, the lines may say why, and are shown as well.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        terminal = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield
        except ImportError:
            log.seek(0)
            os.write(terminal, log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
