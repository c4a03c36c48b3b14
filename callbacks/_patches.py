"""Instance attributes put in the place of methods, and taken away again."""

import weakref
from collections.abc import Callable
from typing import Any

_ABSENT = object()

Wrap = Callable[[Any], Any]


class _Stack:
    """What all who do have put over one method of one object, the innermost first.

    The function on top carries it, so that it goes with the object.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self._name, self._kept = name, vars(owner).get(name, _ABSENT)
        self.wraps: list[Wrap] = []

    @classmethod
    def over(cls, owner: Any, name: str) -> "_Stack":
        stack = getattr(vars(owner).get(name), "_stack", None)
        return stack if isinstance(stack, cls) else cls(owner, name)

    def rebuild(self, owner: Any) -> None:
        if self._kept is not _ABSENT:
            setattr(owner, self._name, self._kept)
        elif self._name in vars(owner):
            delattr(owner, self._name)
        if not self.wraps:
            return
        method = getattr(owner, self._name)
        for wrap in self.wraps:
            method = wrap(method)
        method._stack = self
        setattr(owner, self._name, method)


class Patches:
    """Replaces methods of objects by attributes of the same name, until `undo`."""

    def __init__(self) -> None:
        self._put: list[tuple[Callable[[], Any], str, Wrap]] = []

    def put(self, owner: Any, name: str, wrap: Wrap) -> None:
        """Sets `owner.name` to `wrap(original)`, which must be a new function."""
        self._put.append((weakref.ref(owner), name, wrap))
        stack = _Stack.over(owner, name)
        stack.wraps.append(wrap)
        stack.rebuild(owner)

    def undo(self) -> None:
        """Takes these away, and leaves what others have put over the same methods."""
        while self._put:
            reference, name, wrap = self._put.pop()
            owner = reference()
            if owner is None:
                continue
            stack = _Stack.over(owner, name)
            if wrap in stack.wraps:
                stack.wraps.remove(wrap)
                stack.rebuild(owner)
