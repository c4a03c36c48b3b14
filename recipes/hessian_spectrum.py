"""`hessian_spectrum`: the largest eigenvalues of the loss's Hessian, by Lanczos."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from ._arguments import check_seed, positive_integer
from ._data_loss import DataLoss, Vector


@dataclass(frozen=True)
class HessianSpectrum:
    """The largest eigenvalues of a loss's Hessian.

    Attributes:
        eigenvalues: Float64 `[k]`, those of the largest magnitude, largest magnitude first.
        residuals: Float64 `[k]`. `||H v - eigenvalue v||` of each: an eigenvalue of `H` lies no
            farther from it than that (rounding of the products, some 1e-6 of the largest one,
            comes on top).
        highest: The most positive eigenvalue.
        lowest: The most negative one, where the Hessian has a direction of its own downwards;
            with few iterations it may lie lower still.
        lowest_residual: The residual of `lowest`.
        iterations: Products with the Hessian that it took.
        vectors: Float64 `[k, weights]`, of length 1, in the order of `trainable_variables`, each
            flattened; None unless asked for.
    """

    eigenvalues: Vector
    residuals: Vector
    highest: float
    lowest: float
    lowest_residual: float
    iterations: int
    vectors: Vector | None = None

    @property
    def largest_stable_rate(self) -> float:
        """`2 / highest`: plain gradient descent with more leaves any minimum this sharp.

        Infinite where no direction curves upwards.
        """
        return 2 / self.highest if self.highest > 0 else math.inf


def hessian_spectrum(
    model: Any,
    x: Any,
    y: Any,
    *,
    k: int = 5,
    iterations: int = 100,
    tolerance: float = 1e-4,
    loss: Any = None,
    batch_size: int = 1024,
    return_vectors: bool = False,
    seed: int = 0,
) -> HessianSpectrum:
    """The largest eigenvalues of the Hessian of a model's loss over the data.

    ```
    H = d²L / dw²,    H v = lambda v
    ```

    The largest one bounds the learning rate: plain gradient descent is stable up to
    `2 / lambda`. The ratio of the largest to the small ones tells how ill-conditioned the problem
    is, hence whether `HessianFree` may pay. Negative ones are ways down that a minimum hasn't.

    The Hessian is never formed: Lanczos needs its product with a vector once per iteration, about
    two gradients over the data. Dropout is off and batch normalization takes its moving
    statistics. The loss has the regularizers in it. The model is left as it is.

    Args:
        model: Built `keras.Model`.
        x: Array of inputs, or a list, tuple or dictionary of them.
        y: Array of targets, or the same of them.
        k: Integer. How many eigenvalues. Defaults to `5`.
        iterations: Integer. The most products with the Hessian; never more than it has rows.
            Defaults to `100`.
        tolerance: Float, at least 0. Stops earlier where the residuals of all `k` and of the
            lowest one are below this share of the largest magnitude. Defaults to `1e-4`.
        loss: Keras loss or its name. Defaults to `None`: the one that the model is compiled with.
        batch_size: Integer. Samples at a time; changes memory, not the result. Defaults to
            `1024`.
        return_vectors: Boolean. Whether to keep the eigenvectors. Defaults to `False`.
        seed: Integer. Of the vector that Lanczos starts from. Defaults to `0`.

    Returns:
        A `HessianSpectrum`.

    Raises:
        ValueError: An argument is not as described; the model is neither compiled with a loss
            nor given one; its loss is a sum over samples that don't fit in one batch; it has a
            recurrent layer without `unroll=True`; the Hessian is not finite.

    Reference:
        Pearlmutter 1994, "Fast exact multiplication by the Hessian"; Golub & Van Loan, *Matrix
        Computations*, chapter 10 (Lanczos with full reorthogonalization); LeCun et al. 1998,
        "Efficient BackProp" (the largest stable rate).

    Example:
        ```python
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        x = np.sqrt(2) * np.diag([1.0, 3.0])
        spectrum = hessian_spectrum(model, x, np.zeros((2, 1)), k=2, loss="mse")
        spectrum.eigenvalues  # [18, 2]
        spectrum.largest_stable_rate  # 2 / 18
        ```
    """
    k = positive_integer("k", k)
    iterations = positive_integer("iterations", iterations)
    batch_size = positive_integer("batch_size", batch_size)
    check_seed(seed)
    if not isinstance(tolerance, Real) or not 0 <= tolerance < 1:
        raise ValueError(
            f"`tolerance` must be in [0, 1). Received: tolerance={tolerance!r}. 1e-4 is usual."
        )
    data = DataLoss(model, x, y, loss, batch_size)
    if k > min(iterations, data.size):
        raise ValueError(
            "`k` must be at most `iterations` and at most the number of trainable weights. "
            f"Received: k={k}, iterations={iterations}, {data.size} weights."
        )
    return _lanczos(
        data.hessian_vector, data.size, k, iterations, float(tolerance), return_vectors, seed
    )


def _lanczos(
    product: Callable[[Vector], Vector],
    size: int,
    k: int,
    iterations: int,
    tolerance: float,
    return_vectors: bool,
    seed: int,
) -> HessianSpectrum:
    """Lanczos with full reorthogonalization: all basis vectors are kept, in float64."""
    random, most = np.random.default_rng(seed), min(iterations, size)
    basis = np.empty((most, size))
    basis[0] = _fresh(random, basis[:0])
    diagonal, beside = np.zeros(most), np.zeros(most)
    for i in range(most):
        image = product(basis[i])
        diagonal[i] = basis[i] @ image
        image -= _project(image, basis[: i + 1])
        image -= _project(image, basis[: i + 1])  # once more: rounding leaves some
        beside[i] = np.linalg.norm(image)
        values, inside = _tridiagonal(diagonal[: i + 1], beside[:i])
        residuals = beside[i] * np.abs(inside[-1])
        order = np.argsort(-np.abs(values), kind="stable")
        scale = np.abs(values[order[0]])
        # An invariant subspace: the rest of the space may have more.
        closed = beside[i] <= _ROUNDING * max(scale, np.finfo(np.float64).tiny)
        wanted = [*order[:k], 0]
        if i + 1 >= k and not closed and (residuals[wanted] <= tolerance * scale).all():
            break
        if i + 1 < most:
            basis[i + 1] = _fresh(random, basis[: i + 1]) if closed else image / beside[i]
            beside[i] = 0.0 if closed else beside[i]

    top, used = order[:k], i + 1
    return HessianSpectrum(
        eigenvalues=values[top],
        residuals=residuals[top],
        highest=float(values[-1]),
        lowest=float(values[0]),
        lowest_residual=float(residuals[0]),
        iterations=used,
        vectors=inside[:, top].T @ basis[:used] if return_vectors else None,
    )


# Of float32 products: what is left of a vector below this share is noise.
_ROUNDING = 1e-6


def _tridiagonal(diagonal: Vector, beside: Vector) -> tuple[Vector, Vector]:
    """Eigenvalues, lowest first, and eigenvectors of the small matrix."""
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors


def _project(vector: Vector, basis: Vector) -> Vector:
    projected: Vector = (basis @ vector) @ basis
    return projected


def _fresh(random: np.random.Generator, basis: Vector) -> Vector:
    """A random direction orthogonal to the basis."""
    vector: Vector = np.asarray(random.standard_normal(basis.shape[1]))
    for _ in range(2):
        vector = vector - _project(vector, basis)
    return np.asarray(vector / np.linalg.norm(vector))
