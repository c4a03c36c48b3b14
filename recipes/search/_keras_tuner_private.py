"""Every private name of KerasTuner that the search touches, in one place; `tests` checks each.

All else is public API. Where KerasTuner changes one of these, the test of this module says which.
"""

from typing import Any

ORACLE_FILE = "_get_oracle_fname"
"""Of an oracle: where its state is kept."""

SAVE_TRIAL = "_save_trial"
"""Of an oracle: writes a trial's file. Ours can't be cut off by a kill."""

TUNER_FILE = "_get_tuner_fname"
"""Of a tuner: the file that, where it is there, says that a project is to be gone on with."""

RUN_TRIAL = "_run_and_update_trial"
"""Of a tuner: runs a trial and reports what came out, once. Ours reports each epoch."""

BUILD = "_build_hypermodel"
"""Of a tuner: the user's model, with the tuner's own compile arguments."""

COPIED_CALLBACKS = "_deepcopy_callbacks"
"""Of a tuner: callbacks for one execution."""

TENSORBOARD_FOLDERS = "_configure_tensorboard_dir"
"""Of a tuner: gives a TensorBoard callback a folder of the trial's own."""

CHECKPOINT_FILE = "_get_checkpoint_fname"
"""Of a tuner: where a trial's best weights are."""

BUILD_CONFIG_FILE = "_get_build_config_fname"
"""Of a tuner: where the shapes are that a subclassed model was built with."""


def retry_queue(oracle: Any) -> list[str]:
    """The ids of the trials that an oracle will hand out again, the last one first."""
    queue: list[str] = oracle._retry_queue
    return queue


def run_times(oracle: Any) -> dict[str, int]:
    """How often each trial was run."""
    times: dict[str, int] = oracle._run_times
    return times


def tuner_callback() -> Any:
    """The callback that calls a tuner's `on_epoch_begin` and its like."""
    from keras_tuner.src.engine.tuner_utils import TunerCallback

    return TunerCallback


def servicer() -> tuple[Any, Any]:
    """What answers a chief's workers, and the function that puts it on a server."""
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    return OracleServicer, protos.get_service_grpc().add_OracleServicer_to_server
