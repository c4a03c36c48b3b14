"""What the demo says about what it measured, and what theory expects of the naive network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

if TYPE_CHECKING:
    from .datasets import Dataset

# First over last hidden layer, as in AutoTrainer (Zhang et al. 2021).
VANISHED, EXPLODED = 1e-3, 70.0
# A healthy sigmoid layer has next to none at the start.
_MANY_SATURATED = 0.1


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one network did; its fields are the keys in `summary.json`."""

    name: str
    activation: str
    kernel_initializer: str
    normalization: str | None
    learning_rate: float
    val_accuracy: float
    gradient_ratio_first_step: float
    gradient_ratio_last_step: float
    seconds: float
    note: str


def note_on(
    layers: int,
    ratio_first: float,
    ratio_last: float,
    saturated: float | None,
    accuracy: float,
    y: Any,
) -> str:
    """A word on a network, from what was measured.

    Args:
        layers: Number of hidden layers.
        ratio_first: Gradient norm of the first over the last hidden kernel at the first step.
        ratio_last: The same at the last step.
        saturated: Share of saturated units before training, `None` where the activation cannot.
        accuracy: Validation accuracy.
        y: Validation classes, int `[m]`.

    Returns:
        Text without a full stop.
    """
    words = [_on_ratio(ratio_first, layers)]
    if _kind(ratio_first) != _kind(ratio_last):
        words.append(f"at the last step {ratio_last:.1e}")
    if saturated is not None and saturated >= _MANY_SATURATED:
        words.append(f"{saturated:.0%} of the units start saturated")
    if not math.isfinite(accuracy):
        words.append("no accuracy")
    elif accuracy < _best_guess(np.asarray(y)):
        words.append("no better than guessing")
    return "; ".join(words)


def _on_ratio(ratio: float, layers: int) -> str:
    kind = _kind(ratio)
    if kind == "unknown":
        return "no gradient ratio"
    share = f"{ratio:.1e}" if kind == "vanished" else f"{ratio:.2g}"
    return f"gradient {kind}: layer 1 gets {share} of layer {layers}'s"


def _kind(ratio: float) -> str:
    if not math.isfinite(ratio):
        return "unknown"
    return "vanished" if ratio < VANISHED else "exploded" if ratio > EXPLODED else "arrives"


def _best_guess(y: npt.NDArray[Any]) -> float:
    """The accuracy that guessing can reach: the largest class's share, plus three deviations."""
    share = float(np.bincount(y).max() / len(y))
    return share + 3 * math.sqrt(share * (1 - share) / len(y))


def predicted_sigmoid_ratio(inputs: float, width: int, layers: int, stddev: float) -> float:
    """The gradient ratio of a sigmoid network with weights and biases N(0, stddev^2).

    ```
    v_1 = s^2 (inputs + 1),  v_l+1 = s^2 (n E[sigma(z)^2] + 1)          variance of z_l
    chi_l = n s^2 E[sigma'(z_l)^2],  z_l ~ N(0, v_l)       squared gradient, layer l over l + 1
    ratio^2 = inputs / (n E[sigma(z_L-1)^2]) * chi_1 * ... * chi_L-1
    ```

    It holds for one sample and wide layers; over a batch, whose samples disagree more the further
    back the gradient comes, the first layer's mean is smaller.

    Args:
        inputs: Mean squared norm of a sample: the number of features that vary, where they are
            standardized.
        width: Units `n` of each hidden layer.
        layers: Number `L` of hidden layers.
        stddev: Standard deviation `s`.

    Returns:
        Expected norm of the first over the last hidden kernel's gradient.

    Reference:
        Poole et al. 2016; Schoenholz et al. 2017 (the mean field of deep networks).
    """
    grid = np.linspace(-10, 10, 20_001)
    weights = np.exp(-(grid**2) / 2)
    weights /= weights.sum()
    variance, signal, squared = stddev**2 * (inputs + 1), inputs, 1.0
    for _ in range(layers - 1):
        sigma = 1 / (1 + np.exp(-grid * math.sqrt(variance)))
        squared *= width * stddev**2 * float(weights @ (sigma * (1 - sigma)) ** 2)
        signal = width * float(weights @ sigma**2)
        variance = stddev**2 * (signal + 1)
    return math.sqrt(squared * inputs / signal)


def rows_of(results: Sequence[Result]) -> list[dict[str, object]]:
    """The report's table: what is shown of each result, by column."""
    return [
        {
            "network": result.name,
            "initializer": result.kernel_initializer,
            "learning rate": result.learning_rate,
            "validation accuracy": result.val_accuracy,
            "ratio, first step": result.gradient_ratio_first_step,
            "ratio, last step": result.gradient_ratio_last_step,
            "seconds": result.seconds,
            "in a word": result.note,
        }
        for result in results
    ]


def rich_table(results: Sequence[Result]) -> Table:
    """The numbers, in 80 columns."""
    table = Table("network", box=None, header_style="bold", padding=(0, 1))
    for column in ("learning rate", "validation accuracy", "ratio, first step", "ratio, last step"):
        table.add_column(column, justify="right", max_width=11)
    table.add_column("seconds", justify="right")
    for result in results:
        ratios = (result.gradient_ratio_first_step, result.gradient_ratio_last_step)
        table.add_row(
            result.name,
            f"{result.learning_rate:g}",
            f"{result.val_accuracy:.1%}",
            *(f"{ratio:.1e}" for ratio in ratios),
            f"{result.seconds:.1f}",
        )
    return table


def intro_to(
    results: Sequence[Result],
    dataset: "Dataset",
    *,
    layers: int,
    width: int,
    epochs: int,
    training: str,
) -> str:
    """The report's paragraph: what was trained, and why the naive network's gradient arrives."""
    text = (
        f"{layers} hidden layers of {width} units on {dataset.name} "
        f"({len(dataset.x_train):,} training and {len(dataset.x_test):,} validation samples, "
        f"standardized inside the model), {epochs} epochs, {training}. The ratio is the gradient "
        "norm of the first over the last hidden kernel."
    )
    naive = [result for result in results if result.name == "naive"]
    if layers > 1 and naive:
        varying = dataset.x_train.min(axis=0) != dataset.x_train.max(axis=0)
        expected = predicted_sigmoid_ratio(float(varying.sum()), width, layers, 1.0)
        text += (
            " In the naive network, with weights and biases N(0, 1), each layer multiplies the "
            "squared gradient by n Var(w) E[sigma'(z)^2]: the pre-activations are so large that "
            f"sigma' is almost 0 for many units, but n = {width} makes up for it. For one sample "
            f"that predicts a ratio of {expected:.2g}; the mean over a batch, whose samples cancel "
            f"each other more in layer 1 than in layer {layers}, is smaller. Measured: "
            f"{naive[0].gradient_ratio_first_step:.2g}. Its gradient does not vanish: its "
            "units start saturated."
        )
    return text
