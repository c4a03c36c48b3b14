"""What writing TensorBoard events costs: seconds and bytes for 1,000 steps.

python benchmarks/tensorboard_cost.py [--layers 16] [--repeats 5]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from trainwell.callbacks import TrainingRecord, write_tensorboard
from trainwell.callbacks._rows import Rows

STEPS = 1000


def record_of(layers):
    columns = [
        {"path": f"h{i}/{part}", "layer": f"h{i}", "part": part, "shape": [1], "size": 1}
        | {"connected": True}
        for i in range(layers)
        for part in ("kernel", "bias")
    ]
    record = TrainingRecord()
    group = record.add_group(Rows("gradients", columns, ("gradient_norm",)))
    rows = group.empty(STEPS)
    rows["step"] = np.arange(STEPS)
    rows["gradient_norm"] = np.random.default_rng(0).random((STEPS, 2 * layers))
    record.append("gradients", rows)
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    record, seconds = record_of(arguments.layers), []
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            write_tensorboard(record, folder, log_layers=True)
            seconds.append(time.perf_counter() - start)
            size = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
    print(
        f"{STEPS} steps of {arguments.layers} layers: {min(seconds):.3f} to {max(seconds):.3f} s, "
        f"{size / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
