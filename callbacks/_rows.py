"""A group of rows of a record: one step axis, one set of columns, some statistics of each."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

SKIPPED, CLIPPED = 1, 2

_STEP_FIELDS: list[tuple[str, str]] = [
    ("step", "<i8"),
    ("epoch", "<i4"),
    ("fit", "<i4"),
    ("loss", "<f4"),
    ("learning_rate", "<f4"),
    ("flags", "u1"),
]


@dataclass
class Rows:
    """Rows of statistics, one row per recorded step.

    Attributes:
        name: The group's name, for example `"gradients"`.
        columns: One plain dict per column; `"path"` is its name. Variables also have
            `"layer"`, `"part"` ("kernel", "bias" or "other"), `"shape"`, `"size"` and
            `"connected"` (False where no gradient reaches them).
        statistics: Names of the statistics, each `[S, len(columns)]`.
        every: Steps between rows as recorded.
        stride: How often the rows were thinned since: one in `stride` was kept.
    """

    name: str
    columns: list[dict[str, Any]]
    statistics: tuple[str, ...]
    every: int = 1
    stride: int = 1
    _chunks: list[npt.NDArray[np.void]] = field(default_factory=list, repr=False)

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The structured dtype of a row."""
        width = (len(self.columns),)
        return np.dtype([*_STEP_FIELDS, *((name, "<f4", width) for name in self.statistics)])

    @property
    def data(self) -> npt.NDArray[np.void]:
        """All rows `[S]`, of `dtype`."""
        if len(self._chunks) != 1:
            whole = np.concatenate(self._chunks) if self._chunks else np.empty(0, self.dtype)
            self._chunks = [whole]
        return self._chunks[0]

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        return sum(chunk.nbytes for chunk in self._chunks)

    def empty(self, count: int) -> npt.NDArray[np.void]:
        """Zeroed rows to be filled in and appended."""
        return np.zeros(count, self.dtype)

    def append(self, rows: npt.NDArray[np.void]) -> None:
        """Adds rows, dropping those between the strides."""
        self._chunks.append(self._kept(rows))

    def thin(self) -> None:
        """Doubles the stride: every second row goes."""
        self.stride *= 2
        self._chunks = [self._kept(self.data).copy()]

    def _kept(self, rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        if self.stride == 1:
            return rows
        kept: npt.NDArray[np.void] = rows[rows["step"] % (self.every * self.stride) == 0]
        return kept

    def table(self) -> tuple[list[str], list[npt.NDArray[Any]]]:
        """Names and values of a column per field of the step, then per statistic and column."""
        data, fields = self.data, ["step", "epoch", "fit", "loss", "learning_rate"]
        names, values = [*fields, "skipped", "clipped"], [data[field] for field in fields]
        values += [(data["flags"] & flag) > 0 for flag in (SKIPPED, CLIPPED)]
        for statistic in self.statistics:
            names += [f"{statistic}:{column['path']}" for column in self.columns]
            values += list(data[statistic].T)
        return names, values

    def description(self) -> dict[str, Any]:
        """Everything but the rows, as plain data."""
        return {
            "name": self.name,
            "columns": self.columns,
            "statistics": list(self.statistics),
            "every": self.every,
            "stride": self.stride,
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> "Rows":
        """The empty group that a description tells of."""
        return cls(**{**description, "statistics": tuple(description["statistics"])})
