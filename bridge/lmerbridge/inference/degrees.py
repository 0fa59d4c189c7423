"""Denominator degrees of freedom for tests of the fixed effects, from a fit: Satterthwaite's,
Kenward and Roger's, or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, FitFailedError, UnsupportedModelError, near_match
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.kenward_roger import KenwardRoger
from lmerbridge.inference.satterthwaite import Satterthwaite
from lmerbridge.inference.wald import Denominator, FTest, contrasts

__all__ = ["DDF", "Asymptotic", "Denominator", "FTest", "OfResiduals", "ddf_name", "of_fit"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

DDF = ("Satterthwaite", "Kenward-Roger", "lme4")
OF_MEANS = {  # emmeans' names for them
    "kenward-roger": "Kenward-Roger",
    "satterthwaite": "Satterthwaite",
    "asymptotic": "lme4",
}
HINTS = {"kr": "Kenward-Roger", "asymptotic": "lme4", "none": "lme4"}


def ddf_name(ddf: str, of_means: bool = False) -> str:
    """One of :data:`DDF`, of which the beginning is enough, as in R's ``match.arg``, or the whole
    in any case; with ``of_means`` emmeans' names are known too.

    Raises
    ------
    DataError
        No such method.
    """
    known = {**{name: name for name in DDF}, **(OF_MEANS if of_means else {})}
    if isinstance(ddf, str) and ddf:
        methods = {
            method
            for name, method in known.items()
            if name.startswith(ddf) or name.lower() == ddf.lower()
        }
        if len(methods) == 1:
            return methods.pop()
    hint = HINTS.get(str(ddf).lower())
    meant = f" (did you mean {hint!r}?)" if hint else near_match(str(ddf), known)
    raise DataError(f"unknown ddf {ddf!r}{meant}; methods: {', '.join(DDF)}")


@by_value
@dataclass(frozen=True, eq=False)
class Asymptotic:
    """No finite degrees of freedom: z and chi-squared; without a name where there are no others
    that they could have been.
    """

    beta: Array
    vcov: Array
    name: str = "lme4"

    def of_rows(self, L: Array) -> Array:
        """Return infinite degrees of freedom (r,) for the rows of L (r, p)."""
        return np.full(len(L), np.inf)

    def of_all(self, L: Array) -> FTest:
        """Test L beta = 0 by chi-squared over its degrees of freedom."""
        independent = contrasts(L, self.vcov)
        if len(independent) == 0:
            return FTest(math.nan, 1, math.nan)
        F = independent.F(self.beta)
        return FTest(F, len(independent), math.inf, deficient=independent.deficient)


@by_value
@dataclass(frozen=True, eq=False)
class OfResiduals:
    """An ordinary regression's: those of its residuals, whatever is tested."""

    beta: Array
    vcov: Array
    df: float
    name: str = "residual"

    def of_rows(self, L: Array) -> Array:
        """Return the degrees of freedom of the residuals (r,) for the rows of L (r, p)."""
        return np.full(len(L), self.df)

    def of_all(self, L: Array) -> FTest:
        """Test L beta = 0 by F with the degrees of freedom of the residuals."""
        independent = contrasts(L, self.vcov)
        if len(independent) == 0:
            return FTest(math.nan, 1, math.nan)
        F = independent.F(self.beta)
        return FTest(F, len(independent), self.df, deficient=independent.deficient)


