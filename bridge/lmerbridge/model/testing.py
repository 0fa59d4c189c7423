"""Tests of the fixed effects of one model: summary with p-values, anova, contest, drop1."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs
from lmerbridge.display.anova import table_of_tests
from lmerbridge.display.summary import Summary, Tests
from lmerbridge.display.table import RTable
from lmerbridge.errors import DataError, FitWarning, matched
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import deparse_lines
from lmerbridge.inference import anova as tables
from lmerbridge.inference import contest as contests
from lmerbridge.inference.degrees import ddf_name, of_fit
from lmerbridge.inference.deviance import wald_table
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.hypotheses import term_hypotheses, type_name
from lmerbridge.inference.levels import DEFAULT_LEVEL
from lmerbridge.messages import from_outside, tell
from lmerbridge.model.comparisons import dropped_by_ml

__all__ = [
    "anova_of_one",
    "contest",
    "contest_of_one_row",
    "drop1",
    "hypotheses",
    "refuse_between_models",
    "summary",
    "wald_tests",
]


def summary(fit: Fit, correlation: bool | None, ddf: str | None) -> Summary:
    """Summarize; arguments as of :meth:`lmerbridge.Model.summary`."""
    result = fit.result
    if ddf is None or ddf_name(ddf) == "lme4":
        return Summary(result, correlation)
    denominator = of_fit(fit, ddf)
    table = contests.t_tests(
        np.eye(len(result.estimates.names)), result.estimates.beta, denominator
    )
    written = deparse_lines(parse_expression(result.call.written))
    return Summary(result, correlation, tests=Tests(denominator.name, table, tuple(written)))


def anova_of_one(fit: Fit, type: int | str, ddf: str) -> RTable:
    """Test the fixed terms of one model; arguments as of :meth:`lmerbridge.Model.anova`."""
    name, kind = ddf_name(ddf), type_name(type)
    if name == "lme4":
        # lme4's table is sequential, which is type I
        belongs("ddf='Satterthwaite' and 'Kenward-Roger'", type=kind == "II")
        return table_of_tests(tables.anova_sequential(fit))
    table = tables.anova_of_terms(fit.frame, fit.result, of_fit(fit, ddf), type)
    for note in table.notes:
        tell(note)
    return table_of_tests(table)


def refuse_between_models(type: int | str, ddf: str) -> None:
    """Refuse what belongs to the tests of one model, where models are compared.

    Raises
    ------
    DataError
        ``type`` or ``ddf`` is none, or another than the default.
    """
    name, kind = ddf_name(ddf), type_name(type)
    belongs("the tests of one model", type=kind != "III", ddf=name != "Satterthwaite")


def wald_tests(fit: Fit, type: int | str, test_statistic: str) -> RTable:
    """Test the fixed terms as car's ``Anova``; arguments as of :meth:`lmerbridge.Model.Anova`."""
    F = matched(test_statistic, ("Chisq", "F"), "test_statistic") == "F"
    denominator = of_fit(fit, "Kenward-Roger" if F else "lme4")
    return table_of_tests(wald_table(fit.frame, denominator, type, F))


def contest(
    fit: Fit, L: Any, joint: bool, ddf: str, rhs: Any, collect: bool, confint: bool, level: float
) -> Any:
    """Test L beta = rhs; arguments as of :meth:`lmerbridge.Model.contest`."""
    if joint:
        belongs("joint=False", confint=not confint, level=level != DEFAULT_LEVEL)
    elif not confint:
        belongs("confint=True", level=level != DEFAULT_LEVEL)
    belongs("a mapping of hypotheses", collect=not collect and not isinstance(L, Mapping))
    denominator = of_fit(fit, ddf)
    if isinstance(L, Mapping):
        tables = {
            str(name): contest(fit, part, joint, ddf, rhs, True, confint, level)
            for name, part in L.items()
        }
        return contests.collected(tables) if collect else tables
    estimates = fit.result.estimates
    matrix = contests.as_hypothesis(L, len(estimates.names), estimates.names)
    labels = L.index if isinstance(L, pd.DataFrame) else pd.RangeIndex(len(matrix))
    if not joint:
        tests = contests.row_tests(matrix, estimates.beta, denominator, rhs, confint, level)
        return tests.set_axis(labels)
    test = contests.joint_test(matrix, denominator, rhs)
    if test.deficient and np.any(np.asarray(rhs, dtype=np.float64) != 0):
        warnings.warn(contests.DEFICIENT, FitWarning, stacklevel=from_outside())
    # a single row of zeros is a hypothesis that says nothing, as in lmerTest
    shown = {0: test} if np.any(matrix) or len(matrix) == 1 else {}
    return contests.f_table(shown, estimates.scale)


def contest_of_one_row(
    fit: Fit, L: Any, rhs: float, ddf: str, confint: bool, level: float
) -> pd.DataFrame:
    """Test one row; arguments as of :meth:`lmerbridge.Model.contest1D`."""
    table: pd.DataFrame = contest(fit, L, False, ddf, rhs, True, confint, level)
    if len(table) != 1:
        raise DataError(f"contest1D() tests one row, not {len(table)}; contestMD() tests all")
    return table


def hypotheses(fit: Fit, type: int | str) -> dict[str, pd.DataFrame]:
    """Give the matrices L (rows, p) of L beta = 0 that ``anova(type=)`` tests, by term."""
    names = list(fit.result.estimates.names)
    hypotheses = term_hypotheses(fit.frame, type)
    return {
        term: pd.DataFrame(L, index=list(hypotheses.rows[term]), columns=names)
        for term, L in hypotheses.matrices.items()
    }


def drop1(
    fit: Fit, ddf: str, test: str | None, scope: str | Sequence[str] | None, k: float
) -> RTable:
    """Test terms that can be dropped; arguments as of :meth:`lmerbridge.Model.drop1`."""
    tested = matched("none" if test is None else test, ("none", "Chisq"), "test")
    if ddf_name(ddf) == "lme4":
        return table_of_tests(dropped_by_ml(fit, tested == "Chisq", scope, k))
    belongs("ddf='lme4'", test=test is not None, k=k != 2)
    formula = [fit.result.call.formula]
    return table_of_tests(tables.deletions(fit.frame, fit.result, of_fit(fit, ddf), formula, scope))
