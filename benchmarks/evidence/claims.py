"""`CLAIMS`: all of them, in the order of the page; fixed before the run."""

import hashlib
from dataclasses import astuple

from arms import ARMS
from claim import Claim
from claims_networks import ACTIVATIONS, DEPTH, NORMALIZATION, WEIGHTS
from claims_training import OPTIMIZERS, RATES, REGULARIZATION
from data_sets import PLANS

THEMES: dict[str, tuple[Claim, ...]] = {
    "First weights": WEIGHTS,
    "Activations": ACTIVATIONS,
    "Normalization": NORMALIZATION,
    "Depth": DEPTH,
    "Costs and regularization": REGULARIZATION,
    "Optimizers": OPTIMIZERS,
    "Rates and batches": RATES,
}
CLAIMS = tuple(claim for theme in THEMES.values() for claim in theme)


def digest() -> str:
    """Of claims, arms and data plans: it stands in the results, beside each session's date."""
    text = repr([PLANS, *((astuple(one), ARMS[one.a], ARMS[one.b]) for one in CLAIMS)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
