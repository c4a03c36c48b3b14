"""The findings as HTML: what to change first, then each root with what it brings about below it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Protocol

from ._finding_figures import FindingFigures
from ._remedy_words import action_of
from ._symptom_words import SYMPTOM_WORDS
from ._tables import number
from .record import TrainingRecord

_SEVERITIES = {
    "error": "this run will not reach what a sound network reaches",
    "warning": "it costs speed or accuracy",
    "info": "worth knowing",
}
_MOST_LAYERS = 6


class RemedyLike(Protocol):
    """What a report reads of a remedy."""

    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> object: ...
    @property
    def reason(self) -> str: ...
    @property
    def source(self) -> str: ...


class FindingLike(Protocol):
    """What a report reads of a finding."""

    @property
    def symptom(self) -> str: ...
    @property
    def layers(self) -> Sequence[str]: ...
    @property
    def severity(self) -> str: ...
    @property
    def first_step(self) -> int | None: ...
    @property
    def evidence(self) -> object: ...
    @property
    def remedies(self) -> Sequence[RemedyLike]: ...
    @property
    def cause(self) -> object: ...


def findings_html(findings: Sequence[FindingLike], record: TrainingRecord | None = None) -> str:
    """The findings as trees of cause and effect, each with the figure of the record that proves it.

    Args:
        findings: In the order of `diagnose`; roots keep it.
        record: Of the run. Defaults to `None`: there are no figures.
    """
    if not findings:
        return '<p class="muted">No findings.</p>'
    page = _Findings(findings, record or TrainingRecord())
    return "\n".join([page.overview(), *(page.tree(root) for root in page.roots)])


class _Findings:
    """Who follows from whom, by place in the list: hand-made findings may repeat a symptom."""

    def __init__(self, findings: Sequence[FindingLike], record: TrainingRecord) -> None:
        self._findings, self._record = findings, record
        self._figures = FindingFigures(record)
        first: dict[str, int] = {}
        for at, finding in enumerate(findings):
            first.setdefault(finding.symptom, at)
        self._cause = {
            at: first[_text(finding.cause)]
            for at, finding in enumerate(findings)
            if finding.cause and _text(finding.cause) in first
        }
        for at in list(self._cause):
            if self._leads_back(at):
                del self._cause[at]
        self.roots = [at for at in range(len(findings)) if at not in self._cause]

    def _leads_back(self, start: int) -> bool:
        """Whether a finding is its own cause: in a circle nothing would be a root."""
        at, seen = self._cause.get(start), set()
        while at is not None and at not in seen:
            seen.add(at)
            at = self._cause.get(at)
        return start in seen

    def overview(self) -> str:
        """How many of each severity, and the roots with what to do first about each."""
        count = Counter(_severity(finding) for finding in self._findings)
        told = ", ".join(
            f"<b>{count[name]} {_counted(name, count[name])}</b> ({meaning})"
            for name, meaning in _SEVERITIES.items()
            if count[name]
        )
        bad = [at for at in self.roots if _severity(self._findings[at]) != "info"]
        if not bad:
            return f"<p>{told}.</p>"
        items = "".join(f"<li>{self._first_action(at)}</li>" for at in bad)
        return f'<p>{told}.</p>\n<div class="first"><h3>Change first</h3><ol>{items}</ol></div>'

    def _first_action(self, at: int) -> str:
        finding = self._findings[at]
        link = f'<a href="#finding-{at + 1}">{escape(_title(finding))}</a>'
        for remedy in finding.remedies[:1]:
            action, _ = action_of(remedy.kind, remedy.value, self._record, finding.layers)
            return f"{link}: {escape(action or _change(remedy))}."
        return link

    def tree(self, at: int, depth: int = 0) -> str:
        """A finding, and below it what follows from it."""
        effects = [one for one, cause in self._cause.items() if cause == at]
        below = ""
        if effects:
            inside = "\n".join(self.tree(one, depth + 1) for one in effects)
            below = f'<div class="effects"><p class="muted">It brings about:</p>{inside}</div>'
        return self._finding(at, is_root=depth == 0) + below

    def _finding(self, at: int, is_root: bool) -> str:
        finding, severity = self._findings[at], _severity(self._findings[at])
        meaning = SYMPTOM_WORDS.get(finding.symptom, ("", ""))[1]
        cause = ""
        if finding.cause and at not in self._cause:
            cause = f"<p>Cause: {escape(_text(finding.cause))}</p>"
        return (
            f'<div class="finding {severity}" id="finding-{at + 1}">'
            f"<h3>{escape(_title(finding))}</h3>"
            f'<p class="muted"><b class="badge">{escape(str(finding.severity))}</b> '
            f"<code>{escape(finding.symptom)}</code>{escape(_where(finding))}</p>"
            + (f"<p>{escape(meaning)}</p>" if meaning else "")
            + f"<p><b>Seen here:</b> {escape(_sentence(_text(finding.evidence)))}</p>{cause}"
            + self._figures.html(finding.symptom, finding.first_step, finding.layers)
            + self._remedies(finding, is_root)
            + "</div>"
        )

    def _remedies(self, finding: FindingLike, is_root: bool) -> str:
        if not finding.remedies:
            return ""
        items = "".join(f"<li>{one}</li>" for one in self._actions(finding))
        if is_root:
            head = "What to change" + (", the most promising first" * (len(finding.remedies) > 1))
            return f"<p><b>{head}:</b></p><ol>{items}</ol>"
        # It goes with its root: its own remedies are for what is left then.
        return (
            f"<details><summary>If it is still there after that</summary><ol>{items}</ol></details>"
        )

    def _actions(self, finding: FindingLike) -> Iterator[str]:
        activation = None
        for remedy in finding.remedies:
            if remedy.kind == "activation":  # an initializer behind it is the one for it
                activation = str(remedy.value)
            action, code = action_of(
                remedy.kind, remedy.value, self._record, finding.layers, activation
            )
            shown = f"<pre><code>{escape(code)}</code></pre>" if code else ""
            yield (
                f"<b>{escape(action or _change(remedy))}.</b> {escape(_sentence(remedy.reason))} "
                f'<span class="muted">{escape(remedy.source)}</span>{shown}'
            )


def _title(finding: FindingLike) -> str:
    return SYMPTOM_WORDS.get(finding.symptom, (finding.symptom, ""))[0]


def _where(finding: FindingLike) -> str:
    since = ""
    if finding.first_step is not None:
        since = f", since step {finding.first_step:,}" if finding.first_step else ", from the start"
    if not finding.layers:
        return since
    more = len(finding.layers) - _MOST_LAYERS
    shown = ", ".join(finding.layers[:_MOST_LAYERS]) + (f" and {more} more" if more > 0 else "")
    return f" in {shown}{since}"


def _change(remedy: RemedyLike) -> str:
    return f"{remedy.kind}: {_text(remedy.value)}"


def _severity(finding: FindingLike) -> str:
    return str(finding.severity) if finding.severity in _SEVERITIES else "info"


def _counted(severity: str, count: int) -> str:
    name = "note" if severity == "info" else severity
    return name if count == 1 else f"{name}s"


def _sentence(text: str) -> str:
    """A sentence with its capital and its full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else text


def _text(value: object) -> str:
    """A value as a reader would write it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return str(getattr(value, "symptom", None) or number(value))
