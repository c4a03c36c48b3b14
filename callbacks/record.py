"""`TrainingRecord`: what the monitors saw, as NumPy arrays, with nothing of TensorFlow in it."""

import csv
import warnings
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ._record_file import RecordReader, RecordWriter, replacing, whole_rows
from ._rows import CLIPPED, SKIPPED, Rows
from ._statistics import STATISTICS

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float32]
Part = Literal["all", "kernel", "bias"]

DEFAULT_MEMORY_LIMIT = 256 * 2**20


class TrainingRecord:
    """What a training run did, step by step.

    `S` recorded steps, `V` trainable variables, `L` layers that own them. Each statistic costs
    `4 S V` bytes, and each row 25 more. Groups of rows have a step axis of their own each
    (`groups`). Read are, of the group that holds the gradients, `steps`, `epoch`, `fit`, `loss`,
    `learning_rate`, `skipped` and `clipped` `[S]`, the names in `variables` and `layers`,
    `record[statistic]` `[S, V]`, `by_layer(statistic)` `[S, L]` and `gradient_ratio()` `[S]`.

    Args:
        network: The network as plain data (layers, loss, optimizer). Defaults to `{}`.
        data: The training data's description as plain data. Defaults to `{}`.
        memory_limit: Integer. Bytes that the rows may take; past it, every second row is
            dropped and only every second one is kept from then on, again and again as
            needed. Defaults to 256 MiB.

    Attributes:
        groups: `dict` of the groups of rows by name.
        epochs: List of the epoch logs, one `dict` per epoch, with `"epoch"` and `"fit"`.
        network: The network's description.
        data: The data's description.
        truncated: Whether it was loaded from a file that was cut off or damaged.
    """

    def __init__(
        self,
        network: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        *,
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
    ) -> None:
        if not isinstance(memory_limit, int) or memory_limit < 1:
            raise ValueError(
                "`memory_limit` must be a whole number of bytes, at least 1. "
                f"Received: memory_limit={memory_limit!r}"
            )
        self.groups: dict[str, Rows] = {}
        self.epochs: list[dict[str, Any]] = []
        self.network: dict[str, Any] = network or {}
        self.data: dict[str, Any] = data or {}
        self.truncated = False
        self._memory_limit = memory_limit
        self._stream: RecordWriter | None = None
        self._lost: Callable[[OSError], None] = _warn_lost

    # ------------------------------------------------------------------ reading

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """Step of each row, counted from 0 over all `fit` calls: int64 `[S]`."""
        return self._field("step")

    @property
    def loss(self) -> Floats:
        """The true loss of each step's batch, NaN where the loop did not show it: `[S]`."""
        return self._field("loss")

    @property
    def learning_rate(self) -> Floats:
        """The learning rate that each step used: `[S]`."""
        return self._field("learning_rate")

    @property
    def epoch(self) -> npt.NDArray[np.int32]:
        """Epoch of each row, from 0 in each `fit`; -1 outside `fit`: `[S]`."""
        return self._field("epoch")

    @property
    def fit(self) -> npt.NDArray[np.int32]:
        """Which `fit` call each row belongs to, from 0: `[S]`."""
        return self._field("fit")

    @property
    def skipped(self) -> npt.NDArray[np.bool_]:
        """Whether the optimizer skipped the update, as on a float16 overflow: `[S]`."""
        return (self._field("flags") & SKIPPED).astype(bool)

    @property
    def clipped(self) -> npt.NDArray[np.bool_]:
        """Whether the optimizer clipped the gradients: `[S]`."""
        return (self._field("flags") & CLIPPED).astype(bool)

    @property
    def variables(self) -> tuple[str, ...]:
        """Paths of the trainable variables, in the model's order: `V` strings."""
        return tuple(column["path"] for column in self._main().columns)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that own them, by path within the model, in its order: `L` strings."""
        return tuple(dict.fromkeys(column["layer"] for column in self._main().columns))

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the statistics that can be read, over all groups."""
        return tuple(name for group in self.groups.values() for name in group.statistics)

    def __getitem__(self, statistic: str) -> Floats:
        """A statistic of each variable: float32 `[S, V]`."""
        return self._group_of(statistic).data[statistic]

    def by_layer(self, statistic: str, part: Part = "all") -> Floats:
        """A statistic of each layer: float32 `[S, L]`.

        Norms are combined as the root of the sum of squares, means and shares weighted by the
        number of elements, extremes as the largest. A variable that no gradient reaches does not
        take part.

        Args:
            statistic: Name of the statistic.
            part: `"all"`, or only the `"kernel"` or `"bias"` variables of each layer.

        Returns:
            One column per entry of `layers`; NaN where a layer has no such variable.
        """
        if part not in ("all", "kernel", "bias"):
            raise ValueError(f"`part` must be 'all', 'kernel' or 'bias'. Received: part={part!r}")
        values, group = self[statistic], self._group_of(statistic)
        result = np.full((len(values), len(self.layers)), np.nan, np.float32)
        for at, layer in enumerate(self.layers):
            chosen = [
                i
                for i, column in enumerate(group.columns)
                if column["layer"] == layer
                and part in ("all", column["part"])
                and column["connected"]
            ]
            if chosen and statistic not in STATISTICS:  # recorded by layer: one column each
                result[:, at] = values[:, chosen[0]]
            elif chosen:
                sizes = np.array([group.columns[i]["size"] for i in chosen], np.float64)
                result[:, at] = STATISTICS[statistic].combine(values[:, chosen], sizes)
        return result

    def hidden_kernels(self) -> list[str]:
        """Layers with a connected kernel, without those that make the outputs."""
        connected = [c for c in self._main().columns if c["part"] == "kernel" and c["connected"]]
        kernels = list(dict.fromkeys(column["layer"] for column in connected))
        outputs = self.network.get("outputs") or []
        hidden = [layer for layer in kernels if layer.rpartition("/")[2] not in outputs]
        # An output layer without a kernel, an activation say, shows those of the layer before it.
        return hidden if len(hidden) < len(kernels) else kernels[:-1]

    def gradient_ratio(self) -> Floats:
        """Kernel-gradient norm of the first over the last hidden layer: `[S]`.

        Far below 1, the gradient vanishes on its way to the input; far above, it explodes. NaN
        where the network has fewer than two hidden layers with a kernel.
        """
        hidden = self.hidden_kernels()
        if len(hidden) < 2:
            return np.full(len(self.steps), np.nan, np.float32)
        norms = self.by_layer("gradient_norm", part="kernel").astype(np.float64)
        first, last = (norms[:, self.layers.index(layer)] for layer in (hidden[0], hidden[-1]))
        with np.errstate(divide="ignore", invalid="ignore"):
            return (first / last).astype(np.float32)

    def __repr__(self) -> str:
        parts = [
            f"{len(group.data)} rows of {group.name} ({', '.join(group.statistics)})"
            for group in self.groups.values()
        ]
        cut = ", truncated" if self.truncated else ""
        return f"TrainingRecord({'; '.join(parts) or 'empty'}; {len(self.epochs)} epochs{cut})"

    # ------------------------------------------------------------------ writing

    def add_group(self, group: Rows) -> Rows:
        """Starts a group of rows."""
        self.groups[group.name] = group
        self._to_stream(lambda stream: stream.json({"group": group.description()}))
        return group

    def append(self, group: str, rows: npt.NDArray[np.void]) -> None:
        """Adds rows to a group, thinning it where it outgrows its limit."""
        rows_of = self.groups[group]
        rows_of.append(rows)
        self._to_stream(lambda stream: stream.rows(list(self.groups).index(group), rows))
        limit = self._memory_limit / len(self.groups)
        while rows_of.nbytes > limit and len(rows_of.data) > 2:
            rows_of.thin()
            where = (
                "the stream on disk keeps all" if self._stream else "pass `directory=` to keep all"
            )
            warnings.warn(
                f"The record of {group} reached {limit:,.0f} bytes: from now on it keeps one "
                f"row in {rows_of.every * rows_of.stride} steps ({where}).",
                stacklevel=2,
            )

    def add_epoch(self, logs: dict[str, Any]) -> None:
        """Adds an epoch's logs."""
        self.epochs.append(logs)
        self._to_stream(lambda stream: stream.json({"epoch": logs}))

    def stream_to(
        self,
        path: str | PathLike[str] | None,
        lost: Callable[[OSError], None] | None = None,
    ) -> None:
        """Writes the record, and all that is added from now on, to `path` at full resolution.

        Args:
            path: Of the file; None ends the writing.
            lost: Called once with the error, should a later write fail; the record goes on in
                memory. Defaults to a warning.
        """
        self._stream, self._lost = None, lost or _warn_lost
        if path is not None:
            self._stream = RecordWriter(Path(path))
            self._write(self._stream)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the record to one file, which is replaced only when the new one is whole."""
        with replacing(Path(path)) as writer:
            self._write(writer)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "TrainingRecord":
        """Reads a record; from a file that was cut off, all its whole rows.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not a record.
        """
        record = cls()
        reader = RecordReader(Path(path))
        for chunk in reader:
            if isinstance(chunk, tuple):
                record._take(*chunk)
            elif "group" in chunk:
                record.add_group(Rows.from_description(chunk["group"]))
            elif "epoch" in chunk:
                record.epochs.append(chunk["epoch"])
            else:
                record.network, record.data = chunk["network"], chunk["data"]
        record.truncated |= reader.truncated
        return record

    def _take(self, index: int, payload: bytes) -> None:
        """Adds the rows of a chunk, those that are whole."""
        groups = list(self.groups.values())
        if index >= len(groups):  # its description was damaged
            self.truncated = True
            return
        rows, damaged = whole_rows(payload, groups[index].dtype)
        groups[index].append(rows)
        self.truncated |= damaged

    def to_csv(self, path: str | PathLike[str], group: str | None = None) -> None:
        """Writes a group as a table: a line a step, a column a statistic and variable."""
        names, columns = self._group(group).table()
        with Path(path).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows(zip(*(column.tolist() for column in columns), strict=True))

    def to_frame(self, group: str | None = None) -> "pd.DataFrame":
        """A group as a pandas data frame with the columns of `to_csv`, indexed by step."""
        import pandas as pd

        names, columns = self._group(group).table()
        return pd.DataFrame(dict(zip(names, columns, strict=True))).set_index("step")

    # ------------------------------------------------------------------ inside

    def _to_stream(self, write: Callable[[RecordWriter], None]) -> None:
        if self._stream is None:
            return
        try:
            write(self._stream)
        except OSError as error:
            self._stream = None
            self._lost(error)

    def _main(self) -> Rows:
        if not self.groups:
            raise ValueError(
                "The record is empty: no step has run yet. "
                "List the monitor in `callbacks=` and call `model.fit` first."
            )
        return self.groups.get("gradients") or next(iter(self.groups.values()))

    def _field(self, name: str) -> npt.NDArray[Any]:
        return self._main().data[name]

    def _group_of(self, statistic: str) -> Rows:
        for group in self.groups.values():
            if statistic in group.statistics:
                return group
        self._main()  # says so where the record is empty
        known = ", ".join(map(repr, self.statistics))
        raise KeyError(
            f"The record holds no {statistic!r}, only {known}. "
            f"Ask the monitor for it: `GradientNorms(statistics=({statistic!r},))`."
        )

    def _write(self, writer: RecordWriter) -> None:
        writer.json({"network": self.network, "data": self.data})
        for index, group in enumerate(self.groups.values()):
            writer.json({"group": group.description()})
            writer.rows(index, group.data)
        for logs in self.epochs:
            writer.json({"epoch": logs})

    def _group(self, name: str | None) -> Rows:
        main = self._main()
        if name is not None and name not in self.groups:
            known = ", ".join(map(repr, self.groups))
            raise ValueError(f"`group` must be one of {known}. Received: group={name!r}")
        return main if name is None else self.groups[name]


def _warn_lost(error: OSError) -> None:
    warnings.warn(
        f"The record can't be streamed any longer ({error}). It goes on in memory; what was "
        "written stays readable.",
        stacklevel=4,
    )
