"""``glm``: a generalized linear model to set beside a mixed one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs, checked
from lmerbridge.design import build_frame
from lmerbridge.dialects import without_r
from lmerbridge.display.anova import table_of_tests
from lmerbridge.display.intervals import confint_text
from lmerbridge.display.regression import Deviances, glm_summary_text, glm_text
from lmerbridge.display.table import RTable
from lmerbridge.equality import by_value
from lmerbridge.errors import (
    ArgumentError,
    DataError,
    FitWarning,
    UnsupportedModelError,
    as_number,
    matched,
    near_match,
)
from lmerbridge.family import Family, family_of
from lmerbridge.formula import Formula, update_formula
from lmerbridge.inference.degrees import Asymptotic
from lmerbridge.inference.family_residuals import residuals_of
from lmerbridge.inference.levels import DEFAULT_LEVEL
from lmerbridge.inference.regression_tests import (
    GLM_TESTS,
    compare_deviances,
    deleted_deviances,
    sequential_deviances,
    type_two_deviances,
)
from lmerbridge.inference.scoring import Scored, Scoring
from lmerbridge.inference.simulate import generator
from lmerbridge.messages import from_outside
from lmerbridge.model import averaging
from lmerbridge.model.comparing import Compared
from lmerbridge.model.generalized_answers import of_response, scale_of
from lmerbridge.model.names import data_name
from lmerbridge.model.regression import LinearModel
from lmerbridge.shown import Text, shown

__all__ = ["GeneralizedLinearModel", "glm"]

RESIDUALS = ("deviance", "pearson", "working", "response")
INTERVALS = ("profile", "Wald")
QUASI = ("binomial", "poisson")
# of these families the estimated dispersion counts as a parameter
WITH_DISPERSION = ("gaussian", "Gamma", "inverse.gaussian")
CONTROL = {"epsilon": 1e-8, "maxit": 25}


@checked
@by_value
@dataclass(frozen=True, eq=False, repr=False)
@shown
class GeneralizedLinearModel(LinearModel):
    """A generalized linear model, with R's methods and R's printed summary.

    What :class:`LinearModel` has and is not here, is of the linear model of the last iteration:
    leverages, and residuals divided by their standard errors (Pearson's, as of R 4.6).

    Attributes
    ----------
    frame : ModelFrame
        Response and model matrix of the rows used.
    least_squares : Regression
        The last iteration's, with the dispersion.
    scoring : Scoring
        What was fitted.
    scored : Scored
        Where the iteration ended.
    asked : mapping
        The arguments of :func:`glm`.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> f = "cbind(incidence, size - incidence) ~ period"
    >>> m = lb.glm(f, lb.datasets.load("cbpp"), "binomial")
    >>> print(m.confint().round(2).to_string())
                 2.5 %  97.5 %
    (Intercept)  -1.56   -0.99
    period2      -1.77   -0.62
    period3      -1.95   -0.72
    period4      -2.68   -1.04
    """

    scoring: Scoring
    scored: Scored
    asked: Mapping[str, Any] = field(hash=False)

    @property
    def family(self) -> Family:
        """The family with its link."""
        return self.scoring.family

    @property
    def converged(self) -> bool:
        """Whether the deviance ceased to change."""
        return self.scored.converged

    @cached_property
    def _null(self) -> tuple[float, int]:
        return self.scoring.null_deviance()

    def null_deviance(self) -> float:
        """Return the deviance of the model with the intercept and the offset alone."""
        return self._null[0]

    def deviance(self) -> float:
        """Return the residual deviance."""
        return self.scored.deviance

    def residuals(self, type: str = "deviance") -> pd.Series[float]:
        """Return residuals, a value per row.

        Parameters
        ----------
        type : {"deviance", "pearson", "working", "response"}
            R's default is ``deviance``.
        """
        kind = matched(type, RESIDUALS, "type")
        fit = self.least_squares
        found = residuals_of(self.family, fit.fitted, fit.residuals, self.scoring.prior, kind)
        return self._by_row(found, "residuals")

    @property
    def _parameters(self) -> int:
        return len(self.least_squares.beta) + (self.family.name in WITH_DISPERSION)

    def logLik(self, REML: bool = False) -> float:
        """Compute the log-likelihood by R's conventions; missing for quasi-likelihood.

        Parameters
        ----------
        REML : bool
            There is none restricted.

        Raises
        ------
        UnsupportedModelError
            ``REML=True``.
        """
        if REML:
            raise UnsupportedModelError("a generalized linear model has no restricted likelihood")
        return self._parameters - self.scoring.aic(self.scored) / 2

    def AIC(self, k: float = 2.0) -> float:
        """Compute Akaike's criterion: -2 logLik + ``k`` times the number of parameters.

        Parameters
        ----------
        k : float
            Weight of a parameter.
        """
        return -2 * self.logLik() + k * self._parameters

    def tests(self) -> pd.DataFrame:
        """Test each coefficient against 0: by a z test, or by a t test where the dispersion is
        estimated.

        Returns
        -------
        DataFrame
            ``Estimate, Std. Error, z value, Pr(>|z|)``; missing where the coefficient is.
        """
        from scipy import special

        table = super().tests()
        if not self.scoring.known:
            return table
        table["Pr(>|t|)"] = 2 * special.ndtr(-np.abs(table["t value"]))
        return table.rename(columns={"t value": "z value", "Pr(>|t|)": "Pr(>|z|)"})

    def anova(self, *others: Any, test: str | None = None) -> RTable:
        """Test each term after those before it; with ``others``, compare models in the order given.

        Parameters
        ----------
        *others : GeneralizedLinearModel
            Of the same response. Mixed models come first: ``m.anova(glm)``.
        test : {"Chisq", "LRT", "F", "none"}, optional
            Default is R's: chi-squared where the dispersion is known, else F; before R 4.4 none.

        Returns
        -------
        RTable
            A DataFrame that prints as R prints the table.

        Raises
        ------
        DataError
            A model is no such one, or is of other rows.
        ArgumentError
            ``test`` is none of those.
        """
        kind = None if without_r().glm_tests_shown else "none"
        if test is not None:
            kind = matched(test, GLM_TESTS, "test")
        if not others:
            own = self.scoring, self.least_squares, self.scored.deviance
            return table_of_tests(sequential_deviances(*own, kind))
        for model in others:
            if not isinstance(model, GeneralizedLinearModel):
                raise DataError(
                    f"anova() of a glm compares models by glm(), not {type(model).__name__}; a "
                    "mixed model comes first: m.anova(glm)"
                )
        models = [(m.scoring, m.least_squares, m.scored.deviance) for m in (self, *others)]
        return table_of_tests(compare_deviances(models, kind))

    def Anova(self) -> RTable:
        """Test each term after those that do not hold it by the likelihood ratio, as car's
        ``Anova`` (type II).

        Returns
        -------
        RTable
            ``LR Chisq``, ``Df``, ``Pr(>Chisq)``.
        """
        return table_of_tests(type_two_deviances(self.scoring, self.least_squares))

    def drop1(
        self,
        test: str | None = "Chisq",
        scope: str | Sequence[str] | None = None,
        k: float = 2.0,
    ) -> RTable:
        """Test single terms by leaving each out.

        Parameters
        ----------
        test : {"Chisq", "LRT", "F", "none"}, optional
            ``None``: as of :meth:`anova`.
        scope, k
            As of :meth:`lmerbridge.Model.drop1`.

        Returns
        -------
        RTable
            ``Df``, ``Deviance``, ``AIC`` and the test; a row per term after that of the model.

        Raises
        ------
        DataError
            A term of ``scope`` is none of the model, or is contained in another.
        """
        kind = None if test is None else matched(test, GLM_TESTS, "test")
        found = self.scored, self.AIC(k)
        return table_of_tests(
            deleted_deviances(self.scoring, self.least_squares, found, kind, scope, k)
        )

    def compared(self, name: str, refit: bool) -> Compared:
        """Return what a comparison with a mixed model needs of this one.

        Parameters
        ----------
        name, refit
            As of :meth:`LinearModel.compared`.
        """
        own = super().compared(name, refit)
        return replace(own, fitted=replace(own.fitted, parameters=self._parameters))

    def confint(
        self, level: float = DEFAULT_LEVEL, parm: Any = None, *, method: str = "profile"
    ) -> RTable:
        """Compute intervals by the profile of the deviance, or by Wald's.

        Parameters
        ----------
        level : float
            Of the intervals, between 0 and 1.
        parm : str, int or sequence, optional
            Coefficients, by name or by position, which counts from 1 as in R.
        method : {"profile", "Wald"}
            Wald's are R's ``confint.default``, by z. Ends of a profile are exact; R interpolates
            them, to four digits or so. Missing where the likelihood has no end.

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
        from scipy import special

        # checks level and parm
        table = pd.DataFrame(super().confint(level, parm))
        fit, z = self.least_squares, float(special.ndtri(0.5 + level / 2))
        wald = matched(method, INTERVALS, "method") == "Wald"
        for name in table.index.intersection(list(fit.names)):
            j = fit.names.index(name)
            half = z * float(np.sqrt(fit.vcov[j, j]))
            ends = (-z, z)
            table.loc[name] = [
                fit.beta[j] + np.sign(end) * half
                if wald
                else self.scoring.profile_limit(self.scored, fit, j, end)
                for end in ends
            ]
        return RTable.of(table, confint_text(table))

    def _quantile(self, level: float) -> float:
        from scipy import special

        found = super()._quantile(level)
        return float(special.ndtri(0.5 + level / 2)) if self.scoring.known else found

    def predict(
        self,
        newdata: Any = None,
        se_fit: bool = False,
        interval: str | None = None,
        level: float = DEFAULT_LEVEL,
        *,
        type: str = "link",
    ) -> pd.Series[float] | pd.DataFrame:
        """Predict the rows of the fit or new ones.

        Parameters
        ----------
        newdata, se_fit, level
            As of :meth:`LinearModel.predict`; standard errors of means by the delta method.
        interval : {"confidence"}, optional
            Add ``lwr`` and ``upr``: made on the link's scale, of means brought back from there.
        type : {"link", "response"}
            The linear predictor, or the mean.

        Returns
        -------
        Series, or DataFrame with ``fit``, ``se_fit``, ``lwr``, ``upr``

        Raises
        ------
        DataError
            ``newdata`` lacks a column, or has a level that the fit did not have.
        UnsupportedModelError
            ``interval="prediction"``: new responses are not normal.

        Warns
        -----
        FitWarning
            As of :meth:`LinearModel.predict`.
        """
        scale = scale_of(type, interval)
        if scale == "link":
            return super().predict(newdata, se_fit, interval, level)
        errors = se_fit or interval is not None
        found = of_response(super().predict(newdata, errors, interval, level), self.family.link)
        return found if se_fit or interval is None else found.drop(columns="se_fit")

    def simulate(self, nsim: int = 1, seed: Any = None) -> pd.DataFrame:
        """Simulate new responses for the rows of the fit.

        Parameters
        ----------
        nsim : int
            How many.
        seed : int or numpy.random.Generator, optional
            What to draw with.

        Returns
        -------
        DataFrame
            A column per response, of a binomial proportions.

        Raises
        ------
        ArgumentError
            ``nsim`` is not positive.
        UnsupportedModelError
            Quasi-likelihood has no distribution.
        """
        if nsim < 1:
            raise ArgumentError(f"nsim must be a positive whole number, not {nsim!r}")
        if self.scoring.quasi:
            raise UnsupportedModelError(f"{self.scoring.name} has no distribution to draw from")
        rng, fit = generator(seed), self.least_squares
        prior, phi = self.scoring.prior, fit.sigma**2
        drawn = {
            f"sim_{i + 1}": self.family.simulate(fit.fitted, prior, phi, rng) for i in range(nsim)
        }
        return pd.DataFrame(drawn, index=self.frame.source.index)

    def update(self, formula: str | None = None, **changes: Any) -> GeneralizedLinearModel:
        """Fit again with something changed, as R's ``update``.

        Parameters
        ----------
        formula : str, optional
            In it ``.`` is what was there: ``". ~ . - Days"``.
        **changes
            Arguments of :func:`glm`.

        Raises
        ------
        ArgumentError
            ``changes`` name what is no argument of ``glm``.
        """
        for name in changes:
            if name not in self.asked:
                raise ArgumentError(
                    f"update() has no argument {name!r}{near_match(name, self.asked)}; "
                    f"it takes {', '.join(self.asked)}"
                )
        if formula is not None:
            changes["formula"] = update_formula(self.frame.formula, formula)
        name = self.frame.asked.data_name
        if "data" in changes:
            name = data_name(changes["data"])
        return _fitted({**self.asked, **changes}, name)

    def _means(self) -> averaging.MeansSource:
        source = super()._means()
        if self.family.name in WITH_DISPERSION:
            return source
        tests = Asymptotic(self.least_squares.beta, self.least_squares.vcov, "")
        return replace(source, denominator=tests)

    def tidy(
        self,
        conf_int: bool = False,
        conf_level: float = DEFAULT_LEVEL,
        exponentiate: bool = False,
    ) -> pd.DataFrame:
        """Return the coefficients, one per row, with the columns of ``tidy`` in broom.

        Parameters
        ----------
        conf_int : bool
            Whether with :meth:`confint`.
        conf_level : float
            Its level.
        exponentiate : bool
            Whether as ratios: odds ratios of the logit link, rate ratios of the log link. As in
            broom, standard errors stay those of the logarithms.
        """
        table = super().tidy().rename(columns={"z value": "statistic", "Pr(>|z|)": "p_value"})
        if conf_int:
            table[["conf_low", "conf_high"]] = self.confint(conf_level).to_numpy()
        else:
            belongs("conf_int=True", conf_level=conf_level != DEFAULT_LEVEL)
        if exponentiate:
            ratios = table.columns.intersection(["estimate", "conf_low", "conf_high"])
            table[ratios] = np.exp(table[ratios])
        return table

    def _deviances(self) -> Deviances:
        null, df = self._null
        written = self.asked["family"]
        if isinstance(written, Family):
            written = f'{written.name}(link = "{written.link.name}")'
        return Deviances(
            self.scoring.name,
            written or "",
            null,
            df,
            self.scored.deviance,
            self.least_squares.sigma**2,
            self.scoring.aic(self.scored),
            self.scored.iterations,
        )

    def summary(self) -> Text:
        """Return what R prints for ``summary(glm(...))``."""
        residuals: Any = self.residuals().to_numpy()
        return Text(
            glm_summary_text(
                self.frame, self.least_squares, self.tests(), residuals, self._deviances()
            )
        )

    def __str__(self) -> str:
        return glm_text(self.frame, self.least_squares, self.coef(), self._deviances())


@checked
def glm(
    formula: str | Formula,
    data: Any,
    family: str | Family | None = None,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Sequence[float] | None = None,
    control: Mapping[str, float] | None = None,
) -> GeneralizedLinearModel:
    """Fit a generalized linear model, as R's ``glm``.

    Parameters
    ----------
    formula : str
        R's language, without random terms: ``"TICKS ~ YEAR + offset(log(HEIGHT))"``. Responses of a
        binomial are as of :func:`glmer`.
    data, weights, offset, subset, na_action, contrasts
        As of :func:`glmer`; weights may be 0.
    family : str or Family, optional
        As of :func:`glmer`, or ``"quasibinomial"`` and ``"quasipoisson"``; default ``gaussian``.
    start : sequence of float, optional
        Coefficients (p,) to start from.
    control : mapping, optional
        ``epsilon`` (1e-8): the change of the deviance, of itself, at which the iteration ends;
        ``maxit`` (25).

    Returns
    -------
    GeneralizedLinearModel
        With R's printed summary. As in R, the dispersion of a negative binomial is estimated.

    Raises
    ------
    FormulaError
        The formula is none, or has random terms.
    DataError
        A column is missing, or the values cannot be used or are none of the family's.
    ArgumentError
        There is no such family or link, or another argument cannot have this value.
    FitFailedError
        The iteration leads to no means that the family has.

    Warns
    -----
    FitWarning
        What R would say of the response or the fit; and in which direction the likelihood rises
        without end, where it does (separation).

    References
    ----------
    McCullagh & Nelder (1989), Generalized Linear Models, section 2.5.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> m = lb.glm("TICKS ~ YEAR", lb.datasets.load("grouseticks"), "poisson")
    >>> print(m.tidy(exponentiate=True)[["term", "estimate"]].round(3).to_string(index=False))
           term  estimate
    (Intercept)     5.949
         YEAR96     1.865
         YEAR97     0.194
    """
    asked = {
        "formula": formula,
        "data": data,
        "family": family,
        "weights": weights,
        "offset": offset,
        "subset": subset,
        "na_action": na_action,
        "contrasts": contrasts,
        "start": start,
        "control": control,
    }
    return _fitted(asked, data_name(data))


def _fitted(asked: Mapping[str, Any], name: str | None) -> GeneralizedLinearModel:
    """The model of these arguments; errors and warnings as of :func:`glm`."""
    arguments = dict(asked)
    written, start, control = (arguments.pop(key) for key in ("family", "start", "control"))
    text = written if isinstance(written, str) else ""
    plain = text.strip().removeprefix("quasi")
    quasi = plain != text.strip() and plain.partition("(")[0].strip() in QUASI
    family = family_of(plain if quasi else "gaussian" if written is None else written)
    control = dict(control or {})
    for key in control:
        if key not in CONTROL:
            raise ArgumentError(f"control has no {key!r}{near_match(key, CONTROL)}")
        control[key] = as_number(control[key], key)
        if control[key] <= 0:
            raise ArgumentError(f"control: {key} must be positive, not {control[key]!r}")
    settings = {**CONTROL, **control}
    epsilon, maxit = settings["epsilon"], int(settings["maxit"])
    frame = build_frame(mixed=False, family=family, data_name=name or "data", **arguments)
    scoring = Scoring(frame, quasi, epsilon, maxit)
    beta = None if start is None else np.asarray(start, dtype=np.float64)
    if beta is not None and beta.shape != (len(frame.x_names),):
        raise ArgumentError(f"start must have {len(frame.x_names)} values, one per coefficient")
    found = scoring.fit(frame.X, scoring.offset, beta)
    said = [] if quasi else [note.text for note in frame.asked.notes if note.kind == "warning"]
    direction = scoring.direction(found)
    if direction is not None:
        said.append(direction)
        found = replace(found, converged=False)
    elif not found.converged:
        said.append("glm.fit: algorithm did not converge")
    if found.boundary:
        said.append("glm.fit: algorithm stopped at boundary value")
    for message in said:
        warnings.warn(message, FitWarning, stacklevel=from_outside())
    return GeneralizedLinearModel(frame, scoring.regression(found), scoring, found, asked)
