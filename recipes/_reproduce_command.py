"""`trainwell reproduce`: its options. The experiments are imported when they are called."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from ._command_line import CommandError, check_writable, native_log_hidden
from .reproduce.catalog import EXPERIMENTS, Experiment, experiment

_KERAS_COPY = Path.home() / ".keras" / "datasets" / "mnist.npz"


def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The experiment; `--list` names them. Full runs take minutes, and say how many.",
        ),
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="A small version, under 20 s on two cores.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="How many, where it has any.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.npz",
            help="Default: TRAINWELL_MNIST, else Keras' MNIST; quick without it, digits.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: trainwell-NAME.")
    ] = None,
    list_names: Annotated[
        bool, typer.Option("--list", help="Print the experiments' names, one a line.")
    ] = False,
) -> None:
    """Run one of the texts' experiments again: figures, summary.json, ours beside the text's."""
    if list_names:
        for one in EXPERIMENTS:
            print(one.name)
        return
    chosen = _chosen(name)
    _one_thread()
    folder = out or Path(f"trainwell-{chosen.name}")
    with _left_only_if_filled(folder):
        check_writable(folder)
        print(f"{chosen.title}: {_duration(chosen, quick, seeds)}.", flush=True)
        _run(chosen, folder, quick, seeds, data or _mnist(quick))
    print(f"Written: {folder}")


def _run(chosen: Experiment, folder: Path, quick: bool, seeds: int | None, data: str) -> None:
    with native_log_hidden():
        from importlib import import_module

        from rich.console import Console

        from .datasets import DatasetError
        from .reproduce.outcome import Setting, show, write

        run = import_module(f".reproduce.{chosen.module}", __package__).run
    setting = Setting(quick=quick, seeds=seeds, data=data)
    started = time.perf_counter()
    try:
        outcome = run(setting)
    except DatasetError as error:
        raise CommandError(str(error)) from error
    write(outcome, chosen, setting, time.perf_counter() - started, folder)
    show(outcome, chosen, Console())


def _duration(chosen: Experiment, quick: bool, seeds: int | None) -> str:
    if quick:
        return "the small version, under 20 seconds on two cores"
    usual = "" if seeds is None else " with as many seeds as usual"
    minutes = f"{chosen.minutes} minute{'s' * (chosen.minutes > 1)}"
    return f"about {minutes} on one core{usual}; `--quick` takes under 20 seconds"


@contextmanager
def _left_only_if_filled(folder: Path) -> Iterator[None]:
    """Where nothing came of it, takes away the folders that were made for it."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    except BaseException:
        with suppress(OSError):  # one that holds something stays, and those around it
            for one in made:
                one.rmdir()
        raise


def _one_thread() -> None:
    """Keeps TensorFlow, if it isn't imported yet, from sharing these small operations out.

    Waking a second thread takes longer than they do: `benchmarks/replicate.py` measures it.
    """
    for pool in ("INTRAOP", "INTEROP"):
        os.environ.setdefault(f"TF_NUM_{pool}_THREADS", "1")


def _chosen(name: str) -> Experiment:
    try:
        return experiment(name)
    except KeyError:
        from ..callbacks.activation_facts import did_you_mean

        known = [one.name for one in EXPERIMENTS]
        raise CommandError(
            f"NAME must be an experiment that `trainwell reproduce --list` names. Received: "
            f"{name!r}.{did_you_mean(name, known)}"
        ) from None


def _mnist(quick: bool) -> str:
    """Where MNIST is, the digits where it is nowhere and a small version will do."""
    given = os.environ.get("TRAINWELL_MNIST")
    if given:
        return given
    return "digits" if quick and not _KERAS_COPY.is_file() else "mnist"
