"""`GivenStep`: the optimizer behind `HessianFree`, and the state that its steps leave behind."""

import math
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="trainwell")
class GivenStep(keras.optimizers.Optimizer):
    """Moves the weights along a step that it was given, whatever the gradients are.

    ```
    w <- w + learning_rate * step
    ```

    It is handed the gradients like any optimizer, so that whoever watches it sees them. What
    `HessianFree` knows from one batch to the next is among its variables, saved with them.

    Args:
        learning_rate: Float or a Keras schedule. Defaults to `1`: the whole step.
        damping: Float. Where the variable `damping` starts. Defaults to `1`.
        name: String. Defaults to `"given_step"`.
    """

    def __init__(
        self, learning_rate: Any = 1.0, damping: float = 1.0, name: str = "given_step"
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name)
        self.initial_damping = damping

    def build(self, variables: list[Any]) -> None:
        """Makes the steps, the curvature's diagonal, the damping and the count of evaluations."""
        if self.built:
            return
        super().build(variables)
        self.steps = self.add_optimizer_variables(variables, "step")
        # By identity: paths may repeat, and comparing variables compares their values.
        self._step_of = {_key(v): step for v, step in zip(variables, self.steps, strict=True)}
        self.diagonal = self.add_optimizer_variables(variables, "diagonal")
        start = keras.initializers.Constant(self.initial_damping)
        self.damping = self.add_variable((), start, "float32", name="damping")
        self.evaluations = self.add_variable((), "zeros", "int32", name="gradient_evaluations")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable; the gradient stays unused."""
        step = self._step_of[_key(variable)]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        self.assign_add(variable, rate * keras.ops.convert_to_tensor(step))

    def get_config(self) -> dict[str, Any]:
        """The arguments; clipping and the like, which would bend the step, are none of them."""
        config = super().get_config()
        return {
            "name": config["name"],
            "learning_rate": config["learning_rate"],
            "damping": self.initial_damping,
        }


def given_step(optimizer: Any, damping: float) -> Any:
    """The optimizer for what `compile` got: None, a learning rate, plain SGD, or a `GivenStep`."""
    if isinstance(optimizer, GivenStep):
        return optimizer
    if optimizer is None:
        optimizer = 1.0
    if isinstance(optimizer, dict):
        optimizer = keras.optimizers.get(optimizer)
    if isinstance(optimizer, keras.optimizers.SGD) and _is_plain(optimizer):
        schedule = optimizer.get_config()["learning_rate"]
        if isinstance(schedule, dict):
            schedule = keras.optimizers.schedules.deserialize(schedule)
        return GivenStep(schedule, damping)
    rate = keras.optimizers.schedules.LearningRateSchedule
    if isinstance(optimizer, int | float | rate) and not isinstance(optimizer, bool):
        if not isinstance(optimizer, rate) and not 0 < optimizer < math.inf:
            raise ValueError(
                "`optimizer` as a number is the share of each step that is gone, above 0. "
                f"Received: optimizer={optimizer!r}. 1 goes all of it."
            )
        number = isinstance(optimizer, int)
        return GivenStep(float(optimizer) if number else optimizer, damping)
    raise ValueError(
        "`HessianFree` makes its steps itself; from `optimizer` it takes the share of each step "
        "that is gone. Pass None (all of it), a number, a Keras schedule, or "
        "keras.optimizers.SGD(rate) without momentum, clipping, weight decay, averaging, "
        f"accumulation and loss scale. Received: optimizer={optimizer!r}."
    )


def _is_plain(sgd: Any) -> bool:
    config, bare = sgd.get_config(), keras.optimizers.SGD().get_config()
    free = ("name", "learning_rate", "nesterov", "ema_momentum", "ema_overwrite_frequency")
    return all(config[key] == bare[key] for key in config if key not in free)


def _key(variable: Any) -> int:
    """One for a Keras variable and for TensorFlow's inside it, which updates are handed."""
    return id(variable.value if isinstance(variable, keras.Variable) else variable)
