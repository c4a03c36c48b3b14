"""The networks that `trainwell search` trains, sized for the data that they get."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from ... import recipes
from .._search_folder import PROJECT, Parts, Settings
from .stages import BatchSizeStage, EpochsStage, L2Stage, LearningRateStage, Stage
from .tuner import HeuristicTuner

MOMENTUM = 0.9


def tuner_for(settings: Settings, out: Path, parts: Parts) -> HeuristicTuner:
    """The tuner of a search; the same in the chief and in each worker.

    Args:
        settings: `Settings`.
        out: Path of the search's folder.
        parts: `Parts`, the data.
    """
    stages: list[Stage] = [LearningRateStage(), L2Stage(), EpochsStage()]
    if settings.search_batch_size:  # not by default: see `BatchSizeStage` on the objection
        stages.insert(2, BatchSizeStage())
    return HeuristicTuner(
        build_model_for(settings, parts),
        stages=stages,
        directory=str(out),
        project_name=PROJECT,
        seed=settings.seed,
    )


def build_model_for(settings: Settings, parts: Parts) -> Callable[[Any], Any]:
    """The `build_model(hp)` of a recipe.

    Args:
        settings: `Settings`, with the builder's name.
        parts: `Parts`, whose training data standardize the inputs.
    """
    shape = parts.x.shape[1:]

    def build_model(hp: Any) -> keras.Model:
        model = _build(
            settings.recipe,
            shape,
            parts.classes,
            adapt_to=parts.x,
            kernel_regularizer=keras.regularizers.L2(hp.Float("l2", 0.0, 1.0)),
        )
        if settings.search_batch_size:
            hp.Int("batch_size", 1, len(parts.x), default=min(settings.batch_size, len(parts.x)))
        rate = hp.Float("learning_rate", 1e-7, 1e3, default=0.01, sampling="log")
        model.compile(
            keras.optimizers.SGD(rate, momentum=MOMENTUM),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    return build_model


def _build(recipe: str, shape: tuple[int, ...], classes: int, **options: Any) -> keras.Model:
    if recipe == "resnet":
        return recipes.resnet(shape, classes, depth=8, **options)
    sizes = {
        "mlp": [100],
        "self_normalizing_mlp": [100] * 5,
        "residual_mlp": [100] * 3,
        "convnet": [32, 64][: 2 if min(shape) >= 4 else 1],
        "recurrent": [64],
    }
    return getattr(recipes, recipe)(shape, sizes[recipe], classes, **options)
