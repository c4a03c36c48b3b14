"""What `trainwell check` shows in the terminal: a bar, a table, and none of others' warnings."""

import logging
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .words import listed, what, why

WIDTH = 100


def console() -> Console:
    """The terminal, or a page of `WIDTH` characters."""
    made = Console(highlight=False)
    if not made.is_terminal:
        made.width = WIDTH
    return made


def print_changes(changes: Sequence[Any], console: Console) -> None:
    """Prints changes as a table, and below it why."""
    table = Table(title="What was changed", title_justify="left")
    for title in ("", "what", "where", "before", "after", "against"):
        table.add_column(title, overflow="fold")
    for number, change in enumerate(changes, 1):
        cells = (what(change), listed(change.layers), change.before, change.after, change.symptom)
        table.add_row(f"{number}", *map(escape, cells))
    console.print(table)
    for number, change in enumerate(changes, 1):
        print(textwrap.fill(f"{number}. {why(change)}", WIDTH, subsequent_indent="   "))


@contextmanager
def only_the_doctor_warns() -> Iterator[None]:
    """Keras' warnings are findings here, and many models, which TensorFlow warns of, are meant."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"keras\.")
            warnings.filterwarnings("default", message="TrainingDoctor")
            yield
    finally:
        logger.setLevel(level)


def progress_on(console: Console) -> Progress:
    """A bar of epochs, in a terminal alone."""
    return Progress(
        TextColumn("{task.description}, epoch {task.completed} of {task.total}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
