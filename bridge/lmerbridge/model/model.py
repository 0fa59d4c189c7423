"""``Model``: what users hold after a fit. Each method calls a function of the rooms below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lmerbridge.arguments import belongs, checked
from lmerbridge.design import ModelFrame
from lmerbridge.design.call import Call
from lmerbridge.equality import by_value
from lmerbridge.inference.axes import AUTO, Reduce, meanint
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.levels import DEFAULT_LEVEL
from lmerbridge.inference.re_form import NA
from lmerbridge.inference.residuals import residuals
from lmerbridge.model import fitting, replications
from lmerbridge.model.answers import (
    accessors,
    all_fit,
    averaging,
    broom,
    comparing,
    comparisons,
    components,
    criteria,
    degrees,
    deletion,
    display,
    estimates,
    every_term,
    explained,
    intervals,
    leaving_out,
    modcomp,
    pooling,
    power,
    prediction,
    simulated_residuals,
    testing,
    tests_shown,
)
from lmerbridge.model.elsewhere import missing_attribute
from lmerbridge.model.row_values import Vector, by_row
from lmerbridge.result import FitResult, tables, to_json
from lmerbridge.shown import named_list

if TYPE_CHECKING:
    from lmerbridge.display.summary import Summary
    from lmerbridge.display.table import RTable
    from lmerbridge.inference.bootstrap import Bootstrap
    from lmerbridge.inference.explained import ICC, R2, PrincipalComponents
    from lmerbridge.inference.influence import Influence
    from lmerbridge.inference.profile import Profile
    from lmerbridge.model.accessors import Family, ModelTerms
    from lmerbridge.model.averaging import MeansSource
    from lmerbridge.model.comparing import Compared
    from lmerbridge.model.power import Power
    from lmerbridge.model.ref_grid import RefGrid
    from lmerbridge.solve.refits import Refits

__all__ = ["Model", "model_of"]


@checked
@by_value
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Model:
    """A fitted linear mixed model, as :func:`lmerbridge.lmer` and :func:`lmerbridge.from_json` make
    it.

    ``print(m)`` and ``print(m.summary())`` show what R shows. Methods have R's names, with ``_``
    for ``.``; vectors come back as named Series, tables as DataFrames, with all digits. Numbers are
    in the units of the data: effects in those of the response over those of the predictor.

    Attributes
    ----------
    result : FitResult
        All numbers, frozen.
    frame : ModelFrame
        Response, model matrices and grouping factors of the rows used.
    call : Call
        The arguments of ``lmer``, for :meth:`update` and :meth:`refit`; by name in ``inputs``.

    Examples
    --------
    The examples of the methods have this ``m``.

    >>> import lmerbridge as lb
    >>> m = lb.lmer("Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"))
    """

    result: FitResult
    _frame: ModelFrame | None
    _call: Call | Mapping[str, Any] | None

    def __init__(self, result: FitResult, frame: ModelFrame | None = None, call: Any = None):
        for name, value in (("result", result), ("_frame", frame), ("_call", call)):
            object.__setattr__(self, name, value)

    @cached_property
    def fit(self) -> Fit:
        """The result, the model frame and the call, for the functions of ``lmerbridge.inference``;
        it holds what has been computed of them.
        """
        call = Call(**self._call) if isinstance(self._call, Mapping) else self._call
        return Fit(self.result, self._frame, call)

    @property
    def frame(self) -> ModelFrame:
        """The model frame.

        Raises
        ------
        DataError
            The model was read from JSON without data.
        """
        return self.fit.frame

    @property
    def call(self) -> Call:
        """The arguments of ``lmer``.

        Raises
        ------
        DataError
            The model was read from JSON without data.
        """
        return self.fit.call

    @property
    def inputs(self) -> dict[str, Any] | None:
        """The arguments of ``lmer`` by name; ``None`` where the model was read without its data."""
        return None if self.fit.call_given is None else self.fit.call.arguments()

    @property
    def engine(self) -> str:
        """Name of the engine that fitted."""
        return self.result.provenance.engine

    @property
    def formula(self) -> str:
        """The formula, ``||`` expanded as lme4 has it."""
        return self.result.call.formula

    # -- estimates

    def fixef(self, add_dropped: bool = False) -> Vector:
        """Return the fixed effects (p,) by R's names.

        Parameters
        ----------
        add_dropped : bool
            Also the columns that are linear combinations of others, as missing, in their places.

        Returns
        -------
        Series

        Examples
        --------
        >>> print(m.fixef().round(3).to_string())
        (Intercept)    251.405
        Days            10.467
        """
        return estimates.fixed_effects(self.fit, add_dropped)

    def ranef(
        self,
        condVar: bool = True,
        whichel: str | Sequence[str] | None = None,
        drop: bool = False,
    ) -> Any:
        """Return the conditional modes of the random effects.

        Parameters
        ----------
        condVar : bool
            With ``condsd``, their conditional standard deviations, theta and sigma taken as known.
        whichel : str or sequence of str, optional
            Grouping factors; default all.
        drop : bool
            A Series for a factor with one column, a table of levels by columns for the others.

        Returns
        -------
        DataFrame
            ``grpvar, term, grp, condval, condsd``, the form of R's ``as.data.frame(ranef(m))``;
            with ``drop`` a dict of grouping factor to Series or DataFrame.

        Raises
        ------
        DataError
            ``whichel`` names no grouping factor of the model.

        References
        ----------
        Bates, Mächler, Bolker & Walker (2015), J. Stat. Softw. 67(1), section 3 (conditional
        modes); Henderson (1975), Biometrics 31, 423-447.

        Examples
        --------
        >>> print(m.ranef().head(2).round(2).to_string(index=False))
         grpvar        term grp  condval  condsd
        Subject (Intercept) 308     2.26   12.07
        Subject (Intercept) 309   -40.40   12.07
        """
        return estimates.random_effects(self.result, condVar, whichel, drop)

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return each level's coefficients, fixed effects plus conditional modes.

        Returns
        -------
        dict of str to DataFrame
            Per grouping factor a table of levels by columns.

        Examples
        --------
        >>> print(m.coef()["Subject"].head(2).round(2).to_string())
             (Intercept)   Days
        308       253.66  19.67
        309       211.01   1.85
        """
        return named_list(tables.coefficients(self.result))

    def VarCorr(
        self,
        sigma: float | None = None,
        comp: str | Sequence[str] = "Std.Dev.",
        order: str = "cov.last",
        digits: int = 5,
    ) -> RTable:
        """Return the variance components, in a table that prints as R prints ``VarCorr(m)``.

        Parameters
        ----------
        sigma : float, optional
            The residual standard deviation by which theta is scaled; default that of the fit.
        comp : str or sequence of str
            What is printed: ``"Std.Dev."``, ``"Variance"``, or both.
        order : {"cov.last", "lower.tri"}
            Of the rows of the table: covariances last, or by columns of the lower triangle.
        digits : int
            Significant digits of what is printed.

        Returns
        -------
        RTable
            ``grp, var1, var2, vcov, sdcor``, as R's ``as.data.frame(VarCorr(m))``: variances and
            covariances in ``vcov``, standard deviations and correlations in ``sdcor``.

        Raises
        ------
        ArgumentError
            A word that is none of those, or fewer digits than one.

        Examples
        --------
        >>> print(m.VarCorr().round(2).to_string(index=False))
             grp        var1 var2   vcov  sdcor
         Subject (Intercept)  NaN 612.09  24.74
         Subject        Days  NaN  35.07   5.92
         Subject (Intercept) Days   9.60   0.07
        Residual         NaN  NaN 654.94  25.59
        """
        return estimates.variance_components(self.result, sigma, comp, order, digits)

    def vcov(
        self,
        definition: str | None = None,
        full: bool | str = False,
        correlation: bool = False,
    ) -> pd.DataFrame:
        """Return the covariance matrix (p, p) of the fixed effects.

        Parameters
        ----------
        definition : str, optional
            ``"conditional"`` (lme4's: (X'V^-1 X)^-1 at the estimated theta) or ``"joint"`` (of the
            joint Hessian of fixed effects and variances), where the engine has it; default is the
            engine's ``result.estimates.vcov_definition``.
        full : bool or str
            ``True`` or ``"parameters"``: also of the variance parameters, by the expected
            information, as merDeriv has it: rows ``cov_Subject.(Intercept)``, ..., ``residual``.
            ``"modes"``: also of the random effects' conditional modes, given theta and sigma, as
            lme4's ``full = TRUE`` since 1.1-36: rows ``Subject.308.(Intercept)``, ..., before the
            fixed effects.
        correlation : bool
            As correlations.

        Returns
        -------
        DataFrame
            Rows and columns by name.

        Raises
        ------
        DataError
            The engine has no covariance matrix of that definition.

        References
        ----------
        Bates et al. (2015), J. Stat. Softw. 67(1), section 3; Wang & Merkle (2018), J. Stat. Softw.
        87(1), for ``"parameters"``.
        """
        return estimates.covariance(self.fit, definition, full, correlation)

    def sigma(self) -> float:
        """Return the residual standard deviation, in units of the response."""
        return self.result.estimates.scale

    def se_fixef(self) -> Vector:
        """Return the standard errors (p,) of the fixed effects by R's names."""
        return estimates.fixed_errors(self.result)

    def se_ranef(self) -> dict[str, pd.DataFrame]:
        """Return the conditional standard deviations of the random effects.

        Returns
        -------
        dict of str to DataFrame
            Per grouping factor a table of levels by columns.
        """
        return named_list(estimates.by_group(self.result, "condsd"))

    def postVar(self) -> dict[str, Any]:
        """Return the conditional covariance matrices of the random effects.

        Returns
        -------
        dict of str to array (levels, k, k)
            By term.
        """
        return named_list(estimates.conditional_variances(self.result))

    def se_VarCorr(self) -> pd.DataFrame:
        """Return ``VarCorr()`` with standard errors, from the expected information.

        Returns
        -------
        DataFrame
            ``grp, var1, var2, vcov, se_vcov, sdcor, se_sdcor``. Standard errors of standard
            deviations and correlations are by the delta method, and missing where a variance is 0.

        References
        ----------
        Searle, Casella & McCulloch (1992), Variance Components, section 6.6 (the information
        matrix).
        """
        return estimates.variance_errors(self.fit)

    def dummy_coef(self) -> dict[str, pd.Series[float]]:
        """Express the fixed effects by the factors' own levels, as R's ``dummy.coef`` of a
        regression.

        Returns
        -------
        dict of str to Series
            By term: of numbers the coefficient; of factors the sums of contrasts for each level or
            combination of levels.
        """
        return named_list(accessors.dummy_coefficients(self.frame, self.result.estimates.beta))

    # -- criteria

    def logLik(self, REML: bool | None = None) -> float:
        """Return the log-likelihood.

        Parameters
        ----------
        REML : bool, optional
            Whether the restricted one; default as the model was fitted.

        Returns
        -------
        float
            At the estimates, whichever criterion these are of.

        References
        ----------
        Bates et al. (2015), J. Stat. Softw. 67(1), equations 35 (ML) and 42 (REML).

        Examples
        --------
        >>> round(m.logLik(), 4)
        -871.8141
        """
        return criteria.log_likelihood(self.result, REML)

    def REMLcrit(self) -> float:
        """Return the REML criterion at the estimates: -2 restricted log-likelihood."""
        return criteria.reml_criterion(self.result)

    def deviance(self, REML: bool | None = None) -> float:
        """Return the deviance, -2 log-likelihood.

        Parameters
        ----------
        REML : bool, optional
            Whether of the restricted likelihood, which :meth:`REMLcrit` is too; default as the
            model was fitted.
        """
        return criteria.deviance(self.result, REML)

    def AIC(self, k: float = 2.0) -> float:
        """Return Akaike's criterion: -2 logLik + ``k`` times the number of parameters.

        Parameters
        ----------
        k : float
            Weight of a parameter.

        Examples
        --------
        >>> round(m.AIC(), 3)
        1755.628
        """
        return criteria.akaike(self.result.criterion, k)

    def AICc(self) -> float:
        """Return Akaike's criterion corrected for small samples: AIC + 2 k (k + 1) / (n - k - 1), k
        parameters; infinite where n = k + 1 or less.

        References
        ----------
        Hurvich & Tsai (1989), Biometrika 76, 297-307.
        """
        return criteria.corrected_akaike(self.result)

    def BIC(self) -> float:
        """Return Schwarz's criterion: -2 logLik + log(n) times the number of parameters, n the rows
        used, as lme4 has it.
        """
        return self.result.criterion.BIC

    def extractAIC(self, scale: float = 0.0, k: float = 2.0) -> tuple[float, float]:
        """Return what R's ``extractAIC`` does, of the fit by maximum likelihood: a REML fit is
        fitted again.

        Parameters
        ----------
        scale : float
            Only 0, as lme4 ignores it.
        k : float
            Weight of a parameter.

        Returns
        -------
        tuple of float
            The number of parameters, and Akaike's criterion.
        """
        return criteria.extracted_akaike(self.fit, scale, k)

    def isREML(self) -> bool:
        """Say whether the fit is by REML."""
        return self.result.call.REML

    def isLMM(self) -> bool:
        """Say whether this is a linear mixed model: it always is."""
        return True

    def isGLMM(self) -> bool:
        """Say whether this is a generalized linear mixed model: it never is."""
        return False

    def isNLMM(self) -> bool:
        """Say whether this is a nonlinear mixed model: it never is."""
        return False

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Say whether the fit is singular: theta on its boundary, so that a variance is estimated
        as 0 or a correlation as 1 or -1.

        The criterion has its optimum there: such a fit has converged. It says that the data do not
        bear all of the random effects. Tests and intervals that rest on a normal approximation are
        doubtful for parameters at the boundary. What may be done: look where the variance is 0
        (``m.VarCorr()``, ``m.rePCA()``), take out correlations (``||``) or terms that the design
        does not need, compare (``m.ranova()``), or keep the model and say so.

        Parameters
        ----------
        tol : float
            A diagonal element of Lambda below it is at the boundary; standard deviations relative
            to the residual's.

        Examples
        --------
        >>> m.isSingular()
        False
        """
        return criteria.is_singular(self.result, tol)

    # -- sizes

    def nobs(self) -> int:
        """Return the number of rows used."""
        return self.result.data.nobs

    def ngrps(self) -> pd.Series[int]:
        """Return the number of levels by grouping factor."""
        groups = self.result.data.groups
        return pd.Series([len(v) for v in groups.values()], index=list(groups))

    def df_residual(self) -> int:
        """Return the rows used less all parameters: fixed effects, theta and sigma."""
        return self.result.criterion.df_residual

    # -- summaries

    def summary(self, correlation: bool | None = None, ddf: str | None = None) -> Summary:
        """Summarize the fit, as lme4 prints it; with ``ddf`` as lmerTest does.

        Parameters
        ----------
        correlation : bool, optional
            Whether the correlations of the fixed effects are shown; default: up to 12 effects, as
            in R.
        ddf : {"Satterthwaite", "Kenward-Roger", "lme4"}, optional
            Adds degrees of freedom and p-values of the fixed effects; ``"lme4"`` adds none.

        Returns
        -------
        Summary
            ``print`` shows R's text; ``coefficients`` has all digits.

        References
        ----------
        Kuznetsova, Brockhoff & Christensen (2017), J. Stat. Softw. 82(13); Kenward & Roger (1997),
        Biometrics 53, 983-997.

        Examples
        --------
        >>> print(m.summary(ddf="Satterthwaite").coefficients.round(3).to_string())
                     Estimate  Std. Error    df  t value  Pr(>|t|)
        (Intercept)   251.405       6.825  17.0   36.838       0.0
        Days           10.467       1.546  17.0    6.771       0.0
        """
        return testing.summary(self.fit, correlation, ddf)

    def tidy(
        self,
        effects: str | Sequence[str] = ("ran_pars", "fixed"),
        conf_int: bool = False,
        conf_level: float = DEFAULT_LEVEL,
        ddf: str | None = None,
        scales: str | Sequence[str | None] | None = None,
        conf_method: str = "Wald",
    ) -> pd.DataFrame:
        """Return the estimates, one per row, with broom.mixed's columns; those that do not apply
        are left out.

        Parameters
        ----------
        effects : str or sequence of str
            Of ``fixed``, ``ran_pars``, ``ran_vals``, ``ran_coefs``.
        conf_int : bool
            Add ``conf_low`` and ``conf_high``.
        conf_level : float
            Of these, between 0 and 1.
        ddf : str, optional
            ``"Satterthwaite"`` or ``"Kenward-Roger"``: degrees of freedom and p-values.
        scales : str or sequence, optional
            ``"sdcor"`` (default) or ``"vcov"``: standard deviations and correlations, or
            variances and covariances, for ``ran_pars``; a sequence has one per effect.
        conf_method : {"Wald", "profile", "boot"}
            Wald has intervals for ``fixed`` and ``ran_vals`` alone: those of variance parameters
            are missing, as in R.

        Returns
        -------
        DataFrame
            Some of ``effect, group, level, term, estimate, std_error, statistic, df, p_value,
            conf_low, conf_high``.

        Raises
        ------
        ArgumentError
            A word that is none of those, or a level that is not between 0 and 1.

        Examples
        --------
        >>> print(m.tidy("fixed").round(3).to_string(index=False))
        effect        term  estimate  std_error  statistic
         fixed (Intercept)   251.405      6.825     36.838
         fixed        Days    10.467      1.546      6.771
        """
        request = broom.Request.of(effects, conf_int, conf_level, scales, conf_method)
        return broom.tidy_fit(self.fit, request, ddf)

    def glance(self) -> pd.DataFrame:
        """Describe the fit in one row, with broom.mixed's columns.

        Returns
        -------
        DataFrame
            ``nobs, sigma, logLik, AIC, BIC, REMLcrit`` or ``deviance``, and ``df_residual``.

        Examples
        --------
        >>> print(m.glance().round(2).to_string(index=False))
         nobs  sigma  logLik     AIC     BIC  REMLcrit  df_residual
          180  25.59 -871.81 1755.63 1774.79   1743.63          174
        """
        return broom.glance(self.result)

    def augment(self) -> pd.DataFrame:
        """Return the variables used, with broom.mixed's columns: ``.fitted``, ``.resid``, ``.hat``,
        ``.cooksd``, ``.fixed``, ``.mu``, ``.offset``, ``.sqrtXwt``, ``.sqrtrwt``, ``.weights``,
        ``.wtres``.

        With ``na_action="exclude"`` the rows that were dropped are there, their values missing.

        Examples
        --------
        >>> print(m.augment()[["Reaction", ".fitted", ".resid"]].head(2).round(2).to_string())
           Reaction  .fitted  .resid
        0    249.56   253.66   -4.10
        1    258.70   273.33  -14.63
        """
        return broom.augment(self.fit)

    # -- values per row

    def fitted(self) -> Vector:
        """Return the fitted values given the random effects, a value per row, in units of the
        response.
        """
        return by_row(self.fit, self.result.estimates.fitted.copy(), "fitted")

    def residuals(self, type: str = "response", scaled: bool = False) -> Vector:
        """Return the residuals given the random effects, a value per row.

        Parameters
        ----------
        type : str
            ``response`` or ``working``, in units of the response; ``pearson`` or ``deviance``,
            times the root of the prior weights; ``scaled``, ``pearson`` over sigma.
        scaled : bool
            Any type over sigma.

        Raises
        ------
        ArgumentError
            ``type`` is none of these.
        """
        return by_row(self.fit, residuals(self.result, type, scaled), "residuals")

    def weights(self) -> Vector:
        """Return the prior weights, a value per row: 1 where none were given."""
        return accessors.weights_of(self.fit)

    def predict(
        self,
        newdata: Any = None,
        re_form: Any = None,
        allow_new_levels: bool = False,
        se_fit: bool = False,
        interval: str | None = None,
        level: float = DEFAULT_LEVEL,
        *,
        random_only: bool = False,
        newparams: Any = None,
        na_action: str = "pass",
    ) -> Vector | pd.DataFrame:
        """Predict the rows of the fit or new ones.

        Parameters
        ----------
        newdata : frame, optional
            Needs the predictors, and what the random terms that count are of. An offset counts,
            whether it is in the formula or an argument of ``lmer``; then newdata needs its column.
        re_form : None, "NA" or str
            ``None``: with all random effects; ``"NA"`` (also ``"~0"``, ``False``, NaN,
            ``pandas.NA``): with none; ``"~ (1 | g)"``: with these.
        allow_new_levels : bool
            Whether levels (and missing values) of grouping factors that the fit did not have
            are let in; their random effects are 0.
        se_fit : bool
            Add standard errors, theta taken as known; a new level adds its effects' variance.
        interval : {"confidence", "prediction"}, optional
            Add ``lwr`` and ``upr``: of the fit, or of a new observation.
        level : float
            Of the interval, between 0 and 1.
        random_only : bool
            The random effects' part alone, for which newdata needs nothing of the fixed part.
        newparams : mapping, optional
            Other parameters than the estimates: some of ``beta``, ``theta`` and ``sigma``. The
            spherical random effects stay as they are, as in lme4.
        na_action : {"pass", "exclude", "omit", "fail"}
            Rows of newdata with missing values are NaN, left out, or an error. The rows of the fit
            follow the model's own ``na_action``.

        Returns
        -------
        Series, or DataFrame with ``fit``, ``se_fit``, ``lwr``, ``upr``
            In units of the response, a row per row. NaN, with a warning, for rows that a
            rank-deficient fit does not determine, such as those of an empty cell.

        Raises
        ------
        DataError
            ``newdata`` lacks a column, has a level that the fit did not have, or, with
            ``na_action="fail"``, a missing value.
        ArgumentError
            A level that is not between 0 and 1, or words or parameters that there are not.

        Examples
        --------
        >>> new = {"Days": [0, 10], "Subject": ["308", "308"]}
        >>> m.predict(new).round(2).tolist()
        [253.66, 450.33]
        >>> m.predict(new, re_form="NA").round(2).tolist()
        [251.41, 356.08]
        """
        return prediction.predict(
            self.fit,
            newdata,
            re_form,
            allow_new_levels,
            se_fit,
            interval,
            level,
            random_only,
            newparams,
            na_action,
        )

    def simulate(
        self,
        nsim: int = 1,
        seed: Any = None,
        re_form: Any = NA,
        newdata: Any = None,
        allow_new_levels: bool = False,
        *,
        use_u: bool = False,
        newparams: Any = None,
        na_action: str = "pass",
    ) -> pd.DataFrame:
        """Draw new responses from the fitted model.

        Parameters
        ----------
        nsim : int
            How many.
        seed : int or numpy Generator, optional
            Makes the draws again.
        re_form : None, "NA" or str
            Which random effects are kept as estimated; the others are drawn anew. Default: none
            is kept, as in R.
        newdata : frame, optional
            Needs the predictors, all grouping factors, and the weights of a model with weights.
        allow_new_levels : bool
            Whether levels of grouping factors that the fit did not have are let in; each has
            random effects of its own, or none where ``re_form`` keeps those of its term.
        use_u : bool
            Keep all random effects, as ``re_form=None`` does.
        newparams : mapping, optional
            As of :meth:`predict`.
        na_action : {"pass", "exclude", "omit", "fail"}
            As of :meth:`predict`.

        Returns
        -------
        DataFrame
            Columns ``sim_1``, ``sim_2``, ...; of a fit with ``na_action="exclude"`` a row for each
            of its rows, missing where one was dropped. :meth:`refit` and
            :meth:`refit_many` take it.

        Raises
        ------
        DataError
            As of :meth:`predict`; or the parameters have no such distribution.
        ArgumentError
            ``nsim`` or ``seed`` are no such numbers.

        Examples
        --------
        >>> m.simulate(2, seed=1).shape
        (180, 2)
        """
        return prediction.simulate(
            self.fit,
            nsim,
            seed,
            re_form,
            newdata,
            allow_new_levels,
            use_u,
            newparams,
            na_action,
        )

    # -- parts

    def model_matrix(self, type: str = "fixed") -> Any:
        """Return a model matrix of the rows used.

        Parameters
        ----------
        type : str
            ``fixed``: X (n, p); ``random``: Z (n, q); ``randomListRaw``: the random terms' own
            columns.

        Returns
        -------
        DataFrame, sparse matrix, or dict of str to DataFrame
            For these types.

        Raises
        ------
        ArgumentError
            ``type`` is none of these.
        """
        return accessors.matrix_of(self.fit, type)

    def model_frame(self, fixed_only: bool = False) -> pd.DataFrame:
        """Return the variables as the model has them, ``(weights)`` and ``(offset)`` last; rows
        used.

        Parameters
        ----------
        fixed_only : bool
            Without the variables of the random terms alone.
        """
        return accessors.model_frame(self.frame, fixed_only)

    def getData(self) -> Any:
        """Return the data that the model was fitted to, as given."""
        return self.call.data

    def getME(self, name: str | Sequence[str]) -> Any:
        """Return a part of the model by lme4's name.

        All of lme4's names: ``X``, ``Z``, ``Zt``, ``Ztlist``, ``mmList``, ``y``, ``mu``, ``u``,
        ``b``, ``Gp``, ``Tp``, ``L``, ``Lambda``, ``Lambdat``, ``Lind`` (counted from 1),
        ``Tlist``, ``A``, ``RX``, ``RZX``, ``RXi``, ``sigma``, ``flist``, ``fixef``, ``beta``,
        ``theta``, ``ST``, ``REML``, ``is_REML``, ``n_rtrms``, ``n_rfacs``, ``N``, ``n``, ``p``,
        ``q``, ``p_i``, ``l_i``, ``q_i``, ``k``, ``m_i``, ``m``, ``cnms``, ``devcomp``,
        ``offset``, ``lower``, ``devfun`` (the criterion as a function of theta); and ``weights``.

        Parameters
        ----------
        name : str or sequence of str
            A name; several, or ``"ALL"``, for a dict.

        Returns
        -------
        object
            In lme4's order and shape; of several names a dict.

        Raises
        ------
        ArgumentError
            There is no such name.

        References
        ----------
        Bates et al. (2015), J. Stat. Softw. 67(1), section 3 (the symbols).

        Examples
        --------
        >>> m.getME("theta").round(4).tolist()
        [0.9667, 0.0152, 0.2309]
        """
        if isinstance(name, str) and name != "ALL":
            return components.component(self.fit, name)
        return components.components(self.fit, ["ALL"] if isinstance(name, str) else name)

    def terms(self) -> ModelTerms:
        """Return the terms of the fixed part: ``labels``, ``order``, ``factors``, ``intercept``."""
        return accessors.model_terms(self.frame)

    def family(self) -> Family:
        """Return the response's distribution and link."""
        return accessors.family_of(self.result)

    def fortify(self) -> pd.DataFrame:
        """Return the data of the rows used with ``.fitted``, ``.resid`` and ``.scresid`` (over
        sigma).
        """
        return accessors.fortify(self.fit)

    # -- tests

    def denominator(self, ddf: str) -> degrees.Denominator:
        """Compute degrees of freedom, once.

        Parameters
        ----------
        ddf : str
            ``Satterthwaite``, ``Kenward-Roger`` or ``lme4`` (none), of which the beginning is
            enough.

        Returns
        -------
        Denominator
            Its methods test linear functions of the fixed effects.

        Raises
        ------
        ArgumentError
            ``ddf`` is none of these.
        UnsupportedModelError
            The method does not do this model.
        """
        return degrees.of_fit(self.fit, ddf)

    def anova(
        self,
        *others: Any,
        refit: bool = True,
        type: int | str = 3,
        ddf: str = "Satterthwaite",
        model_names: Sequence[str] | None = None,
    ) -> RTable:
        """Test the fixed effects; with ``others``, compare models by likelihood ratios.

        Parameters
        ----------
        *others : Model or LinearModel
            Compared in order of their number of parameters.
        refit : bool
            Fit REML models again by ML before they are compared.
        type : {1, 2, 3}
            Of the hypotheses (SAS), for one model.
        ddf : {"Satterthwaite", "Kenward-Roger", "lme4"}
            For one model; ``lme4`` gives lme4's own table, without p-values.
        model_names : sequence of str, optional
            Default: the variables' names.

        Returns
        -------
        RTable
            A DataFrame that prints as R prints the table.

        Raises
        ------
        DataError
            Models of different rows or responses, arguments that belong to the other kind of table,
            or a type or ddf that there is not.

        References
        ----------
        Kuznetsova et al. (2017), J. Stat. Softw. 82(13) (Satterthwaite's F); Halekoh & Højsgaard
        (2014), J. Stat. Softw. 59(9) (Kenward-Roger's).

        Examples
        --------
        >>> print(m.anova())
        Type III Analysis of Variance Table with Satterthwaite's method
             Sum Sq Mean Sq NumDF DenDF F value    Pr(>F)
        Days  30031   30031     1    17  45.853 3.264e-06 ***
        ---
        Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
        """
        if not others:
            belongs("comparisons of models", refit=not refit, model_names=model_names is not None)
            return testing.anova_of_one(self.fit, type, ddf)
        testing.refuse_between_models(type, ddf)
        names = list(model_names or comparing.model_names((self, *others)))
        return comparing.comparison((self, *others), names, refit)

    def compared(self, name: str, refit: bool) -> Compared:
        """Return what a comparison of models needs of this one.

        Parameters
        ----------
        name : str
            Under which it is shown.
        refit : bool
            By maximum likelihood if it is by REML.
        """
        return comparing.compared_fit(self.fit, name, refit)

    def Anova(self, type: int | str = "II", test_statistic: str = "Chisq") -> RTable:
        """Test the fixed terms by Wald tests, as car's ``Anova``.

        Parameters
        ----------
        type : {"II", "III"}
            ``II``: each term after all that do not hold it; ``III``: each term's coefficients as
            they are coded, which are main effects where the contrasts sum to zero.
        test_statistic : {"Chisq", "F"}
            ``F`` has Kenward and Roger's degrees of freedom.

        Returns
        -------
        RTable
            A row per term.

        Raises
        ------
        ArgumentError
            A word that is none of these.

        References
        ----------
        Fox & Weisberg (2019), An R Companion to Applied Regression, section 5.3.
        """
        return testing.wald_tests(self.fit, type, test_statistic)

    def mixed(
        self,
        method: str = "LRT",
        type: int | str = 3,
        nsim: int = replications.OF_TESTS,
        seed: int | None = None,
        progress: bool = False,
    ) -> RTable:
        """Test all fixed terms at once, as afex's ``mixed``.

        Parameters
        ----------
        method : {"LRT", "PB", "KR", "S"}
            Likelihood ratios of ML fits with and without each hypothesis; with a parametric
            bootstrap of these; or :meth:`anova` by Kenward and Roger, or Satterthwaite.
        type : {3, 2}
            3: each hypothesis of type III is imposed on the whole model. 2: each term is left out
            of the model without the terms that contain it.
        nsim, seed, progress
            Of the bootstrap, per term: replications, what makes them again, and whether a bar is
            shown.

        Returns
        -------
        RTable
            ``Df``, ``Chisq``, ``Pr(>Chisq)``, and ``Pr(PB)`` of the bootstrap.
        """
        return every_term.every_term(self.fit, method, type, nsim, seed, progress)

    def contest(
        self,
        L: Any,
        joint: bool = True,
        ddf: str = "Satterthwaite",
        rhs: Any = 0.0,
        *,
        collect: bool = True,
        confint: bool = True,
        level: float = DEFAULT_LEVEL,
    ) -> Any:
        """Test L beta = rhs: an F test of all rows, or with ``joint=False`` a t test of each.

        Parameters
        ----------
        L : array (r, p), or DataFrame whose columns name fixed effects, or mapping
            A mapping holds several of them by name, each of which is tested.
        joint : bool
            All rows together, or each alone.
        ddf : {"Satterthwaite", "Kenward-Roger"}
            Denominator degrees of freedom.
        rhs : float, or array (r,)
            In the units of L beta.
        collect : bool
            For a mapping: one table of all tests, or a dict of tables.
        confint : bool
            With ``joint=False``: show confidence limits.
        level : float
            Of these.

        Returns
        -------
        DataFrame
            lmerTest's columns; without a row where all of L is 0 or there is nothing of it.

        Raises
        ------
        DataError
            L has another number of columns than there are fixed effects, names none, or is no
            matrix.

        Warns
        -----
        FitWarning
            Rows of ``L`` follow from others while ``rhs`` is not 0: what ``rhs`` says of them may
            contradict what it says of the others.

        References
        ----------
        Kuznetsova et al. (2017), J. Stat. Softw. 82(13), section 2.
        """
        return testing.contest(self.fit, L, joint, ddf, rhs, collect, confint, level)

    def contest1D(
        self,
        L: Any,
        rhs: float = 0.0,
        ddf: str = "Satterthwaite",
        confint: bool = False,
        level: float = DEFAULT_LEVEL,
    ) -> pd.DataFrame:
        """Test one linear function of the fixed effects by a t test: L beta = rhs.

        Parameters
        ----------
        L : array (p,)
            Its coefficients.
        rhs : float
            In the units of L beta.
        ddf : {"Satterthwaite", "Kenward-Roger"}
            Denominator degrees of freedom.
        confint : bool
            Add confidence limits.
        level : float
            Of these, between 0 and 1.

        Returns
        -------
        DataFrame
            ``Estimate``, ``Std. Error``, ``df``, ``t value``, ``lower``, ``upper``, ``Pr(>|t|)``.
        """
        return testing.contest_of_one_row(self.fit, L, rhs, ddf, confint, level)

    def contestMD(self, L: Any, rhs: Any = 0.0, ddf: str = "Satterthwaite") -> pd.DataFrame:
        """Test all rows of L beta = rhs together by an F test.

        Parameters
        ----------
        L : array (r, p), or DataFrame whose columns name fixed effects
            A row per linear function.
        rhs : float, or array (r,)
            In the units of L beta.
        ddf : {"Satterthwaite", "Kenward-Roger"}
            Denominator degrees of freedom.

        Returns
        -------
        DataFrame
            ``Sum Sq``, ``Mean Sq``, ``NumDF``, ``DenDF``, ``F value``, ``Pr(>F)``.
        """
        found: pd.DataFrame = self.contest(L, True, ddf, rhs)
        return found

    def show_tests(self, type: int | str = 3) -> dict[str, pd.DataFrame]:
        """Return the hypotheses that ``anova(type=)`` tests.

        Parameters
        ----------
        type : int or str
            1, 2 or 3; or ``marginal``.

        Returns
        -------
        dict of str to DataFrame
            Per term a matrix L (r, p), of the hypothesis L beta = 0.

        References
        ----------
        Searle, Speed & Milliken (1980), Am. Stat. 34, 216-221 (population marginal means, on which
        type III rests); Kuznetsova et al. (2017), J. Stat. Softw. 82(13), section 2.
        """
        return named_list(testing.hypotheses(self.fit, type))

    def drop1(
        self,
        ddf: str = "Satterthwaite",
        test: str | None = None,
        scope: str | Sequence[str] | None = None,
        k: float = 2.0,
    ) -> RTable:
        """Test single terms by leaving each out.

        Parameters
        ----------
        ddf : {"Satterthwaite", "Kenward-Roger", "lme4"}
            F tests as lmerTest has them; with ``"lme4"`` AIC of ML refits without each term.
        test : {"none", "Chisq"}, optional
            For ``"lme4"``: also the likelihood-ratio tests.
        scope : str or sequence of str, optional
            Terms, by their labels or as a formula (``"~ a + b:c"``). Default: those that no other
            term contains.
        k : float
            For ``"lme4"``: the penalty of a parameter in AIC.

        Returns
        -------
        RTable
            A row per term.

        Raises
        ------
        DataError
            A term of ``scope`` is none of the model, or (in F tests) is contained in another; or
            a refit would be of more rows, as the term has missing values.
        """
        return testing.drop1(self.fit, ddf, test, scope, k)

    def ranova(self, reduce_terms: bool = True) -> RTable:
        """Test the random terms by likelihood ratios, as lmerTest's ``ranova``.

        Parameters
        ----------
        reduce_terms : bool
            Whether a term of several columns loses one at a time, or is removed as a whole.

        Returns
        -------
        RTable
            A row per reduced model: ``npar``, ``logLik``, ``AIC``, ``LRT``, ``Df``, ``Pr(>Chisq)``.
            Where a variance is tested at 0, the chi-squared p-value is conservative.

        Examples
        --------
        >>> print(m.ranova())
        ANOVA-like table for random-effects: Single term deletions
        <BLANKLINE>
        Model:
        Reaction ~ Days + (Days | Subject)
                                 npar  logLik    AIC    LRT Df Pr(>Chisq)
        <none>                      6 -871.81 1755.6
        Days in (Days | Subject)    4 -893.23 1794.5 42.837  2   4.99e-10 ***
        ---
        Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
        """
        return tests_shown.table_of_tests(comparisons.without_random_terms(self.fit, reduce_terms))

    def KRmodcomp(self, smaller: Any, betaH: Any = 0.0) -> RTable:
        """Test against a model with fewer fixed effects by Kenward and Roger's F test, as
        pbkrtest's.

        Parameters
        ----------
        smaller : Model, str, or array (r, p)
            A model (the larger of the two may be either), a change of this one's formula
            (``". ~ . - x"``), or a matrix L of the hypothesis L beta = L betaH.
        betaH : float, or array (p,)
            The fixed effects under the hypothesis.

        Returns
        -------
        RTable
            ``stat``, ``ndf``, ``ddf``, ``F.scaling``, ``p.value``.

        Raises
        ------
        DataError
            The models are of different data or random terms, or neither is part of the other.

        Warns
        -----
        FitMessage
            The larger model was fitted by ML and is fitted again by REML; the models are taken in
            the other order.

        References
        ----------
        Kenward & Roger (1997), Biometrics 53, 983-997; Halekoh & Højsgaard (2014), J. Stat. Softw.
        59(9).
        """
        return modcomp.kr_comparison(self.fit, _fit_of(smaller), betaH)

    def SATmodcomp(self, smaller: Any) -> RTable:
        """Test against a model with fewer fixed effects by Satterthwaite's F test, as pbkrtest's.

        Parameters
        ----------
        smaller : Model, str, or array (r, p)
            As of :meth:`KRmodcomp`.

        Returns
        -------
        RTable
            ``statistic``, ``ndf``, ``ddf``, ``p.value``.

        References
        ----------
        Fai & Cornelius (1996), J. Stat. Comput. Simul. 54, 363-378.
        """
        return modcomp.satterthwaite_comparison(self.fit, _fit_of(smaller))

    def PBmodcomp(
        self, smaller: Any, nsim: int = 1000, seed: int | None = None, progress: bool = False
    ) -> RTable:
        """Test against a smaller model by a parametric bootstrap, as pbkrtest's.

        Both models are fitted by ML to responses that the smaller one makes.

        Parameters
        ----------
        smaller : Model or str
            A model, or a change of this one's formula (``". ~ . - x"``).
        nsim : int
            How many responses.
        seed : int, optional
            Makes them again.
        progress : bool
            Show a bar.

        Returns
        -------
        RTable
            ``stat``, ``df``, ``p.value``: the likelihood ratio by chi-squared, and by the
            bootstrap.

        References
        ----------
        Halekoh & Højsgaard (2014), J. Stat. Softw. 59(9), section 5.
        """
        return modcomp.pb_comparison(self.fit, _fit_of(smaller), nsim, seed, progress)

    # -- marginal means

    def _means(self, ddf: str | None, kr: int | None, sat: int | None) -> MeansSource:
        return averaging.source_of_fit(self.fit, ddf, kr, sat)

    def emmeans(
        self,
        specs: Any,
        by: Any = None,
        at: Mapping[str, Any] | None = None,
        type: str = "link",
        ddf: str | None = None,
        weights: Any = "equal",
        level: float = 0.95,
        *,
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        offset: float | None = None,
        regrid: str | None = None,
        bias_adjust: bool = False,
        sigma: float | None = None,
        pbkrtest_limit: int | None = None,
        lmerTest_limit: int | None = None,
        rg_limit: int | None = None,
        contr: Any = None,
        **options: Any,
    ) -> Any:
        """Estimate marginal means: averages of the reference grid of :meth:`ref_grid`.

        Parameters
        ----------
        specs : str, sequence of str, or mapping of str to these
            Factors (and covariates): ``"Machine"``, ``["a", "b"]``, ``"~ a * b | c"``, ``"~ 1"``,
            ``"pairwise ~ a"``; several formulas, also by name, for several tables.
        by : str or sequence of str, optional
            Columns for each combination of whose levels there is a table.
        at, cov_keep, cov_reduce, nesting, offset, rg_limit
            As in :meth:`ref_grid`.
        type : {"link", "response"}
            ``response`` undoes ``log(y)`` and its like.
        ddf : str, optional
            ``kenward-roger`` (default), ``satterthwaite`` or ``asymptotic``.
        weights : str or array
            How cells that are averaged count: ``equal``; ``proportional`` to their rows;
            ``outer``, as if factors were independent; ``cells``, to the rows of each cell;
            ``flat``, equal for cells that have rows; or a number for each combination, in the order
            of ``m.ref_grid().averaged_over(specs)``.
        level : float
            Of confidence limits.
        regrid : {"response", "log", "log2", "log10", "sqrt"}, optional
            Average predictions of the response instead of the model's scale.
        bias_adjust : bool
            Whether ``type="response"`` gives means of the response, with ``sigma``.
        sigma : float, optional
            For ``bias_adjust``, in units of the model's scale; default: the residual standard
            deviation.
        pbkrtest_limit, lmerTest_limit : int, optional
            Above ``pbkrtest_limit`` rows of data Satterthwaite's degrees of freedom take the place
            of Kenward-Roger's, above ``lmerTest_limit`` there are none; a message says so.
        contr : str, mapping, ...
            Contrasts beside the means, as on the left of ``~``.
        **options
            As of :meth:`MarginalMeans.summary`: ``infer``, ``adjust`` (of the contrasts, if there
            are any), ``null``, ``side``, ``delta``, ``cross_adjust``, ``df``.

        Returns
        -------
        MarginalMeans, or MeansList of the means and their contrasts
            In units of the response, or of its transformation.

        Raises
        ------
        DataError
            Names, levels or words that there are not.

        Warns
        -----
        FitMessage
            Degrees of freedom that are not computed, factors that are nested, and what is averaged
            over although it interacts with what is shown.

        References
        ----------
        Searle, Speed & Milliken (1980), Am. Stat. 34, 216-221.

        Examples
        --------
        >>> print(m.emmeans("Days", at={"Days": [0, 5]}))
         Days emmean   SE df lower.CL upper.CL
            0    251 6.82 17      237      266
            5    304 9.58 17      284      324
        <BLANKLINE>
        Degrees-of-freedom method: kenward-roger
        Confidence level used: 0.95
        """
        return averaging.emmeans(
            lambda: self._means(ddf, pbkrtest_limit, lmerTest_limit),
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
            regrid=regrid,
            bias_adjust=bias_adjust,
            sigma=sigma,
        )

    def emtrends(
        self,
        specs: Any = None,
        var: str | None = None,
        by: Any = None,
        at: Mapping[str, Any] | None = None,
        ddf: str | None = None,
        level: float = DEFAULT_LEVEL,
        *,
        weights: Any = "equal",
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        delta_var: float | None = None,
        max_degree: int = 1,
        pbkrtest_limit: int | None = None,
        lmerTest_limit: int | None = None,
        rg_limit: int | None = None,
    ) -> Any:
        """Estimate slopes along a covariate for each level of ``specs``.

        Parameters
        ----------
        specs : str or sequence of str, optional
            As in :meth:`emmeans`; without it the slopes of the whole reference grid.
        var : str
            A covariate ``x``, or a function of one: ``sqrt(x)``.
        by, ddf, level, weights, pbkrtest_limit, lmerTest_limit
            As in :meth:`emmeans`.
        at, cov_keep, cov_reduce, nesting, rg_limit
            As in :meth:`ref_grid`.
        delta_var : float, optional
            The step of the difference quotient (f(x + h) - f(x)) / h; default is 0.001 of the
            range.
        max_degree : int
            Up to 5: derivatives up to this order (over their factorials), by a factor ``degree``.

        Returns
        -------
        MarginalMeans, or RefGrid without ``specs``
            In units of the response over those of ``var``.

        Raises
        ------
        DataError
            ``var`` is no covariate of the model or function of one, or names, levels or words that
            there are not.

        Examples
        --------
        >>> print(m.emtrends("~ 1", "Days").table.round(2).to_string(index=False))
              1  Days.trend   SE   df  lower.CL  upper.CL
        overall       10.47 1.55 17.0      7.21     13.73
        """
        return averaging.emtrends(
            lambda: self._means(ddf, pbkrtest_limit, lmerTest_limit),
            specs,
            var,
            by,
            at,
            level,
            weights=weights,
            cov_keep=cov_keep,
            cov_reduce=cov_reduce,
            nesting=nesting,
            delta_var=delta_var,
            max_degree=max_degree,
            rg_limit=rg_limit,
        )

    def joint_tests(
        self,
        by: str | Sequence[str] | None = None,
        *,
        show0df: bool = False,
        showconf: bool = True,
        weights: Any = "equal",
        ddf: str | None = None,
        at: Mapping[str, Any] | None = None,
        cov_reduce: Reduce = meanint,
        **options: Any,
    ) -> RTable:
        """Test each term of the model by the contrasts among its marginal means.

        Parameters
        ----------
        by : str or sequence of str, optional
            Predictors for each combination of whose values there is a table.
        show0df : bool
            Whether terms without an estimable contrast are shown.
        showconf : bool
            Whether what is left of the estimable contrasts is tested too, as ``(confounded)``,
            where some contrasts are not estimable.
        weights, ddf, at
            As of :meth:`emmeans`.
        cov_reduce : callable, bool or mapping
            The values of covariates: by default one less and one more than the mean. A covariate
            that has one value is not tested. ``lambda x: (-1, 1)`` tests factors where covariates
            are 0, as SAS does.
        **options
            Further ones of :meth:`ref_grid`.

        Returns
        -------
        RTable
            ``model term``, the columns of ``by``, ``df1``, ``df2``, ``F.ratio``, ``p.value``, and
            ``note`` where ``df1`` has been reduced.
        """
        options = {"at": at, "ddf": ddf, "cov_reduce": cov_reduce, **options}
        return averaging.joint_tests(self.ref_grid, by, show0df, showconf, weights, options)

    def ref_grid(
        self,
        at: Mapping[str, Any] | None = None,
        ddf: str | None = None,
        *,
        type: str = "link",
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        offset: float | None = None,
        pbkrtest_limit: int | None = None,
        lmerTest_limit: int | None = None,
        rg_limit: int | None = None,
    ) -> RefGrid:
        """Predict at all combinations of the predictors' values: the reference grid.

        Parameters
        ----------
        at : mapping, optional
            Values of predictors: other than the mean of covariates, or some levels of a factor.
        ddf, pbkrtest_limit, lmerTest_limit
            As in :meth:`emmeans`.
        type : {"link", "response"}
            Of what is shown, as in :meth:`emmeans`.
        cov_keep : str, int, or a sequence of them
            Covariates whose own values are levels, over which is averaged as over those of a
            factor: by name, and by number all that have at most so many values. Default: 2.
        cov_reduce : callable, bool or mapping
            What makes the values of other covariates of theirs: ``numpy.median``; by name
            ``{"x": numpy.median}``. ``False``: they keep their values.
        nesting : str or mapping, optional
            ``"city %in% state"`` or ``{"city": "state"}`` instead of what data and model show;
            ``None`` for none.
        offset : float, optional
            Instead of the mean of the model's offset.
        rg_limit : int, optional
            Greatest number of rows, default 10,000.

        Returns
        -------
        RefGrid
            A row per combination.

        Raises
        ------
        DataError
            Predictors or levels that there are not, or more rows than ``rg_limit``.

        References
        ----------
        Searle, Speed & Milliken (1980), Am. Stat. 34, 216-221.
        """
        return averaging.ref_grid(
            lambda: self._means(ddf, pbkrtest_limit, lmerTest_limit),
            at,
            type,
            cov_keep,
            cov_reduce,
            nesting,
            offset,
            rg_limit,
        )

    # -- intervals

    def profile(
        self,
        parm: Any = None,
        progress: bool = False,
        *,
        prof_scale: str = "sdcor",
        signames: bool = True,
        alphamax: float = 0.01,
    ) -> Profile:
        """Profile the deviance (ML, as in lme4) over each parameter.

        Parameters
        ----------
        parm : str, int or sequence, optional
            As of :meth:`confint`.
        progress : bool
            Show a bar.
        prof_scale : {"sdcor", "varcov"}
            Standard deviations and correlations, or variances and covariances.
        signames : bool
            Names like ``.sig01``, or ``sd_(Intercept)|Subject``.
        alphamax : float
            The profile reaches to the joint region of level 1 - ``alphamax``.

        Returns
        -------
        Profile
            ``table()``, ``confint(level, parm)``, ``varianceProf()``, ``logProf()``; plots by
            :func:`lmerbridge.plots.profile_zeta` and :func:`lmerbridge.plots.profile_pairs`.

        Raises
        ------
        DataError
            ``parm`` names no parameter.
        ArgumentError
            ``alphamax`` is not between 0 and 1, or a word is none of those.

        References
        ----------
        Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, section 6.1
        (zeta); Bates et al. (2015), J. Stat. Softw. 67(1), section 5.1.
        """
        return intervals.profile_of(self.fit, parm, progress, prof_scale, signames, alphamax)

    def confint(
        self,
        method: str = "profile",
        level: float = 0.95,
        parm: Any = None,
        oldNames: bool = True,
        nsim: int = replications.OF_INTERVALS,
        boot_type: str = "perc",
        seed: int | None = None,
        jobs: int = 1,
        resume: str | Path | None = None,
        progress: bool = False,
        *,
        FUN: Callable[[Any], Any] | None = None,
        prof_scale: str = "sdcor",
        signames: bool | None = None,
    ) -> RTable:
        """Give confidence intervals, a row per parameter, printed as R prints them.

        Parameters
        ----------
        method : {"profile", "Wald", "boot"}
            ``profile``: by the likelihood (ML, as in lme4), to the ends themselves, where lme4
            interpolates; ``Wald``: of the fixed effects alone; ``boot``: parametric bootstrap.
        level : float
            Of the intervals, between 0 and 1.
        parm : str, int or sequence, optional
            Names (``.sig01``, ``sd_Days|Subject``, ``Days``), ``"theta_"``, ``"beta_"``, or
            positions, which count from 1 as in R. The rows stay in the model's order.
        oldNames : bool
            ``.sig01`` as lme4's default, or ``sd_(Intercept)|Subject``.
        nsim, boot_type, seed, jobs, resume, FUN
            Of the bootstrap (:meth:`bootMer`); ``boot_type`` is ``perc``, ``basic``, ``norm`` or
            ``bca``. With ``FUN`` the rows are what it gives.
        progress : bool
            Show a bar.
        prof_scale : {"sdcor", "varcov"}
            Of the profile: standard deviations and correlations, or variances and covariances.
        signames : bool, optional
            What lme4 calls ``oldNames`` since 1.1-38; it counts where it is given.

        Returns
        -------
        RTable
            A column per limit; parameters in their own units.

        Raises
        ------
        DataError
            ``parm`` names no parameter, or an argument belongs to another method.
        ArgumentError
            ``level`` is not between 0 and 1, or a word is none of those.
        FitFailedError
            Every replication of the bootstrap failed.

        References
        ----------
        Bates et al. (2015), J. Stat. Softw. 67(1), section 5.1 (profiles).

        Examples
        --------
        >>> print(m.confint("Wald", parm="beta_").round(2).to_string())
                      2.5 %  97.5 %
        (Intercept)  238.03  264.78
        Days           7.44   13.50
        """
        return intervals.confint(
            self.fit,
            method,
            level,
            parm,
            oldNames,
            nsim,
            boot_type,
            seed,
            jobs,
            resume,
            progress,
            _of_model(FUN),
            prof_scale,
            signames,
        )

    def bootMer(
        self,
        FUN: Callable[[Any], Any] | None = None,
        nsim: int = 1000,
        seed: int | None = None,
        use_u: bool = False,
        type: str = "parametric",
        jobs: int = 1,
        resume: str | Path | None = None,
        progress: bool = False,
    ) -> Bootstrap:
        """Bootstrap this model.

        Parameters
        ----------
        FUN : callable, optional
            From a Model to numbers (a Series or a mapping names them). Where it raises, that
            replication is NaN, with a warning in the end; the messages are kept in ``errors``.
            Default: all parameters, by refits that take a fraction of a millisecond for models
            with one grouping factor.
        nsim : int
            Replications.
        seed : int, optional
            Reproduces the replications, whatever ``jobs``; drawn and kept in the result if not
            given.
        use_u, type
            ``parametric`` with new random effects, or around the fitted values (``use_u=True``);
            ``semiparametric`` draws the fit's own residuals (``use_u=True``).
        jobs : int
            Processes (joblib).
        resume : path, optional
            Keeps what is done: an interrupted bootstrap with the same arguments goes on there.
        progress : bool
            Show a bar.

        Returns
        -------
        Bootstrap
            ``t`` (nsim, q), ``table()``, ``interval(level, type)``, ``failed``, ``errors``.

        Raises
        ------
        DataError
            ``FUN`` fails on the fit itself, or gives no numbers.
        UnsupportedModelError
            The native engine, which fits the replications, does not fit this model.

        References
        ----------
        Davison & Hinkley (1997), Bootstrap Methods and Their Application, sections 5.2 and 5.3
        (intervals).
        """
        return intervals.boot(
            self.fit, _of_model(FUN), nsim, seed, use_u, type, jobs, resume, progress
        )

    # -- diagnostics

    def hatvalues(self) -> Vector:
        """Compute the leverages, a value per row: the diagonal of the matrix that takes y to the
        fitted values.

        References
        ----------
        Demidenko & Stukel (2005), Stat. Med. 24, 893-909.
        """
        return by_row(self.fit, deletion.hat_values(self.fit), "hatvalues")

    def cooks_distance(self) -> Vector:
        """Compute Cook's distances of the rows from their leverages, as lme4's ``cooks.distance``;
        with refits: ``influence().cooks_distance()``.
        """
        return by_row(self.fit, deletion.cooks_distance(self.fit), "cooks_distance")

    def rstudent(self) -> Vector:
        """Divide the residuals by their standard errors, a value per row."""
        return by_row(self.fit, deletion.rstudent(self.fit), "rstudent")

    def influence(self, groups: str | None = None, progress: bool = False) -> Influence:
        """Fit the model without each observation, or without each level of a grouping factor.

        With ``na_action="exclude"`` the rows dropped for a missing value have their places: the
        fit without them is the fit.

        Parameters
        ----------
        groups : str, optional
            The grouping factor; by default each observation is left out.
        progress : bool
            Show a bar.

        Returns
        -------
        Influence
            ``dfbeta()``, ``dfbetas()``, ``cooks_distance()``, ``table()``; NaN where the other rows
            do not determine all fixed effects.

        Raises
        ------
        DataError
            There is no such grouping factor.

        Warns
        -----
        FitWarning
            Names what cannot be left out.

        References
        ----------
        Cook & Weisberg (1982), Residuals and Influence in Regression.
        """
        return leaving_out.influence_of(self.fit, groups, progress)

    def quantile_residuals(self, nsim: int = 250, seed: Any = None, re_form: Any = NA) -> Vector:
        """Compute residuals on (0, 1) by simulation: uniform if the model holds.

        Parameters
        ----------
        nsim : int
            Simulated responses.
        seed : int or numpy Generator, optional
            Makes them again.
        re_form : None, "NA" or str
            As of :meth:`simulate`.

        Returns
        -------
        Series
            A value per row.

        References
        ----------
        Dunn & Smyth (1996), J. Comput. Graph. Stat. 5, 236-244.
        """
        found = simulated_residuals.quantile_residuals(self.frame, self.result, nsim, seed, re_form)
        return by_row(self.fit, found, "quantile_residuals")

    def vif(self) -> pd.DataFrame:
        """Compute generalized variance inflation factors of the fixed terms, as car's ``vif``.

        Returns
        -------
        DataFrame
            ``GVIF``, ``Df`` and ``GVIF^(1/(2*Df))``, a row per term.

        Raises
        ------
        DataError
            The model has fewer than two terms.

        References
        ----------
        Fox & Monette (1992), J. Am. Stat. Assoc. 87, 178-183.
        """
        return explained.variance_inflation(self.frame, self.result)

    def icc(self) -> ICC:
        """Compute the intraclass correlation: ``adjusted``, ``unadjusted``, ``by_group``.

        References
        ----------
        Nakagawa, Johnson & Schielzeth (2017), J. R. Soc. Interface 14, 20170213.

        Examples
        --------
        >>> round(m.icc().adjusted, 3)
        0.722
        """
        return explained.icc(self.frame, self.result)

    def r2(self) -> R2:
        """Compute Nakagawa's R2: ``marginal``, by the fixed effects, and ``conditional``, by these
        and the random effects.

        References
        ----------
        Nakagawa & Schielzeth (2013), Methods Ecol. Evol. 4, 133-142; Johnson (2014), Methods Ecol.
        Evol. 5, 944-946 (random slopes).

        Examples
        --------
        >>> round(m.r2().marginal, 3), round(m.r2().conditional, 3)
        (0.279, 0.799)
        """
        return explained.r2(self.frame, self.result)

    def rmse(self, normalized: bool = False) -> float:
        """Compute the root of the mean squared residual, in units of the response.

        Parameters
        ----------
        normalized : bool
            Over the range of the response.
        """
        return explained.rmse(self.result, normalized)

    def rePCA(self) -> dict[str, PrincipalComponents]:
        """Compute the principal components of the random effects by grouping factor.

        Returns
        -------
        dict of str to PrincipalComponents
            ``sdev``, standard deviations relative to the residual's; ``rotation``;
            ``importance()``.

        References
        ----------
        Bates, Kliegl, Vasishth & Baayen (2015), arXiv 1506.04967.
        """
        return named_list(explained.principal_components(self.frame, self.result))

    def pooling(self, group: str | None = None) -> pd.DataFrame:
        """Compare complete, no and partial pooling of the groups.

        Parameters
        ----------
        group : str, optional
            The grouping factor; default the first.

        Returns
        -------
        DataFrame
            ``group, term, complete, none, partial``; plots by :func:`lmerbridge.plots.pooling` and
            :func:`lmerbridge.plots.shrinkage`.
        """
        return pooling.pooling_table(self.frame, self.result, group)

    def allFit(self, progress: bool = False) -> pd.DataFrame:
        """Fit the model by every optimizer of the native engine, and of lme4 where R is.

        Parameters
        ----------
        progress : bool
            Show a bar.

        Returns
        -------
        DataFrame
            A row per optimizer: ``engine``, ``optimizer``, ``criterion``, ``above`` (the best),
            ``converged``, ``singular``, ``seconds``, sigma, theta and the fixed effects,
            ``message``.
        """
        return all_fit.all_fit(self.fit, progress)

    # -- further fits

    def update(self, formula: str | None = None, **changes: Any) -> Model:
        """Fit again with something changed, as R's ``update``.

        Parameters
        ----------
        formula : str, optional
            In it ``.`` is what was there: ``". ~ . - Days"``.
        **changes
            Arguments of :func:`lmerbridge.lmer`.

        Returns
        -------
        Model
            Fitted by the same engine, unless ``engine`` changes.

        Raises
        ------
        ArgumentError
            ``changes`` name what is no argument of ``lmer``.
        DataError
            The model was read from JSON without data.

        Examples
        --------
        >>> m.update(". ~ . - Days").formula
        'Reaction ~ (Days | Subject)'
        """
        return model_of(fitting.updated(self.fit, formula, **changes))

    def refit(self, newresp: Any = None, newweights: Any = None) -> Model:
        """Fit the same model to another response, or with other prior weights.

        Parameters
        ----------
        newresp : array, Series or table of one column, optional
            A value for each row used; or for each row of ``fitted()`` with
            ``na_action="exclude"``, such as ``simulate()`` gives; or for each row of the data.
        newweights : array or Series, optional
            In the same shapes.

        Raises
        ------
        DataError
            Not numbers, another number of rows, or a missing value in a row that is used.
        """
        return model_of(fitting.refitted(self.fit, newresp, newweights))

    def refitML(self) -> Model:
        """Fit the same model by maximum likelihood; return this one if it is.

        lme4 fits it as R's ``refitML`` does: by bobyqa, from theta of the REML fit.
        """
        return model_of(fitting.by_maximum_likelihood(self.fit))

    def refit_many(self, responses: Any) -> Refits:
        """Fit the same model to many responses, fast: simulation, bootstrap, power.

        By the native engine, whichever engine fitted this model, each as it would be alone; models
        with one grouping factor are fitted all at once.

        Parameters
        ----------
        responses : array (n, B) or table
            A column per response; rows as of :meth:`refit`.

        Returns
        -------
        Refits
            beta (B, p), theta (B, m), sigma, criterion, converged and singular (B,).
        """
        return fitting.refitted_many(self.fit, responses)

    def power(
        self,
        term: str,
        effect: Any = None,
        nsim: int = 1000,
        test: str = "Satterthwaite",
        alpha: float = 0.05,
        seed: int | None = None,
        progress: bool = False,
    ) -> Power:
        """Estimate the power of a test by simulation, in the manner of R's simr: draw responses
        from this model, fit each by the native engine, and count how often the test rejects.

        Parameters
        ----------
        term : str
            A term of the fixed part, as in ``anova()``, or one fixed effect.
        effect : float or mapping of str to float, optional
            The size that is to be found, in units of the fixed effects: of ``term``, or of several
            by name. Default: as estimated. Of a term at 0 the share is the test's own level.
        nsim : int
            How many data sets are drawn.
        test : {"Satterthwaite", "Kenward-Roger", "LRT", "z"}
            F or t tests by ``ddf``, one fit after another; a likelihood ratio test of the term, or
            a z test of one effect, all fits at once.
        alpha : float
            The level of the test, between 0 and 1.
        seed : int, optional
            Makes the draws again.
        progress : bool
            Whether a bar shows how far it is.

        Returns
        -------
        Power
            ``power``, ``interval()``, ``p_values``, ``failed``; a data set that cannot be fitted
            counts as no rejection.

        Raises
        ------
        ArgumentError
            A test, level or count that is none, or an effect of a term of several.
        DataError
            There is no such term or effect.
        """
        return power.power_of(self, term, effect, nsim, test, alpha, seed, progress)

    @property
    def r_object(self) -> Any:
        """The model as lme4's object in R, for rpy2: fitted there once more, by R in this process,
        which is started for it.

        >>> m.r_object                                            # doctest: +SKIP
        <rpy2.rinterface.SexpS4 ...>

        Raises
        ------
        EngineUnavailableError
            rpy2 or R is missing, or they do not fit each other.
        FitFailedError
            R could not fit it.
        """
        return fitting.in_r(self.fit)

    # -- text

    def to_json(self, indent: int | None = None) -> str:
        """Write the result as JSON, without loss; :func:`lmerbridge.from_json` reads it.

        Parameters
        ----------
        indent : int, optional
            Spaces by which each level is set in; default: all in one line.

        Examples
        --------
        >>> lb.from_json(m.to_json()).result == m.result
        True
        """
        return to_json(self.result, indent)

    if not TYPE_CHECKING:  # types know what there is

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)

    def __str__(self) -> str:
        return display.model_text(self.result)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return display.model_html(self.result)


def model_of(fit: Fit) -> Model:
    """Return the model of a fit, with what has been computed of it."""
    found = Model(fit.result, fit.frame_given, fit.call_given)
    found.__dict__["fit"] = fit
    return found


def _fit_of(value: Any) -> Any:
    """The fit of a model; another value as it is."""
    return value.fit if isinstance(value, Model) else value


def _of_model(FUN: Callable[[Any], Any] | None) -> Callable[[Fit], Any] | None:
    """A user's function of a model as one of a fit, which pickles where it does."""
    return None if FUN is None else partial(_asked, FUN)


def _asked(FUN: Callable[[Any], Any], fit: Fit) -> Any:
    return FUN(model_of(fit))