def _satterthwaite(fit: Fit) -> Satterthwaite:
    from lmerbridge.likelihood import Search, fixed_derivatives, unprofiled

    frame, result, c = fit.frame, fit.result, fit.products
    REML, sigma = result.call.REML, result.estimates.scale
    search = Search(c)
    if search.plain:
        theta = result.estimates.theta
        steps = _steps(frame, theta)
    else:
        c, theta = search.products, search.of_parameters(result.estimates.parameters)
        steps = 3e-3 * np.maximum(np.abs(theta), _level_sizes(frame))
    fixed = fixed_derivatives(c, search.theta(theta), REML)
    if fixed is None:
        raise FitFailedError("the criterion cannot be evaluated at these estimates")
    m = len(theta)
    hessian = np.zeros((m + 1, m + 1))
    freedom = c.n - c.p if REML else c.n
    hessian[m, m] = 6 * fixed.rss / sigma**4 - 2 * freedom / sigma**2
    for i in range(m):
        slope = np.zeros(m + 1)
        for times, weight in ((2, -1), (1, 8), (-1, -8), (-2, 1)):  # error of the fourth order
            at = theta.copy()
            at[i] += times * steps[i]
            unprofiled_at = unprofiled(c, search.theta(at), sigma, REML)
            if unprofiled_at is None:
                raise FitFailedError("the criterion cannot be evaluated beside these estimates")
            slope[:m] += weight * (search.slope(at).T @ unprofiled_at[1][:-1])
            slope[m] += weight * unprofiled_at[1][-1]
        hessian[i] = slope / (12 * steps[i])
    hessian[m, :m] = hessian[:m, m]
    scale = np.append(np.maximum(steps, 1e-300), sigma)  # so that units do not matter
    scaled = 0.5 * (hessian + hessian.T) * np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    good = values > 1e-12 * max(values.max(), 0.0)
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T
    jacobian = sigma**2 * np.einsum("tm,tpq->mpq", search.slope(theta), fixed.over_theta)
    vcov = sigma**2 * fixed.unscaled
    return Satterthwaite(
        result.estimates.beta,
        vcov,
        2 * inverse * np.outer(scale, scale),
        np.concatenate([jacobian, (2 / sigma * vcov)[None]]),
    )


def _level_sizes(frame: ModelFrame) -> Array:
    """Per coordinate of a search the size at which the criterion notices it."""
    sizes: list[float] = []
    for block in frame.random:
        per_level = max(1.0, frame.nobs / len(block.levels))
        sizes += [1 / math.sqrt(per_level)] * block.structure.count(len(block.names))
    return np.array(sizes)


def _steps(frame: ModelFrame, theta: Array) -> Array:
    """How far to go for differences over theta: a part of the value, or of the size at which the
    criterion notices it.
    """
    steps = []
    for block in frame.random:
        per_level = max(1.0, frame.nobs / len(block.levels))
        size = np.sqrt(np.mean(block.columns**2, axis=0))
        size = np.where(size > 0, size, 1.0) * math.sqrt(per_level)
        k = len(block.names)
        steps += [1 / size[a] for b in range(k) for a in range(b, k)]
    return np.asarray(3e-3 * np.maximum(np.abs(theta), steps))


def _kenward_roger(fit: Fit) -> KenwardRoger:
    from lmerbridge.likelihood import expected_information

    result = fit.result
    # without fixed effects there is no other criterion than ML's, and nothing to test
    if not result.call.REML and len(result.estimates.beta):
        raise UnsupportedModelError(
            "Kenward-Roger's method is for REML fits, and this is one by ML: m.update(REML=True), "
            "or ddf='Satterthwaite'"
        )
    information = expected_information(fit.products, result.estimates.theta)
    Phi, P, Q, W = information.Phi, information.P, information.Q, information.W
    inner = Q - np.einsum("ipq,qr,jrs->ijps", P, Phi, P, optimize=True)
    change = Phi @ np.einsum("ij,ijpq->pq", W, inner, optimize=True) @ Phi
    variance = result.estimates.scale**2
    adjusted = Phi + change + change.T
    return KenwardRoger(result.estimates.beta, variance * adjusted, variance * Phi, Phi, P, W)


def _asymptotic(fit: Fit) -> Asymptotic:
    return Asymptotic(fit.result.estimates.beta, fit.result.estimates.vcov)


METHODS: dict[str, Callable[[Fit], Denominator]] = {
    "Satterthwaite": _satterthwaite,
    "Kenward-Roger": _kenward_roger,
    "lme4": _asymptotic,
}


def of_fit(fit: Fit, method: str) -> Denominator:
    """Give degrees of freedom by ``method``, as :func:`ddf_name` takes it; computed once per fit.

    Raises
    ------
    DataError
        Unknown method.
    UnsupportedModelError
        Kenward-Roger of an ML fit, or of too many crossed effects.
    """
    name = ddf_name(method)
    return fit.once(("denominator", name), lambda: METHODS[name](fit))
