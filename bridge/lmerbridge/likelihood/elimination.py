"""The random effects eliminated factor by factor, at one value of their covariance.

Everything is in terms of Sigma, the covariance matrix of a factor's effects relative to sigma^2,
so that nothing is divided by it and singular ones are no special case. For a factor with blocks D
(its part of Z'Z after the factors before it are eliminated) and coupling C to those after it,

- U = (I + D Sigma)^-1 and G = Sigma U, level by level; its share of log|M| is -log|U|;
- what remains of Z'Z for the others is F - C'GC, and of Z'v it is f - C'G d;
- going back, with t = Z'V^-1 v of the others and b = Sigma t, its own t is U (d - C b).

The last of the factors, or all of those in whose Schur complement levels are not separate, are
one dense matrix, F, with M = Lambda' F Lambda + I.

V is the covariance matrix of the response relative to sigma^2 and M = Lambda' Z'Z Lambda + I, so
|V| = |M| (Bates et al. 2015, section 3; the block elimination is that of Henderson's mixed model
equations, Pinheiro & Bates 2000, section 2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.likelihood.coupling import Coupling, block_diagonal, coupling
from lmerbridge.likelihood.crossproducts import CrossProducts, diagonal_blocks
from lmerbridge.likelihood.effect_rows import WeightedProducts
from lmerbridge.likelihood.layout import Factor, by_factor
from lmerbridge.likelihood.mirrored import mirrored
from lmerbridge.likelihood.of_scipy import linalg, sparse
from lmerbridge.likelihood.small_inverses import inverses, times

__all__ = ["Elimination", "Rest", "Stage", "eliminate"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Stage:
    """A factor eliminated level by level; arrays (levels, width, width), and C, ``None`` for the
    last.
    """

    Sigma: Array
    D: Array
    U: Array
    G: Array
    C: Coupling | None

    def conditional(self, E: Array | None) -> Array:
        """The conditional covariances (levels, width, width) of the factor's effects, from the
        blocks E of C H C' (:attr:`Elimination.inverse_blocks`).
        """
        return self.G if E is None else self.G + self.G @ E @ self.G


@by_value
@dataclass(frozen=True, eq=False)
class _Root:
    """Lambda of several factors, block-diagonal: ``blocks`` by factor, or its diagonal alone."""

    factors: tuple[Factor, ...]
    blocks: list[Array]
    scale: Array | None

    @classmethod
    def of(cls, factors: tuple[Factor, ...], blocks: list[Array]) -> _Root:
        scale = None
        if all(np.count_nonzero(b) == np.count_nonzero(np.diag(b)) for b in blocks):
            scale = np.concatenate(
                [np.tile(np.diag(b), f.levels) for f, b in zip(factors, blocks, strict=True)]
            )
        return cls(factors, blocks, scale)

    def times(self, right: Array, transposed: bool = False) -> Array:
        """Lambda right, or Lambda' right."""
        if self.scale is not None:
            return np.asarray(self.scale[:, None] * right)
        parts, start = [], 0
        for factor, block in zip(self.factors, self.blocks, strict=True):
            part = right[start : start + factor.columns].reshape(factor.levels, factor.width, -1)
            parts.append(((block.T if transposed else block) @ part).reshape(factor.columns, -1))
            start += factor.columns
        return np.concatenate(parts)

    def around(self, matrix: Array, transposed: bool = False) -> Array:
        """Lambda matrix Lambda', or Lambda' matrix Lambda, for a symmetric matrix."""
        if self.scale is not None:
            scaled = matrix * self.scale
            scaled *= self.scale[:, None]
            return np.asarray(scaled)
        return self.times(self.times(matrix, transposed).T, transposed)


