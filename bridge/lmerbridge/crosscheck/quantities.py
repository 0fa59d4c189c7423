"""A fit as named quantities, each a mapping of keys to numbers; nothing goes by position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.family import family_of
from lmerbridge.result import FitResult
from lmerbridge.result.tables import random_table, variance_table

__all__ = ["Quantities", "of_golden", "of_result"]

Keyed = Mapping[str, float]
# What a result calls missing, as a quantity.
_MISSING = {"conditional variances": "conditional SDs", "df": "df"}


@by_value
@dataclass(frozen=True, eq=False)
class Quantities:
    """What is compared of a fit; a quantity that was not kept is absent from ``values``.

    ``units`` gives, for quantities compared in units of another number (standard errors,
    conditional standard deviations), that number by the same keys. ``absent`` says why a
    quantity is not reported at all. ``rows`` are the positions in the data of the rows used, whose
    fitted values have the keys ``"0"``, ``"1"``, ...; ``None`` if all were used or none is known.
    """

    source: str
    values: Mapping[str, Keyed]
    sigma: float
    units: Mapping[str, Keyed]
    absent: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[int, ...] | None = field(default=None, repr=False)


def _number(value: Any) -> float:
    return float(value) if not isinstance(value, str) else float("nan")


def _variance(rows: list[tuple[Any, Any, Any, float]]) -> tuple[dict[str, float], dict[str, float]]:
    deviations, correlations = {}, {}
    for group, one, two, value in rows:
        if two is None:
            deviations[group if one is None else f"{group}.{one}"] = value
        else:
            correlations[f"{group}.{one}.{two}"] = value
    return deviations, correlations


def _correlations(names: list[str], vcov: Any) -> dict[str, float]:
    """Of the fixed effects, below the diagonal."""
    matrix = np.asarray(vcov, dtype=np.float64).reshape(len(names), len(names))
    root = np.sqrt(np.diag(matrix))
    return {
        f"{one}:{names[j]}": float(matrix[i, j] / root[i] / root[j])
        for i, one in enumerate(names)
        for j in range(i)
    }


def _build(
    source: str,
    names: list[str],
    beta: list[float],
    errors: list[float],
    variance: list[tuple[Any, Any, Any, float]],
    modes: dict[str, tuple[float, float]] | None,
    fitted: list[float] | None,
    sigma: float,
    counts: dict[str, float],
    criterion: dict[str, float],
    vcov: Any,
) -> Quantities:
    deviations, correlations = _variance(variance)
    deviations["sigma"] = sigma  # beside the table's Residual, so that neither can be wrong alone
    deviations.setdefault("Residual", sigma)  # tables of a family have none from lme4 2.0 on
    return Quantities(
        source=source,
        sigma=sigma,
        values={
            "nobs": {
                "nobs": counts["nobs"],
                **{f"levels of {k}": v for k, v in counts.items() if k != "nobs"},
            },
            "criterion": {"criterion": criterion["criterion"]},
            "fixed effects": dict(zip(names, beta, strict=True)),
            "standard errors": dict(zip(names, errors, strict=True)),
            "correlation of fixed effects": _correlations(names, vcov),
            "std. deviations": deviations,
            "correlations": correlations,
            **_of_modes(modes),
            **({} if fitted is None else {"fitted": {str(i): v for i, v in enumerate(fitted)}}),
            "AIC": {"AIC": criterion["AIC"]},
            "BIC": {"BIC": criterion["BIC"]},
            "df": {"df.residual": criterion["df_residual"]},
        },
        units={
            "fixed effects": dict(zip(names, errors, strict=True)),
            "modes": {k: v[1] for k, v in (modes or {}).items()},
        },
    )


def _of_modes(modes: dict[str, tuple[float, float]] | None) -> dict[str, Keyed]:
    if modes is None:
        return {}
    return {
        "modes": {k: v[0] for k, v in modes.items()},
        "conditional SDs": {k: v[1] for k, v in modes.items()},
    }


def of_result(result: FitResult) -> Quantities:
    """The quantities of an engine's result."""
    estimates, criterion = result.estimates, result.criterion
    table = variance_table(result).astype(object).where(lambda t: t.notna(), None)
    effects = random_table(result)
    labels = [f"{g}.{t}" for g, t in zip(effects["grpvar"], effects["term"], strict=True)]
    keys = _unique_terms(labels, effects["grp"].tolist())
    built = _build(
        result.provenance.engine,
        list(estimates.names),
        estimates.beta.tolist(),
        np.sqrt(np.diag(estimates.vcov)).tolist(),
        [
            (r[0], r[1], r[2], float("nan") if r[4] is None else float(r[4]))
            for r in table.itertuples(index=False)
        ],
        dict(
            zip(
                keys,
                zip(effects["condval"].tolist(), effects["condsd"].tolist(), strict=True),
                strict=True,
            )
        ),
        _predictor(result),
        estimates.scale,
        {"nobs": result.data.nobs, **{g: len(v) for g, v in result.data.groups.items()}},
        {
            "criterion": criterion.value,
            "AIC": criterion.AIC,
            "BIC": criterion.BIC,
            "df_residual": criterion.df_residual,
        },
        estimates.vcov,
    )
    absent = {_MISSING[k]: v for k, v in result.missing.items() if k in _MISSING}
    kept = result.data.kept
    return replace(built, absent=absent, rows=None if kept is None else tuple(kept.tolist()))


