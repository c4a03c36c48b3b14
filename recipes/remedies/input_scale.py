"""The inputs of a model, what takes them, and the layer that standardizes one."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...callbacks.diagnosis._graph import is_shape, kind
from .._channels import channel_standardization
from ..mlp import standardization
from .changes import NotChangedError
from .treatment import Treatment


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes:
        shape: Of one sample, None where it isn't known.
        array: Its data, None where there are none.
        takers: Indexes of the layers that take it, behind those that only change its shape.
        takes_names: Whether it is words, not numbers.
        axis: The axis of its channels, None where one scale is for all.
        rescaling: Index of a `Rescaling` layer that is all that takes it.
        precision: Of the standardized values.
    """

    shape: tuple[int | None, ...] | None
    array: Any
    takers: list[int]
    takes_names: bool
    axis: int | None
    rescaling: int | None
    precision: str


def inputs_of(treatment: Treatment) -> list[ModelInput]:
    """The inputs of the model, in its order."""
    tensors = getattr(treatment.model, "inputs", None)
    if not tensors:
        return [_first_of_unbuilt(treatment)] if np.ndim(treatment.x) else []
    arrays = _arrays(treatment, tensors)
    return [
        _described(treatment, tuple(tensor.shape[1:]), array, first, str(tensor.dtype))
        for tensor, array, first in zip(tensors, arrays, _starts(treatment, tensors), strict=True)
    ]


def standardizer(one: ModelInput, name: str) -> Callable[[], Any]:
    """Makes the layer that standardizes an input.

    Raises:
        NotChangedError: The data don't tell mean and deviation.
    """
    if one.array is None:
        axis = -1 if one.axis is None else one.axis
        return lambda: keras.layers.BatchNormalization(axis=axis, name=name, dtype=one.precision)
    try:
        config = _normalization(one).get_config()
    except ValueError as error:
        raise NotChangedError(f"The inputs have no mean and deviation: {error}") from error
    config |= {"name": name, "dtype": one.precision}
    return lambda: keras.layers.Normalization.from_config(dict(config))


def _normalization(one: ModelInput) -> Any:
    shape, values = one.shape or (1,), np.asarray(one.array)
    known = [size for size in shape if size is not None]
    if len(known) == len(shape) and values[0].size != math.prod(known):
        raise ValueError(f"they have the shape {values.shape[1:]}, and the model takes {shape}.")
    if one.axis is None:
        whole = standardization(values.reshape(-1, 1), (1,)).get_config()
        (mean,), (variance,) = np.ravel(whole["mean"]), np.ravel(whole["variance"])
        return keras.layers.Normalization(axis=None, mean=float(mean), variance=float(variance))
    if len(shape) == 1:
        return standardization(values.reshape(-1, known[0]), (known[0],))
    channels = int(shape[one.axis - 1 if one.axis > 0 else one.axis] or 0)
    by_channel = np.moveaxis(values, one.axis, -1).reshape(-1, channels)
    config = channel_standardization(by_channel, channels).get_config()
    return keras.layers.Normalization.from_config({**config, "axis": one.axis})


def _first_of_unbuilt(treatment: Treatment) -> ModelInput:
    shape = tuple(np.shape(treatment.x)[1:]) or (1,)
    starts = list(_behind_shapes(treatment, [0])) if treatment.graph.layers else []
    return _described(treatment, shape, treatment.x, [], "float32", starts)


def _described(
    treatment: Treatment,
    shape: tuple[int | None, ...],
    array: Any,
    first: list[int],
    dtype: str,
    takers: list[int] | None = None,
) -> ModelInput:
    takers = list(_behind_shapes(treatment, first)) if takers is None else takers
    axis = _axis(treatment, first, takers, len(shape))
    known = bool(shape) and (axis is None or shape[axis - 1 if axis > 0 else axis] is not None)
    kinds = [kind(treatment.graph.layers[at]) for at in first]
    dtypes = {getattr(treatment.layer(at), "variable_dtype", "float32") for at in takers}
    return ModelInput(
        shape=shape if known else None,
        array=array if _holds_numbers(array) else None,
        takers=takers,
        takes_names=dtype == "string",
        axis=axis,
        rescaling=first[0] if kinds == ["Rescaling"] else None,
        precision="float64" if dtypes == {"float64"} else "float32",
    )


def _axis(treatment: Treatment, first: list[int], takers: list[int], rank: int) -> int | None:
    """The axis of the channels; None of images whose channels are still to be told apart."""
    layers = treatment.graph.layers
    for at in first:
        added = (layers[at].get("output_shape") or [])[1:]
        if kind(layers[at]) == "Reshape" and len(added) > rank and added[-1] == 1:
            return None
    formats = {getattr(treatment.layer(at), "data_format", None) for at in takers}
    return 1 if "channels_first" in formats and rank > 1 else -1


def _starts(treatment: Treatment, tensors: list[Any]) -> Iterator[list[int]]:
    """For each input the layers that take it first."""
    graph = treatment.graph
    for tensor in tensors:
        entry = [
            at
            for at, layer in enumerate(graph.layers)
            if kind(layer) == "InputLayer" and treatment.layer(at).output is tensor
        ]
        if entry:
            yield [child for at in entry for child in graph.children[at]]
        else:  # a Sequential, which does not list its input
            yield [0] if graph.layers else []


def _behind_shapes(treatment: Treatment, first: list[int]) -> Iterator[int]:
    graph, seen, left = treatment.graph, set(first), list(first)
    while left:
        at = left.pop(0)
        if not is_shape(graph.layers[at]):
            yield at
            continue
        new = [child for child in graph.children[at] if child not in seen]
        seen.update(new)
        left += new


def _arrays(treatment: Treatment, tensors: list[Any]) -> list[Any]:
    x, structure = treatment.x, getattr(treatment.model, "input", None)
    if isinstance(x, Mapping) and not isinstance(structure, Mapping):
        return [x.get(tensor.name) for tensor in tensors]
    if isinstance(x, Mapping) and isinstance(structure, Mapping):
        named = {id(tensor): x.get(key) for key, tensor in structure.items()}
        return [named.get(id(tensor)) for tensor in tensors]
    arrays = [None] if x is None else list(x) if isinstance(x, (list, tuple)) else [x]
    return arrays if len(arrays) == len(tensors) else [None] * len(tensors)


def _holds_numbers(array: Any) -> bool:
    return array is not None and np.size(array) > 0 and np.asarray(array).dtype.kind in "biuf"
