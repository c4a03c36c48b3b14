"""Whether a difference over seeds is more than chance."""

from typing import Any

import numpy as np

# Student's t, 97.5%, by degrees of freedom; 2.23 and less from ten on.
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


def clearly_not_zero(differences: Any) -> bool:
    """Whether 0 is outside of the 95% interval (Student's) of the paired differences' mean.

    One seed decides nothing, and two hardly anything.
    """
    given = np.asarray(differences, "float64")
    if len(given) < 2:
        return False
    error = given.std(ddof=1) / np.sqrt(len(given))
    return bool(abs(given.mean()) > _T[min(len(given) - 2, len(_T) - 1)] * error)
