"""The rule on the scale of inputs: `unscaled_input`."""

import math
from collections.abc import Iterator
from typing import Any

from ..record import TrainingRecord
from ._first_layer import Input, entries, first_kernel
from ._graph import Graph, fans, path
from ._rate import clips, first_rate
from ._remedies import STANDARDIZED_INPUT
from .finding import Finding, Severity

_LARGE, _SMALL = 10.0, 1e-2
_UNLIKE = 1000.0
_OFFSET = 10.0
_SGD_BOUND = 50.0
_ADAM_STEP, _ADAM_SHARE = 1000.0, 0.05
_TIMES_PLANNED = 10.0

_ADAM = frozenset({"Adam", "AdamW", "Adamax", "Nadam", "RMSprop"})


def unscaled_input(record: TrainingRecord) -> Iterator[Finding]:
    """Inputs of another scale than the first layer is made for, or far from 0.

    Glorot and He kernels presume inputs with mean square 1. Signals, of each input that reaches a
    dense or convolutional layer with no normalization before it or right after it (`Rescaling` is
    reckoned with):

    - root mean square r of all values. Warning above 10, and below 0.01: pre-activations start
      that much too large, and biases and later layers learn at another rate than the first.
      Images in 0 to 1 (0.34 for MNIST), standardized tables, tables with deviation 3 are silent.
    - offset |mean| / deviation of a feature. Warning above 10: the curvature along the mean is
      its square times that along the feature. A bias that makes up for it must move by
      |mean| / deviation in steps of the learning rate: error with Adam where that takes 10 times
      the planned steps. On 8 normal features plus an offset, 640 steps: 10 at Adam 0.001 (16
      times the plan) fell from 0.76 to 0.58 accuracy, 30 (47 times) to 0.50, 3 (5 times) to
      0.72; at Adam 0.01, 10 (1.6 times) to 0.67 and 100 (16 times) to 0.49.
    - features of unlike scales, the largest deviation over the lower quartile's K. Warning above
      1,000; error where K exceeds 10 times the planned steps: a weight that grows by one rate a
      step needs K steps to be heard beside one that jitters by one rate. On 8 features, two of
      them times K, 640 steps of Adam 0.001 and 0.01: from 0.98 at K = 1 to 0.86 and 0.94 at 100,
      0.67 and 0.73 at 1,000, 0.53 and 0.56 at 10,000 (16 times the plan).
    - error with SGD where the rate times |mean|², the curvature along the mean of all features,
      exceeds 50 max(1, r): gradient descent diverges from rate = 2 / curvature on. On 8x8 digits
      scaled by 1 and 10 the bound lay at 3 to 30 and 20 to 200, for ReLU and tanh.
    - error with Adam where one step moves a first pre-activation by more than 1,000 (rate times
      the sum of |x|) and a kernel's weight by 5% or more. On the digits, scales up to 1e6 never
      kept Adam 0.001 from 0.66 accuracy or more, and 1e4 broke Adam 0.01 (0.13).

    Reference:
        LeCun, Bottou, Orr and Müller 1998, sections 4.3 and 5.1; Géron, chapter 2.
    """
    graph, inputs = Graph(record.network), record.data.get("inputs") or []
    taking = entries(record.network, graph, inputs) if graph.known else []
    for entry, described in zip(taking, inputs, strict=False):
        first = first_kernel(graph, entry)
        if first is None or described.get("mean") is None or described.get("std") is None:
            continue
        at, scale, offset = first
        finding = _judged(record, graph, at, Input(described, scale, offset))
        if finding is not None:
            yield finding


def _judged(record: TrainingRecord, graph: Graph, at: int, given: Input) -> Finding | None:
    layer = graph.layers[at]
    reasons = []
    if not _SMALL <= given.rms <= _LARGE and given.rms > 0:
        reasons.append(f"Inputs have the root mean square {given.rms:.3g}, where 1 is presumed.")
    if given.offset > _OFFSET:
        reasons.append(f"Every feature's mean is {given.offset:.3g} deviations or more from 0.")
    if given.unlike > _UNLIKE:
        reasons.append(f"The features' deviations differ by a factor of {given.unlike:.3g}.")
    if not reasons:
        return None
    fatal = _fatal(record, layer, given)
    return Finding(
        symptom="unscaled_input",
        layers=(path(layer),),
        severity=Severity.ERROR if fatal else Severity.WARNING,
        first_step=0,
        evidence=" ".join([*reasons, *([fatal] if fatal else [])]),
        remedies=(STANDARDIZED_INPUT,),
    )


def _fatal(record: TrainingRecord, layer: dict[str, Any], given: Input) -> str | None:
    """Why this optimizer can't cope, None where it may."""
    optimizer = record.network.get("optimizer") or {}
    rate = first_rate(record.network)
    if rate is None or rate <= 0:
        return None
    epochs, steps = record.network.get("planned_epochs"), record.network.get("steps_per_epoch")
    planned = epochs * steps if epochs and steps else math.inf
    if given.unlike > max(_UNLIKE, _TIMES_PLANNED * planned):
        return f"Weights of the small ones would take as many steps, {planned:,} are planned."
    if optimizer.get("name") == "SGD":
        return _overshoots(optimizer, rate, layer, given)
    if optimizer.get("name") not in _ADAM:
        return None
    needed = given.offset / rate
    if given.offset > _OFFSET and needed > _TIMES_PLANNED * planned:
        return (
            f"At the rate {rate:g} a bias needs {needed:,.0f} steps to make up for it, "
            f"{planned:,} are planned."
        )
    return _jumps(rate, layer, given)


def _overshoots(
    optimizer: dict[str, Any], rate: float, layer: dict[str, Any], given: Input
) -> str | None:
    sizes = fans(layer)
    if sizes is None or clips(optimizer):
        return None
    # Behind a concatenation not all that the kernel takes is this input's.
    own = min(sizes[0], given.features)
    times = own * given.mean**2 * rate / max(1.0, given.rms)
    if times <= _SGD_BOUND:
        return None
    return f"At the rate {rate:g} steps overshoot by {times / 2:.2g} times."


def _jumps(rate: float, layer: dict[str, Any], given: Input) -> str | None:
    sizes = fans(layer)
    if sizes is None:
        return None
    # The mean of |x| is 0.8 deviations of a normal distribution around 0.
    step = rate * min(sizes[0], given.features) * max(abs(given.mean), 0.8 * given.std)
    if step <= _ADAM_STEP or rate * math.sqrt(sum(sizes) / 2) < _ADAM_SHARE:
        return None
    return f"At the rate {rate:g} one step moves a pre-activation by {step:.2g}."
