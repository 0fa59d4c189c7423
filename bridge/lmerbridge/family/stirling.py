"""What Stirling's formula leaves of the log-gamma function, without cancellation.

With c(x) = log Gamma(x) - (x - 1/2) log x + x - log(2 pi) / 2, differences of log-gamma functions
of large arguments (a negative binomial near a Poisson, a gamma density of a large shape) are
computed from parts that are small themselves (Abramowitz & Stegun 1964, 6.1.41 and 6.3.18; the idea
is that of Loader 2000, "Fast and accurate computation of binomial probabilities").
"""

from __future__ import annotations

import numpy as np
from scipy import special

from lmerbridge.family.links import Array

__all__ = ["log1p_less", "remainder", "remainder_curvature", "remainder_slope"]

# from here on, the series below are exact to the last digit
LARGE = 20.0
# B_2k / (2k (2k - 1)), the factor of x^(1 - 2k), for k = 1, 2, ...
FACTORS = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
SMALL = 0.02


def _series(x: Array, factors: tuple[float, ...], first: int) -> Array:
    """The sum of factors[k] / x^(first + 2k)."""
    inverse = 1 / (x * x)
    total = np.full_like(x, factors[-1])
    for factor in factors[-2::-1]:
        total = total * inverse + factor
    return total / x**first


def remainder(x: Array) -> Array:
    """Return c(x) for positive x (n,)."""
    large = np.maximum(x, LARGE)
    exact = np.minimum(x, LARGE)
    direct = special.gammaln(exact) - (exact - 0.5) * np.log(exact) + exact
    return np.where(x < LARGE, direct - 0.5 * np.log(2 * np.pi), _series(large, FACTORS, 1))


def remainder_slope(x: Array) -> Array:
    """Return c'(x) = digamma(x) - log x + 1/(2x) for positive x (n,)."""
    large = np.maximum(x, LARGE)
    exact = np.minimum(x, LARGE)
    direct = special.digamma(exact) - np.log(exact) + 0.5 / exact
    factors = tuple(-(2 * k + 1) * f for k, f in enumerate(FACTORS))
    return np.where(x < LARGE, direct, _series(large, factors, 2))


def remainder_curvature(x: Array) -> Array:
    """Return c''(x) = trigamma(x) - 1/x - 1/(2x^2) for positive x (n,)."""
    large = np.maximum(x, LARGE)
    exact = np.minimum(x, LARGE)
    direct = special.polygamma(1, exact) - 1 / exact - 0.5 / exact**2
    factors = tuple((2 * k + 1) * (2 * k + 2) * f for k, f in enumerate(FACTORS))
    return np.where(x < LARGE, direct, _series(large, factors, 3))


def log1p_less(z: Array) -> Array:
    """Return log(1 + z) - z for z > -1, precise for small z."""
    near = np.clip(z, -SMALL, SMALL)
    total = np.full_like(near, 1 / 12)
    for k in range(11, 1, -1):  # sum of (-1)^(k+1) z^k / k, k = 2, ..., 12
        total = 1 / k - near * total
    return np.where(np.abs(z) < SMALL, -near * near * total, np.log1p(z) - z)
