"""The hook into a model's layers that sees what they put out during a step.

An instance attribute `call` in the place of each layer's method hands the output on, and keeps it
until the step's row is made. Kept are the tensors of one outermost graph at a time: validation and
prediction run in graphs of their own, so that they never mix with a training step's.
"""

import functools
import inspect
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from ._layer_activations import layers_within
from ._patches import Patches


@dataclass
class Seen:
    """What a step has shown of the layers.

    Attributes:
        calls: By `id` of the layer: `(input, output)` of each call that can be reached.
        hidden: `id`s of the layers that were called where their output can't be reached, as
            within a loop.
        outputs: `id`s of the layers whose output is the model's.
    """

    calls: dict[int, list[tuple[Any, Any]]] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    outputs: set[int] = field(default_factory=set)


class _Kept(threading.local):
    """Tensors of one outermost graph; each replica has a thread of its own."""

    def __init__(self) -> None:
        self.root: Any = None
        self.calls: list[tuple[int, Any, Any]] = []
        self.returned: list[Any] = []
        self.ignores = False


class LayerTaps:
    """Keeps what the layers of a model put out, from `hook` to `undo`.

    Args:
        model: A Keras model.
        inference: Boolean. Whether to look at calls with `training=False` too, where they are
            told from a training step's by nothing else. Defaults to `False`.

    Attributes:
        paused: Whether to let calls pass unseen.
    """

    def __init__(self, model: Any, inference: bool = False) -> None:
        self._model, self._inference = weakref.ref(model), inference
        self._patches, self._hooked, self._lock = Patches(), set[int](), threading.Lock()
        self._kept = _Kept()
        self.paused = False

    def hook(self) -> None:
        """Sees each call that is traced from now on."""
        self._patches.put(self._model(), "call", self._wrap_model)
        self._hook_layers()

    def undo(self) -> None:
        """Leaves the layers as they were."""
        self.clear()
        self._patches.undo()
        self._hooked.clear()

    def clear(self) -> None:
        """Forgets what was kept."""
        kept = self._kept
        kept.root, kept.calls, kept.returned = None, [], []

    def take(self) -> Seen:
        """What was kept and belongs to the graph that is being traced now; the rest is dropped."""
        kept, seen = self._kept, Seen()
        here = list(_graphs_around(_current_graph()))
        returned = {id(tensor) for tensor in kept.returned}
        for layer, given, output in kept.calls:
            if id(output) in returned:
                seen.outputs.add(layer)
            if _reachable(output, here):
                seen.calls.setdefault(layer, []).append((given, output))
            else:
                seen.hidden.add(layer)
        self.clear()
        return seen

    # ------------------------------------------------------------------ what replaces methods

    def _hook_layers(self) -> None:
        with self._lock:
            for layer in layers_within(self._model()):
                if id(layer) not in self._hooked:
                    self._hooked.add(id(layer))
                    self._patches.put(layer, "call", functools.partial(self._wrap, id(layer)))

    def _wrap(self, layer: int, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            outputs = original(*args, **kwargs)
            self._keep(layer, args, outputs)
            return outputs

        return _looking_like(original, call)

    def _wrap_model(self, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._before_model(kwargs)
            try:
                outputs = original(*args, **kwargs)
            finally:
                ignored, self._kept.ignores = self._kept.ignores, False
            if not (self.paused or ignored):
                self._kept.returned += keras.tree.flatten(outputs)
            return outputs

        return _looking_like(original, call)

    @tf.autograph.experimental.do_not_convert
    def _before_model(self, kwargs: dict[str, Any]) -> None:
        self._hook_layers()  # those that a subclassed model has made only now
        # In a graph of its own it would not mix with a step.
        validates = kwargs.get("training") is False and tf.executing_eagerly()
        self._kept.ignores = validates and not self._inference

    @tf.autograph.experimental.do_not_convert
    def _keep(self, layer: int, args: tuple[Any, ...], outputs: Any) -> None:
        kept, output = self._kept, _first_tensor(outputs)
        if self.paused or kept.ignores or output is None:
            return
        root = _root(output)
        if kept.root is not root:
            self.clear()
            kept.root = root
        kept.calls.append((layer, _first_tensor(args), output))


def _looking_like(original: Any, call: Any) -> Any:
    # Not `functools.wraps`: AutoGraph would find the original's source, and run that.
    call.__name__, call.__doc__ = original.__name__, original.__doc__
    call.__signature__ = inspect.signature(original)
    return call


def _first_tensor(nested: Any) -> Any:
    """Of a recurrent layer that returns its state too: the output."""
    for one in keras.tree.flatten(nested):
        if isinstance(one, tf.Tensor) and one.dtype.is_floating:
            return one
    return None


def _current_graph() -> Any:
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def _graphs_around(graph: Any) -> Iterator[Any]:
    """The graph and those that it is traced within, without TensorFlow's global one."""
    while hasattr(graph, "outer_graph"):
        yield graph
        graph = graph.outer_graph


def _root(tensor: Any) -> Any:
    """The outermost graph that a tensor is in, None of an eager one."""
    return functools.reduce(
        lambda _, graph: graph, _graphs_around(getattr(tensor, "graph", None)), None
    )


def _reachable(tensor: Any, here: list[Any]) -> bool:
    graph = getattr(tensor, "graph", None)
    return not here if graph is None else any(graph is one for one in here)
