"""broom's verbs on a result, with broom.mixed's rows and columns as its documentation has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs
from lmerbridge.display.summary import z_tests
from lmerbridge.display.table import WholeTable
from lmerbridge.errors import (
    ArgumentError,
    DataError,
    UnsupportedModelError,
    matched,
    near_match,
)
from lmerbridge.inference.family_residuals import deviance
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.influence import cooks_distance, hat_values
from lmerbridge.inference.levels import DEFAULT_LEVEL
from lmerbridge.inference.parameters import cells, parameters
from lmerbridge.messages import tell
from lmerbridge.model.intervals import confint
from lmerbridge.model.row_values import by_row, padded_variables
from lmerbridge.model.testing import summary
from lmerbridge.model.variables import frame_table
from lmerbridge.result import FitResult
from lmerbridge.result.tables import coefficients, random_table, structure_of, variance_table

__all__ = ["EFFECTS", "NO_WALD", "Request", "as_ratios", "augment", "glance", "tidy", "tidy_fit"]

EFFECTS = ("fixed", "ran_pars", "ran_vals", "ran_coefs")
NO_WALD = (
    "there are no Wald intervals of variance parameters and of coefficients by group, so that "
    "conf_low and conf_high are missing; conf_method='profile' has those of variance parameters"
)
SCALES = {"sdcor": ("sd", "cor"), "vcov": ("var", "cov")}
_ORDER = (
    "effect",
    "group",
    "level",
    "term",
    "estimate",
    "std_error",
    "df",
    "statistic",
    "p_value",
    "conf_low",
    "conf_high",
)


@dataclass(frozen=True)
class Request:
    """What ``tidy`` is asked for.

    Attributes
    ----------
    effects : tuple of str
        In the order of the table.
    scale : str
        Of ``ran_pars``.
    level : float or None
        Of the intervals; ``None`` for none.
    method : str
    """

    effects: tuple[str, ...]
    scale: str
    level: float | None
    method: str

    @classmethod
    def of(
        cls,
        effects: str | Sequence[str],
        conf_int: bool,
        conf_level: float,
        scales: str | Sequence[str | None] | None,
        conf_method: str,
    ) -> Request:
        """Check the arguments of ``Model.tidy``.

        Raises
        ------
        DataError
            Unknown effects, scale or method, or a level outside (0, 1).
        """
        if not isinstance(effects, Iterable):
            raise DataError(f"effects must name some of {', '.join(EFFECTS)}, not {effects!r}")
        wanted = (effects,) if isinstance(effects, str) else tuple(effects)
        for name in wanted:
            if name not in EFFECTS:
                raise DataError(
                    f"unknown effects {name!r}{near_match(str(name), EFFECTS)}; "
                    f"effects: {', '.join(EFFECTS)}"
                )
        if not wanted:
            raise ArgumentError(f"effects must name at least one of {', '.join(EFFECTS)}")
        try:
            inside = 0 < float(conf_level) < 1
        except (TypeError, ValueError):
            inside = False
        if not inside:
            raise ArgumentError(f"conf_level must be between 0 and 1, not {conf_level!r}")
        scale = _scale(wanted, scales)
        method = matched(conf_method, ("Wald", "profile", "boot"), "conf_method")
        belongs(
            "conf_int=True",
            conf_level=conf_level != DEFAULT_LEVEL and not conf_int,
            conf_method=method != "Wald" and not conf_int,
        )
        return cls(
            tuple(name for name in EFFECTS if name in wanted),
            scale,
            float(conf_level) if conf_int else None,
            method,
        )

    @property
    def only_parameters(self) -> bool:
        """Whether nothing asked for has a standard error."""
        return not {"fixed", "ran_vals"} & set(self.effects)


def _scale(effects: tuple[str, ...], scales: str | Sequence[str | None] | None) -> str:
    if scales is None:
        return "sdcor"
    if not isinstance(scales, str):
        each = list(scales)
        if len(each) != len(effects):
            raise DataError(f"scales has {len(each)} values for {len(effects)} effects")
        given = [s for s, effect in zip(each, effects, strict=True) if effect == "ran_pars"]
        for scale, effect in zip(each, effects, strict=True):
            if scale is not None and effect != "ran_pars":
                raise DataError(f"scales has {scale!r} for {effect}, which has one scale: use None")
        if not given or given[0] is None:
            return "sdcor"
        scales = given[0]
    if "ran_pars" not in effects:
        raise DataError("scales is for the effects 'ran_pars', which are not asked for")
    return matched(scales, tuple(SCALES), "scales")


def _fixed(result: FitResult, _: Request) -> pd.DataFrame:
    estimates = result.estimates
    errors = np.sqrt(np.diag(estimates.vcov))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimates.beta / errors
    table = pd.DataFrame(
        {
            "effect": "fixed",
            "term": list(estimates.names),
            "estimate": estimates.beta.copy(),
            "std_error": errors,
            "statistic": statistic,
        }
    )
    if result.call.generalized:
        table["p_value"] = z_tests(result)["Pr(>|z|)"].to_numpy()
    return table


def _parameters(result: FitResult, request: Request) -> pd.DataFrame:
    table = variance_table(result, "lower.tri")
    one, two = SCALES[request.scale]
    terms = []
    for row in table.itertuples():
        if row.grp == "Residual" and not isinstance(row.var1, str):
            terms.append(f"{one}__Observation")
        elif isinstance(row.var2, str):
            terms.append(f"{two}__{row.var1}.{row.var2}")
        else:
            terms.append(f"{one}__{row.var1}")
    return pd.DataFrame(
        {
            "effect": "ran_pars",
            "group": table["grp"],
            "term": terms,
            "estimate": table[request.scale],
        }
    )


def _values(result: FitResult, _: Request) -> pd.DataFrame:
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


def _coefficients(result: FitResult, _: Request) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "effect": "ran_coefs",
                "group": group,
                "level": list(table.index),
                "term": term,
                "estimate": table[term].to_numpy(),
            }
        )
        for group, table in coefficients(result).items()
        for term in table.columns
    ]
    return pd.concat(parts, ignore_index=True)


_TABLES = {
    "fixed": _fixed,
    "ran_pars": _parameters,
    "ran_vals": _values,
    "ran_coefs": _coefficients,
}


def _wald(table: pd.DataFrame, level: float) -> None:
    from scipy.special import ndtri, stdtrit

    errors = table["std_error"] if "std_error" in table else np.full(len(table), np.nan)
    quantile = np.full(len(table), float(ndtri(0.5 + level / 2)))
    if "df" in table:
        df = table["df"].to_numpy(float)
        known = np.isfinite(df)
        quantile[known] = stdtrit(df[known], 0.5 + level / 2)
    table["conf_low"] = table["estimate"] - quantile * errors
    table["conf_high"] = table["estimate"] + quantile * errors


def _bounds(table: pd.DataFrame, result: FitResult, bounds: pd.DataFrame, scale: str) -> None:
    """Limits from ``confint``, whose rows are the parameters in the order of the fit's dialect."""
    every = parameters(result)
    values = bounds.to_numpy(float)
    limits = {(p.term, p.row, p.column): row for p, row in zip(every, values, strict=True)}
    of_theta = np.array([limits.get(cell, [np.nan, np.nan]) for cell in _cells(result)])
    if scale == "vcov":
        # limits of a variance are the squares; those of a covariance do not follow
        variances = variance_table(result, "lower.tri")["var2"].isna().to_numpy()
        of_theta = np.where(variances[:, None], of_theta**2, np.nan)
    of_beta = values[[p.kind == "beta" for p in every]]
    for effect, rows in (("ran_pars", of_theta), ("fixed", of_beta)):
        own = (table["effect"] == effect).to_numpy()
        if own.any():
            table.loc[own, ["conf_low", "conf_high"]] = rows


