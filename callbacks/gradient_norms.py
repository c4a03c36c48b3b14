"""`GradientNorms`: every layer's gradient norm, recorded from inside the training step."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ._arguments import yes_or_no
from ._columns import columns_of
from ._gradient_row import GradientRow
from ._monitor import Monitor
from ._rows import Rows
from ._statistics import STATISTICS
from ._step import Step
from .record import DEFAULT_MEMORY_LIMIT, TrainingRecord


class GradientNorms(Monitor):
    """Records the gradient norm of every variable at each step of `fit`, at almost no cost.

    The norm `||dL/dw||` is taken inside the compiled training step, from the gradients that the
    optimizer is handed anyway: there is no second pass, and nothing is copied to the host until
    an epoch ends. Training is bit for bit what it is without. The norms are the raw ones:
    unscaled, before clipping and weight decay.

    ```python
    monitor = GradientNorms()
    model.fit(x, y, epochs=10, callbacks=[monitor])
    monitor.record["gradient_norm"]  # [steps, variables]
    ```

    One instance may serve many `fit` calls: on the same model they go on in one record, with
    `record.fit` telling them apart; on another model, or with other trainable variables, a new
    record starts, and `records` keeps them all.

    Args:
        every: Integer. Steps from one recorded step to the next; those between cost next to
            nothing. Defaults to `1`.
        statistics: Names of what to record of each variable: `"gradient_norm"` (always),
            `"weight_norm"`, `"update_norm"` (costs a copy of the weights), `"mean_abs_gradient"`,
            `"max_abs_gradient"`, `"zero_fraction"`. Defaults to `("gradient_norm",)`.
        log_layers: Boolean. Whether the epoch logs get `gradient_norm/LAYER` of every layer
            beside `gradient_norm` (of all variables together) and `gradient_ratio` (first over
            last hidden kernel), each the mean over the epoch's recorded steps, the ratio's
            geometric; skipped steps don't count. An epoch without a recorded step, where `every`
            is longer than it, has NaN, and a model with fewer than two hidden kernels no ratio.
            Defaults to `False`.
        directory: Path of a folder into which the record is written while it grows, as
            `gradients.record`, or `gradients-2.record` and so on where there is one, and beside it,
            in a folder of the same name without `.record`, as TensorBoard logs of every recorded
            step: see `write_tensorboard`. `log_layers` is for them too: without it, they have at
            most 16 layers. Watch them with `tensorboard --logdir DIRECTORY`. Defaults to `None`.
        verbose: Integer. `1` prints a line an epoch. Defaults to `0`.
        memory_limit: Integer. Bytes that the record may take in memory before it thins itself
            by dropping every second row. Defaults to 256 MiB.
        micro_batches: Boolean. Where the optimizer accumulates gradients, whether each
            micro-batch is a step of the record, with its own gradient and loss. Defaults to
            `False`: each update is, with the averaged gradient and the mean loss.

    Attributes:
        record: The `TrainingRecord` so far; may be read at any time.
        records: All records of this instance, the current one last.

    Raises:
        ValueError: An argument is out of its range.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 5: the speed at which a layer learns.
    """

    file_name = "gradients"

    def __init__(
        self,
        every: int = 1,
        statistics: Sequence[str] = ("gradient_norm",),
        log_layers: bool = False,
        directory: str | Path | None = None,
        verbose: int = 0,
        *,
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        micro_batches: bool = False,
    ) -> None:
        super().__init__(every, directory, verbose, memory_limit)
        self.micro_batches = yes_or_no("micro_batches", micro_batches)
        self._worst = ""
        self.statistics = _checked_statistics(statistics)
        self.log_layers = yes_or_no("log_layers", log_layers)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A fresh monitor with the same settings: KerasTuner copies one for each execution."""
        return type(self)(
            self.every,
            self.statistics,
            self.log_layers,
            self.directory,
            self.verbose,
            memory_limit=self.memory_limit,
            micro_batches=self.micro_batches,
        )

    def _group(self, step: Step) -> Rows:
        connected = [gradient is not None for gradient in step.gradients]
        columns = columns_of(step.variables, connected, self.model.name)
        return Rows("gradients", columns, self.statistics, self.every)

    def _row(self, step: Step) -> tuple[GradientRow, bool]:
        return GradientRow(step, self.statistics), "update_norm" in self.statistics

    def _shown(self, added: dict[str, float]) -> str:
        worst = f" - worst layer: {self._worst}" if self._worst else ""
        named = ("gradient_norm", "gradient_ratio")
        return super()._shown({k: v for k, v in added.items() if k in named}) + worst

    def _epoch_logs(self, epoch: TrainingRecord) -> dict[str, float]:
        taken = ~epoch.skipped
        columns = epoch.groups["gradients"].columns
        connected = [at for at, column in enumerate(columns) if column["connected"]]
        norms = epoch["gradient_norm"][taken][:, connected].astype(np.float64)
        logs = {"gradient_norm": _mean(np.sqrt(np.square(norms).sum(axis=1)))}
        self._worst = _worst_layer(epoch) if len(norms) else ""
        if len(epoch.hidden_kernels()) > 1:
            with np.errstate(divide="ignore"):
                log_ratio = np.log(epoch.gradient_ratio()[taken].astype(np.float64))
            logs["gradient_ratio"] = float(np.exp(_mean(log_ratio)))
        if self.log_layers:
            of_layers = epoch.by_layer("gradient_norm")[taken].T.astype(np.float64)
            pairs = zip(epoch.layers, of_layers, strict=True)
            logs |= {f"gradient_norm/{layer}": _mean(values) for layer, values in pairs}
        return logs


