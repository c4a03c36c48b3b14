"""The loss of one batch as a function of the weights: gradients and curvature times a vector.

No matrix is formed: the Hessian times a vector is the directional derivative of the gradient
(Pearlmutter 1994), the Gauss-Newton matrix times a vector a forward and a backward pass
(Schraudolph 2002).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import tensorflow as tf

_ZERO = tf.UnconnectedGradients.ZERO

# Losses that are convex in what goes into the activation, though not in what comes out of it.
_MATCHING: tuple[tuple[Any, tuple[Any, ...], tuple[type, ...]], ...] = (
    (
        keras.activations.softmax,
        (keras.losses.categorical_crossentropy, keras.losses.sparse_categorical_crossentropy),
        (keras.losses.CategoricalCrossentropy, keras.losses.SparseCategoricalCrossentropy),
    ),
    (
        keras.activations.sigmoid,
        (keras.losses.binary_crossentropy,),
        (keras.losses.BinaryCrossentropy,),
    ),
)


@dataclass
class BatchLoss:
    """What a compiled model loses on one batch, for any values of its trainable weights.

    The model's variables are read, never written: dropout draws the same masks at each call, and
    the statistics of batch normalization stay. Vectors and weights are lists, one tensor for each
    trainable variable.

    Args:
        model: Compiled `keras.Model`.
        x: Inputs of the batch.
        y: Targets.
        sample_weight: Weights of the samples, or None.
        training: Boolean. Passed to the model.
        heads: For each output the layer whose activation is cut off for the Gauss-Newton
            product, or None, see `matching_heads`. Empty is no cut.
    """

    model: Any
    x: Any
    y: Any
    sample_weight: Any = None
    training: bool = False
    heads: Sequence[Any] = field(default_factory=tuple)

    def loss(self, weights: list[Any]) -> Any:
        """The whole loss: with regularization, sample weights and losses that layers add."""
        return self._run(weights)[0]

    def gradient(self, weights: list[Any]) -> tuple[Any, list[Any], Any, list[tuple[Any, Any]]]:
        """Loss, its gradient (None where there is none), outputs, and the new state.

        The state is what a pass in training changes besides the trainable weights, as pairs of a
        variable and its new value.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss, outputs, state = self._run(weights)
        return loss, tape.gradient(loss, weights), outputs, state

    def hessian_vector(self, weights: list[Any], vector: list[Any]) -> list[Any]:
        """`H v`, forward over reverse."""
        return _hessian_vector(self.loss, weights, vector)

    def gauss_newton_vector(self, weights: list[Any], vector: list[Any]) -> list[Any]:
        """`(J' L'' J + R'') v`: positive semi-definite where the loss is convex at the cut.

        `J` is the derivative of the outputs, `L''` the Hessian of the loss with respect to them,
        `R''` that of the regularizers of weights, which don't depend on the outputs.
        """
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(weights)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(weights)
                outputs = self._before_heads(weights)
            # J'u is linear in u, and its derivative with respect to u, transposed, is J: forward
            # mode that also passes through the loops of recurrent layers.
            handed = [tf.zeros_like(output) for output in outputs]
            tape.watch(handed)
            backward = inner.gradient(outputs, weights, handed, unconnected_gradients=_ZERO)
            backward = _dense(backward)
        tangents = tape.gradient(backward, handed, vector, unconnected_gradients=_ZERO)
        curved = _hessian_vector(partial(self._after_heads, weights), outputs, tangents)
        product = _dense(tape.gradient(outputs, weights, curved, unconnected_gradients=_ZERO))
        if any(variable.regularizer for variable in self.model.trainable_variables):
            ridge = _hessian_vector(self._regularization, weights, vector)
            product = [a + b for a, b in zip(product, ridge, strict=True)]
        return product

    def _run(self, weights: list[Any]) -> tuple[Any, Any, list[tuple[Any, Any]]]:
        with self._scope(weights) as scope:
            outputs = self.model(self.x, training=self.training)
            loss = self._loss_of(outputs)
        held = [*self.model.non_trainable_variables, *self.model.metrics_variables]
        values = {id(v): (v, scope.get_current_value(v)) for v in held}
        return loss, outputs, [(v, value) for v, value in values.values() if value is not None]

    def _loss_of(self, outputs: Any) -> Any:
        return self.model.compute_loss(
            self.x, self.y, outputs, self.sample_weight, training=self.training
        )

    def _scope(self, weights: list[Any]) -> Any:
        variables = self.model.trainable_variables
        return keras.StatelessScope(zip(variables, weights, strict=True), collect_losses=True)

    def _before_heads(self, weights: list[Any]) -> list[Any]:
        """The outputs, flat, those with a head before its activation."""
        with self._scope(weights), _without_activation(self.heads):
            outputs = self.model(self.x, training=self.training)
        self._structure = outputs
        return [tf.convert_to_tensor(output) for output in tf.nest.flatten(outputs)]

    def _after_heads(self, weights: list[Any], outputs: list[Any]) -> Any:
        """The loss of what `_before_heads` gave; regularization is in it, as a constant."""
        heads = self.heads or [None] * len(outputs)
        # Keras would see through the very tensor that an activation made, past the one
        # that is differentiated here; those of `heads` are made anew, for it to see through.
        ends = [
            output if head is None else head.activation(output)
            for output, head in zip(outputs, heads, strict=True)
        ]
        with self._scope(weights):
            return self._loss_of(tf.nest.pack_sequence_as(self._structure, ends))

    def _regularization(self, weights: list[Any]) -> Any:
        pairs = zip(self.model.trainable_variables, weights, strict=True)
        return sum(v.regularizer(weight) for v, weight in pairs if v.regularizer)


