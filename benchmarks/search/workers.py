"""One worker and two: seconds of the same search, as processes of one chief.

    python benchmarks/search/workers.py [--case mnist/snn] [--rounds 2]

TensorFlow gets one thread for each worker, with one as with two: else one worker would already use
both cores. "Search" is from the first trial handed out to the last one ended, "all" also the
processes' start.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results" / "workers.jsonl"


def process(role, name, directory):
    """What each of the processes runs: the same program, chief or worker by its environment."""
    import tensorflow as tf

    threads = int(os.environ["WORKER_THREADS"])
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    from cases import case

    from trainwell.recipes.search.stages import L2Stage, LearningRateStage
    from trainwell.recipes.search.tuner import HeuristicTuner

    of = case(name)
    stages = [LearningRateStage(), L2Stage()]
    tuner = HeuristicTuner(of.build_model, stages, seed=0, directory=directory, project_name="p")
    times = []
    if role == "chief":
        tuner.oracle.plan.stages.pop("FinalFit")
        create, end = tuner.oracle.create_trial, tuner.oracle.end_trial

        def timed(function):
            def call(*args, **kwargs):
                times.append(time.time())
                found = function(*args, **kwargs)
                times.append(time.time())
                return found

            return call

        tuner.oracle.create_trial, tuner.oracle.end_trial = timed(create), timed(end)
    x, y = of.train
    tuner.search(x, y, validation_data=of.validation, batch_size=of.batch, verbose=0)
    if role == "chief":
        trials = tuner.trace.trials.values()
        found = {
            "search": round(max(times) - min(times), 2),
            "chosen": dict(tuner.trace.chosen),
            "trials": len(trials),
            "steps": sum(trial.steps for trial in trials),
            "train_seconds": round(sum(trial.seconds for trial in trials), 2),
        }
        print("FOUND " + json.dumps(found), flush=True)


def search(workers, name, threads):
    """Seconds and the outcome of one search with so many workers."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as directory:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        begin, processes = time.perf_counter(), []
        for role in ["chief", *(f"worker{i}" for i in range(workers))]:
            environment = os.environ | {
                "KERASTUNER_TUNER_ID": role,
                "KERASTUNER_ORACLE_IP": "127.0.0.1",
                "KERASTUNER_ORACLE_PORT": str(port),
                "WORKER_THREADS": str(threads),
            }
            command = [sys.executable, __file__, "--process", role, name, directory]
            output = subprocess.PIPE if role == "chief" else subprocess.DEVNULL
            processes.append(
                subprocess.Popen(
                    command, env=environment, stdout=output, stderr=subprocess.DEVNULL, text=True
                )
            )
        said = _said(processes)
        seconds = time.perf_counter() - begin
        for worker in processes[1:]:
            worker.wait(timeout=60)
    line = next(line for line in said.splitlines() if line.startswith("FOUND "))
    return {"workers": workers, "all": round(seconds, 2), **json.loads(line.removeprefix("FOUND "))}


def _said(processes):
    """The chief's output; an error where a worker ended badly, for whom it would wait."""
    chief, *workers = processes
    while chief.poll() is None:
        if any(worker.poll() for worker in workers):
            for one in processes:
                one.kill()
            raise RuntimeError("A worker has failed; run it with --process to see why.")
        time.sleep(0.1)
    return chief.stdout.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", default="mnist/snn")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="0: as TensorFlow does")
    parser.add_argument("--process", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        process(*options.process)
        return
    from final_fits import Rows

    rows = Rows(RESULTS)
    for _ in range(options.rounds):
        for workers in (1, 2):
            found = search(workers, options.case, options.threads)
            rows.add(case=options.case, threads=options.threads, load=os.getloadavg()[0], **found)
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
