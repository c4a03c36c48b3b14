"""`self-normalization`: do deep SELU networks keep mean 0 and deviation 1, and their gradients?

Full size: 100 and 1,000 layers from ten seeds, each condition broken in turn, and Géron's network
of 100 layers trained with SELU and with ReLU.
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..mlp import mlp
from ..signal import signal_per_layer
from ._broken_conditions import DEPTH, DROPOUT, KEPT, ways
from ._examples import Examples, examples
from ._noise import noise
from ._plain_loop import Flow, dense, flow, stack
from ._self_normalization_figures import conditions_figure, depth_figure
from ._signal_history import SignalHistory
from .outcome import Outcome, Row, Setting

_UNITS = 100
_DEEPEST = 1_000
_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772
_TEXT = {"selu": 82.2, "relu": 73.8}  # Géron, on Fashion-MNIST


def run(setting: Setting) -> Outcome:
    """Signal and gradient at depth 100 and 1,000, then each condition broken, then training."""
    data = examples(setting)
    seeds, samples = setting.seeds_or(10, quick=2), 80 if setting.quick else 200
    broken = {name: [one(seed) for seed in seeds] for name, one in ways(data, samples).items()}
    few = seeds[:1] if setting.quick else seeds
    deep = {DEPTH: broken[KEPT], _DEEPEST: [_deep(data, seed, samples) for seed in few]}
    history = SignalHistory(data, seeds, samples)
    times = seeds[: 1 if setting.quick else 3]
    trained = {name: [_trained(name, data, setting, seed) for seed in times] for name in _TEXT}
    return Outcome(
        rows=[*_deep_rows(deep), *_broken_rows(broken), *_trained_rows(trained, data, setting),
              *history.rows()],
        told=" ".join([_told(deep, broken), _told_trained(trained, data), history.told()]),
        summary={
            "data": data.name,
            "share_of_layers_in_domain": {
                name: float(np.mean([in_domain(one).mean() for one in runs]))
                for name, runs in broken.items()
            },
            "growth_formula": growth_formula(),
            "trained": trained,
            "history": history.summary(),
        },
        figures={
            "depth": depth_figure(deep[_DEEPEST], growth_formula()),
            "conditions": conditions_figure(broken),
            "history": history.figure(),
        },
    )  # fmt: skip


def growth_formula() -> float:
    """By what a gradient's variance grows through a SELU layer, going back.

    ```
    E[selu'(z)^2] = scale^2 (1/2 + alpha^2 e^2 Phi(-2))      z ~ N(0, 1)
    ```
    """
    tail = math.erfc(math.sqrt(2)) / 2
    return _SCALE**2 * (0.5 + _ALPHA**2 * math.exp(2) * tail)


def alpha_dropout_growth(rate: float) -> float:
    """The same through SELU and alpha dropout, whose rescaling takes a share of the gradient.

    ```
    growth_formula / (1 + (scale alpha)^2 rate)
    ```
    """
    return growth_formula() / (1 + (_SCALE * _ALPHA) ** 2 * rate)


def growth(one: Flow) -> float:
    """The same as measured: the variance's mean factor a layer."""
    ratio: float = math.log(one.backward[0]) - math.log(one.backward[-1])
    return math.exp(2 * ratio / (len(one.backward) - 1))


def in_domain(one: Flow) -> Any:
    """Which layers are within the theorem's domain: mean 0 +- 0.1, variance 0.8 to 1.5."""
    variance = one.deviation**2
    return (np.abs(one.mean) <= 0.1) & (variance >= 0.8) & (variance <= 1.5)


def stays(runs: list[Flow]) -> bool:
    """Whether most layers of the later half are in the domain, over the seeds."""
    half = len(runs[0].mean) // 2
    return bool(np.mean([in_domain(one)[half:].mean() for one in runs]) > 0.5)


def _deep(data: Examples, seed: int, samples: int) -> Flow:
    x, y = data.x[:samples].astype("float64"), data.y[:samples]
    widths = [x.shape[1], *[_UNITS] * _DEEPEST]
    return flow(x, y, stack(widths, 1.0, seed), dense(tf.nn.selu))


