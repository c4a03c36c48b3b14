"""The lines of `results/evidence.jsonl`: results of an arm on a data set, and sessions."""

import contextlib
import json
import os
import platform
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from arms import Arm
from claims import digest

ROOT = Path(__file__).parents[2]
PATH = Path(__file__).parent / "results" / "evidence.jsonl"


class Results:
    """What has been trained, one line of JSON for each arm on each data set."""

    def __init__(self, path: Path = PATH) -> None:
        self.path = path
        self.sessions: list[dict[str, Any]] = []
        self._found: dict[str, dict[str, Any]] = {}
        text = path.read_text() if path.exists() else ""
        for line in text.splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # cut off by a kill
                self._take(json.loads(line))
        if text and not text.endswith("\n"):
            self._write("\n")

    def of(self, arm: Arm, data: str) -> dict[str, Any] | None:
        """The measures, None where they are still to be made; those of a changed arm are not."""
        row = self._found.get(arm.digest(data))
        return None if row is None else row["measures"]

    def seconds(self, arm: Arm, data: str) -> float:
        """How long that took."""
        return float(self._found[arm.digest(data)]["seconds"])

    def add(self, row: dict[str, Any]) -> None:
        """Keeps a line, on the disk when this returns."""
        self._take(row)
        self._write(json.dumps(row, separators=(",", ":")) + "\n")

    def _take(self, row: dict[str, Any]) -> None:
        if row["kind"] == "session":
            self.sessions.append(row)
        else:
            self._found[row["digest"]] = row

    def _write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def session(command: str) -> dict[str, Any]:
    """Where and how the lines below it came about."""
    import keras
    import sklearn
    import tensorflow as tf

    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    return {
        "kind": "session",
        "date": datetime.now().isoformat(timespec="seconds"),
        "command": command,
        "claims": digest(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": {
            "Python": platform.python_version(), "TensorFlow": tf.__version__,
            "Keras": keras.__version__, "scikit-learn": sklearn.__version__,
        },
        "revision": done.stdout.strip(),
    }  # fmt: skip
