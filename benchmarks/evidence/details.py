"""What the page tells of one claim: its two arms, what counts, and what was found."""

import re
from dataclasses import fields

from arms import ARMS, Arm
from claim import MARGIN, Claim
from effects import Effect
from verdicts import Interval

_NAMES = {
    "max_norm": "max-norm", "monte_carlo": "Monte Carlo dropout", "decays": "L2 strengths",
    "slope": "leak", "labels": "labels a class",
    "naive_biases": "biases N(0, 1)", "input_normalization": "first layer normalization",
    "ordinary_dropout": "ordinary dropout", "initializer": "weights",
}  # fmt: skip
_LEFT_OUT = ("network", "layers", "units", "activation", "rates", "stopping", "monte_carlo")


def told(found: Interval, claim: Claim) -> str:
    """An effect with its interval."""
    places = 1 if claim.measures[0].unit == "points" else 2
    mean, low, high = (_signed(one, places) for one in found)
    return f"{mean} [{low}, {high}]"


def _signed(value: float, places: int) -> str:
    text = f"{value:+.{places}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{places}f}"


def link(claim: Claim) -> str:
    """To the claim's section."""
    slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", claim.name).strip().lower())
    return f"[{claim.name}](#{slug})"


def arm_told(name: str) -> str:
    """An arm in words: what differs from the ordinary, and its rates."""
    arm, ordinary = ARMS[name], Arm()
    shape = f"{arm.layers} x {arm.units} {arm.activation}"
    if arm.network != "mlp":
        shape = f"{arm.network}, {shape}"
    differs = [
        _option(one.name, getattr(arm, one.name))
        for one in fields(arm)
        if one.name not in _LEFT_OUT and getattr(arm, one.name) != getattr(ordinary, one.name)
    ]
    rates = ", ".join(f"{rate:g}" for rate in arm.rates)
    return f"{'; '.join([shape, *differs])}; rates {rates}"


def _option(name: str, value: object) -> str:
    if name == "length":
        return f"{value:g} times the epochs"
    told = _NAMES.get(name, name.replace("_", " "))
    if value is True:
        return told
    if isinstance(value, tuple):
        value = ", ".join(f"{one:g}" for one in value)
    return f"{told} {value:g}" if isinstance(value, float) else f"{told} {value}"


def counting(claim: Claim) -> str:
    """What counts for and against."""
    unit = "points" if claim.measures[0].unit == "points" else "(ln)"
    if claim.as_good:
        return (
            f"for: an interval wholly above −{MARGIN:g} {unit}; against: wholly below "
            f"−{MARGIN:g} {unit}"
        )
    return (
        f"for: an interval above 0 with a mean of at least {claim.smallest:g} {unit}; against: "
        "the same on the other side"
    )


def of(claim: Claim, effects: dict[str, Effect], wider: dict[str, Effect], verdict: str) -> str:
    """A section of the page.

    Args:
        claim: The claim.
        effects: By data set.
        wider: The same with more rates, where there are any.
        verdict: In words.
    """
    a, b = claim.measures
    judged = a.told if a is b else f"A: {a.told}; B: {b.told}"
    lines = [
        "", f"### {claim.name}", "", f"{claim.says} ({claim.source})", "",
        f"- A: {arm_told(claim.a)}", f"- B: {arm_told(claim.b)}", f"- Measured: {judged}",
        f"- Counts {counting(claim)}",
    ]  # fmt: skip
    lines += [f"- {claim.note}"] if claim.note else []
    lines += [f"- **Verdict: {verdict}.**", ""]
    if not effects:
        return "\n".join(lines)
    heads = ["A", "rate of A", "B", "rate of B", "effect"]
    if a.judged == "speed":
        heads.append("not counted: test accuracy of A / B")
    lines += [f"| | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    for name, one in effects.items():
        lines.append(_found(name, one, claim))
        if name in wider:
            lines.append(_found(f"*{name}, more rates*", wider[name], claim))
    return "\n".join(lines)


def _found(name: str, one: Effect, claim: Claim) -> str:
    places = 2
    (mean_a, mean_b), (chosen_a, chosen_b) = one.means, one.chosen
    rates = [
        f"{rate:.3g}{' (end of the grid)' if edge else ''}{f', L2 {decay:g}' if decay else ''}"
        for (rate, decay), edge in zip((chosen_a, chosen_b), one.edges, strict=True)
    ]
    cells = [f"{mean_a:.{places}f}", rates[0], f"{mean_b:.{places}f}", rates[1]]
    cells.append(told(one.interval, claim))
    if one.beside is not None:
        cells.append(" / ".join(f"{value:.2f}" for value in one.beside))
    return f"| {name} | {' | '.join(cells)} |"
