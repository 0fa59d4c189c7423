"""Separation: a direction of the fixed effects in which the likelihood rises without end.

Where a linear combination of the columns of X is nowhere on the wrong side of the responses, its
coefficient has no finite estimate (Albert & Anderson 1984, Biometrika 71, 1-10). A linear programme
finds such a direction where there is one (Konis 2007, *Linear Programming Algorithms for Detecting
Separated Data in Binary Logistic Regression Models*, DPhil thesis, Oxford).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.likelihood.layout import Array

if TYPE_CHECKING:
    from lmerbridge.family import Family

__all__ = ["Separation", "separation"]

NO_DIRECTION = 1e-7  # of the largest coefficient: what the programme's own tolerance leaves
NAMED = 1e-3  # coefficients smaller than this part of the largest are not named


@by_value
@dataclass(frozen=True, eq=False)
class Separation:
    """A direction in which the likelihood rises without end.

    Attributes
    ----------
    direction : array (p,)
        Of the fixed effects, the largest of size 1.
    complete : bool
        Whether every row is on the right side, and none on the border.
    """

    direction: Array
    complete: bool

    def describe(self, names: Sequence[str]) -> str:
        """Say it in words, with the direction by the names of the fixed effects."""
        size = np.abs(self.direction)
        parts = [
            f"{value:+.3g} {name}"
            for name, value, large in zip(names, self.direction, size > NAMED, strict=True)
            if large
        ]
        kind = "complete" if self.complete else "quasi-complete"
        return (
            f"{kind} separation: the likelihood rises without end as the fixed effects move along "
            f"{', '.join(parts)}, which so have no finite estimate: leave a predictor out, join "
            "levels, or take a model with a penalty"
        )


def separation(X: Array, y: Array, weights: Array | None, family: Family) -> Separation | None:
    """Find a direction in which the likelihood of the fixed part rises without end.

    Parameters
    ----------
    X : array (n, p)
    y : array (n,)
        Of a binomial the proportions of successes.
    weights : array (n,), optional
        Rows of weight 0 have no part.
    family : Family
        Binomial with any link, or Poisson or negative binomial with the log link; of others none is
        known, and none is looked for.

    Returns
    -------
    Separation or None
        ``None`` where all estimates are finite.
    """
    counts = family.name == "poisson" or family.theta is not None
    if not X.shape[1] or not (family.name == "binomial" or (counts and family.link.name == "log")):
        return None
    if weights is not None:
        X, y = X[weights > 0], y[weights > 0]
    # a row of 0 counts, or of failures alone, may go down for ever, one of successes alone up
    sign = np.where(y == 0, -1.0, 0.0)
    if not counts:
        sign[y == 1] = 1.0
    size = np.abs(X).max(axis=0)
    rows = np.unique(np.column_stack([sign, X / np.where(size > 0, size, 1.0)]), axis=0)
    free, fixed = rows[:, 0] != 0, rows[:, 0] == 0
    oriented = rows[free, :1] * rows[free, 1:]
    if not len(oriented):
        return None
    found = None if fixed.any() else _widest(oriented)
    complete = found is not None
    if found is None:
        found = _direction(oriented, rows[fixed, 1:])
    if found is None:
        return None
    direction = found / np.where(size > 0, size, 1.0)
    return Separation(direction / np.abs(direction).max(), complete)


def _widest(oriented: Array) -> Array | None:
    """The d within [-1, 1]^p with the largest least of ``oriented @ d``; ``None`` if that is 0."""
    from scipy.optimize import linprog

    n, p = oriented.shape
    solved = linprog(
        np.append(np.zeros(p), -1.0),
        A_ub=np.column_stack([-oriented, np.ones(n)]),
        b_ub=np.zeros(n),
        bounds=[*[(-1, 1)] * p, (0, None)],
        method="highs",
    )
    if solved.x is None or solved.x[-1] <= NO_DIRECTION:
        return None
    return np.asarray(solved.x[:-1], dtype=np.float64)


def _direction(oriented: Array, fixed: Array) -> Array | None:
    """The d within [-1, 1]^p that maximizes the sum of ``oriented @ d``, none of which is negative,
    with ``fixed @ d = 0``; ``None`` where that sum is 0.
    """
    from scipy.optimize import linprog

    # what has to be 0 has to be so for as many rows as its rank
    equal = np.linalg.qr(fixed, mode="r") if len(fixed) > fixed.shape[1] else fixed
    solved = linprog(
        -oriented.sum(axis=0),
        A_ub=-oriented,
        b_ub=np.zeros(len(oriented)),
        A_eq=equal if len(equal) else None,
        b_eq=np.zeros(len(equal)) if len(equal) else None,
        bounds=(-1, 1),
        method="highs",
    )
    if solved.x is None:
        return None
    found = np.asarray(solved.x, dtype=np.float64)
    return found if (oriented @ found).sum() > NO_DIRECTION * len(oriented) else None
