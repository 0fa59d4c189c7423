"""Denominator degrees of freedom for tests of the fixed effects: Satterthwaite, Kenward-Roger,
or none.

Satterthwaite: Fai & Cornelius (1996, J. Stat. Comput. Simul. 54, 363-378) as in Kuznetsova,
Brockhoff & Christensen (2017, J. Stat. Softw. 82(13)); the parameters are theta and sigma, the
derivatives of the criterion and of the covariance matrix are exact or differences of exact ones.
Kenward-Roger: Kenward & Roger (1997); Halekoh & Hojsgaard (2014, J. Stat. Softw. 59(9)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError, FitFailedError, UnsupportedModelError, near_match
from lmerbridge.result import FitResult

__all__ = ["DDF", "Asymptotic", "Denominator", "FTest", "KenwardRoger", "Satterthwaite", "of_fit"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

DDF = ("Satterthwaite", "Kenward-Roger", "lme4")
RANK = 1e-7  # relative: what is less is no contrast of its own


@dataclass(frozen=True)
class FTest:
    """A test of L beta = 0: ``ddf`` is infinite for an asymptotic one."""

    F: float
    ndf: int
    ddf: float
    scaling: float = 1.0

    @property
    def wald(self) -> float:
        """F before Kenward and Roger scale it, of which lmerTest makes its sums of squares."""
        return self.F / self.scaling

    @property
    def p_value(self) -> float:
        from scipy import special

        if not math.isfinite(self.F) or math.isnan(self.ddf):
            return math.nan
        if math.isinf(self.ddf):
            return float(special.chdtrc(self.ndf, self.ndf * self.F))
        return float(special.fdtrc(self.ndf, self.ddf, self.F))


class Denominator(Protocol):
    """How tests of the fixed effects get their degrees of freedom.

    ``beta`` are the fixed effects, ``vcov`` is the covariance matrix that belongs to the method.
    """

    @property
    def name(self) -> str: ...

    @property
    def beta(self) -> Array: ...

    @property
    def vcov(self) -> Array: ...

    def of_rows(self, L: Array) -> Array:
        """Degrees of freedom (r,) of the t tests of each row of ``L`` (r, p)."""
        ...

    def of_all(self, L: Array) -> FTest:
        """The F test of all rows of ``L`` together."""
        ...


def _independent(L: Array, vcov: Array) -> tuple[Array, Array]:
    """The eigenvectors of L vcov L' that carry something: contrasts (rank, p), eigenvalues."""
    values, vectors = np.linalg.eigh(L @ vcov @ L.T)
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    keep = values > max(RANK * values[0], 0.0)
    return vectors[:, keep].T @ L, values[keep]


@dataclass(frozen=True)
class Asymptotic:
    """No finite degrees of freedom: z and chi-squared."""

    beta: Array
    vcov: Array
    name: str = "lme4"

    def of_rows(self, L: Array) -> Array:
        return np.full(len(L), np.inf)

    def of_all(self, L: Array) -> FTest:
        rows, values = _independent(L, self.vcov)
        return FTest(float(np.mean((rows @ self.beta) ** 2 / values)), len(values), math.inf)


@dataclass(frozen=True)
class Satterthwaite:
    """
    Attributes
    ----------
    parameters : array (m, m)
        Asymptotic covariance matrix of theta and sigma.
    jacobian : array (m, p, p)
        Derivatives of the covariance matrix of the fixed effects over these.
    """

    beta: Array
    vcov: Array
    parameters: Array
    jacobian: Array
    name: str = "Satterthwaite"

    def of_rows(self, L: Array) -> Array:
        variances = np.einsum("rp,pq,rq->r", L, self.vcov, L)
        gradients = np.einsum("rp,mpq,rq->rm", L, self.jacobian, L)
        spread = np.einsum("rm,mk,rk->r", gradients, self.parameters, gradients)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(2 * variances**2 / spread)

    def of_all(self, L: Array) -> FTest:
        rows, values = _independent(L, self.vcov)
        F = float(np.mean((rows @ self.beta) ** 2 / values))
        return FTest(F, len(values), _pooled(self.of_rows(rows)))


def _pooled(nu: Array) -> float:
    """Degrees of freedom of an F from those of its independent t's (Fai & Cornelius 1996)."""
    if len(nu) == 1 or np.ptp(nu) < 1e-8:
        return float(np.mean(nu))
    if np.any(nu <= 2):
        return 2.0
    total = float(np.sum(nu / (nu - 2)))
    return 2 * total / (total - len(nu))


