"""`AdaptiveGradientClipping`: clips each unit's gradient by the size of that unit's weights."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ._excluded_variables import excluded_variables, names_of


@keras.saving.register_keras_serializable(package="trainwell")
class AdaptiveGradientClipping(keras.optimizers.Optimizer):
    """Any Keras optimizer, with gradients clipped unit by unit to a share of the weights.

    ```
    G_i  ->  G_i * min(1, clipping * max(||W_i||, epsilon) / ||G_i||)     for each unit i
    ```

    A unit is a slice along the last axis of a kernel: the weights into one neuron or one
    output channel. A variable with at most one axis longer than 1 (biases, gains, scalars) is one
    unit as a whole. Since the bound grows with the weights it fits all layers, where that of
    `clipnorm` has to be searched anew for each network. Choose it for deep networks without
    normalization, large batches and high rates: with batch normalization it is hardly needed.

    The gradients of an update are clipped: averaged where `gradient_accumulation_steps`
    accumulates them, summed over the replicas under `tf.distribute`, divided by the loss scale.
    What the inner optimizer has of its own (`clipnorm`, weight decay, moving averages) stays; its
    clipping comes first, so that `G` is what that leaves.
    It saves and loads with the model, state and all. `LossScaleOptimizer` goes around it, as Keras
    puts it by itself under `mixed_float16`.

    Args:
        inner_optimizer: Keras optimizer or its name.
        clipping: Float. Largest ratio of a unit's gradient norm to its weight norm, above 0.
            The paper's is 0.01 to 0.08, smaller for larger batches. Defaults to `0.01`.
        epsilon: Float. Smallest weight norm that counts, so that units of zeros (biases at
            the start) can move, above 0. Defaults to `1e-3`.
        exclude: String or sequence of strings. What is not clipped: names of layers, names of
            variables (`"bias"`: all biases), or paths such as `"output/kernel"`; `"last"` stands
            for the layer whose variables the optimizer is handed last, the output's in a
            sequential network. `None` clips all. Defaults to `"last"`, as in the paper.
        name: String. Defaults to `None`: Keras makes one.

    Attributes:
        inner_optimizer: The optimizer that is wrapped.

    Raises:
        ValueError: An argument is not as described; when it is built, a name in `exclude`
            fits no variable.

    Reference:
        Brock, De, Smith & Simonyan 2021, "High-Performance Large-Scale Image Recognition Without
        Normalization".

    Example:
        ```python
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
        sgd = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
        model.compile(AdaptiveGradientClipping(sgd, clipping=0.02), "mse")
        ```
    """

    def __init__(
        self,
        inner_optimizer: Any,
        clipping: float = 0.01,
        epsilon: float = 1e-3,
        exclude: str | Sequence[str] | None = "last",
        name: str | None = None,
    ) -> None:
        # The rate is the inner optimizer's; this one stays unused.
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = _wrappable(inner_optimizer)
        self.clipping = _above_0("clipping", clipping)
        self.epsilon = _above_0("epsilon", epsilon)
        self.exclude = names_of(exclude)
        self._is_clipped: tuple[bool, ...] = ()

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the inner optimizer's variables.

        Args:
            variables: The trainable variables.
        """
        if self.built:
            return
        excluded = excluded_variables(self.exclude, variables)
        self._is_clipped = tuple(not one for one in excluded)
        self.inner_optimizer.build(variables)
        super().build(variables)

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Updates the variables.

        Args:
            grads: The gradients, not clipped.
            trainable_variables: The variables, in the same order. Defaults to those that the
                optimizer was built with.
        """
        if not self.built and trainable_variables is not None:
            self.build(list(trainable_variables))
        with self._clipped_updates():
            self.inner_optimizer.apply(grads, trainable_variables)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        """Updates the variables from pairs of a gradient and a variable."""
        super().apply_gradients(grads_and_vars)
        return self.iterations

    @contextmanager
    def _clipped_updates(self) -> Iterator[None]:
        """Lets the inner optimizer clip while it applies.

        In `update_step`, where it is handed the gradient of the whole update: accumulated, summed
        over replicas, unscaled. Only meanwhile, so that it is its old self outside.
        """
        inner = self.inner_optimizer
        original = inner.update_step

        def update_step(gradient: Any, variable: Any, learning_rate: Any) -> Any:
            # Keras' own way, in its documentation, to tell the variable in `update_step`.
            if self._is_clipped[self._get_variable_index(variable)]:
                gradient = self._clip(gradient, variable)
            return original(gradient, variable, learning_rate)

        inner.update_step = update_step
        try:
            yield
        finally:
            if vars(inner).get("update_step") is update_step:
                del inner.update_step

    def _clip(self, gradient: Any, variable: Any) -> Any:
        # The norm over repeated indices is that of their sum.
        dense = gradient
        if isinstance(gradient, tf.IndexedSlices):
            dense = tf.math.unsorted_segment_sum(
                gradient.values, gradient.indices, variable.shape[0]
            )
        axes = _axes_of_a_unit(tuple(variable.shape))
        norm, weight_norm = _norms_of_any_size(dense, axes), _norms(variable, axes)
        largest = self.clipping * ops.maximum(weight_norm, self.epsilon)
        # Not so for NaN: a gradient that is not finite is handed on as it is.
        factor = ops.where(norm > largest, largest / norm, 1.0)
        factor = ops.cast(factor, dense.dtype)
        if dense is gradient:
            return gradient * factor
        values = gradient.values * ops.reshape(factor, ops.shape(factor)[1:])
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)

    # ------------------------------------------------------------------ the inner optimizer's

    @property
    def variables(self) -> list[Any]:
        """The inner optimizer's variables."""
        return list(self.inner_optimizer.variables)

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's learning rate; may be set."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def iterations(self) -> Any:
        """The inner optimizer's count of steps."""
        return self.inner_optimizer.iterations

    @property
    def loss_scale_factor(self) -> float | None:
        """The inner optimizer's loss scale; may be set."""
        factor: float | None = self.inner_optimizer.loss_scale_factor
        return factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, factor: float | None) -> None:
        # Keras' constructor sets None, before there is an inner optimizer.
        if "inner_optimizer" in vars(self):
            self.inner_optimizer.loss_scale_factor = factor

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the inner optimizer's loss scale."""
        return self.inner_optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """What the inner optimizer does at the end of training."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Excludes variables from the inner optimizer's weight decay."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    # ------------------------------------------------------------------ saving

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets the values of `variables`."""
        self.inner_optimizer.set_weights(weights)

    def save_own_variables(self, store: Any) -> None:
        """Nothing: Keras saves the inner optimizer by itself, as an attribute."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing, see `save_own_variables`."""

    def get_config(self) -> dict[str, Any]:
        """The arguments, from which the saved optimizer is made again."""
        return {
            "name": self.name,
            "inner_optimizer": keras.optimizers.serialize(self.inner_optimizer),
            "clipping": self.clipping,
            "epsilon": self.epsilon,
            "exclude": list(self.exclude),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "AdaptiveGradientClipping":
        """The optimizer that `get_config` describes."""
        inner = keras.optimizers.deserialize(config["inner_optimizer"], custom_objects)
        return cls(**{**config, "inner_optimizer": inner})


def _axes_of_a_unit(shape: tuple[int, ...]) -> tuple[int, ...]:
    axes = tuple(range(len(shape)))
    return axes if sum(size != 1 for size in shape) <= 1 else axes[:-1]


def _norms(tensor: Any, axes: tuple[int, ...]) -> Any:
    """Norm of each unit, in float32: squares of float16 overflow from 256 on."""
    return ops.sqrt(ops.sum(ops.square(ops.cast(tensor, "float32")), axes, keepdims=True))


def _norms_of_any_size(tensor: Any, axes: tuple[int, ...]) -> Any:
    """The same where squares overflow float32 too, as those of an exploding gradient may."""
    tensor = ops.cast(tensor, "float32")
    largest = ops.max(ops.absolute(tensor), axes, keepdims=True)
    scale = ops.where(largest > 0, largest, 1.0)
    return scale * _norms(tensor / scale, axes)


def _wrappable(optimizer: Any) -> Any:
    try:
        found = keras.optimizers.get(optimizer)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, keras.optimizers.Optimizer):
        raise ValueError(
            "`inner_optimizer` must be a Keras optimizer or the name of one, such as 'sgd'. "
            f"Received: inner_optimizer={optimizer!r}."
        )
    if hasattr(found, "inner_optimizer"):
        raise ValueError(
            "`inner_optimizer` must not wrap another optimizer itself. Received: inner_optimizer="
            f"{optimizer!r}. `LossScaleOptimizer` goes around this one, and one clipping is enough."
        )
    return found


def _above_0(name: str, value: Any) -> float:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        raise ValueError(f"`{name}` must be a number above 0. Received: {name}={value!r}.")
    return float(value)
