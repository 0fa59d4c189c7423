"""broom's verbs on a result: tidy, glance, augment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.errors import DataError, near_match
from lmerbridge.result import FitResult
from lmerbridge.result.tables import random_table, variance_table

__all__ = ["EFFECTS", "augment", "glance", "tidy"]

EFFECTS = ("fixed", "ran_pars", "ran_vals", "ran_coefs")


def _fixed(result: FitResult) -> pd.DataFrame:
    estimates = result.estimates
    errors = np.sqrt(np.diag(estimates.vcov))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimates.beta / errors
    return pd.DataFrame(
        {
            "effect": "fixed",
            "term": list(estimates.names),
            "estimate": estimates.beta.copy(),
            "std_error": errors,
            "statistic": statistic,
        }
    )


def _parameters(result: FitResult) -> pd.DataFrame:
    table = variance_table(result)
    terms = []
    for row in table.itertuples():
        if row.grp == "Residual":
            terms.append("sd__Observation")
        elif isinstance(row.var2, str):
            terms.append(f"cor__{row.var1}.{row.var2}")
        else:
            terms.append(f"sd__{row.var1}")
    return pd.DataFrame(
        {"effect": "ran_pars", "group": table["grp"], "term": terms, "estimate": table["sdcor"]}
    )


def _values(result: FitResult) -> pd.DataFrame:
    table = random_table(result)
    return pd.DataFrame(
        {
            "effect": "ran_vals",
            "group": table["grpvar"],
            "level": table["grp"],
            "term": table["term"],
            "estimate": table["condval"],
            "std_error": table["condsd"],
        }
    )


def _coefficients(result: FitResult) -> pd.DataFrame:
    from lmerbridge.result.tables import coefficients

    parts = []
    for group, table in coefficients(result).items():
        for term in table.columns:
            parts.append(
                pd.DataFrame(
                    {
                        "effect": "ran_coefs",
                        "group": group,
                        "level": list(table.index),
                        "term": term,
                        "estimate": table[term].to_numpy(),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


_TABLES = {
    "fixed": _fixed,
    "ran_pars": _parameters,
    "ran_vals": _values,
    "ran_coefs": _coefficients,
}
_ORDER = (
    "effect",
    "group",
    "level",
    "term",
    "estimate",
    "std_error",
    "statistic",
    "df",
    "p_value",
    "conf_low",
    "conf_high",
)


def tidy(
    result: FitResult,
    effects: str | Sequence[str] = ("ran_pars", "fixed"),
    conf_int: bool = False,
    conf_level: float = 0.95,
    tests: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per estimate; columns that do not apply are left out.

    Parameters
    ----------
    effects : str or sequence of str
        Of ``fixed``, ``ran_pars``, ``ran_vals``, ``ran_coefs``.
    conf_int : bool
        Add Wald intervals for the fixed effects and the conditional modes: by t where there are
        ``tests``, else normal.
    tests : DataFrame, optional
        t tests of the fixed effects, with lmerTest's columns; adds ``df`` and ``p_value``.

    Raises
    ------
    DataError
        Unknown kind of effect, or a level outside (0, 1).
    """
    wanted = (effects,) if isinstance(effects, str) else tuple(effects)
    for name in wanted:
        if name not in EFFECTS:
            raise DataError(
                f"unknown effects {name!r}{near_match(name, EFFECTS)}; "
                f"effects: {', '.join(EFFECTS)}"
            )
    if not 0 < conf_level < 1:
        raise DataError(f"conf_level must be between 0 and 1, not {conf_level}")
    order = [name for name in ("fixed", "ran_pars", "ran_vals", "ran_coefs") if name in wanted]
    parts = [_TABLES[name](result) for name in order]
    if tests is not None and "fixed" in order:
        fixed = parts[order.index("fixed")]
        fixed["std_error"] = tests["Std. Error"].to_numpy()
        fixed["statistic"] = tests["t value"].to_numpy()
        fixed["df"] = tests["df"].to_numpy()
        fixed["p_value"] = tests["Pr(>|t|)"].to_numpy()
    table = pd.concat(parts, ignore_index=True)
    if conf_int and "std_error" in table:
        from scipy.special import ndtri, stdtrit

        quantile = np.full(len(table), float(ndtri(0.5 + conf_level / 2)))
        if "df" in table:
            df = table["df"].to_numpy(float)
            known = np.isfinite(df)
            quantile[known] = stdtrit(df[known], 0.5 + conf_level / 2)
        half = quantile * table["std_error"]
        table["conf_low"] = table["estimate"] - half
        table["conf_high"] = table["estimate"] + half
    return table[[c for c in _ORDER if c in table]]


def glance(result: FitResult) -> pd.DataFrame:
    """One row on the whole fit, with broom.mixed's columns."""
    criterion = result.criterion
    row: dict[str, Any] = {
        "nobs": result.data.nobs,
        "sigma": result.estimates.sigma,
        "logLik": criterion.logLik,
        "AIC": criterion.AIC,
        "BIC": criterion.BIC,
    }
    row["REMLcrit" if result.call.REML else "deviance"] = criterion.value
    row["df_residual"] = criterion.df_residual
    return pd.DataFrame([row])


def augment(result: FitResult, columns: pd.DataFrame) -> pd.DataFrame:
    """``columns`` (the data used) with ``.fitted``, ``.resid`` and, weighted, ``.weights``."""
    table = columns.copy()
    table[".fitted"] = result.estimates.fitted
    table[".resid"] = result.estimates.residuals
    if result.estimates.weights is not None:
        table[".weights"] = result.estimates.weights
    return table
