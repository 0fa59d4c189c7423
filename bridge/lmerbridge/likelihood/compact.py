"""The criterion of a model with one grouping factor and at most two columns a level: value,
gradient, average information and Hessian by formulae that are written out, in one pass over the
levels.

With Sigma the covariance matrix of a level's effects relative to sigma^2, D a level's part of Z'Z,
U = (I + D Sigma)^-1, N = U D = Z'V^-1 Z and t = U Z'[Q r] = Z'V^-1 [Q r] (:mod:`elimination` has
the same), the matrix B = [Q r]'V^-1 [Q r] is [Q r]'[Q r] less the sum of t' Sigma (Z'[Q r]). For a
direction h = dSigma, dB = -t'ht and dN = -N h N, from which all derivatives follow. Of two by two
matrices the inverse is det^-1 adj: det(I + D Sigma) = 1 + tr(D Sigma) + |D||Sigma|, and
N det(I + D Sigma) = D + |D| adj(Sigma).

It says what :mod:`evaluate` says, for the models that most small data have, with a tenth of the
calls of numpy; a test holds the two equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.likelihood.crossproducts import CrossProducts
from lmerbridge.likelihood.evaluate import Evaluation

__all__ = ["Compact", "CompactSolution", "compact"]

# A start that the levels alone give has at least this variance, relative to the residual's, and
# this much of it not shared by the columns; what has less may be at a boundary.
INTERIOR_VARIANCE = 1e-2


def _is_interior(variance: float) -> bool:
    """Whether a variance relative to the residual's is far from 0, and not past all measure."""
    return INTERIOR_VARIANCE < variance < 1 / INTERIOR_VARIANCE**2


Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Compact:
    """Cross-products with the levels last, k = 1 or 2 columns a level, P = p + 1, m parameters.

    Attributes
    ----------
    D : array (rows, levels)
        For k = 1: ones, and d. For k = 2: ones, d11, d12, d22, |D|.
    Zr : array (P, k, levels)
    slopes : array (m, k, k)
        Derivatives of the root A of Sigma for the columns as they are here; A is linear in theta.
    bends : array (m, m, k * k)
        Second derivatives of Sigma.
    """

    D: Array
    Zr: Array
    slopes: Array
    bends: Array
    gram: Array
    n: int
    log_det_R: float
    log_weights: float

    def at(self, theta: Array, REML: bool) -> CompactSolution | None:
        """Solve at ``theta`` (m,); ``None`` where the criterion has no digits."""
        P, k, levels = self.Zr.shape
        p = P - 1
        A = (theta @ self.slopes.reshape(len(theta), -1)).reshape(k, k)
        Sigma = A @ A.T
        if k == 1:
            s = float(Sigma[0, 0])
            if not math.isfinite(s):
                return None
            parts = np.array(((1.0, s), (1.0, 0.0), (0.0, 1.0))) @ self.D
        else:
            s11, s12, s22 = float(Sigma[0, 0]), float(Sigma[0, 1]), float(Sigma[1, 1])
            a, b, c, d = A.ravel().tolist()
            det = (a * d - b * c) ** 2
            if not math.isfinite(s11 + s22 + det):
                return None
            parts = (
                np.array(
                    (
                        (1.0, s11, 2 * s12, s22, det),
                        (1.0, 0.0, s12, s22, 0.0),
                        (0.0, -s12, -s22, 0.0, 0.0),
                        (0.0, 0.0, -s11, -s12, 0.0),
                        (1.0, s11, s12, 0.0, 0.0),
                        (0.0, 1.0, 0.0, 0.0, s22),
                        (0.0, 0.0, 1.0, 0.0, -s12),
                        (0.0, 0.0, 1.0, 0.0, -s12),
                        (0.0, 0.0, 0.0, 1.0, s11),
                    )
                )
                @ self.D
            )
        q = parts[0]
        parts = parts[1:] / q
        U, N = parts[: k * k].reshape(k, k, levels), parts[k * k :]
        t = self.Zr[:, 0, None] * U[:, 0]
        if k == 2:
            t += self.Zr[:, 1, None] * U[:, 1]
        b_ = Sigma @ t
        explained = self.Zr.reshape(P, -1) @ b_.reshape(P, -1).T
        B = self.gram - 0.5 * (explained + explained.T)
        half, beta, log_det_X = np.empty((0, 0)), np.empty(0), self.log_det_R
        if p:
            root = _root_of_inverse(B[:p, :p])
            if root is None:
                return None
            half, log_det = root
            beta = half @ (half.T @ B[:p, p])
            log_det_X += log_det
        rss = float(B[p, p] - beta @ B[:p, p])
        log_det = float(np.log(q).sum())
        if not (rss > 0 and math.isfinite(log_det)):
            return None
        freedom = self.n - p if REML else self.n
        value = log_det - self.log_weights
        value += freedom * (1 + math.log(2 * math.pi * rss / freedom))
        value += log_det_X if REML else 0.0
        return CompactSolution(
            self, REML, A, Sigma, U, N, t, half, beta, rss, freedom, log_det, log_det_X, value
        )

    def start(self, REML: bool) -> Array | None:
        """A theta near the optimum (m,): the covariance matrix of the levels' own regressions, less
        what their errors add to it (the method of moments; Swamy 1970, Econometrica 38, 311-323).

        ``None`` where some level has too few rows for a regression of its own, or the matrix is
        none of a covariance.
        """
        return self.start_of(self.Zr[-1], float(self.gram[-1, -1]), REML)

    def start_of(self, z: Array, rr: float, REML: bool) -> Array | None:
        """The same for another response, of which ``z`` (k, levels) and ``rr`` are what the last of
        ``Zr`` and of ``gram`` are.
        """
        k, levels = z.shape
        spare = self.n - k * levels
        if spare <= 0 or levels < 3:
            return None
        if k == 1:
            if self.D[1].min() <= 0:
                return None
            inverse = 1 / self.D[1:2]
            b = inverse * z
        else:
            _, one, across, two, det = self.D
            if not (det > 1e-6 * one * two).all():
                return None
            inverse = np.array((two, -across, -across, one)) / det
            b = (inverse.reshape(2, 2, levels) * z).sum(axis=1)
        variance = (rr - float((z * b).sum())) / spare
        if not variance > 0:
            return None
        Sigma = (b @ b.T) / (variance * (levels - 1 if REML else levels))
        Sigma -= inverse.mean(axis=1).reshape(k, k)
        if k == 1:
            s = float(Sigma[0, 0])
            return np.array((math.sqrt(s),)) if _is_interior(s) else None
        s11, s12, s22 = float(Sigma[0, 0]), float(Sigma[1, 0]), float(Sigma[1, 1])
        if len(self.slopes) == 2:
            s12 = 0.0
        if not (_is_interior(s11) and _is_interior(s22)):
            return None
        if s11 * s22 - s12**2 < INTERIOR_VARIANCE * s11 * s22:
            return None
        first = math.sqrt(s11)
        last = math.sqrt(s22 - s12**2 / s11)
        if len(self.slopes) == 2:
            return np.array((first, last))
        return np.array((first, s12 / first, last))


