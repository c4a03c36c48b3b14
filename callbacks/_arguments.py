"""Checks of arguments that several callbacks take."""

from typing import Any

import numpy as np


def whole(name: str, number: Any, of_what: str) -> int:
    """A whole number that counts something."""
    is_whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    if not is_whole or not 1 <= number < 2**31:
        raise ValueError(
            f"`{name}` must be a whole number of {of_what}, at least 1 and below 2**31. "
            f"Received: {name}={number!r}"
        )
    return int(number)
