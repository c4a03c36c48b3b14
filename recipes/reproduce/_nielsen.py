"""Nielsen's network and data: sigmoids, MNIST in 0 to 1, cross-entropy summed over ten outputs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from ..initializers import NielsenNormal
from ..mlp import mlp
from ..regularizers import nielsen_l2
from ._data import CLASSES, is_mnist, usable
from .outcome import Setting

Floats = npt.NDArray[np.float32]

BATCH, RATE, LAMBDA, EPOCHS = 10, 0.1, 5.0, 30
TRAINING, _HELD = 50_000, 10_000
_QUICK, _QUICK_HELD = 5_000, 2_000


class Images(NamedTuple):
    """Images `[n, pixels]` in 0 to 1 and one-hot classes."""

    x: Floats
    y: Floats
    x_validation: Floats
    y_validation: Floats
    name: str

    @property
    def of_the_text(self) -> bool:
        """Whether these are the texts' own data, beside which their numbers belong."""
        return is_mnist(self.name)


def images(setting: Setting) -> Images:
    """MNIST, 50,000 to train and 10,000 to validate (5,000 and 2,000 if quick).

    Of data with less than 60,000 examples to train the first fifth validates.
    """
    dataset = usable(setting.data)
    x = dataset.x_train.reshape(len(dataset.x_train), -1).astype("float32")
    x /= max(1.0, float(x.max()))
    y = keras.utils.to_categorical(dataset.y_train, CLASSES).astype("float32")
    count, held = (_QUICK, _QUICK_HELD) if setting.quick else (TRAINING, _HELD)
    if len(x) < TRAINING + _HELD:
        fifth = len(x) // 5
        train, validation = slice(fifth, fifth + count), slice(min(fifth, held))
    else:
        train, validation = slice(count), slice(TRAINING, TRAINING + held)
    return Images(x[train], y[train], x[validation], y[validation], dataset.name)


def network(
    seed: int,
    hidden: Sequence[int],
    pixels: int,
    samples: int,
    lam: float = LAMBDA,
    initializer: Any = None,
) -> Any:
    """His network with weights of a seed, not compiled.

    Args:
        seed: Integer.
        hidden: Units of the hidden layers.
        pixels: Inputs.
        samples: Training images, by which his penalty lambda / (2 n) is divided.
        lam: His lambda. Defaults to `5`.
        initializer: Of kernels and biases. Defaults to his, 1 / sqrt(fan_in).
    """
    weights = NielsenNormal() if initializer is None else initializer
    return mlp(
        (pixels,),
        hidden_units=list(hidden),
        outputs=10,
        activation="sigmoid",
        output_activation="sigmoid",
        kernel_initializer=weights,
        bias_initializer=weights,
        kernel_regularizer=nielsen_l2(lam, samples) if lam else None,
        seed=seed,
    )


def compiled(model: Any, rate: float = RATE, steps_per_execution: int = 1) -> Any:
    """The model with his loss and plain SGD."""
    model.compile(
        keras.optimizers.SGD(rate),
        "binary_crossentropy",
        loss_weights=[10.0],  # Keras takes the mean over the ten outputs, he the sum
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        steps_per_execution=steps_per_execution,
    )
    return model
