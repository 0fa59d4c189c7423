"""The profiled criterion of a linear mixed model at a given theta, its derivatives, and the
quantities that belong to it.

With V = I + Z Sigma Z' the covariance matrix of the response relative to sigma^2, P = V^-1 -
V^-1 X (X'V^-1 X)^-1 X'V^-1, r^2 = y'P y and f = n - p (REML; n and log|X'V^-1 X| left out for ML),
the criterion is log|V| + log|X'V^-1 X| + f (1 + log(2 pi r^2 / f)) (Bates et al. 2015, equations
35 and 42). With t = Z'P y and dSigma the derivative of Sigma by a parameter,

- its derivative is tr(dSigma (Z'P Z - f/r^2 t t'));
- its Hessian, where second derivatives of Sigma are 0, is 2 f/r^2 h'Z'P Z h - f/r^4 (h't)(h't)' -
  tr(dSigma Z'P Z dSigma Z'P Z) with h = dSigma t, and
- its average information (Gilmour, Thompson & Cullis 1995, Biometrics 51, 1440-1450), which is the
  Hessian with tr(P dV P dV) replaced by its expectation, is f/r^2 h'Z'P Z h - f/r^4 (h't)(h't)'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.blas_threads import one_thread_below
from lmerbridge.design import templates, upper_triangle
from lmerbridge.equality import by_value
from lmerbridge.likelihood.crossed_traces import squared_norms
from lmerbridge.likelihood.crossproducts import CrossProducts
from lmerbridge.likelihood.elimination import Elimination, eliminate
from lmerbridge.likelihood.layout import Layout
from lmerbridge.likelihood.of_scipy import linalg

__all__ = [
    "Derivatives",
    "Evaluation",
    "FixedDerivatives",
    "criteria_of_regressions",
    "criterion",
    "criterion_without_effects",
    "derivatives",
    "determinant_parts",
    "directions",
    "evaluate",
    "fixed_derivatives",
    "fixed_effects",
    "rest_by_factor",
    "sequential_effects",
    "spreads",
    "unprofiled",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything at one theta, in the user's units.

    Attributes
    ----------
    criterion : float
        REML criterion or deviance.
    beta : array (p,); vcov : array (p, p)
        Estimates given theta, and (X' V^-1 X)^-1 with sigma as estimated.
    sigma : float
    modes : list of array (levels, k)
        Conditional modes of b by term.
    variances : list of array (levels, k, k)
        Their conditional covariance matrices given theta and beta.
    log_det, log_det_X, rss : float
        The parts of the criterion: log|V|, log|X' V^-1 X|, r^2.
    """

    theta: Array
    criterion: float
    beta: Array
    vcov: Array
    sigma: float
    modes: list[Array]
    variances: list[Array]
    log_det: float
    log_det_X: float
    rss: float

    def in_units(self, theta: Array, maps: list[Array]) -> Evaluation:
        """The same for other columns of Z, of which those here are the ones times the maps (by
        term), and theta for these.
        """
        pairs = list(zip(maps, self.modes, self.variances, strict=True))
        return replace(
            self,
            theta=theta,
            modes=[modes @ M.T for M, modes, _ in pairs],
            variances=[M @ variances @ M.T for M, _, variances in pairs],
        )


@by_value
@dataclass(frozen=True, eq=False)
class _Solution:
    """Generalized least squares at one theta.

    ``blocks`` are Lambda's by term, in the user's units, and ``inverses`` those of ``c.maps``,
    which bring them to the scaled columns; all else is of these. ``beta`` and ``half`` are in the
    units of Q: (Q'V^-1 Q)^-1 = half half'. ``whitened`` is Z'V^-1 [Q, r - Q beta] by factor.
    """

    blocks: list[Array]
    inverses: list[Array]
    elimination: Elimination
    beta: Array
    half: Array
    whitened: list[Array]
    log_det_X: float
    rss: float
    freedom: int
    criterion: float


def rest_by_factor(layout: Layout, whole: Array) -> list[Array]:
    """Rows of the dense rest by factor: (levels, width, m) each."""
    rest = layout.factors[layout.stages :]
    start = rest[0].start if rest else 0
    return [
        whole[f.start - start : f.start - start + f.columns].reshape(f.levels, f.width, -1)
        for f in rest
    ]


