"""A record as one self-contained HTML page, for one network or for several."""

from collections.abc import Mapping, Sequence
from html import escape
from os import PathLike
from pathlib import Path

from ._arguments import check_record
from ._report_page import figure_html, write_page
from ._report_parts import FindingLike, facts_html, findings_html, training_html
from ._series import has_rows
from ._tables import table_html
from .plots import plot_depth_profiles
from .record import TrainingRecord


def write_report(
    record: TrainingRecord,
    findings: Sequence[FindingLike],
    path: str | PathLike[str],
    *,
    title: str | None = None,
) -> Path:
    """Writes what was trained, what was found and how the gradients went as one HTML page.

    The page loads nothing from outside, follows the reader's light or dark scheme and fits a phone.
    What the record doesn't hold, the page leaves out. The file is replaced only by a whole page.

    Args:
        record: The record, live or loaded; it may be empty.
        findings: What is wrong with the run, each with the attributes `symptom`, `layers`,
            `severity`, `first_step`, `evidence`, `remedies`, `cause`; shown in this order; it may
            be empty. Each has the figure with it that proves it, where the record has one.
        path: The file, for example `"report.html"`.
        title: Title of the page. Defaults to the network's name.

    Returns:
        The file.

    Example:
    ```python
    write_report(monitor.record, [], "report.html")
    ```
    """
    check_record(record)
    body = [
        facts_html(record),
        "<h2>Findings</h2>",
        findings_html(findings, record),
        "<h2>Training</h2>",
        training_html(record),
    ]
    name = record.network.get("name")
    return write_page(path, title or f"Training of {name or 'a network'}", "\n".join(body))


def write_comparison(
    runs: Mapping[str, TrainingRecord],
    path: str | PathLike[str],
    *,
    table: Sequence[Mapping[str, object]] = (),
    title: str = "Comparison of networks",
    intro: str = "",
) -> Path:
    """Writes one HTML page on several networks: a table, one figure of all, a section each.

    Args:
        runs: Records by the name of the network.
        path: The file, for example `"comparison.html"`.
        table: Rows of a table, each with its cells by column. Defaults to `()`, for no table.
        title: Title of the page. Defaults to `"Comparison of networks"`.
        intro: A paragraph of text below the title. Defaults to `""`.

    Returns:
        The file.

    Raises:
        ValueError: There is no network.
    """
    if not runs:
        raise ValueError("`runs` must hold at least one record by its name. Received: runs={}")
    for record in runs.values():
        check_record(record)
    body = [f"<p>{escape(intro)}</p>" if intro else ""]
    if table:
        body.append(table_html(table))
    recorded = {name: record for name, record in runs.items() if has_rows(record)}
    if recorded:
        caption = "Kernel gradient norm at the first step, from the output back to the first layer."
        body.append(figure_html(plot_depth_profiles(recorded), caption))
    for name, record in runs.items():
        body.append(f"<details><summary>{escape(name)}</summary>{facts_html(record)}")
        body.append(f"{training_html(record, len(runs))}</details>")
    return write_page(path, title, "\n".join(body))
