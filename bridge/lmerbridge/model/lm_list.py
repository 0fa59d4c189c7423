"""``lmList``: a regression in each group."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import checked
from lmerbridge.design import ModelFrame, build_frame
from lmerbridge.design.columns import as_factor, drop_unused_levels, take
from lmerbridge.design.table import read_table
from lmerbridge.display.regression import lm_list_summary_text, lm_list_text
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, DataError, FitWarning, FormulaError
from lmerbridge.inference.regression import ByGroup, regress_by_group
from lmerbridge.messages import from_outside
from lmerbridge.model.names import data_name
from lmerbridge.shown import Text, shown

__all__ = ["LmList", "lmList"]


@checked
@by_value
@dataclass(frozen=True, eq=False, repr=False)
@shown
class LmList:
    """A regression in each group: R's ``lmList``.

    Attributes
    ----------
    frame : ModelFrame
        Response and model matrix of the rows used, of all groups.
    group : str
        The grouping factor's name.
    fit : ByGroup
        The numbers.
    codes : array (n,)
        Of each row, its group's position among the levels.
    """

    frame: ModelFrame
    group: str
    fit: ByGroup
    codes: Any = None

    @property
    def formula(self) -> str:
        """The formula: ``y ~ x | group``."""
        return f"{self.frame.formula} | {self.group}"

    def _table(self, values: Any) -> pd.DataFrame:
        return pd.DataFrame(values, index=list(self.fit.levels), columns=list(self.fit.names))

    def coef(self) -> pd.DataFrame:
        """Return the coefficients, a row per group; missing for a group without complete rows."""
        return self._table(self.fit.beta.copy())

    def std_error(self, pool: bool = True) -> pd.DataFrame:
        """Return the standard errors of the coefficients, a row per group.

        Parameters
        ----------
        pool : bool
            By the pooled residual standard deviation, or by each group's own.
        """
        if pool:
            return self._table(self.fit.std_error.copy())
        return self._table(self.fit.std_error * (self._own_sigma() / self.fit.sigma)[:, None])

    def _own_sigma(self) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            df = self.fit.counts - self.fit.rank
            return np.where(df > 0, np.sqrt(self.fit.rss / np.where(df > 0, df, 1)), np.nan)

    def sigma(self) -> float:
        """Return the pooled residual standard deviation, in units of the response."""
        return self.fit.sigma

    def df_residual(self) -> int:
        """Return the rows less the coefficients, summed over the groups."""
        return self.fit.df_residual

    def fixef(self) -> pd.Series[float]:
        """Return the mean of the groups' coefficients."""
        return self.coef().mean()

    def ranef(self) -> pd.DataFrame:
        """Return the groups' coefficients less their mean."""
        return self.coef() - self.coef().mean()

    def tests(self) -> dict[str, pd.DataFrame]:
        """Test each coefficient by the pooled standard deviation and its degrees of freedom.

        Returns
        -------
        dict of str to DataFrame
            By coefficient ``Estimate, Std. Error, t value, Pr(>|t|)``, a row per group.
        """
        from scipy.special import stdtr

        beta, errors = self.coef(), self.std_error()
        found = {}
        for name in self.fit.names:
            if beta[name].isna().all():
                continue
            t = beta[name] / errors[name]
            found[name] = pd.DataFrame(
                {
                    "Estimate": beta[name],
                    "Std. Error": errors[name],
                    "t value": t,
                    "Pr(>|t|)": 2 * stdtr(float(self.fit.df_residual), -np.abs(t)),
                }
            )
        return found

    def confint(self, level: float = 0.95, pool: bool = False) -> dict[str, pd.DataFrame]:
        """Compute t intervals, by each group's own regression.

        Parameters
        ----------
        level : float
            Of the intervals, between 0 and 1.
        pool : bool
            By the pooled standard deviation and its degrees of freedom.

        Returns
        -------
        dict of str to DataFrame
            By coefficient a row per group, a column per limit.

        Raises
        ------
        ArgumentError
            ``level`` is not between 0 and 1.
        """
        from scipy.special import stdtrit

        if not isinstance(level, int | float) or not 0 < level < 1:
            raise ArgumentError(f"level must be between 0 and 1, not {level!r}")
        df = np.where(self.fit.rank > 0, self.fit.counts - self.fit.rank, 0).astype(float)
        if pool:
            df[:] = self.fit.df_residual
        quantile = np.where(df > 0, stdtrit(np.maximum(df, 1.0), 0.5 + level / 2), np.nan)
        beta, errors = self.coef(), self.std_error(pool)
        low, high = (f"{100 * c:.3g} %" for c in (0.5 - level / 2, 0.5 + level / 2))
        return {
            name: pd.DataFrame(
                {
                    low: beta[name] - quantile * errors[name],
                    high: beta[name] + quantile * errors[name],
                }
            )
            for name in self.fit.names
        }

    def fitted(self) -> pd.Series[float]:
        """Return the fitted values of the rows used."""
        beta = np.nan_to_num(self.fit.beta)[self.codes]
        offset = 0.0 if self.frame.offset is None else self.frame.offset
        values = np.sum(self.frame.X * beta, axis=1) + offset
        return pd.Series(values, index=self.frame.source.index, name="fitted")

    def residuals(self) -> pd.Series[float]:
        """Return the response less the fitted values, of the rows used."""
        return pd.Series(
            self.frame.y - self.fitted().to_numpy(), index=self.frame.source.index, name="residuals"
        )

    def logLik(self, pool: bool = True) -> float:
        """Compute the log-likelihood.

        Parameters
        ----------
        pool : bool
            With one residual standard deviation, or with one per group.

        Raises
        ------
        DataError
            A group has no fit.
        """
        if np.any(self.fit.counts == 0):
            raise DataError("log-likelihood not available: a group has no complete rows")
        weights = self.frame.weights
        logs = 0.0 if weights is None else float(np.sum(np.log(weights)))
        n = self.fit.counts if not pool else np.array([self.fit.counts.sum()])
        rss = self.fit.rss if not pool else np.array([self.fit.rss.sum()])
        with np.errstate(divide="ignore"):
            parts = n * (np.log(2 * math.pi * rss / n) + 1)
        return 0.5 * (logs - float(parts.sum()))

    def AIC(self, pool: bool = True) -> float:
        """Compute Akaike's criterion, of all coefficients and the residual standard deviation(s).

        Parameters
        ----------
        pool : bool
            As of :meth:`logLik`.

        Raises
        ------
        DataError
            A group has no fit.
        """
        counted = int(self.fit.rank.sum()) + (1 if pool else len(self.fit.levels))
        return -2 * self.logLik(pool) + 2 * counted

    def summary(self) -> Text:
        """Return what R prints for ``summary(lmList(...))``."""
        return Text(lm_list_summary_text(self.frame, self.group, self.fit, self.tests()))

    def __len__(self) -> int:
        return len(self.fit.levels)

    def __str__(self) -> str:
        return lm_list_text(self.frame, self.group, self.fit)


