"""Conditional modes higher than those that Newton's steps have come to.

Where the log density of a row is concave in the linear predictor there is one mode. With other
links a level can have two, as with the square root, which takes eta and -eta for the same.
Laplace's approximation is at the highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lmerbridge.family import Family
    from lmerbridge.likelihood.effect_rows import EffectRows
    from lmerbridge.likelihood.layout import Array, IntArray

__all__ = ["HIGHER", "higher_start"]

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


def _is_concave(family: Family) -> bool:
    name = "negative.binomial" if family.theta is not None else family.name
    return family.link.name in CONCAVE.get(name, ())


def higher_start(
    family: Family,
    response: tuple[Array, Array],
    effects: EffectRows,
    Lambda: Sequence[Array],
    u: Sequence[Array],
    eta: Array,
) -> list[Array] | None:
    """Look for where to start towards higher modes, effect by effect along a grid, all others held.

    Parameters
    ----------
    family : Family
    response : pair of array (n,)
        The response and its prior weights.
    effects : EffectRows
    Lambda : list of array (width, width)
        By factor, for the columns of ``effects``.
    u, eta : list of array (levels, width), array (n,)
        Spherical modes by factor, and the linear predictors there.

    Returns
    -------
    list of array (levels, width) or None
        Spherical effects by factor at which the penalized log-likelihood is higher; ``None`` if
        there are none, or cannot be any.
    """
    if _is_concave(family):
        return None
    found, moved = [own.copy() for own in u], False
    for codes, columns, L, own in zip(effects.codes, effects.columns, Lambda, found, strict=True):
        for k, column in enumerate((columns @ L).T):
            here = own[:, k].copy()
            of = family, response, eta, codes, column, here
            before, by_place = _heights(*of, here), np.array([_heights(*of, z) for z in PLACES])
            better = by_place.max(axis=0) > before + HIGHER
            if better.any():
                own[:, k] = np.where(better, PLACES[by_place.argmax(axis=0)], here)
                eta = eta + (own[:, k] - here)[codes] * column
                moved = True
    return found if moved else None


def _heights(
    family: Family,
    response: tuple[Array, Array],
    eta: Array,
    codes: IntArray,
    column: Array,
    here: Array,
    place: Array | float,
) -> Array:
    """The penalized log-likelihood of each level (levels,), up to what is free of its effect, which
    is ``here`` at ``eta`` and moves to ``place``.
    """
    y, prior = response
    with np.errstate(all="ignore"):
        value = family.value(y, eta + (place - here)[codes] * column, prior)
        total = np.bincount(codes, value, len(here)) - 0.5 * np.square(place)
    return np.where(np.isfinite(total), total, -np.inf)
