"""``lm``: an ordinary regression to set beside a mixed model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs, check_level, checked
from lmerbridge.design import ModelFrame, build_frame
from lmerbridge.design.newdata import new_rows
from lmerbridge.dialects import without_r
from lmerbridge.display.anova import table_of_tests
from lmerbridge.display.intervals import confint_text
from lmerbridge.display.regression import lm_summary_text, lm_text
from lmerbridge.display.table import RTable
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, FitWarning, as_number, matched
from lmerbridge.formula import Formula
from lmerbridge.inference.anova import Fitted
from lmerbridge.inference.axes import AUTO, Reduce, meanint
from lmerbridge.inference.containment import every_column
from lmerbridge.inference.degrees import OfResiduals
from lmerbridge.inference.levels import DEFAULT_LEVEL, percent_labels
from lmerbridge.inference.parameters import Parameter, select
from lmerbridge.inference.predict import INTERVALS, as_rows, not_estimable
from lmerbridge.inference.regression import (
    Regression,
    cooks_distances,
    regress,
    standardized,
    studentized,
)
from lmerbridge.inference.regression_tests import TESTS, compare_regressions, sequential_table
from lmerbridge.messages import from_outside, tell
from lmerbridge.model import averaging
from lmerbridge.model.comparing import Compared, one_line
from lmerbridge.model.names import data_name
from lmerbridge.shown import Text, shown

__all__ = ["LinearModel", "lm"]


@checked
@by_value
@dataclass(frozen=True, eq=False, repr=False)
@shown
class LinearModel:
    """An ordinary regression, with R's methods and R's printed summary.

    Coefficients of columns that are linear combinations of others are missing, as in R.

    Attributes
    ----------
    frame : ModelFrame
        Response and model matrix of the rows used.
    least_squares : Regression
        The numbers.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> print(lb.lm("Reaction ~ Days", lb.datasets.load("sleepstudy")).anova())
    Analysis of Variance Table
    <BLANKLINE>
    Response: Reaction
               Df Sum Sq Mean Sq F value    Pr(>F)
    Days        1 162703  162703  71.464 9.894e-15 ***
    Residuals 178 405252    2277
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    """

    frame: ModelFrame
    least_squares: Regression

    @property
    def formula(self) -> str:
        """The formula, as R writes it."""
        return str(self.frame.formula)

    def _by_row(self, values: Any, name: str) -> pd.Series[float]:
        return pd.Series(values, index=self.frame.source.index, name=name)

    # -- estimates

    def coef(self) -> pd.Series[float]:
        """Return the coefficients by R's names, missing for columns that are combinations of
        others.
        """
        coefficients = pd.Series(
            self.least_squares.beta.copy(), index=list(self.least_squares.names)
        )
        return (
            coefficients.reindex(every_column(self.frame))
            if self.frame.design.x_dropped
            else coefficients
        )

    fixef = coef

    def vcov(self, complete: bool = True) -> pd.DataFrame:
        """Return the covariance matrix of the coefficients.

        Parameters
        ----------
        complete : bool
            With the coefficients that are missing.

        Returns
        -------
        DataFrame
            Rows and columns by name.
        """
        names = list(self.least_squares.names)
        vcov = pd.DataFrame(self.least_squares.vcov, index=names, columns=names)
        if not complete or not self.frame.design.x_dropped:
            return vcov
        every = every_column(self.frame)
        return vcov.reindex(index=every, columns=every)

    def sigma(self) -> float:
        """Return the residual standard deviation, in units of the response."""
        return self.least_squares.sigma

    def nobs(self) -> int:
        """Return the number of rows used."""
        return self.least_squares.nobs

    def df_residual(self) -> int:
        """Return the rows used less the coefficients."""
        return self.least_squares.df_residual

    def model_matrix(self) -> pd.DataFrame:
        """Return the model matrix (n, p), without the columns that are combinations of others."""
        return pd.DataFrame(
            self.frame.X.copy(), index=self.frame.source.index, columns=list(self.frame.x_names)
        )

    # -- rows

    def fitted(self) -> pd.Series[float]:
        """Return the fitted values, a value per row."""
        return self._by_row(self.least_squares.fitted.copy(), "fitted")

    def residuals(self) -> pd.Series[float]:
        """Return the response less the fitted values, a value per row."""
        return self._by_row(self.least_squares.residuals.copy(), "residuals")

    def hatvalues(self) -> pd.Series[float]:
        """Return the leverages, a value per row."""
        return self._by_row(self.least_squares.hat.copy(), "hatvalues")

    def rstandard(self) -> pd.Series[float]:
        """Divide the residuals by their standard errors; missing where the leverage is 1.

        References
        ----------
        Cook & Weisberg (1982), Residuals and Influence in Regression, section 2.2.1.
        """
        return self._by_row(standardized(self.least_squares), "rstandard")

    def rstudent(self) -> pd.Series[float]:
        """Divide the residuals by their standard errors of the fit without the row.

        References
        ----------
        Cook & Weisberg (1982), Residuals and Influence in Regression, section 2.2.1.
        """
        return self._by_row(studentized(self.least_squares), "rstudent")

    def cooks_distance(self) -> pd.Series[float]:
        """Compute Cook's distances, a value per row.

        References
        ----------
        Cook (1977), Technometrics 19, 15-18.
        """
        return self._by_row(cooks_distances(self.least_squares), "cooks_distance")

    # -- criteria

    def logLik(self, REML: bool = False) -> float:
        """Compute the log-likelihood.

        Parameters
        ----------
        REML : bool
            Whether the restricted one.
        """
        return self.least_squares.logLik(REML)

    def deviance(self) -> float:
        """Return the residual sum of squares, as R's ``deviance`` of a regression is."""
        return self.least_squares.rss

    def AIC(self, k: float = 2.0) -> float:
        """Compute Akaike's criterion: -2 logLik + ``k`` times the number of parameters.

        Parameters
        ----------
        k : float
            Weight of a parameter.
        """
        return -2 * self.least_squares.logLik() + k * (len(self.least_squares.beta) + 1)

    def BIC(self) -> float:
        """Compute Schwarz's criterion: -2 logLik + log(n) times the number of parameters."""
        return self.AIC(float(np.log(self.frame.nobs)))

    def rmse(self) -> float:
        """Compute the root of the mean squared residual, in units of the response."""
        return float(np.sqrt(np.mean(self.least_squares.residuals**2)))

    # -- tests

    def tests(self) -> pd.DataFrame:
        """Test each coefficient against 0 by a t test.

        Returns
        -------
        DataFrame
            ``Estimate, Std. Error, t value, Pr(>|t|)``; missing where the coefficient is.
        """
        from scipy import special

        errors = self.least_squares.sigma * np.sqrt(np.diag(self.least_squares.unscaled))
        t = self.least_squares.beta / errors
        p = 2 * special.stdtr(self.least_squares.df_residual, -np.abs(t))
        table = pd.DataFrame(
            {
                "Estimate": self.least_squares.beta,
                "Std. Error": errors,
                "t value": t,
                "Pr(>|t|)": p,
            },
            index=list(self.least_squares.names),
        )
        return table.reindex(every_column(self.frame)) if self.frame.design.x_dropped else table

    def anova(self, *others: Any, test: str = "F") -> RTable:
        """Test each term after those before it; with ``others``, compare models in the order given.

        Parameters
        ----------
        *others : LinearModel
            Of the same response. Mixed models come first: ``m.anova(lm)``.
        test : {"F", "Chisq", "Cp"}
            Of models: F tests by the mean square of the largest, chi-squared tests, or Mallows' Cp.

        Returns
        -------
        RTable
            A DataFrame that prints as R prints the table.

        Raises
        ------
        DataError
            A model is no regression, or is of other rows.
        ArgumentError
            ``test`` is none of those.
        """
        kind = matched(test, TESTS, "test")
        if not others:
            belongs("comparisons of models", test=kind != "F")
            return table_of_tests(sequential_table(self.frame, self.least_squares))
        for model in others:
            if not isinstance(model, LinearModel):
                raise DataError(
                    f"anova() of a regression compares regressions, not {type(model).__name__}; "
                    "a mixed model comes first: m.anova(regression)"
                )
        models = [(m.frame, m.least_squares) for m in (self, *others)]
        return table_of_tests(compare_regressions(models, kind))

    def compared(self, name: str, refit: bool) -> Compared:
        """Return what a comparison with a mixed model needs of this one.

        Parameters
        ----------
        name : str
            Under which it is shown.
        refit : bool
            As of :meth:`lmerbridge.Model.compared`; a regression is fitted by both criteria at
            once.
        """
        fitted = Fitted(
            name,
            one_line(self.frame.formula.lines),
            len(self.least_squares.beta) + 1,
            self.logLik(),
            self.nobs(),
            self.frame.asked.data_name,
            self.frame.asked.subset_name,
        )
        return Compared(fitted, self.frame.y)

    def confint(self, level: float = 0.95, parm: Any = None) -> RTable:
        """Compute t intervals.

        Parameters
        ----------
        level : float
            Of the intervals, between 0 and 1.
        parm : str, int or sequence, optional
            Coefficients, by name or by position, which counts from 1 as in R.

        Returns
        -------
        RTable
            A row per coefficient, a column per limit.

        Raises
        ------
        ArgumentError
            ``level`` is not between 0 and 1.
        DataError
            ``parm`` names no coefficient.
        """
        half = self._quantile(level) * np.sqrt(np.diag(self.vcov()))
        beta = self.coef()
        low, high = percent_labels(level)
        table = pd.DataFrame({low: beta - half, high: beta + half}, index=beta.index)
        every = [Parameter(str(name), str(name), "beta") for name in beta.index]
        table = table.loc[[p.name for p in select(every, parm)]]
        return RTable.of(table, confint_text(table))

    def _quantile(self, level: float) -> float:
        from scipy import special

        level = as_number(level, "level")
        check_level(level)
        return float(special.stdtrit(self.least_squares.df_residual, 0.5 + level / 2))

    def predict(
        self,
        newdata: Any = None,
        se_fit: bool = False,
        interval: str | None = None,
        level: float = DEFAULT_LEVEL,
    ) -> pd.Series[float] | pd.DataFrame:
        """Predict the rows of the fit or new ones.

        Parameters
        ----------
        newdata : frame, optional
            Needs the predictors, and the offset's variables.
        se_fit : bool
            Add standard errors.
        interval : {"confidence", "prediction"}, optional
            Add ``lwr`` and ``upr``: of the mean, or of a new observation.
        level : float
            Of the interval, between 0 and 1.

        Returns
        -------
        Series, or DataFrame with ``fit``, ``se_fit``, ``lwr``, ``upr``
            In units of the response; NaN, with a warning, for rows that a rank-deficient fit does
            not determine.

        Raises
        ------
        DataError
            ``newdata`` lacks a column, or has a level that the fit did not have.
        ArgumentError
            ``level`` is not between 0 and 1, or ``interval`` is none of those.

        Warns
        -----
        FitWarning
            As above.
        FitMessage
            What R says of prediction intervals: of the rows of the fit they are those of further
            responses, and new rows of a weighted fit count once.
        """
        quantile = self._quantile(level)
        belongs("interval=", level=level != DEFAULT_LEVEL and interval is None)
        kind = None if interval is None else matched(interval, INTERVALS, "interval")
        rows = as_rows(self.frame) if newdata is None else new_rows(self.frame, newdata)
        predicted = rows.X @ self.least_squares.beta + (0.0 if rows.offset is None else rows.offset)
        lost = not_estimable(rows)
        if lost.any():
            predicted = np.where(lost, np.nan, predicted)
            warnings.warn(
                f"prediction from rank-deficient fit: {int(lost.sum())} of {len(rows)} rows cannot "
                "be estimated from the data of the fit, and are NaN",
                FitWarning,
                stacklevel=from_outside(),
            )
        index = self.frame.source.index if newdata is None else rows.index
        if kind is None and not se_fit:
            return pd.Series(predicted, index=index, name="predict")
        error = self.least_squares.sigma * np.sqrt(
            np.einsum("np,pq,nq->n", rows.X, self.least_squares.unscaled, rows.X)
        )
        table = pd.DataFrame({"fit": predicted}, index=index)
        if se_fit:
            table["se_fit"] = np.where(lost, np.nan, error)
        if kind is not None:
            spread = error
            if kind == "prediction":
                spread = np.sqrt(error**2 + self._new_variance(newdata))
            table["lwr"], table["upr"] = (
                predicted - quantile * spread,
                predicted + quantile * spread,
            )
        return table

    def _new_variance(self, newdata: Any) -> Any:
        """The variance of new responses, with what R says of it."""
        weights = self.frame.weights
        said = ""
        if newdata is None:
            said = "predictions on current data refer to _future_ responses"
        elif weights is not None:
            said = "Assuming constant prediction variance even though model fit is weighted"
        if said:
            tell(said)
        if newdata is not None or weights is None:
            return self.least_squares.sigma**2
        return self.least_squares.sigma**2 / weights

    # -- marginal means

    def ref_grid(
        self,
        at: Mapping[str, Any] | None = None,
        *,
        type: str = "link",
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        offset: float | None = None,
        rg_limit: int | None = None,
    ) -> Any:
        """Predict at all combinations of the predictors' values, with the degrees of freedom of the
        residuals.

        Parameters
        ----------
        at, type, cov_keep, cov_reduce, nesting, offset, rg_limit
            As of :meth:`lmerbridge.Model.ref_grid`.

        Returns
        -------
        RefGrid
            ``.emmeans(specs)``, ``.joint_tests()``, ``.contrasts()``.
        """
        return averaging.ref_grid(
            self._means, at, type, cov_keep, cov_reduce, nesting, offset, rg_limit
        )

    def _means(self) -> averaging.MeansSource:
        denominator = OfResiduals(
            self.least_squares.beta,
            self.least_squares.vcov,
            float(self.df_residual()),
        )
        return averaging.MeansSource(self.frame, denominator, self.sigma(), without_r())

    def emmeans(
        self,
        specs: Any,
        by: Any = None,
        at: Mapping[str, Any] | None = None,
        type: str = "link",
        weights: Any = "equal",
        level: float = 0.95,
        *,
        contr: Any = None,
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        offset: float | None = None,
        rg_limit: int | None = None,
        **options: Any,
    ) -> Any:
        """Estimate marginal means, as :meth:`lmerbridge.Model.emmeans`.

        Parameters
        ----------
        specs, by, at, type, weights, level, contr, cov_keep, cov_reduce, nesting, offset, rg_limit
            As of :meth:`lmerbridge.Model.emmeans`.
        **options
            As of :meth:`MarginalMeans.summary`.

        Returns
        -------
        MarginalMeans, or MeansList of the means and their contrasts
            With the degrees of freedom of the residuals.
        """
        return averaging.emmeans(
            self._means,
            specs,
            by,
            at,
            type,
            weights,
            level,
            cov_keep=cov_keep,
            cov_reduce=cov_reduce,
            nesting=nesting,
            offset=offset,
            rg_limit=rg_limit,
            contr=contr,
            options=options,
        )

    def joint_tests(
        self,
        by: str | Sequence[str] | None = None,
        *,
        show0df: bool = False,
        showconf: bool = True,
        weights: Any = "equal",
        at: Mapping[str, Any] | None = None,
        cov_reduce: Reduce = meanint,
        **options: Any,
    ) -> RTable:
        """Test each term by contrasts among its means, as :meth:`lmerbridge.Model.joint_tests`.

        Parameters
        ----------
        by, show0df, showconf, weights, at, cov_reduce
            As of :meth:`lmerbridge.Model.joint_tests`.
        **options
            Further ones of :meth:`ref_grid`.

        Returns
        -------
        RTable
            A row per term.
        """
        options = {"at": at, "cov_reduce": cov_reduce, **options}
        return averaging.joint_tests(self.ref_grid, by, show0df, showconf, weights, options)

    def tidy(self) -> pd.DataFrame:
        """Return the coefficients, one per row, with the columns of ``tidy`` in broom."""
        table = self.tests().reset_index(names="term")
        return table.rename(
            columns={
                "Estimate": "estimate",
                "Std. Error": "std_error",
                "t value": "statistic",
                "Pr(>|t|)": "p_value",
            }
        )

    def summary(self) -> Text:
        """Return what R prints for ``summary(lm(...))``."""
        return Text(lm_summary_text(self.frame, self.least_squares, self.tests()))

    def __str__(self) -> str:
        return lm_text(self.frame, self.least_squares, self.coef())


@checked
def lm(
    formula: str | Formula,
    data: Any,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Mapping[str, Any] | None = None,
) -> LinearModel:
    """Fit an ordinary regression, as R's ``lm``.

    Parameters
    ----------
    formula : str
        R's language, without random terms: ``"Reaction ~ Days"``.
    data, weights, offset, subset, na_action, contrasts
        As of :func:`lmerbridge.lmer`.

    Returns
    -------
    LinearModel
        With R's printed summary.

    Raises
    ------
    FormulaError
        The formula is none, or has random terms.
    DataError
        A column is missing, or the values cannot be used.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> print(lb.lm("Reaction ~ Days", lb.datasets.load("sleepstudy")).coef().round(3).to_string())
    (Intercept)    251.405
    Days            10.467
    """
    frame = build_frame(
        formula,
        data,
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        data_name=data_name(data),
        mixed=False,
    )
    return LinearModel(frame, regress(frame))
