"""`compare`: one deep network wired several ways, trained side by side under the monitors."""

import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..callbacks.gradient_norms import GradientNorms
from ..callbacks.plots import plot_depth_profiles, plot_gradient_norms
from ..callbacks.activation_facts import facts_of
from ..callbacks.record import TrainingRecord
from ..callbacks.report import write_comparison
from ._demo_words import intro_to, note_on, rich_table, rows_of
from .activations import initializer_for
from .datasets import Dataset
from .mlp import mlp

WIDTH = 100
BATCH_SIZE = 32
MOMENTUM = 0.9
# Per variable. Without it no learning rate served the ReLU network on every seed (0.83 to 0.96).
CLIPNORM = 1.0
TRAINING = (
    f"SGD with momentum {MOMENTUM:g}, each variable's gradient clipped to norm {CLIPNORM:g} (the "
    f"figures show it unclipped), batches of {BATCH_SIZE}"
)


@dataclass(frozen=True, kw_only=True)
class Network:
    """One way to wire the network; a row of `NETWORKS` is all that a new one takes.

    Args:
        name: Name, also of its files.
        activation: Name in `ACTIVATIONS`.
        learning_rate: Float.
        normalization: As in `mlp`. Defaults to `None`.
        stddev: Float. Of all weights and biases, in place of the initializer that the activation
            needs and zeros. Defaults to `None`.
    """

    name: str
    activation: str
    learning_rate: float
    normalization: str | None = None
    stddev: float | None = None

    @property
    def initializer(self) -> Any:
        """The Keras initializer of the kernels."""
        if self.stddev is None:
            return initializer_for(self.activation)
        return keras.initializers.RandomNormal(stddev=self.stddev)

    @property
    def initializer_name(self) -> str:
        """What the initializer is called in tables."""
        name = type(self.initializer).__name__
        return name if self.stddev is None else f"{name}(stddev={self.stddev:g})"


# Learning rates from a sweep on the digits, 10 epochs, over 0.003, 0.01 and 0.03 (the sigmoids and
# batch normalization also 0.1), 3 to 5 seeds each: the best worst seed. At 0.03 SELU falls to
# 0.71 and leaky ReLU to 0.84; at 0.003 batch normalization reaches 0.38.
NETWORKS = (
    Network(name="naive", activation="sigmoid", stddev=1.0, learning_rate=0.01),
    Network(name="sigmoid-glorot", activation="sigmoid", learning_rate=0.01),
    Network(name="tanh-glorot", activation="tanh", learning_rate=0.003),
    Network(name="relu-he", activation="relu", learning_rate=0.01),
    Network(name="leaky-relu-he", activation="leaky_relu", learning_rate=0.01),
    Network(name="elu-he", activation="elu", learning_rate=0.01),
    Network(name="selu-lecun", activation="selu", learning_rate=0.003),
    Network(
        name="relu-he-batch", activation="relu", normalization="batch", learning_rate=0.03
    ),
)


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


def compare(
    dataset: Dataset,
    out: Path,
    *,
    layers: int = 20,
    epochs: int = 10,
    seed: int = 0,
    networks: Iterable[Network] = NETWORKS,
    console: Console | None = None,
) -> list[Result]:
    """Trains each network on the data set and writes what was seen to a folder.

    The folder gets `summary.json`, `report.html`, `gradient_profiles.png`, and for each network
    `NAME.record` and `NAME.png`. Files of an earlier run are replaced.

    Args:
        dataset: The data; its test part is the validation data.
        out: An existing folder.
        layers: Integer. Hidden layers of 100 units. Defaults to `20`.
        epochs: Integer. Defaults to `10`.
        seed: Integer. Of the weights and of the order of the samples, the same for each network.
            Defaults to `0`.
        networks: The networks. Defaults to `NETWORKS`.
        console: Where progress and the table go. Defaults to the terminal.

    Returns:
        A `Result` per network, in order.
    """
    console, networks = console or Console(), tuple(networks)
    results: list[Result] = []
    runs: dict[str, TrainingRecord] = {}
    steps = epochs * math.ceil(len(dataset.x_train) / BATCH_SIZE)
    with _progress(console) as progress:
        task = progress.add_task("", total=steps * len(networks))
        for at, network in enumerate(networks):
            progress.update(
                task,
                description=f"{at + 1}/{len(networks)} {network.name}",
                completed=steps * at,
            )
            advance = keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: progress.advance(task)
            )
            result, record = _train(network, dataset, layers, epochs, seed, advance)
            record.save(out / f"{network.name}.record")
            plot_gradient_norms(record).savefig(out / f"{network.name}.png")
            results.append(result)
            runs[network.name] = record
            if not console.is_terminal:
                console.print(f"{network.name}: {result.val_accuracy:.1%}, {result.note}")
    rows = rows_of(results)
    intro = intro_to(results, dataset, layers=layers, width=WIDTH, epochs=epochs, training=TRAINING)
    plot_depth_profiles(runs).savefig(out / "gradient_profiles.png")
    write_comparison(
        runs,
        out / "report.html",
        table=rows,
        title=f"One network of {layers} hidden layers, wired {len(runs)} ways",
        intro=intro,
    )
    summary = {
        "dataset": dataset.name,
        "layers": layers,
        "epochs": epochs,
        "networks": [{key: _json(value) for key, value in asdict(r).items()} for r in results],
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    console.print(rich_table(rows))
    console.print(intro)
    return results


def _train(
    network: Network, dataset: Dataset, layers: int, epochs: int, seed: int, advance: Any
) -> tuple[Result, TrainingRecord]:
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    model = mlp(
        dataset.x_train.shape[1:],
        [WIDTH] * layers,
        dataset.classes,
        activation=network.activation,
        kernel_initializer=network.initializer,
        bias_initializer="zeros" if network.stddev is None else network.initializer,
        normalization=network.normalization,
        adapt_to=dataset.x_train,
        seed=seed,
        name=network.name,
    )
    model.compile(
        keras.optimizers.SGD(network.learning_rate, momentum=MOMENTUM, clipnorm=CLIPNORM),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    saturated = _saturated_share(model, network.activation, dataset.x_train[:256])
    monitor = GradientNorms()
    history = model.fit(
        dataset.x_train,
        dataset.y_train,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=(dataset.x_test, dataset.y_test),
        callbacks=[monitor, advance],
        verbose=0,
    )
    ratios = monitor.record.gradient_ratio()
    first, last = float(ratios[0]), float(ratios[-1])
    accuracy = float(history.history["val_accuracy"][-1])
    result = Result(
        name=network.name,
        activation=network.activation,
        kernel_initializer=network.initializer_name,
        normalization=network.normalization,
        learning_rate=network.learning_rate,
        val_accuracy=accuracy,
        gradient_ratio_first_step=first,
        gradient_ratio_last_step=last,
        seconds=round(time.perf_counter() - start, 2),
        note=note_on(first, last, saturated, accuracy, dataset.y_test),
    )
    return result, monitor.record


def _saturated_share(model: Any, activation: str, x: Any) -> float | None:
    """Share of the hidden outputs at either end, `None` where the activation has no two ends."""
    facts = facts_of(activation)
    if facts.output_below is None or facts.output_above is None:
        return None
    hidden = [layer.output for layer in model.layers if layer.name.endswith("_activation")]
    outputs = np.stack([np.asarray(a) for a in keras.Model(model.input, hidden)(x)])
    return float(np.mean((outputs <= facts.output_below) | (outputs >= facts.output_above)))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def _json(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
