"""Ordinary regression, on all rows and by group: what a mixed model is compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError

__all__ = [
    "ByGroup",
    "Regression",
    "cooks_distances",
    "regress",
    "regress_by_group",
    "standardized",
    "studentized",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

ALIASED_PART = 1e-7  # of a column's norm, as in R's qr()


@by_value
@dataclass(frozen=True, eq=False)
class Regression:
    """Least squares.

    Attributes
    ----------
    beta : array (p,); unscaled : array (p, p)
        Estimates, and (X'X)^-1 with the weights in it.
    fitted, residuals, weighted, hat : array (n,)
        Response residuals, these times the root of the weights (of a generalized model Pearson's);
        leverages.
    rss : float
        Weighted residual sum of squares.
    effects : array (p,)
        What each column adds to those before it: its square is a sequential sum of squares.
    log_det_X : float
        log|X'X|.
    log_weights : float
    scale : float, optional
        The residual standard deviation where it is not that of ``rss``.
    """

    names: tuple[str, ...]
    beta: Array
    unscaled: Array
    fitted: Array
    residuals: Array
    weighted: Array
    hat: Array
    rss: float
    effects: Array
    log_det_X: float
    log_weights: float
    nobs: int
    scale: float | None = None

    @property
    def df_residual(self) -> int:
        """Rows less coefficients."""
        return self.nobs - len(self.beta)

    @property
    def sigma(self) -> float:
        """The residual standard deviation, in units of the response."""
        return math.sqrt(self.rss / self.df_residual) if self.scale is None else self.scale

    @property
    def vcov(self) -> Array:
        """Covariance matrix (p, p) of the coefficients."""
        return self.sigma**2 * self.unscaled

    def logLik(self, REML: bool = False) -> float:
        """Log-likelihood with sigma profiled out; restricted with ``REML``."""
        n = self.df_residual if REML else self.nobs
        value = n * (1 + math.log(2 * math.pi * self.rss / n)) - self.log_weights
        return -0.5 * (value + (self.log_det_X if REML else 0.0))


def regress(frame: ModelFrame) -> Regression:
    """The fixed part of ``frame`` by least squares."""
    y, X, root = frame.weighted()
    n, p = X.shape
    Q, R = np.linalg.qr(X)
    inverse: Array = np.asarray(np.linalg.inv(R), dtype=np.float64)
    effects: Array = np.asarray(Q.T @ y, dtype=np.float64)
    beta: Array = np.asarray(inverse @ effects, dtype=np.float64)
    residual = y - X @ beta
    fitted = frame.X @ beta + (0.0 if frame.offset is None else frame.offset)
    return Regression(
        names=frame.x_names,
        beta=beta,
        unscaled=inverse @ inverse.T,
        fitted=fitted,
        residuals=frame.y - fitted,
        weighted=residual,
        hat=np.sum(Q**2, axis=1),
        rss=float(residual @ residual),
        effects=effects,
        log_det_X=2 * float(np.log(np.abs(np.diag(R))).sum()) if p else 0.0,
        log_weights=0.0 if root is None else 2 * float(np.log(root).sum()),
        nobs=n,
    )


def _spare(fit: Regression) -> Array:
    """One less the leverages; missing where that is nothing: the row is fitted whatever it is."""
    spare = 1 - fit.hat
    return np.where(spare < 10 * np.finfo(float).eps, np.nan, spare)


def standardized(fit: Regression) -> Array:
    """Residuals over their standard errors."""
    return np.asarray(fit.weighted / (fit.sigma * np.sqrt(_spare(fit))))


def studentized(fit: Regression) -> Array:
    """Residuals over standard errors of the fit without the row (Cook & Weisberg 1982, section
    2.2.1); where the standard deviation is known, as it is.
    """
    if fit.scale is not None:
        return standardized(fit)
    residuals, spare = fit.weighted, _spare(fit)
    without = fit.rss - residuals**2 / spare
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(residuals / np.sqrt(spare * without / (fit.df_residual - 1)))


def cooks_distances(fit: Regression) -> Array:
    """Cook's (1977) distances."""
    spare = _spare(fit)
    return np.asarray((fit.weighted / (fit.sigma * spare)) ** 2 * fit.hat / len(fit.beta))


@by_value
@dataclass(frozen=True, eq=False)
class ByGroup:
    """A regression in each group.

    Attributes
    ----------
    levels : tuple of str
    names : tuple of str
    beta : array (levels, p)
        NaN for a column that is a combination of earlier ones within the group.
    std_error : array (levels, p)
        By the pooled residual standard deviation.
    rss : array (levels,); rank, counts : array of int (levels,)
    """

    levels: tuple[str, ...]
    names: tuple[str, ...]
    beta: Array
    std_error: Array
    rss: Array
    rank: Any
    counts: Any

    @property
    def df_residual(self) -> int:
        """Rows less coefficients, summed over the groups."""
        return int(np.sum(self.counts - self.rank))

    @property
    def sigma(self) -> float:
        """Pooled over the groups."""
        df = self.df_residual
        return math.sqrt(float(np.sum(self.rss)) / df) if df > 0 else math.nan


def regress_by_group(
    frame: ModelFrame, codes: Any, levels: tuple[str, ...], X: Array | None = None
) -> ByGroup:
    """Least squares of the fixed part within each group, all groups at once: sweeps of the groups'
    cross-products of orthonormalized columns, column by column.

    Parameters
    ----------
    frame : ModelFrame
        Of all groups together.
    codes : array of int (n,)
    levels : tuple of str
        The groups' names.
    X : array (n, p), optional
        Other columns than the fixed part's.

    Raises
    ------
    DataError
        A group without rows.
    """
    y, fixed, root = frame.weighted()
    columns = fixed if X is None else (X if root is None else X * root[:, None])
    p = columns.shape[1]
    count = len(levels)
    counts = np.bincount(codes, minlength=count)
    if counts.min(initial=1) == 0:
        raise DataError(f"group {levels[int(np.argmin(counts))]!r} has no rows")
    both = np.column_stack([columns, y])
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(count))
    both = both[order]
    own = codes[order]
    # modified Gram-Schmidt within each group, on the rows themselves: no digits are lost
    R = np.zeros((count, p + 1, p + 1))
    used = np.zeros((count, p), dtype=bool)
    for j in range(p):
        norm0 = np.sqrt(np.add.reduceat(columns[order][:, j] ** 2, starts))
        norm = np.sqrt(np.add.reduceat(both[:, j] ** 2, starts))
        used[:, j] = norm > ALIASED_PART * norm0
        scale = np.where(used[:, j], norm, 1.0)
        both[:, j] *= (used[:, j] / scale)[own]
        R[:, j, j] = np.where(used[:, j], norm, 1.0)
        rest = np.add.reduceat(both[:, j, None] * both[:, j + 1 :], starts)
        R[:, j, j + 1 :] = rest
        both[:, j + 1 :] -= both[:, j, None] * rest[own]
    rss = np.add.reduceat(both[:, p] ** 2, starts)
    inverse = np.linalg.inv(R[:, :p, :p]) if p else np.empty((count, 0, 0))
    # a column left out has no row of its own: its coefficient is 0 in the others' equations
    inverse = inverse * used[:, :, None] * used[:, None, :]
    beta = np.where(used, np.einsum("lij,lj->li", inverse, R[:, :p, p]), np.nan)
    rank = used.sum(axis=1)
    df = int(np.sum(counts - rank))
    sigma = math.sqrt(float(rss.sum()) / df) if df > 0 else math.nan
    errors = np.where(used, sigma * np.sqrt(np.sum(inverse**2, axis=2)), np.nan)
    names = frame.x_names if X is None else tuple(str(j + 1) for j in range(p))
    return ByGroup(levels, names, beta, errors, rss, rank, counts)
