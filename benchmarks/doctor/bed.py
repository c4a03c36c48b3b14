"""The doctor's test bed: healthy and faulty programs, each trained with the doctor beside it.

    python benchmarks/doctor/bed.py --budget 60    # goes on where it was, for an hour
    python benchmarks/doctor/curves.py             # the figure and the tables

A round is three new healthy programs, and each of the twenty faults once: at a strength that moves
on from round to round, planted in a healthy program that was seen to train. What is judged is
what a run did (did it train?) against what `preflight` and `TrainingDoctor` said. Each run is a
line in `results/bed.jsonl`. With `--records DIR` the records are kept, so that `rejudge.py` can put
later rules to the same runs.
"""

import argparse
import contextlib
import os
import re
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Small networks gain nothing from a second thread, and others need the cores.
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))

from data_sets import data_set
from faults import FAULTS, planted
from networks import healthy
from program import Program, arrays, score
from rows import Rows, session

RESULTS = Path(__file__).parent / "results" / "bed.jsonl"
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
HEALTHY_A_ROUND = 3
_RUNS_A_PROCESS = 30
_ASKED_FOR = 100_000
"""Seeds from here on are drawn for a fault that suits no program of the rounds."""


def run(
    seed: int, symptom: str | None, strength: float, records: Path | None = None
) -> dict[str, Any]:
    """Trains one program with the doctor, and says how it went. In a process of its own."""
    import keras

    program = healthy(seed) if symptom is None else planted(healthy(seed), symptom, strength)
    data = data_set(program.data)
    row = _summary(program) | {"chance": data.chance, "ceiling": data.ceiling}
    keras.backend.clear_session()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        row |= _judged(program, records and records / record_name(seed, symptom, strength))
        row["trained"] = row["score"] >= data.trained_from
    except Exception as error:
        row["crashed"] = f"{type(error).__name__}: {error}"[:500]
    row["seconds"] = round(time.perf_counter() - wall, 2)
    row["cpu"] = round(time.process_time() - cpu, 2)
    return row


def record_name(seed: int, symptom: str | None, strength: float) -> str:
    """What the files of a run's records begin with."""
    return f"{seed}-{symptom or 'healthy'}-{strength:g}"


def _judged(program: Program, kept: Path | None) -> dict[str, Any]:
    from building import build

    from trainwell.callbacks import TrainingDoctor
    from trainwell.recipes._preflight_record import preflight_record

    given, model = arrays(program), build(program)
    plan = {"batch_size": program.batch, "epochs": program.epochs}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # As `preflight` has it, which does not hand out the record.
        before, error = preflight_record(model, given["x"], given["y"], *plan.values(), seed=0)
        doctor = TrainingDoctor()
        model.fit(**given, **plan, verbose=0, callbacks=[doctor])
        after = doctor.record
    if kept is not None:
        before.save(f"{kept}.preflight")
        after.save(f"{kept}.fit")
    return findings_of(before, after) | {
        "preflight_error": error and f"{type(error).__name__}: {error}"[:200],
        "told": [told for one in caught for told in _told(str(one.message))],
        "steps": int(model.optimizer.iterations.numpy()),
        "score": round(score(program, model), 4),
    }


def findings_of(before: Any, after: Any) -> dict[str, Any]:
    """What the rules say of the two records: symptom, severity, cause and first step."""
    from trainwell.callbacks.diagnosis.diagnose import diagnose

    return {
        name: [[one.symptom, one.severity.value, one.cause, one.first_step] for one in found]
        for name, found in (("preflight", diagnose(before)), ("findings", diagnose(after)))
    }


def _told(message: str) -> list[list[Any]]:
    """When the doctor warned of what: step, severity, symptom."""
    found = re.match(r"TrainingDoctor, after ([\d,]+) steps:\n", message)
    if not found:
        return [[0, "failed", message[:300]]] if "TrainingDoctor stopped" in message else []
    step = int(found[1].replace(",", ""))
    return [[step, *pair] for pair in re.findall(r"^  (\w+): (\w+)", message, re.MULTILINE)]


