"""What rows z of random effects, old or new, have in H: the conditional covariance of b given beta,
relative to sigma^2. H of several factors is not made unless there are many more rows than effects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmerbridge.design import templates
from lmerbridge.equality import by_value
from lmerbridge.errors import UnsupportedModelError
from lmerbridge.likelihood.crossproducts import CrossProducts
from lmerbridge.likelihood.dense_effects import MAX_DENSE_EFFECTS, whole
from lmerbridge.likelihood.elimination import Elimination, eliminate
from lmerbridge.likelihood.layout import Array, IntArray

__all__ = ["RowProducts", "row_products"]

# Rows solved for at once, at most, and numbers of 8 bytes that they may take.
BATCH_ROWS = 192
BATCH_NUMBERS = 20_000_000
# From this many times as many rows as effects, H itself costs less than solving for each row.
ROWS_PER_EFFECT = 3


@by_value
@dataclass(frozen=True, eq=False)
class RowProducts:
    """Products of n rows z (q,), columns scaled.

    Attributes
    ----------
    conditional : array (n,)
        z H z'.
    across : array (n, p)
        z H Z'Q.
    fixed : array (p, p)
        Q'Q - Q'Z H Z'Q = Q'V^-1 Q.
    """

    conditional: Array
    across: Array
    fixed: Array


def row_products(
    c: CrossProducts, theta: Array, places: IntArray, values: Array, what: str
) -> RowProducts:
    """Compute the products of rows that have few elements.

    Parameters
    ----------
    c : CrossProducts
        Of the model.
    theta : array (m,)
    places : array of int (n, T)
        Per row the random effects that it has a part of.
    values : array (n, T)
        What it has of them, in the scaled columns; 0 where it has none.
    what : str
        What they are needed for, to say so where they cannot be had.

    Raises
    ------
    UnsupportedModelError
        The arithmetic has no digits for this theta.
    """
    q = sum(factor.columns for factor in c.factors)
    many = len(places) > ROWS_PER_EFFECT * q and q <= MAX_DENSE_EFFECTS
    # of one factor H is a block a level, which costs less than any row
    if many or len(c.factors) == 1:
        return _from_blocks(c, theta, places, values, what)
    blocks = templates(theta, [term.size for term in c.terms])
    elimination = eliminate(c, [M @ b for M, b in zip(c.inverse_maps, blocks, strict=True)])
    if elimination is None:
        raise UnsupportedModelError(f"{what} cannot be computed in the digits that there are")
    return _by_solving(c, elimination, places, values, q)


def _from_blocks(
    c: CrossProducts, theta: Array, places: IntArray, values: Array, what: str
) -> RowProducts:
    w = whole(c, theta, what)
    width = w.Sigma.shape[0]
    ZQ = w.ZQ[:, :, : c.p]
    HZQ = w.H @ ZQ
    fixed = c.gram[: c.p, : c.p] - np.einsum("bwp,bwq->pq", ZQ, HZQ)
    H, HZQ = w.H, HZQ.reshape(HZQ.shape[0] * width, c.p)
    conditional, across = np.zeros(len(places)), np.zeros((len(places), c.p))
    block, inner = places // width, places % width
    for a in range(places.shape[1]):
        across += values[:, a, None] * HZQ[places[:, a]]
        for b in range(a + 1):
            # effects of two levels of one factor meet in no block but one that holds all
            share = H[block[:, a], inner[:, a], inner[:, b]] * values[:, a] * values[:, b]
            conditional += np.where(block[:, a] == block[:, b], share, 0.0) * (1 if a == b else 2)
    return RowProducts(conditional, across, 0.5 * (fixed + fixed.T))


def _by_solving(
    c: CrossProducts, elimination: Elimination, places: IntArray, values: Array, q: int
) -> RowProducts:
    """Both products are parts of v'Hv, v = [Z'Q, z'], which the elimination has as a sum of
    squares.
    """
    n, p = len(places), c.p
    first = c.factors[0]
    batch = max(1, min(BATCH_ROWS, BATCH_NUMBERS // q))
    ZQ = np.concatenate([c.Zr1[:, :, :p].reshape(first.columns, p), c.Zr2[:, :p]])
    conditional, across = np.empty(n), np.empty((n, p))
    fixed = np.zeros((p, p))
    for start in range(0, max(n, 1), batch):
        part = slice(start, min(start + batch, n))
        m = part.stop - part.start
        v = np.zeros((q, p + m))
        v[:, :p] = ZQ
        rows = np.arange(p, p + m)
        for a in range(places.shape[1]):
            np.add.at(v, (places[part, a], rows), values[part, a])
        _, _, explained = elimination.whiten(
            v[: first.columns].reshape(first.levels, first.width, p + m), v[first.columns :]
        )
        conditional[part] = np.diagonal(explained)[p:]
        across[part] = explained[p:, :p]
        fixed = c.gram[:p, :p] - explained[:p, :p]
    return RowProducts(conditional, across, 0.5 * (fixed + fixed.T))
