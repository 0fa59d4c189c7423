"""Expected information on the variance components, and what the small-sample adjustment of
Kenward & Roger (1997, Biometrics 53, 983-997) needs of a model.

V = G_0 + sum gamma_i G_i with G_0 = I, the residuals' part, and one G_i = Z D_i Z' for each
distinct element of the random effects' covariance matrices, or for each parameter of these, where
they have fewer (:class:`lmerbridge.covariance.Structure`). With Phi = (X'V^-1 X)^-1,
P_i = -X'V^-1 G_i V^-1 X and Q_ij = X'V^-1 G_i V^-1 G_j V^-1 X, twice the expected information of
REML is tr(V^-1 G_i V^-1 G_j) - 2 tr(Phi Q_ij) + tr(Phi P_i Phi P_j) (their section 2; Halekoh &
Hojsgaard 2014, J. Stat. Softw. 59(9), section 3). Second derivatives of V are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.covariance import congruence
from lmerbridge.design import templates
from lmerbridge.equality import by_value
from lmerbridge.likelihood.crossproducts import Array, CrossProducts
from lmerbridge.likelihood.dense_effects import whole
from lmerbridge.likelihood.of_scipy import linalg

__all__ = ["Information", "expected_information"]

Places: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


# Of the information that the responses would hold if the fixed effects were known: what is less is
# rounding, about a component that the data say nothing of.
NO_INFORMATION = 1e-10


def _inverse(information: Array, known: Array) -> Array:
    """The inverse (m, m), in which a direction without information counts as known: its variance
    is 0, as in lmerTest, and not the reciprocal of a rounding error.

    Parameters
    ----------
    known : array (m,)
        The information about each component if the fixed effects were known.
    """
    units = np.sqrt(known)
    units = np.where(units > 0, units, 1.0)
    values, vectors = np.linalg.eigh(information / np.outer(units, units))
    good = values > NO_INFORMATION
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T
    return np.asarray(inverse / np.outer(units, units))


@by_value
@dataclass(frozen=True, eq=False)
class Information:
    """Relative to sigma^2; the first of the m parameters is the residual variance.

    Attributes
    ----------
    Phi : array (p, p)
    P : array (m, p, p)
    Q : array (m, m, p, p)
    W : array (m, m)
        Covariance matrix of the variance components: the inverse of the information, as far as
        there is any.
    """

    Phi: Array
    P: Array
    Q: Array
    W: Array


def _structured(c: CrossProducts, theta: Array) -> Array:
    """Derivatives of the residual variance and of all elements of the covariance matrices of the
    scaled columns over the parameters; of unstructured terms these are the elements themselves.
    """
    blocks = [np.eye(1)]
    for term, L, inverse in zip(
        c.terms, templates(theta, [t.size for t in c.terms]), c.inverse_maps, strict=True
    ):
        slopes = term.structure.covariance_slopes(L)
        blocks.append(slopes if term.structure.plain else congruence(inverse) @ slopes)
    return np.asarray(linalg.block_diag(*blocks), dtype=np.float64)


def expected_information(c: CrossProducts, theta: Array, REML: bool = True) -> Information:
    """The matrices at ``theta``, in the units of the user's X; ``W`` by the information of REML or
    of maximum likelihood, of which twice is tr(V^-1 G_i V^-1 G_j).

    Raises
    ------
    UnsupportedModelError
        Too many random effects of several grouping factors.
    """
    w = whole(c, theta, "Kenward-Roger")
    p = c.p
    U, Sigma = w.U, w.Sigma
    T = U @ w.D
    ZQ = w.ZQ[:, :, :p]
    K = U @ ZQ
    UK = U @ K
    SK = Sigma @ K
    XX = c.gram[:p, :p]
    across = np.einsum("bwp,bwq->pq", ZQ, SK, optimize=True)
    A = XX - across
    X2 = XX - across - across.T + np.einsum("bwp,bwv,bvq->pq", SK, w.D, SK, optimize=True)
    X3 = X2 - np.einsum("bwp,bwq->pq", SK, UK, optimize=True)
    GD = w.H @ w.D
    trace_2 = (
        c.n
        - 2 * float(np.trace(GD, axis1=1, axis2=2).sum())
        + float(np.einsum("bij,bji->", GD, GD, optimize=True))
    )
    S = U @ w.D @ np.swapaxes(U, 1, 2)  # Z'V^-2 Z

    width = Sigma.shape[0]
    flat_K = K.reshape(len(K) * K.shape[1], p)
    flat_UK = UK.reshape(len(K) * K.shape[1], p)
    single = len(c.factors) == 1
    pairs: list[tuple[int, int, int]] = []
    for t, term in enumerate(c.terms):
        pairs += [(t, a, b) for b in range(term.size) for a in range(b, term.size)]

    def part(matrix: Array, one: Places, two: Places) -> Array:
        """The entries at the levels of two columns: all pairs, or within a level."""
        if single:
            return np.asarray(matrix[:, one[0] % width, two[0] % width])
        return np.asarray(matrix[0][np.ix_(one, two)])

    def orders(t: int, a: int, b: int) -> list[tuple[Places, Places]]:
        columns = w.columns[t]
        both = [(columns[:, a], columns[:, b])]
        return both if a == b else [*both, (columns[:, b], columns[:, a])]

    m = len(pairs) + 1
    R = np.zeros((len(pairs), *flat_K.shape))
    traces = np.zeros((m, m))
    traces[0, 0] = trace_2
    for i, pair in enumerate(pairs):
        for one, two in orders(*pair):
            R[i, one] += flat_K[two]
            if single:
                traces[0, i + 1] += float(part(S, one, two).sum())
            else:
                traces[0, i + 1] += float(S[0][one, two].sum())
        traces[i + 1, 0] = traces[0, i + 1]
        for j in range(i + 1):
            total = 0.0
            for one, two in orders(*pair):
                for three, four in orders(*pairs[j]):
                    # tr(e_1 e_2' T e_3 e_4' T)
                    total += float(np.sum(part(T, two, three) * part(T, one, four)))
            traces[i + 1, j + 1] = traces[j + 1, i + 1] = total

    P = np.empty((m, p, p))
    Q = np.empty((m, m, p, p))
    P[0], Q[0, 0] = -X2, X3
    TR = (T @ R.reshape(len(pairs), *K.shape)).reshape(R.shape) if len(pairs) else R
    for i in range(len(pairs)):
        P[i + 1] = -R[i].T @ flat_K
        Q[i + 1, 0] = R[i].T @ flat_UK
        Q[0, i + 1] = Q[i + 1, 0].T
        for j in range(len(pairs)):
            Q[i + 1, j + 1] = R[i].T @ TR[j]
    Phi = np.linalg.inv(0.5 * (A + A.T)) if p else np.empty((0, 0))
    if not all(term.structure.plain for term in c.terms):
        B = _structured(c, theta)
        P = np.einsum("ai,apq->ipq", B, P)
        Q = np.einsum("ai,bj,abpq->ijpq", B, B, Q, optimize=True)
        traces = B.T @ traces @ B
    PhiP = Phi @ P
    information: Array = traces
    if REML:
        information = traces + (
            -2 * np.einsum("pq,ijqp->ij", Phi, Q, optimize=True)
            + np.einsum("ipq,jqp->ij", PhiP, PhiP, optimize=True)
        )
    W = 2 * _inverse(0.5 * (information + information.T), np.diag(traces))
    back = c.inverse
    return Information(
        np.asarray(back @ Phi @ back.T, dtype=np.float64),
        c.R.T @ P @ c.R,
        c.R.T @ Q @ c.R,
        np.asarray(W, dtype=np.float64),
    )
