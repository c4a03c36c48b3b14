"""Gradients that vanish or explode: judged by their profile over depth, and by progress.

How small or large a gradient is says nothing by itself: a solved network's is tiny everywhere, a
regression's on targets in the thousands is huge. What the rules read is how it changes from
layer to layer (`_profile`), against the weights and the loss, and over time.
"""

from collections.abc import Iterator

import numpy as np

from ..record import TrainingRecord
from ._explosion import Explosion, explosions
from ._flat_network import FLAT, flatness, underflowing
from ._learning import Learning, last_rows, learning_of, sustained_from
from ._profile import (
    Profile,
    columns,
    described_layers,
    hidden_layers,
    profile_of,
)
from ._remedies import against_exploding, against_vanishing
from ._units import usual_activation
from ._updates import makes_steps
from .finding import Finding, Severity

VANISHED = 3.0
"""Decades from the last to the first hidden layer: AutoTrainer's ratio of 1e-3."""
SLOW = 1.0
"""Decades that count once the run is stuck: the first layers need ten times the steps."""
HOPELESS = 4.2
"""Decades past which float32 rounds the first layers' steps away, `log10(1e-3 / 2**-24)`."""
STEEP = 0.3
"""Decades a layer, half of the 0.6 that sigmoid layers have: less is no vanishing gradient."""


def vanishing_gradient(record: TrainingRecord) -> Iterator[Finding]:
    """The first layers hardly learn, as the gradient shrinks on its way back to them.

    Signal, over the last window of steps (a fifth of the record):

    1. The fitted profile rises towards the output, beyond three standard errors and by at least
       0.3 decades a layer. A single layer far off does not make a slope, and a network that
       learns is not judged by its depth.
    2. Or no hidden kernel matters, while the run does not learn: each one's gradient is under
       1e-3 of that of the output's bias, and `||dL/dW|| ||W|| / L` (where weight norms were
       recorded), by how much of itself the loss would change were the layer changed by all of
       it, under 1e-3 too; in sound networks both are about 1. Weights drawn too small do that
       without any slope, as the signal shrinks forwards by as much as the gradient does
       backwards. Under 1e-6 it is an error at once, otherwise where nothing is learned in time.
    3. Or the gradients of the first layers underflow to 0 behind smooth activations.

    | decades, last over first | learning | severity |
    | --- | --- | --- |
    | 3 and more | a tenth of the plan and 100 steps, and not begun | error |
    | 2 to 3 | the same | error: the first layers lag by a hundred times |
    | 1 to 2 | the same | warning |
    | 4.2 and more | too early to say | error; a warning where an adaptive optimizer, Adam say,
      still makes a thousandth of a full step of them, as it does above 1e-3 of its epsilon |
    | 3 to 4.2 | too early to say | warning |
    | 3 and more | at rest past half of the plan, not a quarter of the way gone | error |
    | 3 and more | begun, not halfway | warning: the first layers hardly take part |
    | 3 and more | past halfway | info |

    Thresholds: 1e-3 is AutoTrainer's (Zhang et al. 2021). Nielsen's sigmoid networks of two to
    four hidden layers (chapter 5), which train, have ratios of 2.8 to 100, so that 2 decades
    count only where nothing is learned. With a sound step of 1e-3 of the weights in the last
    layer, 4.2 decades less is half a unit in the last place of float32: the weights of the
    first layers do not change at all. Sweep, 32 units a layer, 8x8 digits, 270 steps of SGD and
    of Adam: sigmoid networks have 0.51 to 0.65 decades a layer, always; with 3 layers (1.2
    decades) Adam begins to learn, with 6 (3.1) and 10 (5.9) neither does. ReLU, tanh and SELU
    networks of 3 to 40 layers begin within 0.1 a layer and learn; an autoencoder of 3 rises to
    0.43 (0.9 decades).

    Reference:
        - Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural
          networks* (2010).
        - Nielsen, *Neural Networks and Deep Learning*, chapter 5.
        - Zhang et al., *AutoTrainer* (2021).
    """
    layers = hidden_layers(record)
    rows = last_rows(record) if layers else np.empty(0, np.int64)
    if not layers or len(rows) == 0:
        return
    learning = learning_of(record)
    profile = profile_of(record, rows)
    underflow = underflowing(record, rows, layers)
    if underflow and not learning.has_begun:
        yield _vanishing(
            record,
            underflow,
            Severity.ERROR,
            0,
            f"The gradient of {len(underflow)} of {len(layers)} hidden layers is exactly 0, while "
            f"those behind them have one; {learning.evidence}.",
        )
    elif profile is not None and (severity := _vanishing_severity(record, profile, learning)):
        yield _vanishing(
            record,
            profile.below(min(VANISHED, profile.decades) - 0.5) or profile.layers[:1],
            severity,
            _since(record, profile),
            f"From the last to the first hidden layer the gradient{_against(record)} falls "
            f"{_times(profile.decades)}, {_times(profile.slope)} a layer (fitted over "
            f"{len(profile.layers)} layers, {len(rows)} steps); {learning.evidence}.",
        )
    elif not learning.has_begun and (share := flatness(record, rows, layers)) is not None:
        yield _vanishing(
            record,
            tuple(layers),
            Severity.ERROR if learning.is_stuck or share < FLAT**2 else Severity.WARNING,
            0,
            f"No hidden layer matters to the loss: their kernels' gradients are {share:.1e} of "
            f"that of the output's bias at most; {learning.evidence}.",
            by_weights=True,
        )


