"""Where a monitor's rows go: its records, their files and their TensorBoard logs."""

import errno
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._rows import Rows
from .record import TrainingRecord

if TYPE_CHECKING:
    from .tensorboard import LiveEventWriter

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Keeper:
    """Keeps the rows of one monitor, one group of them to a record.

    Args:
        file_name: Name of the files, without a suffix.
        directory: Path of the folder that they go to, or None.
        memory_limit: Integer. Bytes of a record in memory.
        warn: Called with a sentence where a file can't be written.

    Attributes:
        records: The records, that which grows last.
        steps_done: Steps of what is watched since its record began.
    """

    def __init__(
        self,
        file_name: str,
        directory: str | Path | None,
        memory_limit: int,
        warn: Callable[[str], None],
    ) -> None:
        TrainingRecord(memory_limit=memory_limit)  # its rule for it
        self.directory = None if directory is None else Path(directory)
        self.records: list[TrainingRecord] = []
        self.steps_done = 0
        self._file_name, self._memory_limit, self._warn = file_name, memory_limit, warn
        self._events: LiveEventWriter | None = None
        self._watched: Callable[[], Any] = lambda: None  # whose steps are in the last record
        self._fit = -1
        self._of_epoch: list[npt.NDArray[np.void]] = []

    def begin_fit(self, watched: Any) -> None:
        """Notes a `fit`, or another stretch of steps, of a model or an optimizer."""
        if watched is not self._watched():
            self._watched, self._fit, self.steps_done = weakref.ref(watched), -1, 0
        self._fit += 1

    def start(self, group: Rows, network: Callable[[], dict[str, Any]], log_layers: bool) -> None:
        """Begins a record, unless the last one goes on.

        Args:
            group: The group that the rows will be of.
            network: Describes what is watched.
            log_layers: Whether TensorBoard gets all layers.
        """
        description = network()
        if self._continued_by(group, description):
            return
        self._fit, self.steps_done = 0, 0
        self.records.append(TrainingRecord(description, memory_limit=self._memory_limit))
        self.records[-1].add_group(group)
        if self.directory:
            self._open_files(self.directory, log_layers)

    def append(self, epoch: int, steps: npt.NDArray[np.int64], fill: Callable[[Any], None]) -> None:
        """Adds a row for each of the steps.

        Args:
            epoch: Integer. The epoch that they are of.
            steps: Their numbers `[n]`.
            fill: Puts the statistics into rows `[n]`.
        """
        rows = self._group.empty(len(steps))
        rows["step"], rows["epoch"], rows["fit"] = steps, epoch, self._fit
        fill(rows)
        if epoch >= 0:
            self._of_epoch.append(rows)
        self.records[-1].append(self._group.name, rows)
        if self._events:
            self._events.rows(self._group, rows)

    def begin_epoch(self) -> None:
        """Forgets the rows of the epoch before."""
        self._of_epoch = []

    def record_of_epoch(self) -> TrainingRecord:
        """A record of this epoch's rows alone, not thinned."""
        record = TrainingRecord(self.records[-1].network)
        record.add_group(Rows.from_description(self._group.description() | {"stride": 1}))
        for rows in self._of_epoch:
            record.append(self._group.name, rows)
        return record

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Puts the logs of an epoch into the record, the numbers among them."""
        self.flush()
        numbers = {name: float(value) for name, value in logs.items() if np.ndim(value) == 0}
        self.records[-1].add_epoch({"epoch": epoch, "fit": self._fit, **numbers})

    def flush(self) -> None:
        """Writes what TensorBoard gets once an epoch."""
        if self._events:
            self._events.end_epoch()

    def _lost(self, what_goes_on: str, error: Exception) -> None:
        """Tells once of a file that can't be written; a full disk is told once for all files."""
        if getattr(error, "errno", None) in _DISK_FULL:
            self.records[-1].stream_to(None)
            self._events, what_goes_on = None, "its record in memory alone"
        self._warn(
            f"can't write to {str(self.directory)!r} any longer ({type(error).__name__}: {error}). "
            f"Training goes on, and {what_goes_on}; what was written stays readable."
        )

    @property
    def _group(self) -> Rows:
        return next(iter(self.records[-1].groups.values()))

    def _continued_by(self, group: Rows, network: dict[str, Any]) -> bool:
        """Whether a group's rows go on in the last record."""
        if self._fit == 0 or not self.records:
            return False
        if _compiled_as(self.records[-1].network) != _compiled_as(network):
            return False
        earlier = self.records[-1].groups.get(group.name)
        return earlier is not None and earlier.description() | {"stride": 1} == group.description()

    def _open_files(self, directory: Path, log_layers: bool) -> None:
        from .tensorboard import LiveEventWriter  # 0.2 s, for those who want it

        record = self.records[-1]
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path = _free_path(directory, self._file_name)
            record.stream_to(path, partial(self._lost, "its record in memory alone"))
            self._events = LiveEventWriter(
                path.with_suffix(""),
                record.network,
                log_layers,
                partial(self._lost, "the record without its TensorBoard logs"),
            )
        except OSError as error:
            self._warn(f"can't write to `directory` ({error}). The record goes on in memory.")


def _compiled_as(network: dict[str, Any]) -> tuple[Any, Any]:
    """The optimizer's name and the loss; its numbers may change on the way."""
    return (network.get("optimizer") or {}).get("name"), network.get("loss")


def _free_path(directory: Path, name: str) -> Path:
    path, number = directory / f"{name}.record", 1
    while path.exists():
        number += 1
        path = directory / f"{name}-{number}.record"
    return path
