"""What `trainwell search` does: a search in a folder, told as it goes, its result in files."""

import contextlib
import io
import json
import sys
import warnings
from typing import Any

from rich.console import Console

from .._command_line import CommandError, make_deterministic
from .._search_folder import PROJECT, Folder, Parts, Settings, result_of
from ._command_display import Display
from ._command_recipes import tuner_for
from ._command_workers import Workers, chief_here


class SearchFailedError(Exception):
    """No value works, or no worker lives; the message says why."""


def run(settings: Settings, folder: Folder, parts: Parts, *, workers: int, is_chief: bool) -> None:
    """Searches, or goes on, and writes the result.

    Args:
        settings: `Settings`.
        folder: `Folder`, locked and checked.
        parts: `Parts`, the data.
        workers: Integer. With more than 1, this process is the chief of so many others.
        is_chief: Boolean. Whether it is the chief of workers started elsewhere.
    """
    _by_lines()
    make_deterministic()
    with contextlib.ExitStack() as stack:
        team = None
        if workers > 1:
            stack.enter_context(chief_here())
            team = stack.enter_context(Workers(settings, folder.path, workers))
        tuner = _tuner(settings, folder, parts)
        folder.keep(settings)
        _say_where_it_goes_on(tuner, folder)
        with Display(Console(), tuner.oracle) as display:
            if team is not None:
                team.watch(tuner.oracle, display.update)
            elif is_chief:
                display.look_again_and_again()
            _search(tuner, parts, settings, display.callbacks(), folder)
    summary = _write(tuner, settings, folder, parts)
    print(result_of(summary, folder.path))


def _tuner(settings: Settings, folder: Folder, parts: Parts) -> Any:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner tells what it reloads
            return tuner_for(settings, folder.path, parts)
    except (ValueError, RuntimeError) as error:  # the latter by KerasTuner, of a damaged file
        raise CommandError(str(error)) from error


def _search(
    tuner: Any, parts: Parts, settings: Settings, callbacks: list[Any], folder: Folder
) -> None:
    validation = (parts.x_validation, parts.y_validation)
    try:
        tuner.search(
            parts.x,
            parts.y,
            validation_data=validation,
            batch_size=settings.batch_size,
            callbacks=callbacks,
            verbose=1,
        )
    except ValueError as error:
        _write_trace(tuner, folder)
        raise SearchFailedError(str(error)) from error


def _say_where_it_goes_on(tuner: Any, folder: Folder) -> None:
    finished = sum(trial.status == "COMPLETED" for trial in tuner.oracle.trials.values())
    if finished:
        print(f"Going on with the search in '{folder.path}': {finished} trials are finished.")


# ------------------------------------------------------------------ the result


def _write(tuner: Any, settings: Settings, folder: Folder, parts: Parts) -> dict[str, Any]:
    """Writes the files; the summary comes last, and says that all others are whole."""
    try:
        with warnings.catch_warnings():
            # The weights are all that is wanted: the optimizer's state is not kept.
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            model = tuner.get_best_models()[0]
    except (OSError, ValueError, IndexError) as error:
        raise SearchFailedError(
            f"The best model's weights are not in '{folder.path / PROJECT}' ({error}). Workers of "
            "other machines must share that folder with the chief."
        ) from error
    trace = tuner.trace
    trials = [trial for trial in trace.trials.values() if trial.finished]
    best = tuner.oracle.get_best_trials(1)[0]
    chosen = trace.chosen
    summary = {
        "recipe": settings.recipe,
        "data": settings.data,
        "seed": settings.seed,
        "learning_rate": chosen.get("learning_rate"),
        "l2": chosen.get("l2"),
        "batch_size": chosen.get("batch_size", settings.batch_size),
        "epochs": chosen.get("epochs"),
        "val_accuracy": _rounded(best.score),
        "test_accuracy": _rounded(model.evaluate(parts.x_test, parts.y_test, verbose=0)[1]),
        "trials": len(trials),
        "training_steps": sum(trial.steps for trial in trials),
        "training_seconds": round(sum(trial.seconds for trial in trials), 1),
    }
    # Else what loads the file would warn that the optimizer's state is missing.
    model.optimizer.build(model.trainable_variables)
    with folder.replacing("model.keras") as path:
        model.save(path)
    with folder.replacing("search.png") as path:
        tuner.plot().savefig(path)
    _write_trace(tuner, folder)
    folder.write("summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _write_trace(tuner: Any, folder: Folder) -> None:
    trace = tuner.trace
    folder.write("trace.txt", trace.to_text(_TRACE_WIDTH) + "\n")
    folder.write("trace.json", json.dumps(trace.to_json(), indent=1) + "\n")


_TRACE_WIDTH = 100


def _rounded(accuracy: float) -> float:
    """Without the digits that float32 does not have."""
    return float(f"{accuracy:.7g}")


def _by_lines() -> None:
    """Shows each decision when it is made, in a pipe as well."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
