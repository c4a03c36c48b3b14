"""`report.html` of `trainwell check`: a training report, with the verdict and the repair in it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from ...callbacks._report_page import write_page
from ...callbacks._report_parts import facts_html, findings_html, training_html
from ...callbacks._symptom_words import SYMPTOM_WORDS
from ...callbacks._tables import table_html
from ...callbacks.diagnosis.finding import Finding
from ...callbacks.record import TrainingRecord
from .summary import Fit
from .words import outcome, score_text, verdict, what, why


def write_report_page(
    path: Path,
    name: str,
    record: TrainingRecord,
    findings: Sequence[Finding],
    *,
    fit: Fit | None,
    repair: Any,
) -> None:
    """Writes the page.

    Args:
        path: The file.
        name: String. What was checked.
        record: `TrainingRecord` that was judged.
        findings: As `diagnose` orders them.
        fit: The watched training, None where there was none.
        repair: A `Repair`, or None.
    """
    watched = fit is not None
    seen = str(fit) if watched else "The figures show ten trial steps, which were taken back."
    body = [
        f"<p><b>{escape(verdict(findings, watched=watched))}</b> {escape(seen)}</p>",
        facts_html(record),
        "<h2>Findings</h2>",
        findings_html(findings, record),
        "" if repair is None else _repair_html(repair),
        f"<h2>{'Training' if watched else 'Trial steps'}</h2>",
        training_html(record),
    ]
    write_page(path, f"Check of {name}", "\n".join(body))


def _repair_html(repair: Any) -> str:
    parts = ["<h2>Repair</h2>", f"<p>{escape(outcome(repair))}</p>"]
    if repair.changes:
        items = "".join(map(_change_html, repair.changes))
        parts += ["<h3>What was changed</h3>", f"<ol>{items}</ol>"]
    if repair.not_changed:
        items = "".join(f"<li>{escape(one)}</li>" for one in repair.not_changed)
        parts += ["<h3>What is left to do by hand</h3>", f"<ul>{items}</ul>"]
    attempts = [
        {
            "attempt": one.number,
            repair.metric: score_text(one.score),
            "epochs": one.epochs,
            "outcome": one.outcome,
        }
        for one in repair.attempts
    ]
    return "\n".join([*parts, "<h3>What was tried</h3>", table_html(attempts)])


def _change_html(change: Any) -> str:
    where = f" in {', '.join(change.layers)}" if change.layers else ""
    against = SYMPTOM_WORDS[change.symptom][0] if change.symptom in SYMPTOM_WORDS else ""
    return (
        f"<li><b>{escape(f'{what(change)}{where}: {change.before} → {change.after}')}</b><br>"
        f'Against: {escape(against or change.symptom)}. <span class="muted">'
        f"{escape(why(change))}</span></li>"
    )
