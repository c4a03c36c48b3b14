"""Walks over `record.network`: what a layer is, what feeds it, what it feeds."""

from collections.abc import Iterator
from typing import Any

Layer = dict[str, Any]

KERNELS = frozenset(
    f"{kind}{suffix}"
    for kind in ("Conv1D", "Conv2D", "Conv3D", "Dense", "SeparableConv1D", "SeparableConv2D")
    for suffix in ("", "Transpose")
)
"""Layers that are linear but for their activation, with a kernel for all channels at once."""

_SHAPES = frozenset(
    {
        *(f"{kind}{n}D" for n in (1, 2, 3) for kind in ("Cropping", "UpSampling", "ZeroPadding")),
        *(f"{kind}Pooling{n}D" for n in (1, 2, 3) for kind in ("Average", "GlobalAverage")),
        *("ActivityRegularization", "Cast", "ExpandDims", "Flatten", "GetItem", "Identity"),
        *("InputLayer", "Permute", "RepeatVector", "Reshape", "Squeeze", "Transpose"),
        *("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
        *(f"SpatialDropout{n}D" for n in (1, 2, 3)),
    }
)
_MAXIMA = frozenset(f"{kind}Pooling{n}D" for kind in ("Max", "GlobalMax") for n in (1, 2, 3))
_ACTIVATIONS = frozenset({"Activation", "ELU", "LeakyReLU", "PReLU", "RReLU", "ReLU", "Softmax"})


class Graph:
    """The layers of a record, with the connections both ways.

    Attributes:
        layers: The layers' descriptions.
        known: Whether all connections are.
        children: Of each layer, the indexes of those that it feeds.
    """

    def __init__(self, network: dict[str, Any]) -> None:
        self.layers: list[Layer] = list(network.get("layers") or [])
        self.known = bool(self.layers) and all(
            layer.get("inputs") is not None for layer in self.layers
        )
        self.children: list[list[int]] = [[] for _ in self.layers]
        for at in range(len(self.layers) if self.known else 0):
            for parent in self.parents(at):
                self.children[parent].append(at)

    def parents(self, at: int) -> list[int]:
        """Indexes of the layers that feed a layer."""
        return [i for i in self.layers[at].get("inputs") or () if 0 <= i < len(self.layers)]

    def outputs(self) -> list[int]:
        """Indexes of the layers whose outputs are the model's."""
        return [at for at, layer in enumerate(self.layers) if layer.get("output")]

    def made_by(self, at: int) -> int:
        """The layer that makes the values, behind those that only change their shape."""
        seen = {at}
        while is_shape(self.layers[at]) and len(self.parents(at)) == 1:
            at = self.parents(at)[0]
            if at in seen:
                break
            seen.add(at)
        return at

    def activation(self, at: int) -> str | None:
        """The function behind a kernel: its own, or that of the layer after it.

        None where it isn't known, as where several layers take the output.
        """
        own = self.layers[at].get("activation")
        if own not in (None, "linear"):
            return str(own)
        for after in self.after(at):
            layer = self.layers[after]
            if is_activation(layer):
                return str(layer["activation"])
            if not (is_shape(layer) or layer.get("normalizes")):
                break
        return "linear" if own == "linear" or is_kernel(self.layers[at]) else None

    def after(self, at: int) -> Iterator[int]:
        """The layers behind one, as long as each feeds just one."""
        seen = {at}
        while len(self.children[at]) == 1:
            at = self.children[at][0]
            if at in seen:
                return
            seen.add(at)
            yield at

    def before(self, at: int) -> Iterator[int]:
        """The layers before one, as long as each is fed by just one."""
        seen = {at}
        while len(self.parents(at)) == 1:
            at = self.parents(at)[0]
            if at in seen:
                return
            seen.add(at)
            yield at

    def hidden(self) -> list[int]:
        """Kernels, in order, but those that make the model's outputs."""
        makes = {self._kernel_of_output(at) for at in self.outputs()}
        return [at for at, layer in enumerate(self.layers) if is_kernel(layer) and at not in makes]

    def _kernel_of_output(self, at: int) -> int:
        for one in (at, *self.before(at)):
            if is_kernel(self.layers[one]):
                return one
            layer = self.layers[one]
            # Behind a scale of the targets is still the output.
            if not (is_shape(layer) or is_activation(layer) or kind(layer) == "Rescaling"):
                break
        return at


def kind(layer: Layer) -> str:
    """The layer's class, that within a wrapper where it has one."""
    return str(layer.get("wraps") or layer.get("class"))


def path(layer: Layer) -> str:
    """The layer's name within the model."""
    return str(layer.get("path"))


def is_kernel(layer: Layer) -> bool:
    """Whether it is a dense or a convolutional layer."""
    return kind(layer) in KERNELS


def is_shape(layer: Layer) -> bool:
    """Whether it leaves the values as they are, or averages or drops some, and no more."""
    return kind(layer) in _SHAPES


def is_maximum(layer: Layer) -> bool:
    """Whether it is a max pooling."""
    return kind(layer) in _MAXIMA


def is_activation(layer: Layer) -> bool:
    """Whether it applies an activation and does nothing else."""
    named = layer.get("activation") not in (None, "linear")
    return (
        named
        and (kind(layer) in _ACTIVATIONS or not layer.get("parameters"))
        and (not is_kernel(layer))
    )


def channels_in(layer: Layer) -> int | None:
    """Features or channels that a kernel takes."""
    shape = layer.get("kernel_shape")
    return int(shape[-2]) if shape and len(shape) >= 2 and shape[-2] else None


def fans(layer: Layer) -> tuple[int, int] | None:
    """Inputs and outputs of a unit, `(fan_in, fan_out)`, as Keras' initializers count them."""
    shape = layer.get("kernel_shape")
    if not shape or len(shape) < 2 or None in shape:
        return None
    field = 1
    for size in shape[:-2]:
        field *= int(size)
    return field * int(shape[-2]), field * int(shape[-1])