def _solve(c: CrossProducts, theta: Array, REML: bool) -> _Solution | None:
    with one_thread_below(c.largest):
        return _solved(c, theta, REML)


def _solved(c: CrossProducts, theta: Array, REML: bool) -> _Solution | None:
    """``None`` where the criterion has no digits."""
    theta = np.asarray(theta, dtype=np.float64)
    if not np.all(np.isfinite(theta)):
        return None
    blocks = templates(theta, [term.size for term in c.terms])
    inverses = c.inverse_maps
    elimination = eliminate(c, [M @ block for M, block in zip(inverses, blocks, strict=True)])
    if elimination is None:
        return None
    own, last, explained = elimination.whiten(c.Zr1, c.Zr2)
    whitened = [*own, *rest_by_factor(c.layout, last)]
    p = c.p
    gram = c.gram - explained
    inner = 0.5 * (gram[:p, :p] + gram[:p, :p].T)
    half, beta, log_det_X = np.empty((0, 0)), np.empty(0), c.log_det_R
    if p:
        try:
            L = np.linalg.cholesky(inner)
        except np.linalg.LinAlgError:
            return None
        half = linalg.lapack.dtrtri(L, lower=1)[0].T
        beta = half @ (half.T @ gram[:p, p])
        log_det_X += 2 * float(np.log(np.diag(L)).sum())
    rss = float(gram[p, p] - beta @ gram[:p, p])
    if not rss > 0:
        return None
    mixing = np.eye(p + 1)
    mixing[:p, p] = -beta
    freedom = c.n - p if REML else c.n
    value = elimination.log_det - c.log_weights
    value += freedom * (1 + math.log(2 * math.pi * rss / freedom))
    return _Solution(
        blocks,
        inverses,
        elimination,
        beta,
        half,
        [t @ mixing for t in whitened],
        log_det_X,
        rss,
        freedom,
        value + (log_det_X if REML else 0.0),
    )


def criterion(c: CrossProducts, theta: Array, REML: bool) -> float:
    """REML criterion or deviance at ``theta``, sigma and beta profiled out; infinite where it
    cannot be computed.
    """
    s = _solve(c, theta, REML)
    return math.inf if s is None else s.criterion


def criterion_without_effects(c: CrossProducts, REML: bool) -> float:
    """REML criterion or deviance of the ordinary regression, where theta is 0."""
    freedom, rss = c.n - c.p if REML else c.n, float(c.gram[-1, -1])
    if not rss > 0:
        return math.inf
    value = freedom * (1 + math.log(2 * math.pi * rss / freedom)) - c.log_weights
    return value + c.log_det_R if REML else value


def criteria_of_regressions(c: CrossProducts, REML: bool, rss: Array) -> Array:
    """The same for other responses, of their residual sums of squares (B,); infinite where that is
    0.
    """
    freedom = c.n - c.p if REML else c.n
    known = np.where(rss > 0, rss, np.nan)
    value = freedom * (1 + np.log(2 * math.pi * known / freedom)) - c.log_weights
    if REML:
        value = value + c.log_det_R
    return np.where(np.isfinite(value), value, np.inf)


def _summed(V: Array) -> Array:
    """Sum over levels of v v', for V (levels, k, m)."""
    flat = V.transpose(1, 0, 2).reshape(V.shape[1], -1)
    return np.asarray(flat @ flat.T)


def determinant_parts(
    layout: Layout, elimination: Elimination, blocks: list[Array], inverses: list[Array]
) -> list[Array]:
    """By term, the sum over levels of the blocks of Z'V^-1 Z, times Lambda (k, k).

    Parameters
    ----------
    layout : Layout
    elimination : Elimination
        Of the scaled columns.
    blocks, inverses : list of array (k, k)
        By term Lambda's block in the user's units, and the inverse of the map from the scaled
        columns, of which Z is, to the user's.
    """
    parts: list[Array] = []
    couplings = elimination.inverse_blocks
    sums = []
    for stage, E in zip(elimination.stages, couplings, strict=True):
        D, U = stage.D, stage.U
        if D.shape[-1] == 1:
            total = float(np.sum(U * D) if E is None else np.sum(U * (D - U * E)))
            sums.append(np.full((1, 1), total))
        else:
            Q = U @ D
            if E is not None:
                Q = Q - U @ E @ np.swapaxes(U, 1, 2)
            sums.append(Q.sum(axis=0))
    rest = elimination.rest
    through = [] if rest is None else rest.through()
    for term, block, inverse in zip(layout.terms, blocks, inverses, strict=True):
        within = term.within
        if term.factor < layout.stages:
            parts.append(sums[term.factor][within, within] @ inverse @ block)
        else:
            parts.append(through[term.factor - layout.stages][within, within])
    return parts


