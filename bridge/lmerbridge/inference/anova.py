"""Tests of the fixed effects and of the random terms as tables: ``anova``, ``drop1``, ``ranova``,
``contest`` and their kin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError
from lmerbridge.inference.degrees import Denominator
from lmerbridge.inference.hypotheses import TYPES, term_columns, term_hypotheses
from lmerbridge.result import FitResult

__all__ = [
    "Fitted",
    "TestTable",
    "anova_of_models",
    "anova_of_terms",
    "anova_sequential",
    "as_hypothesis",
    "contest",
    "deletions",
    "droppable",
    "t_tests",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class TestTable:
    """A table of tests: its rows' names are the index, NaN is what does not apply.

    ``heading`` are the lines that R prints above it.
    """

    __test__ = False  # no test of pytest's

    table: pd.DataFrame
    heading: tuple[str, ...]
    notes: tuple[str, ...] = ()


def chi_squared(statistic: float, df: float) -> float:
    """Upper tail of the chi-squared distribution; NaN without degrees of freedom."""
    from scipy import special

    return float(special.chdtrc(df, statistic)) if df > 0 else math.nan


def t_tests(L: Array, beta: Array, denominator: Denominator) -> pd.DataFrame:
    """A t test for each row of L: Estimate, Std. Error, df, t value, Pr(>|t|)."""
    from scipy import special

    estimate = L @ beta
    errors = np.sqrt(np.einsum("rp,pq,rq->r", L, denominator.vcov, L))
    df = denominator.of_rows(L)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimate / errors
        # the normal distribution where df is infinite
        p = np.where(
            np.isinf(df),
            2 * special.ndtr(-np.abs(t)),
            2 * special.stdtr(np.where(np.isinf(df), 1.0, df), -np.abs(t)),
        )
    return pd.DataFrame(
        {"Estimate": estimate, "Std. Error": errors, "df": df, "t value": t, "Pr(>|t|)": p}
    )


def as_hypothesis(L: Any, p: int, names: Sequence[str]) -> Array:
    """``L`` as a matrix (r, p).

    Raises
    ------
    DataError
    """
    if isinstance(L, pd.DataFrame):
        unknown = [str(c) for c in L.columns if c not in names]
        if unknown and not isinstance(L.columns, pd.RangeIndex):
            raise DataError(f"L has a column {unknown[0]!r}, which is no fixed effect")
        if not isinstance(L.columns, pd.RangeIndex):
            L = L.reindex(columns=list(names), fill_value=0.0)
    try:
        matrix = np.atleast_2d(np.asarray(L, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise DataError(f"L must be numbers, a row per contrast: {error}") from error
    if matrix.ndim != 2 or matrix.shape[1] != p:
        raise DataError(
            f"L has {matrix.shape[-1]} columns; the model has {p} fixed effects: {', '.join(names)}"
        )
    if not np.isfinite(matrix).all():
        raise DataError("L has missing or infinite values")
    return matrix


def contest(
    result: FitResult, L: Array, denominator: Denominator, joint: bool, rhs: Any = 0.0
) -> pd.DataFrame:
    """Tests of L beta = rhs: one F test (lmerTest's columns), or a t test per row with its
    confidence interval.
    """
    from scipy import special

    beta = result.estimates.beta
    shift = np.broadcast_to(np.asarray(rhs, dtype=np.float64), (len(L),))
    if joint:
        moved = beta
        if np.any(shift != 0):
            moved = beta - np.linalg.lstsq(L, shift, rcond=None)[0]
        from dataclasses import replace

        changed: Any = denominator
        test = replace(changed, beta=moved).of_all(L)
        sigma2 = result.estimates.sigma**2
        return pd.DataFrame(
            {
                "Sum Sq": [test.wald * test.ndf * sigma2],
                "Mean Sq": [test.wald * sigma2],
                "NumDF": [test.ndf],
                "DenDF": [test.ddf],
                "F value": [test.F],
                "Pr(>F)": [test.p_value],
            }
        )
    found = t_tests(L, beta, denominator)
    df = found["df"].to_numpy()
    quantile = np.where(
        np.isinf(df), special.ndtri(0.975), special.stdtrit(np.where(np.isinf(df), 1.0, df), 0.975)
    )
    half = quantile * found["Std. Error"].to_numpy()
    t = (found["Estimate"].to_numpy() - shift) / found["Std. Error"].to_numpy()
    p = np.where(
        np.isinf(df),
        2 * special.ndtr(-np.abs(t)),
        2 * special.stdtr(np.where(np.isinf(df), 1.0, df), -np.abs(t)),
    )
    return pd.DataFrame(
        {
            "Estimate": found["Estimate"],
            "Std. Error": found["Std. Error"],
            "df": df,
            "t value": t,
            "lower": found["Estimate"] - half,
            "upper": found["Estimate"] + half,
            "Pr(>|t|)": p,
        }
    )


def _f_table(
    result: FitResult, hypotheses: dict[str, Array], denominator: Denominator
) -> pd.DataFrame:
    tests = {label: denominator.of_all(L) for label, L in hypotheses.items()}
    sigma2 = result.estimates.sigma**2
    return pd.DataFrame(
        {
            "Sum Sq": [t.wald * t.ndf * sigma2 for t in tests.values()],
            "Mean Sq": [t.wald * sigma2 for t in tests.values()],
            "NumDF": [t.ndf for t in tests.values()],
            "DenDF": [t.ddf for t in tests.values()],
            "F value": [t.F for t in tests.values()],
            "Pr(>F)": [t.p_value for t in tests.values()],
        },
        index=list(tests),
    )


def anova_of_terms(
    frame: ModelFrame, result: FitResult, denominator: Denominator, type: int | str = 3
) -> TestTable:
    """F tests of the fixed terms, as lmerTest's ``anova``."""
    hypotheses = term_hypotheses(frame, type)
    numeral = TYPES[{"I": 1, "II": 2, "III": 3}.get(str(type).upper(), 0) or int(type)]
    heading = f"Type {numeral} Analysis of Variance Table with {denominator.name}'s method"
    return TestTable(_f_table(result, hypotheses, denominator), (heading,))


def anova_sequential(frame: ModelFrame, result: FitResult) -> TestTable:
    """lme4's own table: sequential sums of squares by (X'V^-1 X), no p-values."""
    precision = np.linalg.inv(result.estimates.vcov) * result.estimates.sigma**2
    effects = np.linalg.cholesky(precision).T @ result.estimates.beta
    sigma2 = result.estimates.sigma**2
    rows = {}
    for label, own in term_columns(frame).items():
        total = float(np.sum(effects[own] ** 2))
        rows[label] = (len(own), total, total / len(own), total / len(own) / sigma2)
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["npar", "Sum Sq", "Mean Sq", "F value"]
    )
    return TestTable(table.astype({"npar": int}), ("Analysis of Variance Table",))


