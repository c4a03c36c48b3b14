"""How often the search's verdicts on a cost curve are wrong, under noise.

    python benchmarks/search/oscillation.py [--runs 500]

Six epochs of per-step losses are simulated. A loss is a cost times gamma noise of mean 1; "noise"
is its standard deviation, which for batches of ten on MNIST is about 1. NumPy only.
"""

import argparse
from collections import Counter
from datetime import date

import numpy as np

from trainwell.recipes.search._oscillation import (
    course_of,
    is_hopeless,
    is_more,
    is_stalled,
    summarize,
)
from trainwell.recipes.search._scores import best_so_far, cannot_win, score_of
from trainwell.recipes.search.stages import Trial

EPOCHS = 6
NOISES = (0.1, 0.3, 1.0, 2.0)
STEPS = (10, 45, 500)


def noisy(generator, cost, noise):
    return cost * generator.gamma(1 / noise**2, noise**2, cost.shape)


def course(losses, steps):
    return course_of(Trial(trial_id="0", values={}, losses=summarize(losses, steps)), EPOCHS)


def costs(steps):
    """The true cost at each step: three that do not oscillate, four that do."""
    t = np.arange(EPOCHS * steps) / steps
    sign = np.where(np.arange(EPOCHS * steps) % 2, 1, -1)
    return {
        "falls fast": 0.2 + 2 * np.exp(-t),
        "falls by 10% in all": 1 - t / 60,
        "rests": np.ones_like(t),
        "swings by 10%": 1 + 0.1 * np.sin(np.pi * t),
        "swings by 30%": 1 + 0.3 * np.sin(np.pi * t),
        "swings by 60%": 1 + 0.6 * np.sin(np.pi * t),
        "alternates by 60%": 1 + 0.6 * sign,
    }


def print_verdicts(runs):
    print('Share of runs, %, called "oscillates" or "rises" (and "falls", for those that fall)\n')
    print("| true cost | steps | " + " | ".join(f"noise {n}" for n in NOISES) + " |")
    print("| --- | --- |" + " --- |" * len(NOISES))
    generator = np.random.default_rng(0)
    for steps in STEPS:
        for name, cost in costs(steps).items():
            cells = []
            for noise in NOISES:
                draws = noisy(generator, np.tile(cost, (runs, 1)), noise)
                words = Counter(course(row, steps).word for row in draws)
                cell = f"{100 * (words['oscillates'] + words['rises']) / runs:.1f}"
                falls = f" ({100 * words['falls'] / runs:.0f})" if "falls" in name else ""
                cells.append(cell + falls)
            print(f"| {name} | {steps} | " + " | ".join(cells) + " |")


def print_comparisons(runs):
    print("\nShare of runs, %, called too large: the last cost beside the lowest of three others\n")
    print("| its cost is higher by | steps | " + " | ".join(f"noise {n}" for n in NOISES) + " |")
    print("| --- | --- |" + " --- |" * len(NOISES))
    generator = np.random.default_rng(1)
    for steps in STEPS:
        for excess in (0.0, 0.05, 0.2, 0.5):
            cells = []
            for noise in NOISES:
                cost = np.repeat([1, 1, 1, 1 + excess], runs * EPOCHS * steps)
                draws = noisy(generator, cost, noise).reshape(4, runs, -1)
                found = [[course(row, steps) for row in rows] for rows in draws]
                called = [too_large(*one) for one in zip(*found, strict=True)]
                cells.append(f"{100 * np.mean(called):.1f}")
            print(f"| {100 * excess:.0f}% | {steps} | " + " | ".join(cells) + " |")


def too_large(*courses):
    *others, own = courses
    return any(
        is_more(own.cost, other.cost, own.standard_error, other.standard_error) for other in others
    )


def print_cuts(runs):
    print("\nShare of runs, %, cut off as hopeless, and the median step of the cut\n")
    print("| true cost | " + " | ".join(f"noise {n}" for n in NOISES) + " |")
    print("| --- |" + " --- |" * len(NOISES))
    t = np.arange(200)
    cases = {
        "falls fast": 0.2 + 2 * np.exp(-t / 50),
        "rests": np.ones(200),
        "peaks at 2.5 times, steps 5 to 15": np.where((t > 4) & (t < 15), 2.5, 1.0),
        "grows by 5% a step": 1.05**t,
        "doubles at each step": 2.0**t,
        "jumps to five times at step 1": np.where(t > 0, 5, 1.0),
    }
    generator = np.random.default_rng(2)
    for name, cost in cases.items():
        cells = []
        for noise in NOISES:
            draws = noisy(generator, np.tile(cost, (runs, 1)), noise)
            cut = [first_cut(row) for row in draws]
            at = [step for step in cut if step is not None]
            cells.append(f"{100 * len(at) / runs:.1f}" + (f" ({np.median(at):.0f})" if at else ""))
        print(f"| {name} | " + " | ".join(cells) + " |")


