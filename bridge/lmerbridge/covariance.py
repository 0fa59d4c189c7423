"""Covariance structures of a random term's effects: what ``us()``, ``diag()``, ``cs()`` and
``ar1()`` around a term mean.

A structure maps its parameters to the term's block L of the relative covariance factor Lambda, the
lower triangular L of which L L' is the covariance matrix relative to sigma^2. Parameters (lme4's
``par``) are standard deviations relative to sigma, one each column or one for all, and after them a
correlation; for the unstructured matrix, L's elements themselves. Searches go over coordinates
instead, in which L is smooth up to and beyond every boundary: the same standard deviations, and for
a correlation an angle, 0 where it is 0. Every angle is allowed: beyond the ends of the correlation
its values come back, as the criterion does for a standard deviation below 0.

With k columns, the correlation matrix of ``ar1`` has the Cholesky factor C_i1 = r^(i-1),
C_ij = r^(i-j) cos(a), r = sin(a). That of ``cs`` has, with A^2 = 1 + (k-1) r, B^2 = 1 - r, which
are its eigenvalues, and f_j = 1 + (j-1) r, C_i1 = r, C_jj = B sqrt(f_j / f_(j-1)) for 1 < j < k,
C_kk = A B / sqrt(f_(k-1)), C_ij = r B / sqrt(f_j f_(j-1)) for i > j > 1; and A = sqrt(k) cos(a),
B = sqrt(k/(k-1)) sin(a), so that r runs from 1 at a = 0 to -1/(k-1), its least value, at a = pi/2.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

__all__ = ["KINDS", "PLAIN", "Structure", "congruence", "lower_triangle"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# The kinds, each with the default of hom=, as lme4 2.1 has it.
KINDS: dict[str, bool] = {"us": False, "diag": False, "cs": False, "ar1": True}

# An angle so near to an end of the correlation counts as there.
AT_END = 2e-5


@functools.cache
def lower_triangle(k: int) -> tuple[Any, Any]:
    """Rows and columns of the lower triangle, by columns."""
    columns, rows = np.triu_indices(k)
    return rows, columns


def congruence(M: Array) -> Array:
    """The linear map from the lower triangle of S, by columns, to that of M S M'."""
    k = len(M)
    pairs = [(a, b) for b in range(k) for a in range(b, k)]
    matrix = np.zeros((len(pairs), len(pairs)))
    for column, (a, b) in enumerate(pairs):
        S = np.zeros((k, k))
        S[a, b] = S[b, a] = 1.0
        whole = M @ S @ M.T
        matrix[:, column] = [whole[i, j] for i, j in pairs]
    return matrix


