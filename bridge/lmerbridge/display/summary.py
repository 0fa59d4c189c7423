"""A fitted model as text, in the form of lme4's ``print`` and ``summary``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.dialects import Dialect, dialect_of, residual_shown
from lmerbridge.display.coefmat import coefmat_lines
from lmerbridge.display.rformat import (
    LINE_WIDTH,
    abbreviate,
    cat_fill,
    coefficient_cells,
    format_each,
    format_numbers,
    print_matrix,
    print_named,
    wrap,
    zapsmall,
)
from lmerbridge.equality import by_value
from lmerbridge.inference import residuals
from lmerbridge.result import FitResult, RandomEffects
from lmerbridge.result.tables import structure_of
from lmerbridge.rmath import round_r
from lmerbridge.shown import shown

__all__ = ["Summary", "Tests", "model_text", "summary_text", "variance_text", "z_tests"]

MOST_CORRELATED = 12  # lme4 shows no correlations of more fixed effects than this
_DIGITS = 4
_SCALES = "Some predictor variables are on very different scales"


def _title(result: FitResult) -> list[str]:
    if result.call.generalized:
        method = (
            "Laplace Approximation"
            if result.call.nAGQ == 1
            else f"Adaptive Gauss-Hermite Quadrature, nAGQ = {result.call.nAGQ}"
        )
        title = f"Generalized linear mixed model fit by maximum likelihood ({method})"
        return [
            *_classed(title, "glmerMod"),
            f" Family: {result.call.family}  ( {result.call.link} )",
        ]
    if result.call.REML:
        return ["Linear mixed model fit by REML ['lmerMod']"]
    return ["Linear mixed model fit by maximum likelihood  ['lmerMod']"]


def _classed(title: str, name: str) -> list[str]:
    """The title and the class, broken as R's ``cat(fill = TRUE)`` breaks them."""
    lines = wrap(title, 2)
    if len(lines[-1]) + len(f" [{name}]") > LINE_WIDTH:
        return [*lines[:-1], f"{lines[-1]} [", f"{name}]"]
    return [*lines[:-1], f"{lines[-1]} [{name}]"]


def _call_lines(
    result: FitResult, control: bool, formula: Sequence[str] | None = None
) -> list[str]:
    call = result.call
    lines = cat_fill(["Formula:", *(formula or call.formula_lines)])
    if call.data_name is not None:
        lines.append(f"   Data: {call.data_name}")
    if call.weights is not None:
        lines.append(f"Weights: {call.weights}")
    if call.offset is not None:
        lines.append(f" Offset: {call.offset}")
    if call.subset is not None:
        lines.append(f" Subset: {call.subset}")
    if control and call.control is not None:
        lines.append(f"Control: {call.control}")
    return lines


def _criterion_names(result: FitResult) -> tuple[list[str], list[float]]:
    criterion = result.criterion
    return (
        ["AIC", "BIC", "logLik", dialect_of(result).deviance, "df.resid"],
        [
            criterion.AIC,
            criterion.BIC,
            criterion.logLik,
            criterion.value,
            float(criterion.df_residual),
        ],
    )


