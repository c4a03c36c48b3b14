"""`fixup`: initializes a residual network without normalization by the number of its blocks."""

from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Any, NamedTuple

import keras
import numpy as np

from ._kernel_layers import kernel_of
from ._layer_graph import LayerGraph
from .layers.skip_init import SkipInit

_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
    keras.layers.SpectralNormalization,
)


class FixedBranch(NamedTuple):
    """What `fixup` did to one residual branch.

    Attributes:
        add: Path of the addition that the branch ends in.
        factor: What the kernels of `scaled` were multiplied by.
        scaled: Paths of layers.
        zeroed: Paths of the layers that were set to 0: the branch's last.
    """

    add: str
    factor: float
    scaled: tuple[str, ...]
    zeroed: tuple[str, ...]


def fixup(model: keras.Model) -> list[FixedBranch]:
    """Fixup initialization: lets a residual network of any depth train without normalization.

    ```
    block(h) = h + branch(h)      L branches of m layers with kernels each
    kernel <- L^(-1 / (2m - 2)) kernel      of each layer in a branch but the last
    kernel, bias <- 0                       of the last, and of the model's last layer
    ```

    Every block starts as the identity, and one step of SGD changes the output by an amount that
    does not grow with depth. Choose it for residual networks without batch normalization.

    It sets the weights that are there and adds none. The paper also puts a scalar bias before
    each layer and activation of a branch, and a scalar multiplier, 1 at the start, at its end:
    ordinary biases play the first part, a `SkipInit` in the branch the second (it is set to 1,
    since at 0, behind a kernel of 0, it would never get a gradient). Without multipliers the
    start is the same.

    A block is found by its addition: `keras.layers.Add`, or `+`, of paths that come from one
    tensor; the path with the fewest kernels is the shortcut, whose kernels stay as they are. Call
    it once, right after building: it scales what the initializers have drawn (He normal for
    ReLU).

    Zero gradients at the start are by design: the first step moves the model's last layer alone,
    the second the last ones of the branches too, and from the third on all move.

    Args:
        model: A Functional or Sequential Keras model. Its weights are changed in place.

    Returns:
        A list of `FixedBranch`.

    Raises:
        ValueError: The model has no residual block that can be seen, it normalizes, or `fixup`
            was called on it before and it has not been trained since: on a trained model it
            begins anew, at the cost of what was learned.

    Reference:
        Zhang, Dauphin & Ma 2019, "Fixup Initialization: Residual Learning Without Normalization".

    Example:
        ```python
        x = inputs = keras.Input((16,))
        for _ in range(4):
            branch = keras.layers.Dense(16, "relu", kernel_initializer="he_normal")(x)
            branch = keras.layers.Dense(16, kernel_initializer="he_normal")(branch)
            x = keras.layers.Add()([x, branch])
        model = keras.Model(inputs, keras.layers.Dense(3)(x))
        fixup(model)[0].factor  # 4 branches of 2 layers: 4^(-1/2) = 0.5
        ```
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(f"`model` must be a built keras.Model. Received: model={model!r}.")
    graph = LayerGraph.of(model)
    _refuse_normalization(graph)
    branches = _branches(graph)
    if not branches:
        raise ValueError(
            "`model` must have residual blocks: additions, by keras.layers.Add or +, of a branch "
            f"with dense or convolutional layers and a shortcut. Received: model={model.name!r} "
            "without. Inside of subclassed models and layers they can't be seen."
        )
    zeroed = {place for branch in branches for place in branch.last} | _heads(graph)
    if not any(np.any(kernel_of(graph.nodes[place].layer).numpy()) for place in zeroed):
        raise ValueError(
            "`fixup` scales only once. Received: a model whose last layers are zero already, "
            f"{model.name!r}. Build it anew."
        )
    for place in zeroed:
        _set_to_zero(graph.nodes[place].layer)
    done = {id(graph.nodes[place].layer) for place in zeroed}
    return [_fix(graph, branch, len(branches), done) for branch in branches]


@dataclass(frozen=True)
class _Branch:
    """Places in the graph.

    Attributes:
        add: The addition that it ends in.
        inside: All of it.
        kernels: Layers with kernels, those of blocks inside of it left out.
        last: Those of them with no other behind them.
        depth: The most of them on one path.
    """

    add: int
    inside: tuple[int, ...]
    kernels: tuple[int, ...]
    last: tuple[int, ...]
    depth: int


def _branches(graph: LayerGraph) -> list[_Branch]:
    """The residual branches, inner ones before those that they are in."""
    branches: list[_Branch] = []
    claimed: set[int] = set()
    # Sets of places, as the bits of an integer: all places before each place, and itself.
    before: list[int] = []
    for place, node in enumerate(graph.nodes):
        before.append(reduce(or_, (before[parent] for parent in node.parents), 1 << place))
        common = reduce(and_, (before[parent] for parent in node.parents), -1)
        if not _adds(node.layer) or len(set(node.parents)) < 2 or not common:
            continue
        paths = [
            _path(graph, place, parent, _places(before[parent] & ~common), claimed)
            for parent in dict.fromkeys(node.parents)
        ]
        shortcut = min(path.depth for path in paths)
        for path in paths:
            if path.depth > shortcut:
                branches.append(path)
                claimed.update(path.kernels)
    return branches


def _path(
    graph: LayerGraph, add: int, end: int, inside: tuple[int, ...], claimed: set[int]
) -> _Branch:
    depths: dict[int, int] = {}
    for place in inside:
        parents = graph.nodes[place].parents
        depths[place] = max((depths.get(parent, 0) for parent in parents), default=0)
        depths[place] += _has_kernel(graph, place) and place not in claimed
    kernels = tuple(p for p in inside if _has_kernel(graph, p) and p not in claimed)
    last = _first_kernels_from(graph, [end], set(inside))
    return _Branch(add, inside, kernels, tuple(last & set(kernels)), depths.get(end, 0))


def _heads(graph: LayerGraph) -> set[int]:
    """The layers that make the model's outputs, where no addition comes after them."""
    parents = {parent for node in graph.nodes for parent in node.parents}
    ends = [place for place in range(len(graph.nodes)) if place not in parents]
    inside = {place for place, node in enumerate(graph.nodes) if not _adds(node.layer)}
    return _first_kernels_from(graph, ends, inside)


