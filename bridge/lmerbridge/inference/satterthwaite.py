"""Satterthwaite's degrees of freedom: Fai & Cornelius (1996, J. Stat. Comput. Simul. 54, 363-378)
as in Kuznetsova, Brockhoff & Christensen (2017, J. Stat. Softw. 82(13)).

The parameters are theta and sigma, the derivatives of the criterion and of the covariance matrix
are exact or differences of exact ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.inference.wald import FTest, contrasts

__all__ = ["Satterthwaite", "pooled"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
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
        """Compute the degrees of freedom (r,) of each row of L (r, p) alone: 2 v^2 / var(v), v the
        variance of the row's L beta; NaN where v does not vary (Kuznetsova et al. 2017, J. Stat.
        Softw. 82(13)).
        """
        variances = np.einsum("rp,pq,rq->r", L, self.vcov, L)
        slopes = np.einsum("rp,mpq,rq->rm", L, self.jacobian, L)
        spread = np.einsum("rm,mk,rk->r", slopes, self.parameters, slopes)
        found = np.full(len(L), np.nan)
        known = (variances > 0) & (spread > 0)
        found[known] = 2 * variances[known] ** 2 / spread[known]
        return found

    def of_all(self, L: Array) -> FTest:
        """Test L beta = 0, L (r, p), by F with degrees of freedom pooled over independent
        directions (Fai & Cornelius 1996, J. Stat. Comput. Simul. 54, 363-378).
        """
        independent = contrasts(L, self.vcov)
        if len(independent) == 0:
            return FTest(math.nan, 1, math.nan)
        df = pooled(self.of_rows(independent.principal()))
        F = independent.F(self.beta)
        return FTest(F, len(independent), df, deficient=independent.deficient)


def pooled(nu: Array) -> float:
    """Degrees of freedom of an F from those of its independent t's (Fai & Cornelius 1996)."""
    if len(nu) == 1 or np.ptp(nu) < 1e-8:
        return float(np.mean(nu))
    if np.isnan(nu).any():
        return math.nan
    if np.any(nu <= 2):
        return 2.0
    # sum of nu / (nu - 2), less the number of them
    beyond = float(np.sum(2 / (nu - 2)))
    return 2 * (beyond + len(nu)) / beyond
