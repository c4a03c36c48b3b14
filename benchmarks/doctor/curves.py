"""What the bed's runs say of the doctor: curves over the strength of each fault, and tables.

    python benchmarks/doctor/curves.py             # prints, and draws docs/images/doctor_curves.png

"Failed" is measured: the score stayed below chance + 0.6 (ceiling - chance). "Flagged" is a finding
of severity "error". "Named" is the planted symptom, or another right name of the same cause (the
`also` of `faults.py`), among the first three findings of severity "error" or "warning".
"""

import argparse
import math
from pathlib import Path
from textwrap import fill

from bed import RESULTS, STRENGTHS
from faults import FAULTS
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from networks import healthy
from rows import Rows

from trainwell.callbacks._figures import style
from trainwell.callbacks._palette import INK, MUTED, PAGE, RUN_COLOURS

FIGURE = Path(__file__).parents[2] / "docs" / "images" / "doctor_curves.png"
_BLUE, _ORANGE, _GREEN = RUN_COLOURS[:3]


def errors(row, when="findings"):
    """The symptoms that are called errors."""
    return [one[0] for one in row[when] if one[1] == "error"]


def shown(row):
    """The first three findings that are errors or warnings."""
    return [one[0] for one in row["findings"] if one[1] in ("error", "warning")][:3]


def is_named(row, symptom):
    return bool({symptom, *FAULTS[symptom].also} & set(shown(row)))


def wilson(hits, count, z=1.96):
    """The 95% interval of a share."""
    if not count:
        return 0.0, 1.0
    share = hits / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / (1 + z**2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)


class Bed:
    """The runs, sorted."""

    def __init__(self, runs):
        self.crashed = [row for row in runs if "crashed" in row]
        whole = [row for row in runs if "crashed" not in row]
        without = [row for row in whole if row["symptom"] is None]
        self.sound = [row for row in without if row["trained"]]
        self.unsound = [row for row in without if not row["trained"]]
        self.faulty = [row for row in whole if row["symptom"] is not None]

    def cell(self, symptom, strength):
        """The runs of a fault at a strength; at 0, the sound programs that it could be put in."""
        if strength:
            chosen = symptom, strength
            return [row for row in self.faulty if (row["symptom"], row["strength"]) == chosen]
        return [row for row in self.sound if FAULTS[symptom].needs(healthy(row["seed"]))]


def share(rows, test):
    return sum(map(test, rows)) / len(rows) if rows else math.nan


# ------------------------------------------------------------------ tables


def print_tables(bed):
    _print_healthy(bed)
    _print_faulty(bed)
    _print_symptoms(bed)
    _print_alarms(bed)


def _print_healthy(bed):
    count = len(bed.sound) + len(bed.unsound)
    print(f"{count} programs without a fault: {len(bed.sound)} trained and count as healthy.")
    depths = sorted(row["depth"] for row in bed.sound)
    if depths:
        print(f"Depths {depths[0]} to {depths[-1]}, median {depths[len(depths) // 2]}.")
    print("\n| healthy, with a finding of | runs | flagged | share | 95% interval |")
    print("| --- | --- | --- | --- | --- |")
    _print_share("an error, after `fit`", bed.sound, lambda row: bool(errors(row)))
    _print_share("an error, `preflight`", bed.sound, lambda row: bool(errors(row, "preflight")))
    _print_share("an error or a warning, after `fit`", bed.sound, lambda row: bool(shown(row)))
    _print_share("an error, of those that failed", bed.unsound, lambda row: bool(errors(row)))


def _print_faulty(bed):
    failed = [row for row in bed.faulty if not row["trained"]]
    fine = [row for row in bed.faulty if row["trained"]]
    flagged = [row for row in failed if errors(row)]
    print("\n| faulty programs | runs | hits | share | 95% interval |")
    print("| --- | --- | --- | --- | --- |")
    _print_share("failed: flagged", failed, lambda row: bool(errors(row)))
    _print_share("failed: flagged by `preflight`", failed, lambda r: bool(errors(r, "preflight")))
    _print_share("failed: named", failed, lambda row: is_named(row, row["symptom"]))
    _print_share("failed: the very symptom named", failed, lambda row: row["symptom"] in shown(row))
    _print_share("failed: named first", failed, _is_first)
    _print_share("failed and flagged: told in the first tenth", flagged, _was_early)
    _print_share("trained all the same: flagged", fine, lambda row: bool(errors(row)))
    _print_share(
        "trained all the same: flagged by `preflight`", fine, lambda r: bool(errors(r, "preflight"))
    )
    _print_share("trained all the same: named", fine, lambda row: is_named(row, row["symptom"]))


def _is_first(row):
    return bool(shown(row)) and shown(row)[0] in {row["symptom"], *FAULTS[row["symptom"]].also}


def _was_early(row):
    return any(one[1] == "error" and one[0] <= 0.1 * row["steps"] for one in row["told"])


def _print_share(name, rows, test):
    hits = sum(map(test, rows))
    low, high = wilson(hits, len(rows))
    told = f"{hits / len(rows):.0%} | {low:.0%} to {high:.0%}" if rows else " | "
    print(f"| {name} | {len(rows)} | {hits} | {told} |")