class CompactSolution:
    """What belongs to one theta; derivatives are computed when they are asked for."""

    def __init__(
        self,
        c: Compact,
        REML: bool,
        A: Array,
        Sigma: Array,
        U: Array,
        N: Array,
        t: Array,
        half: Array,
        beta: Array,
        rss: float,
        freedom: int,
        log_det: float,
        log_det_X: float,
        criterion: float,
    ):
        self._c, self._REML = c, REML
        self._A, self.Sigma, self.U, self._N, self._t = A, Sigma, U, N, t
        self.half, self.beta, self.rss, self.freedom = half, beta, rss, freedom
        self.log_det, self.log_det_X, self.criterion = log_det, log_det_X, criterion

    @cached_property
    def residual(self) -> Array:
        """Z'V^-1 (r - Q beta) (k, levels)."""
        return np.asarray(self._orthogonal[-1])

    @cached_property
    def _orthogonal(self) -> Array:
        """Z'V^-1 [Q half, r - Q beta] (P, k, levels)."""
        t, p = self._t, len(self.beta)
        mixing = np.zeros((p + 1, p + 1))
        mixing[:p, :p] = self.half.T
        mixing[p, :p] = -self.beta
        mixing[p, p] = 1.0
        return np.asarray((mixing @ t.reshape(p + 1, -1)).reshape(t.shape))

    @cached_property
    def _along(self) -> Array:
        """Derivatives of Sigma (m, k, k)."""
        h = self._c.slopes @ self._A.T
        return np.asarray(h + h.swapaxes(1, 2))

    @cached_property
    def _squares(self) -> tuple[Array, Array]:
        """By pair of columns (k * k, levels): of Z'V^-1 (r - Q beta) f/r^2 times, and with it, for
        REML, those of the others.
        """
        t = self._orthogonal
        k, levels = t.shape[1:]
        last = t[-1] * math.sqrt(self.freedom / self.rss)
        squares = (last[:, None] * last).reshape(k * k, levels)
        if not self._REML or len(t) == 1:
            return squares, squares
        others = t[:-1]
        both = squares + (others[:, :, None] * others[:, None]).sum(axis=0).reshape(k * k, levels)
        return squares, both

    @cached_property
    def _inner(self) -> Array:
        """Z'PZ - f/r^2 t t', summed over levels (k * k,)."""
        return np.asarray(self._N.sum(axis=1) - self._squares[1].sum(axis=1))

    @cached_property
    def gradient(self) -> Array:
        """Over theta (m,)."""
        return np.asarray(self._along.reshape(len(self._along), -1) @ self._inner)

    @cached_property
    def _changes(self) -> Array:
        """The change of B along each direction, in the coordinates of :attr:`_orthogonal`
        (m, P, P), its sign left out.
        """
        t = self._orthogonal
        P, k, levels = t.shape
        flat = t.reshape(P * k, levels)
        sums = (flat @ flat.T).reshape(P, k, P, k).transpose(1, 3, 0, 2).reshape(k * k, P * P)
        return np.asarray((self._along.reshape(-1, k * k) @ sums).reshape(-1, P, P))

    def _bent(self, squares: Array) -> Array:
        """The sum over levels of tr(h_i N h_j T), T the squares (m, m)."""
        k = len(self.Sigma)
        h = self._along.reshape(len(self._along), -1)
        # sum of N_bc T_da for the pairs (a, b) of h_i and (c, d) of h_j
        sums = (self._N @ squares.T).reshape(k, k, k, k).transpose(3, 0, 1, 2)
        return np.asarray(h @ sums.reshape(k * k, k * k) @ h.T)

    @cached_property
    def information(self) -> Array:
        """Average information over theta (m, m)."""
        p, scale = len(self.beta), self.freedom / self.rss
        B = self._changes
        across, last = B[:, :p, p], B[:, p, p]
        found = self._bent(self._squares[0]) - scale * (across @ across.T)
        found -= (scale / self.rss) * np.outer(last, last)
        return 0.5 * (found + found.T)

    @cached_property
    def hessian(self) -> Array:
        """Over theta (m, m)."""
        p, scale = len(self.beta), self.freedom / self.rss
        B = self._changes
        weights = np.full((p + 1, p + 1), 1.0 if self._REML else 0.0)
        weights[p] = weights[:, p] = scale
        weights[p, p] = scale / self.rss
        flat = B.reshape(len(B), -1)
        found = 2 * self._bent(self._squares[1]) - self._bent(self._N)
        found -= (flat * weights.ravel()) @ flat.T
        found += self._c.bends @ self._inner
        return 0.5 * (found + found.T)

    def evaluation(self, c: CrossProducts, theta: Array) -> Evaluation:
        """All quantities at this theta, of the cross-products that this form is of."""
        k, levels = self._t.shape[1:]
        sigma = math.sqrt(self.rss / self.freedom)
        root = sigma * (c.inverse @ self.half)
        modes = (self.Sigma @ self.residual).T
        spread = (self.Sigma @ self.U.reshape(k, -1)).reshape(k, k, levels).transpose(2, 0, 1)
        return Evaluation(
            theta=theta,
            criterion=self.criterion,
            beta=c.b + c.inverse @ self.beta,
            vcov=root @ root.T,
            sigma=sigma,
            modes=[modes[:, term.within] @ M.T for term, M in zip(c.terms, c.maps, strict=True)],
            variances=[
                sigma**2 * (M @ spread[:, term.within, term.within] @ M.T)
                for term, M in zip(c.terms, c.maps, strict=True)
            ],
            log_det=self.log_det,
            log_det_X=self.log_det_X,
            rss=self.rss,
        )


