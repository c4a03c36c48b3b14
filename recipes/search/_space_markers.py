"""`Choice` and `Range`: what is searched, in the place of a value that is fixed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import keras_tuner
import numpy as np


@dataclass(frozen=True, init=False, repr=False)
class Choice:
    """One of some values, for `space` to search.

    Numbers keep their order, so that KerasTuner's tuners know 16 to be nearer to 32 than to 128.
    Anything else is told apart by its name in the search, which is its `repr`.

    Args:
        *values: Numbers, strings, booleans, `None`, or lists, tuples and dictionaries of these;
            each once. The first is the default.

    Raises:
        ValueError: There are no values, one comes twice, or one is no plain data.

    Example:
        ```python
        Choice("relu", "selu"), Choice([100], [100, 100]), Choice(None, "batch"), Choice(16, 32)
        ```
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        if not values:
            raise ValueError("`Choice` needs at least one value. Received: Choice().")
        plain = [_plain(value) for value in values]
        if all(_is_number(value) for value in plain):
            # KerasTuner takes one type only.
            kind = int if all(isinstance(value, int) for value in plain) else float
            plain = [kind(value) for value in plain]
        object.__setattr__(self, "values", tuple(plain))
        if len(set(self.names)) < len(plain):
            raise ValueError(
                f"`Choice` must name each value once. Received: Choice{values!r}. KerasTuner draws "
                "all with equal probability."
            )

    @property
    def names(self) -> list[Any]:
        """What KerasTuner is told: numbers and strings as they are, else the `repr` of each."""
        same = all(_is_number(v) for v in self.values) or all(
            isinstance(v, str) for v in self.values
        )
        return list(self.values) if same else [repr(value) for value in self.values]

    def declare(self, hp: Any, name: str) -> Any:
        """The value that is set in KerasTuner's `hp`, the default where none is."""
        names = self.names
        found = hp.Choice(name, names)
        if names == list(self.values):
            # Not looked up: a tuner of ours may set a number between those listed.
            return found
        if found not in names:
            raise keras_tuner.errors.FatalValueError(
                f"`{name}` must be one of {self!r}. Received: {name}={found!r}, from a search of "
                "another space. Use another `project_name`, or `overwrite=True`."
            )
        return self.values[names.index(found)]

    def probes(self) -> list[Any]:
        """The values to try a builder with, as KerasTuner holds them."""
        return self.names

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.values))})"


