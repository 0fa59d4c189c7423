"""The profiled criterion of a linear mixed model at a given theta, its gradient, and the
quantities that belong to it.

Bates, Maechler, Bolker & Walker (2015), J. Stat. Softw. 67(1), sections 3 and 4: penalized least
squares in the spherical random effects u, b = Lambda u, with M = Lambda' Z'Z Lambda + I. The
first factor's part of M is block-diagonal and eliminated level by level; what is left of the
other factors is one dense matrix S. The gradient follows from

- d log|M| = 2 tr(M^-1 Lambda' Z'Z dLambda), and Z'Z Lambda M^-1 = Lambda'^-1 (I - M^-1);
- d r^2 = -2 e' Z dLambda u, since r^2 is a minimum over beta and u (e the residual);
- d log|X' V^-1 X| = -2 tr((X' V^-1 X)^-1 W' dLambda Lambda' W), W = Z' V^-1 X.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from lmerbridge.design import templates
from lmerbridge.likelihood.crossproducts import Array, CrossProducts

__all__ = ["Evaluation", "Factorization", "criterion", "evaluate", "factorize", "gradient"]

# For the gradient where a diagonal element of Lambda is 0: the limit is taken from here.
_NEAR_ZERO = 1e-7


@dataclass(frozen=True)
class Factorization:
    """Penalized least squares solved at one theta.

    Attributes
    ----------
    templates : list of array (k, k)
        Each term's block of Lambda.
    L1 : array (levels, width, width)
        Cholesky factors of the first factor's blocks of M.
    T : sparse (levels * width, q2)
        L1^-1 times the off-diagonal part of M.
    S : array (q2, q2)
        Lower Cholesky factor of the Schur complement.
    c1 : array (levels, width, p + 1); c2 : array (q2, p + 1)
        The triangular solutions for [Q r].
    RX : array (p, p)
        Lower Cholesky factor of Q' V^-1 Q.
    cy : array (p,)
        The solution for r against RX.
    log_det : float
        log|M|.
    rss : float
        Penalized residual sum of squares r^2.
    """

    theta: Array
    templates: list[Array]
    Lambda1: Array
    Lambda2: sparse.csr_array | None
    L1: Array
    T: sparse.csr_array | None
    S: Array | None
    c1: Array
    c2: Array
    RX: Array
    cy: Array
    log_det: float
    rss: float


@dataclass(frozen=True)
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
        The parts of the criterion: log|M|, log|X' V^-1 X|, r^2.
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


def _sizes(c: CrossProducts) -> list[int]:
    return [term.size for term in c.terms]


def factorize(c: CrossProducts, theta: Array) -> Factorization | None:
    """Solve the penalized least squares problem at ``theta``; ``None`` where it has no digits."""
    if not np.all(np.isfinite(theta)):
        return None
    blocks = templates(np.asarray(theta, dtype=np.float64), _sizes(c))
    Lambda1 = np.zeros((c.width, c.width))
    parts = []
    for term, block in zip(c.terms, blocks, strict=True):
        if term.first:
            Lambda1[term.where, term.where] = block
        else:
            parts.append(sparse.kron(sparse.eye_array(term.levels), block, format="csr"))
    M1 = Lambda1.T @ c.ZZ1 @ Lambda1
    M1[:, np.arange(c.width), np.arange(c.width)] += 1.0
    try:
        L1: Array = np.asarray(np.linalg.cholesky(M1), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    c1 = _solve_lower(L1, Lambda1.T @ c.Zr1)
    log_det = 2 * float(np.log(np.diagonal(L1, axis1=1, axis2=2)).sum())
    flat = c1.reshape(-1, c.p + 1)
    gram = flat.T @ flat
    Lambda2 = T = S = None
    c2 = np.empty((0, c.p + 1))
    if c.q2:
        Lambda2 = sparse.csr_array(sparse.block_diag(parts, format="csr"))
        left = _block_diagonal(_solve_lower(L1, np.broadcast_to(Lambda1.T, L1.shape)))
        T = sparse.csr_array(left @ (c.ZZ12 @ Lambda2))
        schur = (Lambda2.T @ c.ZZ2 @ Lambda2 - T.T @ T).toarray()
        schur[np.arange(c.q2), np.arange(c.q2)] += 1.0
        try:
            S = linalg.cholesky(schur, lower=True, overwrite_a=True, check_finite=False)
        except linalg.LinAlgError:
            return None
        c2 = linalg.solve_triangular(
            S, Lambda2.T @ c.Zr2 - T.T @ flat, lower=True, check_finite=False
        )
        log_det += 2 * float(np.log(np.diag(S)).sum())
        gram = gram + c2.T @ c2
    p = c.p
    inner = np.eye(p) - gram[:p, :p]
    try:
        RX: Array = np.asarray(np.linalg.cholesky(inner), dtype=np.float64) if p else inner
    except np.linalg.LinAlgError:
        return None
    cy = linalg.solve_triangular(RX, -gram[:p, p], lower=True) if p else np.empty(0)
    rss = c.rr - float(gram[p, p]) - float(cy @ cy)
    if not rss > 0 or not math.isfinite(log_det):
        return None
    return Factorization(
        np.asarray(theta), blocks, Lambda1, Lambda2, L1, T, S, c1, c2, RX, cy, log_det, rss
    )


def _solve_lower(L: Array, right: Array) -> Array:
    """Stacked triangular solves L^-1 right."""
    if L.shape[-1] == 1:
        return np.asarray(right / L)
    return np.asarray(np.linalg.solve(L, right), dtype=np.float64)


def _block_diagonal(blocks: Array) -> sparse.bsr_array:
    count, k, _ = blocks.shape
    return sparse.bsr_array(
        (blocks, np.arange(count), np.arange(count + 1)), shape=(count * k, count * k)
    )


def _log_det_X(c: CrossProducts, f: Factorization) -> float:
    """log|X' V^-1 X|, V with sigma 1."""
    return 2 * float(np.log(np.diag(f.RX)).sum() + np.log(np.abs(np.diag(c.R))).sum())


