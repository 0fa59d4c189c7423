"""Comparisons that need further fits: terms left out, bootstrap tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design import build_frame
from lmerbridge.display.coefmat import coefmat_lines
from lmerbridge.display.table import RTable
from lmerbridge.errors import DataError
from lmerbridge.formula import Formula, RandomTerm, update_formula
from lmerbridge.formula.syntax import deparse
from lmerbridge.inference.anova import TestTable, chi_squared, droppable
from lmerbridge.inference.hypotheses import term_columns
from lmerbridge.inference.regression import regress
from lmerbridge.inference.simulate import generator
from lmerbridge.model.base import ModelBase

__all__ = ["dropped_by_ml", "kr_comparison", "pb_comparison", "without_random_terms"]


def _same_rows(model: Any) -> dict[str, Any]:
    """Arguments that keep a further fit to the rows of this one."""
    frame = model.frame
    if frame.nobs == frame.total_rows:
        return {}
    return {"subset": frame.kept}


def dropped_by_ml(model: Any, test: bool) -> TestTable:
    """lme4's ``drop1``: AIC of the ML fits without each term that can go."""
    frame = model.frame
    whole = model if not model.result.call.REML else model.update(REML=False)
    criterion = whole.result.criterion
    rows: dict[str, tuple[float, ...]] = {"<none>": (math.nan, criterion.AIC, math.nan, math.nan)}
    columns = term_columns(frame)
    terms = droppable(frame)
    for label in terms:
        text = update_formula(frame.formula, f". ~ . - {label}")
        reduced = model.update(formula=None, **{"REML": False, **_same_rows(model)}, _text=text)
        lrt = max(0.0, 2 * (criterion.logLik - reduced.result.criterion.logLik))
        df = len(columns[label])
        rows[label] = (df, reduced.result.criterion.AIC, lrt, chi_squared(lrt, df))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["npar", "AIC", "LRT", "Pr(Chi)"])
    if not terms:  # R names the only row so
        table.index = pd.Index(["1"])
    if not test:
        table = table[["npar", "AIC"]]
    heading = ("Single term deletions", "", "Model:", *model.result.call.formula_lines)
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
    parts = [*simple, *offsets, *dict.fromkeys(bars), *higher]
    if not terms.intercept:
        parts.append("-1")
    right = " + ".join(parts).replace("+ -1", "- 1") or "1"
    return f"{formula.response_label} ~ {right}"


def _reductions(term: RandomTerm, reduce: bool) -> list[tuple[str, str | None]]:
    """What is tested of a random term, and what is left of it (``None``: nothing)."""
    group = term.grouping.label
    labels = list(term.columns.labels)
    if not labels:
        return [(f"({term.text})", None)]
    if not reduce:
        return [(f"({term.text})", None)]
    found: list[tuple[str, str | None]] = []
    for label in labels:
        left = [t for t in labels if t != label]
        found.append((f"{label} in ({term.text})", _bar(left, term.columns.intercept, group)))
    return found


def without_random_terms(model: Any, reduce: bool) -> TestTable:
    """LmerTest's ``ranova``."""
    frame, result = model.frame, model.result
    formula = frame.formula
    everything = [f"({term.text})" for term in formula.random]
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
            parameters, logLik = _fit_without(model, bars)
            # negative where what is left is another model, no smaller one: (1 | g) of (0 + x | g)
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
        _text(formula, frame.dot_columns, everything),
    )
    return TestTable(table.astype({"npar": int}), heading)


def _fit_without(model: Any, bars: list[str]) -> tuple[int, float]:
    """Parameters and log-likelihood of the model with these random terms."""
    frame = model.frame
    text = _text(frame.formula, frame.dot_columns, bars)
    REML = model.result.call.REML
    if bars:
        smaller = model.update(formula=None, start=None, **_same_rows(model), _text=text)
        criterion = smaller.result.criterion
        return criterion.parameters, criterion.logLik
    inputs = model._inputs()
    plain = build_frame(
        text,
        inputs["data"],
        weights=inputs["weights"],
        offset=inputs["offset"],
        subset=_same_rows(model).get("subset", inputs["subset"]),
        contrasts=inputs["contrasts"],
        mixed=False,
    )
    return len(plain.x_names) + 1, regress(plain).logLik(REML)


