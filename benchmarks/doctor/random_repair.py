"""`recipes.repair` beside a random search over the same remedies, with the same budget.

    python benchmarks/doctor/random_repair.py --programs 12 --budget 40    # goes on where it was
    python benchmarks/doctor/random_repair.py --report

The programs are those of the bed that failed in fact, of up to ten layers, one of each fault in
turn; faults of the data or the code that no model mends are left out. Both ways may train the given
model and five changed ones for as many epochs as were planned. The random search changes the given
model by one to three remedies, drawn from all that the rules know, in a form that suits the task
(no relu as an output): it knows what may be changed, not what is wrong. It is told when to stop:
at the first model that is repaired, that is, reaches chance + 0.6 (ceiling - chance). `repair`
decides that for itself. Of both the best score counts, of about twenty in a run.
"""

import argparse
import contextlib
import time
from pathlib import Path

from bed import RESULTS as FAILED  # first: it sets threads and logs for TensorFlow

# isort: split
import keras
import numpy as np
import tensorflow as tf
from building import build
from curves import wilson
from data_sets import data_set
from faults import FAULTS, planted
from networks import healthy
from program import arrays, score
from rows import Rows, session

from trainwell.callbacks.activation_facts import ACTIVATION_FACTS
from trainwell.callbacks.diagnosis.finding import Finding, Remedy, Severity
from trainwell.recipes.prescription import apply_remedies
from trainwell.recipes.repair import repair

RESULTS = Path(__file__).parent / "results" / "random_repair.jsonl"
ATTEMPTS = 5
DEEPEST = 10
BEYOND = ("not_learning", "overfitting", "disconnected_layer", "non_finite")
"""Faults of the data, or of the code, that no change of the model mends."""

_MOST_AT_ONCE = 3
_ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "tanh", "swish")


def vocabulary(program, rng):
    """One remedy of each kind, of values that somebody who tries things might choose."""
    data = data_set(program.data)
    activation = str(rng.choice(_ACTIVATIONS))
    family = {"glorot": "glorot_uniform", "he": "he_normal", "lecun": "lecun_normal"}
    output, loss = _ends(program, data.classes)
    values = {
        "activation": activation,
        "initializer": family[ACTIVATION_FACTS[activation].initializer],
        "normalization": "batch",
        "output_activation": output,
        "loss": loss,
        "input_scaling": "standardize",
        "clipping": {"clipnorm": 1.0},
        "learning_rate": [1e-4, 1e-3, 1e-2, 0.1, None][rng.integers(5)],
        "optimizer": str(rng.choice(["adam", "rmsprop", "nadam", "sgd"])),
        "dropout": [0.0, 0.2][rng.integers(2)],
        "regularization": {"l2": 1e-4},
    }
    if not data.classes:
        y = program.target_scale * data.y
        values["target_scaling"] = {"mean": float(y.mean()), "std": float(y.std())}
    return {
        kind: Remedy(kind=kind, value=value, reason="Drawn.", source="random search")
        for kind, value in values.items()
    }


def _ends(program, classes):
    """The output and the loss that suit the targets, so that the search has those too."""
    if not classes:
        return "linear", "mean_squared_error"
    if program.targets == "one_hot":
        return "softmax", "categorical_crossentropy"
    if program.targets == "column" and classes == 2:
        return "sigmoid", "binary_crossentropy"
    return "softmax", "sparse_categorical_crossentropy"


def drawn(program, rng):
    """One to three remedies, each as the finding of a rule would carry it."""
    remedies = vocabulary(program, rng)
    count = int(rng.integers(1, _MOST_AT_ONCE + 1))
    kinds = [str(kind) for kind in rng.choice(list(remedies), count, replace=False)]
    symptom = "exploding_gradient"  # after which all weights are drawn anew
    return [
        (Finding(symptom=symptom, layers=(), severity=Severity.WARNING, first_step=0,
                 evidence="Drawn."), remedies[kind])
        for kind in kinds
    ]  # fmt: skip


