"""Bad values for each argument of the monitors and of what shows their records."""

import keras
import numpy as np
import pytest

from trainwell import callbacks
from trainwell.callbacks import ActivationStats, GradientNorms

BAD = {
    "every": [0, -1, 1.5, "2", True, None, 2**31],
    "verbose": ["loud", 3, -1, 0.5],
    "memory_limit": [0, 1.5, None],
    "statistics": [["norm"], "gradient_norms", [3]],
    "log_layers": ["yes", 1, None],
    "micro_batches": ["no", 2],
    "probe": [[], np.zeros((0, 4)), 3],
    "probe_every": [0, 0.5],
    "window": [0, -3, "epoch"],
    "layers": [[], [3]],
}
TAKES = {
    GradientNorms: [
        "every", "statistics", "log_layers", "verbose", "memory_limit", "micro_batches",
    ],
    ActivationStats: ["every", "layers", "probe", "probe_every", "window", "verbose"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("monitor", "argument", "value"),
    [
        pytest.param(kind, name, value, id=f"{kind.__name__}-{name}-{value!r}"[:60])
        for kind, names in TAKES.items()
        for name in names
        for value in BAD[name]
    ],
)
def test_a_bad_argument_is_refused_by_name(monitor, argument, value):
    with pytest.raises(ValueError, match=f"`{argument}`") as error:
        monitor(**{argument: value})
    assert "Received" in str(error.value)


SHOWS = [
    callbacks.plot_gradient_norms,
    callbacks.plot_learning_speed,
    callbacks.plot_activation_stats,
    lambda record: callbacks.write_report(record, [], "never-written.html"),
    lambda record: callbacks.write_tensorboard(record, "never-written"),
]


@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("received", [None, "run.record", GradientNorms()])
def test_what_is_no_record_is_refused(show, received):
    with pytest.raises(ValueError, match=r"must be a TrainingRecord. Received: a ") as error:
        show(received)
    assert "`.record`" in str(error.value)


def test_a_model_that_is_not_compiled_gets_keras_own_words():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    monitor = GradientNorms()
    with pytest.raises(ValueError, match="compile"):
        model.fit(np.zeros((4, 2)), np.zeros(4), verbose=0, callbacks=[monitor])
    assert monitor.records == []
    model.compile("sgd", "mse")  # the same monitor serves once it is
    model.fit(np.zeros((4, 2)), np.zeros(4), batch_size=2, verbose=0, callbacks=[monitor])
    assert len(monitor.record.steps) == 2


def test_a_model_without_trainable_variables_is_named_as_such():
    model = keras.Sequential([keras.Input((2,)), keras.layers.ReLU()])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="the model has no trainable variables"):
        model.fit(np.zeros((4, 2)), np.zeros((4, 2)), verbose=0, callbacks=[GradientNorms()])
