"""`NoImprovement`: early stopping as Nielsen tells it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import keras

from ._arguments import whole
from ._judged_epochs import JudgedEpochs, checked_settings


class NoImprovement(JudgedEpochs, keras.callbacks.EarlyStopping):
    """Stops when accuracy has not improved for ten epochs, and brings the best weights back.

    Choose it in nearly every `fit`: it makes the number of epochs one setting less to search.
    It is Keras' `EarlyStopping` with the text's rules: validation accuracy decides, and `epochs`
    may be relaxed, since in a long final run accuracy rests on plateaus before it rises again:

    - during a run by plan: `NoImprovement(10, relaxed={50: 20, 100: 30})` waits for 20 epochs from
      epoch 50 on and for 30 from epoch 100 on;
    - by hand, between fits or from another callback: `stopper.epochs = 30`.

    In a `fit` resumed on the same model, with `initial_epoch` above 0, it goes on: the best value,
    the best weights and the epochs waited are kept. Such a `fit` starts at the best weights, which
    the one before has brought back.

    Args:
        epochs: Integer. Epochs without improvement before training stops. Defaults to `10`.
        monitor: String. Metric that decides. Defaults to `"val_accuracy"`.
        relaxed: Mapping from epoch, counted from 0, to the number of epochs that replaces `epochs`
            from there on, each larger than the one before. Defaults to `None`.
        mode: `"max"`, `"min"`, or `"auto"`, from the metric. Defaults to `"auto"`.
        min_delta: Float. What must be surpassed to be an improvement. Defaults to `0`.
        restore_best_weights: Boolean. Whether the model gets the weights of its best epoch at the
            end of `fit`, however it ended. Defaults to `True`.
        start_from_epoch: Integer. Epochs that don't count at the start. Defaults to `0`.
        validation_freq: Integer. As in `fit`: epochs between validations, which are then what
            `epochs` counts. Defaults to `1`.
        verbose: Integer. `1` prints a line when it acts. Defaults to `0`.

    Raises:
        ValueError: An argument is out of its range; in `fit`, the metric is not reported.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Use early stopping to determine
        the number of training epochs"; Géron, *Hands-On Machine Learning*, chapter 4.

    Example:
        ```python
        model.fit(x, y, epochs=1000, validation_split=0.1, callbacks=[NoImprovement(10)])
        ```
    """

    def __init__(
        self,
        epochs: int = 10,
        monitor: str = "val_accuracy",
        *,
        relaxed: Mapping[int, int] | None = None,
        mode: str = "auto",
        min_delta: float = 0.0,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
        validation_freq: int = 1,
        verbose: int = 0,
    ) -> None:
        checked_settings(monitor, mode, min_delta, validation_freq)
        self._epochs = whole("epochs", epochs, "epochs")
        super().__init__(
            monitor=monitor,
            min_delta=min_delta,
            patience=self._epochs,
            verbose=verbose,
            mode=mode,
            restore_best_weights=restore_best_weights,
            start_from_epoch=start_from_epoch,
        )
        self.relaxed = _checked_relaxed(relaxed, self._epochs)
        self.validation_freq = validation_freq

    @property
    def epochs(self) -> int:
        """Epochs without improvement before training stops; may be set at any time."""
        return self._epochs

    @epochs.setter
    def epochs(self, epochs: int) -> None:
        self._epochs = whole("epochs", epochs, "epochs")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts, remembers the best weights, or stops."""
        logs = {} if logs is None else logs
        # The larger of both: what was set by hand stays through a plan's smaller steps.
        due = [count for start, count in self.relaxed.items() if start <= epoch]
        self.patience = max([self._epochs, *due])
        if self._can_judge(epoch, logs):
            super().on_epoch_end(epoch, logs)

    def _begin(self, goes_on: bool) -> None:
        super()._begin(goes_on)
        self.stopped_epoch = 0


def _checked_relaxed(relaxed: Any, epochs: int) -> dict[int, int]:
    plan = dict(relaxed) if isinstance(relaxed, Mapping) else {} if relaxed is None else None
    if plan is None:
        raise ValueError(
            "`relaxed` must map epochs to numbers of epochs, such as {50: 20, 100: 30}. "
            f"Received: relaxed={relaxed!r}"
        )
    for start, count in plan.items():
        whole("relaxed's epoch", start, "epochs")
        whole("relaxed's number", count, "epochs")
    counts = [epochs, *(plan[start] for start in sorted(plan))]
    if any(later <= earlier for earlier, later in pairwise(counts)):
        raise ValueError(
            f"`relaxed` must grow from epoch to epoch, and from `epochs` on. Received: "
            f"epochs={epochs}, relaxed={relaxed!r}"
        )
    return plan
