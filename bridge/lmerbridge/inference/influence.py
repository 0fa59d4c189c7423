"""What each observation or group does to the fit: leverages, deletion of rows and of groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError, near_match
from lmerbridge.inference.effects import chosen_effects
from lmerbridge.inference.predict import as_rows, relative_variances
from lmerbridge.inference.residuals import residuals
from lmerbridge.result import FitResult

__all__ = ["Influence", "cooks_distance", "hat_values", "influence", "rstudent"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def hat_values(frame: ModelFrame, result: FitResult) -> Array:
    """Leverages (n,): the diagonal of the matrix that makes fitted values of the response, theta
    as it is (Demidenko & Stukel 2005, Stat. Med. 24, 893-909).
    """
    found = relative_variances(frame, result, as_rows(frame), chosen_effects(frame, None))
    return found if frame.weights is None else found * frame.weights


def cooks_distance(frame: ModelFrame, result: FitResult) -> Array:
    """Cook's distances (n,) from the leverages, theta as it is: (r / (1 - h))^2 h / (sigma^2 p)."""
    h = hat_values(frame, result)
    r = residuals(result, "pearson")
    p = len(result.estimates.names)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((r / (1 - h)) ** 2 * h / (result.estimates.sigma**2 * p))


def rstudent(frame: ModelFrame, result: FitResult) -> Array:
    """Residuals over their standard errors (n,): r / (sigma sqrt(1 - h))."""
    h = hat_values(frame, result)
    r = residuals(result, "pearson")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(r / (result.estimates.sigma * np.sqrt(1 - h)))


@dataclass(frozen=True)
class Influence:
    """The fit without each of some sets of rows, the variance components estimated again.

    Attributes
    ----------
    sets : tuple of str
        The group's level, or the row's label.
    by : str
        The grouping factor, or ``"observation"``.
    beta, std_error : array (sets, p)
        NaN where the rest does not determine the effects.
    theta : array (sets, m); sigma : array (sets,)
    """

    sets: tuple[str, ...]
    by: str
    names: tuple[str, ...]
    beta: Array
    std_error: Array
    theta: Array
    sigma: Array
    full: Array
    vcov: Array

    def dfbeta(self) -> pd.DataFrame:
        """The fixed effects without each set less those of the whole fit (lme4's sign)."""
        return pd.DataFrame(self.beta - self.full, index=list(self.sets), columns=list(self.names))

    def dfbetas(self) -> pd.DataFrame:
        """:meth:`dfbeta` over the standard errors without the set."""
        return pd.DataFrame(self.dfbeta() / self.std_error)

    def cooks_distance(self) -> pd.Series[float]:
        """Dfbeta' vcov^-1 dfbeta (s - p) / (s p), vcov that of the whole fit and s the number of
        sets: the factor is what R's ``cooks.distance(influence(m))`` has.
        """
        change = self.full - self.beta
        sets, p = change.shape
        values = np.einsum("sp,pq,sq->s", change, np.linalg.inv(self.vcov), change)
        scale = (sets - p) / (sets * p)
        return pd.Series(values * scale, index=list(self.sets), name="cooks_distance")

    def table(self) -> pd.DataFrame:
        """Fixed effects, theta and sigma without each set."""
        table = pd.DataFrame(self.beta, index=list(self.sets), columns=list(self.names))
        for j in range(self.theta.shape[1]):
            table[f"theta{j + 1}"] = self.theta[:, j]
        table["sigma"] = self.sigma
        return table


def influence(
    frame: ModelFrame,
    result: FitResult,
    groups: str | None = None,
    labels: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Influence:
    """Leave out each level of ``groups``, or each row, and fit the rest.

    The cross-products lose the rows' part, and the search starts from the whole fit's theta.

    Parameters
    ----------
    groups : str, optional
        A grouping factor, or a factor among the variables.
    labels : sequence of str
        Of the rows.

    Raises
    ------
    DataError
        Unknown grouping factor.
    """
    from lmerbridge.engines.native.refits import refit_products
    from lmerbridge.likelihood import cross_products

    if groups is None:
        sets = [np.array([i]) for i in range(frame.nobs)]
        names = tuple(labels) or tuple(str(i) for i in range(frame.nobs))
    else:
        known = {block.group: (block.codes, block.levels) for block in frame.random}
        if groups not in known:
            raise DataError(
                f"groups {groups!r} is no grouping factor of the model"
                f"{near_match(groups, known)}; it has {', '.join(known)}"
            )
        codes, names = known[groups]
        order = np.argsort(codes, kind="stable")
        sets = np.split(order, np.searchsorted(codes[order], np.arange(1, len(names))))
    c = cross_products(frame)
    REML, theta = result.call.REML, result.estimates.theta
    p, m = len(result.estimates.names), len(theta)
    beta, errors = np.full((len(sets), p), np.nan), np.full((len(sets), p), np.nan)
    thetas, sigma = np.full((len(sets), m), np.nan), np.full(len(sets), np.nan)
    for i, rows in enumerate(sets):
        if progress is not None:
            progress(i, len(sets))
        found, _ = refit_products(c.without(frame, rows), REML, theta)
        if found is not None:
            beta[i], errors[i] = found.beta, np.sqrt(np.diag(found.vcov))
            thetas[i], sigma[i] = found.theta, found.sigma
    return Influence(
        names,
        groups or "observation",
        frame.x_names,
        beta,
        errors,
        thetas,
        sigma,
        result.estimates.beta,
        result.estimates.vcov,
    )
