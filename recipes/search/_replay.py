"""How a stage is a pure function and yet reads like the text: it is replayed from its beginning.

Each time it is asked, a stage walks its way anew, looking up the trials that it needs. Where some
are missing the walk breaks off, and they are the decision. So the decision hangs on the set of
trials alone: not on their order, on how many ran side by side, or on trials never asked for.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, NoReturn

from ._trials import Candidate, Decision, Reason, Trial, Values

_Key = tuple[frozenset[tuple[str, Any]], int]


class _BrokenOffError(Exception):
    """The walk ends here, with this decision."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.reason)
        self.decision = decision


class Walk:
    """One walk over the trials: looks up, notes reasons, breaks off."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._trials: dict[_Key, Trial] = {}
        self._reasons: list[Reason] = []
        # Of two with the same values a finished one, and of two such the one with the smaller id.
        known = sorted(map(_checked, trials), key=lambda t: (not t.finished, t.trial_id))
        for trial in known:
            self._trials.setdefault(_key(trial.values, trial.execution), trial)

    def note(self, sentence: str, trials: Iterable[Trial] = ()) -> None:
        """Adds a reason."""
        ids = tuple(trial.trial_id for trial in trials)
        self._reasons.append(Reason(sentence=sentence, trials=ids))

    def trials(self, candidates: Iterable[Candidate], sentence: str) -> list[Trial]:
        """The finished trials of the candidates; where one is missing the walk breaks off."""
        candidates = list(candidates)
        found = [self._trials.get(_key(c.values, c.execution)) for c in candidates]
        missing = tuple(c for c, trial in zip(candidates, found, strict=True) if trial is None)
        finished = [trial for trial in found if trial is not None and trial.finished]
        self.note(sentence, finished)
        if missing:
            self._break_off(
                Decision(action="try", candidates=missing, reasons=tuple(self._reasons))
            )
        if len(finished) < len(candidates):
            self._break_off(Decision(action="wait", reasons=tuple(self._reasons)))
        return finished

    def failed(self, sentence: str, trials: Iterable[Trial] = ()) -> NoReturn:
        """Breaks off for good."""
        self.note(sentence, trials)
        self._break_off(Decision(action="failed", reasons=tuple(self._reasons)))

    def done(self, chosen: Values, final: Values | None = None) -> Decision:
        """The decision that ends the stage; its reason is the last one noted."""
        return Decision(
            action="done",
            chosen=dict(chosen),
            reasons=tuple(self._reasons),
            final=dict(final or {}),
        )

    def _break_off(self, decision: Decision) -> NoReturn:
        raise _BrokenOffError(decision)


def replay(trials: Iterable[Trial], walk_to_the_end: Callable[[Walk], Decision]) -> Decision:
    """The decision at which a walk over these trials ends or breaks off."""
    try:
        return walk_to_the_end(Walk(trials))
    except _BrokenOffError as broken_off:
        return broken_off.decision


def rounded(value: float) -> float:
    """Six significant digits: 0.3, not 0.30000000000000004, also after times and divided."""
    return float(f"{value:.6g}")


def _key(values: Values, execution: int) -> _Key:
    return frozenset(values.items()), execution


def _checked(trial: Trial) -> Trial:
    """The trial, refused where its values could not be compared."""
    for name, value in trial.values.items():
        if not isinstance(value, Hashable):
            raise ValueError(
                f"Trial {trial.trial_id!r}: `{name}` must be a number, a string, a boolean or "
                f"None. Received: values={dict(trial.values)!r}."
            )
    return trial
