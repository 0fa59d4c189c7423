"""Tests, comparisons and marginal means of a fitted model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs, checked, frames
from lmerbridge.dialects import dialect_of, without_r
from lmerbridge.display.anova import table_of_tests
from lmerbridge.display.summary import Summary, Tests
from lmerbridge.display.table import RTable
from lmerbridge.errors import DataError, FitMessage, FitWarning, matched
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import deparse_lines
from lmerbridge.inference import anova as tables
from lmerbridge.inference import contest as contests
from lmerbridge.inference import degrees
from lmerbridge.inference.hypotheses import term_hypotheses, type_name
from lmerbridge.inference.levels import LEVEL
from lmerbridge.model.base import ModelBase
from lmerbridge.model.names import caller_name

if TYPE_CHECKING:
    from lmerbridge.inference.anova import Fitted

__all__ = ["Testing"]

NSIM = 1000  # replications of a test by default


@checked
class Testing(ModelBase):
    """Methods that test and compare."""

    __test__ = False  # no test of pytest's

    def denominator(self, ddf: str) -> degrees.Denominator:
        """Degrees of freedom by ``ddf``, computed once: ``Satterthwaite``, ``Kenward-Roger`` or
        ``lme4`` (none), of which the beginning is enough.
        """
        name = degrees.ddf_name(ddf)
        known: dict[str, Any] = self.__dict__.setdefault("_denominators", {})
        if name not in known:
            known[name] = degrees.of_fit(self.frame, self.result, name)
        return known[name]  # type: ignore[no-any-return]

    def summary(self, correlation: bool | None = None, ddf: str | None = None) -> Summary:
        """lme4's summary; with ``ddf`` (``"Satterthwaite"``, ``"Kenward-Roger"``) lmerTest's, with
        degrees of freedom and p-values. ``correlation=True`` shows correlations of more than 12
        effects.
        """
        if ddf is None or degrees.ddf_name(ddf) == "lme4":
            return Summary(self.result, correlation)
        denominator = self.denominator(ddf)
        p = len(self.result.estimates.names)
        table = contests.t_tests(np.eye(p), self.result.estimates.beta, denominator)
        written = deparse_lines(parse_expression(self.result.call.written))
        tests = Tests(denominator.name, table, tuple(written))
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
        name, kind = degrees.ddf_name(ddf), type_name(type)
        if others:
            belongs("the tests of one model", type=kind != "III", ddf=name != "Satterthwaite")
            names = list(model_names or [])
            if not names:
                for number, model in enumerate((self, *others), 1):
                    names.append(caller_name(model, 2) or f"MODEL{number}")
                if len(set(names)) < len(names):
                    names = [f"MODEL{number}" for number in range(1, len(names) + 1)]
                    text = "failed to find model names, assigning generic names"
                    warnings.warn(text, FitMessage, stacklevel=frames(2))
            compared = _compare((self, *others), names, refit)
            for note in compared.notes:
                warnings.warn(note, FitMessage, stacklevel=frames(2))
            return compared
        belongs("comparisons of models", refit=not refit, model_names=model_names is not None)
        if name == "lme4":
            # lme4's table is sequential, which is type I
            belongs("ddf='Satterthwaite' and 'Kenward-Roger'", type=kind == "II")
            return table_of_tests(tables.anova_sequential(self.frame, self.result))
        found = tables.anova_of_terms(self.frame, self.result, self.denominator(ddf), type)
        for note in found.notes:
            warnings.warn(note, FitMessage, stacklevel=frames(2))
        return table_of_tests(found)

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
        from lmerbridge.inference.deviance import wald_table

        F = matched(test_statistic, ("Chisq", "F"), "test_statistic") == "F"
        denominator = self.denominator("Kenward-Roger" if F else "lme4")
        return table_of_tests(wald_table(self.frame, denominator, type, F))

    def mixed(
        self,
        method: str = "LRT",
        type: int | str = 3,
        nsim: int = NSIM,
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
        from lmerbridge.model.every_term import every_term

        name = matched(method, ("LRT", "PB", "KR", "S"), "method")
        if name != "PB":
            belongs("method='PB'", nsim=nsim != NSIM, seed=seed is not None)
        if name in ("KR", "S"):
            return self.anova(type=type, ddf=name.replace("KR", "Kenward-Roger"))
        return table_of_tests(every_term(self, type, name == "PB", nsim, seed, progress))

    def contest(
        self,
        L: Any,
        joint: bool = True,
        ddf: str = "Satterthwaite",
        rhs: Any = 0.0,
        *,
        collect: bool = True,
        confint: bool = True,
        level: float = LEVEL,
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
        if joint:
            belongs("joint=False", confint=not confint, level=level != LEVEL)
        elif not confint:
            belongs("confint=True", level=level != LEVEL)
        belongs("a mapping of hypotheses", collect=not collect and not isinstance(L, Mapping))
        denominator = self.denominator(ddf)
        if isinstance(L, Mapping):
            found = {
                str(name): self.contest(part, joint, ddf, rhs, confint=confint, level=level)
                for name, part in L.items()
            }
            return contests.collected(found) if collect else found
        names = self.result.estimates.names
        matrix = contests.as_hypothesis(L, len(names), names)
        labels = L.index if isinstance(L, pd.DataFrame) else pd.RangeIndex(len(matrix))
        if not joint:
            beta = self.result.estimates.beta
            return contests.row_tests(matrix, beta, denominator, rhs, confint, level).set_axis(
                labels
            )
        test = contests.joint_test(matrix, denominator, rhs)
        if test.deficient and np.any(np.asarray(rhs, dtype=np.float64) != 0):
            warnings.warn(contests.DEFICIENT, FitWarning, stacklevel=frames(2))
        # a single row of zeros is a hypothesis that says nothing, as in lmerTest
        tests = {0: test} if np.any(matrix) or len(matrix) == 1 else {}
        return contests.f_table(tests, self.result.estimates.sigma)

    def contest1D(
        self,
        L: Any,
        rhs: float = 0.0,
        ddf: str = "Satterthwaite",
        confint: bool = False,
        level: float = LEVEL,
    ) -> pd.DataFrame:
        """A t test of one linear function of the fixed effects: L (p,) beta = rhs."""
        found: pd.DataFrame = self.contest(L, False, ddf, rhs, confint=confint, level=level)
        if len(found) != 1:
            raise DataError(f"contest1D() tests one row, not {len(found)}; contestMD() tests all")
        return found

    def contestMD(self, L: Any, rhs: Any = 0.0, ddf: str = "Satterthwaite") -> pd.DataFrame:
        """The F test of all rows of L (r, p) beta = rhs."""
        found: pd.DataFrame = self.contest(L, True, ddf, rhs)
        return found

    def show_tests(self, type: int | str = 3) -> dict[str, pd.DataFrame]:
        """The hypotheses that ``anova(type=)`` tests: per term a matrix L, L beta = 0."""
        names = list(self.result.estimates.names)
        found = term_hypotheses(self.frame, type)
        return {
            term: pd.DataFrame(L, index=list(found.rows[term]), columns=names)
            for term, L in found.matrices.items()
        }

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
        from lmerbridge.model.comparisons import dropped_by_ml

        tested = matched("none" if test is None else test, ("none", "Chisq"), "test")
        if degrees.ddf_name(ddf) == "lme4":
            return table_of_tests(dropped_by_ml(self, tested == "Chisq", scope, k))
        belongs("ddf='lme4'", test=test is not None, k=k != 2)
        denominator = self.denominator(ddf)
        return table_of_tests(
            tables.deletions(
                self.frame, self.result, denominator, [self.result.call.formula], scope
            )
        )

    def ranova(self, reduce_terms: bool = True) -> RTable:
        """Likelihood-ratio tests of the random terms, each reduced or removed, as lmerTest's."""
        from lmerbridge.model.comparisons import without_random_terms

        return table_of_tests(without_random_terms(self, reduce_terms))

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
        from lmerbridge.model.modcomp import kr_comparison

        return kr_comparison(self, smaller, betaH)

    def SATmodcomp(self, smaller: Any) -> RTable:
        """Satterthwaite's F test against a model with fewer fixed effects, as pbkrtest's;
        ``smaller`` as of :meth:`KRmodcomp`.
        """
        from lmerbridge.model.modcomp import satterthwaite_comparison

        return satterthwaite_comparison(self, smaller)

    def PBmodcomp(
        self, smaller: Any, nsim: int = 1000, seed: int | None = None, progress: bool = False
    ) -> RTable:
        """Parametric bootstrap test against a smaller model, as pbkrtest's: both are fitted (by
        ML) to responses that the smaller one makes. ``smaller`` is a model or a change of this
        one's formula (``". ~ . - x"``).
        """
        from lmerbridge.model.modcomp import pb_comparison

        return pb_comparison(self, smaller, nsim, seed, progress)


def _one_line(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines)


def _as_fitted(model: Any, name: str, refit: bool) -> Fitted:
    from lmerbridge.model.regression import LinearModel

    if isinstance(model, LinearModel):
        return tables.Fitted(
            name,
            _one_line(model.frame.formula.lines),
            len(model.fit.beta) + 1,
            model.logLik(),
            model.nobs(),
            model.frame.data_name,
            model.frame.subset_name,
        )
    result = model.result
    if refit and result.call.REML:
        result = model.refitML().result
    return tables.Fitted(
        name,
        _one_line(result.call.formula_lines),
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
        notes = ("some models fit with REML = TRUE, some not",)
    mixed = next((m for m in models if isinstance(m, ModelBase)), None)
    dialect = without_r() if mixed is None else dialect_of(mixed.result)
    return table_of_tests(
        tables.anova_of_models(
            [_as_fitted(m, n, refit) for m, n in zip(models, names, strict=True)],
            notes,
            dialect.deviance,
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
