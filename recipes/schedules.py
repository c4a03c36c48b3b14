"""`PowerDecay` and `Warmup`: the learning rate schedules that Keras lacks."""

from numbers import Real
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="trainwell")
class PowerDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Power scheduling: the rate falls fast at first, then ever more slowly.

    ```
    rate(step) = initial_learning_rate / (1 + step / decay_steps)^power
    ```

    After `decay_steps` the rate is `1 / 2^power` of the first, after twice as many `1 / 3^power`.
    A power of 1 is what Keras calls `InverseTimeDecay` (with `decay_rate=1`); 0.5 is the decay of
    the convergence proofs for stochastic gradients, and larger powers let go sooner. Choose it
    where the number of steps is not known in advance; else 1cycle or `CosineDecay` do better.

    Args:
        initial_learning_rate: Float. The rate at step 0, above 0.
        decay_steps: Float. Steps after which the first rate is divided by `2^power`, above 0.
        power: Float. Above 0. Defaults to `1`.
        name: String. Defaults to `"PowerDecay"`.

    Call arguments:
        step: Integer or scalar tensor. The number of steps done.

    Returns:
        The learning rate, a float32 scalar.

    Raises:
        ValueError: A number is not above 0, or not finite.

    Reference:
        Géron, *Hands-On Machine Learning*, chapter 11, "Learning Rate Scheduling".

    Example:
        ```python
        float(PowerDecay(0.8, decay_steps=100, power=2)(100))  # 0.8 / 2^2 = 0.2
        ```
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        power: float = 1.0,
        name: str = "PowerDecay",
    ) -> None:
        super().__init__()
        self.initial_learning_rate = _above_0("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _above_0("decay_steps", decay_steps)
        self.power = _above_0("power", power)
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        # Always float32: float16 cannot count beyond 2,048.
        past = ops.cast(step, "float32") / self.decay_steps
        return self.initial_learning_rate / ops.power(1.0 + past, self.power)

    def get_config(self) -> dict[str, Any]:
        """The arguments, from which the saved schedule is made again."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "power": self.power,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="trainwell")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up in front of any schedule, or of a constant rate.

    ```
    rate(step) = first * (start + (1 - start) * step / steps)    for step < steps
    rate(step) = schedule(step - steps)                          from there on
    ```

    with `first = schedule(0)` and `start = start_factor`. The schedule begins when the warm-up is
    over: nothing of it is skipped. Choose it for large batches and rates, and for Adam, whose
    first estimates rest on few gradients. Keras' `CosineDecay` has a warm-up of its own
    (`warmup_target`, `warmup_steps`), `OneCycle` is one by itself.

    Args:
        schedule: Float, or a `keras.optimizers.schedules.LearningRateSchedule`.
        steps: Integer. Length of the warm-up, at least 1.
        start_factor: Float in `[0, 1]`. The share of the first rate to begin with. Defaults to
            `0.1`.
        name: String. Defaults to `"Warmup"`.

    Call arguments:
        step: Integer or scalar tensor. The number of steps done.

    Returns:
        The learning rate, a float32 scalar.

    Raises:
        ValueError: An argument is out of its range, or `schedule` is neither a rate nor a
            schedule.

    Reference:
        Goyal et al. 2017, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour".

    Example:
        ```python
        rates = Warmup(PowerDecay(0.8, decay_steps=100), steps=10, start_factor=0.5)
        [float(rates(step)) for step in (0, 5, 10, 110)]  # [0.4, 0.6, 0.8, 0.4]
        ```
    """

    def __init__(
        self, schedule: Any, steps: int, start_factor: float = 0.1, name: str = "Warmup"
    ) -> None:
        super().__init__()
        self.schedule = _rate_or_schedule(schedule)
        if _number(steps) != steps or not steps >= 1 or int(steps) != steps:
            raise ValueError(
                f"`steps` must be a whole number of steps, at least 1. Received: steps={steps!r}. "
                "An epoch has samples / batch size of them."
            )
        if not 0 <= _number(start_factor) <= 1:
            raise ValueError(
                "`start_factor` is the share of the first rate to begin with, in [0, 1]. "
                f"Received: start_factor={start_factor!r}."
            )
        self.steps, self.start_factor, self.name = int(steps), float(start_factor), name

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        step = ops.cast(step, "float32")
        share = self.start_factor + (1 - self.start_factor) * step / self.steps
        warm = self._rate(ops.zeros_like(step)) * share
        # Never a negative step, on which some schedules are not defined.
        later = self._rate(ops.maximum(step - self.steps, 0.0))
        return ops.where(step < self.steps, warm, later)

    def _rate(self, step: Any) -> Any:
        if isinstance(self.schedule, float):
            return ops.full_like(step, self.schedule)
        return ops.cast(self.schedule(step), "float32")

    def get_config(self) -> dict[str, Any]:
        """The arguments, from which the saved schedule is made again."""
        schedule = self.schedule
        if not isinstance(schedule, float):
            schedule = keras.optimizers.schedules.serialize(schedule)
        return {
            "schedule": schedule,
            "steps": self.steps,
            "start_factor": self.start_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Warmup":
        """The schedule that `get_config` describes."""
        schedule = config["schedule"]
        if isinstance(schedule, dict):
            schedule = keras.optimizers.schedules.deserialize(schedule)
        return cls(**{**config, "schedule": schedule})


def _rate_or_schedule(schedule: Any) -> Any:
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return schedule
    if not _number(schedule) > 0:
        raise ValueError(
            "`schedule` must be a learning rate above 0 or a Keras schedule, such as "
            f"keras.optimizers.schedules.CosineDecay(0.1, 1000). Received: schedule={schedule!r}."
        )
    return float(schedule)


def _above_0(name: str, value: Any) -> float:
    if not _number(value) > 0:
        raise ValueError(f"`{name}` must be a number above 0. Received: {name}={value!r}.")
    return float(value)


def _number(value: Any) -> float:
    """The finite number that it is, NaN where it is none: no comparison with NaN holds."""
    is_one = isinstance(value, Real) and not isinstance(value, bool)
    return float(value) if is_one and abs(value) < float("inf") else float("nan")
