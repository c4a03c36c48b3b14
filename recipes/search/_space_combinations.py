"""The combinations of a space that are built before a search, so that none fails within it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST = 32
"""Up to so many combinations all are built, beyond it each pair of values once at least."""

Pair = tuple[tuple[str, Any], tuple[str, Any]]


def combinations(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Combinations in which every pair of values occurs; all, where they are few.

    Args:
        values: Mapping from the names to the values of each.

    Returns:
        A list of dictionaries, each with one value for every name; of no names, one empty.
    """
    if len(values) < 2 or math.prod(map(len, values.values())) <= MOST:
        return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    # A dictionary in place of a set: its order is the same in every process.
    open_pairs: dict[Pair, None] = dict.fromkeys(
        ((a, x), (b, y))
        for a, b in itertools.combinations(values, 2)
        for x, y in itertools.product(values[a], values[b])
    )
    rows = []
    while open_pairs:
        row = _filled(dict(next(iter(open_pairs))), values, open_pairs)
        rows.append(row)
        for pair in _pairs(row):
            open_pairs.pop(pair, None)
    return rows


def _filled(
    row: dict[str, Any], values: Mapping[str, Sequence[Any]], open_pairs: Mapping[Pair, None]
) -> dict[str, Any]:
    """The row with a value for each name: the one that closes the most pairs."""
    for name in values:
        if name not in row:
            closes = [
                sum(pair in open_pairs for pair in _pairs(_ordered({**row, name: v}, values)))
                for v in values[name]
            ]
            row[name] = values[name][closes.index(max(closes))]
    return _ordered(row, values)


def _ordered(row: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in values if name in row}


def _pairs(row: Mapping[str, Any]) -> list[Pair]:
    return list(itertools.combinations(row.items(), 2))
