"""Comparisons that need further fits: terms left out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from lmerbridge.dialects import dialect_of
from lmerbridge.errors import DataError
from lmerbridge.formula import Formula, RandomTerm, nobars, update_formula
from lmerbridge.formula.syntax import deparse
from lmerbridge.inference.anova import TestTable, chi_squared
from lmerbridge.inference.deletions import in_scope
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.regression import regress
from lmerbridge.model.criteria import akaike
from lmerbridge.model.fitting import by_maximum_likelihood, of_formula

__all__ = ["dropped_by_ml", "without_random_terms"]


def _keeps_rows(fit: Fit, text: str, mixed: bool = True) -> None:
    """Refuse what R refuses: a model without a variable that is missing in some rows is of more
    rows, and its likelihood is of other data.
    """
    frame = fit.frame
    if not len(frame.source.dropped):
        return
    other = replace(fit.call, formula=text).frame(mixed=mixed)
    if other.nobs != frame.nobs:
        raise DataError(
            f"number of rows in use has changed, from {frame.nobs} to {other.nobs} in {text}: "
            "remove missing values? As with m = m.update(subset=m.frame.kept), which holds the "
            "rows of this model"
        )


def dropped_by_ml(fit: Fit, test: bool, scope: Any = None, k: float = 2.0) -> TestTable:
    """lme4's ``drop1``: AIC of the ML fits without each term that can go.

    Raises
    ------
    DataError
        A term of ``scope`` is none of the model; the model without one is of more rows.
    """
    frame = fit.frame
    labels = in_scope(frame, scope)
    texts = {label: update_formula(frame.formula, f". ~ . - {label}") for label in labels}
    for text in texts.values():
        _keeps_rows(fit, text)
    whole = by_maximum_likelihood(fit).result.criterion
    rows: dict[str, tuple[float, ...]] = {
        "<none>": (math.nan, akaike(whole, k), math.nan, math.nan)
    }
    for label, text in texts.items():
        # as R's extractAIC() has it: fitted as the model was, and from there by ML
        reduced = by_maximum_likelihood(of_formula(fit, text)).result.criterion
        lrt = 2 * (whole.logLik - reduced.logLik)
        # negative where the model without the term is no submodel: x:z of a:x + x:z + a:z
        lrt = 0.0 if abs(lrt) < 1e-7 else lrt
        df = whole.parameters - reduced.parameters
        rows[label] = (df, akaike(reduced, k), lrt, chi_squared(lrt, df))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["npar", "AIC", "LRT", "Pr(Chi)"])
    if not labels:  # R calls the only row "1", not "<none>"
        table.index = pd.Index(["1"])
    if not test:
        table = table[["npar", "AIC"]]
    heading = ("Single term deletions", "", "Model:", *fit.result.call.formula_lines)
    return TestTable(table, heading)


def _bar(columns: list[str], intercept: bool, group: str) -> str:
    if not columns:
        return f"(1 | {group})"
    left = " + ".join(columns)
    return f"({left} | {group})" if intercept else f"(0 + {left} | {group})"


def _text(formula: Formula, columns: tuple[str, ...], bars: list[str]) -> str:
    """The formula with these random terms, its terms in order of their degree as R has them."""
    terms = formula.terms(columns)
    simple = [t for t, d in zip(terms.labels, terms.terms, strict=True) if len(d) == 1]
    higher = [t for t, d in zip(terms.labels, terms.terms, strict=True) if len(d) > 1]
    offsets = [deparse(o) for o in terms.offsets]
    parts = [*simple, *dict.fromkeys(bars), *higher, *offsets]
    if not terms.intercept:
        parts.append("-1")
    right = " + ".join(parts).replace("+ -1", "- 1") or "1"
    return f"{formula.response_label} ~ {right}"


def _written(fit: Fit, bars: list[str]) -> str:
    """The formula with its fixed part as it was written, and these random terms."""
    return " + ".join([nobars(" ".join(fit.result.call.formula_lines)), *dict.fromkeys(bars)])


def _reductions(term: RandomTerm, reduce: bool) -> list[tuple[str, str | None]]:
    """What is tested of a random term, and what is left of it (``None``: nothing)."""
    group = term.grouping.label
    labels = list(term.columns.labels)
    if not labels:
        return [(term.written, None)]
    # a structure without one of its columns is another model, not a smaller one
    if not reduce or not term.structure.plain:
        return [(term.written, None)]
    found: list[tuple[str, str | None]] = []
    sets = [frozenset(t) for t in term.columns.terms]
    for label, own in zip(labels, sets, strict=True):
        if any(own < other for other in sets):
            continue  # a margin stays while its interaction is there
        left = [t for t in labels if t != label]
        found.append((f"{label} in ({term.text})", _bar(left, term.columns.intercept, group)))
    return found


def without_random_terms(fit: Fit, reduce: bool) -> TestTable:
    """Test each random term by leaving it out, as ``ranova`` of lmerTest does."""
    frame, result = fit.frame, fit.result
    formula = frame.formula
    everything = [term.written for term in formula.random]
    criterion = result.criterion
    rows: dict[str, tuple[float, ...]] = {
        "<none>": (
            criterion.parameters,
            criterion.logLik,
            criterion.AIC,
            math.nan,
            math.nan,
            math.nan,
        )
    }
    for i, term in enumerate(formula.random):
        for label, left in _reductions(term, reduce):
            bars = [*everything[:i], *([] if left is None else [left]), *everything[i + 1 :]]
            bars = list(dict.fromkeys(bars))
            parameters, logLik = _fit_without(fit, bars)
            # negative where the model without the term is no submodel: (1 | g) of (0 + x | g)
            lrt = 2 * (criterion.logLik - logLik)
            df = criterion.parameters - parameters
            rows[label] = (
                parameters,
                logLik,
                -2 * logLik + 2 * parameters,
                lrt,
                df,
                chi_squared(lrt, df),
            )
    columns = ["npar", "logLik", "AIC", "LRT", "Df", "Pr(>Chisq)"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    heading = (
        "ANOVA-like table for random-effects: Single term deletions",
        "",
        "Model:",
        _written(fit, everything)
        if dialect_of(result).ranova_as_written
        else _text(formula, frame.design.dot_columns, everything),
    )
    return TestTable(table.astype({"npar": int}), heading)


def _fit_without(fit: Fit, bars: list[str]) -> tuple[int, float]:
    """Parameters and log-likelihood of the model with these random terms."""
    frame = fit.frame
    text = _text(frame.formula, frame.design.dot_columns, bars)
    _keeps_rows(fit, text, mixed=bool(bars))
    if bars:
        criterion = of_formula(fit, text, start=None).result.criterion
        return criterion.parameters, criterion.logLik
    plain = replace(fit.call, formula=text).frame(mixed=False)
    return len(plain.x_names) + 1, regress(plain).logLik(fit.result.call.REML)
