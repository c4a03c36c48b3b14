"""`OneCycle`: the learning rate up and down once, the momentum down and up."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ._arguments import ABOVE_ZERO, BELOW_ONE, LARGEST, whole, within
from ._live_float import LiveFloat
from ._optimizer_settings import momentum_of, settable_rate, variable_of_step
from ._patches import Patches
from ._train_function import Retraced, before_later_training, check_retrace


class OneCycle(keras.callbacks.Callback):
    """Raises the learning rate for half of the training, lowers it for the other half.

    ```
    rate      low -> high over 45% of the steps, back to low over 45%, low -> final over 10%
    momentum  0.95 -> 0.85 over 45%,             0.85 -> 0.95,         stays
    high = max_learning_rate, low = high * start_factor, final = low * final_factor
    ```

    Choose it for networks that train for a number of epochs known in advance: the high rate in the
    middle regularizes, and lets training end in a fraction of the epochs. Take for
    `max_learning_rate` what you would take for a constant rate, or somewhat more.

    Rate and momentum are set inside the compiled step, before each step: exactly, whatever
    `steps_per_execution` is. For that the step is traced anew, and Keras' momentum, a number that
    it compiles into the step, is read from a variable meanwhile. At the end of `fit` the momentum
    is again what it was, while the rate stays at `final`; after an exception in `fit`, when the
    model is trained again, or with `detach()`.

    The position in the cycle follows from the epoch: a `fit` resumed at `initial_epoch` goes on
    where the one before stopped, with `epochs` the number of both together. It adds
    `learning_rate` and `momentum` to the epoch logs, those of the epoch's last step. (The
    optimizer itself holds those of the next step by then.)

    Args:
        max_learning_rate: Float. The highest rate, above 0.
        epochs: Integer. Length of the cycle; the rate stays at `final` after it. Defaults to
            `None`: `fit`'s `epochs`.
        steps_per_epoch: Integer. Calls of the optimizer in an epoch. Defaults to `None`: batches
            in an epoch, where `fit` knows them.
        momentum: Two floats in `[0, 1)`. Highest and lowest momentum, or `beta_1` of Adam and its
            like; `None` leaves it alone. Defaults to `(0.95, 0.85)`.
        start_factor: Float in `(0, 1]`. The first rate's share of the highest. Defaults to `0.1`.
        final_factor: Float in `(0, 1]`. The last rate's share of the first. Defaults to `0.001`.
        final_share: Float in `[0, 1)`. Share of the steps for the last fall. Defaults to `0.1`.
        anneal: `"linear"` or `"cosine"`, the way from one value to the next. Defaults to
            `"linear"`.

    Raises:
        ValueError: An argument is out of its range; in `fit`, the optimizer has a schedule in
            place of a rate, or no momentum, or the number of steps is not known.

    Reference:
        Smith 2018, "A Disciplined Approach to Neural Network Hyper-Parameters: Part 1"; Géron,
        *Hands-On Machine Learning*, chapter 11, "1cycle scheduling".

    Example:
        ```python
        model.compile(keras.optimizers.SGD(momentum=0.95), "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=10, callbacks=[OneCycle(0.05)])
        ```
    """

    def __init__(
        self,
        max_learning_rate: float,
        *,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        momentum: tuple[float, float] | None = (0.95, 0.85),
        start_factor: float = 0.1,
        final_factor: float = 0.001,
        final_share: float = 0.1,
        anneal: str = "linear",
    ) -> None:
        super().__init__()
        self.max_learning_rate = within(
            "max_learning_rate", max_learning_rate, ABOVE_ZERO, LARGEST, "above 0"
        )
        self.epochs = None if epochs is None else whole("epochs", epochs, "epochs")
        self.steps_per_epoch = (
            None if steps_per_epoch is None else whole("steps_per_epoch", steps_per_epoch, "steps")
        )
        self.momentum = _checked_momentum(momentum)
        self.start_factor = within("start_factor", start_factor, ABOVE_ZERO, 1, "in (0, 1]")
        self.final_factor = within("final_factor", final_factor, ABOVE_ZERO, 1, "in (0, 1]")
        self.final_share = within("final_share", final_share, 0, BELOW_ONE, "in [0, 1)")
        if anneal not in ("linear", "cosine"):
            raise ValueError(f"`anneal` must be 'linear' or 'cosine'. Received: anneal={anneal!r}")
        self.anneal = anneal
        self._patches = Patches()
        self._retraced: Retraced | None = None
        self._live: LiveFloat | None = None
        self._variables: tuple[Any, Any, Any] | None = None
        self._steps = 1

    # ------------------------------------------------------------------ in `fit`

    def set_model(self, model: Any) -> None:
        """Keeps the model; called by Keras before it makes a train function."""
        super().set_model(model)
        self._had_train_function = model.train_function is not None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Hooks in."""
        self.detach()  # what an exception in an earlier `fit` left
        model, optimizer = self.model, self.model.optimizer
        batches = self.steps_per_epoch or (self.params or {}).get("steps")
        if batches is None:
            raise ValueError(
                "OneCycle must know the length of an epoch, and `fit` does not. Received: "
                "steps_per_epoch=None. Pass `steps_per_epoch` here or to `fit`."
            )
        self._batches = int(batches)
        self._steps = self._batches * (self.epochs or self.params["epochs"])
        rate = settable_rate(optimizer, "OneCycle")
        if self._had_train_function:
            check_retrace(model, "OneCycle")
        owner, name = momentum_of(optimizer) if self.momentum else (None, "")
        with model.distribute_strategy.scope():
            position = variable_of_step(0, "int64")
            momentum = variable_of_step(0.0, "float32")
        self._variables = position, rate, momentum
        if owner is not None:
            self._live = LiveFloat(getattr(owner, name), momentum)
            self._restored = owner, name, float(getattr(owner, name))
            setattr(owner, name, self._live)
        self._patches.put(optimizer, "apply", self._apply)
        self._retraced = Retraced(model)
        later = before_later_training(model, self.detach)
        self._patches.put(model, "make_train_function", later)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Goes to the epoch's place in the cycle."""
        if self._variables is None:
            return
        self._go_to(epoch * self._batches)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds rate and momentum to the logs."""
        if self._variables is None:
            return
        rate, momentum = self._values(int(self._variables[0].numpy()) - 1)
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(rate)
        if self._live is None:
            return
        logs["momentum"] = float(momentum)
        if not self._live.was_read:
            self._live.was_read = True  # one warning will do
            warnings.warn(
                f"OneCycle: {type(self._restored[0]).__name__} did not read its momentum while "
                "the step was traced, so that it stays constant. Pass `momentum=None`.",
                stacklevel=2,
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Unhooks, and gives the optimizer its momentum back."""
        self.detach()

    def detach(self) -> None:
        """Leaves the optimizer as it was. Only needed by hand after an exception in `fit`."""
        self._patches.undo()
        if self._retraced is not None:
            self._retraced.undo()
        if self._live is not None:
            owner, name, value = self._restored
            if getattr(owner, name) is self._live:
                setattr(owner, name, value)
            del self._restored
        self._retraced = self._live = self._variables = None

    # ------------------------------------------------------------------ in the step

    def _apply(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            result = original(grads, trainable_variables)
            assert self._variables is not None
            # After the step, for the next: who reads the rate before a step reads that step's.
            position = self._variables[0]
            position.assign_add(1)
            self._assign(position.value)
            return result

        return apply

    def _go_to(self, step: int) -> None:
        assert self._variables is not None
        self._variables[0].assign(step)
        self._assign(step)

    def _assign(self, step: Any) -> None:
        assert self._variables is not None
        _, rate, momentum = self._variables
        values = self._values(step)
        rate.assign(ops.cast(values[0], rate.dtype))
        momentum.assign(values[1])

    def _values(self, step: Any) -> tuple[Any, Any]:
        """Rate and momentum of a step."""
        share = ops.cast(step, "float32") / max(self._steps - 1, 1)
        ramp = (1 - self.final_share) / 2
        hill = self._curve(share / ramp) - self._curve(share / ramp - 1)
        fall = self._curve((share - 2 * ramp) / self.final_share) if self.final_share else 0.0
        high = self.max_learning_rate
        low = high * self.start_factor
        rate = low + (high - low) * hill - low * (1 - self.final_factor) * fall
        largest, smallest = self.momentum or (0.0, 0.0)
        return rate, largest - (largest - smallest) * hill

    def _curve(self, way: Any) -> Any:
        """From 0 to 1 on the way from 0 to 1, constant outside."""
        way = ops.clip(way, 0.0, 1.0)
        return way if self.anneal == "linear" else (1 - ops.cos(math.pi * way)) / 2


def _checked_momentum(momentum: Any) -> tuple[float, float] | None:
    if momentum is None:
        return None
    try:
        largest, smallest = (within("momentum", value, 0, BELOW_ONE, "") for value in momentum)
    except (TypeError, ValueError):
        largest, smallest = 0.0, 1.0
    if smallest > largest:
        raise ValueError(
            "`momentum` must be two numbers in [0, 1), the highest and the lowest, or None. "
            f"Received: momentum={momentum!r}. Smith's are (0.95, 0.85)."
        )
    return largest, smallest
