"""What a branch that is never taken costs a compiled step: `tf.cond` beside one `If` operation.

    python benchmarks/branch.py [--rounds 25] [--tensors 40] [--size 10]

The branch takes the norms of `--tensors` matrices of `--size` by `--size` numbers, as the monitors
do where squares underflow. A round is 200 calls of each; the ways alternate within it.
"""

import argparse
import os
import platform
import time
from datetime import date

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from trainwell.callbacks._branch import when

CALLS = 200


def with_cond(condition, norms, count):
    return tf.cond(condition, norms, lambda: tf.zeros(count))


WAYS = {
    "no branch": lambda condition, norms, count: tf.zeros(count),
    "`tf.cond`": with_cond,
    "`when`": lambda condition, norms, count: when(condition, norms),
}


def step_of(way, tensors):
    """A step whose gradients are not constants, with the branch at its end."""

    @tf.function(autograph=False)
    def step(scale):
        gradients = [tensor * scale for tensor in tensors]

        def norms():
            return tf.stack([tf.norm(gradient) for gradient in gradients])

        sums = tf.add_n([gradient[0, 0] for gradient in gradients])
        return sums, tf.reduce_sum(way(sums > 1e30, norms, len(tensors)))

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--tensors", type=int, default=40)
    parser.add_argument("--size", type=int, default=10)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (arguments.size, arguments.size)
    tensors = [
        tf.Variable(rng.normal(size=shape), dtype="float32") for _ in range(arguments.tensors)
    ]
    steps = {name: step_of(way, tensors) for name, way in WAYS.items()}
    scale = tf.constant(1.0)
    times = {name: [] for name in steps}
    for step in steps.values():
        step(scale)
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                step(scale)
            times[name].append((time.perf_counter() - start) / CALLS * 1e6)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"{date.today()}, {machine}, TensorFlow {tf.__version__}; {arguments.rounds} rounds\n")
    print("| branch | microseconds a step, fastest round | more than without |")
    print("| --- | --- | --- |")
    fastest = {name: min(values) for name, values in times.items()}
    for name, value in fastest.items():
        print(f"| {name} | {value:.0f} | {value - fastest['no branch']:.0f} |")


if __name__ == "__main__":
    main()
