"""Tests, comparisons and marginal means of a fitted model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.display.anova import table_of_tests
from lmerbridge.display.summary import Summary, Tests
from lmerbridge.display.table import RTable
from lmerbridge.errors import DataError, FitMessage
from lmerbridge.inference import anova as tables
from lmerbridge.inference import degrees
from lmerbridge.inference.hypotheses import restriction
from lmerbridge.model.base import ModelBase
from lmerbridge.model.names import caller_name

if TYPE_CHECKING:
    from lmerbridge.inference.anova import Fitted
    from lmerbridge.model.marginal import MarginalMeans

__all__ = ["Testing"]


class Testing(ModelBase):
    """Methods that test and compare."""

    __test__ = False  # no test of pytest's

    def denominator(self, ddf: str) -> degrees.Denominator:
        """Degrees of freedom by ``ddf``, computed once: ``Satterthwaite``, ``Kenward-Roger`` or
        ``lme4`` (none).
        """
        known: dict[str, Any] = self.__dict__.setdefault("_denominators", {})
        if ddf not in known:
            known[ddf] = degrees.of_fit(self.frame, self.result, ddf)
        return known[ddf]  # type: ignore[no-any-return]

    def summary(self, correlation: bool | None = None, ddf: str | None = None) -> Summary:
        """lme4's summary; with ``ddf`` (``"Satterthwaite"``, ``"Kenward-Roger"``) lmerTest's, with
        degrees of freedom and p-values. ``correlation=True`` shows correlations of more than 12
        effects.
        """
        if ddf is None or ddf == "lme4":
            return Summary(self.result, correlation)
        denominator = self.denominator(ddf)
        p = len(self.result.estimates.names)
        table = tables.t_tests(np.eye(p), self.result.estimates.beta, denominator)
        tests = Tests(denominator.name, table)
        return Summary(self.result, correlation, tests=tests)

    # -- fixed effects

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
        if others:
            names = list(model_names or [])
            if not names:
                for number, model in enumerate((self, *others), 1):
                    names.append(caller_name(model, 2) or f"MODEL{number}")
            compared = _compare((self, *others), names, refit)
            for note in compared.notes:
                warnings.warn(note, FitMessage, stacklevel=2)
            return compared
        if ddf == "lme4":
            return table_of_tests(tables.anova_sequential(self.frame, self.result))
        found = tables.anova_of_terms(self.frame, self.result, self.denominator(ddf), type)
        return table_of_tests(found)

    def contest(
        self,
        L: Any,
        joint: bool = True,
        ddf: str = "Satterthwaite",
        rhs: Any = 0.0,
    ) -> pd.DataFrame:
        """Tests of L beta = rhs: an F test of all rows, or with ``joint=False`` a t test of each.

        Parameters
        ----------
        L : array (r, p), or DataFrame whose columns name fixed effects
        """
        names = self.result.estimates.names
        matrix = tables.as_hypothesis(L, len(names), names)
        return tables.contest(self.result, matrix, self.denominator(ddf), joint, rhs)

    def drop1(self, ddf: str = "Satterthwaite", test: str | None = None) -> RTable:
        """Single term deletions: F tests as lmerTest has them, or with ``ddf="lme4"`` AIC of ML
        refits without each term, and with ``test="Chisq"`` their likelihood-ratio tests.
        """
        from lmerbridge.model.comparisons import dropped_by_ml

        if ddf == "lme4":
            if test not in (None, "none", "Chisq"):
                raise DataError(f"test must be 'none' or 'Chisq', not {test!r}")
            return table_of_tests(dropped_by_ml(self, test == "Chisq"))
        denominator = self.denominator(ddf)
        return table_of_tests(
            tables.deletions(self.frame, self.result, denominator, [self.result.call.formula])
        )

    def ranova(self, reduce_terms: bool = True) -> RTable:
        """Likelihood-ratio tests of the random terms, each reduced or removed, as lmerTest's."""
        from lmerbridge.model.comparisons import without_random_terms

        return table_of_tests(without_random_terms(self, reduce_terms))

    def _restriction(self, smaller: Any) -> Any:
        frame = self.frame
        if isinstance(smaller, ModelBase):
            return restriction(frame, smaller.frame)
        names = self.result.estimates.names
        return tables.as_hypothesis(smaller, len(names), names)

    def KRmodcomp(self, smaller: Any) -> RTable:
        """Kenward-Roger's F test against a model with fewer fixed effects (or of L beta = 0), as
        pbkrtest's.
        """
        from lmerbridge.model.comparisons import kr_comparison

        return kr_comparison(self, smaller, self._restriction(smaller))

    def SATmodcomp(self, smaller: Any) -> pd.DataFrame:
        """Satterthwaite's F test against a model with fewer fixed effects (or of L beta = 0)."""
        test = self.denominator("Satterthwaite").of_all(self._restriction(smaller))
        return pd.DataFrame(
            {
                "statistic": [test.F],
                "ndf": [test.ndf],
                "ddf": [test.ddf],
                "p.value": [test.p_value],
            },
            index=["Ftest"],
        )

    def PBmodcomp(
        self, smaller: Any, nsim: int = 1000, seed: int | None = None, progress: bool = False
    ) -> RTable:
        """Parametric bootstrap test against a smaller model, as pbkrtest's: both are fitted (by
        ML) to responses that the smaller one makes.
        """
        from lmerbridge.model.comparisons import pb_comparison

        return pb_comparison(self, smaller, nsim, seed, progress)

    # -- marginal means

    def emmeans(
        self,
        specs: Any,
        by: Any = None,
        at: Mapping[str, Any] | None = None,
        type: str = "link",
        ddf: str | None = None,
        weights: str = "equal",
        level: float = 0.95,
    ) -> MarginalMeans:
        """Marginal means.

        Parameters
        ----------
        specs : str or sequence of str
            Factors (and predictors in ``at``): ``"Machine"``, ``["a", "b"]``, ``"~ a * b | c"``,
            ``"pairwise ~ a"``.
        by : str or sequence of str, optional
        at : mapping, optional
            Values of predictors.
        type : {"link", "response"}
            ``response`` undoes ``log(y)`` and its like.
        ddf : str, optional
            Default: Kenward-Roger, as in emmeans; Satterthwaite for ML fits.
        weights : {"equal", "proportional"}

        Returns
        -------
        MarginalMeans
        """
        from lmerbridge.inference.means import marginal_means, parse_specs
        from lmerbridge.model.marginal import MarginalMeans

        names, conditions, method = parse_specs(specs, by)
        denominator = self.denominator(self._ddf(ddf))
        grid = marginal_means(self.frame, denominator, names, conditions, at, weights, level, type)
        means = MarginalMeans(grid)
        for note in grid.notes:
            warnings.warn(note, FitMessage, stacklevel=2)
        return means.contrasts(method) if method is not None else means

    def emtrends(
        self,
        specs: Any,
        var: str,
        by: Any = None,
        at: Mapping[str, Any] | None = None,
        ddf: str | None = None,
        level: float = 0.95,
    ) -> MarginalMeans:
        """Slopes along the numeric predictor ``var`` for each level of ``specs``."""
        from lmerbridge.inference.means import parse_specs, trends
        from lmerbridge.model.marginal import MarginalMeans

        names, conditions, method = parse_specs(specs, by)
        denominator = self.denominator(self._ddf(ddf))
        grid = trends(self.frame, denominator, names, var, conditions, at, level)
        found = MarginalMeans(grid)
        return found.contrasts(method) if method is not None else found

    def _ddf(self, ddf: str | None) -> str:
        if ddf is None:
            return "Kenward-Roger" if self.result.call.REML else "Satterthwaite"
        return "lme4" if ddf == "asymptotic" else ddf