def variance_lines(result: FitResult, digits: int, comp: Sequence[str]) -> list[str]:
    """The table of variance components; ``comp`` of ``Variance`` and ``Std.Dev.``."""
    estimates = result.estimates
    deviations = estimates.deviations
    shown = {
        "Variance": [_or_na(t) for t in format_numbers([d * d for d in deviations], digits)],
        "Std.Dev.": [_or_na(t) for t in format_numbers(deviations, digits)],
    }
    # how many columns the correlations of a term take
    dialect = dialect_of(result)
    padded = dialect.correlations_padded
    covariances = dialect.covariances_shown and "Std.Dev." not in comp
    across = [_correlation_columns(term, padded) for term in estimates.random]
    widest = max(across, default=0)
    correlated = widest > 0
    columns = ["Groups", "Name", *comp]
    if correlated:
        columns += ["Cov" if covariances else "Corr"] + [""] * (widest - 1)
    places = max(2, digits - 2)
    # each matrix is formatted as a whole, its diagonal included
    matrices = [t.covariance if covariances else t.correlation for t in estimates.random]
    texts = [
        np.array(format_numbers(round_r(m, places).ravel().tolist(), 7, nsmall=places)).reshape(
            m.shape
        )
        for m in matrices
    ]
    rows: list[list[str]] = []
    row = 0
    for t, term in enumerate(estimates.random):
        structure = structure_of(term)
        one = structure.kind in ("cs", "ar1")
        for i, name in enumerate(term.names):
            cells = [term.label if i == 0 else "", name, *(shown[c][row] for c in comp)]
            row += 1
            if one and structure.hom and i > 0:
                continue  # lme4 shows one standard deviation where there is one
            if one:
                cells += [_one_correlation(term, places) if i == 0 else "", *[""] * (widest - 1)]
            elif correlated:
                cells += [
                    str(texts[t][i, j]) if j < min(i, across[t]) else "" for j in range(widest)
                ]
            rows.append(cells)
    if residual_shown(result):
        last = ["Residual", "", *(shown[c][row] for c in comp)]
        rows.append(last + [""] * (len(columns) - len(last)))
    return print_matrix([""] * len(rows), columns, rows, right=False)


def _correlation_columns(term: RandomEffects, padded: bool) -> int:
    """How many columns a term's correlations take: none of a diagonal matrix, one where they are
    functions of one. A matrix's last row has one correlation less than there are rows.
    """
    if term.structure == "diag":
        return 0
    if term.structure in ("cs", "ar1"):
        return 1
    size = len(term.names)
    return size if padded and size > 1 else size - 1


def _one_correlation(term: RandomEffects, places: int) -> str:
    """The correlation of which all others are functions, with what these are: ``0.54 (cs)``."""
    found = float(term.correlation[1, 0]) if len(term.names) > 1 else 1.0
    shown = format_numbers([float(round_r(found, places))], 7, nsmall=places)[0]
    if len(term.names) > 1 and np.sum(term.deviations > 0) < 2:
        shown = _or_na(shown)  # there is none; NaN where lme4 cannot compute the one that it shows
    return f"{shown.strip()} ({term.structure})"


def _or_na(text: str) -> str:
    """The number, in its width; what a covariance structure does not define, lme4 has as ``NA``."""
    return text.replace("NaN", " NA")


def _size_lines(result: FitResult) -> list[str]:
    groups = "; ".join(f"{name}, {len(levels)}" for name, levels in result.data.groups.items())
    return cat_fill([f"Number of obs: {result.data.nobs}, groups: ", groups])


def _convergence_head(result: FitResult) -> str | None:
    evidence = result.evidence
    if evidence.code == 0 and not evidence.messages and not evidence.optimizer_warnings:
        return None
    outcome = "OK" if evidence.code == 0 else evidence.message
    return f"optimizer ({evidence.optimizer}) convergence code: {evidence.code} ({outcome})"


def _note_lines(result: FitResult) -> list[str]:
    # lme4 keeps what it said of X; a contrast for an absent variable is only warned of
    notes = []
    for note in result.evidence.notes:
        if note.startswith(_SCALES) and result.provenance.package == "lme4":
            # an advice for lme4 alone: the other engines scale predictors themselves
            advice = dialect_of(result).scale_advice
            notes += [f"{note}. ", advice] if advice else [note]
        elif note.startswith((_SCALES, "fixed-effect model matrix")):
            notes.append(note)
    return ["fit warnings:", *notes] if notes else []


def engine_line(result: FitResult) -> str | None:
    """One line on the engine, if it was not lme4."""
    provenance = result.provenance
    if provenance.package == "lme4":
        return None
    text = f"Engine: {provenance.engine} {provenance.engine_version}"
    if provenance.skipped:
        reasons = "; ".join(f"{s.engine}: {s.reason}" for s in provenance.skipped)
        text += f" (passed over {reasons})"
    return text


