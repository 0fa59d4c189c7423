"""Estimates and their uncertainty as R's accessors give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge import display
from lmerbridge.dialects import residual_shown
from lmerbridge.display.table import RTable
from lmerbridge.errors import ArgumentError, DataError, matched, near_match
from lmerbridge.inference.containment import every_column
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.modes_vcov import modes_vcov
from lmerbridge.inference.variance_parameters import full_vcov, variance_errors
from lmerbridge.result import FitResult, tables

__all__ = [
    "by_group",
    "conditional_variances",
    "covariance",
    "fixed_effects",
    "fixed_errors",
    "random_effects",
    "variance_components",
    "variance_errors",
]

Vector: TypeAlias = "pd.Series[float]"


def fixed_effects(fit: Fit, add_dropped: bool) -> Vector:
    """Return the fixed effects; arguments as of :meth:`lmerbridge.Model.fixef`."""
    found = tables.fixed_table(fit.result)
    if not add_dropped or not fit.result.data.columns_dropped:
        return found
    return found.reindex(every_column(fit.frame))


def fixed_errors(result: FitResult) -> Vector:
    """Return the standard errors of the fixed effects."""
    estimates = result.estimates
    return pd.Series(np.sqrt(np.diag(estimates.vcov)), index=list(estimates.names), dtype=float)


def random_effects(
    result: FitResult, condVar: bool, whichel: str | Sequence[str] | None, drop: bool
) -> Any:
    """Return the conditional modes; arguments as of :meth:`lmerbridge.Model.ranef`."""
    if not drop:
        return tables.random_table(result, condVar, _groups(result, whichel))
    wide = by_group(result, "condval", whichel)
    return {g: t.iloc[:, 0] if t.shape[1] == 1 else t for g, t in wide.items()}


def by_group(
    result: FitResult, column: str, whichel: str | Sequence[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Return ``condval`` or ``condsd`` as a table (levels, columns) by grouping factor."""
    table = tables.random_table(result, True, _groups(result, whichel))
    found: dict[str, pd.DataFrame] = {}
    for group, own in table.groupby("grpvar", sort=False):
        parts = [
            pd.Series(part[column].to_numpy(), index=part["grp"].tolist(), name=term)
            for term, part in own.groupby("term", sort=False)
        ]
        found[str(group)] = pd.concat(parts, axis=1)
    return found


def _groups(result: FitResult, whichel: str | Sequence[str] | None) -> list[str] | None:
    """The grouping factors named.

    Raises
    ------
    DataError
        A name is none of one.
    """
    if whichel is None:
        return None
    known = list(result.data.groups)
    if not isinstance(whichel, Iterable):
        raise DataError(f"whichel must name some of {', '.join(known)}, not {whichel!r}")
    wanted = [whichel] if isinstance(whichel, str) else list(whichel)
    for name in wanted:
        if name not in known:
            raise DataError(
                f"whichel names {name!r}, which is no grouping factor of the model"
                f"{near_match(name, known)}; it has {', '.join(known)}"
            )
    return wanted


def conditional_variances(result: FitResult) -> dict[str, Any]:
    """Return the conditional covariance matrices (levels, k, k) of the random effects by term."""
    return {
        term.label: None if term.variances is None else term.variances.copy()
        for term in result.estimates.random
    }


def variance_components(
    result: FitResult,
    sigma: float | None,
    comp: str | Sequence[str],
    order: str,
    digits: int,
) -> RTable:
    """Return the variance components; arguments as of :meth:`lmerbridge.Model.VarCorr`."""
    if digits < 1:
        raise ArgumentError(f"digits must be at least 1, not {digits}")
    result = result if sigma is None else tables.rescaled(result, sigma)
    names = [comp] if isinstance(comp, str) else list(comp)
    shown = [matched(name, ("Variance", "Std.Dev."), "comp") for name in names]
    if not shown:
        raise DataError("comp must name 'Variance', 'Std.Dev.' or both")
    rows = matched(order, ("cov.last", "lower.tri"), "order")
    table = tables.variance_table(result, rows)
    if result.estimates.sigma is not None and not residual_shown(result):
        table = table.iloc[:-1]
    return RTable.of(table, display.variance_text(result, shown, digits))


def covariance(
    fit: Fit, definition: str | None, full: bool | str, correlation: bool
) -> pd.DataFrame:
    """Return a covariance matrix; arguments as of :meth:`lmerbridge.Model.vcov`."""
    kinds = ("parameters", "modes")
    kind = matched(full, kinds, "full") if isinstance(full, str) else kinds[0] * bool(full)
    table = _of_fixed(fit.result, definition)
    if kind == "modes":
        if definition not in (None, "conditional"):
            raise DataError(
                f"full='modes' is given theta and sigma, and has no {definition!r} form"
            )
        table = modes_vcov(fit)
    elif kind == "parameters":
        fixed, table = table, full_vcov(fit)
        table.loc[list(fixed.index), list(fixed.columns)] = fixed
    if correlation:
        deviations = np.sqrt(np.diag(table))
        with np.errstate(divide="ignore", invalid="ignore"):
            table = table.div(deviations, axis=0).div(deviations, axis=1)
    return table


def _of_fixed(result: FitResult, definition: str | None) -> pd.DataFrame:
    """The covariance matrix of the fixed effects by a definition of the engine's."""
    estimates = result.estimates
    table = tables.vcov_table(result)
    if definition is None or definition == estimates.vcov_definition:
        return table
    if not isinstance(definition, str) or definition not in estimates.other_vcov:
        known = [estimates.vcov_definition, *estimates.other_vcov]
        raise DataError(
            f"engine {result.provenance.engine!r} has no {definition!r} covariance matrix; "
            f"it has {', '.join(known)}"
        )
    return pd.DataFrame(
        estimates.other_vcov[definition].copy(), index=table.index, columns=table.columns
    )
