"""A result's numbers as labelled Series and DataFrames, in R's forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.result.schema import FitResult, RandomEffects

__all__ = [
    "coefficients",
    "fixed_table",
    "random_table",
    "theta_names",
    "variance_table",
    "vcov_table",
]


def fixed_table(result: FitResult) -> pd.Series[float]:
    """``fixef()``: estimates by R's names."""
    return pd.Series(result.estimates.beta.copy(), index=list(result.estimates.names), dtype=float)


def vcov_table(result: FitResult) -> pd.DataFrame:
    """``vcov()``."""
    names = list(result.estimates.names)
    return pd.DataFrame(result.estimates.vcov.copy(), index=names, columns=names)


def random_table(result: FitResult, condVar: bool = True) -> pd.DataFrame:
    """``as.data.frame(ranef())``: ``grpvar, term, grp, condval`` and, with ``condVar``, ``condsd``.

    Rows by factor, within it by column, within it by level, as in R.
    """
    parts = []
    for group in dict.fromkeys(term.group for term in result.estimates.random):
        levels = result.data.groups[group]
        for term in result.estimates.random:
            if term.group != group:
                continue
            for j, name in enumerate(term.names):
                columns = {
                    "grpvar": group,
                    "term": name,
                    "grp": list(levels),
                    "condval": term.modes[:, j],
                }
                if condVar:
                    columns["condsd"] = (
                        np.full(len(levels), np.nan)
                        if term.variances is None
                        else np.sqrt(np.maximum(term.variances[:, j, j], 0.0))
                    )
                parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _correlated(term: RandomEffects) -> list[tuple[int, int]]:
    size = len(term.names)
    return [(i, j) for i in range(size) for j in range(i + 1, size)]


def variance_table(result: FitResult) -> pd.DataFrame:
    """``as.data.frame(VarCorr())``: ``grp, var1, var2, vcov, sdcor``."""
    rows: list[tuple[Any, ...]] = []
    for term in result.estimates.random:
        rows += [
            (term.label, name, None, term.covariance[i, i], term.deviations[i])
            for i, name in enumerate(term.names)
        ]
        rows += [
            (
                term.label,
                term.names[i],
                term.names[j],
                term.covariance[i, j],
                term.correlation[i, j],
            )
            for i, j in _correlated(term)
        ]
    sigma = result.estimates.sigma
    rows.append(("Residual", None, None, sigma**2, sigma))
    return pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"]).astype(
        {"vcov": float, "sdcor": float}
    )


def coefficients(result: FitResult) -> dict[str, pd.DataFrame]:
    """``coef()``: per grouping factor, fixed effects plus that factor's conditional modes."""
    fixed = fixed_table(result)
    tables: dict[str, pd.DataFrame] = {}
    for group in dict.fromkeys(term.group for term in result.estimates.random):
        levels = list(result.data.groups[group])
        extra = [
            name
            for term in result.estimates.random
            if term.group == group
            for name in term.names
            if name not in fixed.index
        ]
        columns = [*dict.fromkeys(extra), *fixed.index]
        table = pd.DataFrame(0.0, index=levels, columns=columns)
        for name, value in fixed.items():
            table[name] = float(value)
        for term in result.estimates.random:
            if term.group == group:
                for j, name in enumerate(term.names):
                    table[name] = table[name] + term.modes[:, j]
        tables[group] = table
    return tables


def theta_names(result: FitResult) -> list[str]:
    """lme4's names of theta: ``Subject.(Intercept)``, ``Subject.Days.(Intercept)``, ..."""
    names = []
    for term in result.estimates.random:
        size = len(term.names)
        for column in range(size):
            for row in range(column, size):
                pair = (
                    term.names[row]
                    if row == column
                    else (f"{term.names[row]}.{term.names[column]}")
                )
                names.append(f"{term.group}.{pair}")
    return names
