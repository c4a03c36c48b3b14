"""The settings of an optimizer that callbacks read or move, below all that wraps it."""

from typing import Any

import keras


def innermost(optimizer: Any) -> Any:
    """The optimizer that updates, below all that wrap it."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def accumulated_by(optimizer: Any) -> int:
    """Calls of `apply` that make an update."""
    return int(innermost(optimizer).gradient_accumulation_steps or 1)


def variable_of_step(value: float, dtype: str) -> Any:
    """A variable that the compiled step moves, each replica in the same way."""
    return keras.Variable(value, dtype=dtype, trainable=False, aggregation="only_first_replica")


def settable_rate(optimizer: Any, who: str) -> Any:
    """The variable that holds the learning rate.

    Raises:
        ValueError: The optimizer has a schedule in its place.
    """
    rate = optimizer.learning_rate
    if not isinstance(rate, keras.Variable):
        raise ValueError(
            f"{who} sets the learning rate, but the optimizer computes its own. Received: an "
            f"optimizer {type(optimizer).__name__} with a schedule. Compile with a number, such as "
            "keras.optimizers.SGD(0.01, momentum=0.95)."
        )
    return rate


def momentum_of(optimizer: Any) -> tuple[Any, str]:
    """The optimizer that has a momentum, below all that wrap it, and what it calls it.

    Raises:
        ValueError: It has none.
    """
    optimizer = innermost(optimizer)
    for name in ("momentum", "beta_1"):
        # With 0 Keras makes no room for it: SGD and RMSprop.
        if isinstance(getattr(optimizer, name, None), float) and getattr(optimizer, name) > 0:
            return optimizer, name
    raise ValueError(
        "OneCycle lowers and raises the momentum, but the optimizer has none. Received: "
        f"optimizer={type(optimizer).__name__}. Compile with one, such as "
        "keras.optimizers.SGD(0.01, momentum=0.95), or pass `momentum=None`."
    )
