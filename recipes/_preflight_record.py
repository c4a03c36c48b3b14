"""The record of a model that has not been trained: its description, its data's, some steps."""

from typing import Any

import keras

from ..callbacks._data_description import describe_arrays
from ..callbacks._network import describe_network
from ..callbacks._optimizer_settings import accumulated_by
from ..callbacks._range_checks import check_model
from ..callbacks._range_state import random_states_kept
from ..callbacks.record import TrainingRecord
from ._preflight_batches import batches_of, data_of, steps_per_epoch
from ._preflight_steps import VirtualSteps

STEPS = 10
"""Updates to try. Divergence shows in them, the rules on a run's course need 20 and are silent."""


def preflight_record(
    model: Any, x: Any, y: Any, batch_size: int, epochs: int | None, seed: int
) -> tuple[TrainingRecord, Exception | None]:
    """What the rules need to know before training.

    Args:
        model: A compiled model; it is built where it has no weights yet.
        x: As in `fit`.
        y: As in `fit`.
        batch_size: Integer. Examples of a batch, where `x` is arrays.
        epochs: Integer. Epochs that are planned, None where nobody knows.
        seed: Integer. Of the examples' order.

    Returns:
        The record, and the error that a step raised, None where none did. Models with a
        `train_step` of their own, and those on several replicas, take no steps.

    Raises:
        ValueError: The model can't be trained, or there is no data.
    """
    takes_steps, steps = _takes_steps(model), VirtualSteps()
    each = accumulated_by(model.optimizer) if takes_steps else 1
    with random_states_kept():
        batches = batches_of(model, x, y, STEPS * each, batch_size, seed)
        if takes_steps and not model.built:
            model(batches[0][0])
    if takes_steps:
        check_model(model)
        steps.run(model, batches)
    record, plan = steps.record, {"epochs": epochs, "steps": steps_per_epoch(x, batches)}
    record.network = describe_network(model, plan)
    record.data = describe_arrays(*data_of(x, y, batches), loss=record.network["loss"])
    record.data["outputs"] = steps.outputs
    record.data["weighted"] = any(weights is not None for _, _, weights in batches)
    return record, steps.error


def _takes_steps(model: Any) -> bool:
    """Whether its training is Keras' own, on one device."""
    if not isinstance(model, keras.Model) or not model.compiled:
        check_model(model)
    replicas = model.distribute_strategy.num_replicas_in_sync
    return type(model).train_step is keras.Model.train_step and replicas == 1
