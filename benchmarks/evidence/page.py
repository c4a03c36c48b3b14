"""Writes docs/evidence.md and docs/images/evidence.png from the results.

```
python benchmarks/evidence/page.py
```
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from pathlib import Path

import details
import figure
import words
from claim import Claim
from claims import THEMES
from data_sets import NAMES
from effects import Effect, overall
from findings import Found, found_in, wider_in
from results import PATH, ROOT, Results
from verdicts import verdict

PAGE = ROOT / "docs" / "evidence.md"
FIGURE = ROOT / "docs" / "images" / "evidence.png"

Effects = dict[str, Effect]


def verdict_of(claim: Claim, effects: Effects) -> str:
    """In words; with a word of warning where data sets are still missing."""
    if not effects:
        return "not run"
    told = verdict({name: one.counts for name, one in effects.items()})
    missing = [name for name in claim.data if name not in effects]
    return f"{told} (not run: {', '.join(missing)})" if missing else told


def tables(found: Found) -> str:
    """One table a theme, one row a claim."""
    head = f"| claim | {' | '.join(NAMES)} | mean of them | verdict |"
    lines = []
    for title, theme in THEMES.items():
        lines += ["", f"### {title}", "", head, "| --- |" + " --- |" * (len(NAMES) + 2)]
        lines += [_row(claim, found[claim]) for claim in theme]
    return "\n".join(lines)


def _row(claim: Claim, effects: Effects) -> str:
    cells = [_cell(effects[name], claim) if name in effects else "" for name in NAMES]
    whole = details.told(overall(list(effects.values())), claim) if len(effects) > 1 else ""
    first = f"**{details.link(claim)}.** {claim.says} *{claim.source}*"
    return f"| {first} | {' | '.join(cells)} | {whole} | {verdict_of(claim, effects)} |"


def _cell(one: Effect, claim: Claim) -> str:
    text = details.told(one.interval, claim)
    return text if one.counts == "neither" else f"**{text}**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=PATH)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--figure", type=Path, default=FIGURE)
    options = parser.parse_args()
    results = Results(options.results)
    found = found_in(results)
    wider = wider_in(results, found)
    text = "\n".join([
        words.introduction(found, wider, results),
        tables(found),
        "",
        "## Each claim",
        *(details.of(claim, effects, wider.get(claim, {}), verdict_of(claim, effects))
          for claim, effects in found.items()),
    ])  # fmt: skip
    options.page.write_text(text.rstrip() + "\n", encoding="utf-8")
    rows = [(claim, effects, verdict_of(claim, effects)) for claim, effects in found.items()]
    options.figure.parent.mkdir(parents=True, exist_ok=True)
    figure.draw(rows).savefig(options.figure, dpi=150)
    print("\n".join(words.by_verdict(found)))


if __name__ == "__main__":
    main()