@by_value
@dataclass(frozen=True, eq=False)
class Rest:
    """The factors that are one dense matrix (q, q): F, and the lower Cholesky factor of M."""

    Lambda: _Root
    F: Array
    L: Array

    @cached_property
    def inverse(self) -> Array:
        """M^-1."""
        lower, _ = linalg.lapack.dpotri(self.L, lower=1)
        # LAPACK's order is by columns; its transpose is the same matrix by rows
        return np.asarray(mirrored(lower).T)

    @cached_property
    def H(self) -> Array:
        """Lambda M^-1 Lambda'."""
        return self.Lambda.around(self.inverse)

    def through(self) -> list[Array]:
        """By factor, the sum over levels of the blocks of F Lambda M^-1 = Z'V^-1 Z Lambda.

        Not Lambda'^-1 (I - M^-1), which is the same and says nothing where Lambda is singular.
        """
        scale = self.Lambda.scale
        reach = self.inverse if scale is not None else self.Lambda.times(self.inverse)
        found, start = [], 0
        for factor in self.Lambda.factors:
            where = slice(start, start + factor.columns)
            start += factor.columns
            if scale is not None and factor.width == 1:  # F and M^-1 are symmetric
                value = np.einsum("ij,ij,j->", self.F[where], reach[where], scale)
                found.append(np.full((1, 1), value))
                continue
            shape = (factor.levels, factor.width, -1)
            left = self.F[where] if scale is None else self.F[where] * scale
            right = reach[:, where].T.reshape(shape)
            rows = [
                part.swapaxes(0, 1).reshape(factor.width, -1)
                for part in (left.reshape(shape), right)
            ]
            found.append(rows[0] @ rows[1].T)
        return found

    def solve(self, right: Array, rough: bool = False) -> tuple[Array, Array]:
        """Lambda M^-1 Lambda' right = b, and right' b; ``rough``: by the inverse, if that is
        known, which is faster and loses digits where M is ill-conditioned.
        """
        inner = self.Lambda.times(right, transposed=True)
        if rough and "inverse" in self.__dict__:
            solved = self.inverse @ inner
            return self.Lambda.times(solved), inner.T @ solved
        half = linalg.solve_triangular(self.L, inner, lower=True, check_finite=False)
        solved = linalg.solve_triangular(self.L, half, lower=True, trans="T", check_finite=False)
        return self.Lambda.times(solved), half.T @ half


@by_value
@dataclass(frozen=True, eq=False)
class Elimination:
    """All factors eliminated at one value of theta.

    ``log_det`` is log|M|.
    """

    stages: list[Stage]
    rest: Rest | None
    log_det: float

    def whiten(
        self, first: Array, others: Array, rough: bool = False
    ) -> tuple[list[Array], Array, Array]:
        """Z'V^-1 v from Z'v, and what b = Lambda M^-1 Lambda' Z'v = Sigma Z'V^-1 v explains.

        Parameters
        ----------
        first : array (levels, width, m)
            Z'v of the first factor.
        others : array (q2, m)
            Z'v of the others.
        rough : bool
            Whether a few digits less will do.

        Returns
        -------
        list of array (levels, width, m)
            Z'V^-1 v by factor eliminated level by level.
        array (q, m)
            Z'V^-1 v of the dense rest.
        array (m, m)
            v'Z b = v'Z Lambda M^-1 Lambda' Z'v, a sum of squares.
        """
        m = first.shape[-1]
        own, right = [first], others
        explained = np.zeros((m, m))
        for stage, following in zip(self.stages, [*self.stages[1:], None], strict=True):
            b = times(stage.G, own[-1]).reshape(-1, m)
            explained += own[-1].reshape(-1, m).T @ b
            if stage.C is not None:
                right = right - stage.C.transposed @ b
            if following is not None:
                count = following.D.shape[0] * following.D.shape[1]
                own.append(right[:count].reshape(*following.D.shape[:2], m))
                right = right[count:]
        b = np.empty((0, m))
        last = right
        if self.rest is not None:
            b, share = self.rest.solve(right, rough)
            explained += share
            last = right - self.rest.F @ b
        whitened: list[Array] = []
        for number in range(len(self.stages) - 1, -1, -1):
            stage, d = self.stages[number], own[number]
            if stage.C is not None:
                d = d - np.asarray(stage.C.matrix @ b).reshape(d.shape)
            t = times(stage.U, d)
            whitened.insert(0, t)
            if number:
                b = np.concatenate([(stage.Sigma @ t).reshape(-1, m), b])
        return whitened, last, explained

    @property
    def inverse_blocks(self) -> list[Array | None]:
        """By factor eliminated level by level, the blocks (levels, width, width) of C H C', H the
        conditional covariance of the factors after it; ``None`` where there are none.
        """
        return self._backwards[0]

    @property
    def following(self) -> Any:
        """The conditional covariance (q2, q2) of the effects of all factors after the first, dense
        or, where needed alone, sparse; ``None`` where there are none.
        """
        return self._backwards[1]

    @cached_property
    def _backwards(self) -> tuple[list[Array | None], Any]:
        found: list[Array | None] = []
        H: Any = None if self.rest is None else self.rest.H
        for number in range(len(self.stages) - 1, -1, -1):
            stage = self.stages[number]
            E = None if stage.C is None else stage.C.sandwich(H)
            found.insert(0, E)
            if number:
                H = _extended(stage, E, H)
        return found, H


