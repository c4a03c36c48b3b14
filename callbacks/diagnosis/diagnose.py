"""`diagnose`: all rules on one record, their findings ordered by cause."""

from collections.abc import Callable, Iterator

from ..record import TrainingRecord
from ._arranged import arranged
from .finding import Finding
from .gradients import exploding_gradient, vanishing_gradient
from .initialization import poor_initialization
from .input_scaling import unscaled_input
from .losses import improper_loss
from .non_finite import non_finite
from .outputs import improper_output_activation
from .progress import not_learning, slow_convergence
from .rates import learning_rate_too_high, learning_rate_too_low
from .self_normalization import self_normalization_broken
from .structure import disconnected_layer, excessive_dropout, missing_activation
from .swings import oscillating_loss, overfitting
from .target_scaling import unscaled_target
from .units import dying_relu, saturated_activation

Rule = Callable[[TrainingRecord], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    disconnected_layer,
    unscaled_target,
    improper_loss,
    improper_output_activation,
    unscaled_input,
    poor_initialization,
    self_normalization_broken,
    missing_activation,
    excessive_dropout,
    exploding_gradient,
    learning_rate_too_high,
    dying_relu,
    saturated_activation,
    vanishing_gradient,
    learning_rate_too_low,
    non_finite,
    oscillating_loss,
    not_learning,
    slow_convergence,
    overfitting,
)
"""Every rule. A new one is a function in its family's module and an entry here."""


def diagnose(record: TrainingRecord) -> list[Finding]:
    """What is wrong with a run: root causes first, then what they bring about, errors before all.

    The order: the roots that are errors, or bring one about; the errors that follow from them;
    the other roots and what follows from these, warnings before information. Within each, what
    everything may bring about (`not_learning`, `slow_convergence`) comes last, the rest by when it
    began and by how near it is to the input. So the first findings are a root and what it is best
    seen on, and nothing mild comes before an error that it did not cause.

    Findings of one symptom become one, with the layers of all. `cause` is the symptom that it
    follows from: one that is present, at least a warning, not later (by more than a tenth of the
    run, which is what the rules resolve) and in the right place. Of several, one that is seen in
    the very layers is named, then the worst, then the earliest, then the furthest upstream. A
    finding keeps its severity whatever its cause is. A warning explains an error only where its
    degree does not bound what it does: scales, weights, the rate and what was seen in the run may;
    an output that costs some accuracy, a share of dropout or of layers without activation may not.

    | Root | brings about | because |
    | --- | --- | --- |
    | disconnected layer | no progress | its weights never change |
    | improper output, improper loss | no progress, non-finite, swings, gradients that vanish or
      explode, later dead or saturated units | the loss cannot reach its minimum, `log 0`, or no
      gradient passes the output |
    | improper loss | a rate too low | its gradient is small where most is wrong (Nielsen, ch. 3) |
    | unscaled target | the same without vanishing gradients, and a rate too high | errors, and
      with them gradients, have the targets' scale |
    | unscaled input | saturated and dead units, exploding gradients, a rate too high, lost
      self-normalization, no progress, non-finite, swings | pre-activations and curvature grow
      with the inputs' scale and its square (LeCun et al. 1998) |
    | poor initialization | saturated and dead units in the same or later layers, gradients that
      vanish or explode, lost self-normalization, no progress, non-finite, swings | each layer
      multiplies the signal's variance by fan-in times the weights' (Glorot & Bengio 2010) |
    | self-normalization broken | vanishing and exploding gradients, no progress | variance
      leaves its fixed point (Klambauer et al. 2017) |
    | missing activation | no progress | stacked linear layers are one |
    | excessive dropout | no progress, swings | most of the signal is noise |
    | exploding gradient | a rate too high, dead and saturated units, non-finite, swings, not
      learning | the step is the rate times the gradient |
    | learning rate too high | dead and saturated units, gradients that vanish or explode (all
      later than the first step), non-finite, swings, not learning | it overshoots; before the
      first step it cannot have done anything |
    | dead, saturated units | vanishing gradients in the same or earlier layers, a rate too low,
      no progress | their slope is 0, and gradients go from the output back |
    | vanishing gradient | a rate too low, no progress | the first layers' steps are tiny |
    | learning rate too low, non-finite, swings | no progress | no weight gets anywhere |

    "No progress" is `not_learning` and `slow_convergence`. What nothing explains is a root.

    ```python
    from trainwell.callbacks import TrainingRecord
    from trainwell.callbacks.diagnosis.diagnose import diagnose

    diagnose(TrainingRecord())  # []: nothing was recorded
    ```

    Args:
        record: `TrainingRecord`, live or loaded, of a whole run or of its first steps.

    Returns:
        List of `Finding`.
    """
    return arranged(record, (finding for rule in RULES for finding in rule(record)))