@dataclass(frozen=True)
class Structure:
    """A kind of covariance matrix.

    Attributes
    ----------
    kind : str
        ``"us"`` (unstructured), ``"diag"``, ``"cs"`` (compound symmetry) or ``"ar1"``.
    hom : bool
        Whether all columns have one standard deviation.
    """

    kind: str = "us"
    hom: bool = False

    @property
    def plain(self) -> bool:
        """Whether the parameters are L's elements."""
        return self.kind == "us"

    def deviations(self, k: int) -> int:
        """How many standard deviations are parameters."""
        return 1 if self.hom else k

    def correlated(self, k: int) -> bool:
        """Whether a correlation is a parameter."""
        return self.kind in ("cs", "ar1") and k > 1

    def count(self, k: int) -> int:
        """How many parameters a term of k columns has."""
        if self.plain:
            return k * (k + 1) // 2
        return self.deviations(k) + self.correlated(k)

    def lower(self, k: int) -> Array:
        """Lower bounds of the parameters."""
        if self.plain:
            rows, columns = lower_triangle(k)
            return np.where(rows == columns, 0.0, -np.inf)
        return np.append(np.zeros(self.deviations(k)), [self._least(k)] * self.correlated(k))

    def upper(self, k: int) -> Array:
        """Upper bounds of the parameters."""
        bounds = np.full(self.count(k), np.inf)
        if self.correlated(k):
            bounds[-1] = 1.0
        return bounds

    def _least(self, k: int) -> float:
        """The least correlation."""
        return -1 / (k - 1) if self.kind == "cs" and k > 1 else -1.0

    def bounded(self, k: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which coordinates of the search are bounded, by 0: the standard deviations."""
        return np.asarray(self.lower(k) == 0)

    # -- the block of Lambda

    def factor(self, par: Array, k: int) -> Array:
        """L (k, k) at the parameters."""
        if self.plain:
            L = np.zeros((k, k))
            L[lower_triangle(k)] = par
            return L
        scale = np.broadcast_to(np.asarray(par)[: self.deviations(k)], k)
        return scale[:, None] * self._correlation(self._angle(float(par[-1]), k), k)[0]

    def at(self, x: Array, k: int) -> tuple[Array, Array]:
        """L (k, k) at coordinates of the search, and its derivatives (m, k, k) over these."""
        m, many = self.count(k), self.deviations(k)
        scale = np.broadcast_to(x[:many], k)
        C, slope = self._correlation(float(x[-1]) if self.correlated(k) else 0.0, k)
        derivatives = np.zeros((m, k, k))
        if self.hom:
            derivatives[0] = C
        else:
            derivatives[np.arange(k), np.arange(k)] = C
        if self.correlated(k):
            derivatives[-1] = scale[:, None] * slope
        return scale[:, None] * C, derivatives

    def _correlation(self, x: float, k: int) -> tuple[Array, Array]:
        """The Cholesky factor of the correlation matrix at the angle, and its derivative."""
        if not self.correlated(k):
            return np.eye(k), np.zeros((k, k))
        return _ar1(x, k) if self.kind == "ar1" else _cs(_nought(k) - x, k)

    def _angle(self, correlation: float, k: int) -> float:
        if not self.correlated(k) or math.isnan(correlation):
            return 0.0
        if self.kind == "ar1":
            return math.asin(min(max(correlation, -1.0), 1.0))
        share = (1 + (k - 1) * correlation) / k
        return _nought(k) - math.acos(math.sqrt(min(max(share, 0.0), 1.0)))

    # -- parameters, coordinates and the covariance matrix

    def coordinates(self, par: Array, k: int) -> Array:
        """Where in the search the parameters are."""
        x = np.array(par, dtype=np.float64)
        if self.correlated(k):
            x[-1] = self._angle(float(par[-1]), k)
        return x

    def parameters(self, x: Array, k: int) -> Array:
        """The parameters at coordinates of the search; a correlation is 0 if nothing depends on it,
        since no two columns vary.
        """
        par = np.array(x, dtype=np.float64)
        many = self.deviations(k)
        if self.correlated(k):
            par[:many] = np.abs(par[:many])
            if np.count_nonzero(par[:many]) < min(many, 2):
                par[-1] = 0.0
                return par
            angle = float(x[-1])
            if self.kind == "ar1":
                par[-1] = math.sin(angle)
            else:
                par[-1] = (k * math.cos(_nought(k) - angle) ** 2 - 1) / (k - 1)
        return par

    def settled(self, x: Array, k: int) -> Array:
        """The coordinates with an angle that is all but at an end of the correlation put there."""
        if not self.correlated(k):
            return x
        high, low = self._angle(1.0, k), self._angle(self._least(k), k)
        settled = np.array(x)
        period = high - low
        inside = (settled[-1] - low) % (2 * period)
        settled[-1] = low + (inside if inside <= period else 2 * period - inside)
        for end in (low, high):
            if abs(settled[-1] - end) < AT_END:
                settled[-1] = end
        return settled

    def starts(self, k: int) -> tuple[float, ...]:
        """Angles to start a search from, beside 0."""
        if not self.correlated(k):
            return ()
        return 0.6 * self._angle(1.0, k), 0.6 * self._angle(self._least(k), k)

    def of_factor(self, L: Array) -> Array:
        """The parameters of a block of Lambda that has this structure."""
        k = len(L)
        if self.plain:
            return np.asarray(L[lower_triangle(k)], dtype=np.float64)
        return self.of_covariance(L @ L.T)

    def of_covariance(self, S: Array) -> Array:
        """The parameters of a covariance matrix (k, k) that has this structure; of any other than
        an unstructured one.
        """
        k = len(S)
        deviations = np.sqrt(np.diag(S))
        own = [math.sqrt(float(np.mean(deviations**2)))] if self.hom else deviations.tolist()
        if self.correlated(k):
            own.append(self._correlation_of(S))
        return np.array(own)

    def _correlation_of(self, S: Array) -> float:
        """The correlation in S (k, k); 0 where no two standard deviations are positive."""
        alive = np.flatnonzero(np.diag(S) > 0)
        if len(alive) < 2:
            return 0.0
        first, second = alive[:2]
        r = float(S[second, first] / math.sqrt(S[first, first] * S[second, second]))
        if self.kind == "ar1" and second - first > 1:
            return math.copysign(abs(r) ** (1 / (second - first)), r)
        return r

    def covariance_slopes(self, L: Array) -> Array:
        """Derivatives of L L', its lower triangle by columns (k (k + 1) / 2, m), over numbers in
        which it is linear where it can be: its own elements, variances, or, where all columns have
        one variance, that and the covariances; a correlation and standard deviations where not.
        """
        k = len(L)
        places = lower_triangle(k)
        if self.plain:
            return np.eye(len(places[0]))
        par = self.of_factor(L)
        same = places[0] == places[1]
        apart = places[0] - places[1]
        slopes = np.zeros((len(same), self.count(k)))
        if self.kind == "diag":
            if self.hom:
                slopes[same, 0] = 1.0
            else:
                slopes[np.flatnonzero(same), np.arange(k)] = 1.0
            return slopes
        if self.hom and self.kind == "cs":
            slopes[same, 0] = 1.0
            if k > 1:
                slopes[~same, 1] = 1.0
            return slopes
        deviations = np.broadcast_to(par[: self.deviations(k)], k)
        r = float(par[-1]) if k > 1 else 0.0
        power = apart if self.kind == "ar1" else (apart > 0).astype(int)
        R = r ** power.astype(float)
        product = deviations[places[0]] * deviations[places[1]]
        if self.hom:
            slopes[:, 0] = R
        else:
            for position, (i, j) in enumerate(zip(*places, strict=True)):
                slopes[position, i] += R[position] * deviations[j]
                slopes[position, j] += R[position] * deviations[i]
        if k > 1:
            slope = np.where(power > 0, power * r ** np.maximum(power - 1, 0).astype(float), 0.0)
            slopes[:, -1] = product * slope
        return slopes

    # -- what lme4 calls theta: the different elements of L

    def places(self, k: int) -> np.ndarray[Any, np.dtype[np.int_]]:
        """Which of lme4's theta each element of L is (k, k), counted from 1; 0 for none."""
        places = np.zeros((k, k), dtype=int)
        rows, columns = lower_triangle(k)
        if self.kind == "diag":
            np.fill_diagonal(places, 1 if self.hom else np.arange(1, k + 1))
        elif not self.hom or self.plain:
            places[rows, columns] = np.arange(1, len(rows) + 1)
        elif self.kind == "cs":
            for j in range(k):
                places[j, j] = 2 * j + 1
                places[j + 1 :, j] = 2 * j + 2
        else:
            places[:, 0] = np.arange(1, k + 1)
            for j in range(1, k):
                places[j:, j] = np.arange(k + 1, 2 * k - j + 1)
        return places

    def theta_names(self, names: tuple[str, ...]) -> list[str]:
        """lme4's names of theta, without the grouping factor's."""
        k = len(names)
        place = self.places(k)
        labels: list[str] = []
        for row, column in zip(*lower_triangle(k), strict=True):
            if place[row, column] != len(labels) + 1:
                continue
            one = names[row] if not self._star(k, row, column) else "*"
            labels.append(one if row == column else f"{one}.{names[column]}")
        return labels

    def _star(self, k: int, row: int, column: int) -> bool:
        """Whether lme4 names a star for the row, since the element stands for several."""
        if not self.hom:
            return False
        return self.kind == "diag" or (self.kind == "cs" and row != column)

    def parameter_names(self, names: tuple[str, ...]) -> list[str]:
        """lme4's names of the parameters, without the grouping factor's."""
        if self.plain:
            return self.theta_names(names)
        labels = ["*"] if self.hom else list(names)
        return [*labels, *(["rho"] if self.correlated(len(names)) else [])]

    def around(self, term: str) -> str:
        """The random term ``x | g`` as it stands in a formula: ``cs(x | g, hom = TRUE)``."""
        kind, _, argument = str(self).partition(", ")
        inner = f"{term}, {argument}" if argument else term
        return f"({inner})" if self.plain else f"{kind}({inner})"

    def __str__(self) -> str:
        if self.plain or self.hom == KINDS[self.kind]:
            return self.kind
        return f"{self.kind}, hom = {str(self.hom).upper()}"


PLAIN = Structure()


def _nought(k: int) -> float:
    """The angle of a correlation of 0, for ``cs``."""
    return math.atan(math.sqrt(k - 1))


def _ar1(angle: float, k: int) -> tuple[Array, Array]:
    r, c = math.sin(angle), math.cos(angle)
    C, slope = np.zeros((k, k)), np.zeros((k, k))
    for j in range(k):
        lag = np.arange(k - j, dtype=float)
        power = r**lag
        # the derivative over r, of which that over the angle is c times
        change = np.where(lag > 0, lag * r ** np.maximum(lag - 1, 0), 0.0)
        if j == 0:
            C[:, 0], slope[:, 0] = power, change * c
        else:
            C[j:, j], slope[j:, j] = power * c, change * c * c - power * r
    return C, slope


def _cs(angle: float, k: int) -> tuple[Array, Array]:
    """``slope`` is over the angle's negative: the correlation grows with it."""
    c, s = math.cos(angle), math.sin(angle)
    A, dA = math.sqrt(k) * c, -math.sqrt(k) * s
    B, dB = math.sqrt(k / (k - 1)) * s, math.sqrt(k / (k - 1)) * c
    r, dr = (k * c * c - 1) / (k - 1), -2 * s * c * k / (k - 1)
    C, slope = np.zeros((k, k)), np.zeros((k, k))
    C[0, 0] = 1.0
    C[1:, 0], slope[1:, 0] = r, dr
    for j in range(1, k):  # of the text's j one less
        f, before = 1 + j * r, 1 + (j - 1) * r
        df, d_before = j * dr, (j - 1) * dr
        if j == k - 1:
            C[j, j] = A * B / math.sqrt(before)
            slope[j, j] = (dA * B + A * dB) / math.sqrt(before) - C[j, j] * d_before / (2 * before)
            break
        C[j, j] = B * math.sqrt(f / before)
        slope[j, j] = dB * math.sqrt(f / before) + C[j, j] / 2 * (df / f - d_before / before)
        C[j + 1 :, j] = r * B / math.sqrt(f * before)
        slope[j + 1 :, j] = (dr * B + r * dB) / math.sqrt(f * before) - C[j + 1 :, j] / 2 * (
            df / f + d_before / before
        )
    return C, -slope
