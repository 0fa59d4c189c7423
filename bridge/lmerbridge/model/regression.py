"""``lm`` and ``lmList``: ordinary regressions to set beside a mixed model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame, build_frame
from lmerbridge.design.columns import as_factor, drop_unused_levels, read_table, take
from lmerbridge.display.regression import lm_list_text, lm_summary_text, lm_text
from lmerbridge.errors import DataError, FormulaError
from lmerbridge.inference.regression import ByGroup, Regression, regress, regress_by_group

__all__ = ["LinearModel", "LmList", "lm", "lmList"]


@dataclass(frozen=True, repr=False)
class LinearModel:
    """An ordinary regression, with R's methods and R's printed summary."""

    frame: ModelFrame
    fit: Regression

    @property
    def formula(self) -> str:
        return str(self.frame.formula)

    def coef(self) -> pd.Series[float]:
        """Coefficients by R's names."""
        return pd.Series(self.fit.beta.copy(), index=list(self.fit.names))

    fixef = coef

    def vcov(self) -> pd.DataFrame:
        names = list(self.fit.names)
        return pd.DataFrame(self.fit.sigma**2 * self.fit.unscaled, index=names, columns=names)

    def sigma(self) -> float:
        return self.fit.sigma

    def nobs(self) -> int:
        return self.fit.nobs

    def df_residual(self) -> int:
        return self.fit.df_residual

    def fitted(self) -> pd.Series[float]:
        return pd.Series(self.fit.fitted.copy(), index=self.frame.index, name="fitted")

    def residuals(self) -> pd.Series[float]:
        return pd.Series(self.fit.residuals.copy(), index=self.frame.index, name="residuals")

    def hatvalues(self) -> pd.Series[float]:
        return pd.Series(self.fit.hat.copy(), index=self.frame.index, name="hatvalues")

    def logLik(self, REML: bool = False) -> float:
        return self.fit.logLik(REML)

    def deviance(self) -> float:
        """Residual sum of squares, as R's ``deviance`` of a regression is."""
        return self.fit.rss

    def AIC(self) -> float:
        return -2 * self.fit.logLik() + 2 * (len(self.fit.beta) + 1)

    def BIC(self) -> float:
        return -2 * self.fit.logLik() + float(np.log(self.fit.nobs)) * (len(self.fit.beta) + 1)

    def rmse(self) -> float:
        """Root of the mean squared residual."""
        return float(np.sqrt(np.mean(self.fit.residuals**2)))

    def tests(self) -> pd.DataFrame:
        """Estimate, Std. Error, t value, Pr(>|t|)."""
        from scipy import special

        errors = self.fit.sigma * np.sqrt(np.diag(self.fit.unscaled))
        t = self.fit.beta / errors
        p = 2 * special.stdtr(self.fit.df_residual, -np.abs(t))
        return pd.DataFrame(
            {"Estimate": self.fit.beta, "Std. Error": errors, "t value": t, "Pr(>|t|)": p},
            index=list(self.fit.names),
        )

    def confint(self, level: float = 0.95) -> pd.DataFrame:
        """T intervals."""
        from scipy import special

        if not 0 < level < 1:
            raise DataError(f"level must be between 0 and 1, not {level}")
        half = special.stdtrit(self.fit.df_residual, 0.5 + level / 2) * np.sqrt(
            np.diag(self.vcov())
        )
        low, high = (f"{100 * c:.3g} %" for c in (0.5 - level / 2, 0.5 + level / 2))
        return pd.DataFrame(
            {low: self.fit.beta - half, high: self.fit.beta + half}, index=list(self.fit.names)
        )

    def predict(self, newdata: Any = None) -> pd.Series[float]:
        """Fitted values, or predictions for new rows."""
        from lmerbridge.design.newdata import new_rows

        if newdata is None:
            return self.fitted()
        rows = new_rows(self.frame, newdata)
        found = rows.X @ self.fit.beta + (0.0 if rows.offset is None else rows.offset)
        return pd.Series(found, index=rows.index, name="predict")

    def tidy(self) -> pd.DataFrame:
        """Broom's columns."""
        table = self.tests().reset_index(names="term")
        return table.rename(
            columns={
                "Estimate": "estimate",
                "Std. Error": "std_error",
                "t value": "statistic",
                "Pr(>|t|)": "p_value",
            }
        )

    def summary(self) -> str:
        """What R prints for ``summary(lm(...))``."""
        return lm_summary_text(self.frame, self.fit, self.tests())

    def __str__(self) -> str:
        return lm_text(self.frame, self.fit)

    def __repr__(self) -> str:
        return str(self)


def lm(
    formula: str,
    data: Any,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Mapping[str, Any] | None = None,
) -> LinearModel:
    """Fit an ordinary regression, as R's ``lm``; arguments as of :func:`lmerbridge.lmer`.

    Raises
    ------
    FormulaError, DataError
    """
    from lmerbridge.model.fitting import data_name

    frame = build_frame(
        formula,
        data,
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        data_name=data_name(data, 2),
        mixed=False,
    )
    return LinearModel(frame, regress(frame))


@dataclass(frozen=True, repr=False)
class LmList:
    """A regression in each group: R's ``lmList``."""

    frame: ModelFrame
    group: str
    fit: ByGroup

    def coef(self) -> pd.DataFrame:
        """Coefficients, a row per group."""
        return pd.DataFrame(
            self.fit.beta.copy(), index=list(self.fit.levels), columns=list(self.fit.names)
        )

    def std_error(self) -> pd.DataFrame:
        """Their standard errors by the pooled residual standard deviation."""
        return pd.DataFrame(
            self.fit.std_error.copy(), index=list(self.fit.levels), columns=list(self.fit.names)
        )

    def sigma(self) -> float:
        """Pooled residual standard deviation."""
        return self.fit.sigma

    def df_residual(self) -> int:
        return self.fit.df_residual

    def __len__(self) -> int:
        return len(self.fit.levels)

    def __str__(self) -> str:
        return lm_list_text(self.frame, self.group, self.fit)

    def __repr__(self) -> str:
        return str(self)


def lmList(formula: str, data: Any, na_action: str = "omit") -> LmList:
    """Regressions by group: ``lmList("Reaction ~ Days | Subject", data)``.

    Raises
    ------
    FormulaError, DataError
    """
    from lmerbridge.model.fitting import data_name

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
        subset=None if present.all() else present,
        na_action=na_action,
        data_name=data_name(data, 2),
        mixed=False,
    )
    factor = drop_unused_levels(as_factor(take(column, frame.kept)))
    return LmList(frame, group, regress_by_group(frame, factor.codes, factor.levels))
