"""`DenoisingAutoencoder`: one hidden layer learns to repair its inputs."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ._arguments import layer_seed

CORRUPTIONS = ("masking", "gaussian", "salt_and_pepper")

LEARNING_RATE = 1e-3


class DenoisingAutoencoder(keras.Model):
    """A hidden layer of another model, and a decoder that is thrown away after training.

    ```
    code           h = the layers of `block`, of corrupted inputs
    reconstruction r = s(h V + a),   V = Wᵀ where the weights are tied
    ```

    Inputs in `[0, 1]` are probabilities: `s` is the sigmoid, the loss cross-entropy. Others are
    reconstructed linearly, with the mean squared error.

    Args:
        block: List of layers: a dense one and what follows it. Those that act in training only
            are at rest; batch normalization takes the batch's statistics.
        inputs: Array `[n, features]`, the clean inputs of the block.
        noise: Float. Share of the inputs, or standard deviation of Gaussian noise.
        corruption: One of `CORRUPTIONS`.
        tied_weights: Boolean. Whether the decoder's kernel is the encoder's, transposed.
        seed: Integer. Of the noise and the decoder's kernel.

    Reference:
        Vincent et al. 2010, "Stacked Denoising Autoencoders", sections 2 to 4.
    """

    def __init__(
        self,
        block: list[Any],
        inputs: npt.NDArray[Any],
        *,
        noise: float,
        corruption: str,
        tied_weights: bool,
        seed: int,
    ) -> None:
        # The policy of the layer: `compile` then scales the loss where it computes in float16.
        super().__init__(name=f"{block[0].name}_autoencoder", dtype=block[0].dtype_policy)
        self.block, self.noise, self.corruption = block, noise, corruption
        self.lowest, self.highest = float(inputs.min()), float(inputs.max())
        self.binary = in_unit_interval(inputs)
        width = inputs.shape[1]
        self.visible_bias = self.add_weight(shape=(width,), name="visible_bias")
        self.visible_bias.assign(mean_as_bias(inputs, self.binary))
        self.decoder_kernel = None
        if not tied_weights:
            self.decoder_kernel = self.add_weight(
                shape=(self.encode(inputs[:1]).shape[-1], width),
                initializer=keras.initializers.GlorotNormal(layer_seed(seed, "decoder")),
                name="decoder_kernel",
            )
        self.seed_generator = keras.random.SeedGenerator(layer_seed(seed, "noise"))
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The reconstruction; its logits where the inputs are probabilities."""
        x = self.corrupted(inputs) if training and self.noise else inputs
        kernel = self.decoder_kernel
        if kernel is None:
            kernel = keras.ops.transpose(self.block[0].kernel)
        return keras.ops.matmul(self.encode(x, training), kernel) + self.visible_bias

    def encode(self, x: Any, training: bool = False) -> Any:
        """The code: what the model's next dense layer will see."""
        for layer in self.block:
            normalizes = isinstance(layer, keras.layers.BatchNormalization)
            x = layer(x, training=training and normalizes)
        return x

    def corrupted(self, inputs: Any) -> Any:
        """The inputs with noise."""
        shape, dtype, seed = keras.ops.shape(inputs), inputs.dtype, self.seed_generator
        if self.corruption == "gaussian":
            return inputs + self.noise * keras.random.normal(shape, dtype=dtype, seed=seed)
        # In float32: float16 has too few numbers for the share to be exact.
        drawn = keras.random.uniform(shape, dtype="float32", seed=seed)
        if self.corruption == "masking":
            return keras.ops.where(drawn < self.noise, keras.ops.zeros_like(inputs), inputs)
        extreme = keras.ops.where(drawn < self.noise / 2, self.lowest, self.highest)
        return keras.ops.where(drawn < self.noise, keras.ops.cast(extreme, dtype), inputs)

    def reconstruction_error(self, target: Any, output: Any) -> Any:
        """Mean squared error of each sample."""
        output = keras.ops.cast(output, target.dtype)
        output = keras.ops.sigmoid(output) if self.binary else output
        return keras.ops.mean(keras.ops.square(output - target), axis=-1)

    def phases(
        self, epochs: int, learning_rate: float | None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Epochs and the arguments of `compile`, for one phase of training after another."""
        loss = keras.losses.BinaryCrossentropy(from_logits=True) if self.binary else "mse"
        metric = keras.metrics.MeanMetricWrapper(
            self.reconstruction_error, name="reconstruction_error"
        )
        optimizer = keras.optimizers.Adam(learning_rate or LEARNING_RATE)
        yield epochs, {"optimizer": optimizer, "loss": loss, "metrics": [metric]}


def in_unit_interval(inputs: npt.NDArray[Any]) -> bool:
    """Whether all inputs can be read as probabilities."""
    return bool(inputs.min() >= 0 and inputs.max() <= 1)


def mean_as_bias(inputs: npt.NDArray[Any], binary: bool) -> npt.NDArray[np.float32]:
    """The visible bias that gives each input's mean by itself (Hinton 2012, section 8.1)."""
    mean = inputs.mean(axis=0, dtype=np.float64)
    if binary:
        # An input that is always 0 in n samples is still 1 with a chance of about 1 / n.
        rare = 1 / (len(inputs) + 2)
        mean = np.clip(mean, rare, 1 - rare)
        mean = np.log(mean / (1 - mean))
    return np.asarray(mean, np.float32)
