"""What `space` refuses: arguments that are none, and pairs that would waste trials."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import keras
import numpy as np

from ...callbacks.activation_facts import ACTIVATION_FACTS, ALIASES, did_you_mean, facts_of
from .._arguments import check_initializer
from ._space_markers import Range, holds_searched, is_searched, searched_values

_UNKNOWN = object()

_BY_DATA = ("accuracy", "acc", "crossentropy", "ce")

_OWN = ("optimizer", "loss", "metrics", "learning_rate", "l2", "batch_size")

_FAMILIES = {
    keras.initializers.GlorotNormal: "glorot",
    keras.initializers.GlorotUniform: "glorot",
    keras.initializers.HeNormal: "he",
    keras.initializers.HeUniform: "he",
    keras.initializers.LecunNormal: "lecun",
    keras.initializers.LecunUniform: "lecun",
}


def arguments_of(
    builder: Any, args: Sequence[Any], options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The positional and the keyword arguments of a builder, each by its name."""
    if not callable(builder):
        raise ValueError(
            "`builder` must be a function that returns a Keras model, such as recipes.mlp. "
            f"Received: builder={builder!r}."
        )
    parameters = inspect.signature(builder).parameters
    taken = [name for name in parameters if name in _OWN]
    if taken:
        raise ValueError(
            f"`builder` must leave {', '.join(map(repr, taken))} to `space`, which compiles the "
            "model and adds the penalty. Received: a builder that takes them. Return a model that "
            "is not compiled."
        )
    _check_bound(builder, args, options)
    positional = [
        p.name
        for p in parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    positional += [f"argument_{i}" for i in range(len(positional), len(args))]
    named = dict(zip(positional, args, strict=False))
    for name, value in {**named, **options}.items():
        if holds_searched(value):
            raise ValueError(
                f"A whole argument is searched, not an item of it. Received: {name}={value!r}. "
                "List the whole values, such as Choice([64], [64, 64]), or write a builder that "
                "takes the items by name."
            )
    return named, dict(options)


def _check_bound(builder: Any, args: Sequence[Any], options: Mapping[str, Any]) -> None:
    signature = inspect.signature(builder)
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        unknown = [name for name in options if name not in signature.parameters]
        guess = did_you_mean(unknown[0], signature.parameters) if unknown else ""
        raise ValueError(
            f"The arguments must be those of `builder`: {error}. Received: "
            f"builder={name_of(builder)}, {len(args)} positional arguments and "
            f"{', '.join(options) or 'no keywords'}.{guess}"
        ) from None


def name_of(builder: Any) -> str:
    """A builder's name, as it is written."""
    return str(getattr(builder, "__name__", repr(builder)))


def check_penalty(builder: Any, given: Mapping[str, Any]) -> None:
    """Refuses a strength of the penalty where there is no place for it."""
    if "kernel_regularizer" in given:
        raise ValueError(
            "`l2` is the `kernel_regularizer`. Received: both, kernel_regularizer="
            f"{given['kernel_regularizer']!r}. Leave one out, this one by `l2=None`."
        )
    parameters = inspect.signature(builder).parameters
    any_keyword = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if "kernel_regularizer" not in parameters and not any_keyword:
        raise ValueError(
            "`l2` needs a builder with the argument `kernel_regularizer`. Received: "
            f"builder={name_of(builder)}. Add the argument, or pass `l2=None`."
        )


def check_initializers(builder: Any, given: Mapping[str, Any]) -> None:
    """Refuses kernels whose variance is another activation's."""
    searched = searched_values(given.get("kernel_initializer"))
    initializers = [initializer for initializer in searched if initializer is not None]
    parameter = inspect.signature(builder).parameters.get("activation")
    activation = given.get("activation", parameter.default if parameter else _UNKNOWN)
    if not initializers:
        return
    if is_searched(activation):
        raise ValueError(
            "A searched `activation` brings the initializer that each one needs, so that no trial "
            "is spent on a wrong pair. Received: "
            f"activation={activation!r}, kernel_initializer={given['kernel_initializer']!r}. "
            "Leave `kernel_initializer` out, or fix the activation."
        )
    if activation not in (None, *ACTIVATION_FACTS, *ALIASES):
        return
    needed = facts_of(activation).initializer
    for initializer in initializers:
        check_initializer("kernel_initializer", initializer)
        family = _FAMILIES.get(type(keras.initializers.get(initializer)), needed)
        if family != needed:
            raise ValueError(
                "`kernel_initializer` must have the variance that the activation needs. Received: "
                f"activation={activation!r}, which needs {needed.title()}'s, with "
                f"kernel_initializer={initializer!r}, {family.title()}'s. Leave it out: the "
                "builders choose it."
            )


def scale_of(argument: str, received: Any, *, zero: bool) -> Any:
    """A learning rate or a penalty: fixed or searched; two numbers are a logarithmic range."""
    value = received.item() if isinstance(received, np.generic) else received
    if isinstance(value, (tuple, list)) and len(value) == 2 and not holds_searched(value):
        lowest, highest = value
        middle = (lowest * highest) ** 0.5 if _positive(lowest) and _positive(highest) else None
        value = Range(lowest, highest, log=True, default=middle)
    values = searched_values(value)
    if not all(_positive(one) or (zero and _is_zero(one)) for one in values):
        raise ValueError(
            f"`{argument}` must be {'from 0 on' if zero else 'above 0'}: a number, a range "
            f"(lowest, highest), which is logarithmic, a `Range` or a `Choice`. "
            f"Received: {argument}={received!r}."
        )
    return value


def batch_size_of(received: Any) -> Any:
    """A batch size, fixed or searched, in whole numbers."""
    value = received.item() if isinstance(received, np.generic) else received
    values = searched_values(value)
    if value is not None and not all(_positive(v) and isinstance(v, int) for v in values):
        raise ValueError(
            "`batch_size` must be a positive integer, a `Choice` or a `Range` of these, or None. "
            f"Received: batch_size={received!r}. Write Choice(16, 32, 64)."
        )
    return value


def check_optimizer(optimizer: Any, make: Callable[[Any, float], Any]) -> None:
    """Refuses what does not make a new optimizer for each trial."""
    if isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            "`optimizer` must be made anew for each trial: an instance would carry its momentum "
            f"and its learning rate from one to the next. Received: optimizer={optimizer!r}. Pass "
            f"its name, its class, or a function of the learning rate, such as lambda rate: "
            f"{type(optimizer).__name__}(rate, clipnorm=1.0)."
        )
    rule = (
        "`optimizer` must be the name of a Keras optimizer, a class, a function from a learning "
        "rate to a new optimizer, or a `Choice` of names."
    )
    for one in searched_values(optimizer):
        if not (isinstance(one, str) or callable(one)):
            raise ValueError(f"{rule} Received: optimizer={optimizer!r}.")
        try:
            made = [make(one, 0.01) for _ in range(2)]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{rule} Received: optimizer={optimizer!r}. {error}") from error
        if not isinstance(made[0], keras.optimizers.Optimizer):
            raise ValueError(f"{rule} Received: optimizer={optimizer!r}, which made {made[0]!r}.")
        if made[0] is made[1]:
            raise ValueError(
                f"{rule} Received: optimizer={optimizer!r}, which returned the same one twice. "
                "Make it inside the function."
            )


def check_compiling(loss: Any, metrics: Any) -> None:
    """Refuses names that Keras does not know, of which it complains only in the first step."""
    for argument, received, get in (
        ("loss", loss, keras.losses.get),
        ("metrics", metrics, keras.metrics.get),
    ):
        for name in keras.tree.flatten(received):
            if is_searched(name):
                raise ValueError(
                    f"`{argument}` is the same in all trials, which could not be compared "
                    f"otherwise. Received: {argument}={received!r}."
                )
            # Which accuracy or crossentropy is meant, Keras sees from the data.
            if not isinstance(name, str) or name in _BY_DATA:
                continue
            try:
                get(name)
            except ValueError:
                raise ValueError(
                    f"`{argument}` must be what `compile` takes. Received: {argument}={received!r}."
                    f" Keras has no {name!r}."
                ) from None


def _positive(value: Any) -> bool:
    return _is_number(value) and 0 < value < float("inf")


def _is_zero(value: Any) -> bool:
    return _is_number(value) and value == 0


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
