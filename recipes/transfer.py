"""`reuse_layers` and `unfreeze`: a trained network's lower layers, put to a new task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from ._arguments import check_flag, check_seed, output_function, positive_integer
from ._cutting import front_of
from ._recompiling import arguments_of_compile, check_rate, optimizer_like
from ._wiring import Wiring


def reuse_layers(
    model: keras.Model | str | Path,
    layers: int | str | Sequence[str],
    outputs: int,
    *,
    output_activation: Any = "softmax",
    trainable: bool = False,
    copy: bool = True,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """A network for a new task that begins with layers of a trained one, frozen at first.

    For when a network exists that was trained on a similar task: the lower its layers, the more
    of them carries over. Fewer labels and less time are needed. In two stages:

    1. `reuse_layers`, `compile` and a few epochs of `fit`, in which only the new output layer
       learns: its first gradients, large and wrong, cannot wreck the reused weights.
    2. `unfreeze`, which recompiles at a tenth of the rate, and `fit` until it is good. With
       plenty of data unfreeze everything, with little only the upper layers.

    If it does not help, reuse fewer layers; with much data, add hidden layers. Small dense
    networks learn few features that carry over; deep convolutional ones learn many.

    Args:
        model: Sequential or functional model, or the path of a saved one (`.keras`).
        layers: Which to keep. Integer `n`: the first n; `-n`: all but the last n, in the order
            of `model.layers`, input layers not counted. String: name of the last one, kept with
            all that it needs. Sequence of strings: names of all that are kept; those left out
            below the last, a dropout say, are skipped.
        outputs: Integer. Width of the new output layer, called `output`, or `output_2` and so on
            where a layer that is kept has that name.
        output_activation: Keras activation or its name, inside the output layer, which also
            decides its initializer. Defaults to `"softmax"`.
        trainable: Boolean. Whether reused layers may learn at once. `False` freezes them (batch
            normalization then keeps to its moving statistics); `True` leaves each one as it is.
            Defaults to `False`.
        copy: Boolean. Whether to copy the layers. `False` shares them: what the new model learns
            changes the old one, and freezing freezes both. Defaults to `True`.
        seed: Integer. Of the output layer's kernel. Defaults to `None`:
            `keras.utils.set_random_seed` decides.
        name: String. Name of the model. Defaults to `None`: Keras makes one.

    Returns:
        An uncompiled `keras.Model`.

    Raises:
        ValueError: An argument is not as described; `layers` do not end in one vector a sample.

    Reference:
        Géron, chapter 11, "Reusing Pretrained Layers"; Yosinski et al. 2014, "How transferable
        are features in deep neural networks?".

    Example:
        ```python
        trained = mlp(20, [32, 16], 8, seed=0)
        model = reuse_layers(trained, -1, 1, output_activation="sigmoid", seed=0)
        [layer.name for layer in model.layers if layer.trainable_weights]  # ["output"]
        ```
    """
    outputs = positive_integer("outputs", outputs)
    function = output_function(output_activation, outputs)
    check_seed(seed)
    trainable, copy = check_flag("trainable", trainable), check_flag("copy", copy)
    reused = front_of(model, layers, copy)
    if not trainable:
        for layer in reused.layers:
            layer.trainable = False
    taken = {layer.name for layer in reused.layers}
    head = next(n for n in ("output", *(f"output_{i}" for i in range(2, 10_000))) if n not in taken)
    weights = Wiring(seed=seed).weights(head, feeds=function)
    x = keras.layers.Dense(outputs, activation=function, **weights)(reused.output)
    return keras.Model(reused.input, x, name=name)


def unfreeze(
    model: keras.Model, learning_rate: Any = None, *, layers: Sequence[str] | None = None
) -> None:
    """Lets frozen layers learn from now on, at a lower rate, in place.

    Keras decides at `compile` what is trained, so the model is recompiled: with the same loss,
    metrics, weights of both, `jit_compile`, `steps_per_execution` and `run_eagerly`, and a new
    optimizer of the same class and settings, without the old one's memory. (What it had been told
    to leave out by `exclude_from_weight_decay` is no setting: say it again.) No weight changes. A
    model that is not compiled is only unfrozen.

    Unfrozen batch normalization leaves its moving statistics for the batch's: with small or few
    batches leave it out of `layers`.

    Args:
        model: Keras model.
        learning_rate: Float or Keras schedule. Defaults to `None`: a tenth of the present rate,
            constant.
        layers: Sequence of names, of nested models' layers too, where unique. A nested model's
            name stands for all its layers. Defaults to `None`: all layers.

    Raises:
        ValueError: An argument is not as described; a metric or the loss cannot be made anew; a
            rate is given for a model that is not compiled.

    Reference:
        Géron, chapter 11, "Transfer Learning with Keras".

    Example:
        ```python
        model = reuse_layers(mlp(20, [32, 16], 8), -1, 3)
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        unfreeze(model, layers=["hidden_2"])  # `hidden_1` stays frozen; the rate is now 0.01
        ```
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: model={model!r}.")
    check_rate(learning_rate)
    wanted = None if layers is None else _found(model, layers)
    if not model.compiled:
        if learning_rate is not None:
            raise ValueError(
                "`learning_rate` is for the optimizer of a compiled model. Received: "
                f"learning_rate={learning_rate!r} and model {model.name!r}, which is not "
                "compiled. Leave it out, and give the rate to `compile`."
            )
        _let_learn(model, wanted)
        return
    arguments = arguments_of_compile(model)
    optimizer = optimizer_like(model.optimizer, learning_rate)
    _let_learn(model, wanted)
    model.compile(optimizer=optimizer, **arguments)


def _nested(model: Any) -> list[Any]:
    """The layers of a model at every depth, outer ones first; none of what is no model."""
    found = []
    for layer in model.layers if isinstance(model, keras.Model) else ():
        found += [layer, *_nested(layer)]
    return found


def _found(model: Any, names: Any) -> list[Any]:
    """The layers of these names, with all that is in them."""
    everything = _nested(model)
    known = [layer.name for layer in everything]
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, Sequence) or not names or any(known.count(n) != 1 for n in names):
        raise ValueError(
            "`layers` must be a sequence of names of layers, each found once in the model and its "
            f"nested ones. Received: layers={names!r}. Its layers are {known}."
        )
    chosen = [layer for layer in everything if layer.name in names]
    return chosen + [inner for layer in chosen for inner in _nested(layer)]


def _let_learn(model: Any, wanted: list[Any] | None) -> None:
    """Lets these layers learn, or all, and those that they are in, but no others there."""
    everything = [model, *_nested(model)]
    wanted = everything if wanted is None else wanted
    flags = [
        layer.trainable or layer in wanted or any(inner in wanted for inner in _nested(layer))
        for layer in everything
    ]
    # Outer layers first: each hands its flag down. Keras ignores an attribute that is set to what
    # it is already, so that `model.trainable = True` alone thaws nothing in a trainable model.
    for layer, flag in zip(everything, flags, strict=True):
        if layer in wanted or layer.trainable != flag:
            layer.trainable = not flag
            layer.trainable = flag
