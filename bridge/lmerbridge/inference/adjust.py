"""p-values and confidence limits adjusted for the number of tests."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.errors import DataError, near_match
from lmerbridge.inference import studentized_range

__all__ = [
    "ADJUSTMENTS",
    "STEPWISE",
    "TWO_SIDED",
    "adjusted_p",
    "adjustment_name",
    "critical_values",
    "cross_adjusted",
    "cross_adjustment_name",
    "p_adjust",
    "two_sided",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

STEPWISE = ("holm", "hochberg", "hommel", "BH", "fdr", "BY")
ADJUSTMENTS = ("tukey", "scheffe", "sidak", "bonferroni", "dunnett", "mvt", *STEPWISE, "none")
TWO_SIDED = ("tukey", "scheffe", "dunnett")  # have no one-sided form
ACROSS = ("sidak", "bonferroni", *STEPWISE, "none")
POINTS = 17  # 2^17 quasi-random ones


def adjustment_name(name: Any) -> str:
    """Read the name of an adjustment as emmeans does: whole, or its beginning where no other
    begins so, in capitals or not; ``dunnettx`` is ``dunnett``.

    Raises
    ------
    DataError
        If no adjustment or more than one begins so.
    """
    if isinstance(name, str):
        text = "dunnett" if name.lower() == "dunnettx" else name
        fitting = _beginning_so(text, ADJUSTMENTS)
        if len(fitting) == 1:
            return fitting[0]
        if len(fitting) > 1:
            raise DataError(f"adjustment {name!r} is not clear: {', '.join(fitting)}")
    raise DataError(
        f"unknown adjustment {name!r}{near_match(str(name), ADJUSTMENTS)}; "
        f"there are {', '.join(ADJUSTMENTS)}"
    )


def _beginning_so(text: str, names: tuple[str, ...]) -> list[str]:
    small = text.lower()
    whole = [n for n in names if n.lower() == small]
    # as they are spelled first: "b" is bonferroni, though BH and BY begin so too
    spelled = [n for n in names if small and n.startswith(small)]
    return whole or spelled or [n for n in names if small and n.lower().startswith(small)]


def cross_adjustment_name(method: Any) -> str:
    """Read the name of an adjustment across families, or the beginning of one.

    Raises
    ------
    DataError
        There is no such adjustment, or the beginning is that of several.
    """
    fitting = _beginning_so(method, ACROSS) if isinstance(method, str) else []
    if len(fitting) == 1:
        return fitting[0]
    raise DataError(
        f"cross_adjust cannot be {method!r}{near_match(method, ACROSS)}; "
        f"it is one of {', '.join(ACROSS)}"
    )


def cross_adjusted(p: Array, method: str) -> Array:
    """Adjust p-values of several families across these.

    Parameters
    ----------
    p : array (families, tests)
        Adjusted within each family; NaN where there is none.
    method : str
        As :func:`cross_adjustment_name` gives it: ``sidak``, or one of R's ``p.adjust``.

    Returns
    -------
    array (families, tests)
        Each column adjusted for the number of families: of all for ``sidak``, else of those with
        a p-value there, as R does.
    """
    if method == "sidak":
        return np.asarray(-np.expm1(len(p) * np.log1p(-np.minimum(p, 1 - 1e-16))))
    adjusted = np.full(p.shape, np.nan)
    for j, known in enumerate(np.isfinite(p).T):
        adjusted[known, j] = p_adjust(p[known, j], method)
    return adjusted


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
    adjusted = np.empty(n)
    if method == "holm":
        adjusted[up] = np.minimum(1.0, np.maximum.accumulate((n - np.arange(n)) * p[up]))
        return adjusted
    if method == "hochberg":
        adjusted[down] = np.minimum(1.0, np.minimum.accumulate((np.arange(n) + 1) * p[down]))
        return adjusted
    if method in ("BH", "fdr", "BY"):
        factor = n / np.arange(n, 0, -1)
        if method == "BY":
            factor = factor * np.sum(1 / np.arange(1, n + 1))
        adjusted[down] = np.minimum(1.0, np.minimum.accumulate(factor * p[down]))
        return adjusted
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
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(1.0, np.maximum(a, s))
    return adjusted


def _tail(t: Array, df: Array) -> Array:
    """P(T < t): the normal distribution where df is infinite, NaN where df is none."""
    from scipy import special

    asymptotic = np.isinf(df)
    return np.where(asymptotic, special.ndtr(t), special.stdtr(np.where(asymptotic, 1.0, df), t))


def two_sided(t: Array, df: Array) -> Array:
    """P(|T| > |t|): the normal distribution where df is infinite, NaN where df is none."""
    return 2 * _tail(-np.abs(t), df)


def _tukey(t: float, k: float, df: float) -> float:
    if math.isnan(t):
        return math.nan
    if k == 2:
        return float(two_sided(np.array([t]), np.array([df]))[0])
    return studentized_range.sf(math.sqrt(2) * abs(t), k, df)


def _is_singular(correlation: Array) -> bool:
    return bool(np.linalg.eigvalsh(correlation)[0] <= 1e-8)


def _critical(
    level: float, correlation: Array, df: float, one_sided: bool, low: float, high: float
) -> float:
    """The t that the largest of all does not pass with probability ``level``; it lies between
    those for one test and for as many independent ones.
    """
    from scipy.optimize import brentq

    if len(correlation) > 1 and _is_singular(correlation):
        return float(np.quantile(_largest(correlation, df, one_sided), level))
    return float(
        brentq(
            lambda x: _outside(x, correlation, df, one_sided) - (1 - level),
            low - 0.05 * abs(low) - 0.1,  # room for the error of the integral
            high + 0.05 * abs(high) + 0.1,
            xtol=1e-4,
        )
    )


def _outside(t: float, correlation: Array, df: float, one_sided: bool = False) -> float:
    """P(max |T_i| > t) for multivariate t with this correlation matrix (Genz & Bretz 2009), or
    P(max T_i > t).
    """
    n = len(correlation)
    if n == 1:
        tail = _tail if one_sided else two_sided
        return float(tail(np.array([-t]), np.array([df]))[0])
    if not _is_singular(correlation):
        from scipy.stats import multivariate_normal, multivariate_t

        limit = np.full(n, t)
        lowest = np.full(n, -np.inf) if one_sided else -limit
        if math.isfinite(df):
            whole_by_its_stubs: Any = df
            inside = multivariate_t.cdf(
                limit,
                shape=correlation,
                df=whole_by_its_stubs,
                lower_limit=lowest,
                maxpts=100_000 * n,
                random_state=1,
            )
        else:
            inside = multivariate_normal.cdf(
                limit, cov=correlation, lower_limit=lowest, maxpts=1_000_000 * n, releps=1e-7
            )
        return float(np.clip(1 - inside, 0, 1))
    return float(np.mean(_largest(correlation, df, one_sided) > t))


def _largest(correlation: Array, df: float, one_sided: bool) -> Array:
    """Max |T_i| (or T_i) on quasi-random points, for singular correlation matrices too."""
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
    return np.asarray(np.max(z if one_sided else np.abs(z), axis=1))


def adjusted_p(
    t: Array,
    df: Array,
    method: str,
    family: float,
    rank: int,
    correlation: Array,
    count: int | None = None,
    side: int = 0,
) -> Array:
    """Adjusted p-values of the t ratios.

    Parameters
    ----------
    t : array (n,)
        The t ratios.
    df : array (n,)
        Their degrees of freedom; NaN where they are not known.
    method : str
        The adjustment, such as ``tukey`` or ``holm``.
    family : float
        Means compared, for Tukey's method.
    rank : int
        Of the contrasts, for Scheffe's.
    correlation : array (n, n)
        Of the estimates.
    count : int, optional
        Tests in the family; default n.
    side : {-1, 0, 1}
        P(T < t), P(|T| > |t|) or P(T > t); those of :data:`TWO_SIDED` have the second alone.
    """
    from scipy import special

    known = np.isfinite(t) & ~np.isnan(df)
    if not known.all():  # of functions that cannot be estimated, or without degrees of freedom
        adjusted = np.full(len(t), np.nan)
        if known.any():
            part = correlation[np.ix_(known, known)]
            adjusted[known] = adjusted_p(
                t[known], df[known], method, family, rank, part, count or len(t), side
            )
        return adjusted
    p = two_sided(t, df) if side == 0 else _tail(-side * t, df)
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
        at = np.abs(t) if side == 0 else side * t
        return np.array(
            [
                _outside(float(a), correlation, float(b), side != 0)
                for a, b in zip(at, df, strict=True)
            ]
        )
    return p_adjust(p, method, n)


def critical_values(
    level: float,
    df: Array,
    method: str,
    family: float,
    rank: int,
    correlation: Array,
    count: int | None = None,
    side: int = 0,
) -> Array:
    """Compute critical values (k,): a limit is estimate ± critical value × standard error.

    Step-wise methods (holm, hochberg, hommel, BH, BY) define no intervals; Bonferroni's value is
    returned for them, as emmeans does.

    Parameters
    ----------
    level : float
        Of the family of intervals together, between 0 and 1.
    df : array (k,)
        Degrees of freedom; infinite for normal quantiles, NaN where they are not known, and there
        the value is NaN too.
    method : str
        The adjustment, such as ``"tukey"``, ``"scheffe"``, ``"bonferroni"`` or ``"none"``.
    family : float
        How many means the differences are of, for Tukey's studentized range.
    rank : int
        Dimensions of the linear functions, for Scheffe's.
    correlation : array (k, k)
        Of the estimates, for the multivariate t.
    count : int, optional
        Estimates in the family; by default k.
    side : int
        Not 0 for a limit at one end only.

    References
    ----------
    Hsu (1996), Multiple Comparisons: Theory and Methods.
    """
    from scipy import special

    known_df = ~np.isnan(df)
    if not known_df.all():
        values = np.full(len(df), np.nan)
        if known_df.any():
            part = correlation[np.ix_(known_df, known_df)]
            values[known_df] = critical_values(
                level, df[known_df], method, family, rank, part, count or len(df), side
            )
        return values
    n = len(df) if count is None else count
    alpha = 1 - level
    tails = 1 if side else 2
    finite = np.isfinite(df)
    safe = np.where(finite, df, 1.0)

    def quantile(upper: float) -> Array:
        return np.where(finite, special.stdtrit(safe, 1 - upper), special.ndtri(1 - upper))

    if method == "none" or (n < 2 and method != "scheffe"):
        return quantile(alpha / tails)
    if method == "tukey" and family > 2:
        quantiles = [studentized_range.ppf(level, family, value) for value in df.tolist()]
        return np.array(quantiles) / math.sqrt(2)
    if method == "tukey":
        return quantile(alpha / 2)
    if method == "scheffe":
        F = np.where(finite, special.fdtri(rank, safe, level), special.chdtri(rank, alpha) / rank)
        return np.asarray(np.sqrt(rank * F))
    if method == "sidak":
        return quantile((1 - level ** (1 / n)) / tails)
    if method in ("dunnett", "mvt"):
        low, high = quantile(alpha / tails), quantile(alpha / (tails * n))
        known = {
            value: _critical(level, correlation, value, side != 0, float(a), float(b))
            for value, a, b in zip(df.tolist(), low, high, strict=True)
        }
        return np.array([known[v] for v in df.tolist()])
    return quantile(alpha / (tails * n))
