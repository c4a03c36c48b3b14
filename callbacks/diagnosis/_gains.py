"""What an initializer draws, as the variance that a unit's inputs get."""

from typing import Any

from ._graph import Layer, fans

MEASURED = "the weights themselves"
"""Stands for the class of an initializer where `"mean_square"` was measured."""

# A normal distribution that is cut at two deviations keeps this share of its deviation.
_TRUNCATED = 0.87962566103423978
_SCALES = {
    "GlorotNormal": (1.0, "fan_avg"),
    "GlorotUniform": (1.0, "fan_avg"),
    "HeNormal": (2.0, "fan_in"),
    "HeUniform": (2.0, "fan_in"),
    "LecunNormal": (1.0, "fan_in"),
    "LecunUniform": (1.0, "fan_in"),
}
_CONSTANTS = {"Zeros": 0.0, "Ones": 1.0, "Constant": None}


def gain(layer: Layer) -> float | None:
    """`fan_in Var(w)` of what the kernel's initializer draws, mean included; None if unknown."""
    drawn, sizes = layer.get("initializer") or {}, fans(layer)
    if sizes is None or not drawn.get("class"):
        return None
    fan_in, fan_out = sizes
    name = str(drawn["class"])
    if name == MEASURED:
        return fan_in * float(drawn["mean_square"])
    if name in ("Orthogonal", "OrthogonalInitializer"):
        return float(drawn.get("gain", 1.0)) ** 2 * fan_in / max(fan_in, fan_out)
    scale, mode = _SCALES.get(name, (drawn.get("scale"), drawn.get("mode")))
    if name in _SCALES or name == "VarianceScaling":
        by = {"fan_in": fan_in, "fan_out": fan_out}.get(str(mode), (fan_in + fan_out) / 2)
        return float(scale) * fan_in / by if scale is not None else None
    variance = _variance(name, drawn)
    return None if variance is None else fan_in * variance


def _variance(name: str, drawn: dict[str, Any]) -> float | None:
    """The weights' mean square."""
    if name == "RandomUniform":
        low, high = float(drawn.get("minval", -0.05)), float(drawn.get("maxval", 0.05))
        return (high * high + high * low + low * low) / 3
    if name in ("RandomNormal", "TruncatedNormal"):
        deviation = float(drawn.get("stddev", 0.05))
        deviation *= _TRUNCATED if name == "TruncatedNormal" else 1.0
        return deviation**2 + float(drawn.get("mean", 0.0)) ** 2
    return None


def constant(drawn: dict[str, Any] | None) -> float | None:
    """The one value of a constant initializer, None of any other."""
    name = (drawn or {}).get("class")
    if name not in _CONSTANTS:
        return None
    value = _CONSTANTS[name]
    return float((drawn or {}).get("value", 0.0)) if value is None else value
