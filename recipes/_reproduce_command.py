"""`trainwell reproduce`: its options. The experiments are imported when they are called."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from ._command_line import CommandError, check_writable, native_log_hidden
from .reproduce.catalog import EXPERIMENTS, Experiment, experiment

_KERAS_COPY = Path.home() / ".keras" / "datasets" / "mnist.npz"


def reproduce(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The experiment; `--list` names them.")
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
    check_writable(folder)
    with native_log_hidden():
        from importlib import import_module

        from rich.console import Console

        from .datasets import DatasetError
        from .reproduce.outcome import Setting, show, write

        run = import_module(f".reproduce.{chosen.module}", __package__).run
    setting = Setting(quick=quick, seeds=seeds, data=data or _mnist(quick))
    started = time.perf_counter()
    try:
        outcome = run(setting)
    except DatasetError as error:
        raise CommandError(str(error)) from error
    write(outcome, chosen, setting, time.perf_counter() - started, folder)
    show(outcome, chosen, Console())
    print(f"Written: {folder}")


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
