"""`residual`: gradients through 50 dense layers, with shortcuts and without.

```
dL/dx_l = dL/dx_L (1 + d/dx_l sum of the branches from l on)
```

The 1 is what the texts give as the reason. With pre-activation nothing but the identity stands in
the shortcuts' way, so that it can be measured: the part of a block's gradient that lies along the
last block's. Full size: four networks of 50 layers trained from three seeds on 10,000 images.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from matplotlib.ticker import MaxNLocator

from ...callbacks._figures import log_scale, new_figure, on_floor, style
from ...callbacks._palette import INK, RUN_COLOURS
from ..mlp import mlp
from ..replicate import replicate
from ..residual import residual_mlp
from ._examples import Examples, examples
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]
Build = Callable[[int, int, int], Any]

_DEPTH, _UNITS = 50, 100
_KEPT = 0.5


def _plain(activation: str, normalization: str | None) -> Build:
    return lambda pixels, depth, seed: mlp(
        (pixels,), [_UNITS] * depth, 10, activation=activation, normalization=normalization,
        seed=seed,
    )  # fmt: skip


def _shortcuts(activation: str, normalization: str | None, pre_activation: bool) -> Build:
    return lambda pixels, depth, seed: residual_mlp(
        (pixels,), [_UNITS] * (depth // 2), 10, activation=activation, normalization=normalization,
        pre_activation=pre_activation, seed=seed,
    )  # fmt: skip


NETWORKS: dict[str, Build] = {
    "sigmoid, plain": _plain("sigmoid", None),
    "sigmoid, shortcuts": _shortcuts("sigmoid", None, True),
    "ReLU, plain": _plain("relu", None),
    "ReLU, batch normalization": _plain("relu", "batch"),
    "ReLU, shortcuts": _shortcuts("relu", "batch", False),
    "ReLU, shortcuts, pre-activation": _shortcuts("relu", "batch", True),
}
_PAIRS = (
    ("sigmoid, plain", "sigmoid, shortcuts"),
    ("ReLU, batch normalization", "ReLU, shortcuts, pre-activation"),
)
_PRE = "ReLU, shortcuts, pre-activation"


def run(setting: Setting) -> Outcome:
    """Gradient norms by layer at the start, the 1 measured, and training."""
    data = examples(setting, most=1_000 if setting.quick else 10_000)
    seeds = setting.seeds_or(10, quick=1)
    x, y = data.x[:100], data.y[:100]
    norms: dict[str, Doubles] = {}
    for name, build in NETWORKS.items():
        models = [build(x.shape[1], _DEPTH, seed) for seed in seeds]
        norms[name] = np.stack([kernel_norms(model, x, y) for model in models])
        if name == _PRE:
            along = np.stack([along_last(model, x, y) for model in models])
    trained = _trained(data, setting)
    return Outcome(
        rows=_rows(norms, along, trained),
        told=_told(norms, along, trained),
        summary={
            "data": data.name,
            "depth": _DEPTH,
            "depth_trained": _trained_depth(setting),
            "norms": {name: one.mean(axis=0).tolist() for name, one in norms.items()},
            "along_last": along.tolist(),
            "accuracy_by_epoch": {name: one.tolist() for name, one in trained.items()},
        },
        figures={"profiles": _profiles_figure(norms), "training": _training_figure(trained)},
    )


def kernel_norms(model: Any, x: Any, y: Any) -> Doubles:
    """Gradient norms of the hidden layers' kernels, projections left out, in the model's order."""
    kernels = [
        variable
        for variable in model.trainable_variables
        if variable.path.endswith("/kernel") and "projection" not in variable.path
    ][:-1]
    with tf.GradientTape() as tape:
        tape.watch([one.value for one in kernels])
        losses = keras.losses.sparse_categorical_crossentropy(y, model(x, training=True))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, [one.value for one in kernels])
    return np.array([np.linalg.norm(np.asarray(one, "float64")) for one in gradients])


def along_last(model: Any, x: Any, y: Any) -> Doubles:
    """How much of dL/dx_L each dL/dx_l holds, by block.

    ```
    <dL/dx_l, dL/dx_L> / |dL/dx_L|^2 = 1 + what the branches between add along it
    ```
    """
    sums = [layer.output for layer in model.layers if layer.name.endswith("_add")]
    eye = keras.Model(model.input, [*sums, model.output])
    with tf.GradientTape() as tape:
        *blocks, outputs = eye(x, training=True)
        tape.watch(blocks)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, outputs))
    gradients = [np.asarray(one, "float64") for one in tape.gradient(loss, blocks)]
    last = gradients[-1]
    return np.array([float((one * last).sum() / (last**2).sum()) for one in gradients])


def _trained_depth(setting: Setting) -> int:
    return 12 if setting.quick else _DEPTH


def _trained(data: Examples, setting: Setting) -> dict[str, Doubles]:
    """Validation accuracy by epoch, `[epochs, seeds]`, in percent."""
    names = list(NETWORKS)[3:5] if setting.quick else list(NETWORKS)[2:]
    seeds, epochs = setting.seeds_or(3, quick=1), 4 if setting.quick else 10
    found = {}
    for name in names:

        def build(seed: int, name: str = name) -> Any:
            model = NETWORKS[name](data.x.shape[1], _trained_depth(setting), seed)
            optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
            model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model

        held = data.x_validation, data.y_validation
        replicas = replicate(build, seeds)
        history = replicas.fit(data.x, data.y, epochs=epochs, validation_data=held)
        found[name] = 100 * history["val_accuracy"].astype("float64")
    return found


def first_over_last(norms: Doubles) -> Doubles:
    """Of each seed; float64 keeps what float32 gradients lose to 0 as 0."""
    return np.asarray(norms[:, 0] / norms[:, -1])


def _rows(norms: dict[str, Doubles], along: Doubles, trained: dict[str, Doubles]) -> list[Row]:
    rows = [
        Row(what=f"gradient, first over last of {_DEPTH} layers, {name}",
            ours=first_over_last(one).tolist())
        for name, one in norms.items()
    ]  # fmt: skip
    rows.append(Row(what="the 1 of the formula, first block", ours=along[:, 0].tolist(), text=1.0))
    rows += [
        Row(what=f"validation accuracy after epoch {len(one)}, {name}", ours=one[-1].tolist(),
            unit="%")
        for name, one in trained.items()
    ]  # fmt: skip
    return rows


def _told(norms: dict[str, Doubles], along: Doubles, trained: dict[str, Doubles]) -> str:
    ratios = {name: float(np.median(first_over_last(one))) for name, one in norms.items()}
    sentences = ["At the start, medians of the seeds."]
    for plain, shortcuts in _PAIRS:
        nearer = _uneven(ratios[shortcuts]) < _uneven(ratios[plain])
        sentences.append(
            f"{plain}: the first layer's gradient is {ratios[plain]:.1e} times the last's; with "
            f"shortcuts {ratios[shortcuts]:.1e}, {'nearer to' if nearer else 'no nearer to'} an "
            "even profile."
        )
    sentences.append(_most_even({name: one for name, one in ratios.items() if "ReLU" in name}))
    low, high = float(along.min()), float(along.max())
    sentences.append(
        f"Along the last block's gradient each block's has {low:.2f} to {high:.2f} times of it: "
        "that the branches never take away half of what the shortcut brings, or more, "
        f"{'holds' if low > _KEPT else 'does not hold'}."
    )
    ends = {name: one[-1].mean() for name, one in trained.items()}
    best_plain = max(one for name, one in ends.items() if "shortcuts" not in name)
    best = max(one for name, one in ends.items() if "shortcuts" in name)
    sentences.append(
        f"Trained, the best network with shortcuts reaches {best:.1f}%, the best without "
        f"{best_plain:.1f}%: that residual learning is easier "
        f"{'holds' if best > best_plain else 'does not hold here'}."
    )
    return " ".join(sentences)


def _uneven(ratio: float) -> float:
    """Orders of magnitude from an even profile, whether it vanishes or explodes."""
    return float(abs(np.log10(max(ratio, 1e-45))))


def _most_even(ratios: dict[str, float]) -> str:
    best = min(ratios, key=lambda name: _uneven(ratios[name]))
    others = ", ".join(f"{one:.2g} ({name})" for name, one in ratios.items() if name != best)
    return (
        f"Of the ReLU networks {best} has the most even profile: {ratios[best]:.2g}; not {others}."
    )


def _profiles_figure(norms: dict[str, Doubles]) -> Any:
    """Sigmoid and ReLU apart, since one vanishes by thirty orders of magnitude."""
    figure = new_figure(4.6)
    for axes, family in zip(figure.subplots(1, 2), ("sigmoid", "ReLU"), strict=True):
        own = {name: one for name, one in norms.items() if name.startswith(family)}
        style(axes, f"{family}: gradient of {_DEPTH} kernels")
        values = np.concatenate([one.ravel() for one in own.values()])
        floor = log_scale(axes, values, zeros=bool((values == 0).any()))
        for name, one in own.items():
            at = np.arange(1, one.shape[1] + 1)
            line = on_floor(np.median(one, axis=0), floor)
            without = "shortcuts" not in name
            colour = RUN_COLOURS[list(norms).index(name)]
            axes.plot(at, line, color=colour, lw=1.6, ls="--" if without else "-", label=name)
        axes.set_xlabel("layer")
    lines = [line for axes in figure.axes for line in axes.get_legend_handles_labels()[0]]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def _training_figure(trained: dict[str, Doubles]) -> Any:
    figure = new_figure(3.4)
    axes = figure.subplots()
    style(axes, "Validation accuracy while they train", "%")
    for name, one in trained.items():
        colour = RUN_COLOURS[list(NETWORKS).index(name)]
        at = np.arange(1, len(one) + 1)
        axes.fill_between(at, one.min(axis=1), one.max(axis=1), color=colour, alpha=0.15, lw=0)
        axes.plot(at, one.mean(axis=1), color=colour, lw=1.6, marker="o", ms=3.5, label=name)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8.5, labelcolor=INK)
    return figure
