"""Gives each run of a search a model, with a step compiled before where that is possible."""

import gc
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner

from ._shared_model import SharedModel, configuration, structure_of
from ._trials import Values


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
        self._let_go()
        self._kept = SharedModel(fresh, at_once, structure)
        return self._kept

    def _let_go(self) -> None:
        """Frees the memory of the model before."""
        if self._kept is not None:
            self._kept.watch.detach()
            self._kept = None
            gc.collect()  # models and their functions refer to each other

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


def build_as(model: Any, config: Any) -> None:
    """Builds a subclassed model as one of its kind was, by its `get_build_config`."""
    model.build_from_config(config)
    shape = (config or {}).get("input_shape")
    if not model.built and shape is not None:  # Keras has built its layers and not said so
        model(keras.Input(tuple(shape)[1:]))


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
