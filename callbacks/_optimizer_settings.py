"""Learning rate and momentum of an optimizer, where a callback may set them."""

from typing import Any

import keras


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
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    for name in ("momentum", "beta_1"):
        # With 0 Keras makes no room for it: SGD and RMSprop.
        if isinstance(getattr(optimizer, name, None), float) and getattr(optimizer, name) > 0:
            return optimizer, name
    raise ValueError(
        "OneCycle lowers and raises the momentum, but the optimizer has none. Received: "
        f"optimizer={type(optimizer).__name__}. Compile with one, such as "
        "keras.optimizers.SGD(0.01, momentum=0.95), or pass `momentum=None`."
    )
