"""Units that no longer pass a gradient: ReLUs that died, sigmoids and tanhs that are saturated.

Both are found in sound networks too, once they have solved their task, and are judged with
progress.
"""

import math
from collections.abc import Iterator

import numpy as np

from ..record import TrainingRecord
from ._learning import Learning, learning_of, sustained_from
from ._profile import has_shortcuts
from ._remedies import against_dying, against_saturation
from ._units import (
    UnitShares,
    counted_shares,
    inferred_shares,
    is_flat_on_both_sides,
    is_mortal,
)
from .finding import Finding, Severity

MANY_DEAD = 0.7
"""AutoTrainer's and DeepDiagnosis' share of zeros."""
NEARLY_ALL = 0.9
SATURATED = 0.5
"""DeepDiagnosis' share of pre-activations in the flat parts."""
ROWS_TO_TELL = 20


def dying_relu(record: TrainingRecord) -> Iterator[Finding]:
    """Units of a ReLU-type layer that no sample wakes: output and slope 0, for good.

    Signal: `dead_fraction` (units asleep for a whole window of batches), its median over the
    last fifth of the record. Where activations were not recorded: the share of biases whose
    gradient is exactly 0, or layers whose kernel and bias both have none, while the output
    layer's has.

    A layer counts from `max(0.7, 0.5 + 3 sqrt(0.25 / units))` on. With weights drawn around 0
    each unit of a deep layer sleeps with probability 1/2, as the samples have become alike by
    then: half of `m` units, with a deviation of `sqrt(0.25 / m)`, is what a sound network shows
    at its start, and 10 to 40% late in training. 0.7 is AutoTrainer's and DeepDiagnosis'. A
    layer of fewer than 9 units counts only where all of them sleep through 20 rows and nothing
    is learned.

    | dead of a layer | learning | severity |
    | --- | --- | --- |
    | all | not begun, no shortcut around the layer | error: no signal gets past it |
    | 90% | a tenth of the plan and 100 steps, and not begun | error |
    | 90% | at rest past half of the plan, not a quarter of the way gone | error |
    | the bound | not begun, or begun and not halfway | warning |
    | 90% | past halfway | info: the network has units to spare |

    Reference:
        - Lu et al., *Dying ReLU and Initialization* (2020).
        - Géron, *Hands-On Machine Learning*, chapter 11.
        - Zhang et al., *AutoTrainer* (2021); Wardat et al., *DeepDiagnosis* (2022).
    """
    if not record.groups:
        return
    shares = [one for one in counted_shares(record, "dead_fraction") if is_mortal(one.activation)]
    if not shares:
        shares = _last_of_the_silent(record)
    learning = learning_of(record)
    found = [(one, grade) for one in shares if (grade := _dead(one, learning, record))]
    if found:
        yield _dying(record, found, learning)


def saturated_activation(record: TrainingRecord) -> Iterator[Finding]:
    """Hidden units stuck in the flat parts of their activation, where the gradient is nearly 0.

    Signal: `saturated_fraction` (slope under 1% of the largest: beyond ±5.3 for a sigmoid, ±3.0
    for tanh), its median over the last fifth of the record, of hidden layers; outputs are meant to
    saturate. From 0.5 on for activations that are flat on both sides (DeepDiagnosis). One that is
    flat on one side alone (ELU, SELU, softplus, GELU, Swish, Mish) has half of its units there by
    symmetry, as ReLU has, and counts from 0.9 on. Where activations were not recorded: half
    of the biases' gradients exactly 0, as float32 makes of a tanh beyond ±9.

    | saturated | learning | severity |
    | --- | --- | --- |
    | the bound | a tenth of the plan and 100 steps, and not begun | error |
    | 99% | not begun | error: a hundredth of the gradient gets past the layer |
    | the bound | not begun, or begun and not halfway | warning |
    | the bound | past halfway | info |

    A tenth of the units saturated, as in sound tanh networks late in training, is nothing. The
    gradient that a share `q` of saturated units leaves is `1 - q` of its square.

    Reference:
        - Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural
          networks* (2010).
        - Wardat et al., *DeepDiagnosis* (2022).
    """
    if not record.groups:
        return
    counted = counted_shares(record, "saturated_fraction")
    shares = [one for one in counted if not is_mortal(one.activation)]
    learning = learning_of(record)
    if not counted and not learning.has_begun:
        shares = [one for one in inferred_shares(record) if is_flat_on_both_sides(one.activation)]
    found = [(one, grade) for one in shares if (grade := _saturated(one, learning))]
    if found:
        yield _saturation(found, learning)