@dataclass(frozen=True, repr=False)
class Range:
    """A number between two, for `space` to search.

    ```
    linear: lowest + u (highest - lowest)    log: lowest (highest / lowest)^u    0 <= u < 1
    ```

    Choose `log` for what counts by its factor: rates, penalties, widths. Two integers make a
    range of integers.

    Args:
        lowest: Float or integer.
        highest: Float or integer, included.
        log: Boolean. Whether factors, not differences, are equally likely. Defaults to `False`.
        step: Float or integer. Only `lowest + i step`, with `log` only `lowest step^i`. Defaults
            to `None`: 1 for integers without `log`, else any value.
        default: Float or integer. What a model is built with where nothing is searched yet.
            Defaults to `None`: `lowest`.

    Raises:
        ValueError: The numbers don't make a range.

    Example:
        ```python
        Range(1, 5), Range(16, 256, log=True, step=2), Range(0.0, 0.5)
        ```
    """

    lowest: float
    highest: float
    log: bool = False
    step: float | None = None
    default: float | None = None

    def __post_init__(self) -> None:
        for name in ("lowest", "highest", "step", "default"):
            value = getattr(self, name)
            object.__setattr__(self, name, value.item() if isinstance(value, np.generic) else value)
        if not isinstance(self.log, (bool, np.bool_)):
            raise ValueError(f"`log` must be True or False. Received: log={self.log!r}.")
        self._check_ends()
        self._check_step()
        if self.default is not None and not (
            _is_number(self.default) and self.lowest <= self.default <= self.highest
        ):
            raise ValueError(
                f"`default` must be in [{self.lowest}, {self.highest}]. "
                f"Received: default={self.default!r}."
            )

    @property
    def of_integers(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.lowest, int) and isinstance(self.highest, int)

    def declare(self, hp: Any, name: str) -> Any:
        """The value that is set in KerasTuner's `hp`, the default where none is."""
        kind = hp.Int if self.of_integers else hp.Float
        return kind(
            name,
            self.lowest,
            self.highest,
            step=self.step,
            sampling="log" if self.log else "linear",
            default=self.default,
        )

    def probes(self) -> list[Any]:
        """Both ends, and the step next to the lower one, which an end may hide."""
        step = 1 if self.step is None and self.of_integers and not self.log else self.step
        if step is None:
            return [self.lowest, self.highest]
        steps = self._steps(step)
        return list(dict.fromkeys(self._at(step, i) for i in (0, min(1, steps), steps)))

    def __repr__(self) -> str:
        rest = {"log": self.log or None, "step": self.step, "default": self.default}
        given = [f"{name}={value!r}" for name, value in rest.items() if value is not None]
        return f"Range({', '.join([repr(self.lowest), repr(self.highest), *given])})"

    def _steps(self, step: float) -> int:
        # As KerasTuner counts them.
        if self.log:
            return int(math.log(self.highest / self.lowest, step) + 1e-8)
        return int((self.highest - self.lowest) // step)

    def _at(self, step: float, index: int) -> float:
        value = self.lowest * step**index if self.log else self.lowest + index * step
        return int(value) if self.of_integers else value

    def _check_ends(self) -> None:
        ends = (self.lowest, self.highest)
        if not all(map(_is_number, ends)) or not self.lowest < self.highest:
            raise ValueError(
                "`Range` goes from a finite number to a larger one. Received: "
                f"Range({self.lowest!r}, {self.highest!r})."
            )
        if self.log and self.lowest <= 0:
            raise ValueError(
                "A logarithmic range starts above 0. Received: "
                f"lowest={self.lowest!r}. To search 0 beside it, list the values: "
                "Choice(0.0, 1e-5, 1e-4, 1e-3)."
            )

    def _check_step(self) -> None:
        least = 1 if self.log else 0
        if self.step is not None and (not _is_number(self.step) or self.step <= least):
            raise ValueError(
                f"`step` must be above {least}{', a factor' * self.log}. "
                f"Received: step={self.step!r}."
            )
        whole = (self.step, self.default)
        if self.of_integers and not all(n is None or isinstance(n, int) for n in whole):
            raise ValueError(
                "A range of integers takes integers for `step` and `default`. Received: "
                f"step={self.step!r}, default={self.default!r}. Write Range({self.lowest:.1f}, "
                f"{self.highest:.1f}) for floats."
            )


def is_searched(value: Any) -> bool:
    """Whether the value stands for several."""
    return isinstance(value, (Choice, Range))


def declared(hp: Any, name: str, value: Any) -> Any:
    """The value of one argument in this trial; a fixed one is not told to KerasTuner."""
    return value.declare(hp, name) if is_searched(value) else value


def holds_searched(value: Any) -> bool:
    """Whether a list, a tuple or a dictionary holds a `Choice` or a `Range`."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return False
    return any(is_searched(item) or holds_searched(item) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, (str, bool)) or _is_number(value):
        return value
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise ValueError(
        "`Choice` takes finite numbers, strings, booleans, None, and lists, tuples and "
        "dictionaries of these, since a search keeps its values as text. Received: "
        f"{value!r}. For objects, write a builder of your own that takes their names."
    )


def searched_values(value: Any) -> Sequence[Any]:
    """All that the value may be; of a range its probes."""
    if isinstance(value, Choice):
        return value.values
    return value.probes() if isinstance(value, Range) else [value]