def _print_symptoms(bed):
    print("\nFailed / flagged / named, of so many runs, by strength; in the last column, of all\n")
    print("| planted | " + " | ".join(f"{s:g}" for s in (0.0, *STRENGTHS)) + " | all faulty |")
    print("| --- |" + " --- |" * (len(STRENGTHS) + 2))
    for symptom in FAULTS:
        cells = [bed.cell(symptom, strength) for strength in (0.0, *STRENGTHS)]
        cells.append([row for rows in cells[1:] for row in rows])
        print(f"| {symptom} | " + " | ".join(_counts(rows, symptom) for rows in cells) + " |")


def _counts(rows, symptom):
    if not rows:
        return ""
    failed = sum(not row["trained"] for row in rows)
    flagged = sum(bool(errors(row)) for row in rows)
    named = sum(is_named(row, symptom) for row in rows)
    return f"{failed} / {flagged} / {named} of {len(rows)}"


def _print_alarms(bed):
    """Every run on which verdict and outcome differ, to be looked at."""
    print("\nErrors on runs that trained:")
    for row in bed.sound + [row for row in bed.faulty if row["trained"]]:
        if errors(row) or errors(row, "preflight"):
            _print_run(row)
    print("\nFailed, faulty, and no error:")
    for row in bed.faulty:
        if not row["trained"] and not errors(row):
            _print_run(row)
    for row in bed.crashed:
        print(f"\ncrashed: {row['seed']} {row['symptom']} {row['strength']:g}: {row['crashed']}")


def _print_run(row):
    what = f"{row['symptom']} {row['strength']:g}" if row["symptom"] else "healthy"
    program = f"{row['family']} {row['data']} depth {row['depth']} {row['activation']}"
    training = f"{row['optimizer']} {row['rate']:.2g}"
    score = f"score {row['score']:.2f} ({row['chance']:.2f} to {row['ceiling']:.2f})"
    print(f"- seed {row['seed']}, {what}: {program}, {training}, {score}")
    for name in ("preflight", "findings"):
        told = [f"{one[0]} {one[1]}" for one in row[name] if one[1] != "info"]
        print(f"    {name}: {', '.join(told) or 'nothing'}")


# ------------------------------------------------------------------ figure


def draw(bed):
    """A panel a fault: what failed, what was flagged and what was named, over the strength."""
    figure = Figure(figsize=(9.6, 11.5), facecolor=PAGE, layout="constrained")
    panels = figure.subplots(5, 4, sharey=True)
    for axes, symptom in zip(panels.flatten(), FAULTS, strict=True):
        _panel(axes, bed, symptom)
    for axes in panels[:, 0]:
        axes.set_ylabel("share of the runs", fontsize=8.5, color=MUTED)
    lines = [
        Line2D([], [], color=MUTED, linewidth=7, alpha=0.35, label="did not train (measured)"),
        Line2D([], [], color=_BLUE, marker="o", label="flagged as an error"),
        Line2D([], [], color=_GREEN, marker="s", linestyle=":", label="flagged by preflight"),
        Line2D([], [], color=_ORANGE, marker="^", linestyle="--", label="cause named"),
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=4, frameon=False, fontsize=10)
    return figure


def _panel(axes, bed, symptom):
    strengths = (0.0, *STRENGTHS)
    cells = [bed.cell(symptom, strength) for strength in strengths]
    tests = {
        "failed": lambda row: not row["trained"],
        "flagged": lambda row: bool(errors(row)),
        "preflight": lambda row: bool(errors(row, "preflight")),
        "named": lambda row: is_named(row, symptom),
    }
    looks = {
        "failed": {"color": MUTED, "linewidth": 7, "alpha": 0.35, "solid_capstyle": "round"},
        "flagged": {"color": _BLUE, "marker": "o", "markersize": 5, "linewidth": 2},
        "preflight": {"color": _GREEN, "marker": "s", "markersize": 4, "linestyle": ":"},
        "named": {"color": _ORANGE, "marker": "^", "markersize": 5, "linestyle": "--"},
    }
    known = [at for at, rows in enumerate(cells) if rows]
    for name, test in tests.items():
        shares = [share(cells[at], test) for at in known]
        axes.plot([strengths[at] for at in known], shares, clip_on=False, **looks[name])
    style(axes, symptom)
    axes.set_title(symptom, loc="left", fontsize=9.5, color=INK)
    runs = sum(map(len, cells[1:]))
    note = f"s: {fill(FAULTS[symptom].scale, 32)}\n{runs} runs, {len(cells[0])} healthy (s = 0)"
    axes.set_xlabel(note, fontsize=7.5, color=MUTED)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.04, 1.04))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=RESULTS)
    parser.add_argument("--figure", type=Path, default=FIGURE)
    options = parser.parse_args()
    bed = Bed(Rows(options.runs).runs)
    print_tables(bed)
    draw(bed).savefig(options.figure, dpi=150)


if __name__ == "__main__":
    main()
