"""The accuracy that a final fit reaches at given values, the same procedure for every method."""

import json
import time
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import keras_tuner

from trainwell.recipes.search._execution import train
from trainwell.recipes.search._feeding import Feed
from trainwell.recipes.search._run_callbacks import RunLog, callbacks_of_run
from trainwell.recipes.search._workshop import Workshop

SEEDS = (101, 102, 103)
SETTINGS = {"epochs": 40, "patience": 15, "variable_rate": True}
_OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")


class Fit(NamedTuple):
    """What final fits at the same values come to, in the mean."""

    accuracy: float
    steps: float
    seconds: float


class Rows:
    """Results as JSON lines: appended at once, so that nothing is lost when a run is ended."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.rows = [json.loads(line) for line in lines]

    def add(self, **row):
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def where(self, **wanted):
        return [r for r in self.rows if all(r.get(k) == v for k, v in wanted.items())]


class FinalFits:
    """Final fits of one case, each run once and then remembered.

    At most 40 epochs, ended after 15 without improvement; the rate is halved after 10. What counts
    is the best epoch's validation accuracy. All share one compiled model.
    """

    def __init__(self, case, rows):
        self._case, self._rows = case, rows
        self._feed = self._workshop = None

    def one(self, learning_rate, l2, seed, settings=SETTINGS):
        key = {"kind": "fit", "case": self._case.name, "learning_rate": learning_rate, "l2": l2}
        key |= {"seed": seed, "epochs": settings["epochs"]}
        found = self._rows.where(**key)
        if not found:
            self._rows.add(**key, **self._run(learning_rate, l2, seed, settings))
            found = self._rows.where(**key)
        return Fit(*(found[0][name] for name in Fit._fields))

    def mean(self, learning_rate, l2, hopeless=0.0):
        """The mean over the seeds; of the first alone where that is below `hopeless`."""
        fits = [self.one(learning_rate, l2, SEEDS[0])]
        if fits[0].accuracy >= hopeless:
            fits += [self.one(learning_rate, l2, seed) for seed in SEEDS[1:]]
        return Fit(*map(mean, zip(*fits, strict=True)))

    def _run(self, learning_rate, l2, seed, settings):
        if self._feed is None:
            x, y = self._case.train
            arguments = {"x": x, "y": y, "batch_size": self._case.batch}
            arguments["validation_data"] = self._case.validation
            self._feed = Feed(arguments, as_it_is=False)
            self._workshop = Workshop(self._case.build_model)
        begin = time.perf_counter()
        hp = keras_tuner.HyperParameters()
        values = {"learning_rate": learning_rate, "l2": l2}
        hp.values = dict(values)
        made = self._workshop.model_for(hp, values, seed, at_once=True)
        log = RunLog(_OBJECTIVE, insists_from=1)
        data = self._feed.arguments(None, seed)

        def fit(callbacks):
            epochs = settings["epochs"]
            return made.model.fit(**data, epochs=epochs, callbacks=callbacks, verbose=0)

        run = train(fit, made, log, callbacks_of_run(settings, _OBJECTIVE, made.model))
        accuracies = [logs["val_accuracy"] for logs in run.logs]
        return {
            "accuracy": 0.0 if run.diverged else max(accuracies),
            "steps": run.steps,
            "seconds": round(time.perf_counter() - begin, 3),
        }
