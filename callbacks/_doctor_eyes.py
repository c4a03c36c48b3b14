"""What a doctor watches with: both monitors and the data's tap, in one record."""

import warnings
from typing import Any

from ._data_tap import DataTap
from .activation_stats import ActivationStats
from .gradient_norms import GradientNorms
from .record import TrainingRecord

# What the rules read. The update's norm costs a copy of the weights for each row.
_STATISTICS = ("gradient_norm", "weight_norm", "zero_fraction")
_UPDATES = ("update_norm",)


class _Gradients(GradientNorms):
    def _warn(self, message: str) -> None:
        about = message.split(" For another optimizer")[0]
        warnings.warn(f"TrainingDoctor's gradient monitor {about}", stacklevel=4)


class _Activations(ActivationStats):
    def _warn(self, message: str) -> None:
        """Silent: a network whose activations nobody knows has its gradients watched."""


class Eyes:
    """Both monitors and the tap on one model.

    Args:
        every: Integer. Steps from one recorded step to the next.
        updates: Boolean. Whether to record the norm of each update too.
    """

    def __init__(self, every: int, updates: bool) -> None:
        self._gradients = _Gradients(every, _STATISTICS + _UPDATES * updates)
        self._activations = _Activations(every)
        self._tap = DataTap()
        self._record = TrainingRecord()
        self._source: TrainingRecord | None = None
        self._described = 0
        self._first_epoch_over = False
        self._source_before: TrainingRecord | None = None
        self._epochs_before = 0
        self._to_come: int | None = None

    @property
    def monitors(self) -> tuple[GradientNorms, ActivationStats]:
        """The monitors; each callback method is called on both."""
        return self._gradients, self._activations

    @property
    def record(self) -> TrainingRecord:
        """One record of both monitors' rows, the data and the plan."""
        gradients, activations = (one.record for one in self.monitors)
        source = gradients if gradients.groups else activations
        if source is not self._source:
            self._source, self._record = source, TrainingRecord(_by_update(source.network))
            self._record.epochs = source.epochs
            self._described = 0
        self._record.groups |= {**source.groups, **activations.groups}
        if self._to_come is not None:
            gone_on = source is self._source_before
            self._record.network["planned_epochs"] = self._to_come + gone_on * self._epochs_before
        self._describe()
        return self._record

    def every(self, every: int) -> None:
        """Sets the steps from one recorded step to the next, before a `fit`."""
        for monitor in self.monitors:
            monitor.every = every

    def attach(self, model: Any) -> None:
        """Called when `fit` begins, before the monitors retrace the step."""
        self._tap.attach(model)
        self._described, self._first_epoch_over, self._to_come = 0, False, None

    def begin_epoch(self, epoch: int, planned: int | None) -> None:
        """Notes the plan of a `fit`, which may resume what was trained before.

        Args:
            epoch: Integer. The epoch that begins.
            planned: Keras' number of epochs, those before this `fit` included.
        """
        if self._to_come is None and planned:
            self._source_before = self._source
            self._epochs_before = len(self._source.epochs) if self._source else 0
            self._to_come = max(planned - epoch, 1)

    def validates(self, whether: bool) -> None:
        """Looks away while validation computes its loss."""
        self._tap.paused = whether

    def end_epoch(self) -> None:
        """Takes what the first epoch showed for the whole data."""
        if not self._first_epoch_over:
            self._first_epoch_over = True
            self._described = 0
            _ = self.record  # describes the data
            self._tap.detach()

    def detach(self) -> None:
        """Leaves model and optimizer as they were."""
        for monitor in self.monitors:
            monitor.detach()
        self._tap.detach()

    def _describe(self) -> None:
        """Describes the data anew once twice as many samples have passed."""
        samples = self._tap.samples
        is_final = self._first_epoch_over and self._described
        if is_final or samples < max(1, 2 * self._described):
            return
        self._described = samples
        data = self._tap.describe(self._record.network.get("loss"))
        if data:
            self._record.data.clear()
            self._record.data.update(data)


def _by_update(network: dict[str, Any]) -> dict[str, Any]:
    """The network with its plan in the record's steps: updates, where gradients accumulate."""
    batches = (network.get("optimizer") or {}).get("gradient_accumulation_steps") or 1
    steps = network.get("steps_per_epoch")
    return network | {"steps_per_epoch": steps and -(-steps // batches)}
