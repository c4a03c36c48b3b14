"""Trains what the claims compare; goes on where it stopped. About an hour on one core.

```
python benchmarks/evidence/run.py            # all; then benchmarks/evidence/page.py
python benchmarks/evidence/run.py --list     # what is left to do
python benchmarks/evidence/run.py --more-rates   # then, where the best rate is an end of the grid
python benchmarks/evidence/run.py --data wine --arms plain dropout
```
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import logging
import sys
import time
from pathlib import Path

from arms import ARMS
from claims import CLAIMS
from data_sets import NAMES
from findings import at_an_end, beyond, found_in
from results import PATH, Results, session


def wanted() -> list[tuple[str, str]]:
    """Each arm with each data set that some claim needs, an arm once however many need it."""
    pairs = [(arm, data) for claim in CLAIMS for arm in (claim.a, claim.b) for data in claim.data]
    return list(dict.fromkeys(pairs))


def wanted_beyond(results: Results) -> list[tuple[str, str]]:
    """Both arms of each comparison in which one is at its best at an end of its grid."""
    pairs = [
        (arm, data) for claim, data in at_an_end(found_in(results)) for arm in (claim.a, claim.b)
    ]
    return list(dict.fromkeys(pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--arms", nargs="+", choices=ARMS)
    parser.add_argument("--list", action="store_true", help="print what is left, train nothing")
    parser.add_argument("--results", type=Path, default=PATH)
    parser.add_argument(
        "--more-rates", action="store_true",
        help="four more rates for what is at its best at an end of its grid, after all the rest",
    )  # fmt: skip
    options = parser.parse_args()
    results = Results(options.results)
    made = beyond if options.more_rates else ARMS.__getitem__
    left = [
        (arm, data) for arm, data in (wanted_beyond(results) if options.more_rates else wanted())
        if data in options.data and arm in (options.arms or ARMS)
        and results.of(made(arm), data) is None
    ]  # fmt: skip
    if options.list or not left:
        print("\n".join(f"{arm} | {data}" for arm, data in left) or "Nothing is left to do.")
        return

    from training import SEEDS, train

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    words = " ".join(sys.argv[1:])
    results.add(session(f"python benchmarks/evidence/run.py {words}".strip()))
    for done, (arm, data) in enumerate(left, 1):
        start = time.perf_counter()
        measures = train(made(arm), data)
        seconds = round(time.perf_counter() - start, 1)
        results.add({
            "kind": "run", "digest": made(arm).digest(data), "arm": arm, "data": data,
            "seeds": len(SEEDS), "seconds": seconds, "measures": measures,
        })  # fmt: skip
        print(f"{done}/{len(left)}  {arm} | {data}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
