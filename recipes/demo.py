"""`compare`: one deep network wired several ways, trained side by side under the monitors."""

import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..callbacks.activation_facts import facts_of
from ..callbacks.gradient_norms import GradientNorms
from ..callbacks.plots import plot_depth_profiles, plot_gradient_norms
from ..callbacks.record import TrainingRecord
from ..callbacks.report import write_comparison
from ._demo_networks import NETWORKS, Network
from ._demo_words import Result, intro_to, note_on, rich_table, rows_of
from .datasets import Dataset
from .mlp import mlp

WIDTH = 100
BATCH_SIZE = 32
MOMENTUM = 0.9
# Per variable. In the sweep beside `NETWORKS` the worst seed with it and without, each at its best
# learning rate: ReLU 0.947 and 0.933 (seeds 0..9), batch normalization 0.939 and 0.889 (0..4).
CLIPNORM = 1.0
TRAINING = (
    f"SGD with momentum {MOMENTUM:g}, each variable's gradient clipped to norm {CLIPNORM:g} (the "
    f"figures show it unclipped), batches of {BATCH_SIZE}"
)


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
                console.print(f"{network.name}: {result.seconds:.0f} s")
    intro = intro_to(results, dataset, layers=layers, width=WIDTH, epochs=epochs, training=TRAINING)
    plot_depth_profiles(runs).savefig(out / "gradient_profiles.png")
    write_comparison(
        runs,
        out / "report.html",
        table=rows_of(results),
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
    console.print(rich_table(results))
    # As plain text: Rich would take brackets for markup.
    for text in (*(f"{result.name}: {result.note}" for result in results), intro):
        console.print(text, markup=False, highlight=False)
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
        _batches(dataset, seed),
        shuffle=False,
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
        note=note_on(layers, first, last, saturated, accuracy, dataset.y_test),
    )
    return result, monitor.record


def _batches(dataset: Dataset, seed: int) -> Any:
    """The training data in a new order each epoch.

    On arrays, once a seed is set, `fit` repeats the order of the first epoch in all others
    (TensorFlow issue 35682).
    """
    x, y = tf.constant(dataset.x_train), tf.constant(dataset.y_train)
    order = tf.data.Dataset.range(len(x)).shuffle(len(x), seed=seed)
    batches = order.batch(BATCH_SIZE).map(lambda at: (tf.gather(x, at), tf.gather(y, at)))
    return batches.prefetch(1)


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
