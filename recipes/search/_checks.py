"""What every stage checks of its arguments and of the trials that it is given."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from ._trials import Values


def above_zero(argument: str, received: Any) -> None:
    """Refuses what is not a finite number above 0."""
    if not _is_number(received) or not 0 < received < math.inf:
        raise ValueError(
            f"`{argument}` must be a finite number above 0. Received: {argument}={received!r}."
        )


def from_zero(argument: str, received: Any) -> None:
    """Refuses what is not a finite number from 0 on."""
    if not _is_number(received) or not 0 <= received < math.inf:
        raise ValueError(
            f"`{argument}` must be a finite number from 0 on. Received: {argument}={received!r}."
        )


def whole(argument: str, received: Any, *, at_least: int = 1) -> None:
    """Refuses what is not a whole number from `at_least` on."""
    if not isinstance(received, Integral) or not _is_number(received) or received < at_least:
        raise ValueError(
            f"`{argument}` must be a whole number from {at_least} on. "
            f"Received: {argument}={received!r}."
        )


def values_of(argument: str, received: Any) -> dict[str, Any]:
    """`received` as a dictionary of values; `None` is empty."""
    if received is None:
        return {}
    if not isinstance(received, Mapping):
        raise ValueError(
            f"`{argument}` must map names to values, such as {{'learning_rate': 0.1}}. "
            f"Received: {argument}={received!r}."
        )
    # NumPy's numbers are no JSON.
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in received.items()}


def value_in(chosen: Values, name: str, stage: str, way_out: str) -> Any:
    """A value that an earlier stage has chosen or the user has fixed."""
    if name not in chosen:
        raise ValueError(
            f"`{stage}` needs `{name}` among the values chosen before it. "
            f"Received: chosen={dict(chosen)!r}. {way_out}"
        )
    above_zero(name, chosen[name])
    return chosen[name]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