def _criterion(c: CrossProducts, f: Factorization, REML: bool) -> float:
    freedom = c.n - c.p if REML else c.n
    value = f.log_det - c.log_weights
    value += freedom * (1 + math.log(2 * math.pi * f.rss / freedom))
    return value + (_log_det_X(c, f) if REML else 0.0)


def criterion(c: CrossProducts, theta: Array, REML: bool) -> float:
    """REML criterion or deviance at ``theta``, sigma and beta profiled out (Bates et al. 2015,
    equations 35 and 42); infinite where it cannot be computed.
    """
    f = factorize(c, theta)
    return math.inf if f is None else _criterion(c, f, REML)


def _back(c: CrossProducts, f: Factorization, right1: Array, right2: Array) -> tuple[Array, Array]:
    """Solve the transposed triangular system: M^-1 from its triangular solutions."""
    columns = right1.shape[-1]
    if f.S is None:
        return _solve_upper(f.L1, right1), np.empty((0, columns))
    u2 = linalg.solve_triangular(f.S, right2, lower=True, trans="T", check_finite=False)
    assert f.T is not None
    rest = right1.reshape(-1, columns) - f.T @ u2
    return _solve_upper(f.L1, rest.reshape(right1.shape)), u2


def _solve_upper(L: Array, right: Array) -> Array:
    if L.shape[-1] == 1:
        return np.asarray(right / L)
    return np.asarray(np.linalg.solve(np.swapaxes(L, 1, 2), right), dtype=np.float64)


def _solution(c: CrossProducts, f: Factorization) -> tuple[Array, Array, Array]:
    """Coefficients of Q, and u for each of [Q, r - Q beta], by factor: (levels, width, p + 1) and
    (q2, p + 1).
    """
    p = c.p
    beta = linalg.solve_triangular(f.RX, f.cy, lower=True, trans="T") if p else np.empty(0)
    mixing = np.eye(p + 1)
    mixing[:p, p] = -beta
    u1, u2 = _back(c, f, f.c1 @ mixing, f.c2 @ mixing)
    return beta, u1, u2


def _inverse_blocks(c: CrossProducts, f: Factorization) -> tuple[Array, Array | None]:
    """Diagonal blocks of M^-1: (levels, width, width), and the rest's whole inverse (q2, q2)."""
    inverse = _solve_lower(f.L1, np.broadcast_to(np.eye(c.width), f.L1.shape))
    own = np.swapaxes(inverse, 1, 2) @ inverse
    if f.S is None:
        return own, None
    whole, _ = linalg.lapack.dpotri(f.S, lower=1)
    whole = np.tril(whole) + np.tril(whole, -1).T
    assert f.T is not None
    through = np.asarray(f.T @ whole)
    extra = np.empty_like(own)
    for a in range(c.width):
        for b in range(c.width):
            extra[:, a, b] = np.asarray(
                f.T[a :: c.width].multiply(through[b :: c.width]).sum(axis=1)
            ).ravel()
    return own + np.swapaxes(inverse, 1, 2) @ extra @ inverse, whole


