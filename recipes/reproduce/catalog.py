"""`EXPERIMENTS`: what can be reproduced, without importing any of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Experiment:
    """One experiment of the texts.

    Attributes:
        name: As in `trainwell reproduce NAME`.
        title: What it shows, in a line.
        source: Where the text has it.
        minutes: What the full run takes on one core, about.
    """

    name: str
    title: str
    source: str
    minutes: int

    @property
    def module(self) -> str:
        """The module in this package that has its `run`."""
        return self.name.replace("-", "_")


EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "depth-accuracy",
        "Validation accuracy with one to four hidden layers of 30 sigmoid units",
        "Nielsen, Neural Networks and Deep Learning, chapter 5",
        21,
    ),
    Experiment(
        "learning-speed",
        "How fast each hidden layer learns, with two, three and four of them",
        "Nielsen, chapter 5",
        10,
    ),
    Experiment(
        "chain-rule",
        "Gradients as products of slopes and weights: one neuron a layer, and wide layers",
        "Nielsen, chapter 5",
        1,
    ),
    Experiment(
        "initialization",
        "Weights N(0, 1) against 1 / sqrt(n): what z is at the start, and how both learn",
        "Nielsen, chapter 3",
        15,
    ),
    Experiment(
        "learning-rates",
        "The training cost at rates of 0.025, 0.25 and 2.5",
        "Nielsen, chapter 3",
        6,
    ),
    Experiment(
        "overfitting",
        "A thousand images with and without lambda, and when to stop",
        "Nielsen, chapter 3",
        4,
    ),
    Experiment(
        "activations",
        "The functions and their derivatives, and the ranking of the activations tested",
        "Géron, chapter 11; Nielsen, chapter 3",
        20,
    ),
    Experiment(
        "dying-relu",
        "Dead ReLU units by learning rate, and what keeps them alive",
        "Géron, chapter 11",
        20,
    ),
    Experiment(
        "self-normalization",
        "SELU at depth 100 and 1,000, forward and backward, each condition broken in turn",
        "Klambauer et al. 2017; Glorot and Bengio 2010; Géron, chapter 11",
        10,
    ),
    Experiment(
        "batch-norm",
        "Batch normalization first, before and after activations, and the collapse it prevents",
        "Géron, chapter 11; Glorot and Bengio 2010",
        15,
    ),
    Experiment(
        "residual",
        "Gradients through 50 layers, and training them, with shortcuts and without",
        "He et al. 2016",
        11,
    ),
    Experiment(
        "clipping",
        "The cliff of a recurrent network's loss, with and without clipped gradients",
        "Géron, chapter 11; Pascanu, Mikolov and Bengio 2013",
        13,
    ),
    Experiment(
        "pretraining",
        "A deep sigmoid network with few labels, pretrained without labels or not",
        "Hinton et al. 2006; Géron, chapter 11",
        5,
    ),
    Experiment(
        "schedules",
        "Power, exponential, piecewise, plateau and 1cycle against a constant rate",
        "Géron, chapter 11",
        15,
    ),
    Experiment(
        "optimizers",
        "Momentum, Nesterov, the Hessian technique, first weights and start points",
        "Nielsen, chapter 3; Sutskever et al. 2013",
        4,
    ),
    Experiment(
        "batch-size",
        "Time to accuracy by batch size; a hundred batches of one against one of a hundred",
        "Nielsen, chapter 3",
        7,
    ),
)
"""In the order in which the texts have them. A new one is a module here and an entry."""


def experiment(name: str) -> Experiment:
    """The experiment of a name.

    Raises:
        KeyError: There is none.
    """
    return {one.name: one for one in EXPERIMENTS}[name]
