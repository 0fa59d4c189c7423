"""Cross-products of a model frame: all that the profiled criterion needs of the rows.

The terms on the first factor (the one with most levels) have a block-diagonal cross-product and
are kept as a stack of small matrices; the other terms together are kept sparse. The fixed
effects are orthonormalized and the response replaced by its residual of the ordinary regression,
so that nothing large cancels: ``X = Q R``, ``y = X b + r``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from lmerbridge.design import ModelFrame, term_matrix

__all__ = ["Array", "CrossProducts", "Term", "cross_products"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Term:
    """Where a random-effects term's columns are.

    ``first``: whether among the first factor's; ``start``: its first column there, within a
    level for the first factor, in the whole of the rest otherwise.
    """

    size: int
    levels: int
    first: bool
    start: int

    @property
    def where(self) -> slice:
        """Its columns."""
        return slice(self.start, self.start + self.size * (1 if self.first else self.levels))


@dataclass(frozen=True)
class CrossProducts:
    """Cross-products, weighted by the prior weights.

    Attributes
    ----------
    n, p : int
    terms : tuple of Term
        In the model frame's order.
    levels, width : int
        Levels of the first factor, and columns per level of all its terms.
    ZZ1 : array (levels, width, width)
        Z1'Z1 by level.
    ZZ12 : sparse (levels * width, q2)
        Z1'Z2.
    ZZ2 : sparse (q2, q2)
        Z2'Z2.
    Zr1 : array (levels, width, p + 1); Zr2 : array (q2, p + 1)
        Z'[Q r].
    rr : float
        Squared length of r.
    R : array (p, p); b : array (p,)
        X = Q R, and the coefficients of the ordinary regression.
    log_weights : float
        Sum of the logarithms of the prior weights.
    """

    n: int
    p: int
    terms: tuple[Term, ...]
    levels: int
    width: int
    ZZ1: Array
    ZZ12: sparse.csr_array
    ZZ2: sparse.csr_array
    Zr1: Array
    Zr2: Array
    rr: float
    R: Array
    b: Array
    log_weights: float

    @property
    def q2(self) -> int:
        return int(self.Zr2.shape[0])

    def rescaled(self, maps: list[Array]) -> CrossProducts:
        """The same model with the columns of term t replaced by ``columns @ maps[t]``."""
        M1 = np.zeros((self.width, self.width))
        parts = []
        for term, M in zip(self.terms, maps, strict=True):
            if term.first:
                M1[term.where, term.where] = M
            else:
                parts.append(sparse.kron(sparse.eye_array(term.levels), M, format="csr"))
        changed = replace(self, ZZ1=M1.T @ self.ZZ1 @ M1, Zr1=M1.T @ self.Zr1)
        if not self.q2:
            return changed
        M2 = sparse.csr_array(sparse.block_diag(parts, format="csr"))
        big = sparse.kron(sparse.eye_array(self.levels), M1, format="csr")
        return replace(
            changed,
            ZZ12=sparse.csr_array(big.T @ self.ZZ12 @ M2),
            ZZ2=sparse.csr_array(M2.T @ self.ZZ2 @ M2),
            Zr2=np.asarray(M2.T @ self.Zr2),
        )


def _by_level(codes: Any, levels: int, values: Array) -> Array:
    return np.asarray(np.bincount(codes, weights=values, minlength=levels), dtype=np.float64)


def cross_products(frame: ModelFrame) -> CrossProducts:
    """Form the cross-products; the only pass over the rows."""
    y, X, root = frame.weighted()
    n, p = X.shape
    Q, R = np.linalg.qr(X)
    fitted = Q.T @ y
    residual = y - Q @ fitted
    right = np.column_stack([Q, residual])

    factor = frame.random[0].group
    first = [block for block in frame.random if block.group == factor]
    rest = [block for block in frame.random if block.group != factor]
    terms, starts = [], {True: 0, False: 0}
    for block in frame.random:
        own = block.group == factor
        size, count = len(block.names), len(block.levels)
        terms.append(Term(size, count, own, starts[own]))
        starts[own] += size if own else size * count
    codes, levels = first[0].codes, len(first[0].levels)
    Z1 = np.concatenate([block.columns for block in first], axis=1)
    if root is not None:
        Z1 = Z1 * root[:, None]
    width = Z1.shape[1]
    ZZ1 = np.empty((levels, width, width))
    Zr1 = np.empty((levels, width, p + 1))
    for i in range(width):
        for j in range(i + 1):
            ZZ1[:, i, j] = ZZ1[:, j, i] = _by_level(codes, levels, Z1[:, i] * Z1[:, j])
        for j in range(p + 1):
            Zr1[:, i, j] = _by_level(codes, levels, Z1[:, i] * right[:, j])
    if rest:
        Z2 = sparse.csr_array(sparse.hstack([term_matrix(b, root) for b in rest], format="csr"))
        columns = codes[:, None] * width + np.arange(width)[None, :]
        whole = sparse.csr_array(
            (Z1.ravel(), columns.ravel(), np.arange(0, n * width + 1, width)),
            shape=(n, levels * width),
        )
        ZZ12, ZZ2 = sparse.csr_array(whole.T @ Z2), sparse.csr_array(Z2.T @ Z2)
        Zr2 = np.asarray(Z2.T @ right)
    else:
        ZZ12, ZZ2 = sparse.csr_array((levels * width, 0)), sparse.csr_array((0, 0))
        Zr2 = np.empty((0, p + 1))
    return CrossProducts(
        n=n,
        p=p,
        terms=tuple(terms),
        levels=levels,
        width=width,
        ZZ1=ZZ1,
        ZZ12=ZZ12,
        ZZ2=ZZ2,
        Zr1=Zr1,
        Zr2=Zr2,
        rr=float(residual @ residual),
        R=R,
        b=np.linalg.solve(R, fitted) if p else np.empty(0),
        log_weights=0.0 if frame.weights is None else float(np.log(frame.weights).sum()),
    )