def _correlation_lines(names: Sequence[str], vcov: Any, dialect: Dialect) -> list[str]:
    p = len(names)
    rows, columns = abbreviate(names, 11, dialect)[1:], abbreviate(names, 6, dialect)[:-1]
    deviations = np.sqrt(np.diag(vcov))
    correlations = round_r(vcov / np.outer(deviations, deviations), 3)
    cells = np.array(format_numbers(correlations.ravel().tolist(), 7, nsmall=3)).reshape(p, p)
    body = [[str(cells[i, j]) if j < i else "" for j in range(p - 1)] for i in range(1, p)]
    return [
        "",
        "Correlation of Fixed Effects:",
        *print_matrix(rows, columns, body, right=False),
    ]


def model_text(result: FitResult) -> str:
    """What R prints for a fitted model itself."""
    lines = [*_title(result), *_call_lines(result, control=False)]
    if result.call.REML:
        value = format_each([float(round_r(result.criterion.value, 4))])[0]
        lines.append(f"REML criterion at convergence: {value}")
    else:
        names, values = _criterion_names(result)
        shown = format_numbers(round_r(values[:4], 4).tolist(), 7)
        lines += print_named(names, [*shown, str(int(values[4]))])
    lines += ["Random effects:", *variance_lines(result, _DIGITS, ["Std.Dev."])]
    lines += _size_lines(result)
    estimates = result.estimates
    if len(estimates.names):
        lines.append("Fixed Effects:")
        lines += print_named_gap(estimates.names, format_numbers(estimates.beta.tolist(), 4))
    else:
        lines.append("No fixed effect coefficients")
    lines += _note_lines(result)
    head = _convergence_head(result)
    if head is not None:
        evidence = result.evidence
        lines.append(
            f"{head} ; {len(evidence.optimizer_warnings)} optimizer warnings; "
            f"{len(evidence.messages)} lme4 warnings "
        )
    engine = engine_line(result)
    return "\n".join(lines + ([engine] if engine else []))


