"""What each observation or group does to the fit: leverages, deletion of rows and of groups."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.arguments import checked
from lmerbridge.design import ModelFrame
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, FitWarning, LmerBridgeError, near_match
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.predict import as_rows, relative_variances
from lmerbridge.inference.re_form import chosen_effects
from lmerbridge.inference.residuals import residuals
from lmerbridge.inference.working import working_fit
from lmerbridge.messages import from_outside
from lmerbridge.shown import shown, titled_table

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts

__all__ = ["Influence", "Without", "cooks_distance", "hat_values", "influence", "rstudent"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
LOST_PART = 1e-10  # of a direction's sum of squares: what is left of less is rounding

# the fixed effects, their standard errors, theta and sigma without some rows (indices)
Without: TypeAlias = Callable[[Any], tuple[Array, Array, Array, float]]

# how one of many fits can fail
FAILURES = (LmerBridgeError, ArithmeticError, ValueError)


def hat_values(fit: Fit) -> Array:
    """Leverages (n,): the diagonal of the matrix that makes fitted values of the response, theta
    as it is (Demidenko & Stukel 2005, Stat. Med. 24, 893-909); of a generalized model those of the
    linear one of its last iteration.
    """
    fit = working_fit(fit) if fit.result.call.generalized else fit
    frame = fit.frame
    variances = relative_variances(fit, as_rows(frame), chosen_effects(frame, None))
    return variances if frame.weights is None else variances * frame.weights


def cooks_distance(fit: Fit) -> Array:
    """Cook's distances (n,) from the leverages, theta as it is: (r / (1 - h))^2 h / (sigma^2 p)."""
    h, result = hat_values(fit), fit.result
    r = residuals(result, "pearson")
    p = len(result.estimates.names)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((r / (1 - h)) ** 2 * h / (result.estimates.scale**2 * p))


def rstudent(fit: Fit) -> Array:
    """Residuals over their standard errors (n,): r / (sigma sqrt(1 - h))."""
    h, result = hat_values(fit), fit.result
    r = residuals(result, "pearson")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(r / (result.estimates.scale * np.sqrt(1 - h)))


