"""`Outcome`: what an experiment gives, and how it is written to a folder."""

import json
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from .catalog import Experiment

_COLUMNS = ("", "ours, mean ± deviation", "seeds", "the text's, or its formula's")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How large an experiment is run.

    Attributes:
        quick: Whether in its small version, under 20 s on two cores.
        seeds: How many seeds; None: as many as the experiment says.
        data: Path of MNIST as an `.npz`, `"mnist"` for Keras' own copy, or `"digits"`.
    """

    quick: bool = False
    seeds: int | None = None
    data: str = "mnist"
    _counts: list[int] = field(default_factory=list, init=False, repr=False, compare=False)

    def seeds_or(self, full: int, quick: int) -> list[int]:
        """The seeds to run."""
        count = self.seeds or (quick if self.quick else full)
        self._counts.append(count)
        return list(range(count))

    @property
    def seeds_run(self) -> int | None:
        """How many were asked for with `seeds_or`, by the part with the most; None: by none."""
        return max(self._counts, default=self.seeds)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of ours beside the text's.

    Attributes:
        what: What was measured.
        ours: A number for each seed.
        text: The text's own, None where it has none.
        unit: Of both.
    """

    what: str
    ours: Sequence[float]
    text: float | None = None
    unit: str = ""

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.ours)

    @property
    def deviation(self) -> float | None:
        """Standard deviation from seed to seed, None of one seed."""
        return statistics.stdev(self.ours) if len(self.ours) > 1 else None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an experiment gives.

    Attributes:
        rows: The table.
        told: What it shows, in sentences.
        summary: More numbers, JSON-ready, for `summary.json`.
        figures: By the names of their files.
    """

    rows: Sequence[Row]
    told: str
    summary: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)


def write(
    outcome: Outcome, experiment: Experiment, setting: Setting, seconds: float, out: Path
) -> None:
    """Writes `summary.json`, `table.md` and the figures as PNG."""
    summary = {
        "experiment": experiment.name,
        "source": experiment.source,
        "quick": setting.quick,
        "seeds": setting.seeds_run,
        "seeds_given": setting.seeds,
        "data": setting.data,
        "seconds": round(seconds, 1),
        **_made(),
        "told": outcome.told,
        "rows": [{**asdict(row), "mean": row.mean, "deviation": row.deviation}
                 for row in outcome.rows],
        **outcome.summary,
    }  # fmt: skip
    text = json.dumps(_plain(summary), indent=2, ensure_ascii=False)
    (out / "summary.json").write_text(text + "\n", encoding="utf-8")
    (out / "table.md").write_text(_markdown(outcome, experiment), encoding="utf-8")
    for name, figure in outcome.figures.items():
        figure.savefig(out / f"{name}.png", dpi=150)


def _made() -> dict[str, str]:
    """When, on what and with what."""
    packages = ("trainwell", "tensorflow", "keras")
    return {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": ", ".join(f"{package} {version(package)}" for package in packages),
    }


def show(outcome: Outcome, experiment: Experiment, console: Console) -> None:
    """Prints the table and what it shows."""
    table = Table(*_COLUMNS, title=experiment.title, title_justify="left")
    for row in outcome.rows:
        table.add_row(row.what, _ours(row), str(len(row.ours)), _number(row.text, row.unit))
    console.print(table)
    console.print(outcome.told, markup=False, highlight=False)


def _markdown(outcome: Outcome, experiment: Experiment) -> str:
    rows = [
        f"| {_in_cell(row.what)} | {_ours(row)} | {len(row.ours)} | {_number(row.text, row.unit)} |"
        for row in outcome.rows
    ]
    head = [f"# {experiment.title}", "", f"{experiment.source}. {outcome.told}", ""]
    return "\n".join([*head, f"| {' | '.join(_COLUMNS)} |", "| --- | --- | --- | --- |", *rows, ""])


def _in_cell(text: str) -> str:
    """A bar would end the cell."""
    return text.replace("|", "\\|")


def _ours(row: Row) -> str:
    spread = "" if row.deviation is None else f" ± {_number(row.deviation)}"
    return f"{_number(row.mean)}{spread}{row.unit and ' ' + row.unit}"


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    return f"{value:.4g}{unit and ' ' + unit}"


def counted(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _plain(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
