"""Builders of records whose losses, logs and steps are planted by hand."""

import numpy as np
from records import LN_10, dense_network, record_of

EPOCH = 50
"""Steps of an epoch."""


def noise(seed, steps, size=0.3):
    return size * np.random.default_rng(seed).standard_normal(steps)


def falling(steps, pace, floor=0.2, start=2.4):
    """An exponential from `start` to `floor` with a time constant of `pace` steps."""
    return floor + (start - floor) * np.exp(-np.arange(steps) / pace)


def run(losses, planned_steps=None, *, accuracy=None, val=None, guessing=0.1, **options):
    """A run of 50 steps an epoch: its losses, and its epochs' logs from them."""
    losses = np.asarray(losses, float)
    planned = (planned_steps or len(losses)) / EPOCH
    options.setdefault("network", dense_network(1, planned_epochs=planned, steps_per_epoch=EPOCH))
    options.setdefault("baseline", LN_10)
    epochs = [{"loss": float(part.mean())} for part in np.array_split(losses, len(losses) // EPOCH)]
    for name, values in (("accuracy", accuracy), ("val_loss", val)):
        for logs, value in zip(epochs, values if values is not None else [], strict=False):
            logs[name] = float(value)
    record = record_of(1, len(losses), loss=losses, epochs=epochs, **options)
    if accuracy is not None:
        record.data["baseline"]["accuracy"] = guessing
        record.data["samples"] = 5000
    return record


def stepping(losses, planned_steps=None, *, ratio=1e-3, optimizer=None, baseline=LN_10, **options):
    """A run whose steps are `ratio` times the weights: a number, one a step, or `[steps, 3]`."""
    losses = np.asarray(losses, float)
    planned = (planned_steps or len(losses)) / EPOCH
    network = dense_network(2, planned_epochs=planned, steps_per_epoch=EPOCH)
    if optimizer:
        network["optimizer"] = optimizer
    options.setdefault("update", 5 * np.reshape(ratio, (-1, 1)))
    return record_of(
        2, len(losses), loss=losses, network=network, baseline=baseline, weight=5.0, **options
    )