class Best(keras.callbacks.Callback):
    """The best score of about twenty in a run, as `repair` has it, and the epochs that ran."""

    def __init__(self, program, goal):
        super().__init__()
        self.program, self.goal = program, goal
        self.every = max(1, program.epochs // 20)
        self.score, self.epochs = -np.inf, 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs = epoch + 1
        if self.epochs % self.every == 0 or self.epochs == self.program.epochs:
            self.score = max(self.score, score(self.program, self.model))
            self.model.stop_training = self.score >= self.goal


def search(program, goal, rng):
    """The random search: its best score, the epochs that it took, and what it tried."""
    given = arrays(program)
    best, epochs, tried = -np.inf, 0, []
    while best < goal and len(tried) <= ATTEMPTS:
        chosen = drawn(program, rng) if tried else []
        tried.append([f"{remedy.kind} {remedy.value}" for _, remedy in chosen])
        watch = Best(program, goal)
        with contextlib.suppress(ValueError, tf.errors.OpError):  # they may not fit together
            model = build(program)
            if chosen:
                model = apply_remedies(model, chosen, given["x"], given["y"]).model
            plan = {"batch_size": program.batch, "epochs": program.epochs}
            model.fit(given["x"], given["y"], **plan, verbose=0, callbacks=[watch])
        best, epochs = max(best, watch.score), epochs + watch.epochs
    return {"score": best, "epochs": epochs, "attempts": tried}


def diagnosed(program, goal, rng):
    """`repair` on the same program, which draws nothing."""
    given = arrays(program)
    plan = {"batch_size": program.batch, "epochs": program.epochs}
    mended = repair(build(program), **given, **plan, attempts=ATTEMPTS, verbose=0)
    return {
        "score": score(program, mended.model),
        "epochs": sum(attempt.epochs for attempt in mended.attempts),
        "attempts": [attempt.outcome for attempt in mended.attempts],
    }


METHODS = {"repair": diagnosed, "random": search}


def candidates(rows):
    """The bed's failed programs that a change of the model can mend, one of each fault in turn."""
    by_fault = {}
    for row in rows.runs:
        is_apt = row["symptom"] not in (None, *BEYOND) and row.get("trained") is False
        if is_apt and row["depth"] <= DEEPEST:
            by_fault.setdefault(row["symptom"], []).append(row)
    most = max(map(len, by_fault.values()), default=0)
    return [runs[at] for at in range(most) for runs in by_fault.values() if at < len(runs)]


def compare(row, method):
    """One program by one method."""
    keras.backend.clear_session()
    program = planted(healthy(row["seed"]), row["symptom"], row["strength"])
    goal = data_set(program.data).trained_from
    strength = round(100 * row["strength"])
    rng = np.random.default_rng([row["seed"], 3, list(FAULTS).index(row["symptom"]), strength])
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        done = METHODS[method](program, goal, rng)
        done["repaired"] = bool(done["score"] >= goal)
        done["score"] = round(float(np.nan_to_num(done["score"], neginf=-1.0)), 4)
    except Exception as error:
        done = {"crashed": f"{type(error).__name__}: {error}"[:500], "repaired": False}
    done["seconds"] = round(time.perf_counter() - wall, 1)
    done["cpu"] = round(time.process_time() - cpu, 1)
    return done


def report(rows):
    """Those that both have been through."""
    runs = {(row["seed"], row["symptom"], row["strength"], row["method"]): row for row in rows.runs}
    keys = [key[:3] for key in runs if key[3] == "random" and (*key[:3], "repair") in runs]
    print("| fault, strength | seed | repair: score (epochs) | random: score (epochs) |")
    print("| --- | --- | --- | --- |")
    for seed, symptom, strength in keys:
        cells = [_cell(runs[seed, symptom, strength, method]) for method in METHODS]
        print(f"| {symptom} {strength:g} | {seed} | " + " | ".join(cells) + " |")
    for method in METHODS:
        hits = sum(runs[*key, method]["repaired"] for key in keys)
        epochs = [runs[*key, method].get("epochs", 0) for key in keys]
        low, high = wilson(hits, len(keys))
        print(f"\n{method}: {hits} of {len(keys)} repaired ({low:.0%} to {high:.0%}), "
              f"{sum(epochs)} epochs in all")  # fmt: skip


def _cell(row):
    if "crashed" in row:
        return row["crashed"][:60]
    return f"{'repaired' if row['repaired'] else 'not'}: {row['score']:.2f} ({row['epochs']})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=12)
    parser.add_argument("--budget", type=float, default=60.0, help="minutes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    rows, until = Rows(options.out), time.time() + 60 * options.budget
    if not options.report:
        words = f"--programs {options.programs} --budget {options.budget:g}"
        rows.add(**session(f"random_repair.py {words}"))
        for row in candidates(Rows(FAILED))[: options.programs]:
            for method in METHODS:
                same = {name: row[name] for name in ("seed", "symptom", "strength")}
                same["method"] = method
                if time.time() > until or any(same.items() <= one.items() for one in rows.runs):
                    continue
                rows.add(kind="run", **same, **compare(row, method))
                print({name: v for name, v in rows.runs[-1].items() if name != "kind"}, flush=True)
    report(rows)


if __name__ == "__main__":
    main()
