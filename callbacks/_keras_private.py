"""Every private name of Keras that trainwell touches, in one place; `tests` checks each of them.

All else is public API. Where Keras changes one of these, the test of this module says which.
"""

from typing import Any

CLIP = "_clip_gradients"
"""Of an optimizer: called once per update, with the raw gradients, averaged where accumulated."""

ALL_REDUCE = "_all_reduce_sum_gradients"
"""Of an optimizer: `[(local gradient, variable)]` to the sums over all replicas, then applied."""

END_OF_UPDATE = "_backend_reset_gradient_accumulators"
"""Of an optimizer: called last in an update that used accumulated gradients."""

EPOCH_LOGS = "_get_metrics_result_or_logs"
"""Of a model: called by `fit` and `evaluate` for their logs, before any callback sees them."""


def known_variables(optimizer: Any) -> list[Any]:
    """The trainable variables that a built optimizer was built with."""
    return list(optimizer._trainable_variables)


def excludes_from_weight_decay(optimizer: Any) -> bool:
    """Whether `exclude_from_weight_decay` was called on it with something."""
    names = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
    return any(getattr(optimizer, name, None) for name in names)
