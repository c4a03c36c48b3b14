"""Training records as native TensorBoard logs: scalars at every recorded step, histograms an epoch.

TensorFlow is neither needed nor imported: these are TensorBoard's own protocol buffers.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.scalar.metadata import create_summary_metadata

from ._arguments import check_record
from ._curves import Curve, curves_of
from ._event_file import EventFile
from ._rows import Rows
from .record import TrainingRecord

_STEPS_WITHOUT_EPOCHS = 1000  # of a histogram, in a loop without `fit`
_ROWS_AT_ONCE = 4_000


def write_tensorboard(
    record: TrainingRecord, directory: str | os.PathLike[str], *, log_layers: bool = False
) -> None:
    """Writes a record for `tensorboard --logdir DIRECTORY`, as `GradientNorms(directory=...)` does.

    Each group of rows becomes a TensorBoard run, a folder in `directory`. At every recorded step it
    has the scalars `gradient_norm` (of all variables together), `gradient_ratio` (first over last
    hidden kernel), the true `loss`, the `learning_rate`, and `gradient_norm/LAYER` for the layers;
    once an epoch the histograms `log10_gradient_norm/LAYER` of the epoch's recorded steps. Other
    statistics are laid out alike; those that are no magnitudes have `epoch_STATISTIC/LAYER` as
    histograms. NaN, infinity and 0 are written as they are, but left out where a logarithm is taken
    of them. A record does not know when its steps ran: all have the time of this call.

    1,000 steps of 16 layers take about 0.03 s and 0.5 MB (`benchmarks/tensorboard_cost.py`).

    ```python
    record = callbacks.TrainingRecord.load("run.record")
    callbacks.write_tensorboard(record, "logs/run")
    ```

    Args:
        record: The record, loaded or live.
        directory: Path of a folder; made if there is none.
        log_layers: Boolean. Whether to write all layers, rather than at most 16: those with
            kernels, evenly spaced by depth, the first and the last among them. Defaults to `False`.

    Raises:
        ValueError: The record is empty.
        FileExistsError: `directory` already holds such logs: TensorBoard would mix the two.
    """
    check_record(record)
    groups = [group for group in record.groups.values() if len(group.data)]
    if not groups:
        raise ValueError(
            "The record is empty: there is nothing to write. Pass the `record` of a monitor after "
            "`model.fit`, or one that `TrainingRecord.load` has read."
        )
    for group in groups:
        folder = Path(directory) / group.name
        if any(folder.glob("*tfevents*")):
            raise FileExistsError(
                "TensorBoard would mix two logs in one folder, and one is there already. "
                f"Received: directory={str(directory)!r}, which has '{group.name}'. Pass "
                "another, or delete that folder."
            )
    for group in groups:
        writer = EventWriter(Path(directory) / group.name, record.network, log_layers)
        for at in range(0, len(group.data), _ROWS_AT_ONCE):
            writer.rows(group, group.data[at : at + _ROWS_AT_ONCE])
        writer.end_epoch()


class EventWriter:
    """Appends the rows of one group to one event file, which is open only while it is written.

    Args:
        folder: Folder of the TensorBoard run.
        network: The description of the network that the group is of.
        every_layer: Whether to show all layers, rather than at most 16.
    """

    def __init__(self, folder: Path, network: dict[str, Any], every_layer: bool = False) -> None:
        self._network, self._every_layer = network, every_layer
        self._written_at = time.time()
        name = f"events.out.tfevents.{int(self._written_at):010d}"
        name += f".{socket.gethostname()}.{os.getpid()}.{folder.name}"
        self._file = EventFile(folder / name)
        self._curves: list[Curve] = []
        self._begun: set[str] = set()  # tags
        self._epoch: tuple[int, int] | None = None  # the fit, the epoch in it
        self._of_epoch: list[npt.NDArray[np.float32]] = []  # [n, curves of layers]
        self._last = Event()

    def rows(self, group: Rows, rows: npt.NDArray[np.void]) -> None:
        """Writes rows `[n]` of a group, always the same one.

        Raises:
            OSError: They can't be written.
        """
        if not len(rows):
            return
        self._curves = self._curves or curves_of(group, self._network, self._every_layer)
        # Nobody noted when each step ran: some time since the last rows were read.
        now = time.time()
        times = np.linspace(self._written_at, now, len(rows) + 1)[1:]
        self._written_at = now
        ends = np.flatnonzero((np.diff(rows["epoch"]) != 0) | (np.diff(rows["fit"]) != 0)) + 1
        for part, at in zip(np.split(rows, ends), np.split(times, ends), strict=True):
            self._begin(int(part["fit"][0]), int(part["epoch"][0]))
            self._scalars(part, at.tolist())

    def end_epoch(self) -> None:
        """Writes the histograms of the epoch's rows.

        Raises:
            OSError: They can't be written.
        """
        self._histograms()

    # ------------------------------------------------------------------ inside

    def _begin(self, fit: int, epoch: int) -> None:
        enough = epoch < 0 and sum(map(len, self._of_epoch)) >= _STEPS_WITHOUT_EPOCHS
        if enough or (fit, epoch) != self._epoch:
            self._histograms()
        self._epoch = fit, epoch

    def _scalars(self, rows: npt.NDArray[np.void], times: list[float]) -> None:
        """Adds an event for each row of an epoch, and keeps what its histograms need."""
        columns = {curve.tag: curve.values(rows) for curve in self._curves}
        of_layers = [columns[curve.tag] for curve in self._curves if curve.of_layer]
        self._of_epoch.append(np.stack(of_layers, axis=1))
        if "loss" not in self._begun and np.isnan(columns["loss"]).all():
            del columns["loss"]  # a loop that does not show it
        steps, values = rows["step"].tolist(), np.stack([*columns.values()], axis=1).tolist()
        events = []
        for step, wall_time, numbers in zip(steps, times, values, strict=True):
            event = self._last = Event(step=step, wall_time=wall_time)
            # As plain numbers: tensors would be longer, and unknown to `EventAccumulator.Scalars`.
            for tag, number in zip(columns, numbers, strict=True):
                event.summary.value.add(tag=tag, simple_value=number)
            if self._begun.issuperset(columns):
                events.append(event.SerializeToString())
            else:
                self._describe(event)
        self._file.append(events)

    def _describe(self, event: Event) -> None:
        """Writes an event that says what its values are.

        TensorBoard keeps the first one of each tag; its fast loader only those of histograms.
        """
        meanings = {curve.tag: curve.meaning for curve in self._curves}
        for value in event.summary.value:
            value.metadata.MergeFrom(create_summary_metadata(None, meanings[value.tag]))
            self._begun.add(value.tag)
        self._file.append([event.SerializeToString()])

    def _histograms(self) -> None:
        """Adds those of the rows since the last ones, at the last step."""
        if not self._of_epoch:
            return
        values, self._of_epoch = np.concatenate(self._of_epoch).T.astype(np.float64), []
        event = Event(step=self._last.step, wall_time=self._last.wall_time)
        for curve, series in zip((c for c in self._curves if c.of_layer), values, strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                numbers = np.log10(series) if curve.in_decades else series
            numbers = numbers[np.isfinite(numbers)]
            if len(numbers):
                prefix, log = ("log10_", "log10 of the ") if curve.in_decades else ("epoch_", "")
                meaning = f"{log}{curve.meaning}; distribution over the epoch's recorded steps"
                one = histogram_pb(prefix + curve.tag, numbers, description=meaning)
                event.summary.value.extend(one.value)
        if event.summary.value:
            self._file.append([event.SerializeToString()])


class LiveEventWriter(EventWriter):
    """An event writer that raises nothing: where it can't write, it says so once and stops.

    Args:
        folder: Folder of the TensorBoard run.
        network: The description of the network that the group is of.
        every_layer: Whether to show all layers, rather than at most 16.
        lost: Called with the error.
    """

    def __init__(
        self,
        folder: Path,
        network: dict[str, Any],
        every_layer: bool,
        lost: Callable[[Exception], None],
    ) -> None:
        super().__init__(folder, network, every_layer)
        self._stopped, self._lost = False, lost

    def rows(self, group: Rows, rows: npt.NDArray[np.void]) -> None:
        """Writes rows `[n]` of a group."""
        self._guarded(lambda: super(LiveEventWriter, self).rows(group, rows))

    def end_epoch(self) -> None:
        """Writes the histograms of the epoch's rows."""
        self._guarded(super().end_epoch)

    def _guarded(self, write: Callable[[], None]) -> None:
        if self._stopped:
            return
        try:
            write()
        except Exception as error:
            self._stopped = True
            self._lost(error)
