"""What a training step costs on this machine: a part for the step, a part for each example.

Measured once and kept, so that every run of a search chooses the same batch size by it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Timing = tuple[int, float]
"""A batch size and the seconds that a step of it took."""


def costs_from(timings: Iterable[Timing]) -> tuple[float, float]:
    """What a step and what an example costs.

    ```
    minimize  sum_b ((step_cost + b example_cost) / t_b - 1)²,    both costs >= 0
    ```

    `t_b` is the shortest time of a batch size: what else the machine does only adds to it. The
    squares are of relative errors, so that small batches count as much as large ones.

    Args:
        timings: Iterable of pairs, a batch size and the seconds of a step, in any order and from
            any number of rounds; at least two sizes.

    Returns:
        `(step_cost, example_cost)` in seconds, at least one of them above 0.

    Raises:
        ValueError: A size or a time is not above 0, or all sizes are the same.

    Example:
        ```python
        costs_from([(10, 0.003), (100, 0.012), (100, 0.5)])  # (0.002, 0.0001)
        ```
    """
    best = _shortest(timings)
    sizes = np.array(list(best), np.float64)
    rows = np.stack([np.ones_like(sizes), sizes], axis=1) / np.array(list(best.values()))[:, None]
    both = np.linalg.lstsq(rows, np.ones(len(rows)), rcond=None)[0]
    if (both >= 0).all():
        return float(both[0]), float(both[1])
    # With one of two variables below 0, the best of those from 0 on has one at 0.
    alone = rows.sum(axis=0) / (rows**2).sum(axis=0)
    errors = ((rows * alone - 1) ** 2).sum(axis=0)
    return (float(alone[0]), 0.0) if errors[0] <= errors[1] else (0.0, float(alone[1]))


def measure(
    model: Any,
    batch_sizes: Sequence[int],
    make_batch: Callable[[int], Sequence[Any]],
    *,
    rounds: int = 3,
    steps: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Times training steps of each size; the model's weights change.

    The sizes take turns, so that what slows the machine for a while meets them all. Two steps of
    a size come first without the clock, since they trace and compile.

    Args:
        model: Compiled `keras.Model` that nobody needs afterwards.
        batch_sizes: Sequence of integers.
        make_batch: Function from a size to the arguments of `model.train_on_batch`, such as
            `(x, y)`.
        rounds: Integer. How often each size has its turn. Defaults to `3`.
        steps: Integer. Steps of a turn; their mean is its time. Defaults to `5`.
        clock: Function that tells the time in seconds. Defaults to `time.perf_counter`.

    Returns:
        List of `rounds` pairs for each size, for `costs_from`.
    """
    batches = {size: make_batch(size) for size in batch_sizes}
    for batch in batches.values():
        for _ in range(2):
            model.train_on_batch(*batch)
    timings = []
    for _ in range(rounds):
        for size, batch in batches.items():
            start = clock()
            for _ in range(steps):
                model.train_on_batch(*batch)
            timings.append((size, (clock() - start) / steps))
    return timings


def _shortest(timings: Iterable[Timing]) -> dict[int, float]:
    best: dict[int, float] = {}
    for size, seconds in timings:
        if not (size > 0 and 0 < seconds < np.inf):
            raise ValueError(
                "A timing must be a batch size and seconds, both above 0. "
                f"Received: {(size, seconds)!r}."
            )
        best[size] = min(seconds, best.get(size, seconds))
    if len(best) < 2:
        raise ValueError(
            "Timings of at least two batch sizes are needed to tell a step's cost from an "
            f"example's. Received sizes: {sorted(best)}."
        )
    return dict(sorted(best.items()))
