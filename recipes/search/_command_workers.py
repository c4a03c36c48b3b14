"""The worker processes that `trainwell search --workers N` starts beside its chief."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from .._search_folder import Settings

MOST_RESTARTS = 3
_LOOK_SECONDS = 0.3
_END_SECONDS = 5.0
_HOST = "127.0.0.1"

WORKER = [sys.executable, "-m", f"{__package__}._command_worker"]
"""The command of a worker, but for what it is to search."""


@contextlib.contextmanager
def chief_here() -> Iterator[None]:
    """Makes this process a chief at a free port, by KerasTuner's environment variables."""
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port = free.getsockname()[1]
    own = {
        "KERASTUNER_TUNER_ID": "chief",
        "KERASTUNER_ORACLE_IP": _HOST,
        "KERASTUNER_ORACLE_PORT": str(port),
    }
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)


class Workers:
    """Processes that train for the chief in this one, and end when it ends.

    A worker that dies is started again under its name, so that it gets the trial it died in; one
    that has died too often is given up, and its trial goes to another one.

    Args:
        settings: `Settings`.
        out: Path of the search's folder.
        count: Integer. How many.
    """

    def __init__(self, settings: Settings, out: Path, count: int) -> None:
        self._arguments = json.dumps({"settings": asdict(settings), "out": str(out)})
        self._out = out
        self._starts = {f"worker-{n + 1}": 0 for n in range(count)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Workers":
        try:
            for name in self._starts:
                self._start(name)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def watch(self, oracle: Any, look: Callable[[], None]) -> None:
        """Keeps the workers alive from now on.

        Args:
            oracle: The chief's `HeuristicOracle`.
            look: Function that is called now and then.
        """

        def loop() -> None:
            while not self._over.wait(_LOOK_SECONDS):
                for name, process in list(self._processes.items()):
                    if process.poll() is not None:
                        _close(process)
                        self._replace(name, process.returncode, oracle)
                look()

        self._thread = threading.Thread(target=loop, daemon=True)
        self._thread.start()

    def _replace(self, name: str, code: int, oracle: Any) -> None:
        del self._processes[name]
        if code == 0 or oracle.failure:  # it was told that the search is over, or said so itself
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        log = self._log(name)
        if self._starts[name] <= MOST_RESTARTS:
            print(f"{name} {how} and is started again; see {log}.")
            self._start(name)
            return
        print(f"{name} {how} once more and is given up; see {log}.")
        lives = bool(self._processes)
        reason = "" if lives else f"All workers have died, the last one, {name}, {how}: see {log}."
        oracle.lose(name, reason)

    def _start(self, name: str) -> None:
        self._starts[name] += 1
        # Threads are left as they are: a convolution's result depends on their number, and the
        # search's on no number of workers.
        environment = {**os.environ, "KERASTUNER_TUNER_ID": name}
        # Ours, as `native_log_hidden` set it, would keep that from hiding the lines at import.
        if environment.get("TF_CPP_MIN_LOG_LEVEL") == "3":
            del environment["TF_CPP_MIN_LOG_LEVEL"]
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*WORKER, self._arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the chief, which ends them
            )

    def _log(self, name: str) -> Path:
        return self._out / f"{name}.log"

    def _end(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        for process in self._processes.values():
            _close(process)
        for process in self._processes.values():
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _close(process: subprocess.Popen[bytes]) -> None:
    """Tells a worker to end."""
    if process.stdin is not None:
        process.stdin.close()
