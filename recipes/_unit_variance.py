"""The pass through a model that scales each layer when it is first called."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ._kernel_layers import kernel_of

# Below, 1 / sqrt(variance) is no float32.
_SMALLEST_VARIANCE = float(np.finfo(np.float32).tiny)


class ScaledLayer(NamedTuple):
    """What `lsuv` did to one layer.

    Attributes:
        layer: Its path in the model.
        variance_before: Variance of its outputs, before its activation, as it was found.
        variance_after: The same, as it was left.
        scale: What its kernel was multiplied by, in all.
        iterations: How often its kernel was multiplied.
    """

    layer: str
    variance_before: float
    variance_after: float
    scale: float
    iterations: int


class UnitVariance:
    """What replaces the layers' methods for one pass.

    Attributes:
        done: What was done so far.
        failure: Why a layer can't be scaled, or None.
    """

    def __init__(self, tolerance: float, max_iterations: int) -> None:
        self._tolerance, self._max_iterations = tolerance, max_iterations
        self._seen: set[str] = set()
        self.done: list[ScaledLayer] = []
        self.failure: str | None = None

    def of(self, path: str, layer: Any) -> Any:
        """What wraps the layer's `call`: scales its kernel before the first one."""

        def wrap(original: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                if path in self._seen or not tf.executing_eagerly():
                    return original(*args, **kwargs)
                self._seen.add(path)
                activation = layer.activation
                # Past Keras, which would track an activation with weights as another layer.
                vars(layer)["activation"] = None
                try:
                    outputs = self._scale(path, layer, original, args, kwargs)
                finally:
                    vars(layer)["activation"] = activation
                return outputs if activation is None else activation(outputs)

            return call

        return wrap

    def _scale(self, path: str, layer: Any, run: Any, args: Any, kwargs: Any) -> Any:
        """The layer's outputs, once they have unit variance."""
        kernel, scale, first = kernel_of(layer), 1.0, math.nan
        bias = self._bias(layer, run, args, kwargs)
        for iterations in range(self._max_iterations + 1):
            outputs = run(*args, **kwargs)
            measured = keras.ops.cast(outputs, "float32")
            variance = _covariance(measured, measured)
            first = variance if iterations == 0 else first
            factor = self._factor(path, measured - bias, bias)
            if abs(variance - 1) <= self._tolerance or iterations == self._max_iterations:
                break
            kernel.assign(kernel * factor)
            scale *= factor
        self.done.append(ScaledLayer(path, first, variance, scale, iterations))
        return outputs

    def _bias(self, layer: Any, run: Any, args: Any, kwargs: Any) -> Any:
        """The part of the outputs that does not come from the kernel."""
        if layer.bias is None or not np.any(layer.bias.numpy()):
            return keras.ops.zeros(())
        nothing = keras.tree.map_structure(keras.ops.zeros_like, args)
        return keras.ops.cast(run(*nothing, **kwargs), "float32")

    def _factor(self, path: str, weighted: Any, bias: Any) -> float:
        """The `s` for which `Var(s weighted + bias)` is 1."""
        variance = _covariance(weighted, weighted)
        if not math.isfinite(variance):
            self._fail(path, "has outputs that are not finite. Look for NaN in the weights.")
        if variance < _SMALLEST_VARIANCE:
            self._fail(
                path,
                f"has outputs of variance {variance:g}: its inputs are all the same or its kernel "
                "is zero. Look for dead units before it, and for zero inputs in `x`.",
            )
        if not np.ndim(bias):
            return 1 / math.sqrt(variance)
        mixed, rest = _covariance(weighted, bias), 1 - _covariance(bias, bias)
        root = math.sqrt(max(mixed**2 + variance * rest, 0.0))
        if rest <= 0 and (mixed >= 0 or mixed**2 + variance * rest < 0):
            self._fail(
                path,
                f"has biases of variance {1 - rest:g}: no kernel brings the sum to 1. Initialize "
                "the biases smaller, to zero at best.",
            )
        return (root - mixed) / variance

    def _fail(self, path: str, reason: str) -> None:
        self.failure = f"`lsuv` can't scale the layer {path!r}. It {reason}"
        raise ValueError(self.failure)


def _covariance(first: Any, second: Any) -> float:
    first, second = first - keras.ops.mean(first), second - keras.ops.mean(second)
    return float(keras.ops.mean(first * second))
