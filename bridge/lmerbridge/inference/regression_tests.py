"""Tests of ordinary regressions: analysis of variance by terms and between models."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError
from lmerbridge.inference.anova import TestTable, chi_squared
from lmerbridge.inference.containment import term_columns
from lmerbridge.inference.deletions import droppable, in_scope
from lmerbridge.inference.regression import Regression
from lmerbridge.inference.scoring import Scored, Scoring

__all__ = [
    "GLM_TESTS",
    "TESTS",
    "compare_deviances",
    "compare_regressions",
    "deleted_deviances",
    "sequential_deviances",
    "sequential_table",
    "type_two_deviances",
]

TITLE = "Analysis of Variance Table"
TESTS = ("F", "Chisq", "Cp")
GLM_TESTS = ("Chisq", "LRT", "F", "none")
DEVIANCE_TITLE = "Analysis of Deviance Table"


def _f_tail(F: float, df: float, df_residual: float) -> float:
    from scipy import special

    if math.isnan(F):
        return math.nan
    return float(special.fdtrc(df, df_residual, F))


def sequential_table(frame: ModelFrame, fit: Regression) -> TestTable:
    """Each term after those before it, and the residuals: R's ``anova`` of a regression.

    Terms of which no column is left are left out.
    """
    df_residual = fit.df_residual
    scale = fit.rss / df_residual
    rows: dict[str, tuple[float, ...]] = {}
    for label, columns in term_columns(frame).items():
        df, found = len(columns), float(np.sum(fit.effects[columns] ** 2))
        F = found / df / scale
        rows[label] = (df, found, found / df, F, _f_tail(F, df, df_residual))
    rows["Residuals"] = (df_residual, fit.rss, scale, math.nan, math.nan)
    columns_shown = ["Df", "Sum Sq", "Mean Sq", "F value", "Pr(>F)"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns_shown)
    return TestTable(table, (TITLE, "", f"Response: {frame.formula.response_label}"))


def compare_regressions(
    models: Sequence[tuple[ModelFrame, Regression]], test: str = "F"
) -> TestTable:
    """Differences of residual sums of squares, in the order given: R's ``anova`` of several.

    Parameters
    ----------
    models : sequence of (ModelFrame, Regression)
        In the order in which they are compared.
    test : {"F", "Chisq", "Cp"}
        The scale is the mean square of the model with the fewest residual degrees of freedom.

    Raises
    ------
    DataError
        The models have other responses, or other numbers of rows.
    """
    for number, (frame, _) in enumerate(models[1:], 2):
        _check_same_rows(models[0][0], frame, number)
    largest = min((fit for _, fit in models), key=lambda fit: fit.df_residual)
    df_scale = largest.df_residual
    scale = largest.rss / df_scale
    rows = []
    for k, (_, fit) in enumerate(models):
        df = models[k - 1][1].df_residual - fit.df_residual if k else math.nan
        difference = models[k - 1][1].rss - fit.rss if k else math.nan
        row = [fit.df_residual, fit.rss, df, difference]
        if test == "F":
            F = difference / df / scale if k and df else math.nan
            row += [F, _f_tail(F, abs(df), df_scale)]
        elif test == "Chisq":
            sign = math.copysign(1.0, df) if k and df else math.nan
            statistic = difference / scale * sign
            row.append(chi_squared(statistic, abs(df)) if math.isfinite(statistic) else math.nan)
        else:
            row.append(fit.rss + 2 * scale * (fit.nobs - fit.df_residual))
        rows.append(row)
    last = {"F": ["F", "Pr(>F)"], "Chisq": ["Pr(>Chi)"], "Cp": ["Cp"]}[test]
    table = pd.DataFrame(
        rows,
        columns=["Res.Df", "RSS", "Df", "Sum of Sq", *last],
        index=[str(k + 1) for k in range(len(models))],
        dtype=float,
    )
    return TestTable(table, (TITLE, "", *_written([frame for frame, _ in models])))


def _check_same_rows(first: ModelFrame, frame: ModelFrame, number: int) -> None:
    """Refuse a model of other data than the first.

    Raises
    ------
    DataError
    """
    if frame.nobs != first.nobs:
        raise DataError(
            "models were not all fitted to the same size of dataset: model 1 has "
            f"{first.nobs} rows, model {number} has {frame.nobs}"
        )
    if not np.array_equal(frame.y, first.y):
        raise DataError(
            f"model {number} has another response than model 1: sums of squares and deviances of "
            "different data cannot be compared"
        )


def _written(frames: Sequence[ModelFrame]) -> list[str]:
    return [
        line
        for k, frame in enumerate(frames, 1)
        for line in f"Model {k}: {chr(10).join(frame.formula.lines)}".split("\n")
    ]


def _test_of(test: str | None, scoring: Scoring) -> str:
    """R's default is that of the family: chi-squared where its dispersion is known."""
    if test is None:
        return "Chisq" if scoring.known else "F"
    return "Chisq" if test == "LRT" else test


