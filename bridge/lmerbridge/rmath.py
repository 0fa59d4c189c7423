"""R's arithmetic where it differs from NumPy's; imports nothing of ours."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["round_r"]


def round_r(values: Any, digits: float = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """R's ``round`` (since 4.0.0): the nearer of the two candidates with ``digits`` decimals,
    the one with an even last digit on a tie (``?round`` in R).
    """
    x = np.asarray(values, dtype=np.float64)
    power = 10.0**digits
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.floor(x * power)
        low, high = scaled / power, np.ceil(x * power) / power
        below, above = x - low, high - x
        rounded = np.where((below < above) | ((below == above) & (scaled % 2 == 0)), low, high)
    return np.where(np.isfinite(rounded), rounded, x)