def _root_of_inverse(B: Array) -> tuple[Array, float] | None:
    """The upper triangular T with B^-1 = T T' for a symmetric B (p, p), and log|B|; ``None`` where
    B is not positive definite. Of one or two columns a call of LAPACK's takes longer than the sums.
    """
    if len(B) > 2:
        try:
            L = np.linalg.cholesky(B)
        except np.linalg.LinAlgError:
            return None
        return np.asarray(np.linalg.inv(L.T), dtype=np.float64), 2 * float(
            np.log(L.diagonal()).sum()
        )
    first = float(B[0, 0])
    if not first > 0:
        return None
    one = math.sqrt(first)
    if len(B) == 1:
        return np.array(((1 / one,),)), math.log(first)
    across = float(B[1, 0]) / one
    left = float(B[1, 1]) - across**2
    if not left > 0:
        return None
    two = math.sqrt(left)
    return (
        np.array(((1 / one, -across / one / two), (0.0, 1 / two))),
        2 * (math.log(one) + math.log(two)),
    )


def compact(c: CrossProducts) -> Compact | None:
    """The cross-products in this form; ``None`` for a model of another kind."""
    factor = c.factors[0]
    k = factor.width
    if len(c.factors) > 1 or k > 2:
        return None
    slopes = []
    for term, inverse in zip(c.terms, c.inverse_maps, strict=True):
        for b in range(term.size):
            for a in range(b, term.size):
                slope = np.zeros((k, k))
                slope[term.within, term.offset + b] = inverse[:, a]
                slopes.append(slope)
    A: Array = np.array(slopes)
    bends = np.einsum("iac,jbc->ijab", A, A)
    bends = (bends + bends.swapaxes(2, 3)).reshape(len(A), len(A), k * k)
    D = np.empty((2 if k == 1 else 5, factor.levels))
    D[0] = 1.0
    D[1] = c.ZZ1[:, 0, 0]
    if k == 2:
        D[2], D[3] = c.ZZ1[:, 1, 0], c.ZZ1[:, 1, 1]
        D[4] = np.maximum(D[1] * D[3] - D[2] ** 2, 0.0)
    Zr = np.ascontiguousarray(c.Zr1.transpose(2, 1, 0))
    gram = 0.5 * (c.gram + c.gram.T)
    return Compact(D, Zr, A, bends, gram, c.n, c.log_det_R, c.log_weights)
