"""`trainwell`, the command line. Whatever is heavy is imported by the command that needs it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._command_line import CommandError, check_writable, make_deterministic, native_log_hidden
from ._reproduce_command import reproduce
from ._search_command import search
from .check.command import check

if TYPE_CHECKING:
    from ..callbacks.record import TrainingRecord

INTERRUPTED = 130
REFUSED = 2

# Keras' functional models recurse through their layers: Python's limit stops them near 1,000.
_MOST_LAYERS = 300

app = typer.Typer(
    name="trainwell",
    help="Deep Keras networks that train, and the reason when they don't.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Runs the command line.

    Its exit codes: 0 done, 1 a search that found no value or a check that found an error, 2
    refused with one line on stderr, 130 interrupted.
    """
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (CommandError, OSError) as error:
        return _refuse(str(error))
    except Exception as error:
        # Usage errors. By their method: typer carries its own click since 0.26 and used the
        # package of that name before.
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
            return REFUSED
        return _refuse(f"{error.format_message().rstrip('.')}. See `trainwell --help`.")
    if code == INTERRUPTED:
        print("trainwell: interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _refuse(message: str) -> int:
    print(f"trainwell: {' '.join(message.split())}", file=sys.stderr)
    return REFUSED


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"trainwell {version('trainwell')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.npz", help="digits, mnist, fashion_mnist or your own arrays."
        ),
    ] = "digits",
    layers: Annotated[int, typer.Option(min=1, max=_MOST_LAYERS, help="Hidden layers.")] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each network.")] = 10,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path(
        "trainwell-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same numbers.")] = 0,
) -> None:
    """Train one deep network wired several ways and compare their gradients."""
    from .datasets import DatasetError, load

    with native_log_hidden():
        try:
            dataset = load(data)
        except DatasetError as error:
            raise CommandError(str(error)) from error
        check_writable(out)
        from .demo import compare
    make_deterministic()
    compare(dataset, out, layers=layers, epochs=epochs, seed=seed)
    print(f"Report: {out / 'report.html'}")


@app.command()
def report(
    record: Annotated[
        Path, typer.Argument(metavar="RECORD", help="What TrainingRecord.save wrote.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path(
        "trainwell-report"
    ),
) -> None:
    """Write a saved record as report.html, summary.json and figures."""
    loaded = _load_record(record)
    check_writable(out)
    from ..callbacks.plots import plot_gradient_norms, plot_learning_speed
    from ..callbacks.report import write_report

    if "gradient_norm" in loaded.statistics:
        plot_gradient_norms(loaded).savefig(out / "gradient_norms.png")
        if loaded.hidden_kernels():
            plot_learning_speed(loaded).savefig(out / "learning_speed.png")
    write_report(loaded, [], out / "report.html")
    summary = {
        "record": str(record),
        "network": loaded.network.get("name"),
        "rows": len(loaded.steps),
        "epochs": len(loaded.epochs),
        "variables": len(loaded.variables),
        "statistics": list(loaded.statistics),
        "truncated": loaded.truncated,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(f"Report: {out / 'report.html'}")


def _load_record(path: Path) -> "TrainingRecord":
    from ..callbacks.record import TrainingRecord

    try:
        record = TrainingRecord.load(path)
    except FileNotFoundError:
        raise CommandError(
            f"There is no record '{path}'. `TrainingRecord.save(path)` writes one."
        ) from None
    except ValueError as error:
        raise CommandError(str(error)) from error
    if not record.groups or not len(record.steps):
        raise CommandError(
            f"'{path}' holds no step: nothing was trained, or the file was cut off before the "
            "first. Save the record after `fit`."
        )
    return record


app.command()(check)
app.command()(search)
app.command()(reproduce)
