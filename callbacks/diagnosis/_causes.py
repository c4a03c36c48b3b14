"""`EDGES`: which symptom brings which about, where, and why."""

from dataclasses import dataclass, replace
from typing import Literal

Place = Literal["any", "before", "after"]
Time = Literal["any", "start", "later"]


@dataclass(frozen=True)
class Edge:
    """One way in which a symptom follows from another.

    Attributes:
        root: The symptom that brings it about.
        effect: The symptom that follows.
        place: Where the root's layers lie to the effect's: at the same or an earlier one
            (`"before"`, as signals go), the same or a later one (`"after"`, as gradients go), or
            anywhere.
        time: Which effects it explains: those that are there from the `"start"`, those that come
            `"later"`, or any.
        even_mild: Whether a root that is only a warning can bring about an error.
    """

    root: str
    effect: str
    place: Place = "any"
    time: Time = "any"
    even_mild: bool = False


def _edges(root: str, *effects: str, place: Place = "any", time: Time = "any") -> list[Edge]:
    return [Edge(root, effect, place, time) for effect in effects]


GENERAL = ("not_learning", "slow_convergence")
"""What nearly everything else brings about: said after what tells more."""

# What was read off the network and is a warning costs accuracy or speed, and no run: sigmoids with
# a categorical crossentropy make no gradient vanish.
_BY_DEGREES = (
    *_edges("disconnected_layer", *GENERAL),
    *_edges("improper_output_activation", *GENERAL, "non_finite", "oscillating_loss"),
    *_edges("improper_output_activation", "exploding_gradient", "vanishing_gradient"),
    *_edges("improper_output_activation", "saturated_activation", "dying_relu", time="later"),
    *_edges("improper_loss", "non_finite", "oscillating_loss"),
    *_edges("improper_loss", "exploding_gradient", "vanishing_gradient"),
    *_edges("self_normalization_broken", "vanishing_gradient", "exploding_gradient"),
    *_edges("self_normalization_broken", *GENERAL),
    *_edges("missing_activation", *GENERAL),
    *_edges("excessive_dropout", *GENERAL, "oscillating_loss"),
    *_edges("oscillating_loss", *GENERAL),
)

# Scales are graded by what they do for certain, and may do worse; and what was seen in the run may
# be a warning because it was early.
_EVEN_MILD = (
    # Absolute errors draw a classifier to the majority, squared ones stall it (Nielsen, chapter 3).
    *_edges("improper_loss", *GENERAL, "learning_rate_too_low"),
    *_edges("unscaled_target", *GENERAL, "non_finite", "oscillating_loss"),
    *_edges("unscaled_target", "exploding_gradient"),
    *_edges("unscaled_target", "learning_rate_too_high"),
    *_edges("unscaled_target", "dying_relu", "saturated_activation", time="later"),
    *_edges("unscaled_input", "saturated_activation", "dying_relu", "exploding_gradient"),
    *_edges("unscaled_input", "learning_rate_too_high", "self_normalization_broken"),
    *_edges("unscaled_input", *GENERAL, "non_finite", "oscillating_loss"),
    *_edges("poor_initialization", "saturated_activation", "dying_relu", place="before"),
    *_edges("poor_initialization", "exploding_gradient", "vanishing_gradient"),
    *_edges("poor_initialization", "self_normalization_broken", place="before"),
    *_edges("poor_initialization", *GENERAL, "non_finite", "oscillating_loss"),
    *_edges("learning_rate_too_high", "dying_relu", "saturated_activation", time="later"),
    *_edges("learning_rate_too_high", "exploding_gradient", "vanishing_gradient", time="later"),
    *_edges("learning_rate_too_high", "non_finite", "oscillating_loss", "not_learning"),
    *_edges("learning_rate_too_low", *GENERAL),
    *_edges("exploding_gradient", "learning_rate_too_high", "dying_relu", "saturated_activation"),
    *_edges("exploding_gradient", "non_finite", "oscillating_loss", "not_learning"),
    *_edges("dying_relu", "vanishing_gradient", place="after"),
    *_edges("saturated_activation", "vanishing_gradient", place="after"),
    *_edges("dying_relu", "learning_rate_too_low", *GENERAL),
    *_edges("saturated_activation", "learning_rate_too_low", *GENERAL),
    *_edges("vanishing_gradient", "learning_rate_too_low", *GENERAL),
    *_edges("non_finite", "not_learning"),
)

EDGES: tuple[Edge, ...] = (*_BY_DEGREES, *(replace(edge, even_mild=True) for edge in _EVEN_MILD))

SYMPTOM_ORDER = (
    "disconnected_layer",
    "unscaled_target",
    "improper_loss",
    "improper_output_activation",
    "unscaled_input",
    "poor_initialization",
    "self_normalization_broken",
    "missing_activation",
    "excessive_dropout",
    "exploding_gradient",
    "learning_rate_too_high",
    "dying_relu",
    "saturated_activation",
    "vanishing_gradient",
    "learning_rate_too_low",
    "non_finite",
    "oscillating_loss",
    "not_learning",
    "slow_convergence",
    "overfitting",
)
"""What comes first in a network comes first here: a root's place among equals."""
