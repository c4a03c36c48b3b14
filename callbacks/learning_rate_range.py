"""The learning-rate range test: the loss while the rate grows, and which rates that suggests."""

import math
import warnings
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ._arguments import BELOW_ONE, whole, within, yes_or_no
from ._optimizer_settings import accumulated_by
from ._range_checks import FEWEST_STEPS, check_model, checked_range, checked_seed, checked_steps
from ._range_curve import LearningRateCurve as LearningRateCurve
from ._range_curve import curve_of
from ._range_data import batches_of
from ._range_hooks import RangeHooks
from ._range_state import KeptState, random_states_kept
from ._range_suggestions import Course
from ._train_function import check_retrace


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
    again with it; another training has its rate or schedule again, but begins with the weights
    that the test left.

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
        self.smoothing = within("smoothing", smoothing, 0, BELOW_ONE, "a number in [0, 1)")
        above_1, rule = math.nextafter(1, 2), "a number above 1"
        self.stop_factor = within("stop_factor", stop_factor, above_1, math.inf, rule)
        self.restores = yes_or_no("restore", restore)
        self._curve: LearningRateCurve | None = None
        self._hooks: RangeHooks | None = None
        self._kept: KeptState | None = None

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
        self.restore()  # what an exception in an earlier `fit` left
        super().set_model(model)
        self._had_train_function = model.train_function is not None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Hooks in."""
        self.restore()
        check_model(self.model)
        if self._had_train_function:
            check_retrace(self.model, "A range test")
        self._curve = None
        self._course = Course(self.steps, self.smoothing, self.stop_factor)
        self._kept = KeptState(self.model) if self.restores else None
        self._hooks = RangeHooks(self.model, self.rates, self._leave)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Reads what the steps recorded, and ends `fit` where the test is over."""
        for loss, rate in self._hooks.read() if self._hooks else ():
            self._course.add(rate, loss)
        if self._course.ended != "early":
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Unhooks, puts the model back and makes the curve."""
        hooks, course = self._hooks, self._course
        self.restore()
        if hooks is None:
            return
        if not course.rates:
            raise hooks.failure()
        self._curve = curve_of(course, self.steps, self.smoothing)
        if course.ended == "early":
            warnings.warn(
                f"The range test tried {len(course.rates)} of {self.steps} rates, up to "
                f"{course.rates[-1]:.2g}: there was no more data. Pass more `epochs`, data that "
                f"can be repeated, or `steps={max(len(course.rates), FEWEST_STEPS)}`.",
                stacklevel=2,
            )

    def restore(self) -> None:
        """Unhooks and puts the model back. Only needed by hand after an exception in `fit`."""
        if self._hooks is not None:
            self._hooks.undo(even_rate_of_others=True)
        if self._kept is not None:
            self._kept.restore_variables()
        self._hooks = self._kept = None

    def _leave(self) -> None:
        """Unhooks where an exception ended `fit` and another training begins."""
        if self._hooks is not None:
            self._hooks.undo(even_rate_of_others=False)
        if self._kept is not None:
            warnings.warn(
                "An exception ended a range test, and the model now trains on from the weights "
                "that it had there, unless others were set. Call `restore()` before, or use "
                "`find_learning_rate`.",
                stacklevel=2,
            )
        self._hooks = self._kept = None


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
    kept = KeptState(model)
    try:
        with random_states_kept():
            model.fit(**options, verbose=0, callbacks=[test])
    finally:
        test.restore()
        kept.restore_variables()
        kept.restore_attributes()
    return test.curve