def _cells(result: FitResult) -> list[tuple[int, int, int]]:
    """Where the parameter of each row of ``ran_pars`` is: its term, row and column, those of the
    residual's as :class:`~lmerbridge.inference.parameters.Parameter` has them. Of a structure with
    one standard deviation or one correlation it is that of the first.
    """
    found = []
    for t, term in enumerate(result.estimates.random):
        structure = structure_of(term)
        for row, column in cells(len(term.names), False):
            if row == column:
                first = 0 if structure.hom else row
                found.append((t, first, first))
            else:
                found.append((t, 1, 0) if structure.kind == "cs" else (t, row, column))
    return found if result.estimates.sigma is None else [*found, (-1, -1, -1)]


def tidy(
    result: FitResult,
    request: Request,
    tests: pd.DataFrame | None = None,
    bounds: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per estimate; columns that do not apply are left out.

    Fixed effects come first, then the variance parameters of each term by columns of the lower
    triangle (``sd, cor, sd``), then conditional modes and coefficients by group.

    Parameters
    ----------
    request : Request
    tests : DataFrame, optional
        t tests of the fixed effects, with lmerTest's columns; adds ``df`` and ``p_value``.
    bounds : DataFrame, optional
        Limits of all parameters from ``confint``; else intervals are Wald's, by t where there are
        ``tests``.
    """
    parts = [_TABLES[name](result, request) for name in request.effects]
    if tests is not None and "fixed" in request.effects:
        fixed = parts[request.effects.index("fixed")]
        fixed["std_error"] = tests["Std. Error"].to_numpy()
        fixed["statistic"] = tests["t value"].to_numpy()
        fixed["df"] = tests["df"].to_numpy()
        fixed["p_value"] = tests["Pr(>|t|)"].to_numpy()
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if request.level is not None:
        _wald(table, request.level)
        if bounds is not None:
            _bounds(table, result, bounds, request.scale)
    return WholeTable(table[[c for c in _ORDER if c in table]])


def as_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Fixed effects of :func:`tidy` as ratios: estimates and limits exponentiated, standard errors
    by the delta method.
    """
    own = table["effect"] == "fixed"
    ratio = np.exp(table["estimate"])
    found = table.assign(std_error=table["std_error"].where(~own, table["std_error"] * ratio))
    for name in ("estimate", "conf_low", "conf_high"):
        if name in found:
            found[name] = found[name].where(~own, np.exp(found[name]))
    return WholeTable(found)


def glance(result: FitResult) -> pd.DataFrame:
    """One row on the whole fit, with broom.mixed's columns."""
    criterion = result.criterion
    row: dict[str, Any] = {
        "nobs": result.data.nobs,
        "sigma": result.estimates.scale,
        "logLik": criterion.logLik,
        "AIC": criterion.AIC,
        "BIC": criterion.BIC,
    }
    value = deviance(result) if result.call.generalized else criterion.value
    row["REMLcrit" if result.call.REML else "deviance"] = value
    row["df_residual"] = criterion.df_residual
    return WholeTable([row])


def tidy_fit(fit: Fit, request: Request, ddf: str | None) -> pd.DataFrame:
    """Return a row per estimate, with tests and limits where the request has them.

    Parameters
    ----------
    ddf : str, optional
        As of :meth:`lmerbridge.Model.tidy`.
    """
    wald = request.method == "Wald"
    belongs("effects='fixed'", ddf=ddf is not None and "fixed" not in request.effects)
    belongs(
        "effects='fixed' and 'ran_pars'",
        conf_method=not wald and not {"fixed", "ran_pars"} & {*request.effects},
    )
    tests = None
    if ddf is not None:
        shown = summary(fit, None, ddf)
        tests = None if shown.tests is None else shown.tests.table
    bounds = None
    if request.level is not None and not wald:
        bounds = confint(fit, request.method, request.level)
    if request.level is not None and wald and request.only_parameters:
        tell(NO_WALD)
    return tidy(fit.result, request, tests, bounds)


def augment(fit: Fit) -> pd.DataFrame:
    """Return the variables with broom.mixed's columns; see :meth:`lmerbridge.Model.augment`."""
    added = _augmented(fit)
    table = frame_table(fit.frame)
    rows = by_row(fit, fit.result.estimates.fitted, ".fitted").index
    if len(rows) != len(table):
        table = padded_variables(fit, table)
    for name, values in added.items():
        table[name] = by_row(fit, values, name).to_numpy()
    return WholeTable(table)


def _augmented(fit: Fit) -> dict[str, Any]:
    """What broom.mixed's ``augment`` adds to the variables, by column, each (n,).

    Leverages and Cook's distances are missing where there are too many random effects for them.
    """
    frame, result = fit.frame, fit.result
    estimates, n = result.estimates, result.data.nobs
    weights = np.ones(n) if estimates.weights is None else estimates.weights
    root = np.sqrt(weights)
    offset = np.zeros(n) if frame.offset is None else frame.offset
    try:
        hat, cooks = hat_values(fit), cooks_distance(fit)
    except UnsupportedModelError:
        hat = cooks = np.full(n, np.nan)
    return {
        ".fitted": estimates.fitted.copy(),
        ".resid": estimates.residuals.copy(),
        ".hat": hat,
        ".cooksd": cooks,
        ".fixed": frame.X @ estimates.beta + offset,
        ".mu": estimates.fitted.copy(),
        ".offset": offset.copy(),
        ".sqrtXwt": root,
        ".sqrtrwt": root.copy(),
        ".weights": weights.copy(),
        ".wtres": estimates.residuals * root,
    }
