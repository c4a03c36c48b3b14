"""A disk that fills up while a run is recorded: a real limit of the kernel, in a real process."""

import json
import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainwell.callbacks import TrainingRecord

PROGRAM = """
import json, resource, signal, sys, warnings
import keras, numpy as np
from trainwell.callbacks import GradientNorms

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails, cut off in its middle
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
model.compile("sgd", "mse")
monitor = GradientNorms(directory=sys.argv[1])
x = np.random.default_rng(0).normal(size=(320, 4))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.fit(x, x[:, :1], batch_size=2, epochs=5, verbose=0, callbacks=[monitor])
said = [str(one.message) for one in caught if "GradientNorms" in str(one.message)]
print(json.dumps([said, len(monitor.record.steps), int(model.optimizer.iterations)]))
np.save(sys.argv[3], monitor.record["gradient_norm"])
"""


@pytest.mark.parametrize("limit", [14_000, 30_000])
def test_training_goes_on_with_one_warning_and_what_was_written_is_readable(tmp_path, limit):
    kept = tmp_path / "kept.npy"
    # `np.save` needs less than the limit, so that only the growing files meet it.
    command = [sys.executable, "-c", PROGRAM, tmp_path / "run", str(limit), kept]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said, rows, steps = json.loads(done.stdout.splitlines()[-1])
    assert rows == steps == 800
    assert len(said) == 1
    assert "any longer (OSError: [Errno 27] File too large" in said[0]

    loaded = TrainingRecord.load(tmp_path / "run" / "gradients.record")
    assert 0 < len(loaded.steps) < 800
    np.testing.assert_array_equal(
        loaded["gradient_norm"], np.load(kept)[: len(loaded.steps)], strict=True
    )
    events = EventAccumulator(str(tmp_path / "run" / "gradients")).Reload()
    assert events.Scalars("gradient_norm")
