"""The tables of `compare.py`."""

from collections import defaultdict
from datetime import date
from math import inf, isfinite
from statistics import mean, median

NEAR = 0.005
"""Half a point: what still counts as having reached the grid's best."""

_EPOCH = {"digits": 45, "mnist": 50}
_ASKED = {"random": 400, "bayesian": 400, "hyperband": 375}
"""Epochs that a search takes which nobody stops: 40 trials of 10, and Hyperband's 70 up to 27."""


def print_report(rows):
    print(f"{date.today()}\n")
    grids = {row["case"]: row for row in rows.where(kind="grid")}
    print("| case | the grid's best: rate, l2 | accuracy of its final fits |\n| --- | --- | --- |")
    for name, row in grids.items():
        print(f"| {name} | {row['learning_rate']:g}, {row['l2']:g} | {row['accuracy']:.4f} |")
    _print_steps(rows, grids)
    _print_whole(rows, grids)
    _print_ends(rows, grids)
    _print_stages(rows)


def _print_steps(rows, grids):
    print("\nUntil within half a point, the final fit included: median over seeds of steps")
    print("(of the search alone), seconds; how many of the seeds got there\n")
    methods = _methods(rows)
    print("| case | " + " | ".join(methods) + " | heuristic / best of the others |")
    print("| --- |" + " --- |" * (len(methods) + 1))
    for name, grid in grids.items():
        cells, totals = [], {}
        for method in methods:
            runs = rows.where(kind="run", case=name, method=method)
            reached = [event for run in runs if (event := _reached(run, grid))]
            far = [inf] * (len(runs) - len(reached))
            total = [event["steps"] + event["fit_steps"] for event in reached] + far
            alone = [event["steps"] for event in reached] + far
            wall = [event["seconds"] + event["fit_seconds"] for event in reached] + far
            if not runs:
                cells.append("")
                continue
            totals[method] = median(total)
            shown = f"{median(total):.0f} ({median(alone):.0f}), {median(wall):.0f} s"
            shown = shown if isfinite(median(total)) else "never"
            cells.append(f"{shown}; {len(reached)} of {len(runs)}")
        print(f"| {name} | " + " | ".join(cells) + f" | {_ratio(totals)} |")


def _ratio(totals):
    """Ours over the best of the others, in words."""
    others = [value for method, value in totals.items() if method != "heuristic"]
    own = totals.get("heuristic", inf)
    if not others or not isfinite(own):
        return ""
    return f"{own / min(others):.2f}" if isfinite(min(others)) else "only ours arrives"


def _print_whole(rows, grids):
    print("\nWhole searches, the final fit included, where nobody says when to stop: steps\n")
    print("| case | heuristic, median | " + " | ".join(_ASKED) + " | heuristic / best |")
    print("| --- |" + " --- |" * (len(_ASKED) + 2))
    for name in grids:
        runs = rows.where(kind="run", case=name, method="heuristic")
        if not runs:
            continue
        fit = median(run["events"][-1]["fit_steps"] for run in runs)
        own = fit + median(sum(trial["steps"] for trial in run["trials"]) for run in runs)
        asked = [fit + epochs * _EPOCH[name.split("/")[0]] for epochs in _ASKED.values()]
        cells = " | ".join(f"{steps:.0f}" for steps in asked)
        print(f"| {name} | {own:.0f} | {cells} | {own / min(asked):.2f} |")


def _print_ends(rows, grids):
    print(
        "\nThe heuristic search's end: points below the grid's best, mean and worst of the seeds\n"
    )
    print("| case | seeds | mean | worst | chosen rates | chosen l2 |")
    print("| --- |" + " --- |" * 5)
    for name, grid in grids.items():
        ends = [r["events"][-1] for r in rows.where(kind="run", case=name, method="heuristic")]
        if ends:
            below = [100 * (grid["accuracy"] - end["accuracy"]) for end in ends]
            rates = ", ".join(f"{end['learning_rate']:g}" for end in ends)
            strengths = ", ".join(f"{end['l2']:g}" for end in ends)
            shown = f"{mean(below):.2f} | {max(below):.2f} | {rates} | {strengths}"
            print(f"| {name} | {len(ends)} | {shown} |")


def _print_stages(rows):
    print("\nWhere its steps go: mean over the seeds, steps (trials)\n")
    kinds = ("up to the threshold", "above it", "repeats")
    kinds += ("L2: first runs", "L2: repeats", "L2: the rate")
    print("| case | " + " | ".join(kinds) + " | all |")
    print("| --- |" + " --- |" * (len(kinds) + 1))
    for name in dict.fromkeys(row["case"] for row in rows.where(method="heuristic")):
        runs = rows.where(kind="run", case=name, method="heuristic")
        found = defaultdict(list)
        for run in runs:
            for trial in run["trials"]:
                found[_kind(trial, run)].append(trial["steps"])
                found["all"].append(trial["steps"])
        cells = [
            f"{sum(found[kind]) / len(runs):.0f} ({len(found[kind]) / len(runs):.1f})"
            for kind in (*kinds, "all")
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _kind(trial, run):
    if trial["stage"] == "LearningRateStage":
        if trial["execution"]:
            return "repeats"
        threshold = 2 * run["events"][0]["learning_rate"]
        return "above it" if trial["learning_rate"] > 1.01 * threshold else "up to the threshold"
    if trial["learning_rate"] != run["events"][0]["learning_rate"]:
        return "L2: the rate"
    return "L2: repeats" if trial["execution"] else "L2: first runs"


def _reached(run, grid):
    return next((e for e in run["events"] if e["accuracy"] >= grid["accuracy"] - NEAR), None)


def _methods(rows):
    return list(dict.fromkeys(row["method"] for row in rows.where(kind="run")))
