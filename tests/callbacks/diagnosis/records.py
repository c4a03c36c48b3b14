"""Builders of small `TrainingRecord`s with the numbers that a rule reads, planted by hand."""

import numpy as np

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks._rows import Rows

LN_10 = float(np.log(10))


def hidden_names(depth):
    return [f"hidden_{at + 1}" for at in range(depth)]


def dense_network(depth=4, activation="relu", units=32, classes=10, **changes):
    """The description of `depth` dense hidden layers and a softmax output, as a chain."""
    names = [*hidden_names(depth), "output"]
    layers = [
        {
            "path": name,
            "class": "Dense",
            "activation": activation if name != "output" else "softmax",
            "units": units if name != "output" else classes,
            "kernel_initializer": "HeNormal",
            "parameters": units * units + units,
            "inputs": [at - 1] if at else [],
            "output": name == "output",
            "normalizes": False,
            "merges": False,
        }
        for at, name in enumerate(names)
    ]
    network = {
        "name": "net",
        "class": "Functional",
        "outputs": ["output"],
        "layers": layers,
        "loss": "sparse_categorical_crossentropy",
        "optimizer": {"name": "SGD", "learning_rate": 0.1},
        "planned_epochs": 10,
        "steps_per_epoch": 50,
    }
    return {**network, **changes}


def norms_over_depth(depth, ratio):
    """Kernel norms of `depth` hidden layers, each `ratio` times its successor's, and an output."""
    return np.append(ratio ** np.arange(depth - 1, -1, -1.0), 1)


def record_of(
    depth=4,
    steps=100,
    *,
    loss=LN_10,
    kernel=1.0,
    bias=None,
    weight=None,
    update=None,
    zero=None,
    dead=None,
    saturated=None,
    std=None,
    activation="relu",
    units=32,
    network=None,
    baseline=None,
    epochs=(),
    gradients=True,
    rate=0.1,
    every=1,
):
    """A record of `depth` hidden layers and an output.

    `kernel`, `bias`, `weight`, `update` and `zero` broadcast to `[steps, depth + 1]`, `dead`,
    `saturated` and `std` to `[steps, depth]`, `loss` to `[steps]`; what is None isn't recorded
    (a None `bias` stands for layers with none). `baseline` is the best constant prediction's
    loss.
    """
    network = dense_network(depth, activation, units) if network is None else network
    data = {} if baseline is None else {"baseline": {"loss": baseline, "accuracy": None}}
    record = TrainingRecord(network, data)
    names = [*hidden_names(depth), "output"]
    common = {"loss": loss, "learning_rate": rate}
    if gradients:
        parts = ["kernel"] if bias is None else ["kernel", "bias"]
        columns = [_column(name, part, units) for name in names for part in parts]
        values = {"gradient_norm": [kernel, bias], "weight_norm": [weight, weight],
                  "update_norm": [update, update], "zero_fraction": [zero, zero]}  # fmt: skip
        values = {name: pair for name, pair in values.items() if pair[0] is not None}
        wide = {
            name: np.stack(
                [np.broadcast_to(value, (steps, depth + 1)) for value in pair[: len(parts)]], -1
            ).reshape(steps, (depth + 1) * len(parts))
            for name, pair in values.items()
        }
        _add(record, Rows("gradients", columns, tuple(wide), every), steps, common, wide)
    wide = {"dead_fraction": dead, "saturated_fraction": saturated, "std": std}
    wide = {
        name: np.broadcast_to(value, (steps, depth))
        for name, value in wide.items()
        if value is not None
    }
    if wide:
        columns = [
            {**_column(name, "other", units), "path": name, "activation": activation,
             "units": units} for name in names[:-1]
        ]  # fmt: skip
        _add(record, Rows("activations", columns, tuple(wide), every), steps, common, wide)
    record.epochs = [dict(logs) for logs in epochs]
    return record


def _column(layer, part, units):
    size = units * units if part == "kernel" else units
    return {"path": f"{layer}/{part}", "layer": layer, "part": part, "shape": [size],
            "size": size, "connected": True}  # fmt: skip


def _add(record, group, steps, common, values):
    rows = group.empty(steps)
    rows["step"] = np.arange(steps) * group.every
    rows["epoch"] = rows["step"] // (record.network.get("steps_per_epoch") or 50)
    for name, value in {**common, **values}.items():
        rows[name] = value
    record.add_group(group)
    record.append(group.name, rows)
