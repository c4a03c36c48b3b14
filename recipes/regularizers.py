"""`nielsen_l2`: weight decay in the units of Nielsen's book."""

from numbers import Integral, Real
from typing import Any

import keras


def nielsen_l2(lam: float, samples: int) -> keras.regularizers.Regularizer:
    """Keras' L2 penalty with the strength that Nielsen's book and its readers call lambda.

    ```
    C = C_0 + lam / (2 samples) * sum(w^2)
    ```

    His cost `C_0` is a mean over the training set, as Keras' is, but his penalty is divided by
    the size of the set: the same `lam` is a weaker penalty where there are more samples. Choose it
    to repeat his experiments or to search for `lam` as he does: 1 first, then times or divided by
    10. For a strength that doesn't hang on the data, take `keras.regularizers.L2` itself. Biases
    are not penalized: hand it to `kernel_regularizer`.

    Args:
        lam: Float. His lambda, at least 0; 5 with 50,000 images, 0.1 with 1,000.
        samples: Integer. How many samples the network is trained on; not the batch's.

    Returns:
        A `keras.regularizers.L2`.

    Raises:
        ValueError: `lam` is negative or not finite, or `samples` is not a positive integer.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Regularization".

    Example:
        ```python
        nielsen_l2(5.0, 50_000)(np.array([3.0, 4.0]))  # 5 / 100,000 * 25 = 0.00125
        ```
    """
    if not _is(lam, Real) or not 0 <= lam < float("inf"):
        raise ValueError(
            f"`lam` must be a number from 0 on. Received: lam={lam!r}. 0 is no penalty; start at 1 "
            "and go on by factors of 10."
        )
    if not _is(samples, Integral) or samples <= 0:
        raise ValueError(
            "`samples` must be the number of training samples, a positive integer. Received: "
            f"samples={samples!r}. Pass len(x_train)."
        )
    return keras.regularizers.L2(float(lam) / (2 * int(samples)))


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
