"""Puts the rules as they are now to runs whose records were kept: no run is trained again.

    python benchmarks/doctor/bed.py --records records
    python benchmarks/doctor/rejudge.py --records records

What the doctor warned of while the runs went (`told`) stays as it was.
"""

import argparse
from pathlib import Path

from bed import RESULTS, findings_of, record_name
from rows import Rows, session

from trainwell.callbacks import TrainingRecord


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=RESULTS, help="replaced")
    options = parser.parse_args()
    before, part = Rows(options.runs), options.out.with_suffix(".part")
    part.unlink(missing_ok=True)
    after = Rows(part)
    for one in [*before.sessions, session("rejudge.py --records records")]:
        after.add(**one)
    for run in before.runs:
        kept = options.records / record_name(run["seed"], run["symptom"], run["strength"])
        paths = [Path(f"{kept}.{name}") for name in ("preflight", "fit")]
        known = "crashed" not in run and all(path.exists() for path in paths)
        judged = findings_of(*map(TrainingRecord.load, paths)) if known else {}
        after.add(**run | judged)
        changed = any(run[name] != judged[name] for name in judged)
        if changed:
            print(f"{kept.name}: {_short(run['findings'])} -> {_short(judged['findings'])}")
    part.replace(options.out)


def _short(findings):
    return " ".join(f"{one[0]}:{one[1]}" for one in findings if one[1] != "info") or "nothing"


if __name__ == "__main__":
    main()
