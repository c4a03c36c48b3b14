"""The learning-rate range test: the loss while the rate grows, and which rates that suggests."""

import math
import random
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._arguments import whole, yes_or_no
from ._eager import eagerly
from ._optimizer_tap import Tap
from ._patches import Patches
from ._range_checks import (
    FEWEST_STEPS,
    accumulated_by,
    check_model,
    checked_range,
    checked_seed,
    checked_steps,
    within,
)
from ._range_curve import LearningRateCurve as LearningRateCurve
from ._range_data import batches_of
from ._range_state import KeptState
from ._range_suggestions import Course, suggest
from ._ring import Ring
from ._step import Step
from ._swept_rate import SweptRate
from ._train_function import Retraced, retrace_would_change

_PATIENCE = 100  # updates' worth of batches without one


class LearningRateRange(keras.callbacks.Callback):
    """Raises the learning rate from step to step, and records the true loss of each.

    ```
    rate[i] = lowest * (highest / lowest)^(i / (steps - 1)),    i = 0..steps - 1
    ```

    Where `find_learning_rate` is enough, use that: it keeps more of the model, and keeps it after
    an exception too. Choose the callback where `fit` needs arguments of its own, such as
    `class_weight`. Pass enough `epochs`; it ends `fit` after the last rate, or earlier where the
    loss is not finite or the smoothed loss is larger than `stop_factor` times its smallest.

    The rates are set inside the compiled step, and the losses taken there, for each step exactly,
    whatever `steps_per_execution` is. At the end of `fit` the weights, the optimizer and its rate
    or schedule are again what they were. After an exception in `fit` call `restore()`, or fit
    again with it.

    Args:
        lowest: Float. The first rate, above 0. Defaults to `1e-6`.
        highest: Float. The last rate, at least twice `lowest`. Defaults to `10.0`.
        steps: Integer. Rates to try, at least 20. Defaults to `100`.
        smoothing: Float in `[0, 1)`. Share of what was before in the moving average of the losses;
            0 is the losses themselves. Defaults to `0.9`.
        stop_factor: Float above 1. See above; `math.inf` goes on to the end. Defaults to `4.0`.
        restore: Boolean. Whether weights and optimizer come back as they were at the end of `fit`.
            Defaults to `True`. The rate or schedule always does.

    Attributes:
        curve: The `LearningRateCurve` after `fit`.

    Raises:
        ValueError: An argument is out of its range; in `fit`, the model has no weights yet, no
            update of the weights passes through `model.optimizer`, or its loss is not shown to it.

    Reference:
        Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; Géron,
        *Hands-On Machine Learning*, chapter 11.

    Example:
        ```python
        test = LearningRateRange(steps=200)
        model.fit(x, y, epochs=200, class_weight={0: 1.0, 1: 5.0}, callbacks=[test])
        print(test.curve)
        ```
    """

    micro_batches = False

    def __init__(
        self,
        lowest: float = 1e-6,
        highest: float = 10.0,
        steps: int = 100,
        *,
        smoothing: float = 0.9,
        stop_factor: float = 4.0,
        restore: bool = True,
    ) -> None:
        super().__init__()
        self.lowest, self.highest = checked_range(lowest, highest)
        self.steps = checked_steps(steps)
        self.smoothing = within("smoothing", smoothing, 0, math.nextafter(1, 0), "in [0, 1)")
        just_above = math.nextafter(1, 2)
        self.stop_factor = within("stop_factor", stop_factor, just_above, math.inf, "above 1")
        self.restores = yes_or_no("restore", restore)
        self._curve: LearningRateCurve | None = None
        self._undo, self._error = ExitStack(), ""

    @property
    def rates(self) -> npt.NDArray[np.float32]:
        """The rates to try `[steps]`."""
        exponents = np.linspace(math.log(self.lowest), math.log(self.highest), self.steps)
        rates = np.exp(exponents).astype(np.float32)
        rates[0], rates[-1] = self.lowest, self.highest
        return rates

    @property
    def curve(self) -> LearningRateCurve:
        """The outcome."""
        if self._curve is None:
            raise ValueError("There is no curve yet: pass the callback to `fit` first.")
        return self._curve

    # ------------------------------------------------------------------ in `fit`

    def set_model(self, model: Any) -> None:
        """Keeps the model; called by Keras before it makes a train function."""
        super().set_model(model)
        self._had_train_function = model.train_function is not None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Hooks in."""
        self.restore()  # what an exception in an earlier `fit` left
        model, optimizer = self.model, self.model.optimizer
        check_model(model)
        if self._had_train_function and retrace_would_change(model):
            raise ValueError(
                "A range test traces the training step anew, but the trainable variables are not "
                "those that the optimizer was built with. Call `model.compile(...)` after "
                "switching `trainable`."
            )
        self._curve, self._error, self._calls = None, "", 0
        self._course = Course(self.steps, self.smoothing, self.stop_factor)
        if self.restores:
            self._undo.callback(KeptState(model).restore_variables)
        accumulated = accumulated_by(optimizer)
        swept, patches = SweptRate(model, self.rates, accumulated), Patches()
        self._undo.callback(swept.give_back)
        patches.put(optimizer, "apply", swept.advancing)
        self._undo.callback(patches.undo)
        capacity = 2 * max(64, int(model.steps_per_execution))
        self._ring = eagerly(lambda: Ring(2, capacity, every=1, start=0))
        tap, replicas = Tap.on(optimizer), model.distribute_strategy.num_replicas_in_sync
        tap.attach(self, replicas, in_xla=bool(model.jit_compile))
        self._undo.callback(tap.detach, self)
        self._undo.callback(Retraced(model).undo)
        self._most_calls = _PATIENCE * accumulated

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Reads what the steps recorded, and ends `fit` where the test is over."""
        _, rows, _ = self._ring.read(None)
        for loss, rate in rows.tolist():
            self._course.add(rate, loss)
        self._calls += 1
        if self._error or (not self._course.rates and self._calls >= self._most_calls):
            raise self._failure()
        if self._course.ended != "early":
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Unhooks, puts the model back and makes the curve."""
        self.restore()
        course = self._course
        if not course.rates:
            raise self._failure()
        suggestions, reasons = suggest(course, self.steps, self.smoothing)
        self._curve = LearningRateCurve(
            rates=np.array(course.rates),
            losses=np.array(course.losses),
            smoothed=np.array(course.smoothed),
            suggestions=suggestions,
            reasons=reasons,
            ended=course.ended,
        )
        if course.ended == "early":
            warnings.warn(
                f"The range test tried {len(course.rates)} of {self.steps} rates, up to "
                f"{course.rates[-1]:.2g}: there was no more data. Pass more `epochs`, data that "
                f"can be repeated, or `steps={max(len(course.rates), FEWEST_STEPS)}`.",
                stacklevel=2,
            )

    def restore(self) -> None:
        """Unhooks and puts the model back. Only needed by hand after an exception in `fit`."""
        self._undo.close()

    def _failure(self) -> ValueError:
        why = self._error or "no update passed through `model.optimizer`"
        return ValueError(
            f"The range test can't see the training: {why}. A custom `train_step` must call "
            "`self.optimizer.scale_loss(loss)` and `self.optimizer.apply(...)`."
        )

    # ------------------------------------------------------------------ called by the tap

    @tf.autograph.experimental.do_not_convert
    def before_step(self, step: Step) -> Callable[[], None] | None:
        """Records a step; called while it is being traced."""
        if step.loss is None:
            raise ValueError("the loss was not shown to the optimizer")
        self._ring.push(_LossAndRate(step), step.in_xla)
        return None

    def failed(self, error: Exception) -> None:
        """Keeps an error for the end of the batch."""
        self._error = str(error)


class _LossAndRate:
    """The row of a step: its loss and its rate."""

    width = 2

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, due: Any) -> Any:
        return self._step.loss_and_rate()

    def decode(self, values: npt.NDArray[np.float32], rows: npt.NDArray[np.void]) -> None:
        rows["loss"], rows["learning_rate"] = values.T


def find_learning_rate(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    smoothing: float = 0.9,
    stop_factor: float = 4.0,
    seed: int = 0,
) -> LearningRateCurve:
    """Trains for some steps while the learning rate grows, and tells which rates that suggests.

    ```
    rate[i] = lowest * (highest / lowest)^(i / (steps - 1)),    i = 0..steps - 1
    ```

    Choose it before the first training of a new model, for the order of magnitude of the rate: it
    costs `steps` steps. It sees the first steps of a training alone: see the documentation for
    what it can't tell.

    The model comes back as it was, bit for bit, also after an exception or Ctrl-C: weights,
    statistics and seeds of its layers, variables of its optimizer, the rate or the schedule,
    metrics, history and train function. An optimizer that never ran is built. Generators, and data
    sets with an order of their own, go on where the test left them.

    Args:
        model: A compiled Keras model that has its weights.
        x: As in `fit`: arrays, dicts or tuples of them, `tf.data`, a `PyDataset`, a generator.
            Arrays are shuffled, other data come in their order, again and again where they can.
        y: Targets, where `x` is arrays. Defaults to `None`.
        lowest: Float. The first rate, above 0. Defaults to `1e-6`.
        highest: Float. The last rate, at least twice `lowest`. Defaults to `10.0`.
        steps: Integer. Rates to try, at least 20. Defaults to `100`.
        batch_size: Integer. Examples in a batch, where `x` is arrays. Defaults to `32`.
        smoothing: Float in `[0, 1)`. Share of what was before in the moving average of the losses;
            0 is the losses themselves. Defaults to `0.9`.
        stop_factor: Float above 1. The test ends where the smoothed loss is larger than this many
            times its smallest; `math.inf` goes on to the end. Defaults to `4.0`.
        seed: Integer. Of the order of the examples, where `x` is arrays. Defaults to `0`.

    Returns:
        The `LearningRateCurve`.

    Raises:
        ValueError: An argument is out of its range, the model is not compiled or has no weights,
            no update of the weights passes through `model.optimizer`, or its loss is not shown.

    Reference:
        Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; Géron,
        *Hands-On Machine Learning*, chapter 11.

    Example:
        ```python
        curve = find_learning_rate(model, x, y)
        print(curve)
        model.optimizer.learning_rate = curve.suggestions["valley"]
        ```
    """
    test = LearningRateRange(
        lowest, highest, steps, smoothing=smoothing, stop_factor=stop_factor, restore=False
    )
    check_model(model)
    batch_size = whole("batch_size", batch_size, "examples")
    seed = checked_seed(seed)
    each = accumulated_by(model.optimizer)
    options = batches_of(x, y, test.steps * each, batch_size, seed, model)
    of_python, of_numpy = random.getstate(), np.random.get_state()
    kept = KeptState(model)
    try:
        model.fit(**options, verbose=0, callbacks=[test])
    finally:
        test.restore()
        kept.restore_variables()
        kept.restore_attributes()
        random.setstate(of_python)
        np.random.set_state(of_numpy)
    return test.curve
