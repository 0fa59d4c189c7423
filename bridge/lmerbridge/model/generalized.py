"""``GeneralizedModel``: what users hold after ``glmer``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lmerbridge.arguments import checked
from lmerbridge.design import ModelFrame
from lmerbridge.equality import by_value
from lmerbridge.family import Family, family_of
from lmerbridge.inference.approximation import ModelApproximation, approximation
from lmerbridge.inference.axes import AUTO, Reduce, meanint
from lmerbridge.inference.family_residuals import deviance, fitted_family
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.levels import DEFAULT_LEVEL
from lmerbridge.inference.re_form import NA
from lmerbridge.inference.residuals import residuals
from lmerbridge.model import fitting, generalized_answers, replications
from lmerbridge.model.answers import (
    accessors,
    all_fit,
    averaging,
    broom,
    comparing,
    criteria,
    deletion,
    display,
    estimates,
    explained,
    generalized_tests,
    intervals,
    latent,
    leaving_out,
    power,
    simulated_residuals,
    testing,
)
from lmerbridge.model.row_values import Vector, by_row
from lmerbridge.result import FitResult, tables, to_json
from lmerbridge.shown import named_list, shown

if TYPE_CHECKING:
    from lmerbridge.display.summary import Summary
    from lmerbridge.display.table import RTable
    from lmerbridge.inference.bootstrap import Bootstrap
    from lmerbridge.inference.explained import ICC, R2
    from lmerbridge.inference.influence import Influence
    from lmerbridge.inference.profile import Profile
    from lmerbridge.model.averaging import MeansSource
    from lmerbridge.model.comparing import Compared
    from lmerbridge.model.power import Power
    from lmerbridge.model.ref_grid import RefGrid
    from lmerbridge.solve.refits import Refits

__all__ = ["GeneralizedModel", "generalized_of"]


@checked
@shown
@by_value
@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedModel:
    """A fitted generalized linear mixed model, as :func:`lmerbridge.glmer` makes it.

    ``print(m)`` and ``print(m.summary())`` show what R shows. Methods have R's names, with ``_``
    for ``.``; effects are on the scale of the linear predictor.

    Attributes
    ----------
    fit : Fit
        The result, the model frame and the call.
    """

    fit: Fit

    @property
    def result(self) -> FitResult:
        """All numbers, frozen."""
        return self.fit.result

    @property
    def frame(self) -> ModelFrame:
        """The model frame; its response is as the likelihood has it, of a binomial a proportion.

        Raises
        ------
        DataError
            The model was read from JSON without data.
        """
        return self.fit.frame

    @property
    def engine(self) -> str:
        """Name of the engine that fitted."""
        return self.result.provenance.engine

    @property
    def formula(self) -> str:
        """The formula, ``||`` expanded as lme4 has it."""
        return self.result.call.formula

    @property
    def family(self) -> Family:
        """The family with its link."""
        return fitted_family(self.result)

    def __str__(self) -> str:
        return display.model_text(self.result)

    def __getattr__(self, name: str) -> Any:
        raise generalized_answers.missing(self, name)

    def summary(self, correlation: bool | None = None, digits: int = 4) -> Summary:
        """Summarize the fit as R's ``summary``, with z tests of the fixed effects.

        Parameters
        ----------
        correlation : bool, optional
            Whether the correlations of the fixed effects are shown; default: of at most 12.
        digits : int
            Significant digits.

        Examples
        --------
        >>> import lmerbridge as lb
        >>> d = lb.datasets.load("sleepstudy")
        >>> m = lb.glmer("I(Reaction > 300) ~ Days + (1 | Subject)", d, engine="native")
        >>> print(m.summary().coefficients.round(3).to_string())
                     Estimate  Std. Error  z value  Pr(>|z|)
        (Intercept)    -3.195       0.685   -4.662       0.0
        Days            0.585       0.098    5.968       0.0
        """
        return display.Summary(self.result, correlation, digits)

    def fixef(self) -> Vector:
        """Return the fixed effects (p,) by R's names, on the scale of the linear predictor."""
        return tables.fixed_table(self.result)

    def ranef(
        self,
        condVar: bool = True,
        whichel: str | Sequence[str] | None = None,
        drop: bool = False,
    ) -> Any:
        """Return the conditional modes of the random effects.

        Parameters
        ----------
        condVar, whichel, drop
            As of :meth:`lmerbridge.Model.ranef`; ``condsd`` is by the curvature at the modes.

        Returns
        -------
        DataFrame
            ``grpvar, term, grp, condval, condsd``; with ``drop`` a dict.

        Raises
        ------
        DataError
            ``whichel`` names no grouping factor of the model.
        """
        return estimates.random_effects(self.result, condVar, whichel, drop)

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return each level's coefficients, fixed effects plus conditional modes."""
        return named_list(tables.coefficients(self.result))

    def VarCorr(
        self, comp: str | Sequence[str] = "Std.Dev.", order: str = "cov.last", digits: int = 5
    ) -> RTable:
        """Return the variance components, in a table that prints as R prints ``VarCorr(m)``.

        Parameters
        ----------
        comp, order, digits
            As of :meth:`lmerbridge.Model.VarCorr`.

        Returns
        -------
        RTable
            ``grp, var1, var2, vcov, sdcor``; without a residual row where the family has no
            dispersion.
        """
        return estimates.variance_components(self.result, None, comp, order, digits)

    def vcov(self, definition: str | None = None, correlation: bool = False) -> pd.DataFrame:
        """Return the covariance matrix (p, p) of the fixed effects.

        Parameters
        ----------
        definition : str, optional
            ``"joint"``: of the joint Hessian of theta and the fixed effects, lme4's default;
            ``"conditional"``: given theta, where the engine has it. Default is the engine's.
        correlation : bool
            As correlations.

        Raises
        ------
        DataError
            The engine has no covariance matrix of that definition.
        """
        return estimates.covariance(self.fit, definition, False, correlation)

    def sigma(self) -> float:
        """Return the residual scale: 1 where the family has no dispersion, as R says."""
        return self.result.estimates.scale

    def logLik(self) -> float:
        """Return the log-likelihood, by the approximation of the fit (``nAGQ``)."""
        return self.result.criterion.logLik

    def deviance(self) -> float:
        """Return the sum of the squared deviance residuals, given the conditional modes: lme4's
        ``deviance`` of a generalized model, which is not minus twice :meth:`logLik`.
        """
        return deviance(self.result)

    def AIC(self, k: float = 2.0) -> float:
        """Return -2 logLik + ``k`` times the number of parameters.

        Parameters
        ----------
        k : float
            The penalty for a parameter.
        """
        return criteria.akaike(self.result.criterion, k)

    def BIC(self) -> float:
        """Return -2 logLik + log(n) times the number of parameters, n rows."""
        return self.result.criterion.BIC

    def nobs(self) -> int:
        """Return the number of rows used: rows, not trials."""
        return self.result.data.nobs

    def ngrps(self) -> dict[str, int]:
        """Return the number of levels by grouping factor."""
        return {name: len(levels) for name, levels in self.result.data.groups.items()}

    def df_residual(self) -> int:
        """Return the number of rows less that of the parameters."""
        return self.result.criterion.df_residual

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Return whether a diagonal element of Lambda is below ``tol``.

        Parameters
        ----------
        tol : float
            In units of theta.
        """
        return criteria.is_singular(self.result, tol)

    def getME(self, name: str) -> Any:
        """Return a part of the model by lme4's name.

        Parameters
        ----------
        name : str
            ``"theta"``, ``"beta"``, ``"X"``, ``"y"``, ``"mu"``, ``"glmer.nb.theta"``.

        Raises
        ------
        ArgumentError
            There is no such name here.
        """
        return generalized_answers.part(self.fit, name)

    def fitted(self) -> Vector:
        """Return the fitted means (n,) given the modes; of a binomial probabilities."""
        return by_row(self.fit, self.result.estimates.fitted.copy(), "fitted")

    def residuals(self, type: str = "deviance", scaled: bool = False) -> Vector:
        """Return residuals (n,) given the conditional modes.

        Parameters
        ----------
        type : {"deviance", "pearson", "working", "response"}
            R's default is ``deviance``.
        scaled : bool
            Whether to divide by sigma.

        Raises
        ------
        DataError
            Another type.
        """
        return by_row(self.fit, residuals(self.result, type, scaled), "residuals")

    def predict(
        self,
        newdata: Any = None,
        re_form: Any = None,
        type: str = "link",
        allow_new_levels: bool = False,
        na_action: str = "pass",
        se_fit: bool = False,
        interval: str | None = None,
        level: float = DEFAULT_LEVEL,
    ) -> Vector | pd.DataFrame:
        """Predict the rows of the fit or new ones.

        Parameters
        ----------
        newdata, re_form, allow_new_levels, na_action, level
            As of :meth:`lmerbridge.Model.predict`.
        type : {"link", "response"}
            The linear predictor, or the mean.
        se_fit : bool
            Add standard errors: of the linear model of the last iteration, theta taken as known;
            without random effects by :meth:`vcov`. Of means by the delta method.
        interval : {"confidence"}, optional
            Add ``lwr`` and ``upr``: made on the link's scale, of means brought back from there.

        Raises
        ------
        DataError
            A column is missing, or a level is new and not allowed.
        UnsupportedModelError
            ``interval="prediction"``: new responses are not normal.

        Examples
        --------
        >>> import lmerbridge as lb
        >>> d = lb.datasets.load("sleepstudy")
        >>> m = lb.glmer("I(Reaction > 300) ~ Days + (1 | Subject)", d, engine="native")
        >>> import pandas as pd
        >>> new = pd.DataFrame({"Days": [0, 9]})
        >>> m.predict(new, re_form="NA", type="response").round(3).tolist()
        [0.039, 0.888]
        """
        return generalized_answers.predict(
            self.fit,
            newdata,
            re_form,
            type,
            allow_new_levels,
            na_action,
            se_fit,
            interval,
            level,
        )

    def simulate(
        self, nsim: int = 1, seed: Any = None, re_form: Any = NA, use_u: bool = False
    ) -> pd.DataFrame:
        """Simulate new responses for the rows of the fit.

        Parameters
        ----------
        nsim : int
            How many.
        seed : int or numpy.random.Generator, optional
            What to draw with.
        re_form : None, NA or str
            Random effects that are conditioned on; by default none: all are drawn anew.
        use_u : bool
            Whether to condition on all random effects.

        Returns
        -------
        DataFrame
            A column per response, of a binomial proportions, which :meth:`refit` takes.

        Raises
        ------
        DataError
            Both ``use_u`` and ``re_form`` are given.
        """
        return generalized_answers.simulate(self.fit, nsim, seed, re_form, use_u)

    def refit(self, newresp: Any) -> GeneralizedModel:
        """Fit the same model to another response.

        Parameters
        ----------
        newresp : array, Series or table
            A value for each row used (or two columns, successes and failures), in the shapes of
            :meth:`lmerbridge.Model.refit`.

        Raises
        ------
        DataError
            Another number of rows, or values that the family has not.
        """
        return generalized_of(fitting.refitted(self.fit, newresp))

    def influence(self, groups: str | None = None, progress: bool = False) -> Influence:
        """Fit the model without each observation, or without each level of a grouping factor.

        Parameters
        ----------
        groups, progress
            As of :meth:`lmerbridge.Model.influence`.

        Returns
        -------
        Influence
            As there. Each fit is by the native engine, with weight 0 of what is left out.

        Raises
        ------
        UnsupportedModelError
            The native engine does not fit this model.
        """
        return leaving_out.influence_of(self.fit, groups, progress)

    def hatvalues(self) -> Vector:
        """Compute the leverages, a value per row, of the linear model of the last iteration.

        lme4's ``hatvalues`` of a ``glmer`` takes the prior weights where the working ones belong
        (it says that they may not make sense), so that they can exceed 1.

        References
        ----------
        Demidenko & Stukel (2005), Stat. Med. 24, 893-909.
        """
        return by_row(self.fit, deletion.hat_values(self.fit), "hatvalues")

    def cooks_distance(self) -> Vector:
        """Compute Cook's distances of the rows from Pearson's residuals and the leverages; with
        refits: ``influence().cooks_distance()``.
        """
        return by_row(self.fit, deletion.cooks_distance(self.fit), "cooks_distance")

    def quantile_residuals(self, nsim: int = 250, seed: Any = None, re_form: Any = NA) -> Vector:
        """Compute randomized quantile residuals by simulation: uniform if the model holds.

        Parameters
        ----------
        nsim, seed, re_form
            As of :meth:`lmerbridge.Model.quantile_residuals`.

        Returns
        -------
        Series
            A value per row: its place among what is drawn, at random among what is equal to it.
        """
        found = simulated_residuals.quantile_residuals(self.frame, self.result, nsim, seed, re_form)
        return by_row(self.fit, found, "quantile_residuals")

    def residual_tests(self, nsim: int = 250, seed: Any = None, re_form: Any = NA) -> RTable:
        """Test whether the response is one that the model draws.

        Parameters
        ----------
        nsim : int
            Responses drawn, at least 20.
        seed, re_form
            As of :meth:`lmerbridge.Model.quantile_residuals`.

        Returns
        -------
        RTable
            ``observed``, ``expected`` and ``p_value``: ``uniformity``, the distance of the quantile
            residuals from uniform ones; ``dispersion``, the mean squared deviation over that of
            what is drawn; ``outliers``, rows that are the least or the greatest of all; ``zero
            inflation``, rows of 0. Dispersion and zeros are tested on both sides.

        References
        ----------
        Dunn & Smyth (1996), J. Comput. Graph. Stat. 5, 236-244; Davison & Hinkley (1997), Bootstrap
        Methods and Their Application, section 4.2 (the tests).
        """
        return generalized_tests.drawn(self.fit, nsim, seed, re_form)

    def overdispersion(self) -> RTable:
        """Compare Pearson's chi-squared, given the modes, with the residual degrees of freedom.

        Returns
        -------
        RTable
            ``Chisq``, ``ratio``, ``Df``, ``Pr(>Chisq)``. Of binary rows it says nothing.

        References
        ----------
        McCullagh & Nelder (1989), Generalized Linear Models, section 4.5.
        """
        return generalized_tests.dispersion(self.fit)

    def r2(self, approximation: str | None = None) -> R2:
        """Compute Nakagawa's R2 on the scale of the link: ``marginal`` and ``conditional``.

        Parameters
        ----------
        approximation : {"theoretical", "lognormal", "delta", "trigamma"}, optional
            Of the variance that the distribution adds: of the latent variable (default of a
            binomial with the logit, probit or cloglog link, for one trial); of the log link
            ``lognormal`` (its default) or ``trigamma``; or by the delta method (default elsewhere).
            The mean that it depends on is that of the model without predictors.

        Raises
        ------
        UnsupportedModelError
            The family and link have no such variance.

        References
        ----------
        Nakagawa, Johnson & Schielzeth (2017), J. R. Soc. Interface 14, 20170213.
        """
        return latent.r2_of(self.fit, approximation)

    def icc(self, approximation: str | None = None) -> ICC:
        """Compute the intraclass correlation on the scale of the link: ``adjusted``,
        ``unadjusted``, ``by_group``.

        Parameters
        ----------
        approximation : str, optional
            As of :meth:`r2`.

        References
        ----------
        Nakagawa, Johnson & Schielzeth (2017), J. R. Soc. Interface 14, 20170213.
        """
        return latent.icc_of(self.fit, approximation)

    def update(self, formula: str | None = None, **changes: Any) -> GeneralizedModel:
        """Fit again with something changed, as R's ``update``.

        Parameters
        ----------
        formula : str, optional
            In it ``.`` is what was there: ``". ~ . - Days"``.
        **changes
            Arguments of :func:`lmerbridge.glmer`.

        Raises
        ------
        ArgumentError
            ``changes`` name what is no argument of ``glmer``.
        """
        if "family" in changes:
            changes["family"] = family_of(changes["family"])
        return generalized_of(fitting.updated(self.fit, formula, **changes))

    def anova(self, *others: Any, model_names: Sequence[str] | None = None) -> RTable:
        """Compare this model with others by likelihood-ratio tests.

        Parameters
        ----------
        *others : models
            Fitted to the same response, with the same ``nAGQ``.
        model_names : sequence of str, optional
            Names of the rows; default: of the caller's variables.

        Raises
        ------
        DataError
            Models of different data.
        UnsupportedModelError
            No other model is given: R's table of sums of squares has no test.
        """
        models = generalized_answers.to_compare(self, others)
        names = comparing.model_names(models) if model_names is None else list(model_names)
        return comparing.comparison(models, names, False)

    def compared(self, name: str, refit: bool) -> Compared:
        """Return it as a comparison of models sees it.

        Parameters
        ----------
        name : str
            The name of its row.
        refit : bool
            Of no effect: it is by maximum likelihood.
        """
        return comparing.compared_fit(self.fit, name, refit)

    def Anova(self, type: int | str = "II") -> RTable:
        """Test the fixed terms by Wald's chi-squared, as car's ``Anova``.

        Parameters
        ----------
        type : {"II", "III"}
            As of :meth:`lmerbridge.Model.Anova`.

        Returns
        -------
        RTable
            A row per term: ``Chisq``, ``Df``, ``Pr(>Chisq)``.
        """
        return testing.wald_tests(self.fit, type, "Chisq")

    def contest(
        self,
        L: Any,
        joint: bool = True,
        rhs: Any = 0.0,
        *,
        collect: bool = True,
        confint: bool = True,
        level: float = DEFAULT_LEVEL,
    ) -> Any:
        """Test L beta = rhs: all rows by chi-squared, or with ``joint=False`` each by a z test.

        Parameters
        ----------
        L, joint, rhs, collect, confint, level
            As of :meth:`lmerbridge.Model.contest`.

        Returns
        -------
        DataFrame
            ``Chisq``, ``Df``, ``Pr(>Chisq)``, as car's ``linearHypothesis``; or a row per row of L:
            ``Estimate``, ``Std. Error``, ``z value``, ``lower``, ``upper``, ``Pr(>|z|)``.
        """
        return generalized_tests.contest(self.fit, L, joint, rhs, collect, confint, level)

    def drop1(
        self, test: str = "Chisq", scope: str | Sequence[str] | None = None, k: float = 2.0
    ) -> RTable:
        """Test single terms by leaving each out, and fitting again.

        Parameters
        ----------
        test : {"Chisq", "none"}
            With likelihood-ratio tests, or AIC alone, as R without ``test=``.
        scope, k
            As of :meth:`lmerbridge.Model.drop1`.

        Returns
        -------
        RTable
            A row per term: ``npar``, ``AIC``, ``LRT``, ``Pr(Chi)``.
        """
        return testing.drop1(self.fit, "lme4", test, scope, k)

    def _means(self) -> MeansSource:
        return averaging.source_of_family(self.fit)

    def emmeans(
        self,
        specs: Any,
        by: Any = None,
        at: Mapping[str, Any] | None = None,
        type: str = "link",
        weights: Any = "equal",
        level: float = DEFAULT_LEVEL,
        *,
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        offset: float | None = None,
        regrid: str | None = None,
        bias_adjust: bool = False,
        sigma: float | None = None,
        rg_limit: int | None = None,
        contr: Any = None,
        **options: Any,
    ) -> Any:
        """Estimate marginal means with z tests, as :meth:`lmerbridge.Model.emmeans`.

        Parameters
        ----------
        specs, by, at, weights, level, cov_keep, cov_reduce, nesting, offset, regrid, rg_limit
            As there.
        contr, **options
            As there.
        type : {"link", "response"}
            ``response``: means as ``prob``, ``rate`` or ``response``, differences of logits as
            ``odds.ratio``, of logarithms as ``ratio``; other differences stay on the link's scale.
            All are given random effects of 0.
        bias_adjust, sigma
            Means over the random effects, approximately: ``sigma`` is the standard deviation of
            their sum. R takes the residual's if none is given, which is 1 where there is none.

        Returns
        -------
        MarginalMeans, or MeansList of the means and their contrasts

        Examples
        --------
        >>> import lmerbridge as lb
        >>> f = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> m = lb.glmer(f, lb.datasets.load("cbpp"), engine="native")
        >>> print(m.emmeans("period", type="response").table.round(3).to_string(index=False))
        period  prob    SE  df  asymp.LCL  asymp.UCL
             1 0.198 0.037 inf      0.135      0.280
             2 0.084 0.024 inf      0.047      0.144
             3 0.074 0.023 inf      0.040      0.132
             4 0.048 0.020 inf      0.021      0.106
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
        level: float = DEFAULT_LEVEL,
        *,
        weights: Any = "equal",
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        delta_var: float | None = None,
        max_degree: int = 1,
        rg_limit: int | None = None,
    ) -> Any:
        """Estimate slopes on the link's scale, as :meth:`lmerbridge.Model.emtrends`.

        Parameters
        ----------
        specs, var, by, at, level, weights, cov_keep, cov_reduce, nesting
            As there.
        delta_var, max_degree, rg_limit
            As there.

        Returns
        -------
        MarginalMeans, or RefGrid without ``specs``
        """
        return averaging.emtrends(
            self._means,
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
        at: Mapping[str, Any] | None = None,
        cov_reduce: Reduce = meanint,
        **options: Any,
    ) -> RTable:
        """Test each term by the contrasts among its marginal means on the link's scale.

        Parameters
        ----------
        by, show0df, showconf, weights, at, cov_reduce, **options
            As of :meth:`lmerbridge.Model.joint_tests`.

        Returns
        -------
        RTable
            As there; ``df2`` is infinite.
        """
        options = {"at": at, "cov_reduce": cov_reduce, **options}
        return averaging.joint_tests(self.ref_grid, by, show0df, showconf, weights, options)

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
    ) -> RefGrid:
        """Predict at all combinations of the predictors' values: the reference grid.

        Parameters
        ----------
        at, type, cov_keep, cov_reduce, nesting, offset, rg_limit
            As of :meth:`lmerbridge.Model.ref_grid`.

        Returns
        -------
        RefGrid
            A row per combination.
        """
        return averaging.ref_grid(
            self._means, at, type, cov_keep, cov_reduce, nesting, offset, rg_limit
        )

    def profile(
        self,
        parm: Any = None,
        progress: bool = False,
        *,
        prof_scale: str = "sdcor",
        signames: bool = True,
        alphamax: float = 0.01,
        size: str = "given",
    ) -> Profile:
        """Profile the criterion over each parameter, of the standard deviations and the effects.

        Parameters
        ----------
        parm, progress, prof_scale, signames, alphamax
            As of :meth:`lmerbridge.Model.profile`.
        size : {"given", "free"}
            Of :func:`lmerbridge.glmer_nb`: whether its size is held at the estimate, as in lme4, or
            a parameter as the others, ``.size``.

        Returns
        -------
        Profile
            As there; it is by the native engine, from its own optimum.

        Raises
        ------
        UnsupportedModelError
            A fit with ``nAGQ=0``, one with a moment estimate of the dispersion, or one that the
            native engine does not make.
        """
        return intervals.profile_of(self.fit, parm, progress, prof_scale, signames, alphamax, size)

    def confint(
        self,
        method: str = "profile",
        level: float = DEFAULT_LEVEL,
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
        size: str = "given",
    ) -> RTable:
        """Give confidence intervals, a row per parameter, as :meth:`lmerbridge.Model.confint`.

        Parameters
        ----------
        method : {"profile", "Wald", "boot"}
            ``profile``: by the criterion (:meth:`profile`); ``Wald``: of the fixed effects alone;
            ``boot``: parametric bootstrap (:meth:`bootMer`).
        level, parm, oldNames, nsim, boot_type, seed, jobs, resume, progress
            As there.
        FUN, prof_scale, signames
            As there.
        size : {"given", "free"}
            As of :meth:`profile`.

        Returns
        -------
        RTable
            A column per limit.

        Raises
        ------
        UnsupportedModelError
            The method needs fits that the native engine does not make.

        Examples
        --------
        >>> import lmerbridge as lb
        >>> d = lb.datasets.load("sleepstudy")
        >>> m = lb.glmer("I(Reaction > 300) ~ Days + (1 | Subject)", d, engine="native")
        >>> print(m.confint("Wald", parm="beta_").round(2).to_string())
                     2.5 %  97.5 %
        (Intercept)  -4.54   -1.85
        Days          0.39    0.78
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
            size,
        )

    def approximation(
        self, estimates: bool = True, draws: int = 20_000, seed: int = 0
    ) -> ModelApproximation:
        """Compare the likelihood that was maximized (by Laplace's approximation, or by quadrature
        of few nodes) with the likelihood itself.

        It is integrated by adaptive quadrature of rising order where the grouping factors are
        nested, with up to 3 effects a level and 4 along a path of them, and by importance sampling
        elsewhere.

        Parameters
        ----------
        estimates : bool
            Whether to find also where the likelihood itself is largest: by Newton's steps with
            draws in common where it is sampled, which takes some 20 times as long.
        draws : int
            Of importance sampling; even.
        seed : int
            Of the draws.

        Returns
        -------
        ModelApproximation
            Both log-likelihoods, the error, and how far the estimates are off; its text says so.

        Raises
        ------
        UnsupportedModelError
            More random effects than can be sampled.

        References
        ----------
        Naylor & Smith (1982), Appl. Stat. 31, 214-225; Vehtari et al. (2024), JMLR 25(72).

        Examples
        --------
        >>> import lmerbridge as lb
        >>> d = lb.datasets.load("sleepstudy")
        >>> m = lb.glmer("I(Reaction > 300) ~ Days + (1 | Subject)", d, engine="native")
        >>> found = m.approximation()
        >>> round(found.difference, 2), found.matters
        (-0.17, False)
        """
        return approximation(self.fit, estimates, draws, seed)

    def bootMer(
        self,
        FUN: Callable[[Any], Any] | None = None,
        nsim: int = 1000,
        seed: int | None = None,
        use_u: bool = False,
        jobs: int = 1,
        resume: str | Path | None = None,
        progress: bool = False,
    ) -> Bootstrap:
        """Bootstrap this model by responses that it draws, fitted again by the native engine.

        Parameters
        ----------
        FUN, nsim, seed, use_u, jobs, resume, progress
            As of :meth:`lmerbridge.Model.bootMer`.

        Returns
        -------
        Bootstrap
            As there.

        Raises
        ------
        UnsupportedModelError
            The native engine does not fit this model.
        """
        return intervals.boot(
            self.fit, _of_model(FUN), nsim, seed, use_u, "parametric", jobs, resume, progress
        )

    def refit_many(self, responses: Any) -> Refits:
        """Fit the same model to many responses by the native engine, without warnings.

        Parameters
        ----------
        responses : array (n, B) or table
            A column per response, such as :meth:`simulate` makes.

        Returns
        -------
        Refits
            As of :meth:`lmerbridge.Model.refit_many`; NaN where one could not be fitted.
        """
        return fitting.refitted_many(self.fit, responses)

    def allFit(self, progress: bool = False) -> pd.DataFrame:
        """Fit the model by the native engine, and by every optimizer of lme4 where R is.

        Parameters
        ----------
        progress : bool
            Show a bar.

        Returns
        -------
        DataFrame
            As of :meth:`lmerbridge.Model.allFit`.
        """
        return all_fit.all_fit(self.fit, progress)

    def tidy(
        self,
        effects: str | Sequence[str] = ("ran_pars", "fixed"),
        conf_int: bool = False,
        conf_level: float = DEFAULT_LEVEL,
        scales: str | Sequence[str | None] | None = None,
        conf_method: str = "Wald",
        exponentiate: bool = False,
    ) -> pd.DataFrame:
        """Return the estimates, one per row, as :meth:`lmerbridge.Model.tidy`, with z tests.

        Parameters
        ----------
        effects, conf_int, conf_level, scales, conf_method
            As there.
        exponentiate : bool
            Fixed effects as ratios: odds ratios of the logit link, rate ratios of the log link.
            Standard errors are times the ratio, limits are exponentiated.

        Returns
        -------
        DataFrame
            As there.
        """
        request = broom.Request.of(effects, conf_int, conf_level, scales, conf_method)
        found = broom.tidy_fit(self.fit, request, None)
        return broom.as_ratios(found) if exponentiate else found

    def glance(self) -> pd.DataFrame:
        """Describe the fit in a row, as :meth:`lmerbridge.Model.glance`; with :meth:`deviance`."""
        return broom.glance(self.result)

    def rmse(self, normalized: bool = False) -> float:
        """Compute the root of the mean squared response residual.

        Parameters
        ----------
        normalized : bool
            Over the range of the response.
        """
        return explained.rmse(self.result, normalized)

    def power(
        self,
        term: str,
        effect: Any = None,
        nsim: int = 1000,
        test: str = "z",
        alpha: float = 0.05,
        seed: int | None = None,
        progress: bool = False,
    ) -> Power:
        """Estimate the power of a test by simulation, as :meth:`lmerbridge.Model.power`.

        Parameters
        ----------
        term, effect, nsim, alpha, seed, progress
            As there; effects are on the scale of the linear predictor.
        test : {"z", "LRT"}
            A z test of one effect, or a likelihood ratio test of a term.

        Returns
        -------
        Power
            As there.

        Raises
        ------
        ArgumentError, DataError
            As there.
        """
        return power.power_of(self, term, effect, nsim, test, alpha, seed, progress)

    def model_matrix(self) -> pd.DataFrame:
        """Return the fixed part's matrix (n, p)."""
        found: pd.DataFrame = accessors.matrix_of(self.fit, "fixed")
        return found

    def weights(self) -> Vector:
        """Return the prior weights by row, of a binomial the numbers of trials; 1 where none."""
        return accessors.weights_of(self.fit)

    def to_json(self, indent: int | None = None) -> str:
        """Write the result as JSON, which :func:`lmerbridge.from_json` reads.

        Parameters
        ----------
        indent : int, optional
            Of its lines; by default it is one line.
        """
        return to_json(self.result, indent)


def generalized_of(fit: Fit) -> GeneralizedModel:
    """Return the model of a fit."""
    return GeneralizedModel(fit)


def _of_model(FUN: Callable[[Any], Any] | None) -> Callable[[Fit], Any] | None:
    """A user's function of a model as one of a fit, which pickles where it does."""
    return None if FUN is None else partial(_asked, FUN)


def _asked(FUN: Callable[[Any], Any], fit: Fit) -> Any:
    return FUN(generalized_of(fit))
