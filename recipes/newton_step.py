"""`newton_step`: one step of Newton's method with the whole Hessian, for small models."""

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arguments import positive_integer
from ._data_loss import DataLoss

_MOST_WEIGHTS = 2000


def newton_step(
    model: Any, x: Any, y: Any, *, damping: float = 0.0, loss: Any = None, batch_size: int = 1024
) -> list[npt.NDArray[np.float64]]:
    """The step of Newton's method over the data, with the whole Hessian.

    ```
    d = -(H + damping I)^-1 g
    ```

    Something to check other methods against, such as `HessianFree`, and the text's method as it
    stands: the Hessian of n weights has n² numbers, takes n products and n³ operations to solve.
    Where it is not positive definite the step may lead up; raise the damping above the most
    negative eigenvalue.

    Args:
        model: Built `keras.Model` of at most 2,000 trainable weights.
        x: Array of inputs, or a list, tuple or dictionary of them.
        y: Array of targets, or the same of them.
        damping: Float, at least 0. Added to the Hessian's diagonal. Defaults to `0`.
        loss: Keras loss or its name. Defaults to `None`: the one that the model is compiled with.
        batch_size: Integer. Samples at a time; changes memory, not the result. Defaults to
            `1024`.

    Returns:
        A list of float64 arrays, one for each of `model.trainable_variables`, to be added to it.
        The model is left as it is.

    Raises:
        ValueError: An argument is not as described, the damped Hessian is singular, or what
            `hessian_spectrum` refuses.

    Reference:
        Nielsen, *Neural Networks and Deep Learning*, chapter 3, "Hessian technique".

    Example:
        ```python
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        x, y = np.array([[1.0, 0.0], [1.0, 2.0]]), np.array([[3.0], [7.0]])
        [step] = newton_step(model, x, y, loss="mse")
        model.trainable_variables[0] + step  # [[3], [2]]: a quadratic's minimum is one step away
        ```
    """
    if not isinstance(damping, Real) or not 0 <= damping < float("inf"):
        raise ValueError(
            f"`damping` must be at least 0 and finite. Received: damping={damping!r}. 0 is "
            "Newton's own step."
        )
    data = DataLoss(model, x, y, loss, positive_integer("batch_size", batch_size))
    if data.size > _MOST_WEIGHTS:
        raise ValueError(
            f"`newton_step` forms the whole Hessian, of at most {_MOST_WEIGHTS:,} weights. "
            f"Received: a model of {data.size:,}. Train it with `HessianFree`."
        )
    hessian = np.array([data.hessian_vector(row) for row in np.eye(data.size)])
    damped = (hessian + hessian.T) / 2 + damping * np.eye(data.size)
    if np.linalg.matrix_rank(damped, hermitian=True, tol=1e-7 * np.abs(damped).max()) < data.size:
        raise ValueError(
            "The damped Hessian is singular: some directions don't change the gradient. Received: "
            f"damping={damping!r}. Pass a positive one, such as 1e-3."
        )
    step = np.linalg.solve(damped, -data.gradient())
    shapes = [tuple(w.shape) for w in data.weights]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(s) for part, s in zip(np.split(step, ends[:-1]), shapes, strict=True)]
