"""What a range test asks of its arguments and of the model."""

from typing import Any

import keras
import numpy as np

from ._arguments import whole, within

FEWEST_STEPS = 20


def check_model(model: Any) -> None:
    """Refuses a model that can't be trained yet."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model. Received: a {type(model).__name__}")
    if not model.compiled or model.optimizer is None:
        raise ValueError(
            f"`model` must be compiled. Received: model={model.name!r}, which is not. Call "
            "`model.compile(optimizer, loss)` first."
        )
    if not model.built or not model.trainable_variables:
        raise ValueError(
            f"`model` must have weights to train. Received: model={model.name!r}, which has none "
            "yet. Begin it with a `keras.Input`, or call it on a batch first."
        )


def checked_range(lowest: Any, highest: Any) -> tuple[float, float]:
    """Two rates that float32 holds, the first smaller."""
    most = float(np.finfo(np.float32).max)
    lowest = within("lowest", lowest, float(np.finfo(np.float32).tiny), most, "a number above 0")
    return lowest, within("highest", highest, 2 * lowest, most, "a number at least twice `lowest`")


def checked_steps(steps: Any) -> int:
    """Enough of them."""
    number = whole("steps", steps, "steps")
    if number < FEWEST_STEPS:
        raise ValueError(
            f"`steps` must be at least {FEWEST_STEPS}, or no curve can be seen. Received: "
            f"steps={steps!r}. 100 is usual."
        )
    return number


def checked_seed(seed: Any) -> int:
    """What NumPy takes for a seed."""
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"`seed` must be a whole number, at least 0. Received: seed={seed!r}")
    return int(seed)
