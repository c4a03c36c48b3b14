"""Steps that leave no trace: forward, backward, update, watched by the monitors, taken back."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..callbacks._layer_activations import is_watched_unasked, layers_within
from ..callbacks._range_state import KeptState, random_states_kept
from ..callbacks.activation_stats import ActivationStats
from ..callbacks.gradient_norms import GradientNorms
from ..callbacks.record import TrainingRecord
from ._preflight_batches import Batch

STATISTICS = ("gradient_norm", "weight_norm", "update_norm", "zero_fraction")


class VirtualSteps:
    """What a few steps of a model's own training would do.

    They run eagerly: tracing a step takes longer than a dozen of them. Layers with a loop inside
    are the exception.

    Attributes:
        record: What the monitors saw.
        outputs: Statistics of what the untrained model put out, one `dict` an output.
        error: What ended the steps before their time, None where nothing did.
    """

    def __init__(self) -> None:
        self.record = TrainingRecord()
        self.outputs: list[dict[str, float]] = []
        self.error: Exception | None = None

    def run(self, model: Any, batches: list[Batch]) -> None:
        """Takes a step with each batch, and puts the model back, bit for bit."""
        monitors = [GradientNorms(statistics=STATISTICS)]
        if any(is_watched_unasked(layer) for layer in layers_within(model)):
            monitors.append(ActivationStats())
        with unchanged(model), _quiet(), ExitStack() as watching:
            for monitor in monitors:
                watching.enter_context(monitor.watch(model.optimizer, model))
            step = tf.function(_step) if _has_loops(model) else _step
            try:
                for number, batch in enumerate(batches):
                    tensors = keras.tree.map_structure(_as_tensor, batch)
                    outputs = step(model, tensors)
                    if number == 0:
                        self.outputs = [_statistics(one) for one in keras.tree.flatten(outputs)]
            except Exception as error:
                self.error = error
        for monitor in monitors:
            self.record.groups.update(monitor.record.groups)


@contextmanager
def unchanged(model: Any) -> Iterator[None]:
    """Puts a compiled model back as it was, and Python's and NumPy's random states."""
    kept = KeptState(model)
    try:
        with random_states_kept():
            yield
    finally:
        kept.restore_variables()
        kept.restore_attributes()


def _step(model: Any, batch: Batch) -> Any:
    """What `Model.train_step` does, without its metrics; returns the outputs."""
    x, y, weight = batch
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = model.compute_loss(x, y, outputs, weight, training=True)
        loss = model.optimizer.scale_loss(loss)
    variables = model.trainable_variables
    model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return outputs


def _as_tensor(leaf: Any) -> Any:
    return None if leaf is None else tf.convert_to_tensor(leaf)


def _has_loops(model: Any) -> bool:
    return any(isinstance(layer, keras.layers.RNN) for layer in layers_within(model))


def _statistics(output: Any) -> dict[str, float]:
    values = np.asarray(output, np.float64)
    with np.errstate(all="ignore"):
        names = ("min", "max", "mean", "std")
        return {name: float(getattr(np, name)(values)) for name in names}


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(GradientNorms|ActivationStats) ")
        yield
