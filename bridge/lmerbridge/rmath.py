"""R's arithmetic where it differs from NumPy's; imports nothing of ours."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["cospi", "round_r", "signif_r", "sinpi", "tanpi"]


def round_r(values: Any, digits: float = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """R's ``round`` (since 4.0.0): the nearer of the two candidates with ``digits`` decimals,
    the one with an even last digit on a tie (``?round`` in R). Where ``digits`` decimals would be
    more than 15 digits in all, the number stays.
    """
    x = np.asarray(values, dtype=np.float64)
    power = 10.0**digits
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.floor(x * power)
        low, high = scaled / power, np.ceil(x * power) / power
        below, above = x - low, high - x
        rounded = np.where((below < above) | ((below == above) & (scaled % 2 == 0)), low, high)
    # the number of digits by the binary exponent, at the middle between two powers of 2
    whole = digits + (np.frexp(x)[1] - 0.5) * np.log10(2.0) > 15 if digits > 0 else False
    return np.where(np.isfinite(rounded) & np.logical_not(whole), rounded, x)


def signif_r(values: Any, digits: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Values to so many significant digits, halves to even as R's ``signif`` has them."""
    x = np.asarray(values, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(x)))
        power = digits - 1 - exponent
        scale = 10.0 ** np.abs(power)
        found = np.where(power >= 0, np.rint(x * scale) / scale, np.rint(x / scale) * scale)
    return np.where(np.isfinite(x) & (x != 0), found, x)


def sinpi(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """R's ``sinpi``: sin(pi x), exact where x is a multiple of 1/2."""
    x = np.fmod(np.asarray(values, dtype=np.float64), 2.0)
    x = np.where(x > 1, x - 2.0, np.where(x <= -1, x + 2.0, x))
    exact = np.where(x == 0.5, 1.0, np.where(x == -0.5, -1.0, 0.0))
    return np.where(np.isin(x, (-0.5, 0.0, 0.5, 1.0)), exact, np.sin(np.pi * x))


def cospi(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """R's ``cospi``: cos(pi x), exact where x is a multiple of 1/2."""
    x = np.fmod(np.abs(np.asarray(values, dtype=np.float64)), 2.0)
    exact = np.where(x == 0.0, 1.0, np.where(x == 1.0, -1.0, 0.0))
    return np.where(np.isin(x, (0.0, 0.5, 1.0, 1.5)), exact, np.cos(np.pi * x))


def tanpi(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """R's ``tanpi``: tan(pi x), not a number halfway between whole numbers."""
    x = np.fmod(np.asarray(values, dtype=np.float64), 1.0)
    x = np.where(x <= -0.5, x + 1.0, np.where(x > 0.5, x - 1.0, x))
    exact = np.select([x == 0.0, x == 0.25, x == -0.25], [0.0, 1.0, -1.0], np.nan)
    return np.where(np.isin(x, (-0.25, 0.0, 0.25, 0.5)), exact, np.tan(np.pi * x))