def _tested(
    rows: list[list[float]], kind: str, fit: Regression, at: tuple[int, int]
) -> tuple[list[list[float]], list[str]]:
    """Rows with the test of what is in the columns ``at``, a difference of degrees of freedom and
    one of deviances; and the further columns' names.
    """
    scale = fit.sigma**2
    names = {"Chisq": ["Pr(>Chi)"], "F": ["F", "Pr(>F)"], "none": []}[kind]
    for row in rows:
        df, change = row[at[0]], row[at[1]]
        if kind == "Chisq":
            row.append(chi_squared(math.copysign(change, change * df) / scale, abs(df)))
        elif kind == "F":
            F = change / df / scale if df else math.nan
            known = fit.scale is not None
            p = chi_squared(F * abs(df), abs(df)) if known else _f_tail(F, abs(df), fit.df_residual)
            row += [F, p if F == F else math.nan]
    return rows, names


def sequential_deviances(
    scoring: Scoring, fit: Regression, deviance: float, test: str | None
) -> TestTable:
    """Each term after those before it, by the deviance: R's ``anova`` of a ``glm``.

    Parameters
    ----------
    scoring : Scoring
    fit : Regression
    deviance : float
        Of the fit.
    test : {"Chisq", "LRT", "F", "none"}, optional
    """
    null, df_null = scoring.null_deviance()
    assign = np.array(scoring.frame.design.x_assign)
    rows = [[math.nan, math.nan, df_null, null]]
    for number, value in enumerate([*scoring.sequential()[:-1], deviance], 1):
        df = int(np.count_nonzero(assign == number))
        if number > len(scoring.frame.design.x_terms):
            break  # the intercept alone
        rows.append([df, rows[-1][3] - value, rows[-1][2] - df, value])
    rows, more = _tested(rows, _test_of(test, scoring), fit, (0, 1))
    columns = ["Df", "Deviance", "Resid. Df", "Resid. Dev", *more]
    table = pd.DataFrame(
        rows, columns=columns, index=["NULL", *scoring.frame.design.x_terms], dtype=float
    )
    heading = (
        DEVIANCE_TITLE,
        "",
        f"Model: {scoring.name}, link: {scoring.family.link.name}",
        "",
        f"Response: {scoring.frame.formula.response_label}",
        "",
        "Terms added sequentially (first to last)",
        "",
        "",
    )
    return TestTable(table, heading)


