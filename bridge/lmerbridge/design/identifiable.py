"""Whether the covariance parameters of random terms can be told apart.

The covariance matrix of the response is linear in the variances and covariances of the random
effects and in the residual variance: the sum over terms of Z_t Sigma_t Z_t', plus sigma^2 I. They
are determined by it if, and only if, the matrices that belong to them are linearly independent
(Rothenberg 1971, Econometrica 39, 577-591). Of a covariance structure it is the derivatives over
its parameters that count, at parameters of no special kind. The inner products of these matrices
are sums over the cells that two groupings form, so that nothing as large as the covariance matrix
is made.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from lmerbridge.design.blocks import RandomBlock
from lmerbridge.design.columns import Array
from lmerbridge.design.notes import Note
from lmerbridge.design.rows import TermRows
from lmerbridge.design.theta_layout import column_map

__all__ = ["check_identifiable"]

# of matrices (or columns) of length 1; differences of units leave some 1e-15
DEPENDENCE_TOLERANCE = 1e-11


# independent on some of the rows is independent on all of them
SAMPLE_ROWS = 50_000


def _scaled(gram: Array) -> Array:
    size = np.sqrt(np.diag(gram))
    size = np.where(size > 0, size, 1.0)
    return np.asarray(gram / np.outer(size, size))


def _dependent(gram: Array) -> bool:
    """Whether vectors with these inner products are linearly dependent."""
    if gram.shape == (2, 2) and gram[0, 0] > 0 and gram[1, 1] > 0:  # one less the correlation
        return (
            1 - abs(float(gram[0, 1])) / math.sqrt(gram[0, 0] * gram[1, 1]) < DEPENDENCE_TOLERANCE
        )
    return bool(np.linalg.eigvalsh(_scaled(gram))[0] < DEPENDENCE_TOLERANCE)


def _columns(block: RandomBlock, rows: slice) -> Array:
    """The term's columns; of an unstructured one centred and scaled, which is another
    parametrization of the same term.
    """
    columns = block.columns[rows]
    if columns.shape[1] == 1 or not block.structure.plain:
        return columns
    if len(columns) < len(block.columns):
        block = replace(block, rows=TermRows(columns, block.codes[rows]))
    return np.asarray(columns @ column_map(block))


def _columns_depend(block: RandomBlock, rows: slice) -> bool:
    columns = _columns(block, rows)
    if not columns.any(axis=0).all():
        return True
    # uncorrelated effects of dependent columns are another model than fewer effects
    plain = block.structure.plain
    return plain and columns.shape[1] > 1 and _dependent(columns.T @ columns)


def _slopes(block: RandomBlock) -> Array:
    """Derivatives of the covariance matrix of a level's effects, as multiples of the matrices
    z_j z_k' + z_k z_j', over the parameters (pairs, m).
    """
    structure, k = block.structure, len(block.names)
    first, second = _pairs(k)
    # standard deviations that differ and give each effect about the same size, one correlation
    size = np.sqrt(np.mean(block.columns[:SAMPLE_ROWS] ** 2, axis=0))
    par = np.full(structure.count(k), 0.3 if k > 2 else 0.4)
    unlike = (1 + 0.1 * np.arange(k)) / np.where(size > 0, size, 1.0)
    many = structure.deviations(k)
    if not structure.plain:
        par[:many] = unlike[:many]
    slopes = structure.covariance_slopes(structure.factor(par, k))
    return np.asarray(slopes * np.where(first == second, 0.5, 1.0)[:, None])


def _pairs(k: int) -> tuple[Array, Array]:
    first, second = np.array(list(itertools.combinations_with_replacement(range(k), 2))).T
    return first, second


def _products(one: tuple[Array, Array], two: tuple[Array, Array]) -> Array:
    """Inner products of the matrices z_j z_k' + z_k z_j' of two terms, (codes, columns) each."""
    (a, x), (b, z) = one, two
    cells = pd.factorize(a.astype(np.int64) * (int(b.max()) + 1) + b)[0]
    count = int(cells.max()) + 1
    sums = np.empty((count, x.shape[1], z.shape[1]))
    for left, right in itertools.product(range(x.shape[1]), range(z.shape[1])):
        sums[:, left, right] = np.bincount(cells, x[:, left] * z[:, right], minlength=count)
    j, k = (v[:, None] for v in _pairs(x.shape[1]))
    p, q = (v[None, :] for v in _pairs(z.shape[1]))
    straight = np.einsum("cpq,cpq->pq", sums[:, j, p], sums[:, k, q])
    crossed = np.einsum("cpq,cpq->pq", sums[:, j, q], sums[:, k, p])
    return np.asarray(2 * (straight + crossed))


def _inner_products(
    blocks: Sequence[RandomBlock], rows: slice, residual: bool
) -> tuple[Array, Array]:
    """Inner products of the matrices of all parameters, the residual's last if there is one; and
    their terms.
    """
    terms = [(block.codes[rows], _columns(block, rows)) for block in blocks]
    slopes = [_slopes(block) for block in blocks]
    owner = [t for t, own in enumerate(slopes) for _ in range(own.shape[1])]
    if residual:
        owner.append(len(blocks))
        slopes.append(np.ones((1, 1)))
        n = len(terms[0][0])
        terms.append((np.arange(n), np.full((n, 1), np.sqrt(0.5))))
    ends = np.cumsum([0, *(own.shape[1] for own in slopes)])
    gram = np.empty((ends[-1], ends[-1]))
    for s, t in itertools.combinations_with_replacement(range(len(terms)), 2):
        found = slopes[s].T @ _products(terms[s], terms[t]) @ slopes[t]
        gram[ends[s] : ends[s + 1], ends[t] : ends[t + 1]] = found
        gram[ends[t] : ends[t + 1], ends[s] : ends[s + 1]] = found.T
    return gram, np.array(owner)


def _entangled(gram: Array, owner: Array) -> list[list[int]]:
    """Sets of terms whose parameters depend on each other."""
    values, vectors = np.linalg.eigh(_scaled(gram))
    null = vectors[:, values < DEPENDENCE_TOLERANCE]
    linked = np.abs(null @ null.T) > 1e-6
    sets: list[set[int]] = []
    for p in range(len(owner)):
        mine = set(owner[linked[p]].tolist())
        if mine:
            touching = [s for s in sets if s & mine]
            sets = [s for s in sets if not s & mine] + [mine.union(*touching)]
    return [sorted(s) for s in sets]


def check_identifiable(blocks: Sequence[RandomBlock], residual: bool = True) -> list[Note]:
    """Say which covariance parameters the model cannot tell apart.

    Parameters
    ----------
    blocks : sequence of RandomBlock
    residual : bool
        Whether the model has a residual variance, which a term may be mixed up with.

    Returns
    -------
    list of Note
        A warning for each term whose columns depend on each other, and for each set of terms of
        which only sums are determined.
    """
    notes = []
    clean = []
    for block in blocks:
        if all(_columns_depend(block, rows) for rows in (slice(SAMPLE_ROWS), slice(None))):
            notes.append(
                Note(
                    "warning",
                    f"the columns of the random term ({block.text}) depend on each other "
                    f"({', '.join(block.names)}), so that their variances cannot be told apart: "
                    "leave one out",
                )
            )
        else:
            clean.append(block)
    if len(clean) < 2 and all(block.structure.plain for block in clean):
        return notes
    gram, owner = _inner_products(clean, slice(SAMPLE_ROWS), residual)
    if _dependent(gram) and len(clean[0].codes) > SAMPLE_ROWS:
        gram, owner = _inner_products(clean, slice(None), residual)
    if not _dependent(gram):
        return notes
    names = [*(block.structure.around(block.text) for block in clean), "the residual"]
    for together in _entangled(gram, owner):
        listed = [names[t] for t in together]
        if len(listed) == 1:
            notes.append(
                Note(
                    "warning",
                    f"the parameters of the random term {listed[0]} cannot be told apart: take a "
                    "structure that has fewer",
                )
            )
            continue
        notes.append(
            Note(
                "warning",
                f"the random terms {', '.join(listed[:-1])} and {listed[-1]} cannot be told apart: "
                "only sums of their variances are determined; leave one out",
            )
        )
    return notes
