"""The folder of a `trainwell search`: the data, which search it holds, and its result."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._command_line import CommandError
from .datasets import Dataset

PROJECT = "project"
RESULTS = ("summary.json", "trace.txt", "trace.json", "search.png", "model.keras")

_SETTINGS = "search.json"
_LOCK = "search.lock"
_HELD_OUT = 5
_MOST_HELD_OUT = 10_000
# The samples' axes that a recipe takes; dense networks flatten theirs.
_AXES = {"convnet": (2, 3), "resnet": (2, 3), "recurrent": (2,)}


class Parts(NamedTuple):
    """Training, validation and test data of a search."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    x_validation: npt.NDArray[np.float32]
    y_validation: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]
    classes: int

    def digest(self) -> str:
        """A hash of all of it."""
        found = hashlib.sha256(str(self.classes).encode())
        for array in self[:-1]:
            found.update(f"{array.shape}".encode())
            found.update(np.ascontiguousarray(array).view(np.uint8).data)
        return found.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What makes one search differ from another.

    Args:
        recipe: String. The builder's name.
        data: String. What the data are called.
        digest: String. Hash of the data.
        seed: Integer.
        batch_size: Integer.
        search_batch_size: Boolean. Whether that is where to begin, not what to take. Defaults to
            `False`.
    """

    recipe: str
    data: str
    digest: str
    seed: int
    batch_size: int
    search_batch_size: bool = False


def data_for(recipe: str, dataset: Dataset, seed: int) -> Parts:
    """The data, with a part of the training data held out to choose by; the seed says which.

    Args:
        recipe: String. The builder's name, which must take samples of this shape.
        dataset: `Dataset`.
        seed: Integer.
    """
    shape, axes = dataset.x_train.shape[1:], _AXES.get(recipe)
    if axes and len(shape) not in axes:
        kind = (
            "sequences [steps, features]" if axes == (2,) else "images [height, width(, channels)]"
        )
        raise CommandError(
            f"--recipe {recipe} takes {kind}. Received: --data {dataset.name} with samples of "
            f"shape {shape}. Reshape them, or choose --recipe mlp."
        )
    samples = len(dataset.x_train)
    held_out = min(samples // _HELD_OUT, _MOST_HELD_OUT)
    if not held_out:
        raise CommandError(
            f"A search holds out every {_HELD_OUT}th training sample to choose by. Received: "
            f"--data {dataset.name} with {samples} of them. Gather more."
        )
    order = np.random.default_rng(seed).permutation(samples)
    there, here = np.sort(order[:held_out]), np.sort(order[held_out:])
    x, y = dataset.x_train, dataset.y_train
    test = dataset.x_test, dataset.y_test
    return Parts(x[here], y[here], x[there], y[there], *test, dataset.classes)


class Folder:
    """What `--out` names.

    Args:
        path: Path to an existing folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, settings: Settings) -> None:
        """Refuses a folder that holds another search."""
        there = self._settings()
        if there is None:
            return
        own = asdict(settings)
        # By what is in them: a file may have been moved.
        differ = [name for name in own if own[name] != there.get(name) and name != "data"]
        if not differ:
            return
        words = [
            f"other data ({there.get('data')!r}, here {own['data']!r})"
            if name == "digest"
            else f"{name} {there.get(name)!r} (here {own[name]!r})"
            for name in differ
            # The seed also says which samples are held out.
            if name != "digest" or "seed" not in differ
        ]
        raise self._refusal(f"which has {', '.join(words)}")

    def keep(self, settings: Settings) -> None:
        """Notes which search the folder holds."""
        self.write(_SETTINGS, json.dumps(asdict(settings), indent=2) + "\n")

    def write(self, name: str, text: str) -> None:
        """Replaces a file in one step."""
        with self.replacing(name) as beside:
            beside.write_text(text, encoding="utf-8")

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A path to write to; what is there becomes the file in one step."""
        path = self.path / name
        beside = path.with_name(f".{uuid.uuid4().hex[:8]}-{name}")
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def clear(self) -> None:
        """Deletes the search and its results, nothing else."""
        for name in (*RESULTS, _SETTINGS):  # the summary first: without it nothing is finished
            (self.path / name).unlink(missing_ok=True)
        for log in self.path.glob("worker-*.log"):
            log.unlink()
        if (self.path / PROJECT).exists():
            shutil.rmtree(self.path / PROJECT)

    def print_result(self) -> bool:
        """Prints a finished search; `False` where it is not finished."""
        if not all((self.path / name).exists() for name in RESULTS):
            return False
        try:
            summary = json.loads((self.path / "summary.json").read_text(encoding="utf-8"))
            trace = (self.path / "trace.txt").read_text(encoding="utf-8")
            result = result_of(summary, self.path)
        except (ValueError, KeyError, TypeError):
            return False
        print(trace)
        print(result)
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second search out for as long as this process lives."""
        with (self.path / _LOCK).open("w") as file:
            if not _lock(file):
                raise CommandError(
                    f"Another `trainwell search` is at work in '{self.path}'. Wait for it, or name "
                    "another --out."
                )
            yield

    def _settings(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.path / _SETTINGS).read_text(encoding="utf-8"))
            return dict(found)
        except FileNotFoundError:
            if not (self.path / PROJECT / "oracle.json").exists():
                return None
            raise self._refusal("which was not begun by `trainwell search`") from None
        except (ValueError, TypeError):
            raise self._refusal("whose search.json can't be read") from None

    def _refusal(self, which: str) -> CommandError:
        return CommandError(
            f"'{self.path}' holds another search, {which}. Name another --out, or start anew with "
            "--overwrite."
        )


def result_of(summary: dict[str, Any], path: Path) -> str:
    """The result in three lines."""
    names = ("learning_rate", "l2", "batch_size", "epochs")
    chosen = ", ".join(f"{name} = {summary[name]:g}" for name in names if summary[name] is not None)
    return (
        f"Chosen: {chosen}.\n"
        f"{summary['val_accuracy']:.2%} of the held-out samples are classified rightly, and "
        f"{summary['test_accuracy']:.2%} of the test data;\nit took {summary['trials']} trials and "
        f"{summary['training_steps']:,} training steps.\n"
        f"Model: {path / 'model.keras'}"
    )


def _lock(file: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