def compare_deviances(
    models: Sequence[tuple[Scoring, Regression, float]], test: str | None
) -> TestTable:
    """Differences of deviances, in the order given: R's ``anova`` of several ``glm``.

    Parameters
    ----------
    models : sequence of (Scoring, Regression, float)
        With their deviances. The dispersion is that of the one with the fewest residual degrees of
        freedom.
    test : {"Chisq", "LRT", "F", "none"}, optional
    """
    largest = min(models, key=lambda model: model[1].df_residual)
    rows: list[list[float]] = []
    for scoring, fit, deviance in models:
        _check_same_rows(models[0][0].frame, scoring.frame, len(rows) + 1)
        before = rows[-1][:2] if rows else [math.nan, math.nan]
        rows.append([fit.df_residual, deviance, before[0] - fit.df_residual, before[1] - deviance])
    rows, more = _tested(rows, _test_of(test, largest[0]), largest[1], (2, 3))
    table = pd.DataFrame(
        rows,
        columns=["Resid. Df", "Resid. Dev", "Df", "Deviance", *more],
        index=[str(k + 1) for k in range(len(models))],
        dtype=float,
    )
    return TestTable(table, (DEVIANCE_TITLE, "", *_written([m[0].frame for m in models])))


def deleted_deviances(
    scoring: Scoring,
    fit: Regression,
    found: tuple[Scored, float],
    test: str | None,
    scope: str | Sequence[str] | None,
    k: float,
) -> TestTable:
    """Single terms left out: R's ``drop1`` of a ``glm``.

    Parameters
    ----------
    scoring : Scoring
    fit : Regression
    found : tuple of (Scored, float)
        With AIC by a penalty of k.
    test : {"Chisq", "LRT", "F", "none"}, optional
    scope : str or sequence of str, optional
        As of :func:`lmerbridge.inference.deletions.in_scope`.
    k : float
        The penalty of a parameter.

    Raises
    ------
    DataError
        A term of ``scope`` is none of the model, or is contained in another.
    """
    frame, (scored, aic) = scoring.frame, found
    free = droppable(frame)
    kind, deviance = _test_of(test, scoring), scored.deviance
    n, gaussian = fit.nobs, scoring.family.name == "gaussian"
    rows = [[math.nan, deviance, aic, math.nan, math.nan]]
    labels = in_scope(frame, scope)
    for label in labels:
        if label not in free:
            raise DataError(
                f"scope is not among what marginality lets go: {label!r}; it lets {', '.join(free)}"
            )
        rank, value = scoring.without([label])
        df = len(fit.beta) - rank
        scaled = n * math.log(value / deviance) if gaussian else (value - deviance) / fit.sigma**2
        if kind == "F":
            F = (value - deviance) / (df or math.nan) / (deviance / fit.df_residual)
            tested = [F, _f_tail(F, df, fit.df_residual)]
        else:
            tested = [scaled, chi_squared(scaled, df)]
        rows.append([df, value, aic + scaled - k * df, *tested])
    test_names = (
        ["F value", "Pr(>F)"]
        if kind == "F"
        else ["LRT" if scoring.known else "scaled dev.", "Pr(>Chi)"]
    )
    table = pd.DataFrame(
        rows, columns=["Df", "Deviance", "AIC", *test_names], index=["<none>", *labels]
    )
    if kind == "none":
        table = table.iloc[:, :3]
    if scoring.quasi:
        table = table.drop(columns="AIC")
    heading = ("Single term deletions", "", "Model:", *frame.formula.lines)
    return TestTable(table, heading)


def type_two_deviances(scoring: Scoring, fit: Regression) -> TestTable:
    """Likelihood-ratio tests of each term after those that do not hold it: car's ``Anova`` of a
    ``glm`` (Fox & Weisberg 2019, *An R Companion to Applied Regression*, section 6.4).
    """
    rows = {
        label: (change / fit.sigma**2, df, chi_squared(change / fit.sigma**2, df))
        for label, (df, change) in scoring.type_two().items()
    }
    columns = ["LR Chisq", "Df", "Pr(>Chisq)"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    response = f"Response: {scoring.frame.formula.response_label}"
    return TestTable(table, (f"{DEVIANCE_TITLE} (Type II tests)", "", response))
