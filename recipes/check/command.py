"""`trainwell check`: its options. What it does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from .._command_line import check_writable, make_deterministic, native_log_hidden

FOUND = 1


def check(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.keras", help="A compiled model, saved by Keras.")
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="FILE.npz|NAME",
            help="What the model is trained on, as `fit` gets it: x_train, y_train, x_test, "
            "y_test, or x, y[, x_val, y_val]; or digits, mnist, fashion_mnist.",
        ),
    ],
    fit: Annotated[bool, typer.Option("--fit", help="Train a copy, and watch it.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Change what is wrong, retrain, keep the best.")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="As many as are planned: what is too slow is judged by it. Of --fit, and of each "
            "attempt of --repair.",
            show_default="as many as make 1,000 steps, 5 to 50",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples a step.")] = 32,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path(
        "trainwell-check"
    ),
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Same seed, same numbers.")] = 0,
) -> None:
    """Say what is wrong with a saved model and its data, and mend it.

    Without --fit, it looks at layers, loss, optimizer and data, and takes ten steps back again: a
    second. The file is never changed. DIR gets report.html, summary.json and record; with --repair,
    repaired.keras.

    Where the file has no test or validation data, a fifth of the samples is held out; the seed says
    which.

    Exits with 0 where no finding is an error, with 1 where one is, with 2 where model or data can't
    be used. With --repair too it is the model as given that is judged.
    """
    from .data import data_of
    from .file import REPAIRED, check_file, check_kept

    check_file(model)
    if repair:
        check_kept(model, out / REPAIRED)
    samples = data_of(data, seed)
    check_writable(out)
    with native_log_hidden():
        from .check import Check
    make_deterministic()
    examined = Check(model, samples, out, epochs=epochs, batch_size=batch_size, seed=seed)
    examined.before_training()
    if fit:
        examined.while_training()
    examined.tell()
    if repair:
        examined.repair()
    print(f"Report: {out / 'report.html'}")
    if examined.errors:
        raise typer.Exit(FOUND)
