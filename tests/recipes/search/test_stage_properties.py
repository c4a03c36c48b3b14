"""Whatever trials answer, a search ends, stays a pure function, and survives JSON."""

import hashlib
import json
import math
import random

import numpy as np
import pytest

from trainwell.recipes.search._scores import is_lost
from trainwell.recipes.search._trials import Decision, EpochLosses, Trial
from trainwell.recipes.search.stages import (
    BatchSizeStage,
    EpochsStage,
    L2Stage,
    LearningRateStage,
)

# Trials at most. Learning rate: nine decades (61 in the wide range), three refinements and two
# below, these in a second decade as well, each run three times (twice).
# L2: nine decades, two rounds of two, four rates and two, each run twice. Batch size: eleven,
# the best of them again. Epochs: one run with two extensions, and it again.
STAGES = {
    "learning_rate": (lambda draw: LearningRateStage(executions=draw.randint(1, 3)), 57),
    "wide": (lambda draw: LearningRateStage(lowest=1e-30, highest=1e30, epochs=2), 142),
    "l2": (lambda draw: L2Stage(samples=1000, executions=draw.randint(1, 3)), 60),
    "batch_size": (lambda draw: BatchSizeStage(step_cost=1.0, example_cost=0.01), 22),
    "epochs": (lambda draw: EpochsStage(patience=(2, 4), final_patience=6, limit=8), 4),
}
CHOSEN = {"learning_rate": 0.25, "batch_size": 32}


def answer(candidate, world, kind):
    """A trial whose numbers hang on the candidate and the world alone, never on the order."""
    name = json.dumps([world, dict(candidate.values), candidate.execution], sort_keys=True)
    draw = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    settings = {"trial_id": name, "values": candidate.values, "execution": candidate.execution}
    samples = [0, 20, 10_000][world % 3]
    losses, accuracy = (), ()
    for _ in range(1 if kind == "one epoch" else candidate.values["epochs"]):
        mean, share = draw.normal(1, 0.5), draw.uniform()
        if kind == "equal":
            mean, share = 1.0, 0.5
        if kind == "holes" and draw.uniform() < 0.2:
            mean, share = math.nan, math.nan
        if kind == "huge":
            mean, share = mean * 1e300, share * 1e300
        if kind == "falls":
            mean, share = 3 / (len(losses) + 1) + 0.01 * mean, 0.9 + 0.001 * share
        noise = abs(draw.normal()) if kind in ("noise", "falls") else 0.0
        losses += (EpochLosses(steps=20, mean=mean, variance=noise, roughness=noise),)
        accuracy += (share,)
        trial = Trial(
            losses=losses,
            accuracy=accuracy,
            validation_samples=samples,
            steps=20 * len(losses),
            examples=100 * len(losses),
            diverged=kind == "diverges" and draw.uniform() < 0.5 / candidate.values["epochs"],
            **settings,
        )
        if trial.diverged or is_lost(trial, candidate.rival):
            break
    return trial


def walk(stage, world, kind, limit, draw):
    """Answers a random share of the candidates at a time; the last decision and all trials."""
    trials = []
    for _ in range(limit + 1):
        decision = stage.decide(trials, CHOSEN)
        text = json.dumps(decision.to_json(), allow_nan=False)
        assert Decision.from_json(json.loads(text)) == decision
        if decision.action != "try":
            return decision, trials
        some = draw.sample(decision.candidates, draw.randint(1, len(decision.candidates)))
        trials += [answer(candidate, world, kind) for candidate in some]
        assert len(trials) <= limit
    raise AssertionError("no end")


@pytest.mark.parametrize(
    "kind", ["random", "noise", "falls", "equal", "holes", "huge", "diverges", "one epoch"]
)
@pytest.mark.parametrize("name", STAGES)
def test_any_search_ends(name, kind):
    make, limit = STAGES[name]
    for world in range(1 if name == "wide" else 12):
        draw = random.Random(world)
        stage = make(draw)
        decision, trials = walk(stage, world, kind, limit, draw)
        assert decision.action in ("done", "failed")
        shuffled = draw.sample(trials, len(trials))
        again = [Trial.from_json(json.loads(json.dumps(t.to_json()))) for t in shuffled]
        assert stage.decide(again, CHOSEN) == decision
        # The batches in which trials came have not changed what was run, nor its cuts.
        other, same = walk(make(random.Random(world)), world, kind, limit, random.Random(-1))
        assert other == decision
        assert {t.trial_id: repr(t) for t in same} == {t.trial_id: repr(t) for t in trials}
