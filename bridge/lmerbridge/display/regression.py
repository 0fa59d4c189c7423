"""Ordinary regressions as R prints them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.dialects import without_r
from lmerbridge.display.coefmat import coefmat_lines, format_p
from lmerbridge.display.intervals import matrix_text
from lmerbridge.display.rformat import format_numbers, print_matrix, print_named, zapsmall
from lmerbridge.inference.regression import ByGroup, Regression

__all__ = ["lm_list_summary_text", "lm_list_text", "lm_summary_text", "lm_text"]


def _call(frame: ModelFrame) -> list[str]:
    more = ""
    for name, value in (
        ("subset", frame.asked.subset_name),
        ("weights", frame.asked.weights_name),
        ("offset", frame.asked.offset_name),
    ):
        if value is not None:
            more += f", {name} = {value}"
    return ["", "Call:", f"lm(formula = {frame.formula}, data = {frame.asked.data_name}{more})", ""]


def lm_text(frame: ModelFrame, fit: Regression, coefficients: pd.Series[float]) -> str:
    """What R prints for a regression."""
    texts = iter(format_numbers(fit.beta.tolist(), 4))
    cells = ["NA" if np.isnan(v) else next(texts) for v in coefficients]
    names = [str(name) for name in coefficients.index]
    width = max([len(t) for t in (*names, *cells)], default=0)
    per_line = max(1, 80 // (width + 2))
    lines = [*_call(frame), "Coefficients:"]
    for start in range(0, len(cells), per_line):
        for row in (names, cells):
            lines.append("".join(t.rjust(width) + "  " for t in row[start : start + per_line]))
    return "\n".join([*lines, ""])


def _row_names(frame: ModelFrame) -> list[str]:
    """R's names of the rows used: labels of the data, or numbers that count from 1."""
    index = frame.source.index
    if index is None or pd.api.types.is_integer_dtype(index.dtype):
        return [str(row + 1) for row in frame.source.kept]
    return [str(label) for label in index]


def lm_summary_text(frame: ModelFrame, fit: Regression, tests: pd.DataFrame) -> str:
    """What R prints for ``summary`` of a regression."""
    from scipy import special

    weights = frame.weights
    residuals = fit.residuals if weights is None else fit.residuals * np.sqrt(weights)
    kind = "Residuals:" if weights is None else "Weighted Residuals:"
    lines = [*_call(frame), kind]
    df, lost = fit.df_residual, len(frame.design.x_dropped)
    if df > 5:
        quantiles = np.quantile(residuals, [0, 0.25, 0.5, 0.75, 1]).tolist()
        names = ["Min", "1Q", "Median", "3Q", "Max"]
        lines += print_named(names, format_numbers(zapsmall(quantiles, 5), 4))
    else:
        names = _row_names(frame)
        lines += print_named(names, format_numbers(residuals.tolist(), 4))
    lines += [
        "",
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
    sigma = format_numbers([fit.sigma], 4)[0]
    lines += ["", f"Residual standard error: {sigma} on {df} degrees of freedom"]
    dropped = len(frame.source.dropped)
    if dropped:
        plural = "observation" if dropped == 1 else "observations"
        lines.append(f"  ({dropped} {plural} deleted due to missingness)")
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