# ---------------------------------------------------------------------- dying


def dead_bound(units: int | None) -> float:
    """The share of dead units that chance does not explain, above 1 for fewer than 9 units."""
    return max(MANY_DEAD, 0.5 + 3 * math.sqrt(0.25 / (units or math.inf)))


def _dead(one: UnitShares, learning: Learning, record: TrainingRecord) -> Severity | None:
    share, bound = one.now, dead_bound(one.units)
    rows = len(one.shares)
    if share < bound and not (share == 1 and rows >= ROWS_TO_TELL and not learning.has_begun):
        return None
    if learning.is_halfway:
        return Severity.INFO if share >= NEARLY_ALL else None
    if learning.has_begun:
        stalled = learning.has_stalled and share >= NEARLY_ALL
        return Severity.ERROR if stalled else Severity.WARNING
    blocked = share == 1 and not has_shortcuts(record)
    stuck = learning.is_stuck and share >= NEARLY_ALL
    return Severity.ERROR if blocked or stuck else Severity.WARNING


def _dying(
    record: TrainingRecord, found: list[tuple[UnitShares, Severity]], learning: Learning
) -> Finding:
    worst = max(found, key=lambda pair: pair[0].now)[0]
    first = min(_since(one, min(dead_bound(one.units), 1.0)) for one, _ in found)
    if worst.seen:  # a unit is called dead at the end of the window that it slept through
        first = max(0, first + 1 - (record.network.get("steps_per_epoch") or 1))
    from_start = first <= worst.steps[min(1, len(worst.steps) - 1)]
    when = "from the start" if from_start else f"since step {first}"
    rate = _rate_at(record, first)
    return Finding(
        symptom="dying_relu",
        layers=tuple(one.layer for one, _ in found),
        severity=_worst(found),
        first_step=first,
        evidence=(
            f"{worst.now:.0%} of {worst.layer}'s {_units(worst)} are dead {when}"
            f"{'' if from_start or rate is None else f', at a rate of {rate:.3g}'}"
            f"{'' if worst.seen else ' (their biases have no gradient)'}; {learning.evidence}."
        ),
        remedies=against_dying(worst.activation, record, rate, from_start),
    )


def _last_of_the_silent(record: TrainingRecord) -> list[UnitShares]:
    """Mortal layers by their gradients; of those with none at all, the last stops the others."""
    shares = inferred_shares(record)
    silent = [at for at, one in enumerate(shares) if one.now == 1]
    blocked = set(silent[:-1]) if silent else set()
    return [
        one for at, one in enumerate(shares) if at not in blocked and is_mortal(one.activation)
    ]  # fmt: skip


# ---------------------------------------------------------------------- saturated


def _bound(one: UnitShares) -> float:
    return SATURATED if is_flat_on_both_sides(one.activation) else NEARLY_ALL


def _saturated(one: UnitShares, learning: Learning) -> Severity | None:
    if one.now < _bound(one):
        return None
    if learning.has_begun:
        return Severity.INFO if learning.is_halfway else Severity.WARNING
    hopeless = learning.is_stuck or one.now >= 0.99
    return Severity.ERROR if hopeless else Severity.WARNING


def _saturation(found: list[tuple[UnitShares, Severity]], learning: Learning) -> Finding:
    worst = max(found, key=lambda pair: pair[0].now)[0]
    counted = f"{worst.now:.0%} of {worst.layer}'s outputs are in the flat parts of"
    inferred = f"{worst.now:.0%} of {worst.layer}'s biases have a gradient of exactly 0 behind"
    return Finding(
        symptom="saturated_activation",
        layers=tuple(one.layer for one, _ in found),
        severity=_worst(found),
        first_step=min(_since(one, _bound(one)) for one, _ in found),
        evidence=f"{counted if worst.seen else inferred} {worst.activation}; {learning.evidence}.",
        remedies=against_saturation(worst.activation),
    )


# ---------------------------------------------------------------------- both


def _since(one: UnitShares, bound: float) -> int:
    return int(one.steps[sustained_from(one.shares >= bound)])


def _worst(found: list[tuple[UnitShares, Severity]]) -> Severity:
    order = (Severity.ERROR, Severity.WARNING, Severity.INFO)
    return min((severity for _, severity in found), key=order.index)


def _units(one: UnitShares) -> str:
    return f"{one.units} units" if one.units else "units"


def _rate_at(record: TrainingRecord, step: int) -> float | None:
    at = int(np.searchsorted(record.steps, step))
    rate = float(record.learning_rate[min(at, len(record.steps) - 1)])
    return rate if math.isfinite(rate) and rate > 0 else None
