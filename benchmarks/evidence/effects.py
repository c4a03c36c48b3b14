"""The effect of a claim on a data set, from the results of its two arms."""

import math
from typing import Any, NamedTuple

import numpy as np
from arms import ARMS
from claim import MARGIN, MEASURES, Claim, Measure
from data_sets import PLANS
from verdicts import Interval, interval

Measures = dict[str, Any]
Grid = list[tuple[float, float]]


class Effect(NamedTuple):
    """What a data set says to a claim.

    Attributes:
        interval: Of A minus B where more is better, of B minus A where less is.
        counts: `"for"`, `"against"` or `"neither"`.
        chosen: Rate and L2 strength of A and of B; of thresholds the median rate.
        means: The mean of what is judged, of A and of B.
        edges: Whether the rate of A and of B is the first or last of its grid.
        beside: Where speed is judged: test accuracy of A and of B, each at the rate best for it.
    """

    interval: Interval
    counts: str
    chosen: tuple[tuple[float, float], tuple[float, float]]
    means: tuple[float, float]
    edges: tuple[bool, bool]
    beside: tuple[float, float] | None


def effect(
    claim: Claim, a: Measures, b: Measures, grids: tuple[Grid, Grid] | None = None
) -> Effect:
    """Paired by seed, each arm at its own best rate.

    Args:
        claim: The claim.
        a: Measures of A, `[grid, seeds]` each.
        b: Measures of B.
        grids: Rates and L2 strengths of both; None: as their arms have them.
    """
    first, second = claim.measures
    grid_a, grid_b = grids or (ARMS[claim.a].grid, ARMS[claim.b].grid)
    values_a, chosen_a = _judged(first, a, grid_a)
    values_b, chosen_b = _judged(second, b, grid_b)
    found = interval((first.sign * (values_a - values_b)).tolist())
    edges = _at_edge(chosen_a[0], grid_a), _at_edge(chosen_b[0], grid_b)
    means = float(values_a.mean()), float(values_b.mean())
    beside = (_accuracy(a), _accuracy(b)) if first.judged == "speed" else None
    return Effect(found, _counts(claim, found), (chosen_a, chosen_b), means, edges, beside)


def _judged(measure: Measure, results: Measures, grid: Grid) -> tuple[Any, tuple[float, float]]:
    """What is judged of each seed, and the rate and strength at which."""
    values = np.array(results[measure.judged])
    if measure.chosen == "falls":
        at = thresholds(np.array(results["falls"]))
        if measure is MEASURES["half of the threshold"]:
            at = np.maximum(at - 1, 0)
        rates = np.array([rate for rate, _ in grid])[at]
        return values[at, np.arange(len(at))], (float(np.median(rates)), 0.0)
    best = best_of(results, measure.chosen)
    return values[best], grid[best]


def _accuracy(results: Measures) -> float:
    measure = MEASURES["accuracy"]
    return float(np.mean(results[measure.judged][best_of(results, measure.chosen)]))


def best_of(results: Measures, name: str) -> int:
    """The place in the grid whose mean over the seeds is best; by validation loss where level."""
    means = np.array(results[name]).mean(axis=1)
    if name.endswith(("loss", "speed")):
        return int(means.argmin())
    return int(np.lexsort([np.array(results["validation_loss"]).mean(axis=1), -means])[0])


def thresholds(falls: Any) -> Any:
    """For each seed the place of the last rate before the first at which the cost does not fall.

    Args:
        falls: Array `[rates, seeds]` of ones and zeros, rates ascending.
    """
    rising = np.vstack([falls == 0, np.ones(falls.shape[1], bool)])
    return np.maximum(rising.argmax(axis=0) - 1, 0)


def _at_edge(rate: float, grid: Grid) -> bool:
    rates = {one for one, _ in grid}
    return len(rates) > 1 and rate in (min(rates), max(rates))


def overall(effects: list[Effect]) -> Interval:
    """The mean over data sets, with the interval of their own differences from one another."""
    return interval([one.interval.mean for one in effects])


def is_firm(claim: Claim, data: str, found: Effect, seeds: int = 10) -> bool:
    """Whether it still counts with the interval that allows for overlapping splits.

    Training parts of one data set share examples, so that seeds are not independent draws of it.
    The variance of the mean is then more like `(1 / seeds + test / train)` of theirs (Nadeau and
    Bengio 2003).
    """
    plan = PLANS[data]
    wider = found.interval.widened(math.sqrt(1 + seeds * plan.test / plan.train))
    return _counts(claim, wider) == found.counts


def _counts(claim: Claim, found: Interval) -> str:
    return found.counts_as_good(MARGIN) if claim.as_good else found.counts(claim.smallest)