def _with_empty(fit: ByGroup, levels: tuple[str, ...]) -> ByGroup:
    """The fit with missing rows for the levels that it has not."""
    place = [levels.index(level) for level in fit.levels]

    def spread(values: Any, empty: float) -> Any:
        found = np.full((len(levels), *values.shape[1:]), empty, dtype=np.result_type(values))
        found[place] = values
        return found

    return ByGroup(
        levels,
        fit.names,
        spread(fit.beta, np.nan),
        spread(fit.std_error, np.nan),
        spread(fit.rss, 0.0),
        spread(fit.rank, 0),
        spread(fit.counts, 0),
    )


@checked
def lmList(
    formula: str,
    data: Any,
    weights: Any = None,
    offset: Any = None,
    na_action: str = "omit",
) -> LmList:
    """Fit a regression in each group: ``lmList("Reaction ~ Days | Subject", data)``.

    A group without complete rows has missing coefficients, and a warning says so.

    Parameters
    ----------
    formula : str
        ``"y ~ x | group"``.
    data : frame
        As of :func:`lmerbridge.lmer`.
    weights, offset : str or array (n,), optional
        As of :func:`lmerbridge.lm`.
    na_action : str
        As of :func:`lmerbridge.lmer`.

    Returns
    -------
    LmList
        A row of coefficients per group.

    Raises
    ------
    FormulaError
        It is not ``y ~ x | group``.
    DataError
        A column is missing, or the values cannot be used.

    Warns
    -----
    FitWarning
        A group has no complete rows.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> by_subject = lb.lmList("Reaction ~ Days | Subject", lb.datasets.load("sleepstudy"))
    >>> print(by_subject.coef().head(2).round(2).to_string())
         (Intercept)   Days
    308       244.19  21.76
    309       205.05   2.26
    """
    fixed, bar, group = formula.rpartition("|") if isinstance(formula, str) else ("", "", "")
    group = group.strip().strip("`")
    if not bar or not group or "|" in fixed:
        raise FormulaError("lmList's formula is 'y ~ x | group'", str(formula), 0)
    table = read_table(data)
    column = as_factor(table.column(group))
    present = column.codes >= 0
    frame = build_frame(
        fixed,
        data,
        weights=weights,
        offset=offset,
        subset=None if present.all() else present,
        na_action=na_action,
        data_name=data_name(data),
        mixed=False,
    )
    every = drop_unused_levels(as_factor(take(column, present)))
    factor = drop_unused_levels(as_factor(take(column, frame.source.kept)))
    fit = regress_by_group(frame, factor.codes, factor.levels)
    codes = factor.codes
    empty = [level for level in every.levels if level not in set(factor.levels)]
    if empty:
        fit = _with_empty(fit, every.levels)
        codes = np.array([every.levels.index(level) for level in factor.levels])[codes]
        caught = "1 error" if len(empty) == 1 else f"{len(empty)} times"
        warnings.warn(
            f"{caught} caught in the regressions by {group}: 0 (non-NA) cases in "
            f"{', '.join(empty)}, whose coefficients are missing",
            FitWarning,
            stacklevel=from_outside(),
        )
    return LmList(frame, group, fit, codes)
