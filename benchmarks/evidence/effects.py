"""The effect of a claim on a data set, from the results of its two arms."""

from typing import Any, NamedTuple

import numpy as np
from arms import ARMS
from claim import MARGIN, MEASURES, Claim, Measure
from verdicts import FOR, Interval, interval

Measures = dict[str, Any]


class Effect(NamedTuple):
    """What a data set says to a claim.

    Attributes:
        interval: Of A minus B where more is better, of B minus A where less is.
        counts: `"for"`, `"against"` or `"neither"`.
        chosen: Rate and L2 strength of A and of B; of thresholds the median rate.
        means: The mean of what is judged, of A and of B.
        edges: Whether the rate of A and of B is the first or last of its grid.
    """

    interval: Interval
    counts: str
    chosen: tuple[tuple[float, float], tuple[float, float]]
    means: tuple[float, float]
    edges: tuple[bool, bool]


def effect(claim: Claim, a: Measures, b: Measures) -> Effect:
    """Paired by seed, each arm at its own best rate."""
    first, second = claim.measures
    values_a, chosen_a = _judged(first, a, claim.a)
    values_b, chosen_b = _judged(second, b, claim.b)
    found = interval((first.sign * (values_a - values_b)).tolist())
    counts = found.counts_as_good(MARGIN) if claim.as_good else found.counts(claim.smallest)
    edges = _at_edge(chosen_a[0], claim.a), _at_edge(chosen_b[0], claim.b)
    means = float(values_a.mean()), float(values_b.mean())
    return Effect(found, counts, (chosen_a, chosen_b), means, edges)


def _judged(measure: Measure, results: Measures, arm: str) -> tuple[Any, tuple[float, float]]:
    """What is judged of each seed, and the rate and strength at which."""
    values, grid = np.array(results[measure.judged]), ARMS[arm].grid
    if measure.chosen == "falls":
        at = thresholds(np.array(results["falls"]))
        if measure is MEASURES["half of the threshold"]:
            at = np.maximum(at - 1, 0)
        rates = np.array([rate for rate, _ in grid])[at]
        return values[at, np.arange(len(at))], (float(np.median(rates)), 0.0)
    best = best_of(results, measure.chosen)
    return values[best], grid[best]


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


def _at_edge(rate: float, arm: str) -> bool:
    rates = ARMS[arm].rates
    return len(rates) > 1 and rate in (rates[0], rates[-1])


def overall(effects: list[Effect]) -> Interval:
    """The mean over data sets, with the interval of their own differences from one another."""
    return interval([one.interval.mean for one in effects])


def supports(effects: dict[str, Effect]) -> list[str]:
    """The data sets that speak for a claim."""
    return [name for name, one in effects.items() if one.counts == FOR]
