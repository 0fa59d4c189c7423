"""The Cholesky factors behind a fit, and the spherical random effects: the parts of the penalized
least squares problem of Bates, Mächler, Bolker & Walker (2015, J. Stat. Softw. 67(1), section 3.4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame, templates, theta_of
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.sparse_matrices import relative_factor, z_matrix

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Decomposition", "criterion_function", "spherical_effects"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Decomposition:
    """Cholesky factors of [Lambda'Z'WZLambda + I, Lambda'Z'WX; X'WZLambda, X'WX] at one theta.

    The random effects keep the order of Z's columns; lme4 permutes them to keep L sparse, so that
    with several grouping factors its ``L`` and ``RZX`` are those of other rows.

    Attributes
    ----------
    frame : ModelFrame
    theta : array (m,)
    """

    frame: ModelFrame
    theta: Array

    @cached_property
    def _roots(self) -> Any:
        weights = self.frame.weights
        return np.ones(self.frame.nobs) if weights is None else np.sqrt(weights)

    @cached_property
    def _scaled(self) -> Any:
        """W^(1/2) Z Lambda, (n, q)."""
        product = z_matrix(self.frame) @ relative_factor(self.theta, self.frame)
        return product.multiply(self._roots[:, None]).tocsc()

    @cached_property
    def L(self) -> sparse.csc_array:
        """Lower triangular (q, q), sparse: L L' = Lambda'Z'WZ Lambda + I."""
        from scipy import sparse
        from scipy.sparse.linalg import splu

        product = (self._scaled.T @ self._scaled + sparse.eye_array(self._scaled.shape[1])).tocsc()
        # Gauss without exchanges of rows: the matrix is positive definite, so that U = D L'
        found = splu(
            product,
            permc_spec="NATURAL",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True, "Equil": False},
        )
        return sparse.csc_array(found.L.multiply(np.sqrt(found.U.diagonal())[None, :]))

    @cached_property
    def RZX(self) -> Array:
        """(q, p): L^-1 Lambda'Z'WX."""
        from scipy.sparse.linalg import spsolve_triangular

        right = self._scaled.T @ (self.frame.X * self._roots[:, None])
        if not right.shape[1]:
            return np.asarray(right, dtype=np.float64)
        return np.asarray(spsolve_triangular(self.L.tocsr(), right, lower=True), dtype=np.float64)

    @cached_property
    def RX(self) -> Array:
        """Upper triangular (p, p): RX'RX = X'WX - RZX'RZX = X'V^-1 X relative to sigma^2."""
        X = self.frame.X * self._roots[:, None]
        if not X.shape[1]:
            return np.empty((0, 0))
        # by the orthogonal part of the rows, not by the difference of two large matrices
        explained = self._scaled @ self._back(self.RZX)
        inner = X.T @ (X - explained)
        return np.asarray(np.linalg.cholesky(0.5 * (inner + inner.T)).T, dtype=np.float64)

    def _back(self, right: Array) -> Array:
        from scipy.sparse.linalg import spsolve_triangular

        return np.asarray(
            spsolve_triangular(self.L.T.tocsr(), right, lower=False), dtype=np.float64
        )


def spherical_effects(fit: Fit) -> Array:
    """Conditional modes u (q,) of the spherical random effects, b = Lambda u.

    Where Lambda's block of a term has an inverse, u follows from b; where it has none (a singular
    fit), from the normal equations, which say u = Lambda'Z'W(y - X beta - Z b) (Bates et al. 2015,
    equation 18).
    """
    result = fit.result
    sizes = [len(term.names) for term in result.estimates.random]
    parts: list[Any] = []
    for i, (term, factor) in enumerate(
        zip(result.estimates.random, templates(result.estimates.theta, sizes), strict=True)
    ):
        if np.all(np.diag(factor) != 0):
            parts.append(np.linalg.solve(factor, term.modes.T).T.ravel())
            continue
        if not np.any(factor):
            parts.append(np.zeros(term.modes.size))
            continue
        block = fit.frame.random[i]
        weights = result.estimates.weights
        residual = result.estimates.residuals * (1.0 if weights is None else weights)
        sums = np.zeros(term.modes.shape)
        np.add.at(sums, block.codes, block.columns * residual[:, None])
        parts.append((sums @ factor).ravel())
    return np.concatenate(parts) if parts else np.empty(0)


def criterion_function(fit: Fit) -> Callable[[Any], float]:
    """The profiled criterion as a function of theta: lme4's ``devfun``.

    Returns
    -------
    callable
        Takes theta (m,), in lme4's order, or ``par`` where a term has another structure; returns
        the REML criterion, or -2 log-likelihood for a fit by maximum likelihood.
    """
    from lmerbridge.likelihood import criterion

    frame, c, REML = fit.frame, fit.products, fit.result.call.REML
    size = frame.covariance_parameters

    def deviance(theta: Any) -> float:
        given = np.asarray(theta, dtype=np.float64)
        if given.shape != (size,):
            raise DataError(f"theta has {size} values here, not {given.size}")
        return criterion(c, theta_of(frame, given), REML)

    return deviance
