"""The lines of `results/bed.jsonl`: runs, and the sessions in which they were made."""

import contextlib
import json
import os
import platform
import subprocess
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


class Rows:
    """The runs so far, one line of JSON each, the first line says where and how."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.runs: list[dict[str, Any]] = []
        self.sessions: list[dict[str, Any]] = []
        for line in lines:
            with contextlib.suppress(json.JSONDecodeError):  # cut off by a kill
                self._take(json.loads(line))
        if lines and not path.read_text().endswith("\n"):
            self._write("\n")

    def add(self, **row: Any) -> None:
        self._take(row)
        self._write(json.dumps(row) + "\n")

    def _take(self, row: dict[str, Any]) -> None:
        (self.runs if row["kind"] == "run" else self.sessions).append(row)

    def _write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)


def about(*command: str) -> dict[str, str]:
    """Where and with what a table was made."""
    return {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras")),
        "command": " ".join(command),
    }


def session(command: str) -> dict[str, Any]:
    """Where and how the lines below it came about."""

    def git(*words: str) -> str:
        where = Path(__file__).parents[2]
        done = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True)
        return done.stdout.strip()

    return {
        "kind": "session",
        "date": datetime.now().isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "command": f"python benchmarks/doctor/{command}",
        "revision": git("rev-parse", "--short", "HEAD"),
        "changed": bool(git("status", "--porcelain", "callbacks", "recipes")),
    }
