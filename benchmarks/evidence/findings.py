"""The effects of all claims that have been trained, and of some with more rates."""

from dataclasses import replace
from typing import Any

import numpy as np
from arms import ARMS, Arm
from claim import Claim
from claims import CLAIMS
from effects import Effect, Measures, effect
from results import Results

Found = dict[Claim, dict[str, Effect]]


def found_in(results: Results) -> Found:
    """The effects of each claim on the data sets on which both arms have been trained."""
    found: Found = {}
    for claim in CLAIMS:
        found[claim] = {}
        for data in claim.data:
            a, b = (results.of(ARMS[arm], data) for arm in (claim.a, claim.b))
            if a is not None and b is not None:
                found[claim][data] = effect(claim, a, b)
    return found


def at_an_end(found: Found) -> list[tuple[Claim, str]]:
    """The comparisons in which an arm is judged at the first or last rate of its grid."""
    return [
        (claim, data) for claim, effects in found.items()
        for data, one in effects.items() if any(one.edges) and claim.measures[0].chosen != "falls"
    ]  # fmt: skip


def beyond(name: str) -> Arm:
    """The same arm at four more rates, two half decades on at each end of its grid."""
    arm = ARMS[name]
    low, high = min(arm.rates), max(arm.rates)
    return replace(arm, rates=(low / 10, low / 3, high * 3, high * 10))


def wider_in(results: Results, found: Found) -> Found:
    """Of those at an end, the effects with the additional rates, as far as they are trained."""
    wider: Found = {}
    for claim, data in at_an_end(found):
        a, b = (_joined(results, arm, data) for arm in (claim.a, claim.b))
        if a is not None and b is not None:
            grids = tuple(ARMS[arm].grid + beyond(arm).grid for arm in (claim.a, claim.b))
            wider.setdefault(claim, {})[data] = effect(claim, a, b, grids)
    return wider


def _joined(results: Results, name: str, data: str) -> Measures | None:
    """The measures of all rates of an arm, its own and those beyond."""
    own, more = results.of(ARMS[name], data), results.of(beyond(name), data)
    if own is None or more is None:
        return None
    joined: dict[str, Any] = {key: np.concatenate([own[key], more[key]]) for key in own}
    return joined
