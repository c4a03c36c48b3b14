"""What a monitor sees of a training step, and how it says that it wants to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf


@dataclass(frozen=True)
class Step:
    """One step of the optimizer; tensors where it is being traced.

    Attributes:
        gradients: One per variable: a tensor, `tf.IndexedSlices`, or None where the loss
            does not depend on the variable. Not clipped, and still multiplied by `scale`.
        variables: The trainable variables, in the same order.
        scale: By what the gradients were multiplied (mixed precision), or None.
        may_skip: Whether the optimizer skips a step whose gradients are not finite.
        loss: The true loss of the batch, unscaled, or None where it was not shown.
        learning_rate: Of this step.
        optimizer: The optimizer that holds the clipping settings.
        in_xla: Whether XLA compiles the step. Then nothing may branch on what a step computes:
            a branch that reads a tensor changes how the compiler fuses, and rounds, the rest.
    """

    gradients: list[Any]
    variables: list[Any]
    scale: Any
    may_skip: bool
    loss: Any
    learning_rate: Any
    optimizer: Any
    in_xla: bool = False

    def loss_and_rate(self) -> Any:
        """The loss, NaN where it was not shown, and the learning rate: float32 `[2]`."""
        loss = float("nan") if self.loss is None else tf.cast(self.loss, tf.float32)
        return tf.stack([loss, tf.cast(self.learning_rate, tf.float32)])


class Listener(Protocol):
    """Something that watches steps.

    Attributes:
        micro_batches: Whether, where gradients are accumulated, each micro-batch is a step
            for it, rather than each update.
    """

    micro_batches: bool

    def before_step(self, step: Step) -> Callable[[], None] | None:
        """Called before the weights change; what it returns is called after."""

    def failed(self, error: Exception) -> None:
        """Called when watching a step raised; the step itself goes on."""


class StepRow(Protocol):
    """Computes the numbers of a step on the device, and puts them into a record on the host."""

    width: int

    def __call__(self, due: Any) -> Any:
        """The numbers `[width]`, a float32 tensor.

        Args:
            due: Whether they will be kept; False, or a tensor that is, only where `in_xla`.
        """

    def decode(self, values: npt.NDArray[np.float32], rows: npt.NDArray[np.void]) -> None:
        """Fills rows `[n]` from numbers `[n, width]`."""
