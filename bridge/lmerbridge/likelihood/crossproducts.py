"""Cross-products of a model frame: all that the profiled criterion needs of the rows.

The columns of Z are ordered by grouping factor, within it by level, within that by term. The
terms on the first factor (the one with most levels) have a block-diagonal cross-product and are
kept as a stack of small matrices; the other factors together are kept sparse. The fixed effects
are orthonormalized and the response replaced by its residual of the ordinary regression, so that
nothing large cancels: ``X = Q R``, ``y = X b + r``. For the same reason the columns of Z are
scaled and centred (``column_map``); theta and effects are the user's all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from lmerbridge.design import (
    ModelFrame,
    RandomBlock,
    chunks,
    gram_triangle,
    triangle,
)
from lmerbridge.equality import by_value
from lmerbridge.likelihood.coupling import Coupling, coupling
from lmerbridge.likelihood.layout import Array, Factor, Layout, Term, layout_of
from lmerbridge.likelihood.of_scipy import sparse

__all__ = ["Array", "CrossProducts", "cross_products", "diagonal_blocks"]


@by_value
@dataclass(frozen=True, eq=False)
class CrossProducts:
    """Cross-products, weighted by the prior weights.

    Attributes
    ----------
    layout : Layout
        Where the random effects lie; the response and the weights have no part in it.
    n, p : int
    ZZ1 : array (levels, width, width)
        Z1'Z1 by level of the first factor.
    ZZ12 : sparse (levels * width, q2), or None; ZZ2 : sparse (q2, q2), or None
        Z1'Z2 and Z2'Z2, Z2 the columns of the other factors, where there are some.
    Zr1 : array (levels, width, p + 1); Zr2 : array (q2, p + 1)
        Z'[Q r].
    gram : array (p + 1, p + 1)
        [Q r]'[Q r].
    R, inverse : array (p, p); b : array (p,)
        X = Q R, R^-1, and the coefficients of the ordinary regression.
    log_weights : float
        Sum of the logarithms of the prior weights.
    """

    layout: Layout
    n: int
    p: int
    ZZ1: Array
    ZZ12: sparse.csr_array | None
    ZZ2: sparse.csr_array | None
    Zr1: Array
    Zr2: Array
    gram: Array
    R: Array
    inverse: Array
    b: Array
    log_weights: float

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The grouping factors of the layout."""
        return self.layout.factors

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the layout."""
        return self.layout.terms

    @property
    def stages(self) -> int:
        """How many factors are eliminated level by level (:class:`Layout`)."""
        return self.layout.stages

    @property
    def maps(self) -> tuple[Array, ...]:
        """By term the map (k, k) from the scaled columns to the user's (:class:`Layout`)."""
        return self.layout.maps

    @property
    def inverse_maps(self) -> list[Array]:
        """The inverses (k, k) of ``maps``, by term."""
        return self.layout.inverse_maps

    @property
    def q2(self) -> int:
        """Random effects of the factors after the first."""
        return int(self.Zr2.shape[0])

    @cached_property
    def largest(self) -> int:
        """Rows of the largest square matrix that is factorized as one."""
        return max(self.p, sum(factor.columns for factor in self.factors[self.stages :]))

    @cached_property
    def coupling(self) -> Coupling | None:
        """ZZ12 in the storage that suits its density."""
        if self.ZZ12 is None:
            return None
        first = self.factors[0]
        return coupling(self.ZZ12, first.levels, first.width, dense=self.stages == 1)

    @cached_property
    def log_det_R(self) -> float:
        """log|R'R|."""
        return 2 * float(np.log(np.abs(np.diag(self.R))).sum())

    def in_own_units(self) -> CrossProducts:
        """Return a copy whose theta and random effects are in the units of the scaled and centred
        columns, in which the search works, and not in the user's.

        Structured terms keep the user's units: their structure is one of the user's columns.
        """
        return replace(self, layout=self.layout.in_own_units())

    def with_response(self, frame: ModelFrame, response: Array) -> CrossProducts:
        """Compute the cross-products of the same model with the response replaced.

        Parameters
        ----------
        frame : ModelFrame
            The frame that these cross-products were computed from.
        response : array (n,)
            In the order of the frame's rows.

        Returns
        -------
        CrossProducts
            Only the products with the response are new.
        """
        y, X, root = replace(frame.rows, y=response).weighted()
        Q = X @ self.inverse
        b = self.inverse @ (Q.T @ y)
        residual = y - X @ b
        gram = self.gram.copy()
        gram[:-1, -1] = gram[-1, :-1] = Q.T @ residual
        gram[-1, -1] = residual @ residual
        Zr1, Zr2 = self.Zr1.copy(), self.Zr2.copy()
        blocks = self.layout.blocks(frame)
        for factor, own, M in zip(self.factors, blocks, self.layout.scales, strict=True):
            columns = _columns(own, M, slice(None), root)
            sums = np.column_stack(
                [
                    np.bincount(own[0].codes, columns[:, i] * residual, factor.levels)
                    for i in range(factor.width)
                ]
            )
            if factor.start == 0:
                Zr1[:, :, -1] = sums
            else:
                start = factor.start - self.factors[0].columns
                Zr2[start : start + factor.columns, -1] = sums.ravel()
        return replace(self, gram=gram, b=b, Zr1=Zr1, Zr2=Zr2)

    def without(self, frame: ModelFrame, rows: Any) -> CrossProducts:
        """Those without some rows (indices) of the frame that these are of; a level that loses all
        its rows stays, with no part in the criterion.
        """
        y, X, root = frame.weighted(rows)
        right = np.column_stack([X @ self.inverse, y - X @ self.b])
        factors, scales = self.factors, self.layout.scales
        blocks = self.layout.blocks(frame)
        columns = [_columns(own, M, rows, root) for own, M in zip(blocks, scales, strict=True)]
        codes = blocks[0][0].codes[rows]
        ZZ1, Zr1 = self.ZZ1.copy(), self.Zr1.copy()
        np.subtract.at(ZZ1, codes, columns[0][:, :, None] * columns[0][:, None, :])
        np.subtract.at(Zr1, codes, columns[0][:, :, None] * right[:, None, :])
        ZZ12, ZZ2, Zr2 = self.ZZ12, self.ZZ2, self.Zr2
        if ZZ12 is not None and ZZ2 is not None:
            Z2 = sparse.csr_array(
                sparse.hstack(
                    [
                        _indicators(own_columns, own[0].codes[rows], factor)
                        for own_columns, own, factor in zip(
                            columns[1:], blocks[1:], factors[1:], strict=True
                        )
                    ],
                    format="csr",
                )
            )
            ZZ12 = sparse.csr_array(ZZ12 - _indicators(columns[0], codes, factors[0]).T @ Z2)
            ZZ2 = sparse.csr_array(ZZ2 - Z2.T @ Z2)
            Zr2 = Zr2 - Z2.T @ right
        return replace(
            self,
            n=self.n - len(y),
            ZZ1=ZZ1,
            Zr1=Zr1,
            ZZ12=ZZ12,
            ZZ2=ZZ2,
            Zr2=Zr2,
            gram=self.gram - right.T @ right,
            log_weights=self.log_weights - (0.0 if root is None else 2 * float(np.log(root).sum())),
        )

    def alone(self, index: int) -> CrossProducts:
        """The model with the terms on one factor only."""
        factor = self.factors[index]
        if index == 0:
            ZZ1, Zr1 = self.ZZ1, self.Zr1
        else:
            assert self.ZZ2 is not None
            start = factor.start - self.factors[0].columns
            where = slice(start, start + factor.columns)
            ZZ1 = diagonal_blocks(self.ZZ2[where, where], factor.levels, factor.width)
            Zr1 = self.Zr2[where].reshape(factor.levels, factor.width, -1)
        return replace(
            self,
            layout=self.layout.alone(index),
            ZZ1=ZZ1,
            ZZ12=None,
            ZZ2=None,
            Zr1=Zr1,
            Zr2=np.empty((0, self.p + 1)),
        )


