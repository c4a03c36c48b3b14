"""By how much two accuracies have to differ before it counts."""

from collections.abc import Sequence

import numpy as np


def noise(one: Sequence[float], other: Sequence[float], judged: int) -> float:
    """Two standard errors of the difference of two mean accuracies, all in percent.

    Over the seeds where there are several of each, else from the number of images judged:

    ```
    2 sqrt(var(one) / n + var(other) / n)        2 sqrt(p (100 - p) / judged + ...)
    ```

    Args:
        one: Accuracy of each seed.
        other: Accuracy of each seed.
        judged: Images on which each of them was counted.
    """
    if min(len(one), len(other)) > 1:
        parts = [float(np.var(seeds, ddof=1)) / len(seeds) for seeds in (one, other)]
    else:
        parts = [float(np.mean(seeds)) * (100 - float(np.mean(seeds))) / judged
                 for seeds in (one, other)]  # fmt: skip
    return float(2 * np.sqrt(sum(parts)))
