"""What the panels of a search's figure share: a stage's row, log axes, marks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from ...callbacks import _figures as look
from ...callbacks._palette import ALERT, MUTED, PAGE
from ._scores import Score, score_of, spread_of
from ._trace_labels import FONT
from ._trace_rows import StageTrace, Traced
from ._trials import Trial

_FEWEST_INCHES, _INCHES_A_LABEL, _INCHES_AROUND = 3.0, 0.165, 0.8


@dataclass(frozen=True, kw_only=True)
class Row:
    """A stage as it is drawn.

    Args:
        stage: `StageTrace`.
        trials: Tuple of its trials.
        objective: String. What the trials' accuracy holds.
        sign: Integer. `-1` where that is the negative of the objective, else `1`.
    """

    stage: StageTrace
    trials: tuple[Trial, ...]
    objective: str
    sign: int

    @classmethod
    def of(cls, trace: Traced, stage: StageTrace) -> "Row":
        """The row of a stage."""
        return cls(
            stage=stage,
            trials=tuple(trace.trials_of(stage)),
            objective=trace.objective,
            sign=1 if trace.maximize else -1,
        )

    @property
    def inches(self) -> float:
        """Height of the row, with room for a label a trial."""
        return max(_FEWEST_INCHES, _INCHES_AROUND + _INCHES_A_LABEL * len(self.trials))

    @property
    def axes_height(self) -> float:
        """Height of its axes in points."""
        return 72 * (self.inches - _INCHES_AROUND)

    def having(self, name: str) -> list[Trial]:
        """The trials that set this value, sorted by it."""
        having = [trial for trial in self.trials if name in trial.values]
        return sorted(having, key=lambda trial: (trial.values[name], trial.execution))

    def strengths(self) -> list[Trial]:
        """The trials that look for the strength, at the rate from before."""
        later = self._named_from(self._turn()) - self._named_until(self._turn())
        return [t for t in self._at_rate_before() if t.trial_id not in later]

    def rates_again(self) -> list[Trial]:
        """The trials that look at the rate once more, with those at the rate from before."""
        again = self._at_other_rates()
        strengths = {t.values["l2"] for t in again}
        compared = self._named_from(self._turn())
        level = [
            t
            for t in self._at_rate_before()
            if t.values["l2"] in strengths and t.trial_id in compared
        ]
        return [*again, *level] if again else []

    def scores(self, trials: Sequence[Trial], x_of: Callable[[Trial], float]) -> dict[float, Score]:
        """What the stage holds of each setting, by where it stands.

        The noise is that of all settings together, as in the stage's own sentences.
        """
        settings: dict[float, list[Trial]] = {}
        for trial in sorted(trials, key=x_of):
            if trial.finished and (trial.diverged or trial.accuracy):
                settings.setdefault(x_of(trial), []).append(trial)
        spread = spread_of(settings.values())
        return {x: score_of(runs, spread) for x, runs in settings.items()}

    def _at_rate_before(self) -> list[Trial]:
        rate = self.stage.chosen_before.get("learning_rate")
        return [t for t in self.having("l2") if t.values.get("learning_rate") == rate]

    def _at_other_rates(self) -> list[Trial]:
        if "learning_rate" not in self.stage.chosen_before:
            return []
        before = self.stage.chosen_before["learning_rate"]
        return [t for t in self.having("l2") if t.values.get("learning_rate") != before]

    def _turn(self) -> int:
        """The reason from which on the stage compares rates: a run may serve both comparisons."""
        again = {trial.trial_id for trial in self._at_other_rates()}
        reasons = self.stage.decision.reasons
        first = next((i for i, r in enumerate(reasons) if again & set(r.trials)), len(reasons) - 1)
        # The one before it names the rate that is compared with.
        return max(first - 1, 0) if again else len(reasons)

    def _named_from(self, turn: int) -> set[str]:
        return {name for r in self.stage.decision.reasons[turn:] for name in r.trials}

    def _named_until(self, turn: int) -> set[str]:
        # A single reason for all tells no two comparisons apart.
        reasons = self.stage.decision.reasons[: turn or None]
        return {name for r in reasons for name in r.trials}


def log_ticks(axes: Axes, values: Sequence[float], margin: float = 2.2) -> None:
    """A log x-axis around the values, with the decades as plain numbers; 1, 2, 5 where few."""
    low, high = (min(values), max(values)) if values else (0.1, 1.0)
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_major_locator(FixedLocator(decades_within(low / margin, high * margin)))
    axes.xaxis.set_major_formatter(FuncFormatter(plain_tick))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def decades_within(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = [10.0**e for e in range(first, last + 1) if low <= 10.0**e <= high]
    if len(decades) >= 3:
        return decades[:: -(-len(decades) // 5)]
    fine = [float(f"{m}e{e}") for e in range(first, last + 1) for m in (1, 2, 5)]
    return [tick for tick in fine if low <= tick <= high]


def plain_tick(value: float, _: object) -> str:
    """Plain numbers, powers where those would be long."""
    if value <= 0 or 1e-3 <= value < 1e5:
        return f"{value:,g}"
    is_decade = math.isclose(value, 10 ** round(math.log10(value)), rel_tol=1e-6)
    return look.power_of_ten(value) if is_decade else f"{value:g}"


def mark_diverged(axes: Axes, places: Sequence[float], *, top: bool = False) -> None:
    """Crosses at the bad end of the axis, named beside the first."""
    if not places:
        return
    axes.plot(
        places, [0.95 if top else 0.05] * len(places), "x", color=ALERT, markersize=6,
        markeredgewidth=1.6, transform=axes.get_xaxis_transform(), gid="diverged",
    )  # fmt: skip
    to_axes = axes.transData + axes.transAxes.inverted()
    left = to_axes.transform((min(places), axes.get_ylim()[0]))[0] > 0.5
    axes.annotate(
        "diverged", (min(places) if left else max(places), 0.95 if top else 0.05),
        (-7 if left else 7, 0), axes.get_xaxis_transform(), "offset points",
        ha="right" if left else "left", va="center", fontsize=FONT, color=ALERT,
        bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 0.5},
    )  # fmt: skip


def say_nothing(axes: Axes) -> None:
    axes.set_yticks([])
    axes.text(
        0.5, 0.5, "No result yet.", transform=axes.transAxes, ha="center", va="center",
        fontsize=9, color=MUTED,
    )  # fmt: skip


def finite(accuracy: Sequence[float]) -> list[float]:
    return [a for a in accuracy if math.isfinite(a)]
