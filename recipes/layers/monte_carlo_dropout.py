"""`MCDropout`, `MCAlphaDropout`: dropout that stays on when the model predicts."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="trainwell")
class MCDropout(keras.layers.Dropout):
    """Dropout in inference as in training: each prediction is one draw of the network.

    Choose it where the model itself shall be random wherever it is deployed. To measure the
    uncertainty of a model with ordinary dropout, `predict_mc` needs no other layer.

    Args:
        rate: Float in `[0, 1]`. Share of the units that is dropped.
        noise_shape: Tuple of integers. Shape of the mask, where it is shared along an axis.
            Defaults to `None`: the input's.
        seed: Integer. Seed of the masks. Two layers of one seed draw the same masks. Defaults
            to `None`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Floating tensor of any shape.
        training: Makes no difference.

    Reference:
        Gal & Ghahramani 2016, "Dropout as a Bayesian Approximation: Representing Model
        Uncertainty in Deep Learning"; Géron, chapter 11, "Monte Carlo (MC) Dropout".

    Example:
        ```python
        model = keras.Sequential([keras.Input((4,)), MCDropout(0.5)])
        mean, deviation = predict_mc(model, np.ones((1, 4)))  # near 1, near 1
        ```
    """

    def call(self, inputs: Any, training: bool | None = True) -> Any:
        """Drops units."""
        return super().call(inputs, training=True)


@keras.saving.register_keras_serializable(package="trainwell")
class MCAlphaDropout(keras.layers.AlphaDropout):
    """Alpha dropout in inference as in training, for networks of SELU.

    It keeps the mean and the variance of its input, on which self-normalizing networks rely.

    Args:
        rate: Float in `[0, 1]`. Share of the units that is dropped.
        noise_shape: Tuple of integers. Shape of the mask, where it is shared along an axis.
            Defaults to `None`: the input's.
        seed: Integer. Seed of the masks. Two layers of one seed draw the same masks. Defaults
            to `None`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Floating tensor of any shape.
        training: Makes no difference.

    Reference:
        Gal & Ghahramani 2016; Klambauer et al. 2017, "Self-Normalizing Neural Networks"; Géron,
        chapter 11, "Monte Carlo (MC) Dropout".

    Example:
        ```python
        model = keras.Sequential([keras.Input((4,)), MCAlphaDropout(0.1)])
        mean, deviation = predict_mc(model, np.zeros((1, 4)))
        ```
    """

    def call(self, inputs: Any, training: bool | None = True) -> Any:
        """Drops units."""
        return super().call(inputs, training=True)
