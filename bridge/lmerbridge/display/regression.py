"""Ordinary regressions as R prints them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.design.written import call_lines
from lmerbridge.dialects import without_r
from lmerbridge.display.coefmat import coefmat_lines, format_p
from lmerbridge.display.intervals import matrix_text
from lmerbridge.display.rformat import format_numbers, print_matrix, print_named, zapsmall
from lmerbridge.inference.regression import ByGroup, Regression

__all__ = [
    "Deviances",
    "glm_summary_text",
    "glm_text",
    "lm_list_summary_text",
    "lm_list_text",
    "lm_summary_text",
    "lm_text",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def _coefficients(beta: Array, coefficients: pd.Series[float]) -> list[str]:
    """Coefficients by name, ``NA`` where there is none."""
    texts = iter(format_numbers(beta.tolist(), 4))
    cells = ["NA" if np.isnan(v) else next(texts) for v in coefficients]
    names = [str(name) for name in coefficients.index]
    return ["Coefficients:", *print_named(names, cells, gap=2)]


def lm_text(frame: ModelFrame, fit: Regression, coefficients: pd.Series[float]) -> str:
    """What R prints for a regression."""
    return "\n".join(
        ["", "Call:", *call_lines(frame), "", *_coefficients(fit.beta, coefficients), ""]
    )


def _row_names(frame: ModelFrame) -> list[str]:
    """R's names of the rows used: labels of the data, or numbers that count from 1."""
    index = frame.source.index
    if index is None or pd.api.types.is_integer_dtype(index.dtype):
        return [str(row + 1) for row in frame.source.kept]
    return [str(label) for label in index]


def _residuals(frame: ModelFrame, residuals: Array, df: int, gap: int) -> list[str]:
    """The quantiles of residuals, or all where there are few."""
    if df > 5:
        quantiles = np.quantile(residuals, [0, 0.25, 0.5, 0.75, 1]).tolist()
        names = ["Min", "1Q", "Median", "3Q", "Max"]
        return print_named(names, format_numbers(zapsmall(quantiles, 5), 4), gap=gap)
    return print_named(_row_names(frame), format_numbers(residuals.tolist(), 4), gap=gap)


def _tests(frame: ModelFrame, tests: pd.DataFrame) -> list[str]:
    """The table of coefficients with its heading."""
    lost = len(frame.design.x_dropped)
    return [
        "Coefficients:" + (f" ({lost} not defined because of singularities)" if lost else ""),
        *coefmat_lines(
            [str(name) for name in tests.index],
            list(tests.columns),
            tests.to_numpy(),
            digits=4,
            estimates=(0, 1),
            tests=(2,),
            has_p=True,
        ),
    ]


def _deleted(frame: ModelFrame) -> list[str]:
    """What is said of rows with missing values."""
    dropped = len(frame.source.dropped)
    plural = "observation" if dropped == 1 else "observations"
    return [f"  ({dropped} {plural} deleted due to missingness)"] if dropped else []


@dataclass(frozen=True)
class Deviances:
    """What R prints of a generalized linear model beside its coefficients.

    Attributes
    ----------
    family : str
        As R calls it.
    written : str
        As it was written in the call; empty where none was.
    null, residual : float
        Deviances, on ``df_null`` and the residual degrees of freedom.
    dispersion, aic : float
    iterations : int
    """

    family: str
    written: str
    null: float
    df_null: int
    residual: float
    dispersion: float
    aic: float
    iterations: int


def _number(value: float, digits: int) -> str:
    return "NA" if np.isnan(value) else format_numbers([value], digits)[0]


def _rounded(value: float) -> str:
    """R's ``format(signif(x, 4))``."""
    return _number(float(f"{value:.4g}"), 7)


def glm_text(
    frame: ModelFrame, fit: Regression, coefficients: pd.Series[float], more: Deviances
) -> str:
    """What R prints for a generalized linear model."""
    first, *rest = call_lines(frame, more.written)
    lines = ["", f"Call:  {first}", *rest, "", *_coefficients(fit.beta, coefficients), ""]
    lines += [
        f"Degrees of Freedom: {more.df_null} Total (i.e. Null);  {fit.df_residual} Residual",
        *_deleted(frame),
        f"Null Deviance:\t    {_rounded(more.null)} ",
        f"Residual Deviance: {_rounded(more.residual)} \tAIC: {_rounded(more.aic)}",
    ]
    return "\n".join(lines)


