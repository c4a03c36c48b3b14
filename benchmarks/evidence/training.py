"""Trains an arm on a data set: all its seeds and rates at once, and what is measured of them."""

import math
from typing import Any

import keras
import numpy as np
import optimizers
import tensorflow as tf
from arms import Arm
from data_sets import PLANS, Part, Splits, splits
from networks import cost, network
from replicas import SplitReplicas

from trainwell import recipes

SEEDS = list(range(10))
_DRAWS = 30  # predictions with dropout
_PATIENCE = 10  # epochs, of no-improvement-in-ten
_STEPS_OF_FEW = 600
_LOWEST, _HIGHEST = 1e-3, 10.0  # of losses: what is below or above, or NaN, counts as these
_FIRST = 5  # epochs in which the cost has to fall

Measures = dict[str, Any]


def train(arm: Arm, data: str, seeds: list[int] = SEEDS) -> Measures:
    """Measures by name, each `[grid, seeds]`, of all rates and L2 strengths of the arm."""
    parts = splits(data, arm.inputs, seeds)
    taught = _labelled(parts.train, arm.labels, parts.classes)
    batch = arm.batch or PLANS[data].batch
    steps = taught.y.shape[1] // batch
    epochs = max(1, round(PLANS[data].epochs * arm.length))
    if arm.labels is not None:
        epochs = math.ceil(_STEPS_OF_FEW / steps)
    keras.utils.set_random_seed(0)
    factors = tf.Variable(tf.ones(len(arm.grid) * len(seeds)))
    models = [network(arm, parts.train.x.shape[-1], parts.classes, seed) for seed in seeds]
    if arm.pretrained:
        for model, x, seed in zip(models, parts.train.x, seeds, strict=True):
            recipes.greedy_pretrain(model, x, epochs=5, batch_size=32, seed=seed)
    for model in models:
        model.compile(_optimizer(arm, factors, len(seeds), steps * epochs),
                      cost(arm, parts.classes))  # fmt: skip
    run = _Run(arm, SplitReplicas(models, len(arm.grid)), parts, factors)
    for epoch in range(epochs):
        run.after_epoch(run.replicas.train_epoch(taught, batch), epochs, epoch)
    shape = len(arm.grid), len(seeds)
    return {name: np.reshape(one, shape).tolist() for name, one in run.measures().items()}


def _labelled(train: Part, labels: int | None, classes: int) -> Part:
    """The first so many examples of each class, of each seed."""
    if labels is None:
        return train
    rows = [
        np.concatenate([np.flatnonzero(y == kind)[:labels] for kind in range(classes)])
        for y in train.y
    ]
    return Part(*(np.stack([one[at] for one, at in zip(a, rows, strict=True)]) for a in train))


def _optimizer(arm: Arm, factors: Any, seeds: int, steps: int) -> Any:
    rates, decays = np.repeat(np.array(arm.grid), seeds, axis=0).T
    own = {"factors": factors, "clip": arm.clip, "max_norm": arm.max_norm}
    given = {"learning_rate": optimizers.schedule(arm.schedule, steps), **own}
    if arm.optimizer == "sgd":
        given |= {"momentum": arm.momentum, "nesterov": arm.nesterov}
    kinds = {"sgd": optimizers.SGD, "adam": optimizers.Adam, "nadam": optimizers.Nadam}
    return kinds[arm.optimizer](rates, decays=decays, **given)


class _Run:
    """What is watched while the replicas of an arm train."""

    def __init__(self, arm: Arm, replicas: SplitReplicas, parts: Splits, factors: Any) -> None:
        self.arm, self.replicas, self.parts, self.factors = arm, replicas, parts, factors
        self.losses: list[Any] = []
        count = factors.shape[0]
        self.best = np.full(count, -1.0)  # validation accuracy
        self.waited = np.zeros(count, int)
        self.stopped = np.zeros(count, bool)
        self.kept = np.zeros((2, count))  # validation and test accuracy at the best epoch

    def after_epoch(self, losses: Any, epochs: int, epoch: int) -> None:
        self.losses.append(losses)
        if self.arm.stopping:
            self._watch(_accuracy(self._of(self.parts.validation), self.parts.validation))
        elif self.arm.schedule == "halving":
            self._halve(max(2, epochs // 10))

    def _watch(self, accuracy: Any) -> None:
        """No improvement in ten: keeps the weights' accuracies of the best epoch until then."""
        better = (accuracy > self.best) & ~self.stopped
        if better.any():
            test = _accuracy(self._of(self.parts.test), self.parts.test)
            self.kept[:, better] = accuracy[better], test[better]
        self._count(accuracy, better)
        self.stopped |= self.waited >= _PATIENCE

    def _halve(self, patience: int) -> None:
        accuracy = _accuracy(self._of(self.parts.validation), self.parts.validation)
        self._count(accuracy, accuracy > self.best)
        late = self.waited >= patience
        self.factors.assign(np.where(late, self.factors.numpy() / 2, self.factors.numpy()))
        self.waited[late] = 0

    def _count(self, accuracy: Any, better: Any) -> None:
        self.best = np.where(better, accuracy, self.best)
        self.waited = np.where(better, 0, self.waited + 1)

    def _of(self, part: Part) -> Any:
        return self.replicas.outputs(part.x)

    def measures(self) -> Measures:
        """Accuracies in percent, logarithms of losses."""
        logs = np.log(_bounded(np.stack(self.losses)))
        found: Measures = {"speed": logs.mean(axis=0), "last_loss": logs[-1]}
        for name in ("validation", "test"):
            part = getattr(self.parts, name)
            outputs = self._of(part)
            found[f"{name}_accuracy"] = _accuracy(outputs, part)
            found[f"{name}_loss"] = _log_loss(outputs, part)
        if self.arm.stopping:
            found["validation_stopped"], found["test_stopped"] = self.kept
        if self.arm.monte_carlo:
            test = self.parts.test
            draws = [self.replicas.outputs(test.x, active=True) for _ in range(_DRAWS)]
            mean = np.mean(draws, axis=0)
            found["test_mc_accuracy"] = _accuracy(mean, test)
            found["test_mc_loss"] = _log_loss(mean, test)
        steps = np.diff(np.stack(self.losses[: _FIRST + 1]), axis=0)
        found["falls"] = (steps < 0).all(axis=0).astype(float)
        return {name: np.round(one, 5) for name, one in found.items()}


def _bounded(losses: Any) -> Any:
    return np.clip(np.nan_to_num(losses, nan=_HIGHEST), _LOWEST, _HIGHEST)


def _targets(part: Part, count: int) -> Any:
    return np.tile(part.y, (count // len(part.y), 1))


def _accuracy(outputs: Any, part: Part) -> Any:
    """In percent; a network that has diverged to NaN answers with the first class."""
    right = np.nan_to_num(outputs).argmax(axis=-1) == _targets(part, len(outputs))
    return 100 * right.mean(axis=1)


def _log_loss(outputs: Any, part: Part) -> Any:
    """Logarithm of the mean cross-entropy."""
    at = _targets(part, len(outputs))[..., None]
    shares = np.take_along_axis(outputs, at, axis=-1)[..., 0]
    losses = -np.log(np.maximum(np.nan_to_num(shares, nan=0.0), 1e-7)).mean(axis=1)
    return np.log(_bounded(losses))
