"""Numbers and tables as HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np


@dataclass(frozen=True)
class Bar:
    """A bar in a table's cell.

    Attributes:
        share: Its width as a share of the cell, 0 to 1.
        colour: A CSS colour.
    """

    share: float
    colour: str


def number(value: object) -> str:
    """A value for a table or a list: 4 digits of a float, thousands parted, – for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    return f"{float(value):.4g}".replace("nan", "NaN")


def table_html(rows: Sequence[Mapping[str, object]]) -> str:
    """A table with a column for each key that any row has: text and bars left, numbers right."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    left = {
        key: all(isinstance(row.get(key), (str, Bar, type(None))) for row in rows) for key in keys
    }
    head = "".join(f"<th{_class(left[key])}>{escape(str(key))}</th>" for key in keys)
    body = "\n".join(
        "<tr>" + "".join(_cell(row.get(key), left[key]) for key in keys) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def _class(left: bool) -> str:
    return ' class="text"' if left else ""


def _cell(value: object, left: bool) -> str:
    if isinstance(value, Bar):
        style = f"width:{value.share:.1%};background:{value.colour}"
        return f'<td class="bar"><i style="{style}"></i></td>'
    if isinstance(value, (float, np.floating)) and not np.isfinite(value):
        return f'<td class="alert">{number(value)}</td>'
    return f"<td{_class(left)}>{escape(number(value))}</td>"
