"""How far to go along a step, and how far to trust the next one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

# Levenberg and Marquardt: reductions of more or less of what the quadratic promised.
_TRUSTED, _DISTRUSTED, _LESS_DAMPING, _MORE_DAMPING = 0.75, 0.25, 2 / 3, 3 / 2
DAMPING_RANGE = (1e-12, 1e12)
_HALVINGS, _SUFFICIENT = 10, 1e-4


@dataclass
class Search:
    """What a line search found.

    Args:
        share: Scalar tensor: of the step that is gone; 0 where no share lowers the loss.
        change: Scalar tensor: of the loss over the whole step.
        losses: Scalar integer tensor: how many it looked at.
    """

    share: Any
    change: Any
    losses: Any


def line_search(loss_at: Callable[[Any], Any], loss: Any, slope: Any) -> Search:
    """Halves the step until the loss has fallen by enough (Armijo)."""

    def suffices(share: Any, value: Any) -> Any:
        return value <= loss + _SUFFICIENT * share * slope

    def goes_on(tries: Any, share: Any, value: Any, _: Any) -> Any:
        return (tries == 0) | ((tries <= _HALVINGS) & tf.logical_not(suffices(share, value)))

    # The whole step is the first half of two, so that the loss is traced once only.
    def halve(tries: Any, share: Any, _: Any, whole: Any) -> Any:
        value = loss_at(share / 2)
        return tries + 1, share / 2, value, tf.where(tries == 0, value, whole)

    state = (tf.constant(0), 2 * tf.ones_like(loss), loss, loss)
    tries, share, value, whole = tf.while_loop(goes_on, halve, state)
    share = tf.where(suffices(share, value), share, tf.zeros_like(share))
    return Search(share=share, change=whole - loss, losses=tries)


def next_damping(damping: Any, ratio: Any) -> Any:
    """The damping after a step that changed the loss by `ratio` of what was promised."""
    factor = tf.where(ratio > _TRUSTED, _LESS_DAMPING, 1.0)
    # `not >=` rather than `<`: NaN is no reason to trust.
    factor = tf.where(tf.logical_not(ratio >= _DISTRUSTED), _MORE_DAMPING, factor)
    return tf.clip_by_value(damping * tf.cast(factor, "float32"), *DAMPING_RANGE)
