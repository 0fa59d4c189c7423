"""p-values and confidence limits adjusted for the number of tests."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.errors import DataError, near_match

__all__ = ["ADJUSTMENTS", "adjusted_p", "critical_values", "p_adjust"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

STEPWISE = ("holm", "hochberg", "hommel", "BH", "fdr", "BY")
ADJUSTMENTS = ("tukey", "scheffe", "sidak", "bonferroni", "dunnett", "mvt", *STEPWISE, "none")
MANY = 1e6  # degrees of freedom that are as good as infinitely many
POINTS = 17  # 2^17 quasi-random ones


def p_adjust(p: Array, method: str, count: int | None = None) -> Array:
    """R's ``p.adjust``: Bonferroni; Holm 1979; Hochberg 1988; Hommel 1988; Benjamini & Hochberg
    1995; Benjamini & Yekutieli 2001. ``count`` tests in all, where some gave no p-value.
    """
    p = np.asarray(p, dtype=np.float64)
    n = len(p) if count is None else count
    if method == "none" or n < 2 or len(p) == 0:
        return p.copy()
    if len(p) < n:  # what is missing comes last in the order
        whole = np.concatenate([p, np.ones(n - len(p))])
        return p_adjust(whole, method)[: len(p)]
    if method == "bonferroni":
        return np.minimum(1.0, n * p)
    up = np.argsort(p, kind="stable")
    down = up[::-1]
    found = np.empty(n)
    if method == "holm":
        found[up] = np.minimum(1.0, np.maximum.accumulate((n - np.arange(n)) * p[up]))
        return found
    if method == "hochberg":
        found[down] = np.minimum(1.0, np.minimum.accumulate((np.arange(n) + 1) * p[down]))
        return found
    if method in ("BH", "fdr", "BY"):
        factor = n / np.arange(n, 0, -1)
        if method == "BY":
            factor = factor * np.sum(1 / np.arange(1, n + 1))
        found[down] = np.minimum(1.0, np.minimum.accumulate(factor * p[down]))
        return found
    if method == "hommel":
        return _hommel(p)
    raise DataError(f"unknown adjustment {method!r}{near_match(method, ADJUSTMENTS)}")


def _hommel(p: Array) -> Array:
    """Wright (1992, Biometrics 48, 1005-1013), the algorithm of its appendix."""
    n = len(p)
    order = np.argsort(p, kind="stable")
    s = p[order]
    a = s.copy()
    for m in range(n, 1, -1):
        head, tail = np.arange(n - m + 1), np.arange(n - m + 1, n)
        least = float(np.min(m * s[tail] / (m + tail - n + 1)))
        c = np.empty(n)
        c[tail] = least
        c[head] = np.minimum(least, m * s[head])
        a = np.maximum(a, c)
    found = np.empty(n)
    found[order] = np.minimum(1.0, np.maximum(a, s))
    return found


def two_sided(t: Array, df: Array) -> Array:
    """P(|T| > |t|); the normal distribution where df is infinite."""
    from scipy import special

    finite = np.isfinite(df)
    return np.where(
        finite,
        2 * special.stdtr(np.where(finite, df, 1.0), -np.abs(t)),
        2 * special.ndtr(-np.abs(t)),
    )


def _tukey(t: float, k: int, df: float) -> float:
    from scipy.stats import studentized_range

    if math.isnan(t):
        return math.nan
    if k == 2:
        return float(two_sided(np.array([t]), np.array([df]))[0])
    return float(np.clip(studentized_range.sf(math.sqrt(2) * abs(t), k, min(df, MANY)), 0, 1))


def _outside(t: float, correlation: Array, df: float) -> float:
    """P(max |T_i| > t) for multivariate t with this correlation matrix (Genz & Bretz 2009)."""
    n = len(correlation)
    if n == 1:
        return float(two_sided(np.array([t]), np.array([df]))[0])
    lower = np.linalg.eigvalsh(correlation)[0]
    if lower > 1e-8:
        from scipy.stats import multivariate_normal, multivariate_t

        limit = np.full(n, t)
        if math.isfinite(df):
            inside = multivariate_t.cdf(
                limit,
                shape=correlation,
                df=df,  # type: ignore[arg-type]  # a whole number only by its stubs
                lower_limit=-limit,
                maxpts=100_000 * n,
                random_state=1,
            )
        else:
            inside = multivariate_normal.cdf(
                limit, cov=correlation, lower_limit=-limit, maxpts=1_000_000 * n, releps=1e-7
            )
        return float(np.clip(1 - inside, 0, 1))
    return float(np.mean(_largest(correlation, df) > t))


def _largest(correlation: Array, df: float) -> Array:
    """Max |T_i| on quasi-random points, for singular correlation matrices too."""
    from scipy import special
    from scipy.stats import qmc

    values, vectors = np.linalg.eigh(correlation)
    keep = values > 1e-10
    root = vectors[:, keep] * np.sqrt(values[keep])
    finite = math.isfinite(df)
    u = qmc.Sobol(root.shape[1] + finite, seed=1).random_base2(POINTS)
    u = np.clip(u, 1e-12, 1 - 1e-12)
    z = special.ndtri(u[:, : root.shape[1]]) @ root.T
    if finite:
        z /= np.sqrt(special.chdtri(df, 1 - u[:, -1]) / df)[:, None]
    return np.asarray(np.max(np.abs(z), axis=1))


def adjusted_p(
    t: Array,
    df: Array,
    method: str,
    family: int,
    rank: int,
    correlation: Array,
    count: int | None = None,
) -> Array:
    """Adjusted two-sided p-values of the t ratios.

    Parameters
    ----------
    family : int
        Means compared, for Tukey's method.
    rank : int
        Of the contrasts, for Scheffe's.
    correlation : array (n, n)
        Of the estimates.
    """
    from scipy import special

    known = np.isfinite(t)
    if not known.all():  # of functions that cannot be estimated
        found = np.full(len(t), np.nan)
        if known.any():
            part = correlation[np.ix_(known, known)]
            found[known] = adjusted_p(
                t[known], df[known], method, family, rank, part, count or len(t)
            )
        return found
    p = two_sided(t, df)
    n = len(t) if count is None else count
    if n < 2 and method != "scheffe":
        return p
    if method == "tukey":
        return np.array([_tukey(float(a), family, float(b)) for a, b in zip(t, df, strict=True)])
    if method == "scheffe":
        F = t**2 / rank
        finite = np.isfinite(df)
        return np.where(
            finite,
            special.fdtrc(rank, np.where(finite, df, 1.0), F),
            special.chdtrc(rank, rank * F),
        )
    if method == "sidak":
        return np.asarray(-np.expm1(n * np.log1p(-np.minimum(p, 1 - 1e-16))))
    if method in ("dunnett", "mvt"):
        return np.array(
            [_outside(abs(float(a)), correlation, float(b)) for a, b in zip(t, df, strict=True)]
        )
    return p_adjust(p, method, n)


def critical_values(
    level: float,
    df: Array,
    method: str,
    family: int,
    rank: int,
    correlation: Array,
    count: int | None = None,
) -> Array:
    """By how many standard errors the adjusted confidence limits lie off the estimates; stepwise
    methods have none of their own and take Bonferroni's.
    """
    from scipy import special

    known_df = ~np.isnan(df)
    if not known_df.all():
        found = np.full(len(df), np.nan)
        if known_df.any():
            part = correlation[np.ix_(known_df, known_df)]
            found[known_df] = critical_values(
                level, df[known_df], method, family, rank, part, count or len(df)
            )
        return found
    n = len(df) if count is None else count
    alpha = 1 - level
    finite = np.isfinite(df)
    safe = np.where(finite, df, 1.0)

    def quantile(upper: float) -> Array:
        return np.where(finite, special.stdtrit(safe, 1 - upper), special.ndtri(1 - upper))

    if method == "none" or (n < 2 and method != "scheffe"):
        return quantile(alpha / 2)
    if method == "tukey" and family > 2:
        from scipy.stats import studentized_range

        known: dict[float, float] = {}
        for value in df.tolist():
            if value not in known:
                q = studentized_range.ppf(level, family, min(value, MANY))
                known[value] = float(q) / math.sqrt(2)
        return np.array([known[v] for v in df.tolist()])
    if method == "tukey":
        return quantile(alpha / 2)
    if method == "scheffe":
        F = np.where(finite, special.fdtri(rank, safe, level), special.chdtri(rank, alpha) / rank)
        return np.asarray(np.sqrt(rank * F))
    if method == "sidak":
        return quantile((1 - level ** (1 / n)) / 2)
    if method in ("dunnett", "mvt"):
        from scipy.optimize import brentq

        known = {}
        for value in df.tolist():
            if value not in known:
                high = float(quantile(alpha / (2 * n)).max()) * 1.05
                low = float(quantile(alpha / 2).min()) * 0.95
                known[value] = float(
                    brentq(
                        lambda x, v=value: _outside(x, correlation, v) - alpha,
                        low,
                        high,
                        xtol=1e-4,
                    )
                )
        return np.array([known[v] for v in df.tolist()])
    return quantile(alpha / (2 * n))
