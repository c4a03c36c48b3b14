"""`Program`: a network, its data and how it is trained, as plain data; its arrays and its score.

Faults are planted by changing one, so that a faulty program differs from its healthy twin in the
fault alone.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from data_sets import data_set


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """One hidden layer: its kernel and what belongs to it.

    Args:
        units: Integer. Width, or filters.
        activation: String. A name in `ACTIVATION_FACTS`.
        initializer: String. `"glorot"`, `"he"`, `"lecun"` or `"orthogonal"`.
        distribution: String. `"truncated_normal"` or `"uniform"`.
        gain: Float. Deviation of the kernel over the initializer's. Defaults to `1`.
        bias: Float. Value of all biases at first. Defaults to `0`.
        bias_deviation: Float. Of biases drawn at random. Defaults to `0`: not drawn.
        normalization: `"batch"`, `"layer"` or `None`.
        dropout: Float. Rate after the activation. Defaults to `0`.
        pooled: Boolean. Whether a pooling follows. Defaults to `False`.
        detached: Boolean. Whether no gradient gets back past it. Defaults to `False`.
    """

    units: int
    activation: str
    initializer: str
    distribution: str = "truncated_normal"
    gain: float = 1.0
    bias: float = 0.0
    bias_deviation: float = 0.0
    normalization: str | None = None
    dropout: float = 0.0
    pooled: bool = False
    detached: bool = False


@dataclass(frozen=True, kw_only=True)
class Program:
    """All that a run depends on.

    Args:
        seed: Integer. Of weights, masks and the order of the examples.
        family: `"dense"`, `"convolutional"`, `"recurrent"` or `"residual"`.
        data: String. One of `data_sets.NAMES`.
        hidden: Tuple of `Hidden`.
        cell: `"LSTM"`, `"GRU"` or `"SimpleRNN"` of recurrent ones. Defaults to `None`.
        inline: Boolean. Whether activations stand inside the layers where Keras takes them there.
        flat: Boolean. Whether images and sequences are flattened first.
        outputs: Integer. Width of the output layer.
        output_activation: String, `None` where the loss takes logits.
        loss: String. Keras' name.
        from_logits: Boolean.
        targets: `"classes"` `[n]`, `"column"` `[n, 1]` or `"one_hot"`.
        metrics: Boolean. Whether accuracy is compiled.
        optimizer: String. A class of `keras.optimizers`.
        rate: Float. Its learning rate.
        momentum: Float. Of SGD.
        clipnorm: Float or None.
        l2: Float. Strength of the kernels' regularizer.
        batch: Integer. Examples in a batch.
        steps: Integer. Planned updates, rounded up to whole epochs.
        input_scale: Float. Inputs are multiplied by it ...
        input_offset: Float. ... and this is added.
        target_scale: Float. The same of a regression's targets.
        misaligned: Float. Share of the examples whose inputs belong to other targets.
        poisoned: Float. Share of the training examples that hold a NaN.
        share: Float. Of the training examples that are there at all.
    """

    seed: int
    family: str
    data: str
    hidden: tuple[Hidden, ...]
    cell: str | None = None
    inline: bool = False
    flat: bool = False
    outputs: int = 1
    output_activation: str | None = None
    loss: str = "mean_squared_error"
    from_logits: bool = False
    targets: str = "classes"
    metrics: bool = True
    optimizer: str = "Adam"
    rate: float = 1e-3
    momentum: float = 0.0
    clipnorm: float | None = None
    l2: float = 0.0
    batch: int = 32
    steps: int = 500
    input_scale: float = 1.0
    input_offset: float = 0.0
    target_scale: float = 1.0
    misaligned: float = 0.0
    poisoned: float = 0.0
    share: float = 1.0

    @property
    def epochs(self):
        """Planned epochs."""
        per_epoch = -(-self._examples // self.batch)
        return max(2, -(-self.steps // per_epoch))

    @property
    def depth(self):
        """Hidden layers with a kernel."""
        return len(self.hidden)

    @property
    def _examples(self):
        return max(24, round(self.share * len(data_set(self.data).x)))

    def as_dict(self):
        """Plain data, layers that repeat counted."""
        plain, layers = asdict(self), []
        for layer in plain.pop("hidden"):
            if layers and layers[-1][1] == layer:
                layers[-1][0] += 1
            else:
                layers.append([1, layer])
        return plain | {"hidden": layers}


class Arrays(dict):
    """What `fit` is given: `x`, `y` and `validation_data`."""


def arrays(program: Program):
    """The data as the program sees them."""
    data, rng = data_set(program.data), np.random.default_rng([program.seed, 1])
    kept = rng.permutation(len(data.x))[: program._examples]
    x, y = _seen(program, data.x[kept]), _encoded(program, data.y[kept], data.classes)
    x_test = _seen(program, data.x_test)
    y_test = _encoded(program, data.y_test, data.classes)
    if program.poisoned:
        bad = rng.choice(len(x), max(1, round(program.poisoned * len(x))), replace=False)
        x.reshape(len(x), -1)[bad, 0] = np.nan
    test = x_test, y_test
    x, test = _misaligned(program, x, rng), (_misaligned(program, x_test, rng), y_test)
    return Arrays(x=x, y=y, validation_data=test)


def score(program: Program, model: Any):
    """Accuracy or R² on test data that are in order; guessing's where outputs are not finite."""
    data = data_set(program.data)
    out = np.asarray(model.predict(_seen(program, data.x_test), batch_size=500, verbose=0))
    if not np.isfinite(out).all():
        return data.chance
    if not data.classes:
        wanted = program.target_scale * data.y_test
        return float(
            1 - np.square(out.reshape(len(wanted), -1)[:, 0] - wanted).mean() / wanted.var()
        )
    if out.shape[-1] > 1:
        answers = out.argmax(axis=-1)
    elif data.classes > 2:  # a repair may have made numbers of classes
        answers = np.round(out[:, 0])
    else:
        answers = out[:, 0] > (0.0 if getattr(model.loss, "from_logits", False) else 0.5)
    return float((answers == data.y_test).mean())


def _seen(program, x):
    return (x * program.input_scale + program.input_offset).astype("float32")


def _encoded(program, y, classes):
    if not classes:
        return (program.target_scale * y).astype("float32")
    if program.targets == "one_hot":
        return np.eye(classes, dtype="float32")[y]
    return y[:, None].astype("float32") if program.targets == "column" else y


def _misaligned(program, x, rng):
    wrong = rng.permutation(len(x))[: round(program.misaligned * len(x))]
    x = x.copy()
    x[wrong] = x[rng.permutation(wrong)]
    return x
