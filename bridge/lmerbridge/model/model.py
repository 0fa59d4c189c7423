"""``Model``: what users hold after a fit. Each method calls a function of the rooms below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lmerbridge import display
from lmerbridge.arguments import belongs, checked
from lmerbridge.design import ModelFrame
from lmerbridge.design.call import Call
from lmerbridge.display.anova import table_of_tests
from lmerbridge.display.summary import Summary
from lmerbridge.display.table import RTable
from lmerbridge.equality import by_value
from lmerbridge.inference import degrees, explained
from lmerbridge.inference import influence as deletion
from lmerbridge.inference.axes import Reduce
from lmerbridge.inference.effects import NA
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.levels import DEFAULT_LEVEL
from lmerbridge.inference.pooling import pooling_table
from lmerbridge.inference.reference_grid import AUTO
from lmerbridge.inference.residuals import residuals
from lmerbridge.inference.simulated_residuals import quantile_residuals
from lmerbridge.model import (
    accessors,
    averaging,
    comparing,
    criteria,
    estimates,
    fitting,
    intervals,
    modcomp,
    prediction,
    testing,
)
from lmerbridge.model import tidy as broom
from lmerbridge.model.all_fit import all_fit
from lmerbridge.model.averaging import MeansSource
from lmerbridge.model.comparing import Compared
from lmerbridge.model.comparisons import without_random_terms
from lmerbridge.model.components import component, components
from lmerbridge.model.elsewhere import missing_attribute
from lmerbridge.model.every_term import DEFAULT_NSIM as NSIM_OF_TERMS
from lmerbridge.model.every_term import every_term
from lmerbridge.model.intervals import DEFAULT_NSIM
from lmerbridge.model.joint_testing import meanint
from lmerbridge.model.leaving_out import influence_of
from lmerbridge.model.ref_grid import RefGrid
from lmerbridge.model.rows import Vector, by_row
from lmerbridge.result import FitResult, tables, to_json

if TYPE_CHECKING:
    from lmerbridge.inference.bootstrap import Bootstrap
    from lmerbridge.inference.explained import ICC, R2, PrincipalComponents
    from lmerbridge.inference.influence import Influence
    from lmerbridge.inference.profile import Profile
    from lmerbridge.model.accessors import Family, ModelTerms
    from lmerbridge.solve.refits import Refits

__all__ = ["Model", "model_of"]


@checked
@by_value
@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A fitted linear mixed model.

    Made by :func:`lmerbridge.lmer` or :func:`lmerbridge.from_json`. ``print(m)`` and
    ``print(m.summary())`` show what R shows. Methods have R's names; vectors come back as
    named Series, tables as DataFrames.

    Attributes
    ----------
    result : FitResult
        All numbers, frozen.
    frame : ModelFrame
    call : Call
        The arguments of ``lmer``, for :meth:`update` and :meth:`refit`; by name in ``inputs``.
    """

    result: FitResult
    _frame: ModelFrame | None = None
    _call: Call | Mapping[str, Any] | None = None

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
        """Fixed effects by R's names.

        Parameters
        ----------
        add_dropped : bool
            Also the columns that are linear combinations of others, as missing, in their places.
        """
        return estimates.fixed_effects(self.fit, add_dropped)

    def ranef(
        self,
        condVar: bool = True,
        whichel: str | Sequence[str] | None = None,
        drop: bool = False,
    ) -> Any:
        """Conditional modes of the random effects.

        Parameters
        ----------
        condVar : bool
            With ``condsd``, their conditional standard deviations.
        whichel : str or sequence of str, optional
            Grouping factors; default all.
        drop : bool
            A Series for a factor with one column, a table of levels by columns for the others.

        Returns
        -------
        DataFrame
            ``grpvar, term, grp, condval, condsd``, the form of R's ``as.data.frame(ranef(m))``;
            with ``drop`` a dict of grouping factor to Series or DataFrame.
        """
        return estimates.random_effects(self.result, condVar, whichel, drop)

    def coef(self) -> dict[str, pd.DataFrame]:
        """Per grouping factor, each level's coefficients: fixed plus random."""
        return tables.coefficients(self.result)

    def VarCorr(
        self,
        sigma: float | None = None,
        comp: str | Sequence[str] = "Std.Dev.",
        order: str = "cov.last",
        digits: int = 5,
    ) -> RTable:
        """Variance components: a table that prints as R prints ``VarCorr(m)``.

        Parameters
        ----------
        sigma : float, optional
            The residual standard deviation by which theta is scaled; default that of the fit.
        comp : str or sequence of str
            What is printed: ``"Std.Dev."``, ``"Variance"``, or both.
        order : {"cov.last", "lower.tri"}
            Of the rows of the table: covariances last, or by columns of the lower triangle.
        digits : int
            Of what is printed.

        Returns
        -------
        RTable
            ``grp, var1, var2, vcov, sdcor``, as R's ``as.data.frame(VarCorr(m))``.

        Raises
        ------
        DataError
            A word that is none of those, or fewer digits than one.
        """
        return estimates.variance_components(self.result, sigma, comp, order, digits)

    def vcov(
        self,
        definition: str | None = None,
        full: bool | str = False,
        correlation: bool = False,
    ) -> pd.DataFrame:
        """Covariance matrix of the fixed effects.

        Parameters
        ----------
        definition : str, optional
            ``"conditional"`` (lme4's) or ``"joint"``, where the engine has it; default is the
            engine's ``result.estimates.vcov_definition``.
        full : bool or str
            ``True`` or ``"parameters"``: also of the variance parameters, by the expected
            information, as merDeriv has it: rows ``cov_Subject.(Intercept)``, ..., ``residual``.
            ``"modes"``: also of the random effects' conditional modes, given theta and sigma, as
            lme4's ``full = TRUE`` since 1.1-36: rows ``Subject.308.(Intercept)``, ..., before the
            fixed effects.
        correlation : bool
            As correlations.
        """
        return estimates.covariance(self.fit, definition, full, correlation)

    def sigma(self) -> float:
        """Residual standard deviation."""
        return self.result.estimates.sigma

    def se_fixef(self) -> Vector:
        """Standard errors of the fixed effects."""
        return estimates.fixed_errors(self.result)

    def se_ranef(self) -> dict[str, pd.DataFrame]:
        """Standard errors of the conditional modes: a table (levels, columns) by factor."""
        return estimates.by_group(self.result, "condsd")

    def postVar(self) -> dict[str, Any]:
        """Conditional covariance matrices of the random effects by term: (levels, k, k)."""
        return estimates.conditional_variances(self.result)

    def se_VarCorr(self) -> pd.DataFrame:
        """``VarCorr()`` with standard errors, from the expected information: ``grp, var1, var2,
        vcov, se_vcov, sdcor, se_sdcor``.

        Those of standard deviations and correlations are by the delta method, and missing where a
        variance is 0.
        """
        return estimates.variance_errors(self.fit)

    def dummy_coef(self) -> dict[str, pd.Series[float]]:
        """Fixed effects in terms of the factors' own levels, by term, as R's ``dummy.coef`` of a
        regression: numbers at 1; sums of contrasts for each level or combination.
        """
        return accessors.dummy_coefficients(self.frame, self.result.estimates.beta)

    # -- criteria

    def logLik(self, REML: bool | None = None) -> float:
        """Log-likelihood; restricted for a REML fit unless ``REML=False``."""
        return criteria.log_likelihood(self.result, REML)

    def REMLcrit(self) -> float:
        """REML criterion at the estimates."""
        return criteria.reml_criterion(self.result)

    def deviance(self, REML: bool | None = None) -> float:
        """-2 log-likelihood; for a REML fit say ``REML=False``, or use :meth:`REMLcrit`."""
        return criteria.deviance(self.result, REML)

    def AIC(self, k: float = 2.0) -> float:
        """Akaike's criterion: -2 logLik + ``k`` times the number of parameters."""
        return criteria.akaike(self.result.criterion, k)

    def AICc(self) -> float:
        """Akaike's criterion with Hurvich & Tsai's (1989, Biometrika 76, 297-307) correction:
        AIC + 2 k (k + 1) / (n - k - 1), k parameters; infinite where n = k + 1 or less.
        """
        return criteria.corrected_akaike(self.result)

    def BIC(self) -> float:
        """Schwarz's criterion, with log(n) as lme4 has it."""
        return self.result.criterion.BIC

    def extractAIC(self, scale: float = 0.0, k: float = 2.0) -> tuple[float, float]:
        """The number of parameters and Akaike's criterion, of the fit by maximum likelihood, as
        R's ``extractAIC`` has it: a REML fit is fitted again.

        Parameters
        ----------
        scale : float
            Only 0, as lme4 ignores it.
        k : float
            Weight of a parameter.
        """
        return criteria.extracted_akaike(self.fit, scale, k)

    def isREML(self) -> bool:
        """Whether the fit is by REML."""
        return self.result.call.REML

    def isLMM(self) -> bool:
        """Whether this is a linear mixed model: it always is."""
        return True

    def isGLMM(self) -> bool:
        """Whether this is a generalized linear mixed model: it never is."""
        return False

    def isNLMM(self) -> bool:
        """Whether this is a nonlinear mixed model: it never is."""
        return False

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Whether the fit is singular: theta on its boundary, a diagonal element of Lambda below
        ``tol``, so that a variance is estimated as 0 or a correlation as 1 or -1.

        The criterion has its optimum there: such a fit has converged. It says that the data do not
        bear all of the random effects. Tests and intervals that rest on a normal approximation are
        doubtful for parameters at the boundary. What may be done: look where the variance is 0
        (``m.VarCorr()``, ``m.rePCA()``), take out correlations (``||``) or terms that the design
        does not need, compare (``m.ranova()``), or keep the model and say so.
        """
        return criteria.is_singular(self.result, tol)

    # -- sizes

    def nobs(self) -> int:
        """Rows used."""
        return self.result.data.nobs

    def ngrps(self) -> pd.Series[int]:
        """Number of levels by grouping factor."""
        groups = self.result.data.groups
        return pd.Series([len(v) for v in groups.values()], index=list(groups))

    def df_residual(self) -> int:
        """Rows less all parameters."""
        return self.result.criterion.df_residual

    # -- summaries

    def summary(self, correlation: bool | None = None, ddf: str | None = None) -> Summary:
        """lme4's summary; with ``ddf`` (``"Satterthwaite"``, ``"Kenward-Roger"``) lmerTest's, with
        degrees of freedom and p-values. ``correlation=True`` shows correlations of more than 12
        effects.
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
        """Estimates, one per row, with broom.mixed's columns; those that do not apply are left out.

        Parameters
        ----------
        effects : str or sequence of str
            Of ``fixed``, ``ran_pars``, ``ran_vals``, ``ran_coefs``.
        conf_int : bool
            Add ``conf_low`` and ``conf_high``.
        ddf : str, optional
            ``"Satterthwaite"`` or ``"Kenward-Roger"``: degrees of freedom and p-values.
        scales : str or sequence, optional
            ``"sdcor"`` (default) or ``"vcov"``: standard deviations and correlations, or
            variances and covariances, for ``ran_pars``; a sequence has one per effect.
        conf_method : {"Wald", "profile", "boot"}
            Wald has intervals for ``fixed`` and ``ran_vals`` alone: those of variance parameters
            are missing, as in R.
        """
        request = broom.Request.of(effects, conf_int, conf_level, scales, conf_method)
        return broom.tidy_fit(self.fit, request, ddf)

    def glance(self) -> pd.DataFrame:
        """One row on the fit."""
        return broom.glance(self.result)

    def augment(self) -> pd.DataFrame:
        """The variables used, with broom.mixed's columns: ``.fitted``, ``.resid``, ``.hat``,
        ``.cooksd``, ``.fixed`` (predictions without random effects), ``.mu``, ``.offset``,
        ``.sqrtXwt``, ``.sqrtrwt``, ``.weights``, ``.wtres``.

        With ``na_action="exclude"`` the rows that were dropped are there, their values missing.
        """
        return broom.augment(self.fit)

    # -- values per row

    def fitted(self) -> Vector:
        """Fitted values given the random effects."""
        return by_row(self.fit, self.result.estimates.fitted.copy(), "fitted")

    def residuals(self, type: str = "response", scaled: bool = False) -> Vector:
        """Residuals: ``response`` or ``working``, ``pearson`` or ``deviance`` (times the root of
        the prior weights), ``scaled`` (``pearson`` over sigma).

        Parameters
        ----------
        scaled : bool
            Any type over sigma.
        """
        return by_row(self.fit, residuals(self.result, type, scaled), "residuals")

    def weights(self) -> Vector:
        """Prior weights: 1 where none were given."""
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
            NaN, with a warning, for rows that a rank-deficient fit does not determine, such as
            those of an empty cell.

        Raises
        ------
        DataError
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
        seed : int or numpy Generator, optional
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
        """X as a DataFrame (``type="fixed"``), Z, sparse (``"random"``), or the random terms' own
        matrices (``"randomListRaw"``).
        """
        return accessors.matrix_of(self.fit, type)

    def model_frame(self, fixed_only: bool = False) -> pd.DataFrame:
        """The variables as the model has them, ``(weights)`` and ``(offset)`` last; rows used.

        Parameters
        ----------
        fixed_only : bool
            Without the variables of the random terms alone.
        """
        return accessors.model_frame(self.frame, fixed_only)

    def getData(self) -> Any:
        """The data that the model was fitted to, as given."""
        return self.call.data

    def getME(self, name: str | Sequence[str]) -> Any:
        """A part of the model by lme4's name; a dict for several names, or for ``"ALL"``.

        All of lme4's names: ``X``, ``Z``, ``Zt``, ``Ztlist``, ``mmList``, ``y``, ``mu``, ``u``,
        ``b``, ``Gp``, ``Tp``, ``L``, ``Lambda``, ``Lambdat``, ``Lind`` (counted from 1),
        ``Tlist``, ``A``, ``RX``, ``RZX``, ``RXi``, ``sigma``, ``flist``, ``fixef``, ``beta``,
        ``theta``, ``ST``, ``REML``, ``is_REML``, ``n_rtrms``, ``n_rfacs``, ``N``, ``n``, ``p``,
        ``q``, ``p_i``, ``l_i``, ``q_i``, ``k``, ``m_i``, ``m``, ``cnms``, ``devcomp``,
        ``offset``, ``lower``, ``devfun`` (the criterion as a function of theta); and ``weights``.
        """
        if isinstance(name, str) and name != "ALL":
            return component(self.fit, name)
        return components(self.fit, ["ALL"] if isinstance(name, str) else name)

    def terms(self) -> ModelTerms:
        """The terms of the fixed part: ``labels``, ``order``, ``factors``, ``intercept``."""
        return accessors.model_terms(self.frame)

    def family(self) -> Family:
        """The response's distribution and link."""
        return accessors.family_of(self.result)

    def fortify(self) -> pd.DataFrame:
        """The data of the rows used with ``.fitted``, ``.resid`` and ``.scresid`` (scaled)."""
        return accessors.fortify(self.fit)

    # -- tests

    def denominator(self, ddf: str) -> degrees.Denominator:
        """Degrees of freedom by ``ddf``, computed once: ``Satterthwaite``, ``Kenward-Roger`` or
        ``lme4`` (none), of which the beginning is enough.
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
        """Tests of the fixed effects; with ``others``, likelihood-ratio tests between models.

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
        """
        if not others:
            belongs("comparisons of models", refit=not refit, model_names=model_names is not None)
            return testing.anova_of_one(self.fit, type, ddf)
        testing.refuse_between_models(type, ddf)
        names = list(model_names or comparing.model_names((self, *others)))
        return comparing.comparison((self, *others), names, refit)

    def compared(self, name: str, refit: bool) -> Compared:
        """Return what a comparison of models needs of this one, under a name; ``refit``: by maximum
        likelihood if it is by REML.
        """
        return comparing.compared_fit(self.fit, name, refit)

    def Anova(self, type: int | str = "II", test_statistic: str = "Chisq") -> RTable:
        """Wald tests of the fixed terms, as car's ``Anova``.

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
        """
        return testing.wald_tests(self.fit, type, test_statistic)

    def mixed(
        self,
        method: str = "LRT",
        type: int | str = 3,
        nsim: int = NSIM_OF_TERMS,
        seed: int | None = None,
        progress: bool = False,
    ) -> RTable:
        """All fixed terms tested at once, as afex's ``mixed``.

        Parameters
        ----------
        method : {"LRT", "PB", "KR", "S"}
            Likelihood ratios of ML fits with and without each hypothesis; with a parametric
            bootstrap of these; or :meth:`anova` by Kenward and Roger, or Satterthwaite.
        type : {3, 2}
            3: each hypothesis of type III is imposed on the whole model. 2: each term is left out
            of the model without the terms that contain it.
        nsim, seed, progress
            Of the bootstrap, per term.

        Returns
        -------
        RTable
            ``Df``, ``Chisq``, ``Pr(>Chisq)``, and ``Pr(PB)`` of the bootstrap.
        """
        return every_term(self.fit, method, type, nsim, seed, progress)

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
        """Tests of L beta = rhs: an F test of all rows, or with ``joint=False`` a t test of each.

        Parameters
        ----------
        L : array (r, p), or DataFrame whose columns name fixed effects, or mapping
            A mapping holds several of them by name, each of which is tested.
        rhs : float, or array (r,)
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

        Warns
        -----
        FitWarning
            Rows of ``L`` follow from others while ``rhs`` is not 0: what ``rhs`` says of them may
            contradict what it says of the others.
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
        """A t test of one linear function of the fixed effects: L (p,) beta = rhs."""
        return testing.contest_of_one_row(self.fit, L, rhs, ddf, confint, level)

    def contestMD(self, L: Any, rhs: Any = 0.0, ddf: str = "Satterthwaite") -> pd.DataFrame:
        """The F test of all rows of L (r, p) beta = rhs."""
        found: pd.DataFrame = self.contest(L, True, ddf, rhs)
        return found

    def show_tests(self, type: int | str = 3) -> dict[str, pd.DataFrame]:
        """The hypotheses that ``anova(type=)`` tests: per term a matrix L, L beta = 0."""
        return testing.hypotheses(self.fit, type)

    def drop1(
        self,
        ddf: str = "Satterthwaite",
        test: str | None = None,
        scope: str | Sequence[str] | None = None,
        k: float = 2.0,
    ) -> RTable:
        """Single term deletions.

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

        Raises
        ------
        DataError
            A term of ``scope`` is none of the model, or (in F tests) is contained in another; or
            a refit would be of more rows, as the term has missing values.
        """
        return testing.drop1(self.fit, ddf, test, scope, k)

    def ranova(self, reduce_terms: bool = True) -> RTable:
        """Likelihood-ratio tests of the random terms, each reduced or removed, as lmerTest's."""
        return table_of_tests(without_random_terms(self.fit, reduce_terms))

    def KRmodcomp(self, smaller: Any, betaH: Any = 0.0) -> RTable:
        """Kenward-Roger's F test against a model with fewer fixed effects, as pbkrtest's.

        Parameters
        ----------
        smaller : Model, str, or array (r, p)
            A model (the larger of the two may be either), a change of this one's formula
            (``". ~ . - x"``), or a matrix L of the hypothesis L beta = L betaH.
        betaH : float, or array (p,)

        Warns
        -----
        FitMessage
            The larger model was fitted by ML and is fitted again by REML; the models are taken in
            the other order.
        """
        return modcomp.kr_comparison(self.fit, _fit_of(smaller), betaH)

    def SATmodcomp(self, smaller: Any) -> RTable:
        """Satterthwaite's F test against a model with fewer fixed effects, as pbkrtest's;
        ``smaller`` as of :meth:`KRmodcomp`.
        """
        return modcomp.satterthwaite_comparison(self.fit, _fit_of(smaller))

    def PBmodcomp(
        self, smaller: Any, nsim: int = 1000, seed: int | None = None, progress: bool = False
    ) -> RTable:
        """Parametric bootstrap test against a smaller model, as pbkrtest's: both are fitted (by
        ML) to responses that the smaller one makes. ``smaller`` is a model or a change of this
        one's formula (``". ~ . - x"``).
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
        """Marginal means: averages of the reference grid of :meth:`ref_grid`.

        Parameters
        ----------
        specs : str, sequence of str, or mapping of str to these
            Factors (and covariates): ``"Machine"``, ``["a", "b"]``, ``"~ a * b | c"``, ``"~ 1"``,
            ``"pairwise ~ a"``; several formulas, also by name, for several tables.
        by : str or sequence of str, optional
        at, cov_keep, cov_reduce, nesting, offset, rg_limit
            As in :meth:`ref_grid`.
        type : {"link", "response"}
            ``response`` undoes ``log(y)`` and its like.
        ddf : str, optional
            ``kenward-roger`` (default), ``satterthwaite`` or ``asymptotic``. Above
            ``pbkrtest_limit`` rows of data Satterthwaite's takes the place of Kenward-Roger's,
            above ``lmerTest_limit`` there are none; a message says so.
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
            Whether ``type="response"`` gives means of the response, with ``sigma`` (default: the
            residual standard deviation).

        contr : str, mapping, ...
            Contrasts beside the means, as on the left of ``~``.
        **options
            As of :meth:`MarginalMeans.summary`: ``infer``, ``adjust`` (of the contrasts, if there
            are any), ``null``, ``side``, ``delta``, ``cross_adjust``, ``df``.

        Returns
        -------
        MarginalMeans, or MeansList of the means and their contrasts

        Warns
        -----
        FitMessage
            Degrees of freedom that are not computed, factors that are nested, and what is averaged
            over although it interacts with what is shown.

        Raises
        ------
        DataError
            Names, levels or words that there are not.
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
        """Slopes along a covariate for each level of ``specs``.

        Parameters
        ----------
        specs : str or sequence of str, optional
            As in :meth:`emmeans`; without it the slopes of the whole reference grid.
        var : str
            A covariate ``x``, or a function of one: ``sqrt(x)``.
        delta_var : float, optional
            The step of the difference quotient (f(x + h) - f(x)) / h; default is 0.001 of the
            range.
        max_degree : int
            Up to 5: derivatives up to this order (over their factorials), by a factor ``degree``.

        Returns
        -------
        MarginalMeans, or RefGrid without ``specs``

        Raises
        ------
        DataError
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
        """The reference grid: predictions at all combinations of the predictors' values.

        Parameters
        ----------
        at : mapping, optional
            Values of predictors: other than the mean of covariates, or some levels of a factor.
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

        Raises
        ------
        DataError
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
        """
        return intervals.profile_of(self.fit, parm, progress, prof_scale, signames, alphamax)

    def confint(
        self,
        method: str = "profile",
        level: float = 0.95,
        parm: Any = None,
        oldNames: bool = True,
        nsim: int = DEFAULT_NSIM,
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
        parm : str, int or sequence, optional
            Names (``.sig01``, ``sd_Days|Subject``, ``Days``), ``"theta_"``, ``"beta_"``, or
            positions, which count from 1 as in R. The rows stay in the model's order.
        oldNames : bool
            ``.sig01`` as lme4's default, or ``sd_(Intercept)|Subject``.
        signames : bool, optional
            What lme4 calls ``oldNames`` since 1.1-38; it counts where it is given.
        nsim, boot_type, seed, jobs, resume, FUN
            Of the bootstrap (:meth:`bootMer`); ``boot_type`` is ``perc``, ``basic``, ``norm`` or
            ``bca``. With ``FUN`` the rows are what it gives.
        prof_scale : {"sdcor", "varcov"}
            Of the profile: standard deviations and correlations, or variances and covariances.

        Raises
        ------
        DataError
        FitFailedError
            Every replication of the bootstrap failed.
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
        """
        return intervals.boot(
            self.fit, _of_model(FUN), nsim, seed, use_u, type, jobs, resume, progress
        )

    # -- diagnostics

    def hatvalues(self) -> Vector:
        """Leverages."""
        return by_row(self.fit, deletion.hat_values(self.fit), "hatvalues")

    def cooks_distance(self) -> Vector:
        """Cook's distances of the observations, from their leverages, as lme4's
        ``cooks.distance``; with refits: ``influence().cooks_distance()``.
        """
        return by_row(self.fit, deletion.cooks_distance(self.fit), "cooks_distance")

    def rstudent(self) -> Vector:
        """Residuals over their standard errors."""
        return by_row(self.fit, deletion.rstudent(self.fit), "rstudent")

    def influence(self, groups: str | None = None, progress: bool = False) -> Influence:
        """The fit without each observation, or without each level of a grouping factor.

        With ``na_action="exclude"`` the rows dropped for a missing value have their places: the
        fit without them is the fit.

        Returns
        -------
        Influence
            ``dfbeta()``, ``dfbetas()``, ``cooks_distance()``, ``table()``; NaN where the other rows
            do not determine all fixed effects.

        Warns
        -----
        FitWarning
            Names what cannot be left out.
        """
        return influence_of(self.fit, groups, progress)

    def quantile_residuals(self, nsim: int = 250, seed: Any = None, re_form: Any = NA) -> Vector:
        """Residuals on (0, 1) by simulation: uniform if the model holds."""
        found = quantile_residuals(self.frame, self.result, nsim, seed, re_form)
        return by_row(self.fit, found, "quantile_residuals")

    def vif(self) -> pd.DataFrame:
        """Generalized variance inflation factors of the fixed terms, as car's ``vif``."""
        return explained.variance_inflation(self.frame, self.result)

    def icc(self) -> ICC:
        """Intraclass correlation: ``adjusted``, ``unadjusted``, ``by_group``."""
        return explained.icc(self.frame, self.result)

    def r2(self) -> R2:
        """Nakagawa's R2: ``marginal`` and ``conditional``."""
        return explained.r2(self.frame, self.result)

    def rmse(self, normalized: bool = False) -> float:
        """Root of the mean squared residual."""
        return explained.rmse(self.result, normalized)

    def rePCA(self) -> dict[str, PrincipalComponents]:
        """Principal components of the random effects by grouping factor: ``sdev``, ``rotation``,
        ``importance()``.
        """
        return explained.principal_components(self.frame, self.result)

    def pooling(self, group: str | None = None) -> pd.DataFrame:
        """Complete, no and partial pooling: ``group, term, complete, none, partial``; plots by
        :func:`lmerbridge.plots.pooling` and :func:`lmerbridge.plots.shrinkage`.
        """
        return pooling_table(self.frame, self.result, group)

    def allFit(self, progress: bool = False) -> pd.DataFrame:
        """The model by every optimizer of the native engine, and of lme4 where R is.

        Returns
        -------
        DataFrame
            A row per optimizer: ``engine``, ``optimizer``, ``criterion``, ``above`` (the best),
            ``converged``, ``singular``, ``seconds``, sigma, theta and the fixed effects,
            ``message``.
        """
        return all_fit(self.fit, progress)

    # -- further fits

    def update(self, formula: str | None = None, **changes: Any) -> Model:
        """Fit again with something changed, as R's ``update``.

        Parameters
        ----------
        formula : str, optional
            In it ``.`` is what was there: ``". ~ . - Days"``.
        **changes
            Arguments of :func:`lmerbridge.lmer`.
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
        """The same model by maximum likelihood; this one if it is.

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
        """
        return fitting.in_r(self.fit)

    # -- text

    def to_json(self, indent: int | None = None) -> str:
        """The result as JSON, without loss; :func:`lmerbridge.from_json` reads it."""
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
