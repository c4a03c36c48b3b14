"""`Arm`: one way to build and train a network, as plain data; `ARMS` are all that are compared."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial

from data_sets import PLANS

# Half decades; the same for both arms of a claim, but where Adam meets SGD, or inputs are raw.
GRID = (0.01, 0.03, 0.1, 0.3, 1.0)
DEEP_GRID = (0.003, 0.01, 0.03, 0.1, 0.3)
SIGMOID_GRID = (0.03, 0.1, 0.3, 1.0, 3.0)
WIDE_GRID = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
ADAM_GRID = tuple(rate / 10 for rate in WIDE_GRID)
COST_GRID = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
RAW_GRID = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
LADDER = tuple(2.0**power for power in range(-4, 6))

# Raised where training changes its meaning: all arms are then run anew.
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A network and its training.

    Attributes:
        network: `"mlp"`, `"residual"` (blocks of two layers) or `"recurrent"` (rows of the image
            one after another).
        layers: Hidden layers.
        units: Of each of them.
        activation: Of the hidden layers.
        slope: Of leaky ReLU.
        initializer: Of the kernels; None: what fits the activation. `"naive"`: N(0, 1),
            `"nielsen"`: N(0, 1 / fan_in).
        naive_biases: Whether biases are N(0, 1), as Nielsen has them, not 0.
        normalization: None, `"batch"` before the activation or `"batch_after"` it.
        input_normalization: `"batch"`: batch normalization as the first layer.
        inputs: See `data_sets.splits`.
        outputs: `"softmax"` or `"sigmoid"`.
        cost: `"cross-entropy"` or `"quadratic"`.
        dropout: After each hidden layer.
        ordinary_dropout: Not alpha dropout, where the activation is SELU.
        monte_carlo: Whether the mean of 30 predictions with dropout is judged as well.
        max_norm: Largest norm of the weights into a unit.
        decays: Strengths of L2, one of which the validation part chooses together with the rate.
        optimizer: `"sgd"`, `"adam"` or `"nadam"`.
        momentum: Of SGD.
        nesterov: Whether it is Nesterov's.
        schedule: None, `"1cycle"`, `"exponential"`, `"piecewise"` or `"halving"`.
        clip: Largest norm of all gradients together.
        batch: None: the data set's.
        length: Times the epochs of the data set.
        labels: Labelled examples of each class; None: all. 600 steps with batches of ten then.
        pretrained: Whether layer by layer as autoencoders before, on all training inputs.
        stopping: Whether the epoch that no-improvement-in-ten picks is judged as well.
        rates: Learning rates to choose from.
    """

    network: str = "mlp"
    layers: int = 2
    units: int = 100
    activation: str = "relu"
    slope: float | None = None
    initializer: str | None = None
    naive_biases: bool = False
    normalization: str | None = None
    input_normalization: str | None = None
    inputs: str = "standardized"
    outputs: str = "softmax"
    cost: str = "cross-entropy"
    dropout: float = 0.0
    ordinary_dropout: bool = False
    monte_carlo: bool = False
    max_norm: float | None = None
    decays: tuple[float, ...] = (0.0,)
    optimizer: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    schedule: str | None = None
    clip: float | None = None
    batch: int | None = None
    length: float = 1.0
    labels: int | None = None
    pretrained: bool = False
    stopping: bool = False
    rates: tuple[float, ...] = GRID

    @property
    def grid(self) -> list[tuple[float, float]]:
        """All pairs of a rate and an L2 strength."""
        return [(rate, decay) for rate in self.rates for decay in self.decays]

    def digest(self, data: str) -> str:
        """By which a result is found again, as long as neither arm nor plan have changed."""
        text = json.dumps([_VERSION, data, PLANS[data], asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


# 20 layers of 50 units; one hidden layer of 100 sigmoid units with Nielsen's weights.
_deep = partial(replace, Arm(layers=20, units=50, rates=DEEP_GRID))
_sigmoid = partial(
    replace,
    Arm(layers=1, activation="sigmoid", initializer="nielsen", naive_biases=True,
        rates=SIGMOID_GRID),
)  # fmt: skip

_XU = (1 / 8 + 1 / 3) / 2  # the mean slope of RReLU
_PLAIN_50 = Arm(layers=50, units=32, normalization="batch", length=0.5, rates=(0.01, 0.03, 0.1))
_FEW = Arm(layers=4, activation="sigmoid", labels=5, batch=10, rates=SIGMOID_GRID)
_DROPPED = _deep(layers=8, activation="selu", dropout=0.1, rates=(0.01, 0.03, 0.1))
_RECURRENT = Arm(network="recurrent", layers=1, units=50, activation="tanh")

ARMS: dict[str, Arm] = {
    # 20 layers of 50 units
    "deep ReLU, He": _deep(),
    "deep ReLU, Glorot": _deep(initializer="glorot_normal"),
    "deep ReLU, N(0, 1)": _deep(initializer="naive"),
    "deep ReLU, N(0, 1), batch norm": _deep(initializer="naive", normalization="batch"),
    "deep ReLU, batch norm": _deep(normalization="batch"),
    "deep ReLU, rate 1": _deep(rates=(1.0,)),
    "deep ReLU, batch norm, rate 1": _deep(normalization="batch", rates=(1.0,)),
    "deep leaky ReLU 0.2": _deep(activation="leaky_relu", slope=0.2),
    "deep leaky ReLU 0.01": _deep(activation="leaky_relu", slope=0.01),
    "deep ELU": _deep(activation="elu"),
    "deep SELU, LeCun": _deep(activation="selu"),
    "deep SELU, Glorot": _deep(activation="selu", initializer="glorot_normal"),
    "deep SELU, He": _deep(activation="selu", initializer="he_normal"),
    "deep SELU, inputs 0 to 1": _deep(activation="selu", inputs="unit"),
    "SELU, alpha dropout": _DROPPED,
    "SELU, dropout": replace(_DROPPED, ordinary_dropout=True),
    "deep tanh, Glorot": _deep(activation="tanh"),
    "deep tanh, N(0, 1)": _deep(activation="tanh", initializer="naive"),
    "deep sigmoid, Glorot": _deep(activation="sigmoid"),
    # 2 layers of 100 ReLU units
    "plain": Arm(),
    "PReLU": Arm(activation="prelu"),
    "few labels, ReLU": Arm(labels=10, batch=10),
    "few labels, PReLU": Arm(labels=10, batch=10, activation="prelu"),
    "leaky ReLU 11/48": Arm(activation="leaky_relu", slope=_XU),
    "RReLU": Arm(activation="rrelu"),
    "batch norm before": Arm(normalization="batch"),
    "batch norm after": Arm(normalization="batch_after"),
    "raw inputs": Arm(inputs="raw", rates=RAW_GRID),
    "standardized inputs": Arm(rates=RAW_GRID),
    "raw inputs, batch norm first": Arm(inputs="raw", input_normalization="batch"),
    "L2": Arm(decays=(1e-4, 1e-3, 1e-2)),
    "dropout": Arm(dropout=0.3, monte_carlo=True),
    "max-norm": Arm(max_norm=1.0),
    "long": Arm(length=3.0, stopping=True),
    "SGD": Arm(rates=WIDE_GRID),
    "momentum": Arm(momentum=0.9, rates=WIDE_GRID),
    "Nesterov": Arm(momentum=0.9, nesterov=True, rates=WIDE_GRID),
    "Adam": Arm(optimizer="adam", rates=ADAM_GRID),
    "Nadam": Arm(optimizer="nadam", rates=ADAM_GRID),
    "1cycle": Arm(momentum=0.9, schedule="1cycle", rates=WIDE_GRID),
    "exponential": Arm(momentum=0.9, schedule="exponential", rates=WIDE_GRID),
    "piecewise": Arm(momentum=0.9, schedule="piecewise", rates=WIDE_GRID),
    "halving": Arm(momentum=0.9, schedule="halving", rates=WIDE_GRID),
    "batches of 8": Arm(batch=8),
    "batches of 96": Arm(batch=96),
    # sigmoid networks
    "sigmoid, 1/sqrt(n)": _sigmoid(),
    "sigmoid, N(0, 1)": _sigmoid(initializer="naive"),
    "tanh, 1/sqrt(n)": _sigmoid(activation="tanh"),
    "one layer of 30": _sigmoid(units=30),
    "four layers of 30": _sigmoid(units=30, layers=4),
    "sigmoid outputs, cross-entropy": _sigmoid(outputs="sigmoid", rates=COST_GRID),
    "sigmoid outputs, quadratic": _sigmoid(outputs="sigmoid", cost="quadratic", rates=COST_GRID),
    "rates in doubles": _sigmoid(rates=LADDER),
    "pretrained": replace(_FEW, pretrained=True),
    "not pretrained": _FEW,
    # others
    "50 layers, shortcuts": replace(_PLAIN_50, network="residual"),
    "50 layers, no shortcuts": _PLAIN_50,
    "recurrent, clipped": replace(_RECURRENT, clip=1.0),
    "recurrent": _RECURRENT,
}
