"""`batch-norm`: before the activation, after it, or first; and the collapse that it prevents.

Full size: six networks of 300 and 100 units from five seeds on all images, ten epochs, and two
sigmoid networks of four hidden layers watched while they train.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, RUN_COLOURS
from ..mlp import mlp
from ..replicate import replicate
from ._clear import clearly_not_zero
from ._collapse import Collapse
from ._examples import Examples, examples
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]


class Place(NamedTuple):
    """Where a network normalizes.

    Attributes:
        label: As tables and figures call it.
        hidden: `normalization` of `mlp`.
        first: `input_normalization` of `mlp`.
        text: Géron's validation accuracy on Fashion-MNIST.
    """

    label: str
    hidden: str | None = None
    first: str | None = None
    text: float | None = None


PLACES = (
    Place("none"),
    Place("first", first="batch"),
    Place("first and before activations", "batch", "batch", 86.6),
    Place("first and after activations", "batch_after", "batch", 87.5),
    Place("before activations", "batch"),
    Place("after activations", "batch_after"),
)
_QUICK_PLACES = 4


def run(setting: Setting) -> Outcome:
    """Six places, on pixels in 0 to 1; then the last hidden layer of a deep sigmoid network."""
    data = examples(setting, most=1_000 if setting.quick else None, standardize=False)
    seeds = setting.seeds_or(5, quick=2)
    epochs = 4 if setting.quick else 10
    places = PLACES[:_QUICK_PLACES] if setting.quick else PLACES
    curves = {one.label: _trained(one, data, seeds, epochs, setting.quick) for one in places}
    collapse = Collapse(examples(setting, most=1_000 if setting.quick else 10_000), setting)
    return Outcome(
        rows=[*_rows(curves, data, setting), *collapse.rows()],
        told=" ".join([_told(curves, data), collapse.told()]),
        summary={
            "data": data.name,
            "epochs": epochs,
            "curves": {label: one.tolist() for label, one in curves.items()},
            "collapse": collapse.summary(),
        },
        figures={"places": _figure(curves), "collapse": collapse.figure()},
    )


def _trained(place: Place, data: Examples, seeds: list[int], epochs: int, quick: bool) -> Doubles:
    """Validation accuracy in percent, `[epochs, seeds]`."""

    def build(seed: int) -> Any:
        model: Any = mlp(
            (data.x.shape[1],),
            [100, 50] if quick else [300, 100],
            10,
            normalization=place.hidden,
            input_normalization=place.first,
            seed=seed,
        )
        optimizer = keras.optimizers.SGD(0.01 if quick else 0.001)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    held = data.x_validation, data.y_validation
    history = replicate(build, seeds).fit(data.x, data.y, epochs=epochs, validation_data=held)
    return 100 * history["val_accuracy"].astype("float64")


def _rows(curves: dict[str, Doubles], data: Examples, setting: Setting) -> list[Row]:
    text = {one.label: one.text for one in PLACES}
    same = data.name == "fashion_mnist" and not setting.quick
    return [
        Row(
            what=f"validation accuracy after epoch {len(one)}, batch normalization: {label}",
            ours=one[-1].tolist(),
            text=text[label] if same else None,
            unit="%",
        )
        for label, one in curves.items()
    ]


def _told(curves: dict[str, Doubles], data: Examples) -> str:
    ends = {label: one[-1] for label, one in curves.items()}
    before, after = ends["first and before activations"], ends["first and after activations"]
    without = ends["none"].mean()
    helped = [label for label, one in ends.items() if one.mean() > without]
    early = {label: one[0].mean() for label, one in curves.items()}
    return (
        f"On {data.name}, {len(data.x):,} images in 0 to 1: {without:.1f}% without "
        f"normalization; better with it {', '.join(helped) or 'nowhere'}. First and after the "
        f"activations gives {after.mean():.1f}%, first and before them {before.mean():.1f}%: the "
        f"text's order, after better than before, {verdict(after - before)}. After one "
        f"epoch the best is {max(early, key=lambda label: early[label])!r} with "
        f"{max(early.values()):.1f}%."
    )


def verdict(difference: Doubles) -> str:
    """Whether after is better than before, by the seeds' differences."""
    if not clearly_not_zero(difference):
        return "is undecided over these seeds"
    return "holds" if difference.mean() > 0 else "does not hold here"


def _figure(curves: dict[str, Doubles]) -> Any:
    figure = new_figure(3.8)
    axes = figure.subplots()
    style(axes, "Validation accuracy by the place of batch normalization", "%")
    for at, (label, one) in enumerate(curves.items()):
        epochs = np.arange(1, len(one) + 1)
        axes.fill_between(
            epochs, one.min(axis=1), one.max(axis=1), color=RUN_COLOURS[at], alpha=0.12, lw=0
        )
        axes.plot(
            epochs, one.mean(axis=1), color=RUN_COLOURS[at], lw=1.6, marker="os^Dvx"[at], ms=4,
            label=label,
        )  # fmt: skip
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="lower right")
    return figure
