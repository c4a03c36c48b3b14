"""`Claim`: one recommendation of the texts, and what would count for and against it."""

from dataclasses import dataclass

from data_sets import NAMES, PLANS


@dataclass(frozen=True)
class Measure:
    """One number of a training.

    Attributes:
        judged: Its name in the results.
        chosen: Name of the number by which rate and L2 strength are chosen.
        sign: 1 where more is better, -1 where less is.
        smallest: The smallest effect that counts.
        unit: Of the effect.
        told: What it is, for the page.
    """

    judged: str
    chosen: str
    sign: int
    smallest: float
    unit: str
    told: str


_POINTS, _LOGS = "points", "ln"
MEASURES = {
    "accuracy": Measure("test_accuracy", "validation_accuracy", 1, 0.2, _POINTS,
                        "test accuracy after the last epoch"),
    "stopped accuracy": Measure("test_stopped", "validation_stopped", 1, 0.2, _POINTS,
                                "test accuracy at the epoch that no-improvement-in-ten picks"),
    "Monte Carlo accuracy": Measure("test_mc_accuracy", "validation_accuracy", 1, 0.2, _POINTS,
                                    "test accuracy of the mean of 30 predictions with dropout"),
    "loss": Measure("test_loss", "validation_loss", -1, 0.05, _LOGS,
                    "ln of the test loss after the last epoch"),
    "Monte Carlo loss": Measure("test_mc_loss", "validation_loss", -1, 0.05, _LOGS,
                                "ln of the test loss of the mean of 30 predictions with dropout"),
    "speed": Measure("speed", "speed", -1, 0.05, _LOGS,
                     "ln of the training loss, mean over all epochs"),
    "threshold": Measure("test_accuracy", "falls", 1, 0.2, _POINTS,
                         "test accuracy at the largest rate with which the training loss falls in "
                         "each of the first five epochs"),
    "half of the threshold": Measure("test_accuracy", "falls", 1, 0.2, _POINTS,
                                     "test accuracy at half of that rate"),
}  # fmt: skip

# By how many points less may still be called as good.
MARGIN = 0.5

IMAGES = tuple(name for name in NAMES if PLANS[name].images)


@dataclass(frozen=True)
class Claim:
    """A claim, fixed before the run.

    Attributes:
        name: Short, for the figure.
        says: What is claimed, one sentence.
        source: Where the texts have it.
        a: The arm that is recommended.
        b: The arm over which it is.
        measure: Key of `MEASURES`.
        b_measure: Of arm B where it is another one.
        as_good: Whether A is only claimed to be no worse than B, by more than `MARGIN`.
        data: Names of the data sets that can tell.
        note: What one should know to read the result.
    """

    name: str
    says: str
    source: str
    a: str
    b: str
    measure: str = "accuracy"
    b_measure: str | None = None
    as_good: bool = False
    data: tuple[str, ...] = NAMES
    note: str = ""

    @property
    def measures(self) -> tuple[Measure, Measure]:
        """Of A and of B."""
        return MEASURES[self.measure], MEASURES[self.b_measure or self.measure]

    @property
    def smallest(self) -> float:
        """The mean effect from which on a clear difference counts."""
        return self.measures[0].smallest
