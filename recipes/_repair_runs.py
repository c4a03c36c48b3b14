"""One training of a repair: watched, scored as it goes, and ended when it is decided."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from ..callbacks.diagnosis.finding import Finding, Severity
from ..callbacks.training_doctor import TrainingDoctor
from ._task_score import TaskScore

GOOD = 0.6
"""Share of the way from chance to perfect at which a model counts as repaired."""

_SCORES = 20  # in a run
_DECIDED = 0.25  # of the epochs, after which an error that is firm decides a poor run
_STALLED = 0.25  # of the epochs without a better score or loss end a good run
_LESS = 0.95  # of a loss is a better one: scores of few samples stand still while it falls


@dataclass
class Run:
    """What became of a training.

    Attributes:
        model: The model with its best weights.
        findings: What `TrainingDoctor` found.
        score: The best score, `-inf` where there is none.
        epochs: Epochs that ran.
        seconds: How long it took.
        ended: Why it ended early, `""` where it did not.
        curve: `(share of the epochs, best score so far)`.
    """

    model: Any
    findings: list[Finding]
    score: float
    epochs: int
    seconds: float
    ended: str = ""
    curve: list[tuple[float, float]] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """The findings of severity "error"."""
        return errors_of(self.findings)


def errors_of(findings: list[Finding]) -> list[Finding]:
    """Those of severity "error"."""
    return [one for one in findings if one.severity is Severity.ERROR]


@dataclass(frozen=True)
class Training:
    """How every attempt is trained.

    Attributes:
        x: Inputs.
        y: Targets.
        validation_data: Held-out inputs and targets, so that the doctor sees their loss.
        score: Of held-out data.
        epochs: Most epochs.
        batch_size: Examples of a batch.
    """

    x: Any
    y: Any
    validation_data: Any
    score: TaskScore
    epochs: int
    batch_size: int

    def run(self, model: Any, leader: Run | None = None) -> Run:
        """Trains a model; the leader is what it has to beat."""
        doctor = TrainingDoctor(action="stop", verbose=0)
        judge = _Judge(self.score, self.epochs, doctor, leader)
        started = time.perf_counter()
        try:
            model.fit(
                self.x,
                self.y,
                epochs=self.epochs,
                batch_size=self.batch_size,
                verbose=0,
                validation_data=self.validation_data,
                validation_freq=scored_every(self.epochs),
                callbacks=[doctor, judge],
            )
        except (ValueError, tf.errors.OpError) as error:
            doctor.detach()
            judge.ended = f"`fit` raised {type(error).__name__}: {str(error).splitlines()[0]}"
        judge.put_best()
        return Run(
            model=model,
            findings=doctor.findings,
            score=judge.best,
            epochs=judge.epochs_run,
            seconds=time.perf_counter() - started,
            ended=judge.ended or _stopped(doctor),
            curve=judge.curve,
        )


def scored_every(epochs: int) -> int:
    """Epochs from one look at the held-out data to the next."""
    return max(1, math.ceil(epochs / _SCORES))


def _stopped(doctor: TrainingDoctor) -> str:
    if doctor.stopped_at is None:
        return ""
    return f"hopeless at step {doctor.stopped_at:,}"


class _Judge(keras.callbacks.Callback):
    """Scores about 20 times in a run, keeps the best weights, and ends what is decided."""

    def __init__(
        self, score: TaskScore, epochs: int, doctor: TrainingDoctor, leader: Run | None
    ) -> None:
        super().__init__()
        self._score, self._epochs, self._doctor, self._leader = score, epochs, doctor, leader
        self._every = scored_every(epochs)
        self._weights: list[Any] | None = None
        self._best_at, self._least = 0, math.inf
        self.best, self.epochs_run, self.ended = -math.inf, 0, ""
        self.curve: list[tuple[float, float]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Scores, where that is due."""
        self.epochs_run = epoch + 1
        loss = (logs or {}).get("loss", math.inf)
        if loss < _LESS * self._least:
            self._least, self._best_at = loss, self.epochs_run
        if self.epochs_run % self._every and self.epochs_run != self._epochs:
            return
        self._take(self._score.of(self.model))
        self.ended = self._decided()
        if self.ended:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Scores a run that was ended between two scores."""
        if self.epochs_run % self._every and self.epochs_run != self._epochs:
            self._take(self._score.of(self.model))

    def put_best(self) -> None:
        """Gives the model its best weights."""
        if self._weights is not None:
            self.model.set_weights(self._weights)

    def _take(self, score: float) -> None:
        if score > self.best:
            self.best, self._best_at = score, self.epochs_run
            self._weights = self.model.get_weights()
        self.curve.append((self.epochs_run / self._epochs, self.best))

    def _decided(self) -> str:
        """Why the rest of the run would change nothing, `""` where it might."""
        share, skill = self.epochs_run / self._epochs, self._score.skill(self.best)
        if share == 1:
            return ""
        if skill > 1 - 1e-6:
            return "nothing is left to gain"
        if skill >= GOOD and self.epochs_run - self._best_at >= max(5, _STALLED * self._epochs):
            return f"nothing better in {self.epochs_run - self._best_at} epochs"
        if share >= _DECIDED and skill < GOOD and errors_of(self._doctor.findings):
            return f"{errors_of(self._doctor.findings)[0].symptom} decides it"
        if share >= 0.5 and self._is_behind():
            return "behind the best attempt, and not catching up"
        return ""

    def _is_behind(self) -> bool:
        """Whether it stays below the leader, were it to gain on as in the last half of its time."""
        if self._leader is None or not self._leader.curve:
            return False
        share, best = self.curve[-1]
        earlier = [score for at, score in self.curve if at <= share / 2]
        if not earlier or not math.isfinite(earlier[-1]):
            return not math.isfinite(best)
        reach = best + (best - earlier[-1]) * (1 - share) / (share / 2)
        return reach < self._leader.score - self._score.noise(self._leader.score)