def print_lost(runs):
    """Runs held against a rival: given up, and given up though level with it in the end."""
    print("\nShare of runs, %, given up against a rival (and given up though level in the end)\n")
    print("| judged by | the run's course, beside its rival's | " + " | ".join(LOST) + " |")
    print("| --- | --- |" + " --- |" * len(LOST))
    generator = np.random.default_rng(3)
    t = np.arange(1, EPOCHS * 45 + 1) / 45
    rival = 0.2 + 2 * np.exp(-t)
    cases = {
        "the same": rival,
        "half as fast": 0.2 + 2 * np.exp(-t / 2),
        "a plateau of two epochs, then the same": np.where(t > 2, 0.2 + 2 * np.exp(2 - t), 2.2),
        "rests at the first cost": np.full_like(t, 2.2),
    }
    for name, cost in cases.items():
        cells = [lost_by_cost(generator, cost, rival, noise, runs) for noise in NOISES[:3]]
        print(f"| cost | {name} | " + " | ".join(cells) + " |")
    t = np.arange(1, 11)
    rival = 0.95 - 0.85 * np.exp(-t / 2)
    cases = {
        "the same": rival,
        "half as fast": 0.95 - 0.85 * np.exp(-t / 4),
        "a tenth as fast": 0.95 - 0.85 * np.exp(-t / 20),
        "as fast, ends 10 points lower": rival - 0.1,
        "as fast, ends 30 points lower": np.maximum(rival - 0.3, 0.1),
    }
    for name, share in cases.items():
        cells = [lost_by_accuracy(generator, share, rival, n, runs) for n in (20, 360, 10_000)]
        print(f"| accuracy | {name} | " + " | ".join(cells) + " |")


LOST = ("noise 0.1 / 20 samples", "noise 0.3 / 360 samples", "noise 1.0 / 10,000 samples")


def lost_by_cost(generator, cost, rival, noise, runs):
    lost = wrong = 0
    for _ in range(runs):
        own, its = (summarize(noisy(generator, c, noise), 45) for c in (cost, rival))
        if any(is_stalled(own[:e], [epoch.mean for epoch in its]) for e in range(1, EPOCHS)):
            lost += 1
            ends = [course_of(Trial(trial_id="0", values={}, losses=r), EPOCHS) for r in (own, its)]
            wrong += ends[0].word == "falls" and not too_large(ends[1], ends[0])
    return f"{100 * lost / runs:.1f} ({100 * wrong / runs:.1f})"


def lost_by_accuracy(generator, share, rival, samples, runs):
    lost = wrong = 0
    for _ in range(runs):
        own, its = (
            scored(generator.binomial(samples, p) / samples, samples) for p in (share, rival)
        )
        parts = (scored(own.accuracy[:e], samples) for e in range(1, 10))
        if any(cannot_win(part, best_so_far(its)) for part in parts):
            lost += 1
            wrong += not score_of([its]).exceeds(score_of([own]))
    return f"{100 * lost / runs:.1f} ({100 * wrong / runs:.1f})"


def scored(accuracy, samples):
    return Trial(
        trial_id="0", values={}, accuracy=tuple(map(float, accuracy)), validation_samples=samples
    )


def first_cut(losses):
    return next((n for n in range(len(losses)) if is_hopeless(losses[: n + 1])), None)


def print_least_squares(runs):
    """Real dynamics: SGD on least squares, whose largest stable full-batch rate is known."""
    print("\nSGD on least squares (8 weights, 256 samples, label noise 0.5), share of runs, %\n")
    print("| batch | rate / (2 / largest curvature) | falls | flat | oscillates or rises | cut |")
    print("| --- | --- | --- | --- | --- | --- |")
    for batch in (4, 32, 256):
        for share in (0.01, 0.1, 0.5, 0.9, 1.1, 1.5):
            words = Counter(least_squares(seed, batch, share) for seed in range(runs))
            bad = words["oscillates"] + words["rises"]
            numbers = (words["falls"], words["flat"], bad, words["diverged"])
            cells = " | ".join(f"{100 * number / runs:.0f}" for number in numbers)
            print(f"| {batch} | {share} | {cells} |")


def least_squares(seed, batch, share):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(256, 8))
    y = x @ generator.normal(size=8) + 0.5 * generator.normal(size=256)
    rate = share * 2 / np.linalg.eigvalsh(x.T @ x / 256)[-1]
    weights, losses = np.zeros(8), []
    for _ in range(EPOCHS):
        for rows in generator.permutation(256).reshape(-1, batch):
            error = x[rows] @ weights - y[rows]
            losses.append((error**2).mean() / 2)
            weights = weights - rate * x[rows].T @ error / batch
            if is_hopeless(losses):
                return "diverged"
    return course(losses, 256 // batch).word


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    print(f"{date.today()}, NumPy {np.__version__}; {runs} runs a cell\n")
    print_verdicts(runs)
    print_comparisons(runs)
    print_cuts(runs)
    print_lost(runs)
    print_least_squares(runs)


if __name__ == "__main__":
    main()
