"""`HalveOnPlateau`: performance scheduling as Nielsen tells it."""

from typing import Any

import keras

from ._arguments import whole
from ._judged_epochs import JudgedEpochs, checked_settings
from ._optimizer_settings import settable_rate


class HalveOnPlateau(JudgedEpochs, keras.callbacks.ReduceLROnPlateau):
    """Halves the learning rate when accuracy stops improving, and stops at 1/128 of the first.

    Choose it where the number of epochs isn't known in advance: large steps while they pay, then
    ever smaller ones. It is Keras' `ReduceLROnPlateau` with the text's rules: the validation
    accuracy decides, the factor is 1/2, and when the rate has come down to `floor` times the
    initial one, after 7 halvings, training stops.

    In a `fit` resumed on the same model, with `initial_epoch` above 0, it goes on: the best value,
    the epochs waited and the initial rate are kept. In a new process they aren't: pass
    `initial_learning_rate` there.

    Args:
        patience: Integer. Epochs without improvement before the rate is halved. Defaults to `10`.
        floor: Float in `(0, 1)`. Share of the initial rate at which training stops. Defaults to
            `1/128`.
        monitor: String. Metric that decides. Defaults to `"val_accuracy"`.
        initial_learning_rate: Float. The rate that `floor` is a share of. Defaults to `None`: the
            optimizer's at the start of the first `fit`.
        mode: `"max"`, `"min"`, or `"auto"`, from the metric. Defaults to `"auto"`.
        min_delta: Float. What must be surpassed to be an improvement. Defaults to `0`.
        validation_freq: Integer. As in `fit`: epochs between validations, which are then what
            `patience` counts. Defaults to `1`.
        verbose: Integer. `1` prints a line at each halving. Defaults to `0`.

    Raises:
        ValueError: An argument is out of its range; in `fit`, the optimizer has a schedule in
            place of a rate, or the metric is not reported.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3; Géron, *Hands-On Machine
        Learning*, chapter 11, "Performance scheduling".

    Example:
        ```python
        model.fit(x, y, epochs=1000, validation_split=0.1, callbacks=[HalveOnPlateau(5)])
        ```
    """

    def __init__(
        self,
        patience: int = 10,
        floor: float = 1 / 128,
        monitor: str = "val_accuracy",
        *,
        initial_learning_rate: float | None = None,
        mode: str = "auto",
        min_delta: float = 0.0,
        validation_freq: int = 1,
        verbose: int = 0,
    ) -> None:
        checked_settings(monitor, mode, min_delta, validation_freq)
        patience = whole("patience", patience, "epochs")
        if isinstance(floor, bool) or not isinstance(floor, (int, float)) or not 0 < floor < 1:
            raise ValueError(
                "`floor` is the share of the initial learning rate at which training stops, in "
                f"(0, 1). Received: floor={floor!r}. The text's is 1/128."
            )
        rate = initial_learning_rate
        if rate is not None and (not isinstance(rate, (int, float)) or not rate > 0):
            raise ValueError(
                f"`initial_learning_rate` must be above 0. Received: initial_learning_rate={rate!r}"
            )
        super().__init__(monitor, 0.5, patience, verbose, mode, min_delta)
        self.floor = floor
        self.initial_learning_rate = rate
        self.validation_freq = validation_freq
        self._initial_rate = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Halves, or stops."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = self._rate()
        if not self._can_judge(epoch, logs):
            return
        super().on_epoch_end(epoch, logs)
        # Halving is exact in floating point, 1/128 of a rate that was given in decimals may not be.
        if self._rate() <= self.floor * self._initial_rate * (1 + 1e-6):
            self.model.stop_training = True

    def _begin(self, goes_on: bool) -> None:
        super()._begin(goes_on)
        settable_rate(self.model.optimizer, "HalveOnPlateau")
        if not goes_on:
            self._initial_rate = self.initial_learning_rate or self._rate()

    def _rate(self) -> float:
        return float(self.model.optimizer.learning_rate.numpy())
