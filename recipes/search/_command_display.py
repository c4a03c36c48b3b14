"""Progress bars of `trainwell search`: each trial that runs, and how many are finished."""

import threading
from types import TracebackType
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ._run_report import asked_values, is_finished

_LOOK_SECONDS = 0.5


class Display:
    """Shows what an oracle has handed out; nothing where the output is no terminal.

    Args:
        console: Where to.
        oracle: The `HeuristicOracle`.
    """

    def __init__(self, console: Console, oracle: Any) -> None:
        self._oracle = oracle
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._all = self._progress.add_task("", total=None, state="")
        self._running: dict[str, TaskID] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Display":
        self.update()
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._progress.stop()

    def update(self) -> None:
        """Shows what runs now."""
        if self._progress.disable:
            return
        running = {trial.trial_id: trial for trial in list(self._oracle.ongoing_trials.values())}
        for trial_id in self._running.keys() - running.keys():
            self._progress.remove_task(self._running.pop(trial_id))
        for trial_id in sorted(running.keys() - self._running.keys()):
            # Without a total the bar moves to and fro: a worker tells nothing until the end.
            words = f"  {trial_id} {_words(running[trial_id])}"
            self._running[trial_id] = self._progress.add_task(words, total=None, state="")
        finished = sum(map(is_finished, list(self._oracle.trials.values())))
        self._progress.update(self._all, description=f"{finished} trials finished")

    def epoch(self, epoch: int, epochs: int) -> None:
        """Shows how far the one trial of this process is."""
        self.update()
        for task in self._running.values():
            state = f"epoch {epoch} of at most {epochs}"
            self._progress.update(task, completed=epoch, total=epochs, state=state)

    def callbacks(self) -> list[Any]:
        """What tells the display how far a trial of this process is."""
        return [] if self._progress.disable else [_Epochs(self)]

    def look_again_and_again(self) -> None:
        """Follows an oracle whose trials run in other processes."""

        def look() -> None:
            while not self._over.wait(_LOOK_SECONDS):
                self.update()

        self._thread = threading.Thread(target=look, daemon=True)
        self._thread.start()


class _Epochs(keras.callbacks.Callback):
    def __init__(self, display: Display) -> None:
        super().__init__()
        self._display = display

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Epochs":
        return self  # KerasTuner copies callbacks for each run

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._display.epoch(0, self.params["epochs"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._display.epoch(epoch + 1, self.params["epochs"])


def _words(trial: Any) -> str:
    values = asked_values(trial.hyperparameters.values)
    shown = {name: values[name] for name in ("learning_rate", "l2", "batch_size") if name in values}
    return ", ".join(f"{name}={value:g}" for name, value in shown.items())
