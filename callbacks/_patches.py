"""Instance attributes put in the place of methods, and taken away again."""

import weakref
from collections.abc import Callable
from typing import Any

_ABSENT = object()


class Patches:
    """Replaces methods of objects by attributes of the same name, until `undo`."""

    def __init__(self) -> None:
        self._kept: list[tuple[Callable[[], Any], str, Any]] = []

    def put(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        """Sets `owner.name` to `wrap(original)`."""
        self._kept.append((weakref.ref(owner), name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, wrap(getattr(owner, name)))

    def undo(self) -> None:
        """Leaves the objects as they were."""
        while self._kept:
            reference, name, kept = self._kept.pop()
            owner = reference()
            if owner is None:
                continue
            if kept is not _ABSENT:
                setattr(owner, name, kept)
            elif name in vars(owner):
                delattr(owner, name)