def diagonal_blocks(matrix: sparse.csr_array, levels: int, width: int) -> Array:
    """The diagonal blocks (levels, width, width) of a sparse block-diagonal matrix."""
    entries = matrix.tocoo()
    blocks = np.zeros((levels, width, width))
    np.add.at(
        blocks, (entries.row // width, entries.row % width, entries.col % width), entries.data
    )
    return blocks


def _regression(frame: ModelFrame) -> tuple[Array, Array, Array]:
    """R, its inverse, and the coefficients of the ordinary regression.

    Of cross-products, where these have the digits: what R and the coefficients lack is then in the
    cross-products of Q and of the residuals, which are formed from the rows.
    """
    p = frame.X.shape[1]
    if not p:
        return np.empty((0, 0)), np.empty((0, 0)), np.empty(0)
    whole = None
    if frame.nobs > p:
        gram = np.zeros((p + 1, p + 1))
        for rows in chunks(frame.nobs):
            y, X, _ = frame.weighted(rows)
            gram[:p, :p] += X.T @ X
            gram[p, :p] += y @ X
            gram[p, p] += y @ y
        whole = gram_triangle(gram, p)
    if whole is None:
        parts = (frame.weighted(rows) for rows in chunks(frame.nobs))
        whole = triangle(np.column_stack([X, y]) for y, X, _ in parts)
    R = np.array(whole[:p, :p])
    inverse = np.asarray(np.linalg.inv(R))
    return R, inverse, inverse @ whole[:p, p]


def _columns(blocks: list[RandomBlock], M: Array, rows: Any, root: Array | None) -> Array:
    """A factor's columns, scaled and weighted."""
    parts = [block.columns[rows] for block in blocks]
    columns = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    if not np.array_equal(M, np.eye(len(M))):
        columns = columns @ M
    return columns if root is None else columns * root[:, None]


def _indicators(columns: Array, codes: Any, factor: Factor) -> sparse.csr_array:
    """Z of one factor, sparse."""
    n, k = columns.shape
    where = codes[:, None] * k + np.arange(k)[None, :]
    return sparse.csr_array(
        (columns.ravel(), where.ravel(), np.arange(0, n * k + 1, k)), shape=(n, factor.columns)
    )


def cross_products(frame: ModelFrame, known: Layout | None = None) -> CrossProducts:
    """Form the cross-products, in two passes over the rows, some at a time.

    Parameters
    ----------
    frame : ModelFrame
    known : Layout, optional
        That of a frame with the same X and random terms, whose response or weights were others;
        found from the frame if it is not given.
    """
    matrix = frame.X
    n, p = matrix.shape
    R, inverse, b = _regression(frame)
    places = layout_of(frame) if known is None else known
    blocks, scales = places.blocks(frame), places.scales
    first, rest = places.factors[0], places.factors[1:]
    q2 = sum(factor.columns for factor in rest)
    sums = _LevelSums(first, p)
    # the columns of X, where they are those of Z as well, need no sums of their own
    within = None
    if p and len(blocks[0]) == 1 and blocks[0][0].columns is matrix and not rest:
        within = np.linalg.solve(scales[0], inverse)
    gram = np.zeros((p + 1, p + 1))
    ZZ12 = ZZ2 = None
    if rest:
        ZZ12, ZZ2 = sparse.csr_array((first.columns, q2)), sparse.csr_array((q2, q2))
    Zr2 = np.zeros((q2, p + 1))
    for rows in chunks(n):
        y, X, root = frame.weighted(rows)
        codes = blocks[0][0].codes[rows]
        Z1 = _columns(blocks[0], scales[0], rows, root)
        ones = root is None and bool((Z1[:, 0] == 1).all())
        residual = y - X @ b
        if within is not None:
            sums.add(codes, Z1, ones, [residual])
            gram[p, p] += residual @ residual
            continue
        right = np.empty((p + 1, len(y))).T
        np.matmul(X, inverse, out=right[:, :p])
        right[:, p] = residual
        gram += right.T @ right
        sums.add(codes, Z1, ones, list(right.T))
        if ZZ12 is not None and ZZ2 is not None:
            Z2 = sparse.csr_array(
                sparse.hstack(
                    [
                        _indicators(_columns(own, M, rows, root), own[0].codes[rows], factor)
                        for own, M, factor in zip(blocks[1:], scales[1:], rest, strict=True)
                    ],
                    format="csr",
                )
            )
            ZZ12 = sparse.csr_array(ZZ12 + _indicators(Z1, codes, first).T @ Z2)
            ZZ2 = sparse.csr_array(ZZ2 + Z2.T @ Z2)
            Zr2 += Z2.T @ right
    ZZ1, Zr1 = sums.ZZ, sums.Zr
    if within is not None:
        Zr1[:, :, :p] = ZZ1 @ within
        gram[:p, :p] = within.T @ ZZ1.sum(axis=0) @ within
        gram[p, :p] = gram[:p, p] = within.T @ Zr1[:, :, p].sum(axis=0)
    return CrossProducts(
        layout=places,
        n=n,
        p=p,
        ZZ1=ZZ1,
        ZZ12=ZZ12,
        ZZ2=ZZ2,
        Zr1=Zr1,
        Zr2=Zr2,
        gram=gram,
        R=R,
        inverse=inverse,
        b=b,
        log_weights=0.0 if frame.weights is None else float(np.log(frame.weights).sum()),
    )


class _LevelSums:
    """Z1'Z1 (levels, k, k) and Z1'[Q r] (levels, k, p + 1), summed over rows."""

    def __init__(self, first: Factor, p: int):
        self._levels = first.levels
        self.ZZ = np.zeros((first.levels, first.width, first.width))
        self.Zr = np.zeros((first.levels, first.width, p + 1))

    def add(self, codes: Any, Z: Array, ones: bool, right: list[Array]) -> None:
        """Add rows; ``ones``: the first column is of ones; ``right``: the last columns of
        [Q r].
        """
        levels, ZZ, Zr = self._levels, self.ZZ, self.Zr
        start = Zr.shape[2] - len(right)
        columns = list(Z.T)
        for i, z in enumerate(columns):
            plain = ones and i == 0
            for j in range(i + 1):
                if plain:
                    ZZ[:, 0, 0] += np.bincount(codes, minlength=levels)
                    continue
                products = z if ones and j == 0 else z * columns[j]
                ZZ[:, i, j] += np.bincount(codes, products, levels)
                if i != j:
                    ZZ[:, j, i] = ZZ[:, i, j]
            for j, v in enumerate(right, start):
                Zr[:, i, j] += np.bincount(codes, v if plain else z * v, levels)
