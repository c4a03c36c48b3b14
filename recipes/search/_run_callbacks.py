"""The callbacks of a search's run: what its values ask for, what it keeps, when it gives up."""

from typing import Any

import keras
import keras_tuner

from ...callbacks.halve_on_plateau import HalveOnPlateau
from ...callbacks.no_improvement import NoImprovement
from ._run_report import Run
from ._scores import is_lost
from ._trials import Rival, Values

_BATCH_HOOKS = (
    *("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    *("on_test_batch_begin", "on_test_batch_end"),
)


def callbacks_of_run(values: Values, objective: Any, model: Any) -> list[Any]:
    """The callbacks that a run's values ask for."""
    found: list[Any] = []
    rule = {"monitor": objective.name, "mode": objective.direction}
    if values.get("variable_rate") and _has_settable_rate(model):
        found.append(HalveOnPlateau(**rule))
    if "patience" in values:
        found.append(NoImprovement(values["patience"], **rule, restore_best_weights=False))
    return [_Hears(one, objective) for one in found]


class _Hears(keras.callbacks.Callback):
    """Lets a callback hear the objective in epochs whose logs don't name it.

    A sum of objectives is in no logs; with `validation_freq` some epochs have none: they count
    as no better than the last.
    """

    def __init__(self, inner: Any, objective: Any) -> None:
        super().__init__()
        self.inner, self.objective = inner, objective

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self.inner.set_model(model)

    def set_params(self, params: Any) -> None:
        super().set_params(params)
        self.inner.set_params(params)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.last: float | None = None
        self.inner.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.inner.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        if self.objective.has_value(logs):
            self.last = self.objective.get_value(logs)
        if self.last is None:
            return
        heard = {**logs, self.objective.name: self.last}
        self.inner.on_epoch_end(epoch, heard)
        logs |= {name: heard[name] for name in ("learning_rate",) if name in heard}

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.inner.on_train_end(logs)


def may_run_at_once(callbacks: list[Any]) -> bool:
    """Whether no callback of the user's wants to see each step."""
    plain = keras.callbacks.Callback
    return not any(
        getattr(type(one), hook, None) is not getattr(plain, hook)
        for one in callbacks
        for hook in _BATCH_HOOKS
    )


class RunLog(keras.callbacks.Callback):
    """Keeps a run's logs and its best weights, and insists on the objective.

    Args:
        objective: A `keras_tuner.Objective`.
        insists_from: Integer. After how many epochs the objective must have been among `fit`'s
            logs, or `None` where it may come from elsewhere.

    Attributes:
        logs: List of each epoch's logs.
        best: The best objective, or `None`.
        weights: The weights of that epoch.
    """

    def __init__(self, objective: Any, insists_from: int | None) -> None:
        super().__init__()
        self.objective, self.insists_from = objective, insists_from
        self.logs: list[dict[str, float]] = []
        self.best: float | None = None
        self.weights: Any = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps the epoch."""
        logs = {name: float(value) for name, value in (logs or {}).items() if is_number(value)}
        self.logs.append(logs)
        if not self.objective.has_value(logs):
            if self.best is None and self.insists_from and len(self.logs) >= self.insists_from:
                raise keras_tuner.errors.FatalValueError(
                    "`fit` never reports the objective. Received: objective="
                    f"{self.objective.name!r}, where it reports {', '.join(map(repr, logs))}. "
                    "Compile with that metric, pass validation data for names that begin with "
                    "'val_', or name another objective."
                )
            return
        value = self.objective.get_value(logs)
        if self.best is None or self.objective.better_than(value, self.best):
            self.best, self.weights = value, self.model.get_weights()


class GivesUp(keras.callbacks.Callback):
    """Ends a run that its rival has beaten. To be listed after what it reads.

    Args:
        watch: `LossWatch`.
        log: `RunLog`.
        rival: `Rival` or `None`.
        validation_samples: Integer. Examples that the objective is measured on.
    """

    def __init__(
        self, watch: Any, log: RunLog, rival: Rival | None, validation_samples: int
    ) -> None:
        super().__init__()
        self.watch, self.log, self.rival = watch, log, rival
        self.validation_samples = validation_samples

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compares."""
        run = Run(
            logs=self.log.logs,
            losses=self.watch.losses,
            validation_samples=self.validation_samples,
        )
        if is_lost(run.so_far(self.log.objective), self.rival):
            self.model.stop_training = True


def is_number(value: Any) -> bool:
    """Whether a log is one number, of Python, NumPy or TensorFlow."""
    return (
        hasattr(value, "__float__")
        and not isinstance(value, str)
        and not getattr(value, "shape", ())
    )


def _has_settable_rate(model: Any) -> bool:
    return isinstance(model.optimizer.learning_rate, keras.Variable)
