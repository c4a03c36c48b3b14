"""Two real processes on loopback train under `MultiWorkerMirroredStrategy`, watched.

`multi_worker_program.py` is what each of them runs.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

PROGRAM = Path(__file__).with_name("multi_worker_program.py")
SECONDS = 120


def load_program():
    spec = importlib.util.spec_from_file_location("multi_worker_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


program = load_program()


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(index, ports, folder):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
    environment = os.environ | {"TF_CONFIG": json.dumps(config), "CUDA_VISIBLE_DEVICES": "-1"}
    with (folder / f"{index}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, PROGRAM, folder / f"{index}.json"],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What each of the two processes wrote."""
    folder = tmp_path_factory.mktemp("workers")
    processes = [start(index, ports, folder) for ports in [free_ports(2)] for index in range(2)]
    try:
        codes = [process.wait(SECONDS) for process in processes]
    except subprocess.TimeoutExpired:
        codes = [process.poll() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if codes != [0, 0]:
        output = "\n\n".join((folder / f"{index}.log").read_text() for index in range(2))
        pytest.fail(f"The workers exited with {codes} (None: after {SECONDS} s).\n{output}")
    return [json.loads((folder / f"{index}.json").read_text()) for index in range(2)]


def single_process(clip=None):
    """The same global batches by a plain tape, as two halves, whose gradients are summed.

    Keras clips before it sums: each half by itself.
    """
    model, rows = program.compiled(), []
    for at in range(0, len(program.X), 8):
        halves, loss = [], 0.0
        for half in (slice(at, at + 4), slice(at + 4, at + 8)):
            with tf.GradientTape() as tape:
                errors = (model(program.X[half], training=True) - program.Y[half]) ** 2
                half_loss = tf.reduce_sum(errors) / 8
            halves.append(tape.gradient(half_loss, model.trainable_variables))
            loss += float(half_loss)
        raw = [tf.add_n(pair) for pair in zip(*halves, strict=True)]
        norms = [np.linalg.norm(gradient) for gradient in raw]
        rows.append((loss, norms, [np.linalg.norm(weight) for weight in model.get_weights()]))
        if clip is not None:
            halves = [tf.clip_by_global_norm(half, clip)[0] for half in halves]
        applied = [tf.add_n(pair) for pair in zip(*halves, strict=True)]
        model.optimizer.apply(applied, model.trainable_variables)
    loss, gradients, weights = zip(*rows, strict=True)
    return {"loss": loss, "gradient_norm": gradients, "weight_norm": weights}, model.get_weights()


def assert_same(result, reference):
    expected, weights = reference
    assert result["steps"] == [0, 1, 2, 3]
    for name, values in expected.items():
        np.testing.assert_allclose(result[name], values, rtol=1e-5, atol=1e-7, err_msg=name)
    for ours, theirs in zip(result["weights"], weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("worker", [0, 1])
def test_each_workers_record_has_the_norms_of_the_global_batches(workers, worker):
    assert_same(workers[worker]["loop"], single_process())


@pytest.mark.parametrize("worker", [0, 1])
def test_clipped_steps_have_the_raw_norms_of_the_global_batches(workers, worker):
    assert_same(workers[worker]["clipped"], single_process(clip=0.5))
    assert any(workers[worker]["clipped"]["clipped"])


@pytest.mark.parametrize("worker", [0, 1])
def test_fit_works_watched_where_it_works_at_all(workers, worker):
    """In Keras 3.15.1 it raises a `ValueError` before the first step, with or without us."""
    result = workers[worker]["fit"]
    assert result["watched"] == result["unwatched"]
    if result["unwatched"] is None:
        assert_same(result["record"], single_process())
