"""What `HeuristicTuner` and its `search` are given, checked and told apart."""

import inspect
import os
from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

from ._space_model import BatchedSpace
from .oracle import HeuristicOracle
from .stages import BatchSizeStage, EpochsStage, L2Stage, LearningRateStage


def checked_stages(stages: Any) -> list[Any]:
    """The stages, or the default ones."""
    if stages is None:
        return [LearningRateStage(), L2Stage(), BatchSizeStage(), EpochsStage()]
    if not isinstance(stages, Sequence) or not all(
        callable(getattr(s, "decide", 0)) and not isinstance(s, type) for s in stages
    ):
        raise ValueError(
            "`stages` must be a sequence of stages, such as [LearningRateStage(), L2Stage()]. "
            f"Received: stages={stages!r}."
        )
    return list(stages)


def check_numbers(**received: Any) -> None:
    """Refuses what is not a whole number from 1 on, or `None`."""
    for name, value in received.items():
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(
                f"`{name}` must be a whole number from 1 on, or None. Received: {name}={value!r}."
            )


def check_seed(seed: Any) -> None:
    """Refuses what is no seed."""
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or seed < 0):
        raise ValueError(f"`seed` must be a whole number from 0 on, or None. Received: {seed!r}.")


def check_objective(objective: Any) -> None:
    """Refuses what names nothing to choose by."""
    if objective is None:
        raise ValueError(
            "`objective` must name what the stages choose by, such as 'val_accuracy'. "
            "Received: objective=None."
        )


def check_hypermodel(hypermodel: Any) -> None:
    """Refuses what builds no model."""
    if not isinstance(hypermodel, keras_tuner.HyperModel) and not callable(hypermodel):
        raise ValueError(
            "`hypermodel` must be a function `build_model(hp)` or a keras_tuner.HyperModel. "
            f"Received: hypermodel={hypermodel!r}."
        )


def by_name(args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What `search` was called with, by the names of `fit`'s arguments."""
    bound = inspect.signature(keras.Model.fit).bind_partial(None, *args, **kwargs)
    arguments = dict(bound.arguments)
    arguments.pop("self")
    for name in ("epochs", "initial_epoch"):
        if name in arguments:
            raise ValueError(
                f"`{name}` is set by the stages. Received: {name}={arguments[name]!r}. Leave it "
                "out; `LearningRateStage(epochs=...)`, `L2Stage(epochs=...)` and "
                "`EpochsStage(limit=...)` say how long to train."
            )
    return arguments


def check_same_data(oracle: HeuristicOracle, data: dict[str, Any]) -> None:
    """Refuses a project that was searched on other data; else keeps what describes them."""
    if oracle.data and oracle.trials and oracle.data != data:
        raise ValueError(
            "The project was searched on other data. Received: "
            f"{data}, there: {oracle.data}. Name another `project_name`, or pass `overwrite=True`."
        )
    oracle.data = data


def project_name(kwargs: dict[str, Any]) -> str:
    """The project's name, as KerasTuner has it."""
    return str(kwargs.get("project_name") or "untitled_project")


def is_chief() -> bool:
    """Whether this process is the chief of several."""
    return "KERASTUNER_ORACLE_IP" in os.environ and "chief" in os.environ["KERASTUNER_TUNER_ID"]


def has_own_fit(hypermodel: Any) -> bool:
    """Whether a `HyperModel` does more than to call the model's `fit`."""
    plain = (keras_tuner.HyperModel.fit, BatchedSpace.fit)  # whose batch size we set ourselves
    return type(hypermodel).fit not in plain


def is_accuracy(objective: Any) -> bool:
    """Whether the objective is a share of the validation samples."""
    return "acc" in objective.name and objective.direction == "max"


def first_validation(frequency: Any) -> int:
    """After how many epochs `fit` validates first."""
    return int(frequency) if isinstance(frequency, int) else min(frequency)
