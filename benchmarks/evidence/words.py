"""The introduction of the page: how it was made, the rule, and what it cannot tell."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from arms import ARMS
from claim import MARGIN, Claim
from claims import CLAIMS, digest
from data_sets import NAMES, PLANS
from effects import Effect
from results import Results

_TOLD = {
    "holds": "hold on all data sets",
    "holds only on some": "hold only on some",
    "mixed": "hold on some, while the opposite holds on others",
    "the opposite holds": "do not hold, and the opposite holds on at least one",
    "does not hold": "do not hold: no difference that counts on any",
    "not run": "were not run",
}


def introduction(
    found: Mapping[Claim, Mapping[str, Effect]], counts: Counter[str], results: Results
) -> str:
    """All that comes before the tables."""
    intervals = sum(map(len, found.values()))
    told = "; ".join(f"{counts[name]} {words}" for name, words in _TOLD.items() if counts[name])
    return "\n".join([
        "# Which of the textbook's rules still hold",
        "",
        f"{len(CLAIMS)} recommendations of the textbooks on deep networks, each made a claim with "
        "two arms, what is recommended (A) and what it is recommended over (B), and put to the "
        f"test on four data sets. Of them {told}.",
        "",
        "![Effect of each claim on each data set, with its 95% interval](images/evidence.png)",
        "",
        "Right of 0 speaks for the claim. Filled marks count, by the rule below; the gray band has "
        "effects too small to count.",
        "",
        *_how(results),
        "",
        *_rule(intervals),
        "",
        *_limits(found),
        "",
        "## The claims",
        "",
        "Effects with their 95% intervals, positive where they speak for the claim: percentage "
        "points of test accuracy, or, with two decimals, differences of the logarithm of a loss "
        "(0.69 is half of the loss). **Bold** counts.",
    ])  # fmt: skip


def _how(results: Results) -> list[str]:
    seconds = sum(results.seconds(arm, data) for arm, data in _trained(results))
    runs = sum(len(ARMS[arm].grid) * 10 for arm, _ in _trained(results))
    sessions = results.sessions
    first, last = sessions[0], sessions[-1]
    versions = ", ".join(f"{name} {one}" for name, one in last["versions"].items())
    sizes = "; ".join(
        f"{name} {plan.train:,} to train, {plan.validation:,} to validate, {plan.test:,} to test"
        for name, plan in PLANS.items()
    )
    same = all(one["claims"] == digest() for one in sessions)
    return [
        "## How it was made",
        "",
        "```bash",
        "pip install scikit-learn   # for two of the data sets",
        "python benchmarks/evidence/run.py    # goes on where it was stopped",
        "python benchmarks/evidence/page.py   # this page and the figure, from the results",
        "```",
        "",
        f"{first['date'][:10]}, {first['machine'].split(', load')[0]} shared with other programs, "
        f"one thread; {versions}. {runs:,} networks in {len(_trained(results))} runs, "
        f"{seconds / 60:.0f} minutes of wall time. The results are in "
        "`benchmarks/evidence/results/evidence.jsonl`; the claims "
        f"({'`' + digest() + '`' if same else 'changed between sessions, see there'}) were fixed "
        "before.",
        "",
        f"- **Data.** {sizes}. MNIST is its first 10,000 images, 2 x 2 pixels averaged to "
        "14 x 14. Inputs are standardized by the training part, where a claim does not say "
        "otherwise.",
        "- **Pairs.** Ten seeds. A seed draws split, weights, masks and the order of the examples; "
        "both arms get the same split and order, and where shapes agree the same draws. The effect "
        "is the mean of ten paired differences, its interval Student's.",
        "- **Rates.** The learning rate confounds almost everything. Each arm is trained with five "
        "to seven rates half a decade apart (three where networks are costly), the same ones for "
        "A and B, and judged at its own best by mean validation accuracy, on test examples of "
        'which neither training nor choice knows. Of training losses ("speed") the best rate is '
        "that of the lowest mean, since there is nothing held out in it.",
        "- **Networks.** Deep: 20 layers of 50 units. Ordinary: 2 layers of 100 ReLU units. "
        "Sigmoid: 1 layer of 100, Nielsen's weights. Plain gradient descent, if nothing else is "
        f"said, batches of {PLANS['MNIST'].batch} (tables {PLANS['wine'].batch}), "
        + ", ".join(f"{plan.epochs} epochs on {name}" for name, plan in PLANS.items())
        + ".",
        "- A network that diverged answers with the first class. Losses count as 0.001 where they "
        "are below it, and as 10 where above it or not a number.",
    ]


def _trained(results: Results) -> list[tuple[str, str]]:
    pairs = {
        (arm, data) for one in CLAIMS for arm in (one.a, one.b) for data in one.data
        if results.of(ARMS[arm], data) is not None
    }  # fmt: skip
    return sorted(pairs)


def _rule(intervals: int) -> list[str]:
    return [
        "## The rule",
        "",
        "Fixed before the run. A data set speaks *for* a claim if the interval lies wholly above "
        "0 and the mean is at least 0.2 points (0.05 of a logarithm), *against* it if the same is "
        "true on the other side. Claims that A does *as well* have a margin: for, if the interval "
        f"lies wholly above −{MARGIN:g} points, against, if wholly below. A claim **holds** if all "
        "data sets speak for it, **holds only on** those that do, if none speaks against it; "
        "**does not hold** if none speaks for it, which does not mean that there is no effect, but "
        "that ten seeds show none; and **the opposite holds on** those that speak against it.",
        "",
        f"{intervals} intervals of 95%: if no claim had any effect, about {0.05 * intervals:.0f} "
        f"would still miss 0, half of them ({0.025 * intervals:.0f}) on the claim's side. One data "
        'set that alone speaks for a claim, with an interval close to 0, is weak evidence. "Mean '
        'of them" takes the data sets for a sample of all: four are few, its interval is wide.',
    ]


def _limits(found: Mapping[Claim, Mapping[str, Effect]]) -> list[str]:
    ends = sum(any(one.edges) for effects in found.values() for one in effects.values())
    return [
        "## What it cannot tell",
        "",
        "Small networks, small data, short trainings: a rule that fails here may hold for large "
        f"convolutional networks, and the other way round. On {', '.join(NAMES[2:])} and the "
        "digits all good networks are within a point or two of each other, so that little is left "
        f"to win. In {ends} of the comparisons some arm's best rate is the first or last of its "
        "grid: it might have done better beyond it (each is marked below). Splits of one data set "
        "overlap from seed to seed, which makes intervals somewhat too narrow for other samples "
        "of the same source. Before the claims were fixed, some arms were tried out for crashes "
        "and time on wine, digits and MNIST, and the grids were set then.",
        "",
        "Left out, since they could not be done soundly in this frame: Hessian methods (see "
        "[their own page](hessian.md)), reusing layers of a related task (no pair of related "
        "tasks in these data), ELU's latency and batches of one in seconds (one noisy core), and "
        "the advice to begin with a small problem (not a property of a trained network).",
    ]


def verdict_counts(counts: Mapping[str, Any]) -> str:
    """One line a kind of verdict."""
    return "\n".join(f"{counts[name]} {words}" for name, words in _TOLD.items() if counts[name])
