"""The colours of figures and reports, each with its twin for a dark page.

Figures are drawn for a white page; a report puts a CSS variable in place of each colour.
"""

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

PAGE, INK, MUTED, RULE, ALERT = "#ffffff", "#1f2328", "#656d76", "#d3d9e0", "#cf222e"

LEVELS = 32
# Plasma without the ends that fall below a contrast of 2.7 on the page (white, near-black).
DEPTH = [to_hex(c) for c in matplotlib.colormaps["plasma"](np.linspace(0, 0.68, LEVELS))]
_DEPTH_DARK = [to_hex(c) for c in matplotlib.colormaps["plasma"](np.linspace(0.38, 0.95, LEVELS))]

# Okabe and Ito (2008), safe for colour-blind readers; a brown for their yellow, unseen on white.
RUN_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222", "#7a5c2e",
)  # fmt: skip
_RUN_COLOURS_DARK = (
    "#4aa8e0", "#f0803c", "#2bc096", "#e09cc2", "#f0b429", "#8accf2", "#f0f0f0", "#c4a26a",
)  # fmt: skip

COLOURS: dict[str, tuple[str, str]] = {
    "page": (PAGE, "#15181d"),
    "ink": (INK, "#e6e9ee"),
    "muted": (MUTED, "#98a2ae"),
    "rule": (RULE, "#3a424d"),
    "alert": (ALERT, "#ff7b72"),
    **{f"depth-{i}": pair for i, pair in enumerate(zip(DEPTH, _DEPTH_DARK, strict=True))},
    **{f"run-{i}": pair for i, pair in enumerate(zip(RUN_COLOURS, _RUN_COLOURS_DARK, strict=True))},
}


_NAMES = {light: name for name, (light, _) in COLOURS.items()}


def css_colour(light: str) -> str:
    """The CSS variable for a figure's colour; any other colour as it is."""
    return f"var(--{_NAMES[light]})" if light in _NAMES else light


def depth_colours(count: int) -> list[str]:
    """One colour per layer, from the first (dark blue) to the last (orange)."""
    return [DEPTH[round(i * (LEVELS - 1) / max(count - 1, 1))] for i in range(count)]