def gradient(c: CrossProducts, theta: Array, REML: bool) -> tuple[float, Array]:
    """The criterion and its gradient at ``theta``."""
    f = factorize(c, theta)
    if f is None:
        return math.inf, np.zeros(len(theta))
    freedom = c.n - c.p if REML else c.n
    p = c.p
    beta, u1, u2 = _solution(c, f)
    # Z'[Q, r - Q beta] less Z'Z Lambda u: Z' V^-1 Q, and Z'e
    mixing = np.eye(p + 1)
    mixing[:p, p] = -beta
    b1 = f.Lambda1 @ u1
    W1 = c.Zr1 @ mixing - c.ZZ1 @ b1
    W2 = np.empty((0, p + 1))
    if c.q2:
        assert f.Lambda2 is not None
        b2 = f.Lambda2 @ u2
        W1 = W1 - np.asarray(c.ZZ12 @ b2).reshape(W1.shape)
        W2 = c.Zr2 @ mixing - c.ZZ12.T @ b1.reshape(-1, p + 1) - c.ZZ2 @ b2
    inverse1, inverse2 = _inverse_blocks(c, f)
    half = np.linalg.inv(f.RX) if p else np.empty((0, 0))
    parts = []
    for term, block in zip(c.terms, f.templates, strict=True):
        k, where = term.size, term.where
        if term.first:
            trace = inverse1[:, where, where].sum(axis=0)
            W, u = W1[:, where], u1[:, where]
        else:
            assert inverse2 is not None
            corner = inverse2[where, where].reshape(term.levels, k, term.levels, k)
            trace = np.einsum("iaib->ab", corner)
            W = W2[where].reshape(term.levels, k, p + 1)
            u = u2[where].reshape(term.levels, k, p + 1)
        near = block + np.diag(np.where(np.diag(block) < _NEAR_ZERO, _NEAR_ZERO, 0.0))
        part = 2 * np.linalg.solve(near.T, term.levels * np.eye(k) - trace)
        part -= 2 * freedom / f.rss * (W[:, :, p].T @ u[:, :, p])
        if REML and p:
            V = W[:, :, :p] @ half.T
            part -= 2 * np.einsum("lip,ljp->ij", V, V) @ block
        parts.append(part.T[np.triu_indices(k)])
    return _criterion(c, f, REML), np.concatenate(parts)


def evaluate(c: CrossProducts, theta: Array, REML: bool) -> Evaluation | None:
    """All quantities at ``theta``; ``None`` where they cannot be computed."""
    f = factorize(c, theta)
    if f is None:
        return None
    freedom = c.n - c.p if REML else c.n
    p = c.p
    sigma = math.sqrt(f.rss / freedom)
    beta, u1, u2 = _solution(c, f)
    inverse = np.linalg.inv(c.R) if p else np.empty((0, 0))
    half = np.linalg.inv(f.RX) if p else np.empty((0, 0))
    root = sigma * (inverse @ half.T)
    inverse1, inverse2 = _inverse_blocks(c, f)
    modes, variances = [], []
    for term, block in zip(c.terms, f.templates, strict=True):
        k, where = term.size, term.where
        if term.first:
            u, spread = u1[:, where, p], inverse1[:, where, where]
        else:
            assert inverse2 is not None
            corner = inverse2[where, where].reshape(term.levels, k, term.levels, k)
            u = u2[where, p].reshape(term.levels, k)
            spread = np.moveaxis(np.diagonal(corner, axis1=0, axis2=2), -1, 0)
        modes.append(u @ block.T)
        variances.append(sigma**2 * (block @ spread @ block.T))
    return Evaluation(
        theta=np.asarray(theta, dtype=np.float64),
        criterion=_criterion(c, f, REML),
        beta=c.b + inverse @ beta,
        vcov=root @ root.T,
        sigma=sigma,
        modes=modes,
        variances=variances,
        log_det=f.log_det,
        log_det_X=_log_det_X(c, f),
        rss=f.rss,
    )
