"""Ordinary regressions as R prints them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.display.coefmat import coefmat_lines, format_p
from lmerbridge.display.rformat import format_numbers, print_matrix, print_named, zapsmall
from lmerbridge.inference.regression import ByGroup, Regression

__all__ = ["lm_list_text", "lm_summary_text", "lm_text"]


def _call(frame: ModelFrame) -> list[str]:
    more = ""
    for name, value in (
        ("subset", frame.subset_name),
        ("weights", frame.weights_name),
        ("offset", frame.offset_name),
    ):
        if value is not None:
            more += f", {name} = {value}"
    return ["", "Call:", f"lm(formula = {frame.formula}, data = {frame.data_name}{more})", ""]


def lm_text(frame: ModelFrame, fit: Regression) -> str:
    """What R prints for a regression."""
    cells = format_numbers(fit.beta.tolist(), 4)
    width = max([len(t) for t in (*fit.names, *cells)], default=0)
    per_line = max(1, 80 // (width + 2))
    lines = [*_call(frame), "Coefficients:"]
    for start in range(0, len(cells), per_line):
        for row in (fit.names, cells):
            lines.append("".join(t.rjust(width) + "  " for t in row[start : start + per_line]))
    return "\n".join([*lines, ""])


def lm_summary_text(frame: ModelFrame, fit: Regression, tests: pd.DataFrame) -> str:
    """What R prints for ``summary`` of a regression."""
    from scipy import special

    weights = frame.weights
    residuals = fit.residuals if weights is None else fit.residuals * np.sqrt(weights)
    kind = "Residuals:" if weights is None else "Weighted Residuals:"
    lines = [*_call(frame), kind]
    df = fit.df_residual
    if df > 5:
        quantiles = np.quantile(residuals, [0, 0.25, 0.5, 0.75, 1]).tolist()
        names = ["Min", "1Q", "Median", "3Q", "Max"]
        lines += print_named(names, format_numbers(zapsmall(quantiles, 5), 4))
    else:
        names = [str(i + 1) for i in range(len(residuals))]
        lines += print_named(names, format_numbers(residuals.tolist(), 4))
    lines += [
        "",
        "Coefficients:",
        *coefmat_lines(
            fit.names,
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
    dropped = len(frame.dropped)
    if dropped:
        plural = "observation" if dropped == 1 else "observations"
        lines.append(f"  ({dropped} {plural} deleted due to missingness)")
    p = len(fit.beta)
    intercept = "(Intercept)" in fit.names
    if p > intercept:
        w = np.ones(fit.nobs) if weights is None else weights
        centre = float(np.average(fit.fitted, weights=w)) if intercept else 0.0
        explained = float(np.sum(w * (fit.fitted - centre) ** 2))
        r2 = explained / (explained + fit.rss)
        adjusted = 1 - (1 - r2) * (fit.nobs - intercept) / df
        F = explained / (p - intercept) / (fit.rss / df)
        P = float(special.fdtrc(p - intercept, df, F))
        shown = [format_numbers([v], 4)[0] for v in (r2, adjusted, F)]
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
            f"Call: lmList(formula = {frame.formula} | {group}, data = {frame.data_name}) ",
            "Coefficients:",
            *print_matrix(fit.levels, fit.names, [list(row) for row in zip(*cells, strict=True)]),
            "",
            f"Degrees of freedom: {total} total; {fit.df_residual} residual",
            f"Residual standard error: {sigma}",
        ]
    )
