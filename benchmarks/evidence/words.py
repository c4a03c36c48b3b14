"""The introduction of the page: how it was made, the rule, and what it cannot tell."""

from collections.abc import Mapping

from arms import ARMS
from claim import MARGIN, MEASURES, Claim
from claims import CLAIMS, digest
from data_sets import PLANS
from details import link
from effects import Effect, is_firm
from findings import at_an_end
from results import Results
from verdicts import NEITHER, kind

_TOLD = {
    "holds": "Hold on all data sets",
    "holds only on some": "Hold on some data sets, and show nothing that counts on the others",
    "mixed": "Hold on some data sets, while the opposite holds on others",
    "the opposite holds": "Do not hold, and the opposite holds on at least one data set",
    "does not hold": "Do not hold: no data set shows a difference that counts",
    "not run": "Were not run",
}

Found = Mapping[Claim, Mapping[str, Effect]]


def by_verdict(found: Found) -> list[str]:
    """One line a kind of verdict: how many claims, and which."""
    kinds: dict[str, list[str]] = {name: [] for name in _TOLD}
    for claim, effects in found.items():
        counts = {name: one.counts for name, one in effects.items()}
        kinds[kind(counts) if counts else "not run"].append(link(claim))
    return [
        f"- **{_TOLD[name]} ({len(some)}):** {', '.join(some)}." for name, some in kinds.items()
        if some
    ]  # fmt: skip


def introduction(found: Found, wider: Found, results: Results) -> str:
    """All that comes before the tables."""
    return "\n".join([
        "# Which of the textbook's rules still hold",
        "",
        f"{len(CLAIMS)} recommendations of the textbooks on deep networks, each made a claim with "
        "two arms, what is recommended (A) and what it is recommended over (B), and put to the "
        "test on four data sets, ten seeds each.",
        "",
        *by_verdict(found),
        "",
        *_sizes(found),
        "",
        "![Effect of each claim on each data set, with its 95% interval](images/evidence.png)",
        "",
        "Right of 0 speaks for the claim. Filled marks count, by the rule below; the gray band has "
        "effects too small to count (claims of \"as well\" count from −0.5 points on).",
        "",
        *_how(results),
        "",
        *_rule(found),
        "",
        *_limits(found, wider),
        "",
        "## The claims",
        "",
        "Effects with their 95% intervals, positive where they speak for the claim: percentage "
        "points of test accuracy, or, with two decimals, differences of the logarithm of a loss "
        "(0.69 is half of the loss). **Bold** counts.",
    ])  # fmt: skip


def _sizes(found: Found) -> list[str]:
    """Which effects are large everywhere, and which small."""
    points = {
        claim: [abs(one.interval.mean) for one in effects.values()]
        for claim, effects in found.items()
        if effects and claim.measures[0].unit == "points" and not claim.as_good
    }
    large = [link(claim) for claim, means in points.items() if min(means) > 5]
    small = [link(claim) for claim, means in points.items() if max(means) < 0.5]
    return [
        f"More than five points on every data set, whatever the direction: {', '.join(large)}. "
        f"Less than half a point on every data set: {', '.join(small)}.",
    ]


