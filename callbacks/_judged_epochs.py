"""What the callbacks that judge each epoch by one metric share."""

import weakref
from collections.abc import Callable
from typing import Any

import keras

from ._arguments import whole
from .activation_facts import did_you_mean


class JudgedEpochs(keras.callbacks.Callback):
    """Keeps the state of a Keras callback through a resumed `fit`, and insists on its metric.

    To be listed before the Keras class. Keras forgets the best value in `on_train_begin`, where
    it isn't known yet at which epoch `fit` begins; here the first `on_epoch_begin` decides.

    Attributes:
        validation_freq: Integer. As in `fit`.
    """

    monitor: str
    validation_freq: int

    _is_beginning = True
    _judged: Callable[[], Any] = staticmethod(lambda: None)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Waits for the first epoch, see the class."""
        self._is_beginning = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts anew at epoch 0 or with another model; else goes on where the last fit ended."""
        super().on_epoch_begin(epoch, logs)
        if not self._is_beginning:
            return
        self._is_beginning = False
        goes_on = epoch > 0 and self._judged() is self.model
        self._begin(goes_on)
        self._judged = weakref.ref(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """What Keras does, unless there was no epoch."""
        if not self._is_beginning:
            super().on_train_end(logs)

    def _begin(self, goes_on: bool) -> None:
        if not goes_on:
            super().on_train_begin()

    def _can_judge(self, epoch: int, logs: dict[str, Any]) -> bool:
        """Whether the metric is there; an error where it should be."""
        if self.monitor in logs:
            return True
        if (epoch + 1) % self.validation_freq:
            return False
        raise ValueError(
            f"{type(self).__name__} watches a metric that `fit` does not report. Received: "
            f"monitor={self.monitor!r}, where `fit` reports {', '.join(map(repr, logs))}."
            f"{_way_out(self.monitor, logs)}"
        )


def checked_settings(monitor: Any, mode: Any, min_delta: Any, validation_freq: Any) -> None:
    """Refuses what Keras would only warn of, or fail at later."""
    if not isinstance(monitor, str) or not monitor:
        raise ValueError(
            "`monitor` must be the name of a metric, such as 'val_accuracy' or 'val_loss'. "
            f"Received: monitor={monitor!r}"
        )
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"`mode` must be one of 'auto', 'min', 'max'. Received: mode={mode!r}")
    if isinstance(min_delta, bool) or not isinstance(min_delta, (int, float)) or not min_delta >= 0:
        raise ValueError(f"`min_delta` must be at least 0. Received: min_delta={min_delta!r}")
    whole("validation_freq", validation_freq, "epochs")


def _way_out(monitor: str, logs: dict[str, Any]) -> str:
    plain = monitor.removeprefix("val_")
    if plain != monitor and plain in logs:
        return (
            " Pass `validation_data` or `validation_split` to `fit`; if it validates only every "
            "k-th epoch, pass the same `validation_freq` here."
        )
    nearest = did_you_mean(monitor, logs)
    return nearest or f" Pass `metrics=[{plain!r}]` to `compile`."
