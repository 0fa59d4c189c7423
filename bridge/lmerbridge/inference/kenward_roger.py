"""Degrees of freedom and scaling of F tests by Kenward & Roger (1997, Biometrics 53, 983-997), as
Halekoh & Hojsgaard (2014, J. Stat. Softw. 59(9), section 4) write them.

They match the mean and the variance of a scaled F by expressions that divide by 1 - A2 / q, by V1
and by V2, each of which is 0 in designs of every day: an exact F test on 2 degrees of freedom makes
the first two 0 at once, one on 4 the third. With q contrasts whose estimates are uncorrelated and
of variance 1, let M_k (q, q) be the derivatives of their covariance matrix along the axes of the
variance components' covariance matrix W. Then A1 = sum (tr M_k)^2, A2 = sum tr(M_k^2), and the
difference d = q A2 - A1 = q sum |M_k - tr(M_k)/q I|^2 is 0 if and only if all variances change in
proportion: always for one contrast, and for a term of a balanced design. With a = A2 / q,
e = d / A2 and k = (q + 2)(q + 6) + 2 (q + 1) e,

- c1 = ((q^2 - 4) - (q + 1) e) / k, c2 = (2 (q + 2) + (q + 1) e) / k,
  c3 = (4 (q + 2) + (q + 1) e) / k,
- B = a (q + 6 - e) / 2, V0 = 1 + c1 B, V1 = 1 - c2 B, V2 = 1 - c3 B,
- V1 = s - h, with s = 1 - a and h = a e ((q + 2)(q - 1) - (q + 1) e) / (2 k),

and the common factor s cancels: with u = h / s, the degrees of freedom are

    4 + (q + 2) (1 - u)^2 V2 / D,  D = (q + 2)^2 B / k + V2 u (2 - u)

and the scaling is s (4 D + (q + 2) (1 - u)^2 V2) / (2 D + (q + 2) (1 - u)^2 V2), whose denominator
has the factor s too. Where e = 0, u = 0 and the two are 2 / a and 1, whatever a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.inference.wald import FTest, contrasts

__all__ = ["KenwardRoger", "moments"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# d / A2 is a sum of squares of what is 0 up to rounding where variances change in proportion
PROPORTIONAL_TOLERANCE = 1e-14
NEAR_TWO = 1e-2  # pbkrtest leaves F as it is this near to 2 df, where its mean does not exist


def moments(A2: float, e: float, q: int) -> tuple[float, float]:
    """Degrees of freedom and scaling from A2 and e = q - A1 / A2 for q contrasts.

    Notes
    -----
    Derived in the module's docstring. Below 2 degrees of freedom F has no mean, and the scaling,
    which matches it, means nothing: it can be negative there, as in pbkrtest.
    """
    if not A2 > 0:
        return math.nan, math.nan
    a = A2 / q
    if e < PROPORTIONAL_TOLERANCE:
        return 2 / a, 1.0
    k = (q + 2) * (q + 6) + 2 * (q + 1) * e
    B = a * (q + 6 - e) / 2
    V2 = 1 - (4 * (q + 2) + (q + 1) * e) / k * B
    s = 1 - a
    h = a * e * ((q + 2) * (q - 1) - (q + 1) * e) / (2 * k)
    if s == 0:  # the limit of what follows
        return 2.0 - q, 0.0
    u = h / s
    D = (q + 2) ** 2 * B / k + V2 * u * (2 - u)
    rest = (q + 2) * (1 - u) ** 2 * V2
    if D == 0:
        return math.inf, s
    df = 4 + rest / D
    if abs(df - 2) < NEAR_TWO:
        return df, 1.0
    return df, s * (4 * D + rest) / (2 * D + rest)


@by_value
@dataclass(frozen=True, eq=False)
class KenwardRoger:
    """
    Attributes
    ----------
    vcov : array (p, p)
        Adjusted (their equation 5, with no second derivatives).
    unadjusted : array (p, p)
    Phi : array (p, p); P : array (m, p, p); W : array (m, m)
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
        # A2 of one contrast is the variance of its variance relative to the square of it
        """Compute the degrees of freedom (r,) of each row of L (r, p) alone; NaN where there are
        none.
        """
        variances = np.einsum("rp,pq,rq->r", L, self.Phi, L)
        along = L @ self.Phi
        slopes = np.einsum("rp,ipq,rq->ri", along, self.P, along)
        spread = np.einsum("ri,ij,rj->r", slopes, self.W, slopes)
        found = np.full(len(L), np.nan)
        known = (variances > 0) & (spread > 0)
        found[known] = 2 * variances[known] ** 2 / spread[known]
        return found

    def of_all(self, L: Array) -> FTest:
        """Test L beta = 0, L (r, p), by the scaled F (Kenward & Roger 1997, Biometrics 53, section
        3; Halekoh & Højsgaard 2014, section 4).
        """
        independent = contrasts(L, self.Phi)
        q = len(independent)
        if q == 0:
            return FTest(math.nan, 1, math.nan, math.nan)
        rows = independent.orthonormal
        along = rows @ self.Phi
        M = np.einsum("ap,ipq,bq->iab", along, self.P, along)
        traces = np.einsum("iaa->i", M) / q
        apart = M - traces[:, None, None] * np.eye(q)
        A2 = float(np.einsum("ij,iab,jba->", self.W, M, M))
        e = q * float(np.einsum("ij,iab,jba->", self.W, apart, apart)) / A2 if A2 > 0 else 0.0
        df, scaling = moments(A2, e, q)
        wald = contrasts(rows, self.vcov).F(self.beta)
        return FTest(scaling * wald, q, df, scaling, independent.deficient)
