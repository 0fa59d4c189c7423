"""A result's numbers as labelled Series and DataFrames, in R's forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.covariance import PLAIN, Structure
from lmerbridge.errors import DataError
from lmerbridge.result.schema import FitResult, RandomEffects

__all__ = [
    "coefficients",
    "element_names",
    "fixed_table",
    "parameter_names",
    "random_table",
    "rescaled",
    "structure_of",
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


def random_table(
    result: FitResult, condVar: bool = True, whichel: Sequence[str] | None = None
) -> pd.DataFrame:
    """``as.data.frame(ranef())``: ``grpvar, term, grp, condval`` and, with ``condVar``, ``condsd``.

    Rows by factor, within it by column, within it by level, as in R; of the factors ``whichel``, or
    of all.
    """
    parts = []
    for group in dict.fromkeys(term.group for term in result.estimates.random):
        if whichel is not None and group not in whichel:
            continue
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
    if not parts:
        names = ["grpvar", "term", "grp", "condval", "condsd"]
        return pd.DataFrame(columns=names[: 5 if condVar else 4])
    return pd.concat(parts, ignore_index=True)


def variance_table(result: FitResult, order: str = "cov.last") -> pd.DataFrame:
    """Return ``as.data.frame(VarCorr())``: ``grp, var1, var2, vcov, sdcor``.

    The residual row is the last, where the family has a dispersion parameter.

    Parameters
    ----------
    result : FitResult
        Whose variance components.
    order : str
        ``"cov.last"``: of each term first the variances, then the covariances; ``"lower.tri"``:
        by the columns of the lower triangle (a variance, its covariances, the next variance, ...).
    """
    rows: list[tuple[Any, ...]] = []
    for term in result.estimates.random:
        size = len(term.names)
        pairs = [(i, j) for i in range(size) for j in range(i, size)]
        if order == "cov.last":
            pairs.sort(key=lambda pair: pair[0] != pair[1])
        for i, j in pairs:
            one = i == j
            rows.append(
                (
                    term.label,
                    term.names[i],
                    None if one else term.names[j],
                    term.covariance[i, j],
                    term.deviations[i] if one else term.correlation[i, j],
                )
            )
    sigma = result.estimates.sigma
    if sigma is not None:
        rows.append(("Residual", None, None, sigma**2, sigma))
    return pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"]).astype(
        {"vcov": float, "sdcor": float}
    )


def rescaled(result: FitResult, sigma: float) -> FitResult:
    """The result with the variance components that belong to another residual standard deviation.

    Raises
    ------
    DataError
        ``sigma`` is no positive number.
    """
    try:
        given = float(sigma)
    except (TypeError, ValueError):
        given = np.nan
    if not (np.isfinite(given) and given > 0):
        raise DataError(f"sigma must be a positive number, not {sigma!r}")
    estimates = result.estimates
    scale = given / estimates.scale
    random = tuple(
        replace(
            term,
            covariance=term.covariance * scale**2,
            deviations=term.deviations * scale,
            variances=None,
        )
        for term in estimates.random
    )
    return replace(result, estimates=replace(estimates, sigma=given, random=random))


def coefficients(result: FitResult) -> dict[str, pd.DataFrame]:
    """``coef()``: per grouping factor, fixed effects plus that factor's conditional modes.

    Columns of random terms that the fixed part lacks, of whichever factor, come first, with a fixed
    effect of 0, in every table, as in R.
    """
    fixed = fixed_table(result)
    extra = [
        name for term in result.estimates.random for name in term.names if name not in fixed.index
    ]
    columns = [*dict.fromkeys(extra), *fixed.index]
    start = fixed.reindex(columns, fill_value=0.0).to_numpy()
    place = {name: j for j, name in enumerate(columns)}
    tables: dict[str, pd.DataFrame] = {}
    for group in dict.fromkeys(term.group for term in result.estimates.random):
        levels = list(result.data.groups[group])
        values = np.tile(start, (len(levels), 1))
        for term in result.estimates.random:
            if term.group == group:
                for j, name in enumerate(term.names):
                    values[:, place[name]] += term.modes[:, j]
        tables[group] = pd.DataFrame(values, index=levels, columns=columns)
    return tables


def theta_names(result: FitResult) -> list[str]:
    """lme4's names of theta: ``Subject.(Intercept)``, ``Subject.Days.(Intercept)``, ..."""
    return [
        f"{term.group}.{name}"
        for term in result.estimates.random
        for name in structure_of(term).theta_names(term.names)
    ]


def element_names(result: FitResult) -> list[str]:
    """Names of the elements of the random effects' covariance matrices, as of an unstructured
    term's theta.
    """
    return [
        f"{term.group}.{name}"
        for term in result.estimates.random
        for name in PLAIN.theta_names(term.names)
    ]


def parameter_names(result: FitResult) -> list[str]:
    """lme4's names of ``par``: those of theta, or ``Subject.*`` and ``Subject.rho``, ..."""
    return [
        f"{term.group}.{name}"
        for term in result.estimates.random
        for name in structure_of(term).parameter_names(term.names)
    ]


def structure_of(term: RandomEffects) -> Structure:
    """The structure of a term's covariance matrix."""
    return Structure(term.structure, term.hom)
