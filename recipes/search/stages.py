"""The stages of the search: pure functions from finished trials to the next values.

A stage is told every trial that there is and answers with a `Decision`: run these candidates,
wait, done with these values, or failed, each with its reasons. It reads and returns plain data
that JSON can hold (`Trial`, `Candidate`, `Reason`, `Decision`), trains nothing and keeps nothing:
the same set of trials gives the same decision, in any order, from any number of workers.

```python
stage, trials = LearningRateStage(), []
while (decision := stage.decide(trials)).action == "try":
    trials += [train(candidate) for candidate in decision.candidates]  # a `Trial` each
print(decision.chosen, decision.reason)
```
"""

from collections.abc import Iterable
from typing import Protocol

from ._batch_size_stage import BatchSizeStage as BatchSizeStage
from ._epochs_stage import EpochsStage as EpochsStage
from ._l2_stage import L2Stage as L2Stage
from ._learning_rate_stage import LearningRateStage as LearningRateStage
from ._oscillation import is_hopeless as is_hopeless
from ._oscillation import summarize as summarize
from ._trials import Candidate as Candidate
from ._trials import Decision as Decision
from ._trials import EpochLosses as EpochLosses
from ._trials import Reason as Reason
from ._trials import Trial as Trial
from ._trials import Values as Values


class Stage(Protocol):
    """What a stage of the search is."""

    def decide(self, trials: Iterable[Trial], chosen: Values | None = None) -> Decision:
        """What to try next, or the values and why."""
        ...
