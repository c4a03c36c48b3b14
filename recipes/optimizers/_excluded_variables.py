"""The variables that an optimizer is told to leave out, by name."""

from collections.abc import Iterable, Sequence
from typing import Any

from ...callbacks.activation_facts import did_you_mean


def names_of(exclude: Any) -> tuple[str, ...]:
    """The names in `exclude`, one or several."""
    names = [] if exclude is None else [exclude] if isinstance(exclude, str) else exclude
    names = tuple(names) if isinstance(names, Iterable) else (names,)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            "`exclude` must be the name or path of a layer or variable, 'last', a sequence of "
            f"such, or None. Received: exclude={exclude!r}."
        )
    return names


def excluded_variables(exclude: Sequence[str], variables: Sequence[Any]) -> list[bool]:
    """Which of the variables are meant.

    Args:
        exclude: Names or paths of layers or variables; `"last"` is the layer of the last
            variable.
        variables: Keras variables.

    Raises:
        ValueError: A name fits none of them.
    """
    paths = [str(getattr(variable, "path", variable.name)) for variable in variables]
    last = _layer(paths[-1]) if paths else ""
    for name in exclude:
        if name != "last" and not any(_is_part(name, path) for path in paths):
            parts = {part for path in paths for part in (path, *path.split("/")[:-1])}
            raise ValueError(
                "Each name in `exclude` must be the name or the path of a layer or a variable. "
                f"Received: exclude={list(exclude)}, where {name!r} is none of "
                f"{', '.join(map(repr, paths))}.{did_you_mean(name, sorted(parts))}"
            )
    return [
        any(_layer(path) == last if name == "last" else _is_part(name, path) for name in exclude)
        for path in paths
    ]


def _layer(path: str) -> str:
    """The path of a variable's layer; of a variable outside of any layer its own."""
    return path.rpartition("/")[0] or path


def _is_part(name: str, path: str) -> bool:
    return f"/{name.strip('/')}/" in f"/{path}/"