def directions(
    layout: Layout, scores: Sequence[Array], blocks: list[Array], inverses: list[Array]
) -> list[Array]:
    """By factor, h = dSigma t for each parameter: (levels, width, m).

    Parameters
    ----------
    layout : Layout
    scores : sequence of array (levels, width)
        t by factor.
    blocks, inverses : list of array (k, k)
        As of :func:`determinant_parts`.
    """
    m = sum(term.size * (term.size + 1) // 2 for term in layout.terms)
    found = [np.zeros((f.levels, f.width, m)) for f in layout.factors]
    column = 0
    for term, block, inverse in zip(layout.terms, blocks, inverses, strict=True):
        t = scores[term.factor][:, term.within] @ inverse
        u = t @ block
        h = found[term.factor]
        for b in range(term.size):
            along = inverse @ block[:, b]
            for a in range(b, term.size):
                h[:, term.within, column] += u[:, b, None] * inverse[:, a] + t[:, a, None] * along
                column += 1
    return found


def _reach(c: CrossProducts, s: _Solution, h: list[Array]) -> list[Array]:
    """Z'V^-1 Z h by factor, of h by factor: (levels, width, m) each; a few digits less than all."""
    m = h[0].shape[-1]
    first = c.ZZ1 * h[0] if c.ZZ1.shape[-1] == 1 else c.ZZ1 @ h[0]
    others = np.empty((0, m))
    if c.ZZ12 is not None and c.ZZ2 is not None:
        stacked = np.concatenate([part.reshape(-1, m) for part in h[1:]])
        first = first + (c.ZZ12 @ stacked).reshape(first.shape)
        others = c.ZZ12.T @ h[0].reshape(-1, m) + c.ZZ2 @ stacked
    own, last, _ = s.elimination.whiten(first, others, rough=True)
    return [*own, *rest_by_factor(c.layout, last)]


def _information(c: CrossProducts, s: _Solution) -> tuple[Array, Array]:
    """Average information over theta (m, m), and minus the derivatives of r^2 (m,)."""
    h = directions(c.layout, [t[:, :, c.p] for t in s.whitened], s.blocks, s.inverses)
    m, p = h[0].shape[-1], c.p
    information = np.zeros((m, m))
    across = np.zeros((p, m))
    along = np.zeros(m)
    for part, V, W in zip(h, _reach(c, s, h), s.whitened, strict=True):
        flat = part.reshape(-1, m)
        information += flat.T @ V.reshape(-1, m)
        both = W.reshape(-1, p + 1).T @ flat
        across += both[:p]
        along += both[p]
    reduced = s.half.T @ across
    information -= reduced.T @ reduced
    scale = s.freedom / s.rss
    information = scale * information - (scale / s.rss) * np.outer(along, along)
    return np.asarray(0.5 * (information + information.T)), along


def _hessian(c: CrossProducts, s: _Solution, REML: bool, gradient: Array) -> Array:
    """The Hessian over theta, where :func:`has_crossed_traces` is so: twice the average
    information, less tr(dSigma Z'P Z dSigma Z'P Z), and what the second derivatives of Sigma add.
    """
    norms = squared_norms(s.elimination)
    if REML and c.p:  # of P, not of V^-1
        roots = [W[:, :, : c.p] @ s.half for W in s.whitened]
        spread = [
            np.concatenate([root if i == j else 0 * root for i in range(len(roots))], axis=2)
            for j, root in enumerate(roots)
        ]
        grams = [root[:, 0].T @ root[:, 0] for root in roots]
        for i, (root, reach) in enumerate(zip(roots, _reach(c, s, spread), strict=True)):
            each = np.sum(np.tile(root, len(roots)) * reach, axis=(0, 1))
            norms[i] += [np.sum(grams[i] * gram) for gram in grams]
            norms[i] -= 2 * each.reshape(len(roots), c.p).sum(axis=1)
    information, along = _information(c, s)
    factors = [term.factor for term in c.terms]
    theta = np.array([float(block[0, 0]) for block in s.blocks])
    slopes = 2 * theta * np.array([float(back[0, 0]) ** 2 for back in s.inverses])
    found = 2 * information + s.freedom / s.rss**2 * np.outer(along, along)
    found -= np.outer(slopes, slopes) * norms[factors][:, factors]
    found[np.diag_indices_from(found)] += gradient / theta
    return np.asarray(0.5 * (found + found.T))


def _gradient(c: CrossProducts, s: _Solution, REML: bool, precision: float) -> Array:
    """The gradient over theta where the residual sum of squares counts ``precision`` times."""
    p = c.p
    parts = []
    for term, block, back, part in zip(
        c.terms,
        s.blocks,
        s.inverses,
        determinant_parts(c.layout, s.elimination, s.blocks, s.inverses),
        strict=True,
    ):
        W = s.whitened[term.factor][:, term.within]
        inner = precision * _summed(W[:, :, p:])
        if REML and p:
            inner += _summed(W[:, :, :p] @ s.half)
        parts.append((2 * back.T @ (part - inner @ back @ block)).T[upper_triangle(term.size)])
    return np.concatenate(parts)


class Derivatives:
    """The criterion at a theta, with its gradient (m,) and average information (m, m), which are
    computed when they are asked for.

    ``criterion`` is infinite, and the others 0, where it cannot be computed.
    """

    def __init__(self, c: CrossProducts, theta: Array, REML: bool):
        self._c, self._theta, self._REML, self._size = c, theta, REML, len(theta)
        self._solution = _solve(c, theta, REML)
        self.criterion = math.inf if self._solution is None else self._solution.criterion

    @cached_property
    def gradient(self) -> Array:
        """Derivatives (m,) of the criterion over theta."""
        c, s = self._c, self._solution
        if s is None:
            return np.zeros(self._size)
        with one_thread_below(c.largest):
            return _gradient(c, s, self._REML, s.freedom / s.rss)

    @cached_property
    def information(self) -> Array:
        """The average information (m, m) of theta, on the scale of the criterion."""
        if self._solution is None:
            return np.zeros((self._size, self._size))
        with one_thread_below(self._c.largest):
            return _information(self._c, self._solution)[0]

    @cached_property
    def hessian(self) -> Array:
        """The Hessian (m, m), of a layout that :func:`has_crossed_traces`; of numbers that are none
        where the criterion cannot be computed.
        """
        if self._solution is None:
            return np.full((self._size, self._size), np.nan)
        gradient = self.gradient
        with one_thread_below(self._c.largest):
            return _hessian(self._c, self._solution, self._REML, gradient)

    def evaluation(self) -> Evaluation | None:
        """All quantities at this theta, of the same factorization."""
        s = self._solution
        if s is None:
            return None
        with one_thread_below(self._c.largest):
            return _evaluation(self._c, s, self._theta)


def derivatives(c: CrossProducts, theta: Array, REML: bool) -> Derivatives:
    """The criterion, its gradient and its average information at ``theta``."""
    return Derivatives(c, np.asarray(theta, dtype=np.float64), REML)


@by_value
@dataclass(frozen=True, eq=False)
class FixedDerivatives:
    """(X'V^-1 X)^-1 (p, p), V relative to sigma^2, its derivatives over theta (m, p, p), and the
    residual sum of squares r^2.
    """

    unscaled: Array
    over_theta: Array
    rss: float


def fixed_derivatives(c: CrossProducts, theta: Array, REML: bool) -> FixedDerivatives | None:
    """How the covariance matrix of the fixed effects depends on theta, exactly: the derivative of
    A^-1, A = X'V^-1 X, is A^-1 X'V^-1 Z dSigma Z'V^-1 X A^-1.
    """
    s = _solve(c, np.asarray(theta, dtype=np.float64), REML)
    if s is None:
        return None
    p = c.p
    root = c.inverse @ s.half
    derivatives = []
    for term, block, back in zip(c.terms, s.blocks, s.inverses, strict=True):
        W = s.whitened[term.factor][:, term.within, :p] @ s.half
        # sums over levels of w_a w_b' for each pair of columns, in the user's units
        pairs = np.einsum("xa,yb,lxp,lyq->abpq", back, back, W, W, optimize=True)
        for b in range(term.size):
            along = np.einsum("k,akpq->apq", block[:, b], pairs)
            derivatives += [along[a] + along[a].T for a in range(b, term.size)]
    return FixedDerivatives(
        root @ root.T, np.array([root @ d @ root.T for d in derivatives]), s.rss
    )


def spreads(layout: Layout, elimination: Elimination) -> list[Array]:
    """By factor, the conditional covariances of b relative to sigma^2: (levels, width, width)."""
    spread = []
    for stage, E in zip(elimination.stages, elimination.inverse_blocks, strict=True):
        spread.append(stage.conditional(E))
    if elimination.rest is not None:
        H = elimination.rest.H
        rest = layout.factors[layout.stages :]
        for f in rest:
            where = slice(f.start - rest[0].start, f.start - rest[0].start + f.columns)
            corner = H[where, where].reshape(f.levels, f.width, f.levels, f.width)
            spread.append(np.moveaxis(np.diagonal(corner, axis1=0, axis2=2), -1, 0))
    return spread


def evaluate(c: CrossProducts, theta: Array, REML: bool) -> Evaluation | None:
    """All quantities at ``theta``; ``None`` where they cannot be computed."""
    return derivatives(c, theta, REML).evaluation()


def _evaluation(c: CrossProducts, s: _Solution, theta: Array) -> Evaluation:
    p = c.p
    sigma = math.sqrt(s.rss / s.freedom)
    root = sigma * (c.inverse @ s.half)
    spread = spreads(c.layout, s.elimination)

    modes, variances = [], []
    for term, M, block, back in zip(c.terms, c.maps, s.blocks, s.inverses, strict=True):
        t = s.whitened[term.factor][:, term.within, p] @ back
        modes.append((t @ block) @ block.T)
        own = spread[term.factor][:, term.within, term.within]
        variances.append(sigma**2 * (M @ own @ M.T))

    return Evaluation(
        theta=np.asarray(theta, dtype=np.float64),
        criterion=s.criterion,
        beta=c.b + c.inverse @ s.beta,
        vcov=root @ root.T,
        sigma=sigma,
        modes=modes,
        variances=variances,
        log_det=s.elimination.log_det,
        log_det_X=s.log_det_X,
        rss=s.rss,
    )


def fixed_effects(c: CrossProducts, theta: Array, REML: bool) -> Array | None:
    """Compute beta (p,) at ``theta``, in the user's units; ``None`` where it cannot be computed."""
    s = _solve(c, np.asarray(theta, dtype=np.float64), REML)
    if s is None:
        return None
    return np.asarray(c.b + (linalg.solve_triangular(c.R, s.beta) if c.p else s.beta))


def sequential_effects(c: CrossProducts, theta: Array, REML: bool) -> Array | None:
    """RX beta (p,), RX'RX = X'V^-1 X by Cholesky: the squares of a term's are what it adds to the
    fit after the terms before it (Bates et al. 2015, J. Stat. Softw. 67(1), section 3). ``None``
    where it cannot be computed.

    RX is the product of two triangles, that of X and that of Q'V^-1 Q: no digits are lost where
    the columns of X are nearly collinear.
    """
    s = _solve(c, np.asarray(theta, dtype=np.float64), REML)
    if s is None:
        return None
    if not c.p:
        return np.empty(0)
    return np.asarray(linalg.solve_triangular(s.half, c.R @ c.b + s.beta))


def unprofiled(
    c: CrossProducts, theta: Array, sigma: float, REML: bool
) -> tuple[float, Array] | None:
    """The criterion in which sigma is free, log|V| + log|X'V^-1 X| + f log(2 pi sigma^2) +
    r^2 / sigma^2 (the second term and ``f = n - p`` for REML), and its gradient (m + 1,) over theta
    and sigma; ``None`` where it cannot be computed.
    """
    s = _solve(c, np.asarray(theta, dtype=np.float64), REML)
    if s is None:
        return None
    value = s.elimination.log_det - c.log_weights + (s.log_det_X if REML else 0.0)
    value += s.freedom * math.log(2 * math.pi * sigma**2) + s.rss / sigma**2
    last = 2 * s.freedom / sigma - 2 * s.rss / sigma**3
    return value, np.append(_gradient(c, s, REML, 1 / sigma**2), last)
