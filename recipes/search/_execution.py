"""One training run of a search: the model, its data, its callbacks, and what came out."""

import time
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner

from ...callbacks.halve_on_plateau import HalveOnPlateau
from ...callbacks.no_improvement import NoImprovement
from ._run_report import Run
from ._scores import is_lost
from ._shared_model import SharedModel, configuration, structure_of
from ._trials import Rival, Values

_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class Workshop:
    """Gives each run a model, compiled before where that is possible.

    Args:
        build: Function from `keras_tuner.HyperParameters` to a compiled model.
    """

    def __init__(self, build: Callable[[Any], Any]) -> None:
        self._build = build
        self._kept: SharedModel | None = None
        self._seen: dict[str, tuple[Any, str]] = {}

    def model_for(self, hp: Any, values: Values, seed: int, at_once: bool) -> SharedModel:
        """A model with the weights that this seed gives.

        Args:
            hp: The run's `HyperParameters`.
            values: Mapping. What of them the search sets.
            seed: Integer. For all random numbers.
            at_once: Boolean. Whether several steps may be run in one call.
        """
        policy = keras.config.dtype_policy()
        keras.utils.clear_session(free_memory=False)
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(seed)
        fresh = self._build(hp)
        _check_model(fresh)
        self._check_reads(fresh, values)
        structure = structure_of(fresh)
        kept = self._kept
        if (
            kept is not None
            and structure is not None
            and (kept.structure, kept.at_once) == (structure, at_once)
        ):
            kept.take_over(fresh)
            return kept
        self._kept = None  # frees its memory before another one is compiled
        self._kept = SharedModel(fresh, at_once, structure)
        return self._kept

    def _check_reads(self, model: Any, values: Values) -> None:
        """Refuses a model that reads a value and then ignores it: all its runs would be alike."""
        config = configuration(model)
        if config is None:
            return
        for name in ("learning_rate", "l2"):
            if name not in values:
                continue
            own, (before, seen) = values[name], self._seen.get(name, (values[name], ""))
            others = {k: v for k, v in values.items() if k not in (name, "batch_size", "epochs")}
            text = f"{sorted(others.items())} {config}"
            if own != before and text == seen:
                raise keras_tuner.errors.FatalValueError(
                    f"`build_model` reads `{name}`, but its model does not change with it. "
                    f"Received: the same model for {name}={before!r} and {name}={own!r}. Pass it "
                    f"to {'the optimizer' if name == 'learning_rate' else 'the regularizers'}, or "
                    "leave its stage out."
                )
            self._seen[name] = (own, text)


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
        logs = {name: float(value) for name, value in (logs or {}).items() if _is_number(value)}
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


def train(
    fit: Callable[[list[Any]], Any],
    made: SharedModel,
    log: RunLog,
    callbacks: list[Any],
    rival: Rival | None = None,
    validation_samples: int = 0,
) -> Run:
    """Runs `fit`, and sums up.

    Args:
        fit: Function that trains with the callbacks it is given, and returns what `fit` does.
        made: The model.
        log: Keeps the epochs.
        callbacks: List of callbacks.
        rival: `Rival` that the run is held against. Defaults to `None`.
        validation_samples: Integer. Examples that the objective is measured on. Defaults to `0`.
    """
    watch = made.watch
    begin = time.perf_counter()
    history = fit([*callbacks, watch, log, GivesUp(watch, log, rival, validation_samples)])
    return Run(
        logs=_logs(history, log),
        losses=list(watch.losses),
        steps=watch.steps,
        seconds=time.perf_counter() - begin,
        validation_samples=validation_samples,
        diverged=watch.diverged,
    )


def build_as(model: Any, config: Any) -> None:
    """Builds a subclassed model as one of its kind was, by its `get_build_config`."""
    model.build_from_config(config)
    shape = (config or {}).get("input_shape")
    if not model.built and shape is not None:  # Keras has built its layers and not said so
        model(keras.Input(tuple(shape)[1:]))


def _logs(history: Any, log: RunLog) -> list[dict[str, float]]:
    """The epochs' logs; what `HyperModel.fit` returns in place of a History comes with the last."""
    if isinstance(history, dict):
        extra = {name: float(value) for name, value in history.items() if _is_number(value)}
    elif _is_number(history):
        extra = {log.objective.name: float(history)}
    else:
        return log.logs
    return [*log.logs[:-1], {**(log.logs[-1] if log.logs else {}), **extra}]


def _has_settable_rate(model: Any) -> bool:
    return isinstance(model.optimizer.learning_rate, keras.Variable)


def _is_number(value: Any) -> bool:
    return (
        hasattr(value, "__float__")
        and not isinstance(value, str)
        and not getattr(value, "shape", ())
    )


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise keras_tuner.errors.FatalTypeError(
            "`build_model(hp)` must return a compiled Keras model. "
            f"Received: {model!r}, of type {type(model).__name__}."
        )
    if getattr(model, "optimizer", None) is None:
        raise keras_tuner.errors.FatalValueError(
            "`build_model(hp)` must return a compiled model. Received: one without an optimizer. "
            "Call `model.compile(...)` in it."
        )
