"""`RestrictedBoltzmannMachine`: one hidden layer learns which inputs are probable."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ._arguments import layer_seed
from ._autoencoder import mean_as_bias

LEARNING_RATES = {"bernoulli": 0.1, "gaussian": 0.01}

# Hinton 2012, section 9.1: 0.5 until the reconstruction error falls steadily, then 0.9.
MOMENTA = (0.5, 0.9)
FIRST_EPOCHS = 5


class RestrictedBoltzmannMachine(keras.Model):
    """A dense sigmoid layer of another model, trained by contrastive divergence.

    ```
    Bernoulli   F(v) = -v·a           - sum_j softplus(b_j + (v W)_j),   E[v|h] = s(h Wᵀ + a)
    Gaussian    F(v) = |v - a|² / 2   - sum_j softplus(b_j + (v W)_j),   E[v|h] = h Wᵀ + a
    CD-k        dW = <v p(h|v)>_data - <v p(h|v)>_k,   v_k after k steps v -> h -> E[v|h]
    ```

    The hidden units are sampled wherever they drive the visible ones; visible units and the
    hidden ones in the statistics are probabilities, which takes sampling noise out.

    Args:
        dense: Dense layer `[features] -> [units]`, followed by a sigmoid.
        inputs: Array `[n, features]`: in `[0, 1]`, or standardized where `visible` is Gaussian.
        visible: `"bernoulli"` or `"gaussian"` (of deviation 1).
        gibbs_steps: Integer. The k of CD-k.
        weight_decay: Float. Of the kernel, per step and learning rate.
        seed: Integer. Of the hidden samples.

    Reference:
        Hinton 2002; Hinton, Osindero & Teh 2006; Hinton 2012, "A Practical Guide to Training
        Restricted Boltzmann Machines".
    """

    def __init__(
        self,
        dense: Any,
        inputs: npt.NDArray[Any],
        *,
        visible: str,
        gibbs_steps: int,
        weight_decay: float,
        seed: int,
    ) -> None:
        # Everything in the precision of the weights: their updates are small.
        super().__init__(name=f"{dense.name}_rbm", dtype=dense.variable_dtype)
        self.dense, self.visible = dense, visible
        self.gibbs_steps, self.weight_decay = gibbs_steps, weight_decay
        self.visible_bias = self.add_weight(shape=inputs.shape[1:], name="visible_bias")
        self.visible_bias.assign(mean_as_bias(inputs, visible == "bernoulli"))
        self.seed_generator = keras.random.SeedGenerator(layer_seed(seed, "hidden"))
        self.measured = [
            keras.metrics.Mean(name=name) for name in ("reconstruction_error", "free_energy_gap")
        ]
        self.built = True

    @property
    def metrics(self) -> list[Any]:
        """What `fit` resets after each epoch."""
        return self.measured

    def call(self, inputs: Any) -> Any:
        """The probabilities of the hidden units."""
        return keras.ops.sigmoid(self.hidden_input(inputs))

    def hidden_input(self, visible: Any) -> Any:
        """What goes through the sigmoid."""
        product = keras.ops.matmul(visible, self.dense.kernel)
        return product if self.dense.bias is None else product + self.dense.bias

    def expected_visible(self, hidden: Any) -> Any:
        """The mean of the visible units, given the hidden ones."""
        x = keras.ops.matmul(hidden, keras.ops.transpose(self.dense.kernel)) + self.visible_bias
        return keras.ops.sigmoid(x) if self.visible == "bernoulli" else x

    def free_energy(self, visible: Any) -> Any:
        """`F` of each sample; `exp(-F)` is its probability, up to a factor."""
        if self.visible == "bernoulli":
            own = -keras.ops.matmul(visible, keras.ops.expand_dims(self.visible_bias, 1))[:, 0]
        else:
            own = keras.ops.sum(keras.ops.square(visible - self.visible_bias), axis=1) / 2
        return own - keras.ops.sum(keras.ops.softplus(self.hidden_input(visible)), axis=1)

    def imagine(self, visible: Any) -> Any:
        """The visible units after `gibbs_steps` steps from data."""
        for _ in range(self.gibbs_steps):
            probability = self(visible)
            drawn = keras.random.uniform(
                keras.ops.shape(probability), dtype=probability.dtype, seed=self.seed_generator
            )
            hidden = keras.ops.cast(drawn < probability, probability.dtype)
            visible = self.expected_visible(hidden)
        return visible

    def gradients(self, data: Any, imagined: Any) -> list[tuple[Any, Any]]:
        """Descent directions and their variables: the gradient of `F(data) - F(imagined)`."""
        samples = keras.ops.cast(keras.ops.shape(data)[0], data.dtype)
        hidden, dreamt = self(data), self(imagined)
        positive = keras.ops.matmul(keras.ops.transpose(data), hidden)
        negative = keras.ops.matmul(keras.ops.transpose(imagined), dreamt)
        kernel = self.dense.kernel
        pairs = [
            ((negative - positive) / samples + self.weight_decay * kernel, kernel),
            (keras.ops.mean(imagined - data, axis=0), self.visible_bias),
        ]
        if self.dense.bias is not None:
            pairs.append((keras.ops.mean(dreamt - hidden, axis=0), self.dense.bias))
        return pairs

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of contrastive divergence."""
        visible = keras.ops.cast(data[0] if isinstance(data, tuple) else data, self.dtype)
        imagined = self.imagine(visible)
        error, gap = self.measured
        error.update_state(keras.ops.mean(keras.ops.square(visible - imagined), axis=1))
        gap.update_state(self.free_energy(visible) - self.free_energy(imagined))
        gradients, variables = zip(*self.gradients(visible, imagined), strict=True)
        self.optimizer.apply(list(gradients), list(variables))
        return {metric.name: metric.result() for metric in self.metrics}

    def phases(
        self, epochs: int, learning_rate: float | None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Epochs and the arguments of `compile`, for one phase of training after another."""
        rate = learning_rate or LEARNING_RATES[self.visible]
        first = min(FIRST_EPOCHS, epochs)
        for count, momentum in zip((first, epochs - first), MOMENTA, strict=True):
            if count:
                # Scaling the loss would be for gradients that a tape takes in float16.
                yield (
                    count,
                    {
                        "optimizer": keras.optimizers.SGD(rate, momentum),
                        "auto_scale_loss": False,
                    },
                )


def root_mean_square(inputs: npt.NDArray[Any]) -> float:
    """Of all inputs; 1 where they are standardized."""
    return float(np.sqrt(np.square(inputs, dtype=np.float64).mean()))
