"""A small real search as a process that may be killed at any moment, and a nursery of such.

TensorFlow is imported once: the nursery then forks each process from itself, before TensorFlow has
run anything. `python search_program.py` is a nursery; `Nursery` talks to it.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_NAMES = ("learning_rate", "l2", "epochs", "patience")


def search(directory, log=None, pause=0.0, timeout=3.0, executions=1, broken="", **options):
    """One search to its end, or until it is killed.

    Args:
        directory: String. Where its project is.
        log: String. A file to which each begin and end of a run is appended.
        pause: Float. Seconds that each epoch takes longer.
        timeout: Float. The tuner's `worker_timeout`.
        executions: Integer. The tuner's `executions_per_trial`.
        broken: String. "always", or the path of a file while which exists, `build_model` raises;
            "once" at one rate alone.
        **options: Of the tuner.
    """
    import keras

    from trainwell.recipes.search.tuner import HeuristicTuner

    class Log(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self._append("begin")

        def on_epoch_end(self, epoch, logs=None):
            time.sleep(pause)

        def on_train_end(self, logs=None):
            self._append("end")

        def _append(self, what):
            if log:
                line = {"what": what, "rate": float(self.model.optimizer.learning_rate)}
                line["process"] = os.environ.get("KERASTUNER_TUNER_ID", "alone")
                with Path(log).open("a") as file:
                    file.write(json.dumps(line) + "\n")

    def build_model(hp):
        rate = hp.Float("learning_rate", 1e-6, 100, sampling="log")
        if tuner_is_made and (
            broken == "always"
            or (broken == "once" and rate == 1.0)
            or (broken.startswith("/") and Path(broken).exists())
        ):
            raise RuntimeError("build_model is broken")
        network = keras.Sequential(
            [
                keras.Input((8,)),
                keras.layers.Dense(
                    8, "tanh", kernel_regularizer=keras.regularizers.L2(hp.Float("l2", 0, 1))
                ),
                keras.layers.Dense(2, "softmax"),
            ]
        )
        network.compile(
            keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return network

    tuner_is_made = False
    tuner = HeuristicTuner(
        build_model,
        stages(),
        directory=directory,
        project_name="search",
        seed=1,
        worker_timeout=timeout,
        executions_per_trial=executions,
        **options,
    )
    tuner_is_made = True
    x, y = data()
    tuner.search(x, y, validation_split=0.25, callbacks=[Log()], verbose=0)


def stages():
    """Few and short ones."""
    from trainwell.recipes.search.stages import EpochsStage, L2Stage, LearningRateStage

    return [
        LearningRateStage(epochs=2, executions=1, start=0.1),
        L2Stage(epochs=2, executions=1, halvings=0, revisit_learning_rate=False),
        EpochsStage(patience=(2,), final_patience=3, limit=4, extensions=0),
    ]


def data():
    """Two classes in eight dimensions, with some overlap."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 8)).astype("float32")
    return x, (x[:, 0] + x[:, 1] ** 2 + 0.3 * rng.normal(size=160) > 1).astype("int32")


# ---------------------------------------------------------------------- what a project holds


def outcome(directory):
    """All that a project's search came to, whatever the order of its trials.

    Returns:
        A dictionary from (stage, values, execution) to the trial's losses, accuracies and steps.
    """
    found = {}
    for trial in finished(directory).values():
        key = _key(trial)
        assert key not in found, f"run twice: {key}"
        names = [n for n in trial["metrics"]["metrics"] if n != "run/seconds"]
        found[key] = {n: trial["metrics"]["metrics"][n]["observations"] for n in sorted(names)}
    return found


def finished(directory):
    """The finished trials of a project, by their id."""
    trials = [
        json.loads(path.read_text()) for path in project(directory).glob("trial_*/trial.json")
    ]
    return {t["trial_id"]: t for t in trials if t["status"] in ("COMPLETED", "FAILED")}


def project(directory):
    """Where the search's files are."""
    return Path(directory) / "search"


def _key(trial):
    values = trial["hyperparameters"]["values"]
    return json.dumps(
        [values.get(n) for n in ("tuner/stage", "tuner/execution")]
        + [values.get(name, values.get(f"tuner/{name}")) for name in _NAMES]
    )


# ---------------------------------------------------------------------- the nursery


class Nursery:
    """Starts searches as processes of their own, quickly."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self._pids = []

    def start(self, name=None, port=None, errors=None, **arguments):
        """Starts one; as the chief or a worker of this name where there is a port.

        Returns:
            Its process id.
        """
        env = {}
        if port:
            env = {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": "127.0.0.1"}
            env["KERASTUNER_ORACLE_PORT"] = str(port)
        pid = self._ask({"start": arguments, "env": env, "errors": str(errors or os.devnull)})
        self._pids.append(pid)
        return pid

    def wait(self, pid, seconds):
        """Its exit code, -9 where it was killed, or `None` where it still runs after so long."""
        end = time.monotonic() + seconds
        while (code := self._ask({"wait": pid})) is None and time.monotonic() < end:
            time.sleep(0.02)
        return code

    def kill(self, pid):
        """Kills one at once, as losing the machine does."""
        os.kill(pid, signal.SIGKILL)
        assert self.wait(pid, 10) in (0, -9)

    def close(self):
        """Ends all of them."""
        for pid in self._pids:
            if self._ask({"wait": pid}) is None:
                os.kill(pid, signal.SIGKILL)
        self._process.stdin.close()
        self._process.kill()
        self._process.wait(10)

    def _ask(self, request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _nurse():
    """Forks what is asked for, from a process in which TensorFlow is imported and idle."""
    import keras  # noqa: F401

    import trainwell.recipes.search.tuner  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    codes = {}
    while line := _line():
        request = json.loads(line)
        if "start" in request:
            answer = os.fork()
            if answer == 0:
                _child(request)
            codes[answer] = None
        else:
            answer = codes[request["wait"]]
            if answer is None:
                pid, status = os.waitpid(request["wait"], os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if pid else None
                codes[request["wait"]] = answer
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _line():
    """The next request, unbuffered: a child must not find a copy of one."""
    found = b""
    while not found.endswith(b"\n"):
        select.select([0], [], [])
        byte = os.read(0, 1)
        if not byte:
            return ""
        found += byte
    return found.decode()


def _child(request):
    code = 1
    try:
        out = os.open(request["errors"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ |= request["env"]
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.experimental.enable_op_determinism()
        search(**request["start"])
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _nurse()
