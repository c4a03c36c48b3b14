"""`space`: a search space of well-wired networks, for any KerasTuner tuner."""

from typing import Any

from ._space_checks import (
    arguments_of,
    batch_size_of,
    check_compiling,
    check_initializers,
    check_optimizer,
    check_penalty,
    scale_of,
)
from ._space_markers import Choice as Choice
from ._space_markers import Range as Range
from ._space_model import BatchedSpace, Space, make_optimizer

_PENALTIES = Choice(0.0, 1e-5, 1e-4, 1e-3, 1e-2)


def space(
    builder: Any,
    /,
    *args: Any,
    optimizer: Any = "sgd",
    loss: Any = "sparse_categorical_crossentropy",
    metrics: Any = ("accuracy",),
    learning_rate: Any = (1e-4, 1.0),
    l2: Any = _PENALTIES,
    batch_size: Any = None,
    **options: Any,
) -> Space:
    """A `build_model(hp)` for KerasTuner from one of our builders.

    Any argument of the builder is fixed, or searched where a `Choice` or a `Range` stands in its
    place. Choose it for KerasTuner's own tuners (`RandomSearch`, `BayesianOptimization`,
    `Hyperband`), which would otherwise spend trials on pairs that no textbook recommends: the
    builders tie the initializer to the activation, so SELU always starts from LeCun's and ReLU
    from He's. `HeuristicTuner` reads the same three names, `learning_rate`, `l2` and
    `batch_size`, and leaves what else is searched at its default, the first value.

    What the builder refuses is refused here, before the first trial: each value is built once,
    all combinations where there are at most 32, else at least every pair of values (of a `Range`
    its ends). Without a `seed` among the options each trial and each execution starts from
    weights of its own, which `keras.utils.set_random_seed` makes repeatable; with one they all
    start alike.

    Args:
        builder: Function that returns an uncompiled Keras model: `mlp`, `convnet`, `resnet`, ...
            or one of your own. What it calls its arguments is what the search calls them.
        *args: Its positional arguments, fixed or searched.
        optimizer: String, the name of a Keras optimizer; a class, called with `learning_rate`; a
            function from the learning rate to a new optimizer; or a `Choice` of names. Defaults
            to `"sgd"`.
        loss: What `compile` takes. Defaults to `"sparse_categorical_crossentropy"`.
        metrics: What `compile` takes; instances are made anew for each trial. Defaults to
            `("accuracy",)`.
        learning_rate: Tuple `(lowest, highest)` of a logarithmic range, a `Range`, a `Choice` or
            a fixed number. Defaults to `(1e-4, 1.0)`, with the geometric middle as its default,
            0.01.
        l2: Strength of the penalty on all kernels, `l2 * sum(w^2)` in Keras' units, as
            `learning_rate` is given; `None` adds none. A logarithmic range does not reach 0, a
            `Choice` may. Defaults to `Choice(0.0, 1e-5, 1e-4, 1e-3, 1e-2)`.
        batch_size: Integer, a `Choice` or a `Range` of integers, handed to `fit`. Defaults to
            `None`: that of `tuner.search`.
        **options: Its keyword arguments, fixed or searched.

    Returns:
        A `keras_tuner.HyperModel`, which can also be called as `build_model(hp)`.

    Raises:
        ValueError: An argument is not as described, a combination is one that the builder
            refuses, or a kernel initializer is not the activation's.

    Reference:
        Géron, chapter 11, table 11-1 (initializers); chapter 10, "Fine-Tuning Neural Network
        Hyperparameters".

    Example:
        ```python
        from keras_tuner import HyperParameters
        from trainwell.recipes import mlp

        build_model = space(mlp, 20, Choice([64], [64, 64]), 3, activation=Choice("relu", "selu"))
        hp = HyperParameters()
        hp.values["activation"] = "selu"
        build_model(hp).get_layer("hidden_1").kernel_initializer  # a LecunNormal
        ```
    """
    named, keywords = arguments_of(builder, args, options)
    given = {**named, **keywords}
    check_initializers(builder, given)
    if l2 is not None:
        check_penalty(builder, given)
        l2 = scale_of("l2", l2, zero=True)
    settings = {
        "learning_rate": scale_of("learning_rate", learning_rate, zero=False),
        "l2": l2,
        "batch_size": batch_size_of(batch_size),
    }
    check_compiling(loss, metrics)
    check_optimizer(optimizer, make_optimizer)
    compiling = {"optimizer": optimizer, "loss": loss, "metrics": metrics}
    kind = Space if batch_size is None else BatchedSpace
    found = kind(builder, named, keywords, compiling, settings)
    found.check()
    return found
