"""A griffe extension: what the docstrings write otherwise than Google's style and Markdown do."""

import re
import textwrap
from typing import Any

import griffe

_ROW = re.compile(r"^( *)\|.*[^|\s]\s*$")
_FLUSH_EXAMPLE = re.compile(r"^Example:\n(```.*?^```)$", re.MULTILINE | re.DOTALL)


class Dialect(griffe.Extension):
    """Joins the lines of a table's row, lists Keras' "Call arguments", indents examples."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrites a docstring."""
        if obj.docstring:
            text = _with_list(_with_whole_rows(obj.docstring.value))
            obj.docstring.value = _FLUSH_EXAMPLE.sub(_indented, text)


def _with_whole_rows(text: str) -> str:
    """A row that begins with a bar ends with one, be it lines later."""
    lines: list[str] = []
    for line in text.split("\n"):
        goes_on = bool(lines) and _ROW.match(lines[-1]) and line.strip()
        lines[-1:] = [f"{lines[-1]} {line.strip()}"] if goes_on else [*lines[-1:], line]
    return "\n".join(lines)


def _indented(match: re.Match[str]) -> str:
    return "Example:\n" + textwrap.indent(match[1], "    ")


def _with_list(text: str) -> str:
    """The lines `name: ...` below "Call arguments:" as items."""
    head, found, section = text.partition("\nCall arguments:\n")
    if not found:
        return text
    body, *rest = re.split(r"(\n(?=\S))", section, maxsplit=1)
    return head + found + re.sub(r"^    (\w+): ", r"    * `\1`: ", body, flags=re.M) + "".join(rest)
