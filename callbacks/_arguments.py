"""Checks of arguments that several callbacks and functions take."""

import math
from typing import Any

import numpy as np

from .record import TrainingRecord

# The ends of open ranges, for `within`.
ABOVE_ZERO, BELOW_ONE = math.nextafter(0, 1), math.nextafter(1, 0)
LARGEST = math.nextafter(math.inf, 0)


def whole(name: str, number: Any, of_what: str) -> int:
    """A whole number that counts something."""
    is_whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    if not is_whole or not 1 <= number < 2**31:
        raise ValueError(
            f"`{name}` must be a whole number of {of_what}, at least 1 and below 2**31. "
            f"Received: {name}={number!r}"
        )
    return int(number)


def within(name: str, value: Any, low: float, high: float, rule: str) -> float:
    """A number from `low` to `high`, both among them."""
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    if not is_number or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    return float(value)


def yes_or_no(name: str, value: Any) -> bool:
    """A Boolean."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return bool(value)


def verbosity(verbose: Any) -> int:
    """How much to print: 0 is silent."""
    if verbose not in (0, 1, 2):
        raise ValueError(
            "`verbose` must be 0 (silent) or 1 (a line an epoch; 2, for Keras' sake, is the same). "
            f"Received: verbose={verbose!r}"
        )
    return int(verbose)


def check_record(record: Any) -> None:
    """Refuses what is no record."""
    if not isinstance(record, TrainingRecord):
        has_one = isinstance(getattr(record, "record", None), TrainingRecord)
        way_out = "its `.record`" if has_one else "a monitor's `.record` after `fit`, or"
        way_out += "" if has_one else " `TrainingRecord.load(path)`"
        raise ValueError(
            f"`record` must be a TrainingRecord. Received: a {type(record).__name__}. Pass "
            f"{way_out}."
        )
