"""A plain description of one layer: what it does to the signal, without Keras in it."""

from typing import Any

import keras

from ._layer_activations import applied_by

_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
)

# `keras.ops.relu` of a symbolic tensor is an operation, which has the function in its class.
_OPERATIONS = {
    "celu": "celu",
    "elu": "elu",
    "exp": "exponential",
    "gelu": "gelu",
    "hardsigmoid": "hard_sigmoid",
    "hardtanh": "hard_tanh",
    "leakyrelu": "leaky_relu",
    "logsigmoid": "log_sigmoid",
    "logsoftmax": "log_softmax",
    "mish": "mish",
    "relu": "relu",
    "relu6": "relu6",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "softmax": "softmax",
    "softplus": "softplus",
    "softsign": "softsign",
    "tanh": "tanh",
}


def describe_layer(layer: Any) -> dict[str, Any]:
    """What rules read of a layer or of an operation, as JSON-ready data.

    Returns:
        `"activation"`, `"wraps"` (the class of the layer within a wrapper such as
        `TimeDistributed`), `"units"`, `"kernel_initializer"`, `"parameters"`, `"rate"`,
        `"normalizes"`, `"merges"`, `"output_shape"`, `"kernel_shape"`, `"initializer"`,
        `"bias_initializer"`, `"kernel_regularizer"` (`{"l1", "l2"}`, None of a kind that has no
        such numbers; None where there is none), `"penalized"` (whether anything else of it adds to
        the loss), `"scale"` and `"offset"` (of `Rescaling`) and `"trainable"`.
    """
    core = _core(layer)
    kernel = getattr(core, "kernel_initializer", None)
    use_bias = getattr(core, "use_bias", True)
    return {
        "activation": _activation(core),
        "wraps": type(core).__name__ if core is not layer else None,
        "units": getattr(core, "units", None) or getattr(core, "filters", None),
        "kernel_initializer": name_of(kernel),
        "parameters": _parameters(layer),
        "rate": _rate(core),
        "normalizes": isinstance(core, _NORMALIZATIONS),
        "merges": _merges(layer),
        "output_shape": _output_shape(layer),
        "kernel_shape": _shape(_kernel(core)),
        "initializer": _initializer(kernel),
        "bias_initializer": _initializer(getattr(core, "bias_initializer", None))
        if use_bias
        else None,
        "kernel_regularizer": _regularizer(getattr(core, "kernel_regularizer", None)),
        "penalized": _is_penalized(core),
        "scale": _scale(core, "scale"),
        "offset": _scale(core, "offset"),
        "trainable": bool(getattr(layer, "trainable", True)),
    }


def name_of(thing: Any) -> str | None:
    """`"relu"` of a function, `"HeNormal"` of an object, a list or dict as its text."""
    if thing is None or isinstance(thing, str):
        return thing
    if isinstance(thing, (list, tuple)):
        return ", ".join(str(name_of(one)) for one in thing)
    if isinstance(thing, dict):
        return ", ".join(f"{key}: {name_of(one)}" for key, one in thing.items())
    return str(getattr(thing, "__name__", None) or type(thing).__name__)


def _core(layer: Any) -> Any:
    """The layer that does the work within a wrapper."""
    inner = getattr(layer, "forward_layer", None)
    if inner is None and isinstance(layer, keras.layers.Wrapper):
        inner = getattr(layer, "layer", None)
    return _core(inner) if isinstance(inner, keras.Layer) else layer


def _activation(layer: Any) -> str | None:
    if not isinstance(layer, keras.Layer):
        return _OPERATIONS.get(type(layer).__name__.lower())
    applied = applied_by(layer)
    if applied.alone or hasattr(layer, "activation"):
        return applied.name
    return None


def _kernel(layer: Any) -> Any:
    # A recurrent layer's own attribute is missing: its cell has the kernel.
    for holder in (layer, getattr(layer, "cell", None)):
        for name in ("kernel", "_kernel"):
            kernel = getattr(holder, name, None)
            if hasattr(kernel, "shape"):
                return kernel
    return None


def _parameters(layer: Any) -> int | None:
    if not isinstance(layer, keras.Layer):
        return 0
    return int(layer.count_params()) if layer.built else None


def _rate(layer: Any) -> float | None:
    """The share that a dropout layer drops, or a recurrent layer of its inputs."""
    rate = getattr(layer, "rate", None) if "Dropout" in type(layer).__name__ else None
    rate = getattr(layer, "dropout", None) if rate is None else rate
    return float(rate) if isinstance(rate, (int, float)) else None


def _merges(layer: Any) -> bool:
    """Whether it takes several tensors to one: a merging layer or an operation on two."""
    if isinstance(layer, keras.Layer):
        bases = {base.__name__ for base in type(layer).__mro__}
        return bool(bases & {"Merge", "Add", "Concatenate", "Dot"})
    try:
        return len(keras.tree.flatten(layer.input)) > 1
    except (AttributeError, ValueError):
        return False


def _output_shape(layer: Any) -> list[int | None] | None:
    try:
        outputs = keras.tree.flatten(layer.output)
    except (AttributeError, ValueError):
        return None
    return _shape(outputs[0]) if outputs else None


def _shape(tensor: Any) -> list[int | None] | None:
    shape = getattr(tensor, "shape", None)
    return None if shape is None else [None if size is None else int(size) for size in shape]


def _initializer(thing: Any) -> dict[str, Any] | None:
    """Its class and the plain numbers and names of its configuration."""
    if thing is None:
        return None
    try:
        config = thing.get_config()
    except Exception:  # a function, or a user's own class
        config = {}
    plain = {k: v for k, v in config.items() if isinstance(v, (str, int, float)) and k != "seed"}
    return {"class": name_of(thing), **plain}


def _regularizer(thing: Any) -> dict[str, float | None] | None:
    """Keras' own by their two strengths; of any other, they aren't known."""
    if thing is None:
        return None
    known = type(thing) in (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)
    try:
        return {
            name: float(keras.ops.convert_to_numpy(getattr(thing, name, 0.0))) if known else None
            for name in ("l1", "l2")
        }
    except (TypeError, ValueError):  # a strength that is a tensor of some graph
        return {"l1": None, "l2": None}


def _is_penalized(layer: Any) -> bool:
    """Whether biases, outputs or other weights than the kernel add to the loss."""
    if isinstance(layer, keras.layers.ActivityRegularization):
        return True
    # A recurrent layer's own are its cell's.
    cell = getattr(layer, "cell", None)
    held = {**vars(layer), **(vars(cell) if isinstance(cell, keras.Layer) else {})}
    return any(
        value is not None and name.endswith("regularizer") and name != "kernel_regularizer"
        for name, value in held.items()
    )


def _scale(layer: Any, name: str) -> float | None:
    value = getattr(layer, name, None) if isinstance(layer, keras.layers.Rescaling) else None
    return float(value) if isinstance(value, (int, float)) else None
