"""Twenty kills at random moments in one search, alone and with two workers.

After each kill what is finished is compared with what was finished before it, and at the end all
that the search came to, each loss to the last bit, with an undisturbed search.

    python benchmarks/search/kills.py
"""

import importlib.util
import json
import random
import tempfile
import time
from pathlib import Path

KILLS = 20
PROGRAM = Path(__file__).parents[2] / "tests" / "recipes" / "search" / "search_program.py"


def load_program():
    spec = importlib.util.spec_from_file_location("search_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


program = load_program()


def alone(nursery, directory, moments):
    """Kills the one process again and again; returns how many kills hit a running search."""
    options = {"directory": directory, "log": f"{directory}.log", "pause": 0.2}
    kept, hits = {}, 0
    for _ in range(KILLS):
        pid = nursery.start(**options)
        hits += nursery.wait(pid, moments.uniform(0.2, 4.0)) is None
        nursery.kill(pid)
        kept = checked(directory, kept)
    assert nursery.wait(nursery.start(**options), 300) == 0
    checked(directory, kept)
    return hits


def with_workers(nursery, directory, moments):
    """Kills the chief or a worker, whichever, and starts it again; returns the same."""
    port = program.free_port()
    options = {"directory": directory, "log": f"{directory}.log", "pause": 0.5, "timeout": 3.0}
    team = {name: nursery.start(name, port, **options) for name in ("chief", "first", "second")}
    kept, hits = {}, 0
    while hits < KILLS and nursery.wait(team["chief"], moments.uniform(0.2, 2.5)) is None:
        name = moments.choice(list(team))
        hits += 1
        nursery.kill(team[name])
        kept = checked(directory, kept)
        team[name] = nursery.start(name, port, **options)
    assert nursery.wait(team["chief"], 300) == 0
    checked(directory, kept)
    return hits


def checked(directory, kept):
    """What is finished now, which holds unchanged what was finished before."""
    found = program.finished(directory)
    assert all(found.get(trial_id) == trial for trial_id, trial in kept.items())
    return found


def begun(directory):
    lines = Path(f"{directory}.log").read_text().splitlines()
    return sum(json.loads(line)["what"] == "begin" for line in lines)


def main():
    nursery, moments = program.Nursery(), random.Random(2)
    with tempfile.TemporaryDirectory() as folder:
        assert nursery.wait(nursery.start(directory=f"{folder}/undisturbed"), 300) == 0
        expected = program.outcome(f"{folder}/undisturbed")
        print(f"undisturbed: {len(expected)} trials")
        for name, way in (("alone", alone), ("with two workers", with_workers)):
            directory, start = f"{folder}/{way.__name__}", time.monotonic()
            hits = way(nursery, directory, moments)
            same = program.outcome(directory) == expected
            print(
                f"{name}: {hits} kills while it searched, {len(program.finished(directory))} "
                f"trials finished, each once and never touched again; runs begun: "
                f"{begun(directory)}; all losses bit-equal to the undisturbed search's: {same}; "
                f"{time.monotonic() - start:.0f} s"
            )
            assert same
    nursery.close()


if __name__ == "__main__":
    main()
