"""`greedy_pretrain`: hidden layers learn from inputs without labels, one after another."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._arguments import check_seed, layer_seed, positive_integer
from ._autoencoder import DenoisingAutoencoder, in_unit_interval
from ._layer_chain import chain_of, dense_blocks
from ._pretraining_checks import (
    check_layers,
    check_number,
    check_shapes,
    check_visible,
    names_to_pretrain,
    options_of,
    samples_for,
)
from ._restricted_boltzmann import RestrictedBoltzmannMachine, root_mean_square

# Steps that run as one call, if there are many, and samples that pass through a layer at once.
_STEPS_PER_CALL = 50
_MANY_STEPS = 1000
_SAMPLES_AT_ONCE = 1024


def greedy_pretrain(
    model: keras.Model,
    x: Any,
    *,
    method: str = "autoencoder",
    layers: Sequence[str] | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    learning_rate: float | None = None,
    noise: float = 0.25,
    corruption: str = "masking",
    tied_weights: bool = True,
    visible: str | None = None,
    gibbs_steps: int = 1,
    weight_decay: float = 2e-4,
    seed: int | None = None,
    verbose: int = 0,
) -> dict[str, dict[str, list[float]]]:
    """Pretrains the hidden dense layers of a model in place, layer by layer, without labels.

    Each dense layer but the last learns to represent what the trained layers below it make of
    `x`; then `compile` and `fit` tune the whole network with the labels there are. Worth a try
    where unlabelled data are plentiful, labels few, and there is neither a trained network to
    reuse (`reuse_layers`) nor a related task with free labels. With ample labels a good
    initializer, normalization and a non-saturating activation do as well.

    ```
    "autoencoder"   minimizes  loss(x, decode(encode(x + noise))); any activation
    "rbm"           raises     log p(x) of a restricted Boltzmann machine; sigmoid layers
    ```

    Layers in front of the first dense one pass the data on as in inference. Normalization and
    activations between dense layers are trained with the layer that they follow; batch
    normalization then takes the moments of its inputs from all of `x`, behind a frozen layer too
    unless it is frozen itself. Dropout rests. Frozen layers stay as they are. The autoencoders
    honor the layers' regularizers, both methods their constraints. A compiled model stays
    compiled, its optimizer untouched.

    Args:
        model: Sequential or functional model, built, a chain of layers; nested chains are opened.
        x: Array `[n, *input_shape]` of inputs, finite. Labels are not needed.
        method: `"autoencoder"` or `"rbm"`. Defaults to `"autoencoder"`.
        layers: Sequence of names of the dense layers to pretrain. Defaults to `None`: all but
            the last, which is taken for the output.
        epochs: Integer. Epochs for each layer. Defaults to `10`.
        batch_size: Integer. Defaults to `32`.
        learning_rate: Float. Of Adam for autoencoders, of SGD (momentum 0.5 for five epochs, then
            0.9) for RBMs. Defaults to `None`: 0.001 for autoencoders; 0.1 for an RBM, 0.01 where
            its visible units are Gaussian.
        noise: Float. Of autoencoders: share of the inputs that is corrupted, in `[0, 1)`; of
            Gaussian noise, its standard deviation. `0` is an ordinary autoencoder, which learns
            nothing of use where a layer is wider than its inputs. Defaults to `0.25`.
        corruption: Of autoencoders: `"masking"` (set to 0), `"gaussian"` (added) or
            `"salt_and_pepper"` (set to the lowest or the highest input). Defaults to `"masking"`.
        tied_weights: Boolean. Of autoencoders: whether the decoder's kernel is the encoder's,
            transposed. Defaults to `True`.
        visible: Of RBMs: `"bernoulli"` for inputs in `[0, 1]` or `"gaussian"` for standardized
            ones, of the first layer pretrained. Defaults to `None`: by the data, as for the
            layers above.
        gibbs_steps: Integer. Of RBMs: the k of CD-k. Defaults to `1`.
        weight_decay: Float. Of RBMs. Defaults to `2e-4`.
        seed: Integer. Of order, noise, samples and decoders; the result hangs on it alone.
            Defaults to `None`: `keras.utils.set_random_seed` decides.
        verbose: Integer. As in `fit`. Defaults to `0`.

    Returns:
        For each pretrained layer, by name, the means of each epoch: `"reconstruction_error"`
        (mean squared error of an input) and, of autoencoders, `"loss"`; of RBMs
        `"free_energy_gap"` (that of the data minus that of their reconstructions).

    Raises:
        ValueError: An argument is not as described; the model is no chain, or holds nothing to
            pretrain; a trainable layer that is not dense, such as a convolution, lies below; an
            RBM's layer has no sigmoid; or training diverged.

    Reference:
        Hinton, Osindero & Teh 2006; Bengio et al. 2007; Vincent et al. 2010; Hinton 2012, "A
        Practical Guide to Training Restricted Boltzmann Machines"; Géron, chapter 11,
        "Unsupervised Pretraining".

    Example:
        ```python
        x = np.random.default_rng(0).uniform(size=(256, 20))
        model = mlp(20, [32, 16], 3, activation="sigmoid", seed=0)
        history = greedy_pretrain(model, x, epochs=2, seed=0)
        list(history)  # ["hidden_1", "hidden_2"]
        ```
    """
    received = {"noise": noise, "corruption": corruption, "tied_weights": tied_weights}
    received |= {"visible": visible, "gibbs_steps": gibbs_steps, "weight_decay": weight_decay}
    options = options_of(method, received)
    fitting = _Fitting(epochs, batch_size, learning_rate, seed, verbose)
    front, blocks = dense_blocks(chain_of(model))
    names = names_to_pretrain(blocks, layers)
    # Above the last pretrained layer there is nothing to do.
    blocks = blocks[: 1 + max(i for i, block in enumerate(blocks) if block[0].name in names)]
    check_layers(front, blocks, names, method)
    inputs = samples_for(x, model)
    check_shapes(front, blocks, names, inputs[:1], options.get("tied_weights", False))

    inputs, history = _pass(front, inputs), {}
    for block in blocks:
        if block[0].name in names:
            machine = _machine(block, inputs, method, options, fitting.seed)
            history[block[0].name] = _train(machine, block, inputs, fitting)
            # Stated of the data; what a layer above sees is its own matter.
            options |= {"visible": None} if method == "rbm" else {}
        inputs = _pass(block, inputs)
    return history


@dataclass
class _Fitting:
    """How each layer is fitted, checked."""

    epochs: int
    batch_size: int
    learning_rate: float | None
    seed: Any
    verbose: int

    def __post_init__(self) -> None:
        self.epochs = positive_integer("epochs", self.epochs)
        self.batch_size = positive_integer("batch_size", self.batch_size)
        if self.learning_rate is not None:
            check_number("learning_rate", self.learning_rate, positive=True)
        check_seed(self.seed)
        if self.verbose not in (0, 1, 2):
            raise ValueError(
                f"`verbose` must be 0, 1 or 2, as in `fit`. Received: verbose={self.verbose!r}."
            )
        # Keras seeds Python's `random` with its own seed.
        self.seed = random.randrange(2**31) if self.seed is None else self.seed


def _machine(
    block: list[Any], inputs: npt.NDArray[Any], method: str, options: dict[str, Any], seed: int
) -> Any:
    """What trains the dense layer of a block on its inputs."""
    own: Any = layer_seed(seed, block[0].name)
    if method == "autoencoder":
        return DenoisingAutoencoder(block, inputs, **options, seed=own)
    visible = options["visible"]
    if visible is None:
        visible = "bernoulli" if in_unit_interval(inputs) else "gaussian"
    check_visible(block[0].name, visible, inputs)
    return RestrictedBoltzmannMachine(block[0], inputs, **{**options, "visible": visible}, seed=own)


def _train(
    machine: Any, block: list[Any], inputs: npt.NDArray[Any], fitting: _Fitting
) -> dict[str, list[float]]:
    """Trains one layer; its weights come back as they were where training diverged."""
    before = [layer.get_weights() for layer in block]
    steps, done = math.ceil(len(inputs) / fitting.batch_size), 0
    history: dict[str, list[float]] = {}
    if fitting.verbose:
        print(f"{machine.name}: {inputs.shape[1]} -> {block[0].units}")
    for epochs, arguments in machine.phases(fitting.epochs, fitting.learning_rate):
        # Tracing several steps as one takes longer, and pays where there are many.
        at_once = min(steps, _STEPS_PER_CALL) if epochs * steps > _MANY_STEPS else 1
        machine.compile(**arguments, steps_per_execution=at_once)
        batches = _batches(inputs, fitting.batch_size, layer_seed(fitting.seed, machine.name), done)
        logs = machine.fit(
            batches,
            initial_epoch=done,
            epochs=done + epochs,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=fitting.verbose,
        ).history
        done += epochs
        for name, values in logs.items():
            history.setdefault(name, []).extend(map(float, values))
    learned = [weight for layer in block for weight in layer.get_weights()]
    if not all(np.isfinite(values).all() for values in [*history.values(), *learned]):
        for layer, weights in zip(block, before, strict=True):
            layer.set_weights(weights)
        raise ValueError(
            f"Pretraining of {block[0].name!r} diverged; its weights are what they were. Received: "
            f"learning_rate={fitting.learning_rate!r} and inputs of root mean square "
            f"{root_mean_square(inputs):.3g}. Lower the rate, or scale the inputs."
        )
    return history


def _batches(inputs: npt.NDArray[Any], batch_size: int, seed: Any, epoch: int) -> Any:
    """Shuffled batches without end, from one epoch on, in orders that hang on `seed` alone."""
    # `shuffle` would mix in the global seed, arrays handed to `fit` would take only that.
    rows, samples = tf.constant(inputs), len(inputs)

    def order(number: Any) -> Any:
        drawn = tf.random.experimental.stateless_shuffle(tf.range(samples), seed=[seed, number])
        return tf.data.Dataset.from_tensor_slices(drawn).batch(batch_size)

    def pair(chosen: Any) -> Any:
        batch = tf.gather(rows, chosen)
        return batch, batch

    return tf.data.Dataset.counter(epoch).flat_map(order).map(pair).prefetch(1)


def _pass(layers: list[Any], inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The outputs of layers in inference, batch normalization with the moments of `inputs`."""
    for layer in layers:
        if _takes_moments(layer):
            axes = tuple(i for i in range(inputs.ndim) if i != layer.axis % inputs.ndim)
            layer.moving_mean.assign(inputs.mean(axis=axes, dtype=np.float64))
            layer.moving_variance.assign(inputs.var(axis=axes, dtype=np.float64))
        parts = range(0, len(inputs), _SAMPLES_AT_ONCE)
        outputs = [layer(inputs[i : i + _SAMPLES_AT_ONCE], training=False) for i in parts]
        inputs = np.concatenate([keras.ops.convert_to_numpy(part) for part in outputs])
    # One precision for all that follows: what mixed precision computes comes in float16.
    return inputs.astype(np.float32)


def _takes_moments(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
