"""Trials a minute: KerasTuner's loop as it comes, and ours with its shared compiled step.

    python benchmarks/search/trials_a_minute.py [--trials 10] [--rounds 2] [--epochs 5]

The same `build_model`, the same numbers of epochs, rates that all train to the end. Both run in one
process, in turns; the search's start (building the model once, making the directory) counts.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_tuner
import numpy as np
from cases import case
from final_fits import Rows

from trainwell.recipes.search.stages import Candidate, Decision
from trainwell.recipes.search.tuner import HeuristicTuner

RESULTS = Path(__file__).parent / "results" / "trials_a_minute.jsonl"
NAMES = ["digits/mlp", "digits/snn", "digits/convnet", "mnist/mlp", "mnist/convnet"]


class FixedStage:
    """Runs given values and chooses the first."""

    def __init__(self, settings):
        self.settings = settings

    def __repr__(self):
        return f"FixedStage({len(self.settings)})"

    def decide(self, trials, chosen=None):
        """The values that were not run yet."""
        done = [dict(trial.values) for trial in trials]
        left = tuple(Candidate(values=s) for s in self.settings if s not in done)
        if left:
            return Decision(action="try", candidates=left)
        return Decision(action="done", chosen=self.settings[0])


class FixedOracle(keras_tuner.Oracle):
    """The same for KerasTuner's own loop."""

    def __init__(self, settings):
        super().__init__("val_accuracy", max_trials=len(settings))
        self.settings = settings

    def populate_space(self, trial_id):
        """The next values."""
        values = {n: v for n, v in self.settings[int(trial_id)].items() if n != "epochs"}
        return {"status": "RUNNING", "values": values}


def ours(of, settings, directory):
    tuner = HeuristicTuner(
        of.build_model, [FixedStage(settings)], seed=0, directory=directory, project_name="ours"
    )
    tuner.oracle.plan.stages.pop("FinalFit")
    return tuner, {}


def plain(of, settings, directory):
    tuner = keras_tuner.Tuner(
        FixedOracle(settings), of.build_model, directory=directory, project_name="plain"
    )
    return tuner, {"epochs": settings[0]["epochs"]}


def measured(make, of, settings):
    """Wall and processor seconds of one search."""
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as directory:
        tuner, fit = make(of, settings, directory)
        x, y = of.train
        fit |= {"validation_data": of.validation, "batch_size": of.batch, "verbose": 0}
        tuner.search(x, y, **fit)
        trials = tuner.oracle.trials.values()
        assert len(trials) == len(settings)
        assert all(trial.status == "COMPLETED" for trial in trials)
    return round(time.perf_counter() - wall, 2), round(time.process_time() - cpu, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=NAMES)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = Rows(options.out)
    print("| case | KerasTuner, trials/min (wall) | ours | ratio, wall | ratio, processor time |")
    print("| --- |" + " --- |" * 4)
    for name in options.cases:
        of = case(name)
        rates = np.geomspace(0.01, 0.1, options.trials)
        settings = [
            {"learning_rate": float(f"{r:.4g}"), "l2": 1e-4, "epochs": options.epochs}
            for r in rates
        ]
        found = {"plain": [], "ours": []}
        for _ in range(options.rounds):
            for label, make in (("plain", plain), ("ours", ours)):
                found[label].append(measured(make, of, settings))
        rows.add(
            case=name,
            trials=options.trials,
            epochs=options.epochs,
            load=os.getloadavg()[0],
            **found,
        )
        walls = {label: min(wall for wall, _ in each) for label, each in found.items()}
        cpus = {label: min(cpu for _, cpu in each) for label, each in found.items()}
        a_minute = {label: 60 * options.trials / wall for label, wall in walls.items()}
        print(
            f"| {name} | {a_minute['plain']:.0f} | {a_minute['ours']:.0f} | "
            f"{walls['plain'] / walls['ours']:.2f} | {cpus['plain'] / cpus['ours']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