def exploding_gradient(record: TrainingRecord) -> Iterator[Finding]:
    """The gradient grows from layer to layer, or in the course of training, out of all bounds.

    Signals:

    1. *Over depth*: the fitted profile falls towards the output by more than a factor of 70
       in all, beyond three standard errors, what batch normalization does by design (1.21 for
       each ReLU layer behind one) already taken off. An error only where nothing is learned.
    2. *Forwards*: the outputs' standard deviation grows by 2 and more a layer, 100 in all, and
       the first loss is at least 10 times that of the best constant prediction.
    3. *Over time*: the norm's median in the last window is at least 1,000 times the first
       window's, and the loss has risen. A network that leaves a plateau has growing gradients
       too, and a falling loss.
    4. *To the end*: norms or losses become infinite or NaN, and before that the norm grew by
       100 or more over that of the sound steps, or the first steps already are out of bounds
       on data known to be finite. (A NaN out of nothing is of the data or the loss. Steps that
       loss scaling skips are not counted.)
    5. *Jumps*: single norms of 100 times the median of the 50 rows before, after which the
       loss is more than twice what it was, beyond three standard deviations. A warning, an
       error where nothing is learned by the end.

    Thresholds: 70 is AutoTrainer's. 1.21 is `sqrt(pi / (pi - 1))` (Yang et al. 2019): a plain
    network of depth 20 with batch normalization has 45 and trains. 2 a layer is the growth
    of weights drawn with twice the deviation that He et al. (2015) derive. In the same sweep
    the median norm of sound runs stays under 25 times the first window's (ReLU, 40 layers), and
    20 layers with batch normalization begin at 1.20 a layer.

    Reference:
        - Pascanu et al., *On the difficulty of training recurrent neural networks* (2013).
        - Yang et al., *A Mean Field Theory of Batch Normalization* (2019).
        - Zhang et al., *AutoTrainer* (2021).
    """
    if not hidden_layers(record):
        return
    learning = learning_of(record)
    found = sorted(explosions(record, learning), key=lambda one: one.severity != Severity.ERROR)
    if found:
        first = min(one.first_step for one in found)
        signs = " ".join(one.evidence for one in found)
        evidence = f"{signs} {learning.evidence[:1].upper()}{learning.evidence[1:]}."
        layers = _in_order(record, found)
        yield Finding(
            symptom="exploding_gradient",
            layers=layers,
            severity=found[0].severity,
            first_step=first,
            evidence=evidence,
            remedies=against_exploding(usual_activation(record, layers), record),
        )


def _vanishing(
    record: TrainingRecord,
    layers: tuple[str, ...],
    severity: Severity,
    first: int,
    text: str,
    by_weights: bool = False,
) -> Finding:
    return Finding(
        symptom="vanishing_gradient",
        layers=layers,
        severity=severity,
        first_step=first,
        evidence=text,
        remedies=against_vanishing(usual_activation(record, layers), by_weights=by_weights),
    )


def _vanishing_severity(
    record: TrainingRecord, profile: Profile, learning: Learning
) -> Severity | None:
    if not (profile.slope >= STEEP and profile.is_clear):
        return None
    decades = profile.decades
    if learning.is_stuck:
        if decades < SLOW:
            return None
        return Severity.ERROR if decades >= 2 * SLOW else Severity.WARNING
    if decades < VANISHED:
        return None
    if not learning.has_begun:
        hopeless = decades >= HOPELESS and not makes_steps(record, _ends(profile)[0], 10**-VANISHED)
        return Severity.ERROR if hopeless else Severity.WARNING
    if learning.has_stalled:
        return Severity.ERROR
    return Severity.INFO if learning.is_halfway else Severity.WARNING


def _since(record: TrainingRecord, profile: Profile) -> int:
    """The first step from which on, but for a row in ten, the first layer is that far behind."""
    first, last = _ends(profile)
    norms = columns(record, "gradient_norm", [first, last])
    with np.errstate(divide="ignore", invalid="ignore"):
        behind = norms[:, 1] > norms[:, 0] * 10 ** (profile.decades / 2)
    return int(record.steps[sustained_from(behind)])


def _ends(profile: Profile) -> tuple[str, str]:
    seen = np.flatnonzero(np.isfinite(profile.logs))
    return profile.layers[seen[0]], profile.layers[seen[-1]]


def _against(record: TrainingRecord) -> str:
    return " relative to the weights" if "weight_norm" in record.statistics else ""


def _times(decades: float) -> str:
    return f"{10**decades:,.3g} times" if decades < 6 else f"1e{decades:.0f} times"


def _in_order(record: TrainingRecord, found: list[Explosion]) -> tuple[str, ...]:
    named = dict.fromkeys(layer for one in found for layer in one.layers)
    order = [layer["path"] for layer in described_layers(record)]
    known = {layer: at for at, layer in enumerate(order)}
    return tuple(sorted(named, key=lambda layer: known.get(layer, len(known))))
