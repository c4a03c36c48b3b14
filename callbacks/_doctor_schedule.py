"""When a doctor looks at the record, and when what it finds is firm."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .diagnosis.finding import Finding, Severity

AT_ONCE = ("non_finite",)
"""What no later step mends needs no second look."""

MOST_EVERY = 10
_ROWS_IN_A_TENTH = 20
_LOOKS = 40
_FIRST_LOOK = 10
_LONGEST = 1000
_FREE_LOOKS = 4
_SHARE_OF_TIME = 0.01
_BAD = (Severity.ERROR, Severity.WARNING)


def default_every(planned: int | None) -> int:
    """Steps between rows, so that a tenth of the plan has the 20 that rules ask for, 10 at most.

    Args:
        planned: Integer. Steps that `fit` will take, None where they are not known.
    """
    if planned is None:
        return MOST_EVERY
    return min(max(planned // (10 * _ROWS_IN_A_TENTH), 1), MOST_EVERY)


class Schedule:
    """The steps at which to look: at doubling distances, up to 40 times in a run.

    A look costs time that grows with the network and the record. After the first four, which
    judge the beginning, one waits until all of them together took a hundredth of the run's time.

    Args:
        planned: Integer. Steps of the run, None where they are not known.
        every: Integer. Steps from one recorded step to the next.
        start: Integer. Steps of the record before this run.
        clock: Tells the seconds. Defaults to the process' own.
    """

    def __init__(
        self,
        planned: int | None,
        every: int,
        start: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._start = self._last = start
        longest = _LONGEST if planned is None else math.ceil(planned / _LOOKS)
        self._shortest = _FIRST_LOOK * every
        self._longest = max(longest, self._shortest)
        self._clock, self._began = clock, clock()
        self._looks, self._spent = 0, 0.0

    def is_due(self, step: int, epoch_ends: bool = False) -> bool:
        """Whether to look now, before the record's step `step`.

        Args:
            step: Integer. Steps that the record has seen.
            epoch_ends: Boolean. Whether an epoch just ended: its logs are new, so half the
                distance is enough. Defaults to `False`.
        """
        distance = min(max(self._last - self._start, self._shortest), self._longest)
        if step - self._last < (distance / 2 if epoch_ends else distance):
            return False
        elapsed = self._clock() - self._began
        return self._looks < _FREE_LOOKS or self._spent <= _SHARE_OF_TIME * elapsed

    @contextmanager
    def looking(self, step: int) -> Iterator[None]:
        """Notes a look, and how long it takes."""
        before = self._clock()
        try:
            yield
        finally:
            self._last, self._looks = step, self._looks + 1
            self._spent += self._clock() - before


class Firmness:
    """Which findings are firm: there in two looks in a row, at once where nothing mends them."""

    def __init__(self) -> None:
        self._before: dict[str, Severity] = {}
        self._told: dict[str, Severity] = {}
        self.errors: list[Finding] = []
        """The errors that are firm as of the last look."""

    def look(self, findings: Sequence[Finding], is_last: bool = False) -> list[Finding]:
        """What has become firm: each symptom once, again only where a warning became an error.

        Args:
            findings: All findings of this look.
            is_last: Boolean. Whether the run is over, so that no second look follows: then an
                error is firm. Defaults to `False`.
        """
        bad = [finding for finding in findings if finding.severity in _BAD]
        firm = [finding for finding in bad if self._is_firm(finding, is_last)]
        self._before = {finding.symptom: finding.severity for finding in bad}
        self.errors = [finding for finding in firm if finding.severity is Severity.ERROR]
        new = [finding for finding in firm if self._is_new(finding)]
        self._told |= {finding.symptom: finding.severity for finding in new}
        return new

    def _is_firm(self, finding: Finding, is_last: bool) -> bool:
        before, is_error = self._before.get(finding.symptom), finding.severity is Severity.ERROR
        if is_error and (is_last or finding.symptom in AT_ONCE):
            return True
        return before is Severity.ERROR if is_error else before is not None

    def _is_new(self, finding: Finding) -> bool:
        told = self._told.get(finding.symptom)
        return told is None or (told is Severity.WARNING and finding.severity is Severity.ERROR)
