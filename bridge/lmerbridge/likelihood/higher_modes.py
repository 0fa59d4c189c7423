"""Conditional modes higher than those that Newton's steps have come to.

Where the log density of a row is concave in the linear predictor there is one mode. With other
links a level can have two, as with the square root, which takes eta and -eta for the same.
Laplace's approximation is at the highest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lmerbridge.likelihood.laplace import LaplacePoint
    from lmerbridge.likelihood.layout import Array, IntArray

__all__ = ["higher_start"]

# where to look, in standard deviations of an effect
PLACES = np.linspace(-4.0, 4.0, 33)
HIGHER = 1e-6  # of the penalized log-likelihood
# with these the log density is concave in the linear predictor, or the family's canonical link
CONCAVE = {
    "binomial": {"logit", "probit", "cloglog", "log"},
    "poisson": {"log", "identity"},
    "Gamma": {"inverse", "log"},
    "inverse.gaussian": {"1/mu^2", "inverse"},
    "gaussian": {"identity"},
    "negative.binomial": {"log"},
}


def _is_concave(point: LaplacePoint) -> bool:
    family = point.problem.family
    name = "negative.binomial" if family.theta is not None else family.name
    return family.link.name in CONCAVE.get(name, ())


def higher_start(point: LaplacePoint) -> list[Array] | None:
    """Look for where to start towards higher modes, effect by effect along a grid, all others held.

    Parameters
    ----------
    point : LaplacePoint
        At its modes.

    Returns
    -------
    list of array (levels, width) or None
        Spherical effects by factor at which the penalized log-likelihood is higher; ``None`` if
        there are none, or cannot be any.
    """
    if _is_concave(point):
        return None
    problem = point.problem
    u, eta = [own.copy() for own in point.u], point.eta
    moved = False
    for f, factor in enumerate(problem.layout.factors):
        codes = problem.effects.codes[f]
        columns = problem.effects.columns[f] @ point.Lambda.factors[f]
        for k in range(factor.width):
            own = u[f][:, k]
            heights = [_heights(point, eta, codes, columns[:, k], own, own)]
            heights += [_heights(point, eta, codes, columns[:, k], own, z) for z in PLACES]
            best = np.argmax(heights, axis=0)
            places = np.vstack([own, np.repeat(PLACES[:, None], len(own), axis=1)])
            new = places[best, np.arange(len(own))]
            better = np.max(heights, axis=0) > heights[0] + HIGHER
            if better.any():
                new = np.where(better, new, own)
                eta = eta + (new - own)[codes] * columns[:, k]
                u[f][:, k], moved = new, True
    return u if moved else None


def _heights(
    point: LaplacePoint,
    eta: Array,
    codes: IntArray,
    column: Array,
    own: Array,
    place: Array | float,
) -> Array:
    """The penalized log-likelihood of each level (levels,), up to what is free of its effect, which
    is ``own`` at ``eta`` and moves to ``place``.
    """
    problem, levels = point.problem, len(own)
    with np.errstate(all="ignore"):
        value = problem.family.value(problem.y, eta + (place - own)[codes] * column, problem.prior)
        found = np.bincount(codes, value, levels) - 0.5 * np.square(place)
    return np.asarray(np.where(np.isfinite(found), found, -np.inf))