def _trained(activation: str, data: Examples, setting: Setting, seed: int) -> dict[str, Any]:
    """Géron's deep network, smaller if quick: accuracy, and the layers' signal before and after."""
    units = [_UNITS] * 12 if setting.quick else [300, *[_UNITS] * 99]
    model: Any = mlp((data.x.shape[1],), units, 10, activation=activation, seed=seed)
    optimizer = keras.optimizers.SGD(0.01 if setting.quick else 0.001)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    few = 800 if setting.quick else len(data.x)
    before = signal_per_layer(model, data.x[:500])
    epochs = 2 if setting.quick else 5
    batches = tf.data.Dataset.from_tensor_slices((data.x[:few], data.y[:few]))
    model.fit(batches.shuffle(few, seed).batch(32), epochs=epochs, verbose=0)
    _, accuracy = model.evaluate(data.x_validation, data.y_validation, verbose=0)
    after = signal_per_layer(model, data.x[:500])
    return {
        "layers": len(units),
        "epochs": epochs,
        "accuracy": 100 * accuracy,
        "deviations_before": [one.deviation for one in before],
        "deviations_after": [one.deviation for one in after],
    }


def _deep_rows(deep: dict[int, list[Flow]]) -> list[Row]:
    rows = []
    for depth, runs in deep.items():
        rows += [
            Row(what=f"mean in layer {depth:,}", ours=[float(one.mean[-1]) for one in runs],
                text=0.0),
            Row(what=f"deviation in layer {depth:,}",
                ours=[float(one.deviation[-1]) for one in runs], text=1.0),
            Row(what=f"gradient's variance, a layer, {depth:,} layers (formula)",
                ours=[growth(one) for one in runs], text=growth_formula()),
            Row(what=f"log10 of the gradient's norm, first over last of {depth:,}",
                ours=[float(np.log10(one.gradient[0] / one.gradient[-1])) for one in runs]),
        ]  # fmt: skip
    return rows


def _broken_rows(broken: dict[str, list[Flow]]) -> list[Row]:
    alpha = f"alpha dropout {DROPOUT}"
    growths = Row(
        what=f"gradient's variance, a layer, {alpha} (formula)",
        ours=[growth(one) for one in broken[alpha]],
        text=alpha_dropout_growth(DROPOUT),
    )
    return [
        growths,
        *(
            Row(
                what=f"deviation in layer {DEPTH}, {name}",
                ours=[float(one.deviation[-1]) for one in runs],
                text=1.0 if name == KEPT else None,
            )
            for name, runs in broken.items()
        ),
    ]


def _trained_rows(
    trained: dict[str, list[dict[str, Any]]], data: Examples, setting: Setting
) -> list[Row]:
    same = data.name == "fashion_mnist" and not setting.quick
    return [
        Row(
            what=f"{runs[0]['layers']} layers of {name.upper()}, validation after "
            f"{runs[0]['epochs']} epochs",
            ours=[one["accuracy"] for one in runs],
            text=_TEXT[name] if same else None,
            unit="%",
        )
        for name, runs in trained.items()
    ]


def _told(deep: dict[int, list[Flow]], broken: dict[str, list[Flow]]) -> str:
    runs = deep[_DEEPEST]
    share = np.mean([in_domain(one).mean() for one in runs])
    ratio = np.median([one.gradient[0] / one.gradient[-1] for one in runs])
    ends = {name: stays(found) for name, found in broken.items()}
    out = [name for name, inside in ends.items() if not inside]
    inside = [name for name, one in ends.items() if one and name != KEPT]
    gradients = "stay, too" if 0.1 < ratio < 10 else "do not"
    return (
        f"At depth {_DEEPEST:,}, {100 * share:.0f}% of the layers keep their mean within 0.1 of "
        f"0 and their variance within 0.8 to 1.5; the gradients {gradients}: the first layer's is "
        f"{ratio:.1e} times the last's in the median, since a SELU multiplies their variance by "
        f"{growth_formula():.4f}. Of the later half of {DEPTH} layers most are "
        f"outside of these bounds with {', '.join(out) or 'none'}; inside all the same "
        f"with {', '.join(inside) or 'none'}."
    )


def _told_trained(trained: dict[str, list[dict[str, Any]]], data: Examples) -> str:
    selu, relu = ([one["accuracy"] for one in trained[name]] for name in ("selu", "relu"))
    gap = float(np.mean(selu) - np.mean(relu))
    holds = gap > noise(selu, relu, len(data.x_validation))
    after = [one for run in trained["selu"] for one in run["deviations_after"]]
    return (
        f"That SELU trains {trained['selu'][0]['layers']} layers better than ReLU "
        f"{'holds' if holds else 'does not hold here'}: {np.mean(selu):.1f} against "
        f"{np.mean(relu):.1f}%; its layers' deviations are {min(after):.2f} to {max(after):.2f} "
        "after training."
    )