def _as_fitted(model: Any, name: str, refit: bool) -> Fitted:
    from lmerbridge.model.regression import LinearModel

    if isinstance(model, LinearModel):
        return tables.Fitted(
            name,
            tuple(model.frame.formula.lines),
            len(model.fit.beta) + 1,
            model.logLik(),
            model.nobs(),
            model.frame.data_name,
            model.frame.subset_name,
        )
    result = model.result
    if refit and result.call.REML:
        result = model.update(REML=False).result
    return tables.Fitted(
        name,
        result.call.formula_lines,
        result.criterion.parameters,
        result.criterion.logLik,
        result.data.nobs,
        result.call.data_name,
        result.call.subset,
    )


def _compare(models: Sequence[Any], names: Sequence[str], refit: bool) -> RTable:
    from lmerbridge.model.regression import LinearModel

    for model in models:
        if not isinstance(model, (ModelBase, LinearModel)):
            raise DataError(
                f"anova() compares models, not {type(model).__name__}; for one model's terms "
                "name the other arguments: type=, ddf="
            )
    if len(names) != len(models):
        raise DataError(f"model_names has {len(names)} names for {len(models)} models")
    _check_same_response(models)
    restricted = [m for m in models if isinstance(m, ModelBase) and m.result.call.REML]
    notes: tuple[str, ...] = ()
    if refit and restricted:
        notes = ("refitting model(s) with ML (instead of REML)",)
    elif restricted and len(restricted) < len(models):
        notes = ("some models are fitted by REML and others by ML: their criteria differ",)
    return table_of_tests(
        tables.anova_of_models(
            [_as_fitted(m, n, refit) for m, n in zip(models, names, strict=True)], notes
        )
    )


def _check_same_response(models: Sequence[Any]) -> None:
    first, *rest = [
        m.frame.y if not isinstance(m, ModelBase) or m._frame is not None else None for m in models
    ]
    for other in rest:
        if first is None or other is None or len(first) != len(other):
            continue  # another number of rows is named later
        if not np.array_equal(first, other):
            raise DataError(
                "models were not fitted to the same response: likelihoods of different data "
                "cannot be compared"
            )
