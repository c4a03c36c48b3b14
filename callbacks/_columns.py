"""Names and plain facts of the variables that a record has columns for."""

import math
from collections.abc import Sequence
from typing import Any

_NEITHER = ("gamma", "beta", "alpha", "scale")


def _path(variable: Any) -> str:
    return str(getattr(variable, "path", None) or variable.name.partition(":")[0])


def _part(name: str, shape: tuple[int, ...]) -> str:
    if name.endswith("bias"):
        return "bias"
    if name.endswith(("kernel", "embeddings")):
        return "kernel"
    # A subclassed layer may call its matrix anything.
    return "kernel" if len(shape) >= 2 and name not in _NEITHER else "other"


def columns_of(
    variables: Sequence[Any], connected: Sequence[bool], model_name: str
) -> list[dict[str, Any]]:
    """One plain dict per variable, as `Rows.columns` describes it.

    Args:
        variables: Trainable variables, of Keras or of TensorFlow.
        connected: For each, whether it has a gradient.
        model_name: The model's, which Keras puts before the paths of a Sequential model's
            layers, and which their names do without.

    Returns:
        The columns. Where two variables share a path, as in a subclassed model with two layers
        of one name, later ones get `:2`, `:3` behind their layer's.
    """
    columns: list[dict[str, Any]] = []
    taken: set[str] = set()
    for variable, has_gradient in zip(variables, connected, strict=True):
        shape = tuple(int(size) for size in variable.shape)
        owner, _, name = _path(variable).rpartition("/")
        owner = base = owner or name
        number = 1
        while f"{owner}/{name}" in taken:
            number += 1
            owner = f"{base}:{number}"
        taken.add(f"{owner}/{name}")
        columns.append(
            {
                "path": f"{owner}/{name}",
                "layer": owner.removeprefix(f"{model_name}/"),
                "part": _part(name, shape),
                "shape": list(shape),
                "size": math.prod(shape),
                "connected": bool(has_gradient),
            }
        )
    return columns
