"""A start for intercepts of several grouping factors from the models with one factor each.

Alone in a model, a factor takes what the others share with it: all of a factor that it is nested
in, nothing of one that it is crossed with, whose variance then goes to the residual. With M_ij the
probability that two rows of one level of factor i have one level of factor j, and s the variances
relative to the residual's, factor i alone has about

    r_i = (sum_j M_ij s_j) / (1 + sum_j (1 - M_ij) s_j),

which is linear in s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from lmerbridge.likelihood.crossproducts import Array, CrossProducts

__all__ = ["together"]


def _places(c: CrossProducts) -> list[slice]:
    offset = c.factors[0].columns
    return [slice(f.start - offset, f.start - offset + f.columns) for f in c.factors[1:]]


def _shared(c: CrossProducts) -> Array:
    """M (factors, factors)."""
    assert c.ZZ12 is not None
    assert c.ZZ2 is not None
    count = len(c.factors)
    own: list[Any] = [c.ZZ1[:, 0, 0], *(c.ZZ2.diagonal()[place] for place in _places(c))]
    n = float(own[0].sum())
    pairs = np.zeros((count, count))
    for j, place in enumerate(_places(c), 1):
        pairs[0, j] = pairs[j, 0] = float(np.sum(c.ZZ12[:, place].data ** 2))
        for i, other in enumerate(_places(c)[: j - 1], 1):
            pairs[i, j] = pairs[j, i] = float(np.sum(c.ZZ2[other, place].data ** 2))
    same = np.array([float(np.sum(levels**2)) for levels in own])
    found = np.clip((pairs - n) / np.maximum(same - n, 1e-9)[:, None], 0.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def together(c: CrossProducts, alone: Array) -> Array | None:
    """Compute a first theta of all factors at once (factors,).

    Parameters
    ----------
    c : CrossProducts
    alone : array (factors,)
        Theta of each factor in the model with that factor alone.

    Returns
    -------
    array or None
        ``None`` where a term is no intercept, or where the equations have no positive solution.
    """
    intercepts = len(c.terms) == len(c.factors) and all(
        term.size == 1 and term.structure.plain and float(M[0, 0]) == 1.0
        for term, M in zip(c.terms, c.maps, strict=True)
    )
    if not intercepts or c.log_weights:
        return None
    M = _shared(c)
    r = np.empty(len(alone))
    r[[term.factor for term in c.terms]] = alone**2
    try:
        s = np.linalg.solve(M - r[:, None] * (1 - M), r)
    except np.linalg.LinAlgError:
        return None
    # what is less than a tenth of what it is alone is no more than the error of these equations
    if not (np.isfinite(s).all() and (s > 0.1 * np.minimum(r, 1.0)).all() and (s < 1e4).all()):
        return None
    return np.asarray(np.sqrt(s)[[term.factor for term in c.terms]])