def _summary(program: Program) -> dict[str, Any]:
    first = program.hidden[0]
    return {
        "family": program.family,
        "data": program.data,
        "depth": program.depth,
        "units": first.units,
        "activation": first.activation,
        "normalization": first.normalization,
        "output": program.output_activation,
        "loss": program.loss,
        "optimizer": program.optimizer,
        "rate": program.rate,
        "batch": program.batch,
        "epochs": program.epochs,
    }


class Bed:
    """Decides what to run next."""

    def __init__(
        self, rows: Rows, symptoms: list[str], until: float, records: Path | None = None
    ) -> None:
        self.rows, self.symptoms, self.until, self.records = rows, symptoms, until, records
        self.pool = self._fresh()

    def round(self, number: int) -> None:
        """Three healthy programs, then each fault once."""
        for seed in range(HEALTHY_A_ROUND * number, HEALTHY_A_ROUND * (number + 1)):
            self._healthy(seed, number)
        for symptom in self.symptoms:
            strength = STRENGTHS[(number + list(FAULTS).index(symptom)) % len(STRENGTHS)]
            if self._has(round=number, symptom=symptom):
                continue
            seed = self._twin(symptom, number)
            if seed is not None:
                self._run(number, seed, symptom, strength)

    def _twin(self, symptom: str, number: int) -> int | None:
        """A program that trains and suits the fault, the one that it was planted in least."""
        for asked in range(4):
            used = Counter(row["seed"] for row in self.rows.runs if row["symptom"] == symptom)
            sound = [
                row["seed"]
                for row in self.rows.runs
                if row["symptom"] is None
                and row.get("trained")
                and FAULTS[symptom].needs(healthy(row["seed"]))
            ]
            least = min(sound, key=lambda seed: (used[seed], seed), default=None)
            if least is not None and (asked == 3 or used[least] < len(STRENGTHS)):
                return least
            self._healthy(self._suiting(symptom), number)
        return None

    def _suiting(self, symptom: str) -> int:
        """The next seed for which nobody asked yet whose program suits the fault."""
        known = {row["seed"] for row in self.rows.runs}
        seed = _ASKED_FOR
        while seed in known or not FAULTS[symptom].needs(healthy(seed)):
            seed += 1
        return seed

    def _healthy(self, seed: int, number: int) -> None:
        if not self._has(seed=seed, symptom=None):
            self._run(number, seed, None, 0.0)

    def _has(self, **values: Any) -> bool:
        return any(all(row[n] == v for n, v in values.items()) for row in self.rows.runs)

    def _run(self, number: int, seed: int, symptom: str | None, strength: float) -> None:
        if time.time() > self.until:
            raise TimeoutError
        row = {"kind": "run", "round": number, "seed": seed, "symptom": symptom}
        try:
            done = self.pool.submit(run, seed, symptom, strength, self.records).result()
        except Exception as error:  # the process died
            done = {"crashed": f"{type(error).__name__}: {error}"[:500]}
            self.pool = self._fresh()
        self.rows.add(**row, strength=strength, **done)
        print(_line(self.rows.runs[-1]), flush=True)

    def _fresh(self) -> ProcessPoolExecutor:
        spawn = get_context("spawn")  # TensorFlow does not survive a fork
        return ProcessPoolExecutor(1, spawn, max_tasks_per_child=_RUNS_A_PROCESS)


def _line(row: dict[str, Any]) -> str:
    named = [f"{one[0]}:{one[1]}" for one in row.get("findings", []) if one[1] != "info"]
    result = (
        row.get("crashed") or f"score {row['score']:.2f} {'ok' if row['trained'] else 'failed'}"
    )
    what = f"{row['symptom']} {row['strength']:g}" if row["symptom"] else "healthy"
    return f"{row['round']} {row['seed']} {what}: {result}, {row.get('seconds')} s: {named[:4]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=60.0, help="minutes")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--symptoms", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--records", type=Path, help="folder for the records of all runs")
    options = parser.parse_args()
    rows = Rows(options.out)
    rows.add(**session(f"bed.py --budget {options.budget:g}"))
    if options.records:
        options.records.mkdir(parents=True, exist_ok=True)
    bed = Bed(rows, options.symptoms, time.time() + 60 * options.budget, options.records)
    with contextlib.suppress(TimeoutError):
        for number in range(options.rounds):
            bed.round(number)
    bed.pool.shutdown()


if __name__ == "__main__":
    main()
