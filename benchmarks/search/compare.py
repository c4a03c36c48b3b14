"""How many steps a search needs until a final fit is as good as a grid's, beside KerasTuner's own.

    python benchmarks/search/compare.py                      # runs what is missing, prints all
    python benchmarks/search/compare.py --cases digits/mlp --seeds 1
    python benchmarks/search/compare.py --report             # prints what there is

The reference is a grid of 40 points, 15 epochs each, and of its five best the one whose final fits
come out best in the mean of three seeds. A method has reached it at the first of its trials after
which the final fits at its best values so far are within half a point of it, again in the mean of
three seeds. A method is charged its trials until then and one final fit; it is told for free that
it may stop, which favors those that would not have known.

Hours on two cores. Each result is a line in `results/compare.jsonl`; a run goes on where it was.
"""

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np
from cases import NAMES, RATES, case
from compare_report import NEAR, print_report
from final_fits import SEEDS, FinalFits, Rows

from trainwell.recipes.search.stages import L2Stage, LearningRateStage
from trainwell.recipes.search.tuner import HeuristicTuner

RESULTS = Path(__file__).parent / "results" / "compare.jsonl"
GRID = [
    (float(f"{rate:.3g}"), l2) for rate in np.geomspace(*RATES, 10) for l2 in (0, 1e-4, 1e-3, 1e-2)
]
TRIALS, EPOCHS = 40, 10
"""Of the random and the Bayesian search: as long as `L2Stage` trains."""


class _ReachedError(Exception):
    """The search may stop."""


class _Steps(keras.callbacks.Callback):
    """Counts the training steps of all runs; KerasTuner copies callbacks, so it does here."""

    total = 0

    def on_train_begin(self, logs=None):
        self._before = int(self.model.optimizer.iterations.numpy())

    def on_epoch_end(self, epoch, logs=None):
        now = int(self.model.optimizer.iterations.numpy())
        _Steps.total += now - self._before
        self._before = now


class _Judged:
    """Notes, after each trial, at what values a search would stop now, and what they are worth."""

    def __init__(self, fits, target):
        self.fits, self.target = fits, target
        self.events: list[dict[str, Any]] = []
        self._begin, self._cpu = time.perf_counter(), time.process_time()

    def note(self, trials, steps, learning_rate, l2):
        """Adds an event where the values are new; whether they reach the target."""
        seconds, cpu = time.perf_counter() - self._begin, time.process_time() - self._cpu
        values = {"learning_rate": learning_rate, "l2": l2}
        if self.events and values == {n: self.events[-1][n] for n in values}:
            return False
        found = self.fits.mean(**values, hopeless=self.target - 2 * NEAR)
        self.events.append(
            {"trials": trials, "steps": steps, "seconds": round(seconds, 2), "cpu": round(cpu, 2)}
            | values
            | {"accuracy": found.accuracy, "fit_steps": found.steps, "fit_seconds": found.seconds}
        )
        self._begin = time.perf_counter() - seconds
        self._cpu = time.process_time() - cpu
        return found.accuracy >= self.target - NEAR


def reference(fits, rows, name):
    """The best mean accuracy among the grid's five best points."""
    found = rows.where(kind="grid", case=name)
    if found:
        return found[0]["accuracy"]
    short = {"epochs": 15, "patience": 15}
    by_trial = {point: fits.one(*point, SEEDS[0], short).accuracy for point in GRID}
    best = sorted(GRID, key=lambda point: -by_trial[point])[:5]
    by_fit = {point: fits.mean(*point).accuracy for point in best}
    winner = max(best, key=lambda point: by_fit[point])
    rows.add(kind="grid", case=name, learning_rate=winner[0], l2=winner[1], accuracy=by_fit[winner])
    return by_fit[winner]


def heuristic(of, judged, seed, directory):
    """Our stages; their trials are kept, to tell where the steps go."""

    class Tuner(HeuristicTuner):
        def on_trial_end(self, trial):
            super().on_trial_end(trial)
            way = self.oracle.way()
            if "learning_rate" in way.chosen:
                steps = sum(one.steps for one in self.trace.trials.values())
                values = way.chosen["learning_rate"], way.chosen.get("l2", 0.0)
                judged.note(len(self.oracle.trials), steps, *values)

    stages = [LearningRateStage(), L2Stage()]
    tuner = Tuner(of.build_model, stages, seed=seed, directory=directory, project_name="heuristic")
    tuner.oracle.plan.stages.pop("FinalFit")  # ours is the same for all methods
    x, y = of.train
    tuner.search(x, y, validation_data=of.validation, batch_size=of.batch, verbose=0)
    kept = [
        {
            "stage": tuner.oracle.trials[one.trial_id].hyperparameters.values["tuner/stage"],
            **{name: one.values[name] for name in ("learning_rate", "l2")},
            "execution": one.execution,
            "steps": one.steps,
            "seconds": round(one.seconds, 2),
            "accuracy": max(one.accuracy, default=0.0),
            "cost": one.losses[-1].mean if one.losses else None,
            "diverged": one.diverged,
        }
        for one in tuner.trace.trials.values()
    ]
    return {"trials": kept, "sentences": str(tuner.trace)}


def keras_tuners(kind, **settings):
    """One of KerasTuner's own tuners, as it comes, until it has reached the target."""

    def run(of, judged, seed, directory):
        class Tuner(kind):
            ended = 0

            def on_trial_end(self, trial):
                super().on_trial_end(trial)
                Tuner.ended += 1
                best = self.oracle.get_best_trials(1)[0].hyperparameters.values
                if judged.note(Tuner.ended, _Steps.total, best["learning_rate"], best["l2"]):
                    raise _ReachedError
                keras.utils.set_random_seed(1000 * seed + Tuner.ended)

        _Steps.total = 0
        keras.utils.set_random_seed(1000 * seed)
        options = dict(settings)
        fit = {"epochs": EPOCHS} if "max_trials" in options else {}
        tuner = Tuner(of.build_model, "val_accuracy", seed=seed, directory=directory, **options)
        x, y = of.train
        callbacks = [_Steps(), keras.callbacks.TerminateOnNaN()]
        fit |= {"validation_data": of.validation, "batch_size": of.batch, "callbacks": callbacks}
        with contextlib.suppress(_ReachedError):
            tuner.search(x, y, verbose=0, **fit)
        return {"ended": {"trials": Tuner.ended, "steps": _Steps.total}}

    return run


METHODS = {
    "heuristic": heuristic,
    "random": keras_tuners(keras_tuner.RandomSearch, max_trials=TRIALS),
    "bayesian": keras_tuners(keras_tuner.BayesianOptimization, max_trials=TRIALS),
    "hyperband": keras_tuners(keras_tuner.Hyperband, max_epochs=27, factor=3),
}


def compare(name, method, seed, rows):
    if rows.where(kind="run", case=name, method=method, seed=seed):
        return
    of = case(name)
    fits = FinalFits(of, rows)
    judged = _Judged(fits, reference(fits, rows, name))
    with tempfile.TemporaryDirectory() as directory:
        more = METHODS[method](of, judged, seed, directory)
    row = {"kind": "run", "case": name, "method": method, "seed": seed}
    rows.add(**row, load=os.getloadavg()[0], events=judged.events, **more)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=NAMES)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    rows = Rows(options.out)
    for seed in range(0 if options.report else options.seeds):
        for method in options.methods:
            for name in options.cases:
                print(f"{time.strftime('%H:%M:%S')} {name} {method} {seed}", flush=True)
                compare(name, method, seed, rows)
    print_report(rows)


if __name__ == "__main__":
    main()
