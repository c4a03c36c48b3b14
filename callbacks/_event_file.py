"""The file that TensorBoard reads: each event framed by its length and by checksums.

    record = length <u8, masked crc32c of the length <u4, event, masked crc32c of the event <u4

TensorBoard's own writer computes the checksum byte by byte in Python, which would be nearly all the
time that logging takes; here it is computed for many events at a time.
"""

import os
import struct
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import CRC_TABLE, masked_crc32c

_TABLE = np.array(CRC_TABLE, np.uint32)
_FEW = 32  # events, for which Python is the faster


class EventFile:
    """Appends events to a file, which is open only while it is written.

    Args:
        path: Where it will be; its folder is made with it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._made = path, False

    def append(self, events: list[bytes]) -> None:
        """Appends events of much the same length.

        Raises:
            OSError: They can't be written, or the file has been deleted.
        """
        if not self._made:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            version = Event(wall_time=time.time(), file_version="brain.Event:2")
            self._path.write_bytes(framed([version.SerializeToString()]))
            self._made = True
        if not events:
            return
        with self._path.open("r+b") as file:  # "ab" would begin a deleted file anew
            file.seek(0, os.SEEK_END)
            file.write(framed(events))


def framed(events: list[bytes]) -> bytes:
    """The events as they stand in the file."""
    if len(events) < _FEW:
        checksums = [masked_crc32c(event) for event in events]
    else:
        checksums = masked_checksums(events).tolist()
    parts = []
    for event, checksum in zip(events, checksums, strict=True):
        parts += [_head(len(event)), event, struct.pack("<I", checksum)]
    return b"".join(parts)


def masked_checksums(events: list[bytes]) -> npt.NDArray[np.uint32]:
    """The masked CRC-32C of each of `n` events of at least 4 bytes: `[n]`."""
    # Zeros in front change no checksum that starts from 0, so that all may end together; starting
    # from all ones is the same as flipping the first 4 bytes.
    longest = max(map(len, events))
    columns = np.zeros((longest, len(events)), np.uint8)
    for at, event in enumerate(events):
        columns[longest - len(event) :, at] = np.frombuffer(event, np.uint8)
        columns[longest - len(event) : longest - len(event) + 4, at] ^= 0xFF
    crc = np.zeros(len(events), np.uint32)
    for column in columns:
        crc = _TABLE[(crc ^ column) & 0xFF] ^ (crc >> np.uint32(8))
    crc = ~crc
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


@lru_cache(1024)
def _head(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked_crc32c(packed))