@dataclass(frozen=True)
class KenwardRoger:
    """
    Attributes
    ----------
    vcov : array (p, p)
        Adjusted (their equation 5, with no second derivatives).
    unadjusted : array (p, p)
    P : array (m, p, p); W : array (m, m)
        Of :class:`lmerbridge.likelihood.Information`, relative to sigma^2.
    """

    beta: Array
    vcov: Array
    unadjusted: Array
    Phi: Array
    P: Array
    W: Array
    name: str = "Kenward-Roger"

    def of_rows(self, L: Array) -> Array:
        return np.array([self._moments(row[None, :])[0] for row in L])

    def _moments(self, L: Array) -> tuple[float, float]:
        """Degrees of freedom and scaling (their section 3; Halekoh & Hojsgaard's section 4)."""
        q = len(L)
        middle = L @ self.Phi @ L.T
        Theta = L.T @ np.linalg.solve(middle, L)
        TP = Theta @ self.Phi @ self.P @ self.Phi
        traces = np.einsum("ipp->i", TP)
        A1 = float(traces @ self.W @ traces)
        A2 = float(np.einsum("ij,ipq,jqp->", self.W, TP, TP, optimize=True))
        if A2 <= 0:
            return math.inf, 1.0
        B = (A1 + 6 * A2) / (2 * q)
        g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
        below = 3 * q + 2 * (1 - g)
        c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
        shrink = 1 - A2 / q
        V0, V1, V2 = 1 + c1 * B, 1 - c2 * B, 1 - c3 * B
        if abs(V0) < 1e-10:
            V0 = 0.0
        if V1 == 0 or V2 == 0:
            return math.nan, math.nan
        rho = (shrink / V1) ** 2 * V0 / V2 / q
        df = 4 + (q + 2) / (q * rho - 1)
        scaling = 1.0 if abs(df - 2) < 1e-2 else shrink * df / (df - 2)
        return df, scaling

    def of_all(self, L: Array) -> FTest:
        rows, _ = _independent(L, self.unadjusted)
        estimate = rows @ self.beta
        wald = float(estimate @ np.linalg.solve(rows @ self.vcov @ rows.T, estimate)) / len(rows)
        df, scaling = self._moments(rows)
        return FTest(scaling * wald, len(rows), df, scaling)


def _satterthwaite(frame: ModelFrame, result: FitResult) -> Satterthwaite:
    from lmerbridge.likelihood import cross_products, fixed_derivatives, unprofiled

    c = cross_products(frame)
    REML, sigma = result.call.REML, result.estimates.sigma
    theta = result.estimates.theta
    fixed = fixed_derivatives(c, theta, REML)
    if fixed is None:
        raise FitFailedError("the criterion cannot be evaluated at these estimates")
    m = len(theta)
    hessian = np.zeros((m + 1, m + 1))
    freedom = c.n - c.p if REML else c.n
    hessian[m, m] = 6 * fixed.rss / sigma**4 - 2 * freedom / sigma**2
    steps = _steps(frame, theta)
    for i in range(m):
        slope = np.zeros(m + 1)
        for times, weight in ((2, -1), (1, 8), (-1, -8), (-2, 1)):  # error of the fourth order
            at = theta.copy()
            at[i] += times * steps[i]
            found = unprofiled(c, at, sigma, REML)
            if found is None:
                raise FitFailedError("the criterion cannot be evaluated beside these estimates")
            slope += weight * found[1]
        hessian[i] = slope / (12 * steps[i])
    hessian[m, :m] = hessian[:m, m]
    scale = np.append(np.maximum(steps, 1e-300), sigma)  # so that units do not matter
    scaled = 0.5 * (hessian + hessian.T) * np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    good = values > 1e-12 * max(values.max(), 0.0)
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T
    jacobian = sigma**2 * fixed.over_theta
    vcov = sigma**2 * fixed.unscaled
    return Satterthwaite(
        result.estimates.beta,
        vcov,
        2 * inverse * np.outer(scale, scale),
        np.concatenate([jacobian, (2 / sigma * vcov)[None]]),
    )


def _steps(frame: ModelFrame, theta: Array) -> Array:
    """How far to go for differences over theta: a part of the value, or of the size at which the
    criterion notices it.
    """
    found = []
    for block in frame.random:
        per_level = max(1.0, frame.nobs / len(block.levels))
        size = np.sqrt(np.mean(block.columns**2, axis=0))
        size = np.where(size > 0, size, 1.0) * math.sqrt(per_level)
        k = len(block.names)
        found += [1 / size[a] for b in range(k) for a in range(b, k)]
    return np.asarray(3e-3 * np.maximum(np.abs(theta), found))


def _kenward_roger(frame: ModelFrame, result: FitResult) -> KenwardRoger:
    from lmerbridge.likelihood import cross_products, expected_information

    if not result.call.REML:
        raise UnsupportedModelError(
            "Kenward-Roger's method is for REML fits, and this is one by ML: m.update(REML=True), "
            "or ddf='Satterthwaite'"
        )
    found = expected_information(cross_products(frame), result.estimates.theta)
    Phi, P, Q, W = found.Phi, found.P, found.Q, found.W
    inner = Q - np.einsum("ipq,qr,jrs->ijps", P, Phi, P, optimize=True)
    change = Phi @ np.einsum("ij,ijpq->pq", W, inner, optimize=True) @ Phi
    variance = result.estimates.sigma**2
    adjusted = Phi + change + change.T
    return KenwardRoger(result.estimates.beta, variance * adjusted, variance * Phi, Phi, P, W)


def of_fit(frame: ModelFrame, result: FitResult, method: str) -> Denominator:
    """Degrees of freedom by ``method``, one of :data:`DDF`.

    Raises
    ------
    DataError
        Unknown method.
    UnsupportedModelError
        Kenward-Roger of an ML fit, or of too many crossed effects.
    """
    known = {name.lower(): name for name in DDF}
    name = known.get(method.lower()) if isinstance(method, str) else None
    if name is None:
        raise DataError(
            f"unknown ddf {method!r}{near_match(str(method), DDF)}; methods: {', '.join(DDF)}"
        )
    if name == "Satterthwaite":
        return _satterthwaite(frame, result)
    if name == "Kenward-Roger":
        return _kenward_roger(frame, result)
    return Asymptotic(result.estimates.beta, result.estimates.vcov)
