"""`EXPERIMENTS`: what can be reproduced, without importing any of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Experiment:
    """One experiment of the texts.

    Attributes:
        name: As in `trainwell reproduce NAME`.
        title: What it shows, in a line.
        source: Where the text has it.
    """

    name: str
    title: str
    source: str

    @property
    def module(self) -> str:
        """The module in this package that has its `run`."""
        return self.name.replace("-", "_")


EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "depth-accuracy",
        "Validation accuracy with one to four hidden layers of 30 sigmoid units",
        "Nielsen, Neural Networks and Deep Learning, chapter 5",
    ),
    Experiment(
        "learning-speed",
        "How fast each hidden layer learns, with two, three and four of them",
        "Nielsen, chapter 5",
    ),
)
"""In the order in which the texts have them. A new one is a module here and an entry."""


def experiment(name: str) -> Experiment:
    """The experiment of a name.

    Raises:
        KeyError: There is none.
    """
    return {one.name: one for one in EXPERIMENTS}[name]
