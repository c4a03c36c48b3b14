"""Which layers get a column: chosen once the first step has shown them."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from ._activation_row import Watched
from ._layer_activations import applied_by, is_watched_unasked, layers_within, path_of
from ._layer_taps import Seen
from .activation_facts import did_you_mean


def watched_layers(model: Any, seen: Seen, asked: Sequence[Any] | None) -> list[Watched]:
    """The layers to watch, in the model's order.

    Args:
        model: A Keras model.
        seen: What its first step has shown.
        asked: Layers, or their names or paths. None: hidden ones with a known activation.

    Raises:
        ValueError: The model has no such layer, or none to watch.
    """
    named = _named(model)
    if asked is None:
        chosen = [
            (path, layer)
            for path, layer in named
            if is_watched_unasked(layer)
            and id(layer) not in seen.outputs
            and (id(layer) in seen.calls or id(layer) in seen.hidden)
        ]
    else:
        ids = {id(_find(one, named)) for one in asked}
        chosen = [(path, layer) for path, layer in named if id(layer) in ids]
    if not chosen:
        raise ValueError(
            "no hidden layer of the model applies an activation that is known. Name those to "
            f"watch in `layers=`, of {', '.join(path for path, _ in named)}"
        )
    watched = [_watched(path, layer, seen) for path, layer in chosen]
    unseen = [one.path for one in watched if one.shape is None]
    if unseen:
        warnings.warn(
            f"ActivationStats can't see what {', '.join(unseen)} put out: the step does not call "
            "them, or only within a loop or a branch of its graph. Their columns are NaN.",
            stacklevel=2,
        )
    return watched


def checked_layers(layers: Any) -> list[Any] | None:
    """The argument `layers` as a list.

    Raises:
        ValueError: It is no list of layers and names.
    """
    if layers is None:
        return None
    listed = isinstance(layers, (list, tuple)) and len(layers) > 0
    if not listed or not all(isinstance(one, (str, keras.Layer)) for one in layers):
        raise ValueError(
            "`layers` must be a list of layers or of their names, or None for all that apply an "
            f"activation. Received: layers={layers!r}"
        )
    return list(layers)


def _named(model: Any) -> list[tuple[str, Any]]:
    """All layers by path; later ones of the same path get `:2`, `:3`."""
    named: dict[str, Any] = {}
    for layer in layers_within(model):
        base = path = path_of(layer, model.name)
        number = 1
        while path in named:
            number += 1
            path = f"{base}:{number}"
        named[path] = layer
    return list(named.items())


def _find(one: Any, named: list[tuple[str, Any]]) -> Any:
    for path, layer in named:
        if layer is one or one in (path, layer.name):
            return layer
    shown = one.name if isinstance(one, keras.Layer) else one
    paths = [path for path, _ in named]
    raise ValueError(
        f"`layers` must be among the model's layers. Received: {shown!r}."
        f"{did_you_mean(shown, paths)} It has {', '.join(paths)}"
    )


def _watched(path: str, layer: Any, seen: Seen) -> Watched:
    calls, shape = seen.calls.get(id(layer)), None
    if calls and calls[0][1].shape.rank:
        shape = tuple(calls[0][1].shape[1:])
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    axis = 1 if channels_first and shape is not None and len(shape) > 1 else -1
    return Watched(id(layer), path, applied_by(layer), axis, shape)