def _how(results: Results) -> list[str]:
    seconds = sum(results.seconds(ARMS[arm], data) for arm, data in _trained(results))
    runs = sum(len(ARMS[arm].grid) * 10 for arm, _ in _trained(results))
    sessions = results.sessions
    first, last = sessions[0], sessions[-1]
    versions = ", ".join(f"{name} {one}" for name, one in last["versions"].items())
    sizes = "; ".join(
        f"{name[0].upper()}{name[1:]}: {plan.train:,} to train, {plan.validation:,} to validate, "
        f"{plan.test:,} to test"
        for name, plan in PLANS.items()
    )
    same = all(one["claims"] == digest() for one in sessions)
    return [
        "## How it was made",
        "",
        "```bash",
        "pip install scikit-learn   # for two of the data sets",
        "python benchmarks/evidence/run.py    # goes on where it was stopped",
        "python benchmarks/evidence/run.py --more-rates   # beyond the grids' ends, see below",
        "python benchmarks/evidence/page.py   # this page and the figure, from the results",
        "```",
        "",
        f"{first['date'][:10]}, {first['machine'].split(', load')[0]} shared with other programs, "
        f"one thread; {versions}. {runs:,} networks in {len(_trained(results))} runs, "
        f"{seconds / 60:.0f} minutes of wall time. The results are in "
        "`benchmarks/evidence/results/evidence.jsonl`; the claims "
        f"were fixed before ({'their digest, ' + digest() if same else 'those of each session'}, "
        "stands beside each session there).",
        "",
        f"- **Data.** {sizes}. MNIST is its first 10,000 images, 2 x 2 pixels averaged to "
        "14 x 14. Inputs are standardized by the training part, where a claim does not say "
        "otherwise.",
        "- **Pairs.** Ten seeds. A seed draws split, weights, masks and the order of the examples; "
        "both arms get the same split and order, and where shapes agree the same draws. The effect "
        "is the mean of ten paired differences, its interval Student's.",
        "- **Rates.** The learning rate confounds almost everything. Each arm is trained with five "
        "or six rates half a decade apart (three where networks are costly), the same ones for "
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


def _rule(found: Found) -> list[str]:
    intervals = sum(map(len, found.values()))
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


def _limits(found: Found, wider: Found) -> list[str]:
    clear = [
        is_firm(claim, data, one) for claim, effects in found.items()
        for data, one in effects.items() if one.counts != NEITHER
    ]  # fmt: skip
    ends = len(at_an_end(found))
    more = sum(map(len, wider.values()))
    other = [
        f"{link(claim)} on {data} ({found[claim][data].counts} → {one.counts})"
        for claim, effects in wider.items() for data, one in effects.items()
        if one.counts != found[claim][data].counts
    ]  # fmt: skip
    return [
        "## What it cannot tell",
        "",
        "Small networks, small data, short trainings: a rule that fails here may hold for large "
        "convolutional networks, and the other way round. An example of wine's test parts is "
        "2 points, one of breast cancer's 0.7: there small effects do not show.",
        "",
        f"In {ends} of the comparisons some arm's best rate is the first or last of its grid: it "
        "might have done better beyond it (each is marked below). After the run, "
        f"{'all' if more == ends else more} of them were therefore made again with four more rates "
        'for both arms, two half decades on at each end; they stand below as "more rates" and '
        "don't count in the verdicts. What speaks otherwise with them: "
        f"{', '.join(other) or 'nothing'}.",
        "",
        "Splits of one data set overlap "
        "from seed to seed, so that the intervals are too narrow for what new examples from the "
        "same source would show. With the wider ones of Nadeau and Bengio (2003), times 2.4 to "
        f"3.3, {sum(clear)} of the {len(clear)} effects that count would still do so. Before the "
        "claims were fixed, some arms were tried out for crashes and time on wine, digits and "
        "MNIST, and the grids were set then.",
        "",
        "Speed is judged by the loss of the training steps themselves, with the batch's own "
        "statistics at work, and by epochs, not seconds. Who learns its training examples faster "
        "need not be better on others. Test accuracy, which stands beside such effects below, "
        f"prefers the other arm by 0.2 points or more here: {_listed(found)}.",
        "",
        "Left out, since they could not be done soundly in this frame: Hessian methods (see "
        "[their own page](hessian.md)), reusing layers of a related task (no pair of related "
        "tasks in these data), ELU's latency and batches of one in seconds (one noisy core), and "
        "the advice to begin with a small problem (not a property of a trained network).",
    ]


def _listed(found: Found) -> str:
    """Where training loss and test accuracy, by 0.2 points, prefer different arms."""
    places = []
    for claim, effects in found.items():
        differ = [
            data for data, one in effects.items()
            if one.beside is not None and one.counts != NEITHER
            and one.interval.mean * (one.beside[0] - one.beside[1]) < 0
            and abs(one.beside[0] - one.beside[1]) >= MEASURES["accuracy"].smallest
        ]  # fmt: skip
        if differ:
            places.append(f"{link(claim)} on {', '.join(differ)}")
    return "; ".join(places) or "nowhere here"
