"""`HessianFree`: Newton's method without the Hessian, for networks that fit in one batch."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import keras
import tensorflow as tf

from .._arguments import check_choice, check_flag, positive_integer
from ._conjugate_gradients import Solution, conjugate_gradients, dot
from ._curvature import BatchLoss, check_forward_mode, flatten, matching_heads, unflatten
from ._given_step import given_step
from ._line_search import DAMPING_RANGE, line_search, next_damping

CURVATURES = ("gauss_newton", "hessian")

# Martens 2010: the share of the last step that conjugate gradients start from, the exponent of
# the preconditioner.
_WARM_START, _PRECONDITIONER_POWER = 0.95, 0.75
_DIAGONAL_MEMORY = 0.95


@keras.saving.register_keras_serializable(package="trainwell")
class HessianFree(keras.Model):
    """Trains a model by Newton steps: few and dear, where gradient descent needs very many.

    ```
    w <- w + t d,    (B + damping I) d = -g,    g = dL/dw
    ```

    `B` is the Gauss-Newton matrix or the Hessian of the batch's loss. It is never formed:
    conjugate gradients need only its product with a vector, which costs about two gradients.
    `t` is halved from 1 until the loss falls; where it doesn't fall the weights stay. The damping
    shrinks while the quadratic model predicts the loss well and grows where it doesn't.

    Choose it for small, ill-conditioned problems with all the data in one batch: pass
    `batch_size=len(x)` to `fit`. With small, noisy batches each step solves for that batch alone;
    use SGD or Adam there.

    ```python
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    trainer = HessianFree(model)
    trainer.compile(loss="mse")
    trainer.fit(x, x @ [[1.0], [2.0], [3.0], [4.0]], batch_size=64, epochs=10)
    model.predict(x)  # the model inside is trained
    ```

    The weights that are trained are those of `model`, which may be saved by itself. Saved as a
    whole, the trainer goes on where it was. Its epoch logs have `damping`, `cg_iterations` and
    `gradient_evaluations` (so far; a product counts as two, each loss that the search looks at
    as one) of the last step.

    Losses that layers add count, as do regularizers, sample and class weights and constraints.
    Batch normalization's statistics move once per step. Dropout's masks are drawn once per step
    and stay within it. Monitors such as `GradientNorms` see the gradient, callbacks that set the
    learning rate the share of each step that is gone, 1 from the start.

    The Gauss-Newton matrix is taken in front of a softmax or sigmoid where the loss is its own
    crossentropy and the activation is an argument of the model's last layer (or an `Activation`
    layer); else at the model's outputs, where the loss should be convex. Losses that layers add
    from their activations are left out of it.

    Args:
        model: Built `keras.Model` to train.
        curvature: `"gauss_newton"`, never negative, or `"hessian"`, exact; conjugate gradients
            stop where that is negative. Defaults to `"gauss_newton"`.
        damping: Float, above 0. Where the damping starts. Defaults to `1e-3`.
        cg_iterations: Integer. The most conjugate gradient iterations per step. Few are enough
            where steps are many: each goes on from the last one. Take up to 250 where the loss
            creeps although the damping is small. Defaults to `10`.
        cg_tolerance: Float, at least 0. Stops them, after ten at least, where the last ten lower
            the quadratic model by less than this share each. Defaults to `5e-4`.
        preconditioned: Boolean. Whether to divide by an estimate of the curvature's diagonal, at
            the price of a product per step. Defaults to `False`.
        seed: Integer. Of the random signs of that estimate. Defaults to `0`.
        **kwargs: Base model keyword arguments, such as `name`.

    Raises:
        ValueError: An argument is not as described, or the model is not built; with the exact
            Hessian, if it has a recurrent layer without `unroll=True`, whose compiled loop
            TensorFlow cannot differentiate forward.

    Reference:
        Martens 2010, "Deep learning via Hessian-free optimization"; Pearlmutter 1994; Schraudolph
        2002; Nocedal & Wright, *Numerical Optimization*, chapter 7; Nielsen, chapter 3.
    """

    def __init__(
        self,
        model: Any,
        *,
        curvature: str = "gauss_newton",
        damping: float = 1e-3,
        cg_iterations: int = 10,
        cg_tolerance: float = 5e-4,
        preconditioned: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        _check(model, curvature, damping, cg_iterations, cg_tolerance, preconditioned, seed)
        super().__init__(**{"dtype": model.dtype_policy, **kwargs})
        self.model, self.curvature, self.damping = model, curvature, float(damping)
        self.cg_iterations, self.cg_tolerance = int(cg_iterations), float(cg_tolerance)
        self.preconditioned, self.seed = bool(preconditioned), int(seed)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The model's outputs."""
        return self.model(inputs, training=training)

    @property
    def output_names(self) -> Any:
        """Those of the model, by which losses and metrics may be given."""
        return getattr(self.model, "output_names", None)

    def compile(self, optimizer: Any = None, loss: Any = None, *args: Any, **kwargs: Any) -> None:
        """Configures training like `keras.Model.compile`.

        Args:
            optimizer: Float, Keras schedule, or `keras.optimizers.SGD` without momentum: the
                share of each step that is gone. Defaults to `None`: 1.
            loss: As in `keras.Model.compile`.
            *args: As there.
            **kwargs: As there.

        Raises:
            ValueError: Another optimizer.
        """
        optimizer = given_step(optimizer, self.damping)
        super().compile(optimizer, loss, *args, **{**kwargs, "auto_scale_loss": False})

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded trainer as it was."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        """The arguments, from which the saved trainer is made again."""
        return {
            "model": keras.saving.serialize_keras_object(self.model),
            "curvature": self.curvature,
            "damping": self.damping,
            "cg_iterations": self.cg_iterations,
            "cg_tolerance": self.cg_tolerance,
            "preconditioned": self.preconditioned,
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The trainer with these arguments."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        return cls(**{**config, "model": model})

    def train_step(self, data: Any) -> dict[str, Any]:
        """One Newton step on one batch."""
        if not self.trainable_variables:
            raise ValueError(
                "`HessianFree` has nothing to train. Received: a model whose layers are all frozen "
                "or without weights. Set `trainable` of a layer, and compile again."
            )
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise ValueError(
                "`HessianFree` trains on one replica. Received: a strategy of "
                f"{tf.distribute.get_strategy().num_replicas_in_sync}. Leave its scope."
            )
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        heads = matching_heads(self.model, getattr(self, "loss", None))
        batch = BatchLoss(self, x, y, sample_weight, training=True, heads=heads)
        variables, optimizer = self.trainable_variables, self.optimizer
        if not optimizer.built:
            optimizer.build(variables)

        weights = [tf.convert_to_tensor(variable) for variable in variables]
        loss, gradients, outputs, state = batch.gradient(weights)
        log = self._find_step(batch, weights, loss, gradients)
        for variable, value in state:
            variable.assign(value)
        optimizer.scale_loss(loss)  # returns it as it is; shows it to monitors
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(tf.nest.flatten(x)[0])[0])
        return {**self.compute_metrics(x, y, outputs, sample_weight), **log}

    def _find_step(
        self, batch: BatchLoss, weights: list[Any], loss: Any, gradients: list[Any]
    ) -> dict[str, Any]:
        """Puts the step into the optimizer and moves the damping; gives what to log."""
        optimizer = self.optimizer
        pairs = zip(gradients, weights, strict=True)
        gradient = flatten([tf.zeros_like(w) if g is None else g for g, w in pairs])
        damping = tf.cast(optimizer.damping, gradient.dtype)
        solution = self._solve(batch, weights, gradient, damping)
        # A start that the new batch finds uphill: downhill is better than nothing.
        slope = dot(gradient, solution.x)
        lost = tf.logical_not((solution.value < 0) & (slope < 0))
        step = tf.where(lost, -gradient, solution.x)
        slope = tf.where(lost, -dot(gradient, gradient), slope)

        rate = tf.cast(optimizer.learning_rate, gradient.dtype)
        search = line_search(
            lambda t: self._loss_after(batch, weights, t * rate * step),
            tf.cast(loss, gradient.dtype),
            rate * slope,
        )
        # The quadratic model at rate * step, without the damping.
        bend = 2 * (solution.value - slope) - damping * dot(step, step)
        promised = rate * slope + rate**2 * bend / 2
        distrusted = lost | solution.negative_curvature | tf.logical_not(promised < 0)
        ratio = tf.where(distrusted, -tf.ones_like(promised), search.change / promised)
        optimizer.damping.assign(next_damping(optimizer.damping, ratio))
        # Not by `share` alone: 0 times a step that is not finite would not be 0.
        step = tf.where(search.share > 0, search.share * step, tf.zeros_like(step))
        for kept, part in zip(optimizer.steps, unflatten(step, weights), strict=True):
            kept.assign(part)

        products = solution.iterations + 1 + int(self.preconditioned)
        optimizer.evaluations.assign_add(1 + 2 * products + search.losses)
        return {
            "damping": tf.convert_to_tensor(optimizer.damping),
            "cg_iterations": solution.iterations,
            "gradient_evaluations": tf.convert_to_tensor(optimizer.evaluations),
        }

    def _solve(self, batch: BatchLoss, weights: list[Any], gradient: Any, damping: Any) -> Solution:
        exact = self.curvature == "hessian"
        times = batch.hessian_vector if exact else batch.gauss_newton_vector

        def product(vector: Any) -> Any:
            return flatten(times(weights, unflatten(vector, weights)))

        return conjugate_gradients(
            lambda vector: product(vector) + damping * vector,
            gradient,
            _WARM_START * flatten(self.optimizer.steps),
            self._preconditioner(product, damping, weights),
            self.cg_iterations,
            self.cg_tolerance,
        )

    def _preconditioner(self, product: Callable[[Any], Any], damping: Any, weights: Any) -> Any:
        """The diagonal of the damped curvature, to a power below 1: the estimate is rough."""
        kept = self.optimizer.diagonal
        if not self.preconditioned:
            return tf.ones_like(flatten(weights))
        # Signs v of mean 0 and variance 1: the mean of v (B v) is the diagonal (Hutchinson).
        before = flatten(kept)
        # By the number of the step: the state of a generator would not be saved.
        step = tf.cast(self.optimizer.iterations, "int32")
        signs = tf.random.stateless_uniform(before.shape, [self.seed, step], 0, 2, "int32")
        signs = tf.cast(2 * signs - 1, before.dtype)
        memory = tf.cast(tf.where(step == 0, 0.0, _DIAGONAL_MEMORY), before.dtype)
        diagonal = memory * before + (1 - memory) * signs * product(signs)
        diagonal = tf.where(tf.math.is_finite(diagonal), diagonal, before)
        for variable, part in zip(kept, unflatten(diagonal, weights), strict=True):
            variable.assign(part)
        return (tf.maximum(diagonal, 0) + damping) ** _PRECONDITIONER_POWER

    def _loss_after(self, batch: BatchLoss, weights: list[Any], step: Any) -> Any:
        """The loss where the optimizer would arrive, constraints included."""
        moved = []
        parts = unflatten(step, weights)
        for variable, weight, part in zip(
            batch.model.trainable_variables, weights, parts, strict=True
        ):
            arrived = weight + part
            moved.append(variable.constraint(arrived) if variable.constraint else arrived)
        return tf.cast(batch.loss(moved), step.dtype)


def _check(
    model: Any,
    curvature: str,
    damping: Any,
    cg_iterations: Any,
    cg_tolerance: Any,
    preconditioned: Any,
    seed: Any,
) -> None:
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a `keras.Model`. Received: model={model!r}. Pass the model that is "
            "to be trained, such as `mlp(...)`."
        )
    if not model.built:
        raise ValueError(
            f"`model` must be built. Received: model={model.name!r} without weights. Call "
            "`model.build(...)`, or the model once on a batch."
        )
    check_choice("curvature", curvature, CURVATURES)
    if curvature == "hessian":
        check_forward_mode(model)
    positive_integer("cg_iterations", cg_iterations, " The default is 10.")
    check_flag("preconditioned", preconditioned)
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not abs(int(seed)) < 2**31:
        raise ValueError(f"`seed` must be an integer of 32 bits. Received: seed={seed!r}. Pass 0.")
    number = isinstance(damping, Real) and not isinstance(damping, bool)
    if not number or not DAMPING_RANGE[0] <= damping <= DAMPING_RANGE[1]:
        raise ValueError(
            "`damping` must be a number from {:g} to {:g}. Received: ".format(*DAMPING_RANGE)
            + f"damping={damping!r}. It adapts itself; the default is 1e-3."
        )
    number = isinstance(cg_tolerance, Real) and not isinstance(cg_tolerance, bool)
    if not number or not 0 <= cg_tolerance < 1:
        raise ValueError(
            f"`cg_tolerance` must be in [0, 1). Received: cg_tolerance={cg_tolerance!r}. Martens "
            "takes 5e-4; 0 always takes all of `cg_iterations`."
        )
