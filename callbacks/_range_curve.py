"""`LearningRateCurve`: the outcome of a range test."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._range_suggestions import Course, Doubles, suggest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class LearningRateCurve:
    """The outcome of a range test; `print` shows the suggestions.

    Attributes:
        rates: The learning rate of each step `[n]`.
        losses: The true loss of each step's batch, before the step `[n]`.
        smoothed: The losses, smoothed; NaN where a loss is not finite `[n]`.
        suggestions: From name to rate, None where it can't be told: `"valley"`, `"steepest"`,
            `"tenth_of_minimum"`, `"slide"`, `"half_threshold"`.
        reasons: From the names of those that can't be told to why.
        ended: Why the test ended: `"highest"` (all rates were tried), `"diverged"`,
            `"non_finite"` or `"early"` (there was no more data).

    Example:
        ```python
        curve = find_learning_rate(model, x, y)
        print(curve)
        curve.plot().savefig("rates.png")
        ```
    """

    rates: Doubles
    losses: Doubles
    smoothed: Doubles
    suggestions: dict[str, float | None]
    reasons: dict[str, str]
    ended: str

    def plot(self) -> "Figure":
        """Draws the losses over the rates, with the suggestions.

        Returns:
            The figure: lines with the `gid`s `"losses"`, `"smoothed"` and the suggestions' names.
        """
        from ._range_plot import plot_range  # matplotlib, for those who want it

        return plot_range(self.rates, self.losses, self.smoothed, self.suggestions, self.ended)

    def __str__(self) -> str:
        """One suggestion a line."""
        lines = [
            f"{name:17}{self.reasons[name] if rate is None else format(rate, '.2g')}"
            for name, rate in self.suggestions.items()
        ]
        tried = f"{len(self.rates)} rates, {self.rates[0]:.2g} to {self.rates[-1]:.2g}"
        return "\n".join([f"{tried}, ended: {self.ended}", *lines])


def curve_of(course: Course, steps: int, smoothing: float) -> LearningRateCurve:
    """The curve of a test that is over."""
    suggestions, reasons = suggest(course, steps, smoothing)
    return LearningRateCurve(
        rates=np.array(course.rates),
        losses=np.array(course.losses),
        smoothed=np.array(course.smoothed),
        suggestions=suggestions,
        reasons=reasons,
        ended=course.ended,
    )
