"""The one place that reaches into Keras' optimizer and train function to see each step pass.

A `Tap` sets two instance attributes on an optimizer, which Keras looks up each time it traces a
training step: `scale_loss`, which is handed the exact batch loss, and `apply`, which is handed the
gradients. Both are public methods. Taking the attributes away restores the optimizer.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import tensorflow as tf


@dataclass(frozen=True)
class Step:
    """What one call of `optimizer.apply` shows; tensors where the step is being traced.

    Attributes:
        gradients: One per variable: a tensor, `tf.IndexedSlices`, or None where the loss
            does not depend on the variable. As `apply` got them: scaled, not clipped.
        variables: The trainable variables, in the same order.
        scale: By what the gradients were multiplied (mixed precision), or None.
        may_skip: Whether the optimizer skips a step whose gradients are not finite.
        loss: The true loss of the batch, unscaled, or None where it was not shown.
        learning_rate: Of this step.
        optimizer: The optimizer that holds the clipping settings.
    """

    gradients: list[Any]
    variables: list[Any]
    scale: Any
    may_skip: bool
    loss: Any
    learning_rate: Any
    optimizer: Any


class Listener(Protocol):
    """Something that watches steps."""

    def before_step(self, step: Step) -> Callable[[], None] | None:
        """Called before the weights change; what it returns is called after."""

    def failed(self, error: Exception) -> None:
        """Called when watching a step raised; the step itself goes on."""


class Tap:
    """The hook on one optimizer, shared by all who listen to it.

    Args:
        optimizer: A Keras optimizer.
    """

    _of: "weakref.WeakKeyDictionary[Any, Tap]" = weakref.WeakKeyDictionary()

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._listeners: list[Listener] = []
        self._replaced: dict[str, Any] = {}
        self._losses = threading.local()
        self._model: Callable[[], Any] = lambda: None
        self._kept_function: Any = None
        self._own_function: Any = None

    @classmethod
    def on(cls, optimizer: Any) -> "Tap":
        """The optimizer's tap, made where it has none."""
        if optimizer not in cls._of:
            cls._of[optimizer] = cls(optimizer)
        return cls._of[optimizer]

    def attach(self, listener: Listener, model: Any = None) -> None:
        """Lets a listener see each step traced from now on.

        Args:
            listener: The listener; attaching it twice is attaching it once.
            model: The model whose `fit` or `train_on_batch` runs the steps, so that its train
                function is traced anew. Defaults to `None`: the caller traces a loop of its own.
        """
        if not self._listeners:
            self._hook()
        if listener not in self._listeners:
            self._listeners.append(listener)
        if model is not None:
            if self._own_function is None or model.train_function is not self._own_function:
                self._model, self._kept_function = weakref.ref(model), model.train_function
            model.make_train_function(force=True)
            self._own_function = model.train_function

    def detach(self, listener: Listener) -> None:
        """Stops a listener; with the last one, optimizer and train function are as before."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if self._listeners:
            return
        self._unhook()
        model = self._model()
        if model is not None and model.train_function is self._own_function:
            model.train_function = self._kept_function
        self._kept_function = self._own_function = None

    def _hook(self) -> None:
        optimizer = self._optimizer()
        apply, scale_loss = optimizer.apply, optimizer.scale_loss
        self._replaced = {
            name: vars(optimizer)[name] for name in ("apply", "scale_loss") if name in vars(optimizer)
        }

        def tapped_scale_loss(loss: Any) -> Any:
            self._losses.last = (_graph(), loss)
            return scale_loss(loss)

        def tapped_apply(grads: Sequence[Any], trainable_variables: Any = None) -> Any:
            grads = list(grads)
            after = self._before_step(grads, trainable_variables)
            result = apply(grads, trainable_variables)
            for listener, finish in after:
                self._guarded(listener, finish)
            return result

        optimizer.apply, optimizer.scale_loss = tapped_apply, tapped_scale_loss

    def _before_step(
        self, grads: list[Any], variables: Any
    ) -> list[tuple[Listener, Callable[[], None]]]:
        after = []
        for listener in list(self._listeners):
            finish = self._guarded(
                listener, lambda to=listener: to.before_step(self._step(grads, variables))
            )
            if finish:
                after.append((listener, finish))
        return after

    def _guarded(self, listener: Listener, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            self._listeners.remove(listener)
            listener.failed(error)
            return None

    def _unhook(self) -> None:
        optimizer = self._optimizer()
        if optimizer is None:
            return
        for name in ("apply", "scale_loss"):
            if name in self._replaced:
                setattr(optimizer, name, self._replaced[name])
            elif name in vars(optimizer):
                delattr(optimizer, name)

    def _step(self, grads: list[Any], variables: Any) -> Step:
        outer = self._optimizer()
        inner = getattr(outer, "inner_optimizer", outer)
        return Step(
            gradients=grads,
            variables=list(variables if variables is not None else known_variables(inner)),
            scale=_loss_scale(outer),
            may_skip=inner is not outer,
            loss=self._loss(),
            learning_rate=outer.learning_rate,
            optimizer=inner,
        )

    def _loss(self) -> Any:
        graph, loss = getattr(self._losses, "last", (None, None))
        here = _graph()
        while here is not None and here is not graph:  # a loss of an outer graph is captured
            here = getattr(here, "outer_graph", None)
        return loss if here is graph else None


def _graph() -> Any:
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def _loss_scale(optimizer: Any) -> Any:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # As its scale_loss does, which ran before the optimizer was built in the first trace.
        return optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
    return optimizer.loss_scale_factor


def known_variables(optimizer: Any) -> list[Any]:
    """The trainable variables that a built optimizer was built with."""
    return list(optimizer._trainable_variables)


def retrace_would_change(model: Any) -> bool:
    """Whether tracing the train step anew would train other variables than the cached one does.

    That is so where `trainable` was switched after the first `fit` without compiling again: the
    cached function goes on with the old variables, a new one would raise or leave some out.
    """
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not inner.built or type(model).train_step is not keras.Model.train_step:
        return False
    now = {id(variable) for variable in model.trainable_variables}
    return now != {id(variable) for variable in known_variables(inner)}