def matching_heads(model: Any, loss: Any) -> list[Any]:
    """For each output the layer whose activation the loss matches, None where there is none.

    Softmax is matched by the categorical crossentropies, the sigmoid by the binary one. Behind
    such an activation crossentropy is not convex, before it it is, and there the Gauss-Newton
    matrix is that of Fisher.

    Args:
        model: `keras.Model`.
        loss: As in `compile`: a loss, or a list or dictionary of one for each output.
    """
    outputs = getattr(model, "outputs", None)
    if not outputs:
        return []
    if isinstance(loss, dict):
        losses = [loss.get(name) for name in model.output_names]
    else:
        losses = list(loss) if isinstance(loss, list | tuple) else [loss]
    if len(losses) != len(outputs):
        return []
    found = [_maker(model, output) for output in outputs]
    return [h if _matches(h, one) else None for h, one in zip(found, losses, strict=True)]


def _maker(model: Any, output: Any) -> Any:
    """The layer that made an output of a functional model, inside nested models too."""
    for layer in reversed(model.layers):
        try:
            made = layer.output is output
        except (AttributeError, ValueError):  # never called by itself, or more than once
            continue
        if made and isinstance(layer, keras.Model):
            return _maker(layer, layer.outputs[0]) if len(layer.outputs) == 1 else None
        if made:
            return layer
    return None


def _matches(layer: Any, loss: Any) -> bool:
    activation = getattr(layer, "activation", None)
    if activation is None or loss is None or layer.activity_regularizer is not None:
        return False
    loss = keras.losses.get(loss)
    if hasattr(loss, "get_config") and loss.get_config().get("from_logits"):
        return False
    return any(
        activation is function and (loss in functions or isinstance(loss, classes))
        for function, functions, classes in _MATCHING
    )


@contextmanager
def _without_activation(layers: Sequence[Any]) -> Iterator[None]:
    """The layers give what goes into their activation, while they are traced in here."""
    cut = [(layer, layer.activation) for layer in layers if layer is not None]
    try:
        for layer, _ in cut:
            layer.activation = keras.activations.linear
        yield
    finally:
        for layer, activation in cut:
            layer.activation = activation


def _hessian_vector(function: Any, at: list[Any], vector: list[Any]) -> list[Any]:
    with tf.autodiff.ForwardAccumulator(at, vector) as forward:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(at)
            value = function(at)
        gradient = _dense(tape.gradient(value, at, unconnected_gradients=_ZERO))
    return list(forward.jvp(gradient, unconnected_gradients=_ZERO))


def _dense(tensors: Any) -> list[Any]:
    """Tensors, those of embeddings too, which come as slices."""
    return [tf.convert_to_tensor(tensor) for tensor in tensors]


def flatten(tensors: Iterable[Any]) -> Any:
    """One vector of all tensors, float32, or float64 where one of them is."""
    parts = [tf.reshape(tf.convert_to_tensor(tensor), [-1]) for tensor in tensors]
    wide = any(part.dtype == tf.float64 for part in parts)
    return tf.concat([tf.cast(part, tf.float64 if wide else tf.float32) for part in parts], 0)


def unflatten(vector: Any, like: Sequence[Any]) -> list[Any]:
    """The parts of a vector of `flatten`, in the shapes and types of `like`."""
    sizes = [tensor.shape.num_elements() for tensor in like]
    parts = zip(tf.split(vector, sizes), like, strict=True)
    return [tf.cast(tf.reshape(part, tensor.shape), tensor.dtype) for part, tensor in parts]


def check_forward_mode(model: Any) -> None:
    """Refuses layers that TensorFlow cannot differentiate forward."""
    for layer in _layers(model):
        if getattr(layer, "unroll", True) is False:
            raise ValueError(
                "Products with the Hessian need recurrent layers that are unrolled: TensorFlow has "
                f"no forward derivative of a compiled loop. Received: layer {layer.name!r} with "
                "unroll=False. Build it with `unroll=True`."
            )


def _layers(layer: Any) -> Iterator[Any]:
    yield layer
    names = ("layers", "layer", "forward_layer", "backward_layer")
    for name in names:
        inner = getattr(layer, name, None)
        for one in inner if isinstance(inner, list | tuple) else [inner]:
            if isinstance(one, keras.layers.Layer):
                yield from _layers(one)
