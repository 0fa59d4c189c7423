"""Gauss-Hermite rules for integrals over a standard normal, in logs, and their products."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from lmerbridge.equality import by_value
from lmerbridge.likelihood.layout import Array

__all__ = ["Rule", "product_rule"]

NEWTON_STEPS = 2


@by_value
@dataclass(frozen=True, eq=False)
class Rule:
    """A product rule: the integral of exp(g(z)) over z is, about, (2 pi)^(width / 2) times the sum
    of exp(g(points) + log_factors).

    Attributes
    ----------
    points : array (K, width)
    log_factors : array (K,)
        log w + |z|^2 / 2, with weights w for the standard normal density, which sum to 1: the
        weights themselves underflow where there are many.
    """

    points: Array
    log_factors: Array


@functools.lru_cache(maxsize=64)
def product_rule(nodes: int, width: int) -> Rule:
    """Compute the product of Gauss-Hermite rules.

    The nodes are the roots of the Hermite polynomial, eigenvalues of a tridiagonal matrix (Golub &
    Welsch 1969) with two steps of Newton after it; with the Hermite function psi, that is the
    orthonormal polynomial times exp(-z^2 / 4), w exp(z^2 / 2) = 1 / (nodes psi_(nodes - 1)(z)^2)
    (Abramowitz & Stegun 1964, 25.4.46).

    Parameters
    ----------
    nodes : int
        A dimension; positive.
    width : int
        Dimensions.
    """
    z: Array = np.zeros(1)
    if nodes > 1:
        found = linalg.eigvalsh_tridiagonal(np.zeros(nodes), np.sqrt(np.arange(1.0, nodes)))
        z = np.asarray(found, dtype=np.float64)
    for _ in range(NEWTON_STEPS):
        before, last = _functions(z, nodes)
        z = z - last / (np.sqrt(nodes) * before)
        z = 0.5 * (z - z[::-1])  # it is symmetric, and the middle one is 0
    factors = -np.log(nodes) - 2 * np.log(np.abs(_functions(z, nodes)[0]))
    places = np.stack(np.meshgrid(*[np.arange(nodes)] * width, indexing="ij"), axis=-1)
    places = places.reshape(-1, width)
    return Rule(z[places], factors[places].sum(axis=1))


def _functions(z: Array, nodes: int) -> tuple[Array, Array]:
    """The Hermite functions of orders ``nodes - 1`` and ``nodes``."""
    before, last = np.zeros_like(z), np.exp(-0.25 * z * z)
    for k in range(nodes):
        before, last = last, (z * last - np.sqrt(k) * before) / np.sqrt(k + 1)
    return before, last
