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
from lmerbridge.inference.regression import Regression

__all__ = ["TESTS", "compare_regressions", "sequential_table"]

TITLE = "Analysis of Variance Table"
TESTS = ("F", "Chisq", "Cp")


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
    first = models[0][0]
    for number, (frame, fit) in enumerate(models[1:], 2):
        if fit.nobs != models[0][1].nobs:
            raise DataError(
                "models were not all fitted to the same size of dataset: model 1 has "
                f"{models[0][1].nobs} rows, model {number} has {fit.nobs}"
            )
        if not np.array_equal(frame.y, first.y):
            raise DataError(
                f"model {number} has another response than model 1: sums of squares of different "
                "data cannot be compared"
            )
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
    written = [
        line
        for k, (frame, _) in enumerate(models, 1)
        for line in f"Model {k}: {chr(10).join(frame.formula.lines)}".split("\n")
    ]
    return TestTable(table, (TITLE, "", *written))
