"""`Space`: the KerasTuner hypermodel that `space` returns, with or without a batch size."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner

from ._space_checks import name_of
from ._space_combinations import combinations
from ._space_markers import declared, is_searched


class Space(keras_tuner.HyperModel):
    """Builds and compiles a model with the values of a trial; see `space`.

    Args:
        builder: Function that returns an uncompiled Keras model.
        args: Mapping from the name to the value of each positional argument of it.
        options: The same of its keyword arguments.
        compiling: Mapping with `optimizer`, `loss` and `metrics`.
        settings: Mapping with `learning_rate`, `l2` and `batch_size`.
    """

    def __init__(
        self,
        builder: Any,
        args: Mapping[str, Any],
        options: Mapping[str, Any],
        compiling: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.builder = builder
        self.args, self.options = dict(args), dict(options)
        self.compiling, self.settings = dict(compiling), dict(settings)

    def __call__(self, hp: Any) -> keras.Model:
        """The same as `build`, for what takes a function."""
        return self.build(hp)

    def build(self, hp: Any) -> keras.Model:
        """A compiled model with the values of `hp`; what is not set there gets its default."""
        # The batch size too, which `fit` reads: KerasTuner learns the space from `build`.
        learning_rate, l2, _ = (declared(hp, *item) for item in self.settings.items())
        options = {name: declared(hp, name, value) for name, value in self.options.items()}
        if l2 is not None:
            # Also at 0: all trials then have the same layers, and a tuner may set it later.
            options["kernel_regularizer"] = keras.regularizers.L2(l2)
        model = self.builder(*(declared(hp, *item) for item in self.args.items()), **options)
        if not isinstance(model, keras.Model):
            raise keras_tuner.errors.FatalValueError(
                "`builder` must return a keras.Model. Received: "
                f"{model!r} from {name_of(self.builder)}."
            )
        optimizer = declared(hp, "optimizer", self.compiling["optimizer"])
        model.compile(
            make_optimizer(optimizer, learning_rate),
            loss=self.compiling["loss"],
            metrics=keras.tree.map_structure(_fresh, self.compiling["metrics"]),
        )
        return model

    def check(self) -> None:
        """Builds combinations of the values once, so that the search meets no refusal."""
        searched = {
            name: value.probes()
            for name, value in {**self.args, **self.options}.items()
            if is_searched(value)
        }
        for row in combinations(searched):
            hp = keras_tuner.HyperParameters()
            hp.values.update(row)
            try:
                self.build(hp)
            except Exception as error:
                values = ", ".join(f"{name}={value!r}" for name, value in row.items())
                raise ValueError(
                    "Every combination of the space must be one that `builder` builds. Received: "
                    f"{name_of(self.builder)} with {values or 'nothing searched'}, and it says: "
                    f"{error}"
                ) from error

    def __repr__(self) -> str:
        given = [_shown(value) for value in self.args.values()]
        rest = {**self.options, **self.compiling, **self.settings}
        given += [f"{name}={_shown(value)}" for name, value in rest.items()]
        return f"space({', '.join([name_of(self.builder), *given])})"


class BatchedSpace(Space):
    """A `Space` with a batch size, which KerasTuner leaves to `fit`.

    Not in `Space` itself: a hypermodel with a `fit` of its own gets its data as they are.
    """

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        """`model.fit` with the trial's batch size."""
        batch_size = declared(hp, "batch_size", self.settings["batch_size"])
        _check_batches(batch_size, args, kwargs)
        if len(args) > 2:
            args = (*args[:2], batch_size, *args[3:])
        else:
            kwargs["batch_size"] = batch_size
        return model.fit(*args, **kwargs)


def make_optimizer(optimizer: Any, learning_rate: float) -> Any:
    """A new optimizer from a name, a class or a function of the learning rate."""
    if isinstance(optimizer, str):
        optimizer = type(keras.optimizers.get(optimizer))
    is_class = inspect.isclass(optimizer)
    return optimizer(learning_rate=learning_rate) if is_class else optimizer(learning_rate)


def _fresh(metric: Any) -> Any:
    """A metric without the state of another trial."""
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    return metric


def _check_batches(batch_size: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    named = {**dict(zip(("x", "y", "batch_size"), args, strict=False)), **kwargs}
    if named.get("batch_size") not in (None, batch_size):
        raise keras_tuner.errors.FatalValueError(
            "`batch_size` is set by the space. Received: "
            f"batch_size={named['batch_size']!r} in `search`. Leave it out there, or here."
        )
    x = named.get("x")
    if not (hasattr(x, "shape") or isinstance(x, (list, tuple, dict))):
        raise keras_tuner.errors.FatalValueError(
            "`batch_size` has no effect on data that comes in batches. Received: "
            f"x of type {type(x).__name__}. Pass arrays, or leave `batch_size` out of the space."
        )


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape:
        return f"<array of shape {tuple(shape)}>"
    return name_of(value) if callable(value) else repr(value)