def print_named_gap(names: Sequence[str], cells: Sequence[str]) -> list[str]:
    """A named vector with a gap of two blanks, as ``print.gap = 2`` does it."""
    width = max(len(t) for t in (*names, *cells))
    per_line = max(1, 80 // (width + 2))
    lines = []
    for start in range(0, len(cells), per_line):
        for row in (names, cells):
            lines.append("".join(t.rjust(width) + "  " for t in row[start : start + per_line]))
    return lines


def _tested_title(result: FitResult, method: str) -> list[str]:
    """Write the title of lmerTest, broken as R's ``cat(fill = TRUE)`` breaks it."""
    kind = "REML" if result.call.REML else "maximum likelihood "
    title = f"Linear mixed model fit by {kind}. t-tests use {method}'s method"
    return _classed(title, "lmerModLmerTest")


def _coefficient_lines(result: FitResult, tests: Tests | None, digits: int) -> list[str]:
    estimates = result.estimates
    if tests is not None:
        table = tests.table
        return coefmat_lines(
            estimates.names,
            list(table.columns),
            table.to_numpy(),
            digits=digits,
            estimates=(0, 1, 2),
            tests=(3,),
            has_p=True,
            na="NaN",
        )
    if result.call.generalized:
        table = z_tests(result)
        return coefmat_lines(
            estimates.names,
            list(table.columns),
            table.to_numpy(),
            digits=digits,
            estimates=(0, 1),
            tests=(2,),
            has_p=True,
        )
    errors = np.sqrt(np.diag(estimates.vcov))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = (estimates.beta / errors).tolist()
    cells = coefficient_cells(estimates.beta.tolist(), errors.tolist(), statistics, digits)
    return print_matrix(estimates.names, ["Estimate", "Std. Error", "t value"], cells)


def z_tests(result: FitResult) -> pd.DataFrame:
    """Test each fixed effect of a generalized model by the normal distribution.

    Returns
    -------
    DataFrame
        ``Estimate, Std. Error, z value, Pr(>|z|)``, as lme4's ``coef(summary(m))``; where the
        dispersion is estimated the third is called ``t value``, though it is tested as z, as in R.
    """
    from scipy import special

    estimates = result.estimates
    errors = np.sqrt(np.diag(estimates.vcov))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = estimates.beta / errors
    name = "z value" if estimates.sigma is None else "t value"
    return pd.DataFrame(
        {
            "Estimate": estimates.beta,
            "Std. Error": errors,
            name: statistics,
            "Pr(>|z|)": 2 * special.ndtr(-np.abs(statistics)),
        },
        index=list(estimates.names),
    )


@by_value
@dataclass(frozen=True, eq=False)
class Tests:
    """t tests of the fixed effects: the method's name, and its table with lmerTest's columns.

    ``formula`` are the lines of the formula as it was written: lmerTest shows that, where lme4
    writes ``||`` and ``.`` out.
    """

    __test__ = False  # no test of pytest's

    method: str
    table: pd.DataFrame
    formula: tuple[str, ...] = ()


def summary_text(
    result: FitResult,
    correlation: bool | None = None,
    digits: int = _DIGITS,
    tests: Tests | None = None,
) -> str:
    """What R prints for ``summary`` of a fitted model; with ``tests`` what lmerTest does.

    ``correlation=None`` shows the correlations of fixed effects if there are at most 12.
    """
    estimates = result.estimates
    title = _title(result) if tests is None else _tested_title(result, tests.method)
    lines = [*title, *_call_lines(result, True, tests.formula if tests else None), ""]
    if result.call.REML:
        value = format_each([float(round_r(result.criterion.value, 1))])[0]
        lines += [f"REML criterion at convergence: {value}", ""]
    else:
        names, values = _criterion_names(result)
        shown = format_numbers(round_r(values[:4], 1).tolist(), 7)
        lines += [*print_named(names, [*shown, str(int(values[4]))]), ""]
    scaled = residuals(result, "scaled")
    quantiles = np.quantile(scaled, [0, 0.25, 0.5, 0.75, 1]).tolist()
    lines.append("Scaled residuals: ")
    lines += print_named(
        ["Min", "1Q", "Median", "3Q", "Max"],
        format_numbers(zapsmall(quantiles, digits + 1), digits),
    )
    lines += ["", "Random effects:", *variance_lines(result, digits, ["Variance", "Std.Dev."])]
    lines += _size_lines(result)
    p = len(estimates.names)
    if p:
        lines += ["", "Fixed effects:", *_coefficient_lines(result, tests, digits)]
        show = p <= MOST_CORRELATED if correlation is None else correlation
        if p > 1 and show:
            lines += _correlation_lines(estimates.names, estimates.vcov, dialect_of(result))
    lines += _note_lines(result)
    head = _convergence_head(result)
    if head is not None:
        lines += [head, *result.evidence.messages, *result.evidence.optimizer_warnings, ""]
    engine = engine_line(result)
    return "\n".join(lines + ([engine] if engine else []))


def variance_text(result: FitResult, comp: Sequence[str] = ("Std.Dev.",), digits: int = 5) -> str:
    """What R prints for ``VarCorr``."""
    return "\n".join(variance_lines(result, digits, list(comp)))


@dataclass(frozen=True)
@shown
class Summary:
    """``m.summary()``: prints as R's ``print(summary(m))``, with ``tests`` as lmerTest's.

    In numbers: ``coefficients``; ``m.tidy()``; variance components ``m.VarCorr()``.
    """

    result: FitResult
    correlation: bool | None = None
    digits: int = _DIGITS
    tests: Tests | None = None

    @property
    def coefficients(self) -> pd.DataFrame:
        """The table of fixed effects, by name."""
        names = list(self.result.estimates.names)
        if self.tests is not None:
            return self.tests.table.set_axis(names)
        if self.result.call.generalized:
            return z_tests(self.result)
        beta = self.result.estimates.beta
        errors = np.sqrt(np.diag(self.result.estimates.vcov))
        return pd.DataFrame(
            {"Estimate": beta, "Std. Error": errors, "t value": beta / errors}, index=names
        )

    def __str__(self) -> str:
        return summary_text(self.result, self.correlation, self.digits, self.tests)