def _extended(stage: Stage, E: Array | None, H: Any) -> sparse.csr_array:
    """The conditional covariance of this factor and those after it, where the factors before it
    need it: within its levels, and where C is not 0.
    """
    own = block_diagonal(stage.conditional(E))
    if stage.C is None:
        return sparse.csr_array(own)
    C = stage.C.matrix
    # every row of a level needs what any row of it touches
    pattern = abs(C).sign()
    width = stage.D.shape[1]
    if width > 1:
        pattern = block_diagonal(np.ones_like(stage.D)) @ pattern
    pattern = sparse.csr_array(pattern).sign()
    through = pattern.multiply(C @ H)
    across = sparse.csr_array(-(block_diagonal(stage.G) @ through))
    return sparse.csr_array(
        sparse.block_array([[own, across], [across.T, sparse.csr_array(H)]], format="csr")
    )


def _less(F: Any, product: Any) -> Any:
    """F less a product, which is overwritten where it is dense."""
    if not isinstance(product, np.ndarray) or isinstance(F, np.ndarray):
        return F - product
    F.sum_duplicates()
    entries = F.tocoo()
    np.negative(product, out=product)
    product[entries.row, entries.col] += entries.data
    return product


def _stage(D: Array, Lambda: Array, C: Coupling | None) -> tuple[Stage, float]:
    Sigma = Lambda @ Lambda.T
    inner = D @ Sigma
    diagonal = np.arange(len(Sigma))
    inner[:, diagonal, diagonal] += 1.0
    U, log_dets = inverses(inner)
    return Stage(Sigma, D, U, Sigma @ U, C), float(log_dets.sum())


def _rest(F: Array, factors: tuple[Factor, ...], blocks: list[Array]) -> tuple[Rest, float] | None:
    Lambda = _Root.of(factors, blocks)
    M = Lambda.around(F, transposed=True)
    diagonal = np.arange(len(M))
    M[diagonal, diagonal] += 1.0
    # the transpose is the same matrix in LAPACK's order
    L, failed = linalg.lapack.dpotrf(M.T, lower=1, clean=1, overwrite_a=1)
    if failed:
        return None
    return Rest(Lambda, F, L), 2 * float(np.log(np.diag(L)).sum())


def eliminate(c: CrossProducts | WeightedProducts, blocks: list[Array]) -> Elimination | None:
    """Eliminate the random effects; ``None`` where the arithmetic has no digits for it.

    Parameters
    ----------
    c : CrossProducts or WeightedProducts
        Of the model.
    blocks : list of array (k, k)
        Lambda's block by term, or any other root of Sigma's, for the columns as they are in c.
    """
    layout = c.layout
    factors = by_factor(layout.factors, layout.terms, blocks)
    D, C = c.ZZ1, c.coupling
    F: Any = c.ZZ2
    stages: list[Stage] = []
    log_det = 0.0
    for number in range(layout.stages):
        stage, share = _stage(D, factors[number], C)
        stages.append(stage)
        log_det += share
        if C is None:
            break
        F = _less(F, C.product(stage.G))
        if number + 1 < layout.stages:
            factor = layout.factors[number + 1]
            count = factor.columns
            F = sparse.csr_array(F)
            D = diagonal_blocks(F[:count, :count], factor.levels, factor.width)
            C = None
            if count < F.shape[0]:
                C = coupling(
                    sparse.csr_array(F[:count, count:]), factor.levels, factor.width, dense=False
                )
            F = F[count:, count:]
    rest = None
    if layout.stages < len(layout.factors):
        dense = F if isinstance(F, np.ndarray) else np.asarray(F.toarray())
        found = _rest(dense, layout.factors[layout.stages :], factors[layout.stages :])
        if found is None:
            return None
        rest, share = found
        log_det += share
    if not np.isfinite(log_det):
        return None
    return Elimination(stages, rest, log_det)