def _first_kernels_from(graph: LayerGraph, ends: list[int], inside: set[int]) -> set[int]:
    """Going back from some places, the first layers with kernels."""
    found, waiting, seen = set(), list(ends), set()
    while waiting:
        place = waiting.pop()
        if place in seen or place not in inside:
            continue
        seen.add(place)
        if _has_kernel(graph, place):
            found.add(place)
        else:
            waiting += graph.nodes[place].parents
    return found


def _places(bits: int) -> tuple[int, ...]:
    places = []
    while bits:
        lowest = bits & -bits
        places.append(lowest.bit_length() - 1)
        bits ^= lowest
    return tuple(places)


def _adds(layer: Any) -> bool:
    # The operation behind + is no public class.
    return isinstance(layer, keras.layers.Add) or type(layer).__name__ == "Add"


def _has_kernel(graph: LayerGraph, place: int) -> bool:
    return kernel_of(graph.nodes[place].layer) is not None


def _refuse_normalization(graph: LayerGraph) -> None:
    for node in graph.nodes:
        if isinstance(node.layer, _NORMALIZATIONS):
            raise ValueError(
                "`fixup` is for networks without normalization, which it takes the place of. "
                f"Received: a model with {type(node.layer).__name__}, {node.path!r}. Build it "
                "without, or keep the normalization and leave `fixup` out."
            )


# ---------------------------------------------------------------- what is set


def _fix(graph: LayerGraph, branch: _Branch, branches: int, done: set[int]) -> FixedBranch:
    """Sets one branch; `done` are layers that need no more, shared ones among them."""
    factor = branches ** (-1 / (2 * branch.depth - 2)) if branch.depth > 1 else 1.0
    scaled = []
    for place in branch.kernels:
        layer = graph.nodes[place].layer
        if id(layer) not in done:
            done.add(id(layer))
            kernel = kernel_of(layer)
            kernel.assign(kernel * factor)
            scaled.append(graph.nodes[place].path)
    for place in branch.inside:
        if isinstance(graph.nodes[place].layer, SkipInit):
            graph.nodes[place].layer.scale.assign(1.0)
    zeroed = tuple(graph.nodes[place].path for place in branch.last)
    return FixedBranch(graph.nodes[branch.add].path, factor, tuple(scaled), zeroed)


def _set_to_zero(layer: Any) -> None:
    kernel = kernel_of(layer)
    kernel.assign(keras.ops.zeros_like(kernel))
    if layer.bias is not None:
        layer.bias.assign(keras.ops.zeros_like(layer.bias))