def _models(larger: Any, smaller: Any) -> list[str]:
    lines = [f"large : {' '.join(larger.result.call.formula_lines)}"]
    if isinstance(smaller, ModelBase):
        lines.append(f"small : {' '.join(smaller.result.call.formula_lines)}")
    return lines


def kr_comparison(larger: Any, smaller: Any, L: Any) -> RTable:
    """Pbkrtest's ``KRmodcomp``."""
    test = larger.denominator("Kenward-Roger").of_all(L)
    table = pd.DataFrame(
        {
            "stat": [test.F],
            "ndf": [float(test.ndf)],
            "ddf": [test.ddf],
            "F.scaling": [test.scaling],
            "p.value": [test.p_value],
        },
        index=["Ftest"],
    )
    lines = coefmat_lines(
        ["Ftest"],
        list(table.columns),
        table.to_numpy(),
        digits=5,
        estimates=(0, 1, 2),
        tests=(3,),
        has_p=True,
    )
    return RTable.of(table, "\n".join([*_models(larger, smaller), *lines]))


def pb_comparison(larger: Any, smaller: Any, nsim: int, seed: int | None, progress: bool) -> RTable:
    """Pbkrtest's ``PBmodcomp`` (Halekoh & Hojsgaard 2014, section 5): the share of bootstrap
    likelihood ratios, made under the smaller model, that reach the observed one.
    """
    from lmerbridge.engines.native.refits import refit_many
    from lmerbridge.model.prediction import progress_bar

    if not isinstance(smaller, ModelBase):
        raise DataError(f"PBmodcomp() compares with a model, not {type(smaller).__name__}")
    if not isinstance(nsim, (int, np.integer)) or nsim < 1:
        raise DataError(f"nsim must be a positive whole number, not {nsim!r}")
    other: Any = smaller
    one, two = larger._ml(), other._ml()
    if not np.array_equal(larger.frame.y, smaller.frame.y):
        raise DataError("the models were not fitted to the same response")
    lrt = max(0.0, two.criterion.value - one.criterion.value)
    df = one.criterion.parameters - two.criterion.parameters
    if df <= 0:
        raise DataError("the second model must have fewer parameters than this one")
    from dataclasses import replace

    under: Any = replace(smaller, result=two)
    rng = generator(seed)
    reference: list[float] = []
    with progress_bar("bootstrap", progress) as bar:
        while len(reference) < nsim:
            count = min(100, nsim - len(reference))
            made = under.simulate(count, rng).to_numpy()
            large = refit_many(larger.frame, made, False, one.estimates.theta)
            small = refit_many(smaller.frame, made, False, two.estimates.theta)
            reference += (small.criterion - large.criterion).tolist()
            if bar is not None:
                bar(len(reference), nsim)
    values = np.array(reference)
    used = values[np.isfinite(values) & (values > 0)]
    extremes = int(np.sum(used > lrt))
    table = pd.DataFrame(
        {
            "stat": [lrt, lrt],
            "df": [df, math.nan],
            "p.value": [chi_squared(lrt, df), (extremes + 1) / (len(used) + 1)],
        },
        index=["LRT", "PBtest"],
    )
    lines = coefmat_lines(
        list(table.index),
        list(table.columns),
        table.to_numpy(),
        digits=5,
        tests=(0,),
        has_p=True,
        na="",
    )
    small_formula = " ".join(smaller.result.call.formula_lines)
    head = [
        f"Bootstrap test; samples: {nsim}; extremes: {extremes};",
        f"Requested samples: {nsim} Used samples: {len(used)} Extremes: {extremes}",
        _models(larger, smaller)[0],
        small_formula,
    ]
    return RTable.of(table, "\n".join([*head, *lines]))
