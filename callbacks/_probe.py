"""A fixed batch passed through the model between epochs, without a trace in it."""

from typing import Any

import keras
import numpy as np

from ._layer_taps import LayerTaps, Seen


def checked_probe(probe: Any) -> Any:
    """The batch as it came, None too.

    Raises:
        ValueError: It is no batch, or an empty one.
    """
    if probe is None:
        return None
    shapes = [getattr(part, "shape", None) for part in keras.tree.flatten(probe)]
    rows = {shape[0] if shape is not None and len(shape) else None for shape in shapes}
    if len(rows) != 1 or not rows.pop():
        raise ValueError(
            "`probe` must be a batch of at least one sample, an array or a list or dict of arrays "
            f"of the same length, such as `x_train[:256]`. Received: a {type(probe).__name__} of "
            f"shapes {[None if shape is None else tuple(shape) for shape in shapes]}"
        )
    return probe


def seen_on_probe(model: Any, probe: Any) -> Seen:
    """What the layers put out for the batch, with `training=False`.

    Seeds that a layer draws from even so, and whatever else it counts, are set back.
    """
    numpy = keras.ops.convert_to_numpy
    state = [(variable, numpy(variable)) for variable in model.non_trainable_variables]
    taps = LayerTaps(model, inference=True)
    taps.hook()
    try:
        model(probe, training=False)
        return taps.take()
    finally:
        taps.undo()
        for variable, value in state:
            if not np.array_equal(numpy(variable), value):
                variable.assign(value)