def _mean(values: npt.NDArray[np.float64]) -> float:
    """NaN of none: `every` may be longer than an epoch."""
    return float(values.mean()) if len(values) else math.nan


def _worst_layer(epoch: TrainingRecord) -> str:
    """The hidden layer whose kernel gradient is farthest from the last one's, and how far."""
    hidden = epoch.hidden_kernels()
    if len(hidden) < 2:
        return ""
    places = [epoch.layers.index(layer) for layer in hidden]
    norms = epoch.by_layer("gradient_norm", "kernel")[:, places].astype(np.float64).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = norms / norms[-1]
        far = np.abs(np.log(ratios))
    at = int(np.argmax(np.where(np.isnan(far), np.inf, far)))
    return f"{hidden[at]} ({ratios[at]:.2g} of {hidden[-1]}'s)"


def watch(optimizer: Any, model: Any, **options: Any) -> Any:
    """`GradientNorms(**options).watch(optimizer, model)`: gradient norms of loops without `fit`.

    A context manager: what is recorded is what runs in its `with` block.

    ```python
    with callbacks.watch(optimizer, model) as monitor:
        for x, y in batches:
            model.train_on_batch(x, y)  # or a step of your own that calls `optimizer.apply`
    monitor.record["gradient_norm"]  # [steps, variables]
    ```

    Args:
        optimizer: The Keras optimizer whose `apply` or `apply_gradients` the loop calls.
        model: The model that it trains.
        **options: Arguments of `GradientNorms`.

    Raises:
        ValueError: `optimizer` is not a Keras optimizer, or an option is out of its range.
    """
    return GradientNorms(**options).watch(optimizer, model)


def _checked_statistics(statistics: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(statistics, Iterable):
        raise ValueError(f"`statistics` must be names. Received: statistics={statistics!r}")
    names = (statistics,) if isinstance(statistics, str) else tuple(statistics)
    for name in names:
        if name not in STATISTICS:
            raise ValueError(
                f"`statistics` must be among {', '.join(map(repr, STATISTICS))}. Received: {name!r}"
            )
    return tuple(dict.fromkeys(("gradient_norm", *names)))
