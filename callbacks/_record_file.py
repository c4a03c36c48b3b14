r"""The file format of a record: checksummed chunks, so that a cut file gives all its whole rows.

    file  = b"trainwell-record-1\n" chunk*
    chunk = kind (b"J" or b"R"), group <u4, length <u8, crc32 of these <u4, payload of that length
    J     = UTF-8 JSON, then its crc32 <u4
    R     = rows of fixed size of the group with that index, each with its own crc32 <u4

A file is only ever appended to (`RecordWriter`) or replaced whole (`replacing`); nothing in it is
pickled, and reading runs no code.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = b"trainwell-record-1\n"
_HEAD = struct.Struct("<cIQ")
_CRC = struct.Struct("<I")


class RecordWriter:
    """Starts a file and appends chunks to it, opening it for each: none is lost with the process.

    Args:
        path: Of the file; one that is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(MAGIC)

    def json(self, value: dict[str, Any]) -> None:
        """Appends one JSON object."""
        text = json.dumps(value).encode()
        self._chunk(b"J", 0, text + _CRC.pack(zlib.crc32(text)))

    def rows(self, group: int, rows: npt.NDArray[np.void]) -> None:
        """Appends rows `[n]` of a structured dtype to the group with this index."""
        if not len(rows):
            return
        size = rows.dtype.itemsize
        checked = np.empty((len(rows), size + _CRC.size), np.uint8)
        checked[:, :size] = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), size)
        sums = np.array([zlib.crc32(row[:size].tobytes()) for row in checked], "<u4")
        checked[:, size:] = sums.view(np.uint8).reshape(-1, _CRC.size)
        self._chunk(b"R", group, checked.tobytes())

    def _chunk(self, kind: bytes, group: int, payload: bytes) -> None:
        head = _HEAD.pack(kind, group, len(payload))
        with self._path.open("r+b") as file:  # unlike "ab", an error where it was deleted
            file.seek(0, os.SEEK_END)
            file.write(head + _CRC.pack(zlib.crc32(head)) + payload)


@contextmanager
def replacing(path: Path) -> Iterator[RecordWriter]:
    """Writes beside `path` and takes its place only when whole and on the disk."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield RecordWriter(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


class RecordReader:
    """The whole chunks of a file, in order.

    Attributes:
        truncated: After the iteration, whether the file ended (or broke) inside a chunk.
    """

    def __init__(self, path: Path) -> None:
        self._content = path.read_bytes()
        if not self._content.startswith(MAGIC):
            raise ValueError(
                f"'{path}' is not a trainwell record: it does not start with {MAGIC!r}. "
                "Records are written by `TrainingRecord.save(path)`."
            )
        self.truncated = False

    def __iter__(self) -> Iterator[dict[str, Any] | tuple[int, bytes]]:
        at, content = len(MAGIC), self._content
        while at < len(content):
            head = content[at : at + _HEAD.size]
            body = at + _HEAD.size + _CRC.size
            if body > len(content) or _CRC.pack(zlib.crc32(head)) != content[body - 4 : body]:
                self.truncated = True
                return
            kind, group, length = _HEAD.unpack(head)
            payload = content[body : body + length]
            self.truncated = self.truncated or len(payload) < length
            at = body + length
            if kind == b"R":
                yield group, payload
            else:
                text, checksum = payload[: -_CRC.size], payload[-_CRC.size :]
                if len(payload) < length or _CRC.pack(zlib.crc32(text)) != checksum:
                    self.truncated = True
                    continue
                yield json.loads(text)


def whole_rows(payload: bytes, dtype: np.dtype[np.void]) -> tuple[npt.NDArray[np.void], bool]:
    """The rows of an R chunk whose checksums hold, and whether any was cut off or damaged."""
    size = dtype.itemsize + _CRC.size
    count = len(payload) // size
    raw = np.frombuffer(payload, np.uint8, count * size).reshape(count, size)
    sums = np.ascontiguousarray(raw[:, dtype.itemsize :]).view("<u4")[:, 0]
    good = np.array([zlib.crc32(row[: dtype.itemsize].tobytes()) for row in raw], "<u4") == sums
    rows = np.ascontiguousarray(raw[good, : dtype.itemsize]).view(dtype)[:, 0]
    return rows, bool(len(payload) % size or not good.all())