@checked
@by_value
@dataclass(frozen=True, eq=False)
@shown
class Influence:
    """The fit without each of some sets of rows, the variance components estimated again.

    Attributes
    ----------
    sets : tuple of str
        The group's level, or the row's label.
    by : str
        The grouping factor, or ``"observation"``.
    beta, std_error : array (sets, p)
        NaN where the rest does not determine the effects, or could not be fitted.
    theta : array (sets, m); sigma : array (sets,)
    full, vcov, whole_theta, whole_sigma
        Of the whole fit.
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
    whole_theta: Array
    whole_sigma: float

    def __str__(self) -> str:
        table = self.table()
        table.insert(0, "Cook's distance", self.cooks_distance())
        return titled_table(
            f"The fit without each of {len(self.sets)} sets of rows, by {self.by}\n"
            "(table(), cooks_distance(), dfbeta(), dfbetas())",
            table.sort_values("Cook's distance", ascending=False),
        )

    def placed(self, sets: Sequence[str], used: Any) -> Influence:
        """The same among more sets, of which those not in ``used`` have no rows of the fit: the
        fit without them is the fit.
        """

        def among(values: Array, whole: Any) -> Array:
            found = np.empty((len(sets), *values.shape[1:]))
            found[:] = whole
            found[used] = values
            return found

        return replace(
            self,
            sets=tuple(sets),
            beta=among(self.beta, self.full),
            std_error=among(self.std_error, np.sqrt(np.diag(self.vcov))),
            theta=among(self.theta, self.whole_theta),
            sigma=among(self.sigma, self.whole_sigma),
        )

    def dfbeta(self) -> pd.DataFrame:
        """The fixed effects without each set less those of the whole fit (lme4's sign)."""
        return pd.DataFrame(self.beta - self.full, index=list(self.sets), columns=list(self.names))

    def dfbetas(self) -> pd.DataFrame:
        """:meth:`dfbeta` over the standard errors without the set."""
        return pd.DataFrame(self.dfbeta() / self.std_error)

    def cooks_distance(self) -> pd.Series[float]:
        """Compute Cook's distance of each set: dfbeta' vcov^-1 dfbeta (s - p) / (s p).

        vcov is that of the whole fit, s the number of sets; the factor is what R's
        ``cooks.distance(influence(m))`` has. NaN where there are no fixed effects.
        """
        change = self.full - self.beta
        sets, p = change.shape
        values = np.einsum("sp,pq,sq->s", change, np.linalg.inv(self.vcov), change)
        scale = (sets - p) / (sets * p) if p else np.nan
        return pd.Series(values * scale, index=list(self.sets), name="cooks_distance")

    def table(self) -> pd.DataFrame:
        """Fixed effects, theta and sigma without each set."""
        table = pd.DataFrame(self.beta, index=list(self.sets), columns=list(self.names))
        for j in range(self.theta.shape[1]):
            table[f"theta{j + 1}"] = self.theta[:, j]
        table["sigma"] = self.sigma
        return table


def _determined(c: CrossProducts, frame: ModelFrame, rows: Array) -> bool:
    """Whether the other rows determine all fixed effects: X without ``rows`` has full rank.

    With X = Q R, X'X of the others is R'(I - B'B) R for B = ``rows`` of Q, which is singular where
    the largest singular value of B is 1.
    """
    if not c.p:
        return True
    _, X, _ = frame.weighted(rows)
    return float(np.linalg.norm(X @ np.linalg.inv(c.R), 2)) ** 2 < 1 - LOST_PART


def influence(
    fit: Fit,
    groups: str | None = None,
    labels: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
    refit: Without | None = None,
) -> Influence:
    """Leave out each level of ``groups``, or each row, and fit the rest.

    The cross-products lose the rows' part, and the search starts from the whole fit's theta.

    Parameters
    ----------
    fit : Fit
        The model.
    groups : str, optional
        A grouping factor, or a factor among the variables.
    labels : sequence of str
        Of the rows.
    progress : callable, optional
        Called with the fits that are done, and all.
    refit : callable, optional
        Fits without some rows; default: by cross-products, as of a linear model.

    Returns
    -------
    Influence
        NaN where the remaining rows do not determine all fixed effects.

    Raises
    ------
    DataError
        Unknown grouping factor.
    """
    from lmerbridge.solve.refits import refit_products

    frame, result, c = fit.frame, fit.result, fit.products
    if groups is None:
        sets = [np.array([i]) for i in range(frame.nobs)]
        names = tuple(labels) or tuple(str(i) for i in range(frame.nobs))
    else:
        known = {block.group: (block.codes, block.levels) for block in frame.random}
        if not isinstance(groups, str) or groups not in known:
            raise DataError(
                f"groups {groups!r} is no grouping factor of the model"
                f"{near_match(groups, known)}; it has {', '.join(known)}"
            )
        codes, names = known[groups]
        order = np.argsort(codes, kind="stable")
        sets = np.split(order, np.searchsorted(codes[order], np.arange(1, len(names))))
        # R goes through the levels as they come in the data
        came = np.argsort([rows[0] for rows in sets])
        sets, names = [sets[i] for i in came], tuple(names[i] for i in came)
    REML, start = result.call.REML, result.estimates.parameters
    p, m = len(result.estimates.names), len(result.estimates.theta)
    beta, errors = np.full((len(sets), p), np.nan), np.full((len(sets), p), np.nan)
    thetas, sigma = np.full((len(sets), m), np.nan), np.full(len(sets), np.nan)
    failed: list[str] = []
    for i, rows in enumerate(sets):
        if progress is not None:
            progress(i, len(sets))
        if not _determined(c, frame, rows):
            continue
        refitted = None
        try:
            if refit is None:
                refitted, _ = refit_products(c.without(frame, rows), REML, start)
            else:
                beta[i], errors[i], thetas[i], sigma[i] = refit(rows)
        except FAILURES:  # one set must not end the others
            failed.append(names[i])
        if refitted is not None:
            beta[i], errors[i] = refitted.beta, np.sqrt(np.diag(refitted.vcov))
            thetas[i], sigma[i] = refitted.theta, refitted.sigma
    if failed:
        warnings.warn(
            f"the fit failed without {len(failed)} of {len(sets)} sets, first {failed[0]}: NaN",
            FitWarning,
            stacklevel=from_outside(),
        )
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
        result.estimates.theta,
        result.estimates.scale,
    )
