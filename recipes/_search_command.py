"""`trainwell search`: its options. What it does is imported when it is called."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ._command_line import CommandError, check_writable, native_log_hidden

FAILED = 1

RECIPES = ("mlp", "self_normalizing_mlp", "residual_mlp", "convnet", "resnet", "recurrent")

_ENVIRONMENT = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")


def search(
    recipe: Annotated[
        str, typer.Option(metavar="NAME", help=f"The network: {', '.join(RECIPES)}.")
    ] = "mlp",
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.npz", help="digits, mnist, fashion_mnist or your own arrays."
        ),
    ] = "digits",
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that train, of this machine.")
    ] = 1,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the files go, and what is gone on with.")
    ] = Path("trainwell-search"),
    batch_size: Annotated[
        int, typer.Option(min=1, help="Samples a step, or where to begin its search.")
    ] = 32,
    search_batch_size: Annotated[
        bool,
        typer.Option(
            "--search-batch-size",
            help="Search it too, by accuracy against what a step costs here and now.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Same seed, same search.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew where DIR holds a search.")
    ] = False,
) -> None:
    """Search learning rate, L2 and epochs of a network, and train it with them.

    Killed and started again, it goes on; finished, it prints its result. A fifth of the training
    data, 10,000 samples at most, is held out to choose by; the test data are used once, at the end.

    With KERASTUNER_TUNER_ID ("chief" or a worker's own name), KERASTUNER_ORACLE_IP and
    KERASTUNER_ORACLE_PORT set, it is the chief or one of the workers, on one machine or on several
    that share DIR. Where those differ in cores, one value of TF_NUM_INTRAOP_THREADS for all of them
    keeps the last bits equal.

    Exits with 1 where no value works; DIR/trace.txt then says what was tried.
    """
    from ._search_folder import Folder, Settings, data_for
    from .datasets import DatasetError, load

    _check_recipe(recipe)
    role = _role(workers)
    try:
        dataset = load(data)
    except DatasetError as error:
        raise CommandError(str(error)) from error
    parts = data_for(recipe, dataset, seed)
    check_writable(out)
    settings = Settings(
        recipe=recipe,
        data=data,
        digest=parts.digest(),
        seed=seed,
        batch_size=batch_size,
        search_batch_size=search_batch_size,
    )
    folder = Folder(out)
    if role == "worker":
        if not overwrite:
            folder.check(settings)
        from .search._command_worker import work

        work(settings, out, parts)
        print(f"Worker {os.environ['KERASTUNER_TUNER_ID']!r} is done: the search is over.")
        return
    with folder.locked():
        if overwrite:
            folder.clear()
        folder.check(settings)
        if folder.print_result():
            return
        with native_log_hidden():
            from .search._command import SearchFailedError, run
        try:
            run(settings, folder, parts, workers=workers, is_chief=role == "chief")
        except SearchFailedError as error:
            print(f"trainwell: {' '.join(str(error).split())}", file=sys.stderr)
            raise typer.Exit(FAILED) from error


def _check_recipe(recipe: str) -> None:
    if recipe not in RECIPES:
        from ..callbacks.activation_facts import did_you_mean

        raise CommandError(
            f"--recipe must be one of {', '.join(RECIPES)}. Received: {recipe!r}."
            f"{did_you_mean(recipe, RECIPES)}"
        )


def _role(workers: int) -> str:
    """What KerasTuner's environment variables make of this process."""
    given = {name: os.environ[name] for name in _ENVIRONMENT if os.environ.get(name)}
    if not given:
        return "alone"
    missing = [name for name in _ENVIRONMENT if name not in given]
    if missing:
        raise CommandError(
            "A chief and its workers need all three of the environment variables "
            f"{', '.join(_ENVIRONMENT)}. Received: no {' and no '.join(missing)}. Set all, or "
            f"unset {' and '.join(given)}."
        )
    if workers > 1:
        raise CommandError(
            "--workers starts a chief and workers of its own. Received: "
            f"--workers {workers} with {' and '.join(_ENVIRONMENT)} set. Leave one of them out."
        )
    return "chief" if "chief" in given["KERASTUNER_TUNER_ID"] else "worker"