def droppable(frame: ModelFrame) -> list[str]:
    """The fixed terms that no other term holds in it: what marginality lets go."""
    variables = {label: frozenset(label.split(":")) for label in frame.x_terms}
    terms = frame.formula.terms(frame.dot_columns)
    sets = dict(zip(frame.x_terms, (frozenset(t) for t in terms.terms), strict=True))
    del variables
    kept = term_columns(frame)
    return [
        label
        for label in frame.x_terms
        if label in kept and not any(sets[label] < other for other in sets.values())
    ]


def deletions(
    frame: ModelFrame, result: FitResult, denominator: Denominator, formula: Sequence[str]
) -> TestTable:
    """LmerTest's ``drop1``: F tests of the terms that can go, each after all others."""
    columns = term_columns(frame)
    hypotheses = {label: np.eye(frame.X.shape[1])[columns[label]] for label in droppable(frame)}
    heading = (
        f"Single term deletions using {denominator.name}'s method:",
        "",
        "Model:",
        *formula,
    )
    return TestTable(_f_table(result, hypotheses, denominator), heading)


@dataclass(frozen=True)
class Fitted:
    """What a comparison of models needs of each.

    ``formula_lines`` as R prints it; ``fingerprint`` of the response.
    """

    name: str
    formula_lines: tuple[str, ...]
    parameters: int
    logLik: float
    nobs: int
    data_name: str | None = None
    subset: str | None = None


def anova_of_models(models: Sequence[Fitted], notes: tuple[str, ...] = ()) -> TestTable:
    """Likelihood-ratio tests of nested models, in order of their number of parameters.

    Raises
    ------
    DataError
        Models of different numbers of observations.
    """
    counts = {m.nobs for m in models}
    if len(counts) > 1:
        listed = ", ".join(f"{m.name}: {m.nobs}" for m in models)
        raise DataError(
            f"models were not all fitted to the same size of dataset ({listed}); "
            "a row with a missing value in one of them has to be left out of all"
        )
    ordered = sorted(models, key=lambda m: m.parameters)
    rows = []
    for i, m in enumerate(ordered):
        deviance = -2 * m.logLik
        chisq = df = p = math.nan
        if i:
            chisq = max(0.0, 2 * (m.logLik - ordered[i - 1].logLik))
            df = m.parameters - ordered[i - 1].parameters
            p = chi_squared(chisq, df)
        rows.append(
            (
                m.parameters,
                deviance + 2 * m.parameters,
                deviance + math.log(m.nobs) * m.parameters,
                m.logLik,
                deviance,
                chisq,
                df,
                p,
            )
        )
    columns = ["npar", "AIC", "BIC", "logLik", "deviance", "Chisq", "Df", "Pr(>Chisq)"]
    table = pd.DataFrame(rows, columns=columns, index=[m.name for m in ordered])
    heading = [f"Data: {next((m.data_name for m in models if m.data_name), 'data')}"]
    subset = next((m.subset for m in models if m.subset), None)
    if subset is not None:
        heading.append(f"Subset: {subset}")
    heading.append("Models:")
    for m in ordered:
        first, *rest = m.formula_lines
        heading += [f"{m.name}: {first}", *(f"{m.name}: {line}" for line in rest)]
    return TestTable(table, tuple(heading), notes)
