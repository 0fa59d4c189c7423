"""Wald statistics of several linear functions of the fixed effects at once, and the protocol of
what gives them degrees of freedom.

A hypothesis L beta = 0 says the same whatever the length of its rows and the units of beta, and so
do F, its numerator's degrees of freedom and Kenward and Roger's denominator: what is computed here
is computed from rows whose estimates have variance 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.rank import combinations, lengths

__all__ = ["Contrasts", "Denominator", "FTest", "contrasts", "root_of"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# Of the largest singular value of rows of unit variance. Coefficients that are typed have a few
# digits (0.3333), and lmerTest takes eigenvalues of L vcov L' below 1.5e-8 of the largest for 0
# (``eps`` in its help): this is the root of that.
TYPED_TOLERANCE = 1.2e-4


@dataclass(frozen=True)
class FTest:
    """A test of L beta = 0: ``ddf`` is infinite for an asymptotic one, and NaN where there are no
    degrees of freedom to be had. ``deficient``: L has rows that follow from its others.
    """

    F: float
    ndf: int
    ddf: float
    scaling: float = 1.0
    deficient: bool = False

    @property
    def wald(self) -> float:
        """F before Kenward and Roger scale it, of which lmerTest makes its sums of squares."""
        return self.F / self.scaling if self.scaling else math.nan

    @property
    def p_value(self) -> float:
        """The upper tail of F; NaN where there is no F or no degrees of freedom."""
        from scipy import special

        if not math.isfinite(self.F) or not self.ddf > 0:
            return math.nan
        F = max(self.F, 0.0)  # Kenward and Roger's scaling can be negative below 2 df
        if math.isinf(self.ddf):
            return float(special.chdtrc(self.ndf, self.ndf * F))
        return float(special.fdtrc(self.ndf, self.ddf, F))


class Denominator(Protocol):
    """How tests of the fixed effects get their degrees of freedom.

    ``beta`` are the fixed effects, ``vcov`` is the covariance matrix that belongs to the method.
    """

    @property
    def name(self) -> str:
        """What the method is called in tables."""
        ...

    @property
    def beta(self) -> Array:
        """The fixed effects (p,)."""
        ...

    @property
    def vcov(self) -> Array:
        """The covariance matrix (p, p) of beta that tests go by."""
        ...

    def of_rows(self, L: Array) -> Array:
        """Degrees of freedom (r,) of the t tests of each row of ``L`` (r, p); NaN where there are
        none: a row of zeros, a variance that nothing is known about.
        """
        ...

    def of_all(self, L: Array) -> FTest:
        """The F test of all rows of ``L`` together; all NaN without a row that says something."""
        ...


def root_of(vcov: Array) -> Array:
    """A matrix r (p, p) with r r' = ``vcov``, by Cholesky in units of the standard errors."""
    errors = np.sqrt(np.maximum(np.diag(vcov), 0.0))
    errors = np.where(errors > 0, errors, 1.0)
    correlation = vcov / np.outer(errors, errors)
    try:
        half: Any = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:  # correlations of 1 but for the last digits
        values, vectors = np.linalg.eigh(correlation)
        half = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(errors[:, None] * half)


@by_value
@dataclass(frozen=True, eq=False)
class Contrasts:
    """What is left of a hypothesis L beta = 0 without the rows that follow from others.

    Attributes
    ----------
    rows : array (k, p)
        Independent, each of unit variance.
    triangle : array (k, k)
        Upper triangular T, with rows vcov rows' = T'T.
    deficient : bool
        Whether L had further rows, other than of zeros.
    written : array (r, p)
        Its rows as they were given, without those of zeros.
    root : array (p, p)
        Of vcov.
    """

    rows: Array
    triangle: Array
    deficient: bool
    written: Array
    root: Array

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def orthonormal(self) -> Array:
        """Rows (k, p) of the same space, uncorrelated and with variance 1."""
        from scipy import linalg

        return np.asarray(linalg.solve_triangular(self.triangle, self.rows, trans=1))

    def F(self, beta: Array) -> float:
        """(L beta)' (L vcov L')^-1 (L beta) / k."""
        from scipy import linalg

        z = linalg.solve_triangular(self.triangle, self.rows @ beta, trans=1)
        return float(z @ z) / len(self)

    def principal(self) -> Array:
        """Contrasts (k, p) along the eigenvectors of L vcov L', L as it is written, each of unit
        variance: those that Fai & Cornelius (1996) take.
        """
        from scipy.linalg import lapack

        half = self.written @ self.root
        if not self.deficient:
            # Jacobi's method keeps the digits of small ones beside large ones (Demmel & Veselic
            # 1992, SIAM J. Matrix Anal. Appl. 13, 1204-1245): rows may be in different units
            sva, _, vectors, work, _, info = lapack.dgejsv(half.T, joba=0, jobr=0, jobt=1)
            values = sva * (work[0] / work[1])
            if info == 0 and np.all(values > 0):
                return np.asarray((vectors / values).T @ self.written)
        U, values, _ = np.linalg.svd(half, full_matrices=False)
        k = len(self)
        return np.asarray((U[:, :k] / values[:k]).T @ self.written)


def contrasts(L: Array, vcov: Array) -> Contrasts:
    """The independent part of ``L`` (r, p); ``vcov`` (p, p) is that of the fixed effects.

    Rows depend on others if they do as vectors of coefficients, in units of the standard errors,
    and as estimates too: correlations of almost 1 (a cubic in calendar years) are no dependence,
    and neither are similar coefficients (the values at two near points of a line).
    """
    root = root_of(vcov)
    L = L[np.any(L != 0, axis=1)]
    errors = lengths(root, axis=1)
    by_estimates = combinations(L @ root, tolerance=TYPED_TOLERANCE)
    by_coefficients = combinations(L, 1 / errors, tolerance=TYPED_TOLERANCE)
    weights, independent = max(by_estimates, by_coefficients, key=lambda found: len(found[0]))
    rows = L if independent else weights @ L
    half = rows @ root
    sizes = lengths(half, axis=1)
    T: Any = np.linalg.qr((half / sizes[:, None]).T, mode="r")
    return Contrasts(rows / sizes[:, None], T, not independent, L, root)
