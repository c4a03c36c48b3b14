"""The hook into a Keras optimizer that sees each step pass.

While Keras traces a training step it looks up the methods of the optimizer, and finds these
instance attributes instead: `scale_loss`, which is handed the exact batch loss, and `apply`,
which is handed the gradients. Both are public. Where one call of `apply` is not one whole step,
as with accumulated gradients or several replicas, the step is seen further inside.
"""

import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import keras
import tensorflow as tf

from ._eager import eagerly
from ._keras_private import ALL_REDUCE, CLIP, END_OF_UPDATE, known_variables
from ._optimizer_settings import innermost
from ._patches import Patches
from ._step import Listener, Step


class _Call(threading.local):
    """One call of `apply`; each replica has a thread of its own."""

    shown_loss: tuple[Any, Any] = (None, None)  # the graph that it is in, the loss
    loss: Any = None
    gradients: list[Any]
    variables: list[Any]
    after: list[tuple[Listener, Callable[[], None]]]


class Tap:
    """The hook on one optimizer, shared by all who listen to it; use `Tap.on`.

    Args:
        optimizer: A Keras optimizer.
    """

    _of: ClassVar["weakref.WeakKeyDictionary[Any, Tap]"] = weakref.WeakKeyDictionary()

    def __init__(self, optimizer: Any) -> None:
        self._outer: Callable[[], Any] = weakref.ref(optimizer)
        self._inner: Callable[[], Any] = weakref.ref(innermost(optimizer))
        self._listeners: list[Listener] = []
        self._patches = Patches()
        self._call = _Call()
        self._replicas = 1
        self._in_xla = False
        self._first_replica: int | None = None
        self._loss_sum: Any = None

    @classmethod
    def on(cls, optimizer: Any) -> "Tap":
        """The optimizer's tap."""
        if optimizer not in cls._of:
            cls._of[optimizer] = cls(optimizer)
        return cls._of[optimizer]

    def attach(self, listener: Listener, replicas: int, in_xla: bool) -> None:
        """Lets a listener see each step that is traced from now on.

        Args:
            listener: The listener; attaching it twice is attaching it once.
            replicas: Over how many the steps are spread.
            in_xla: Whether XLA compiles them.
        """
        if not self._listeners:
            self._replicas, self._first_replica, self._loss_sum = replicas, None, None
            self._in_xla = in_xla
            self._hook()
        if listener not in self._listeners:
            self._listeners.append(listener)

    def detach(self, listener: Listener) -> None:
        """Stops a listener; with the last one the optimizer is as before."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners:
            self._patches.undo()

    # ------------------------------------------------------------------ what replaces methods

    def _hook(self) -> None:
        outer, inner, put = self._outer(), self._inner(), self._patches.put
        put(outer, "scale_loss", self._scale_loss)
        put(outer, "apply", self._apply)
        if not inner.gradient_accumulation_steps and self._replicas == 1:
            return
        if inner is not outer:
            put(inner, "apply", self._inner_apply)
        if self._replicas > 1 and not (inner.clipnorm or inner.global_clipnorm or inner.clipvalue):
            put(inner, ALL_REDUCE, self._all_reduce)
        else:
            put(inner, CLIP, self._clip)
        if inner.gradient_accumulation_steps:
            put(inner, END_OF_UPDATE, self._end_of_update)

    def _scale_loss(self, original: Any) -> Any:
        def scale_loss(loss: Any) -> Any:
            self._call.shown_loss = (_graph(), loss)
            return original(loss)

        return scale_loss

    def _apply(self, original: Any) -> Any:
        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            grads = self._begin(grads, trainable_variables)
            self._guarded(self._listeners, self._see_apply)
            result = original(grads, trainable_variables)
            self._finish()
            return result

        return apply

    def _inner_apply(self, original: Any) -> Any:
        """Of the optimizer that loss scaling wraps: called where the gradients are finite."""

        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            result = original(self._begin(grads, trainable_variables), trainable_variables)
            self._finish()
            return result

        return apply

    def _all_reduce(self, original: Any) -> Any:
        def all_reduce(pairs: Any) -> Any:
            summed = original(pairs)
            self._guarded(self._listeners, lambda: self._see_update([g for g, _ in summed]))
            return summed

        return all_reduce

    def _clip(self, original: Any) -> Any:
        def clip(grads: Any) -> Any:
            grads = list(grads)
            self._guarded(self._listeners, lambda: self._see_update(self._summed(grads)))
            return original(grads)

        return clip

    def _end_of_update(self, original: Any) -> Any:
        def end_of_update() -> Any:
            self._finish()
            return original()

        return end_of_update

    # ------------------------------------------------------------------ what they see

    def _begin(self, grads: Any, variables: Any) -> list[Any]:
        call = self._call
        call.gradients, call.after = list(grads), []
        call.variables = list(known_variables(self._inner()) if variables is None else variables)
        return call.gradients

    def _see_apply(self) -> None:
        outer, inner, call = self._outer(), self._inner(), self._call
        call.loss = self._summed([_shown(call.shown_loss)])[0]
        micro_batches = bool(inner.gradient_accumulation_steps)
        if micro_batches and call.loss is not None and self._is_first_replica():
            if self._loss_sum is None:
                self._loss_sum = eagerly(lambda: tf.Variable(0.0, trainable=False))
            self._loss_sum.assign_add(tf.cast(call.loss, tf.float32))
        if self._replicas > 1:
            return
        self._tell(
            [one for one in self._listeners if one.micro_batches or not micro_batches],
            scale=_loss_scale(outer),
            may_skip=isinstance(outer, keras.optimizers.LossScaleOptimizer),
        )

    def _see_update(self, gradients: list[Any]) -> None:
        inner, call = self._inner(), self._call
        connected = iter(gradients)
        call.gradients = [None if g is None else next(connected) for g in call.gradients]
        if not self._is_first_replica():
            return
        number = inner.gradient_accumulation_steps
        if number and self._loss_sum is not None:
            call.loss = self._loss_sum / number
            self._loss_sum.assign(0.0)
        by_update = [one for one in self._listeners if self._replicas > 1 or not one.micro_batches]
        self._tell(by_update, scale=None, may_skip=False)

    def _tell(self, listeners: list[Listener], scale: Any, may_skip: bool) -> None:
        step = Step(
            gradients=self._call.gradients,
            variables=self._call.variables,
            scale=scale,
            may_skip=may_skip,
            loss=self._call.loss,
            learning_rate=self._outer().learning_rate,
            optimizer=self._inner(),
            in_xla=self._in_xla,
        )
        for listener in listeners:
            finish = self._guarded([listener], partial(listener.before_step, step))
            if finish:
                self._call.after.append((listener, finish))

    def _finish(self) -> None:
        after, self._call.after = self._call.after, []
        for listener, finish in after:
            self._guarded([listener], finish)

    def _summed(self, tensors: list[Any]) -> list[Any]:
        """Sums over the replicas of what each of them holds."""
        if self._replicas == 1 or tensors[0] is None:
            return tensors
        context = tf.distribute.get_replica_context()
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, tensors))

    def _is_first_replica(self) -> bool:
        """Whether this replica keeps the rows: all of this process would keep the same."""
        if self._replicas == 1:
            return True
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        number = int(number if isinstance(number, int) else tf.get_static_value(number))
        if self._first_replica is None:
            self._first_replica = number
        return number == self._first_replica

    def _guarded(self, listeners: list[Listener], call: Callable[[], Any]) -> Any:
        """Calls; an error ends the watching of these listeners, not the training."""
        try:
            return call()
        except Exception as error:
            for listener in list(listeners):
                if listener in self._listeners:
                    self._listeners.remove(listener)
                listener.failed(error)
            return None


def _graph() -> Any:
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def _shown(loss: tuple[Any, Any]) -> Any:
    """The loss, where it belongs to the step that is being traced."""
    here = _graph()
    while here is not None and here is not loss[0]:  # an outer graph's is captured
        here = getattr(here, "outer_graph", None)
    return loss[1] if here is loss[0] else None


def _loss_scale(optimizer: Any) -> Any:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # As its scale_loss does, which ran before the optimizer was built in the first trace.
        return optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
    return optimizer.loss_scale_factor