def _predictor(result: FitResult) -> list[float]:
    """The fitted values, of a generalized model on the scale of the linear predictor."""
    call, fitted = result.call, result.estimates.fitted
    if not call.generalized:
        return list(map(float, fitted))
    size = f"negative.binomial(theta = {call.shape!r}, " if call.shape is not None else ""
    link = family_of(f'{size or f"{call.family}("}link = "{call.link}")').link
    with np.errstate(all="ignore"):  # a probability that is 0 or 1 in the last digit
        return list(map(float, np.clip(link.link(fitted), -700, 700)))


def _unique_terms(labels: list[str], levels: list[str]) -> list[str]:
    """Keys of random effects; a column that two terms of a factor share is numbered."""
    seen: dict[str, int] = {}
    keys = []
    for label, level in zip(labels, levels, strict=True):
        key = f"{label}[{level}]"
        count = seen.get(key, 0)
        seen[key] = count + 1
        keys.append(key if count == 0 else f"{key}#{count + 1}")
    return keys


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def of_golden(record: Mapping[str, Any], which: str, source: str) -> Quantities:
    """The quantities of golden values; ``which`` is ``default`` or ``polished``."""
    fit = record[which]
    vc = fit["varcorr"]
    names = [str(n) for n in _listed(fit["names"])]
    missing = {"NA": None}
    rows = [
        (g, missing.get(a, a), missing.get(b, b), _number(v))
        for g, a, b, v in zip(
            *(_listed(vc[column]) for column in ("grp", "var1", "var2", "sdcor")), strict=True
        )
    ]
    return _build(
        source,
        names,
        [float(v) for v in _listed(fit["beta"])],
        [float(v) for v in _listed(fit["std_error"])],
        rows,
        _stored_modes(fit["ranef"]) if "ranef" in fit else None,
        fit.get("fitted"),
        fit["sigma"],
        {"nobs": fit["nobs"], **fit["groups"]},
        {k: float(fit[k]) for k in ("criterion", "AIC", "BIC", "df_residual")},
        fit["vcov"],
    )


def _stored_modes(re: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    labels = [f"{g}.{t}" for g, t in zip(re["grpvar"], re["term"], strict=True)]
    keys = _unique_terms(labels, re["grp"])
    return dict(zip(keys, zip(re["condval"], re["condsd"], strict=True), strict=True))