def glm_summary_text(
    frame: ModelFrame, fit: Regression, tests: pd.DataFrame, residuals: Array, more: Deviances
) -> str:
    """What R prints for ``summary`` of a generalized linear model; ``residuals`` are those of the
    deviance.
    """
    df = fit.df_residual
    lines = ["", "Call:", *call_lines(frame, more.written), ""]
    if without_r().deviance_residuals_shown:
        lines += ["Deviance Residuals: ", *_residuals(frame, residuals, df, 2), ""]
    deviances = format_numbers([more.null, more.residual], 5)
    counts = format_numbers([more.df_null, df], 7)
    lines += [
        *_tests(frame, tests),
        "",
        f"(Dispersion parameter for {more.family} family taken to be "
        f"{_number(more.dispersion, 7)})",
        "",
        f"    Null deviance: {deviances[0]}  on {counts[0]}  degrees of freedom",
        f"Residual deviance: {deviances[1]}  on {counts[1]}  degrees of freedom",
        *_deleted(frame),
        f"AIC: {_number(more.aic, 5)}",
        "",
        f"Number of Fisher Scoring iterations: {more.iterations}",
        "",
    ]
    return "\n".join(lines)


def lm_summary_text(frame: ModelFrame, fit: Regression, tests: pd.DataFrame) -> str:
    """What R prints for ``summary`` of a regression."""
    from scipy import special

    weights = frame.weights
    residuals = fit.residuals if weights is None else fit.residuals * np.sqrt(weights)
    kind = "Residuals:" if weights is None else "Weighted Residuals:"
    df = fit.df_residual
    lines = ["", "Call:", *call_lines(frame), "", kind, *_residuals(frame, residuals, df, 1), ""]
    lines += _tests(frame, tests)
    sigma = format_numbers([fit.sigma], 4)[0]
    lines += ["", f"Residual standard error: {sigma} on {df} degrees of freedom"]
    lines += _deleted(frame)
    p = len(fit.beta)
    intercept = "(Intercept)" in fit.names
    if p > intercept:
        w = np.ones(fit.nobs) if weights is None else weights
        fitted = fit.fitted
        if frame.offset is not None and without_r().regression_offset_apart:
            fitted = fitted - frame.offset
        centre = float(np.average(fitted, weights=w)) if intercept else 0.0
        explained = float(np.sum(w * (fitted - centre) ** 2))
        r2 = explained / (explained + fit.rss)
        adjusted = 1 - (1 - r2) * (fit.nobs - intercept) / df
        F = explained / (p - intercept) / (fit.rss / df)
        P = float(special.fdtrc(p - intercept, df, F))
        shown = [f"{v:.4g}".rjust(5) for v in (r2, adjusted, F)]  # as R's formatC
        lines += [
            f"Multiple R-squared:  {shown[0]},\tAdjusted R-squared:  {shown[1]} ",
            f"F-statistic: {shown[2]} on {p - intercept} and {df} DF,  p-value: "
            f"{format_p(P, 4) if P >= 2.220446e-16 else '< 2.2e-16'}",
        ]
    return "\n".join([*lines, ""])


def lm_list_text(frame: ModelFrame, group: str, fit: ByGroup) -> str:
    """What R prints for ``lmList``."""
    cells = []
    for j in range(len(fit.names)):
        known = [float(v) for v in fit.beta[:, j] if not np.isnan(v)]
        texts = iter(format_numbers(known, 7))
        cells.append(["NA" if np.isnan(v) else next(texts) for v in fit.beta[:, j]])
    total = int(fit.counts.sum())
    sigma = format_numbers([fit.sigma], 7)[0]
    return "\n".join(
        [
            f"Call: lmList(formula = {frame.formula} | {group}, data = {frame.asked.data_name}"
            + (f", weights = {frame.asked.weights_name}" if frame.asked.weights_name else "")
            + ") ",
            "Coefficients:",
            *print_matrix(fit.levels, fit.names, [list(row) for row in zip(*cells, strict=True)]),
            "",
            f"Degrees of freedom: {total} total; {fit.df_residual} residual",
            f"Residual standard error: {sigma}",
        ]
    )


def lm_list_summary_text(
    frame: ModelFrame, group: str, fit: ByGroup, tests: dict[str, pd.DataFrame]
) -> str:
    """What R prints for ``summary`` of an ``lmList``: a table by coefficient."""
    lines = [
        "Call:",
        f"  Model: {frame.formula} | {group} ",
        f"   Data: {frame.asked.data_name} ",
        "",
        "Coefficients:",
    ]
    for name, table in tests.items():
        lines += [f"   {name} ", matrix_text(table)]
    sigma = format_numbers([fit.sigma], 7)[0]
    lines += ["", f"Residual standard error: {sigma} on {fit.df_residual} degrees of freedom", ""]
    return "\n".join(lines)
